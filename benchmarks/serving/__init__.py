"""Load and fault benchmarks of the inference service: a real process with a small stand-in model."""
