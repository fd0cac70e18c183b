"""The inference service beside its peers: one model, one machine, one run."""
