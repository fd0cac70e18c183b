"""The contract between training and serving; imports no service and no framework."""

__version__ = "0.2.0"
