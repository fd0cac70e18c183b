"""Scoring jobs over HTTP: upload, watch, download."""
