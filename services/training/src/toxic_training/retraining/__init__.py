"""Starts retraining runs for alerts: decides, limits, and remembers what was started."""
