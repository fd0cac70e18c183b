"""Names in the model registry."""

MODEL_NAME = "toxic-comments"
"""The registered model."""

CHAMPION = "champion"
"""Alias of the version that is served."""

CHALLENGER = "challenger"
"""Alias of the newest version that passed evaluation; inference can shadow it."""

PREVIOUS = "previous"
"""Alias of the champion before the present one, for a rollback."""

CANARY = "canary"
"""Alias of a version that passed the gate and answers a share of the callers, for a trial."""

ALIASES = (CHAMPION, CHALLENGER, PREVIOUS, CANARY)
