"""The shipped model's files, in the folder `bundle` of this package."""

__version__ = "0.2.0"
