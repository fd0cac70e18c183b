"""From an alert to a retraining run: what asks for one, when it gets one, and what is remembered of it."""
