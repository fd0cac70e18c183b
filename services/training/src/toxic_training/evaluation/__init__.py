"""The evaluation stage: figures, calibration, operating thresholds, the report."""
