"""The classifier and its training: encoders, batches, the loop, checkpoints."""
