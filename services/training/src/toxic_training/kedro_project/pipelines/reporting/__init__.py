"""Plots, table and report of an evaluation."""
