"""Scoring of uploaded files in the background: records, files, queue."""
