"""Measures the classifier on comments that it wasn't trained on."""
