"""Names in the model registry, which every service uses."""

MODEL_NAME = "toxic-comments"
"""The registered model."""

CHAMPION = "champion"
"""Alias of the version that is served."""

CHALLENGER = "challenger"
"""Alias of the newest version that passed evaluation; it may be shadowed."""

PREVIOUS = "previous"
"""Alias of the champion before, for a rollback."""
