"""Scores for texts and tables, by an exported model or a registered version."""
