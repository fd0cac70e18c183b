"""Scores files of comments of any size on Ray Data: `toxic-batch`."""
