"""The model that ships with the repository: packed small, unpacked into a bundle like any other."""

from toxic_training.release.baseline.folder import (
    Baseline,
    BaselineParts,
    pack,
    read_baseline,
    round_weights,
    unpack,
)

__all__ = ["Baseline", "BaselineParts", "pack", "read_baseline", "round_weights", "unpack"]
