"""The nouns of the serving core and the seams between them.

Owns the protocols that adapters implement and doors call. A `Source` says which versions are wanted, a
`Loader` makes one servable, a `Scorer` is what a door sees of it all.

Invariant: a servable is named by version *and* fingerprint. A registry that was wiped hands out version 1
again; the fingerprint keeps a new version 1 from being answered by the old one's files.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.tokens import AlignedText, EncodedBatch, Int32Array, WindowedText

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, order=True)
class ServableId:
    """Names one servable.

    Attributes:
        version: as the registry or the folder calls it, such as "3".
        fingerprint: tells two artifacts apart that were given the same version.
    """

    version: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class AspiredVersion:
    """A version that should be served, and under which aliases."""

    id: ServableId
    aliases: frozenset[str]


class Source(Protocol):
    """Says which versions are wanted. Holds no state; may be called from any one thread at a time."""

    def aspired(self) -> tuple[AspiredVersion, ...]:
        """Return the *whole* wanted set, most important first; what is left out is not wanted.

        Blocks: call it off the event loop.

        Raises:
            RegistryUnavailableError: it can't be known now. Never answered by an empty set.
        """
        ...


class Encoder(Protocol):
    """From texts to token ids. Thread-safe; `toxic_core.tokens.Tokeniser` is one."""

    def encode_windows(self, texts: Sequence[str], *, most: int) -> Sequence[WindowedText]:
        """Return each text's ids, in as many windows as it takes, up to `most`."""
        ...

    def encode_aligned(self, text: str, *, most: int) -> AlignedText:
        """Return one text's windows, and which of its words each token belongs to."""
        ...


class Servable(Protocol):
    """A loaded model version."""

    @property
    def contract(self) -> Contract:
        """What the version's bundle says of itself."""
        ...

    @property
    def encoder(self) -> Encoder:
        """The version's own tokenizer."""
        ...

    @property
    def runtime(self) -> str:
        """What computes it, and in what precision, such as `openvino-int8`."""
        ...

    @property
    def side_by_side(self) -> bool:
        """Whether several worker threads may call `infer` at once, none of them with `alone`."""
        ...

    def infer(self, batch: EncodedBatch, *, alone: bool = True) -> Float32Array:
        """Return raw scores, float32 [batch, labels]. Blocks.

        Args:
            batch: token ids and mask.
            alone: whether no other batch runs at the same time, so that this one may have all processors.

        Raises:
            InvalidTensorError: the model refuses these inputs.
        """
        ...

    def close(self) -> None:
        """Free what the version holds. Called once, when nothing uses it any more."""
        ...


class Loader(Protocol):
    """Makes servables."""

    def load(self, servable_id: ServableId) -> Servable:
        """Return the version, verified and warmed up. Blocks for seconds: call it off the event loop.

        Raises:
            ToxicError: the version can't be served; its message is shown to the operator.
        """
        ...


class RouteMemory(Protocol):
    """Remembers across restarts what was last served, for a start without the registry."""

    def recall(self) -> tuple[AspiredVersion, ...]:
        """Return what was remembered, or nothing. Blocks."""
        ...

    def remember(self, served: tuple[AspiredVersion, ...]) -> None:
        """Replace what is remembered. Blocks for one small write."""
        ...


class Lane(StrEnum):
    """Which traffic a text belongs to; interactive goes before bulk."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of model input.

    Attributes:
        ids: token ids, int32 [tokens].
        mask: attention mask, int32 [tokens]; None where every token counts.
    """

    ids: Int32Array
    mask: Int32Array | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Which version a caller asks for: a version, else an alias, else the default alias's."""

    version: str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a caller's texts are scored.

    Attributes:
        timeout_seconds: counted from the session's beginning; what hasn't begun to be computed by then never
            is. None for as long as it takes.
        store: whether scores may be kept for the next time the same text comes, and taken from there.
    """

    timeout_seconds: float | None = None
    store: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """A text to score, and its language where the caller says it (ISO 639-1)."""

    content: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class TextScore:
    """What one text got.

    Attributes:
        scores: calibrated, in the contract's label order; of a long text, the highest over its windows.
        decisions: whether each score reaches its operating threshold.
        tokens: how many tokens were read, special tokens included.
        truncated: whether the text was longer than the most windows hold, so that its end wasn't read.
        windows: how many overlapping windows the text was read in; 1 where the model reads it at once.
    """

    scores: tuple[float, ...]
    decisions: tuple[bool, ...]
    tokens: int
    truncated: bool
    windows: int = 1


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, and what it did to the scores.

    Attributes:
        begin: its first character in the text as the caller sent it, counted in code points.
        end: one past its last character.
        influence: by how much each calibrated score falls without it, in the contract's label order, from
            -1 to 1; negative where it lowers the score.
    """

    begin: int
    end: int
    influence: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one text got, and why.

    Attributes:
        score: as for any text.
        spans: its words, in order, or groups of neighbouring words where there are too many to try each.
    """

    score: TextScore
    spans: tuple[Span, ...]


class Session(Protocol):
    """One version, held for as long as a caller needs it to stay the same."""

    @property
    def version(self) -> str:
        """The version that answers."""
        ...

    @property
    def contract(self) -> Contract:
        """The version's contract."""
        ...

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        """Score `texts`, in order.

        Raises:
            OverloadedError: the queue is full (interactive only; bulk waits its turn).
            DeadlineExceededError: the session's time ran out.
            InferenceError: the model failed.
        """
        ...

    async def explain(self, text: Text, *, lane: Lane) -> Explanation:
        """Score a text, and say which of its words drove each score; costs up to some seventy passes.

        Raises:
            OverloadedError: the queue is full.
            DeadlineExceededError: the session's time ran out.
            InferenceError: the model failed.
        """
        ...

    async def infer(self, rows: Sequence[Row], *, lane: Lane) -> Float32Array:
        """Return the raw scores of token ids, float32 [rows, labels].

        Raises:
            InvalidTensorError: the model refuses these rows.
            OverloadedError: the queue is full.
        """
        ...

    async def infer_texts(self, texts: Sequence[str], *, lane: Lane) -> Float32Array:
        """Return the raw, uncalibrated scores of `texts`, float32 [texts, labels]; raises as `score`."""
        ...


class Scorer(Protocol):
    """What a door needs of the core to score."""

    def session(self, target: Target, terms: Terms = ...) -> AbstractContextManager[Session]:
        """Hold the version that `target` names, on the given terms; no limit and the cache by default.

        Raises:
            UnknownModelError: there is no such version or alias.
            NoVersionReadyError: it isn't available yet.
        """
        ...
