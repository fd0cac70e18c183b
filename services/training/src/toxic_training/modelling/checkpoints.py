"""Checkpoints of a training run: one file that holds all it takes to go on.

Invariant: the file is whole or absent, and is taken up only by a run of the same data, encoder and
parameters; what it restores continues to the same classifier as a run that was never stopped.
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

logger = logging.getLogger(__name__)

_STATE = "state"
_FINGERPRINT = "fingerprint"
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where training stands, beside its variables.

    Attributes:
        steps: optimiser steps taken.
        seconds: time spent on them.
        loss: running mean of the training loss.
        scores: mean AUC at each selection so far.
        misses: selections since the weights that are kept.
    """

    steps: int
    seconds: float
    loss: float
    scores: tuple[float, ...]
    misses: int


class CheckpointFile:
    """The checkpoint of the run whose `fingerprint` is given, at one path."""

    def __init__(self, path: Path, *, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint

    def save(self, state: TrainingState, variables: Arrays) -> None:
        """Write under a temporary name, then rename."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f".partial-{self._path.name}")
        metadata = {_FINGERPRINT: self._fingerprint, _STATE: json.dumps(asdict(state))}
        save_file(variables, partial, metadata=metadata)
        partial.replace(self._path)

    def load(self) -> tuple[TrainingState, Arrays] | None:
        """Return what was saved, or None where there is nothing that this run can take up."""
        if not self._path.exists():
            return None
        try:
            with safe_open(self._path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get(_FINGERPRINT) != self._fingerprint:
                    logger.info("the checkpoint %s is another training's; starting anew", self._path)
                    return None
                fields = json.loads(metadata[_STATE])
                variables = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError, ValueError) as error:
            logger.warning("the checkpoint %s can't be read (%s); starting anew", self._path, error)
            return None
        return TrainingState(**{**fields, "scores": tuple(fields["scores"])}), variables

    def remove(self) -> None:
        """Forget the checkpoint: training is over."""
        self._path.unlink(missing_ok=True)


def variables_of(classifier: keras.Model) -> Arrays:
    """Return all that training changes: weights, the optimiser's state, random seeds; not what is frozen."""
    return {name: ops.convert_to_numpy(variable) for name, variable in _variables(classifier).items()}


def fingerprint(*parts: bytes) -> str:
    """Return one digest for all that a training depends on."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def restore(classifier: keras.Model, variables: Arrays) -> None:
    """Give a compiled classifier the state that `variables_of` returned."""
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
