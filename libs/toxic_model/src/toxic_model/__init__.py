"""A model bundle that scores texts: opened, verified, computed by the best runtime of this machine."""

__version__ = "0.2.0"
