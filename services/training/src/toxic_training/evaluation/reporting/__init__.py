"""The evaluation report, its plots and tables, and the model card."""
