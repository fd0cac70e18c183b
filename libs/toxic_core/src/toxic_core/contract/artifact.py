"""The artifact contract: the layout of a model bundle, and the schema of its `contract.json`.

    saved_model/               TensorFlow SavedModel, signature `serving_default`; or instead, if packed,
    config.json, weights.safetensors, embeddings.safetensors (`toxic_model.packed`)
    tokenizer/tokenizer.json   the tokenizer
    contract.json              the contract, with the SHA-256 of every other file
    warmup.jsonl               texts with their expected scores
    evaluation.json            figures of the model's quality (`toxic_core.contract.evidence`)
    scales.json                optional: to the scores of a reference (`toxic_core.contract.scales`)
    signature.json             optional: who vouches for the contract (`toxic_core.contract.provenance`)

Invariant: `seal` completes a bundle. `open_bundle` returns a contract only if all of its files are present
and unchanged.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from toxic_core.contract.reference import Distribution, PrecisionCurve, ReferenceTraffic
from toxic_core.contract.schema import FrozenModel, Probability
from toxic_core.errors import ContractError, DigestMismatchError
from toxic_core.files import plain_files, replacing
from toxic_core.labels import LabelName
from toxic_core.languages import ANY_LANGUAGE
from toxic_core.text import NORMALISATION_VERSION, NORMALISATION_VERSIONS
from toxic_core.tokens import Tokeniser, read_tokenizer

CONTRACT_FILE = "contract.json"
SIGNATURE_FILE = "signature.json"
SAVED_MODEL_DIR = "saved_model"
TOKENIZER_FILE = "tokenizer/tokenizer.json"
WARMUP_FILE = "warmup.jsonl"
_UNSEALED = frozenset({CONTRACT_FILE, SIGNATURE_FILE})
SAVED_MODEL_FILE = f"{SAVED_MODEL_DIR}/saved_model.pb"
REQUIRED_FILES = (SAVED_MODEL_FILE, TOKENIZER_FILE, WARMUP_FILE)
CONFIG_FILE = "config.json"
"""A transformer's shape, as in Hugging Face's folders."""
PACKED_WEIGHTS_FILES = ("weights.safetensors", "embeddings.safetensors")
"""Weights of a packed model; the second file has the table of embeddings, unless the first has it."""
PACKED_FILES = (CONFIG_FILE, PACKED_WEIGHTS_FILES[0])
"""What a packed bundle has instead of a SavedModel."""

BUNDLE_ARTIFACT_PATH = "artifacts/bundle"
"""A bundle's path in an MLflow model version."""

SIGNATURE = "serving_default"
INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"
SCORES = "scores"

WARMUP_TOLERANCE = 1e-3
"""The largest difference between a recorded and a replayed warm-up score."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _inside_bundle(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or str(path) != name:
        raise ValueError(f"{name!r} is not the plain relative path of a file in the bundle")
    return name


BundlePath = Annotated[str, AfterValidator(_inside_bundle)]
"""A file's relative POSIX path, which can't lead out of the bundle."""


def _distinct(labels: tuple[LabelName, ...]) -> tuple[LabelName, ...]:
    if len(set(labels)) < len(labels):
        raise ValueError(f"labels {list(labels)} aren't distinct")
    return labels


class Calibration(FrozenModel):
    """Platt scaling (Platt, 1999): calibrated = sigmoid(slope * logit(score) + intercept).

    The slope is positive, so that calibration keeps the model's ranking.
    """

    slope: float = Field(default=1.0, gt=0.0)
    intercept: float = 0.0


class Fit(FrozenModel):
    """On what a label's calibration and threshold of a language were fitted.

    Attributes:
        rows, positives: numbers of comments; of a threshold by recall, those that its recall was measured on.
        languages: whose comments; several if the language has too few of its own.
        threshold: the rule that chose the threshold, and its value: `precision 0.8`, `recall 0.9`; None if
            no threshold satisfies one.
    """

    rows: int
    positives: int
    languages: tuple[str, ...]
    threshold: str | None


class Contract(FrozenModel):
    """The content of `contract.json`.

    Attributes:
        schema_version: of this schema.
        labels: the model's output columns, in order.
        max_tokens: maximum input length, special tokens included.
        pad_id: padding token id.
        normalisation_version: of `toxic_core.text.normalise` in training.
        languages: evaluated languages, by ISO 639-1 code.
        calibration: by label, then by language or `*`.
        thresholds: operating thresholds on calibrated scores, by label, then by language or `*`.
        fits: on what those were fitted, by label, then by language or `*`; empty in older bundles.
        reference_scores: for drift, by label, then by language or `*`.
        precision_curves: thresholds by precision, by label, then by language or `*`; empty in older bundles.
        reference_traffic: languages and lengths, for drift; None in older bundles.
        base_model: the transformer that was fine-tuned; its JSON key is `encoder`.
        training_data: SHA-256 of each raw training table, by name.
        licences: number of training comments by licence, where a table states it.
        code_revision: Git commit of the training code; `unknown` outside a checkout.
        created_at: time of sealing.
        files: SHA-256 of every other file, by relative path.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    schema_version: Literal[1] = 1
    labels: Annotated[tuple[LabelName, ...], Field(min_length=1), AfterValidator(_distinct)]
    max_tokens: int = Field(ge=8)
    pad_id: int = Field(ge=0)
    normalisation_version: int = NORMALISATION_VERSION
    languages: tuple[str, ...]
    calibration: dict[LabelName, dict[str, Calibration]]
    thresholds: dict[LabelName, dict[str, Probability]]
    fits: dict[LabelName, dict[str, Fit]] = Field(default_factory=dict)
    reference_scores: dict[LabelName, dict[str, Distribution]] = Field(default_factory=dict)
    precision_curves: dict[LabelName, dict[str, PrecisionCurve]] = Field(default_factory=dict)
    reference_traffic: ReferenceTraffic | None = None
    base_model: str = Field(
        validation_alias=AliasChoices("base_model", "encoder"), serialization_alias="encoder"
    )
    training_data: dict[str, Sha256] = Field(default_factory=dict)
    licences: dict[str, int] = Field(default_factory=dict)
    code_revision: str = "unknown"
    created_at: AwareDatetime
    files: dict[BundlePath, Sha256] = Field(default_factory=dict)

    def threshold(self, label: LabelName, language: str | None) -> float:
        """Return the operating threshold of `label` for `language`, or the one for any language."""
        by_language = self.thresholds[label]
        return by_language.get(language or ANY_LANGUAGE, by_language[ANY_LANGUAGE])

    def calibration_of(self, label: LabelName, language: str | None) -> Calibration:
        """Return the calibration of `label` for `language`, or the one for any language."""
        by_language = self.calibration[label]
        return by_language.get(language or ANY_LANGUAGE, by_language[ANY_LANGUAGE])


class WarmupExample(FrozenModel):
    """One line of `warmup.jsonl`: a text and its expected uncalibrated scores, in label order."""

    text: str
    scores: tuple[Probability, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified model bundle on disk.

    Attributes:
        path: its folder.
        contract: its parsed `contract.json`.
        states: the state of each file before it was verified; empty if none was.
    """

    path: Path
    contract: Contract
    states: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)

    def check_unchanged(self) -> None:
        """Raise ContractError if a file changed since before it was verified: what was read may be another.

        The time of a file's change can't be set by a program, so that a change and its reversal show too.
        """
        if self.states and _states(self.path) != self.states:
            raise ContractError(f"Files of {self.path} were replaced while they were read; open it again.")

    @property
    def saved_model(self) -> Path:
        """Folder of the TensorFlow SavedModel."""
        return self.path / SAVED_MODEL_DIR

    @property
    def tokenizer(self) -> Path:
        """Path of `tokenizer.json`."""
        return self.path / TOKENIZER_FILE

    def tokeniser(self, *, overlap: int = 0, max_tokens: int | None = None) -> Tokeniser:
        """Return the tokeniser of this model's texts; neighbouring windows share `overlap` tokens.

        `max_tokens` replaces the model's own maximum, to measure texts.

        Raises:
            ContractError: `tokenizer.json` can't be read.
        """
        return Tokeniser(
            read_tokenizer(self.tokenizer),
            max_tokens=max_tokens or self.contract.max_tokens,
            pad_id=self.contract.pad_id,
            overlap=overlap,
            normalisation=self.contract.normalisation_version,
        )

    def warmup(self) -> tuple[WarmupExample, ...]:
        """Return the warm-up examples.

        Raises:
            ContractError: there are none, or one hasn't a score per label.
        """
        # Bytes, because str.splitlines also splits at U+2028 and others, which JSON doesn't escape.
        lines = (self.path / WARMUP_FILE).read_bytes().splitlines()
        try:
            examples = tuple(WarmupExample.model_validate_json(line) for line in lines if line.strip())
        except ValidationError as error:
            raise ContractError(f"{self.path / WARMUP_FILE} has an invalid line: {error}") from error
        if not examples or {len(example.scores) for example in examples} != {len(self.contract.labels)}:
            raise ContractError(f"{self.path / WARMUP_FILE} needs examples with one score per label.")
        return examples


def write_warmup(path: Path, examples: Sequence[WarmupExample]) -> None:
    """Write `warmup.jsonl` into the bundle folder `path`."""
    lines = [json.dumps(example.model_dump(), ensure_ascii=False) + "\n" for example in examples]
    (path / WARMUP_FILE).write_text("".join(lines), encoding="utf-8")


def seal(path: Path, contract: Contract) -> Bundle:
    """Write `contract.json` with the digest of every file under `path`, which completes the bundle.

    Raises:
        ContractError: a required file is missing, or the folder has a link, a pipe or a pickle.
    """
    sealed = contract.model_copy(update={"files": dict(_digests(path))})
    _check_complete(path, sealed.files)
    with replacing(path / CONTRACT_FILE) as partial:
        partial.write_text(sealed.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Bundle(path=path, contract=sealed)


def open_bundle(path: Path, *, max_bytes: int | None = None) -> Bundle:
    """Read and verify the bundle in folder `path`; costs one read of every file.

    Args:
        path: its folder.
        max_bytes: size limit; None for no limit.

    Raises:
        ContractError: the contract is missing, invalid or for another normalisation; a file is missing,
            unlisted or not a plain file; or the bundle exceeds the limit.
        DigestMismatchError: a file changed after sealing.
    """
    states = _states(path)
    contract = read_contract(path)
    _check_complete(path, contract.files)
    found = dict(_digests(path, max_bytes=max_bytes))
    for name, digest in contract.files.items():
        if name not in found:
            raise ContractError(f"{path / name} is missing; the contract lists it.")
        if found[name] != digest:
            raise DigestMismatchError(
                f"{path / name} has SHA-256 {found[name]}, but the contract records {digest}. "
                "The file was changed or damaged; download or train the version again."
            )
    if unexpected := sorted(found.keys() - contract.files.keys()):
        raise ContractError(
            f"{path} has files that its contract doesn't list: {', '.join(unexpected)}. "
            "Open a copy without them."
        )
    return Bundle(path=path, contract=contract, states=states)


def _states(path: Path) -> dict[str, tuple[int, int]]:
    """Return the size of each file below `path`, and the time of its last change in nanoseconds."""
    states = {}
    for file in path.rglob("*"):
        with suppress(FileNotFoundError):  # replaced just now
            stat = file.stat()
            if S_ISREG(stat.st_mode):
                states[file.relative_to(path).as_posix()] = (stat.st_size, stat.st_ctime_ns)
    return states


def read_contract(path: Path) -> Contract:
    """Read `contract.json` of the bundle folder `path`, without verifying the other files.

    Raises:
        ContractError: it is missing or invalid, or this version of the code doesn't support it.
    """
    file = path / CONTRACT_FILE
    try:
        contract = Contract.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise ContractError(f"{file} is missing; it is not a complete model bundle.") from error
    except OSError as error:
        raise ContractError(f"{file} can't be read: {error}") from error
    except ValidationError as error:
        raise ContractError(f"{file} isn't a valid contract: {error}") from error
    if contract.normalisation_version not in NORMALISATION_VERSIONS:
        known = " and ".join(map(str, sorted(NORMALISATION_VERSIONS)))
        raise ContractError(
            f"{file} is for text normalised by version {contract.normalisation_version}; "
            f"this code knows the versions {known}. Upgrade it, or train the model again."
        )
    for label in contract.labels:
        if ANY_LANGUAGE not in contract.calibration.get(label, {}):
            raise ContractError(f"{file} has no calibration for any language ({ANY_LANGUAGE!r}) of {label}.")
        if ANY_LANGUAGE not in contract.thresholds.get(label, {}):
            raise ContractError(f"{file} has no thresholds for any language ({ANY_LANGUAGE!r}) of {label}.")
    return contract


def _check_complete(path: Path, files: Mapping[str, str]) -> None:
    packed = all(name in files for name in PACKED_FILES)
    needed = [name for name in REQUIRED_FILES if not (packed and name == SAVED_MODEL_FILE)]
    if missing := [name for name in needed if name not in files]:
        raise ContractError(f"{path} lacks {', '.join(missing)}; it is not a complete model bundle.")


def _digests(path: Path, *, max_bytes: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield the relative path and SHA-256 of every sealed file under `path`, sorted."""
    for name, file in plain_files(path, max_bytes=max_bytes).items():
        # A killed `seal` leaves its temporary file behind.
        if name not in _UNSEALED and not fnmatchcase(name, f".{CONTRACT_FILE}.*partial"):
            yield name, file_digest(file)


def file_digest(file: Path) -> str:
    """Return the SHA-256 of `file`, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
