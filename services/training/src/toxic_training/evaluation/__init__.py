"""What a model is worth: figures, calibration, decisions, the report."""
