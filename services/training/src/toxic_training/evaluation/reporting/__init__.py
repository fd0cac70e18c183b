"""What people read of an evaluation: the headline table, plots, the report, the model card."""
