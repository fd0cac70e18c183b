"""The model that ships with the repository: a classifier and the facts of its bundle in a small folder.

The folder is a packed bundle (`toxic_core.contract`), which OpenVINO serves as it is, with two documents for
people: `README.md` and `evaluation.html`.

Invariant: a folder is written completely or not at all, and read only if every digest matches.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from tokenizers import Tokenizer

from toxic_core.contract import (
    TOKENIZER_FILE,
    WARMUP_FILE,
    Bundle,
    Contract,
    WarmupExample,
    file_digest,
    read_contract,
    seal,
)
from toxic_core.contract.artifact import CONFIG_FILE
from toxic_core.contract.evidence import EVALUATION_FILE, read_evaluation
from toxic_core.contract.scales import SCALES_FILE, Scales, bundled_scales
from toxic_core.errors import ContractError, DigestMismatchError
from toxic_model.packed import (
    HEAD_BIAS,
    HEAD_WEIGHT,
    WORD_EMBEDDINGS,
    Floats,
    pack_weights,
    read_tensors,
    unpack_weights,
    write_tensors,
)
from toxic_training.evaluation.reporting.card import model_card
from toxic_training.modelling.classifier import (
    LOGITS,
    Encoder,
    build_classifier,
    classifier_weights,
    logits_of,
    set_classifier_weights,
)
from toxic_training.modelling.encoders.files import EncoderFiles
from toxic_training.release.bundle import BundleParts
from toxic_training.scoring.exported import ExportedModel, ExportFacts, ExportParts

_TOLERANCE = 1e-3
_COPIED = (TOKENIZER_FILE, WARMUP_FILE, EVALUATION_FILE)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A packed classifier, read: its encoder and classification layer, and the facts of its bundle.

    `head` is the layer's kernel [labels, width] and bias [labels], float32. `contract` is the bundle's, but
    `files` are the folder's own.
    """

    encoder: EncoderFiles
    head: tuple[Floats, Floats]
    contract: Contract
    figures: dict[str, float]
    warmup: tuple[WarmupExample, ...]
    scales: Scales | None = None


@dataclass(frozen=True, slots=True)
class BaselineParts:
    """What is packed: a rounded classifier, its encoder, its bundle, and the evaluation report for people."""

    classifier: keras.Model
    encoder: Encoder
    bundle: Bundle
    report: str


def round_weights(classifier: keras.Model) -> None:
    """Round a BERT's weights, in place, to the precision that packing keeps, or raise ConfigurationError."""
    packed = pack_weights(classifier_weights(classifier), table=WORD_EMBEDDINGS)
    set_classifier_weights(classifier, unpack_weights(packed))


def pack(parts: BaselineParts, folder: Path) -> None:
    """Write `parts` as `folder`, replacing an existing one; raise ConfigurationError if it has no BERT."""
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_tensors(pack_weights(classifier_weights(parts.classifier), table=WORD_EMBEDDINGS), partial)
    shutil.copy(parts.encoder.folder / CONFIG_FILE, partial / CONFIG_FILE)
    for name in _COPIED:
        (partial / name).parent.mkdir(exist_ok=True)
        shutil.copy(parts.bundle.path / name, partial / name)
    if scales := bundled_scales(parts.bundle.path):
        scales.write(partial / SCALES_FILE)
    card = model_card(parts.bundle.contract, read_evaluation(partial), scales)
    (partial / "README.md").write_text(card, encoding="utf-8")
    (partial / "evaluation.html").write_text(parts.report, encoding="utf-8")
    seal(partial, parts.bundle.contract)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def read_baseline(folder: Path) -> Baseline:
    """Read and verify a packed classifier; raise ContractError if a file is missing, changed or damaged."""
    if not folder.is_dir():
        raise ContractError(
            f"{folder} is not a folder; set TOXIC_BASELINE_DIR to the folder of a packed model."
        )
    contract = read_contract(folder)
    for name, digest in contract.files.items():
        if not (folder / name).is_file():
            raise ContractError(f"{folder / name} is missing; fetch the baseline again.")
        if file_digest(folder / name) != digest:
            raise DigestMismatchError(
                f"{folder / name} isn't the file that was packed; fetch the baseline again."
            )
    weights = unpack_weights(read_tensors(folder))
    return Baseline(
        head=(weights[HEAD_WEIGHT], weights[HEAD_BIAS]),
        encoder=EncoderFiles(
            config=json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")),
            weights=weights,
            tokenizer=Tokenizer.from_file(str(folder / TOKENIZER_FILE)),
        ),
        contract=contract,
        figures=read_evaluation(folder),
        warmup=Bundle(path=folder, contract=contract).warmup(),
        scales=bundled_scales(folder),
    )


def unpack(baseline: Baseline, encoder: Encoder) -> keras.Model:
    """Return the classifier, or raise ContractError if its scores differ from those recorded in packing."""
    contract = baseline.contract
    classifier = build_classifier(
        encoder.load_backbone(), dropout=0, train_embeddings=False, labels=len(contract.labels)
    )
    kernel, bias = baseline.head
    classifier.get_layer(LOGITS).set_weights([kernel.T, bias])
    tokeniser = encoder.tokeniser(
        max_tokens=contract.max_tokens, normalisation=contract.normalisation_version
    )
    token_ids = tokeniser.token_ids([example.text for example in baseline.warmup])
    logits = logits_of(classifier, token_ids, pad_id=encoder.pad_id, batch_size=1)
    recorded = np.array([example.scores for example in baseline.warmup])
    furthest = float(np.abs(1.0 / (1.0 + np.exp(-logits.astype(np.float64))) - recorded).max())
    if furthest > _TOLERANCE:
        raise ContractError(
            f"The unpacked baseline's scores are off by up to {furthest:.4f}; fetch the baseline again."
        )
    return classifier


def fine_tuned_encoder(classifier: keras.Model, encoder: Encoder) -> EncoderFiles:
    """Return a trained classifier's encoder and classification layer, as the start of another training."""
    return EncoderFiles(
        config=json.loads((encoder.folder / CONFIG_FILE).read_text(encoding="utf-8")),
        weights=classifier_weights(classifier),
        tokenizer=encoder.tokenizer,
    )


def encoder_files(baseline: Baseline) -> EncoderFiles:
    """Return the baseline's fine-tuned encoder."""
    return baseline.encoder


def prepare_export(baseline: Baseline, encoder: Encoder) -> ExportParts:
    """Return the parts of the unpacked classifier's export."""
    facts = ExportFacts.of(baseline.contract)
    return ExportParts(classifier=unpack(baseline, encoder), encoder=encoder, facts=facts)


def assemble_bundle(baseline: Baseline, model: ExportedModel) -> BundleParts:
    """Return the bundle's parts: the exported model, and the figures and scales it was packed with."""
    return BundleParts(
        model=model, contract=baseline.contract, figures=baseline.figures, scales=baseline.scales
    )
