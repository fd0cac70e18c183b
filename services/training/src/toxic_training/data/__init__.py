"""The data stage: raw tables become training, validation and test comments."""
