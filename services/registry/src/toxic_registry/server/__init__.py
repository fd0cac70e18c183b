"""MLflow's server with the gate, the ledger, access control and events."""
