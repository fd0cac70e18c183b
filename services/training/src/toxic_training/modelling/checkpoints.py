"""Checkpoints of a training run: one file with everything that is needed to resume it.

Invariant: the file is complete or absent, and only a run with the same data, encoder and parameters resumes
from it. A resumed run produces the same classifier as an uninterrupted one.
"""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from toxic_core.files import replacing

logger = logging.getLogger(__name__)

_STATE = "state"
_FINGERPRINT = "fingerprint"
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Steps, seconds, mean loss, the AUC of each selection, and selections since the kept weights."""

    steps: int
    seconds: float
    loss: float
    scores: tuple[float, ...]
    misses: int


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """The checkpoint file at `path` of the run with this `fingerprint`."""

    path: Path
    fingerprint: str

    def save(self, state: TrainingState, variables: Arrays) -> None:
        """Replace the file atomically."""
        metadata = {_FINGERPRINT: self.fingerprint, _STATE: json.dumps(asdict(state))}
        with replacing(self.path) as partial:
            save_file(variables, partial, metadata=metadata)

    def load(self) -> tuple[TrainingState, Arrays] | None:
        """Return the saved state, or None if this run can't resume from the file."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get(_FINGERPRINT) != self.fingerprint:
                    logger.info("the checkpoint %s belongs to another training; starting anew", self.path)
                    return None
                fields = json.loads(metadata[_STATE])
                variables = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError, ValueError) as error:
            logger.warning("the checkpoint %s can't be read (%s); starting anew", self.path, error)
            return None
        return TrainingState(**{**fields, "scores": tuple(fields["scores"])}), variables

    def remove(self) -> None:
        """Remove the file after training."""
        self.path.unlink(missing_ok=True)


def variables_of(classifier: keras.Model) -> Arrays:
    """Return what training changes: weights, the optimiser's state, random seeds; not frozen weights."""
    return {name: ops.convert_to_numpy(variable) for name, variable in _variables(classifier).items()}


def fingerprint(*parts: bytes) -> str:
    """Return one digest of everything that a training depends on."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def restore(classifier: keras.Model, variables: Arrays) -> None:
    """Set a compiled classifier to the state that `variables_of` returned."""
    classifier.optimizer.build(classifier.trainable_variables)
    for name, variable in _variables(classifier).items():
        variable.assign(variables[name])


def _variables(classifier: keras.Model) -> dict[str, keras.Variable]:
    frozen = {id(weight) for weight in classifier.non_trainable_weights}
    kept = [variable for variable in classifier.variables if id(variable) not in frozen]
    named = {f"model.{index}": variable for index, variable in enumerate(kept)}
    return named | {
        f"optimiser.{index}": variable for index, variable in enumerate(classifier.optimizer.variables)
    }
