"""The modelling stage: encoders, the classifier, batches, the training loop, checkpoints."""
