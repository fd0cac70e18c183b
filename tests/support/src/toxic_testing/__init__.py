"""Fakes, small real models and servers as processes, for every package's tests; never part of a wheel."""
