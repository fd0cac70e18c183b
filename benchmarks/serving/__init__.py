"""How the inference service bears load and faults, measured on a real process with a small stand-in model."""
