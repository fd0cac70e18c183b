"""The exported model: a SavedModel and its tokenizer, the same files that a bundle seals and inference loads.

Every figure is measured on it, so that figures describe the served model.

Invariant: an export appears whole or not at all; a killed run keeps the previous one.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import keras
import tensorflow as tf
from pydantic import BaseModel, ConfigDict, ValidationError

from toxic_core.contract import (
    ATTENTION_MASK,
    INPUT_IDS,
    SAVED_MODEL_DIR,
    SCORES,
    SIGNATURE,
    TOKENIZER_FILE,
    Bundle,
    Contract,
)
from toxic_core.errors import InvalidDataError
from toxic_core.labels import LABELS, LabelName
from toxic_core.text import NORMALISATION_VERSION
from toxic_training.modelling.classifier import Encoder

_FACTS_FILE = "exported.json"


class ExportFacts(BaseModel):
    """The facts of a contract that no other file contains; `encoder` is the one that was fine-tuned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_tokens: int
    pad_id: int
    encoder: str
    labels: tuple[LabelName, ...] = LABELS
    normalisation_version: int = NORMALISATION_VERSION

    @classmethod
    def of(cls, contract: Contract) -> Self:
        """Return the facts of a bundle's contract."""
        return cls(
            max_tokens=contract.max_tokens,
            pad_id=contract.pad_id,
            encoder=contract.base_model,
            labels=contract.labels,
            normalisation_version=contract.normalisation_version,
        )


@dataclass(frozen=True, slots=True)
class ExportParts:
    """The parts of an export: a classifier that gives logits, and the encoder with its tokenizer."""

    classifier: keras.Model
    encoder: Encoder
    facts: ExportFacts


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """An exported model on disk: a folder with `saved_model/` and `tokenizer/`, as in a bundle."""

    folder: Path
    facts: ExportFacts

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Return the model inside a bundle."""
        return cls(folder=bundle.path, facts=ExportFacts.of(bundle.contract))

    @property
    def saved_model(self) -> Path:
        """Folder of the TensorFlow SavedModel."""
        return self.folder / SAVED_MODEL_DIR

    @property
    def tokenizer(self) -> Path:
        """Path of `tokenizer.json`."""
        return self.folder / TOKENIZER_FILE

    def size_bytes(self) -> int:
        """Return the size on disk of the SavedModel and the tokenizer."""
        files = [*self.saved_model.rglob("*"), self.tokenizer]
        return sum(file.stat().st_size for file in files if file.is_file())


def write_export(parts: ExportParts, folder: Path) -> None:
    """Export `parts` as `folder`, replacing the previous one."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / TOKENIZER_FILE).parent.mkdir(parents=True)
    parts.encoder.tokenizer.save(str(partial / TOKENIZER_FILE))
    export_saved_model(parts.classifier, partial / SAVED_MODEL_DIR)
    (partial / _FACTS_FILE).write_text(parts.facts.model_dump_json(indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def read_export(folder: Path) -> ExportedModel:
    """Open the export in `folder`, or raise InvalidDataError if it is missing or incomplete."""
    try:
        facts = ExportFacts.model_validate_json((folder / _FACTS_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidDataError(
            f"{folder} holds no exported model; run the pipeline `evaluation` after `modelling`."
        ) from error
    return ExportedModel(folder=folder, facts=facts)


def export_saved_model(classifier: keras.Model, folder: Path) -> None:
    """Export `classifier` with sigmoids on its logits, under the contract's signature.

    Keras's own exporter would write every weight twice.
    """
    specification = [tf.TensorSpec([None, None], tf.int32, name=name) for name in (INPUT_IDS, ATTENTION_MASK)]

    @tf.function(input_signature=specification)
    def serve(input_ids: tf.Tensor, attention_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask}
        return {SCORES: keras.ops.sigmoid(classifier(inputs, training=False))}

    module = tf.Module()
    module.weights = [variable.value for variable in classifier.variables]
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: serve})
