"""Comments on their way from raw tables to training, validation and test rows."""
