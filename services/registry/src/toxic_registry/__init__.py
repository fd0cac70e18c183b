"""The model registry: MLflow's server under our settings, and the commands that decide what is served."""

__version__ = "0.2.0"
