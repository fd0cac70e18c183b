"""MLflow's server with the gate, the ledger, sign-in, metrics and webhooks."""
