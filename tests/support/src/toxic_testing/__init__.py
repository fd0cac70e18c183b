"""Fakes, small real models and servers as processes, for every package's tests; never part of a wheel."""

__version__ = "0.2.0"
