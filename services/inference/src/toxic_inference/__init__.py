"""Serves the champion: HTTP doors over a core built like TensorFlow Serving's."""

__version__ = "0.2.0"
