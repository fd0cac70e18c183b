"""What tests of the training server share."""
