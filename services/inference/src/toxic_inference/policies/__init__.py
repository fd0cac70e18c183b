"""Policies of communities: their thresholds, word lists and markup, on top of the model's scores."""
