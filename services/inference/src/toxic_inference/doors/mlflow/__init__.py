"""MLflow's scoring server."""
