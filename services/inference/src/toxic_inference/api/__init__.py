"""The doors: HTTP over a `Scorer`. One module a surface."""
