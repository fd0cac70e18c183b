"""Scores files of comments of any size on Ray Data: `toxic-batch`."""

__version__ = "0.2.0"
