"""The Open Inference Protocol's door: its messages, its tensors, its routes."""
