"""A client of a running registry, and its reports."""
