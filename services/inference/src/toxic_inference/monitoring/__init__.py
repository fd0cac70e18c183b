"""Monitors whether the model is still right, from its scores of the traffic and from corrections."""
