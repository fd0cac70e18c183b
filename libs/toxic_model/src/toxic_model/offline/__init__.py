"""Scoring without a server: `toxic_model.load()` in a program, and the command `toxic`."""
