"""A model bundle that scores texts: opened, verified, computed by the best runtime of this machine."""

from toxic_model.offline.model import Model, TextScores, load

__version__ = "0.2.0"

__all__ = ["Model", "TextScores", "load"]
