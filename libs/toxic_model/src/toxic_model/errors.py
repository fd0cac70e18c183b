"""Errors of opening a model and of computing with it."""

from toxic_core.errors import ToxicError


class InvalidTensorError(ToxicError):
    """Token ids or masks that the model can't compute."""


class SignatureError(ToxicError):
    """A SavedModel that can't be read, or has another signature than the contract's."""


class WarmupError(ToxicError):
    """A model that doesn't reproduce the scores of its warm-up examples."""
