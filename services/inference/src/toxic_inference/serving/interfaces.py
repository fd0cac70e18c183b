"""The nouns of the serving core, and the Protocols between it and the doors and adapters.

Invariant: a servable is named by version *and* fingerprint. A registry that was wiped issues version 1 again;
the fingerprint keeps a new version 1 from being answered by the old one's files.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from toxic_core.contract import Contract
from toxic_core.contract.scales import Scales
from toxic_core.tokens import Int32Array
from toxic_model.loaded import Float32Array, LoadedModel


@dataclass(frozen=True, slots=True, order=True)
class ServableId:
    """Names one servable.

    Attributes:
        version: its name in the registry or the folder, such as "3".
        fingerprint: differs between two artifacts that were given the same version.
        digest: SHA-256 of the approved `contract.json`; empty if the ledger has none; None if the source
            needs no approval.
    """

    version: str
    fingerprint: str
    digest: str | None = None

    @property
    def approved(self) -> bool | None:
        """Whether the ledger has the content's digest; None if no approval is needed."""
        return None if self.digest is None else bool(self.digest)


@dataclass(frozen=True, slots=True)
class AspiredVersion:
    """A version that should be served, and under which aliases."""

    id: ServableId
    aliases: frozenset[str]


class Source(Protocol):
    """Lists the wanted versions. Holds no state; may be called from any one thread at a time."""

    def aspired(self) -> tuple[AspiredVersion, ...]:
        """Return the *whole* wanted set, most important first; a version that isn't in it is unloaded.

        Blocks: call it off the event loop.

        Raises:
            RegistryUnavailableError: the set can't be determined now. An empty set never stands for that.
        """
        ...


LoadVersion = Callable[[ServableId], LoadedModel]
"""Returns a version, verified and warmed up. Blocks for seconds: call it off the event loop.

Raises `ToxicError` if the version can't be served; its message is shown to the operator.
"""


class Lane(StrEnum):
    """The kind of traffic that a text belongs to; interactive goes before bulk."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of model input.

    Attributes:
        ids: token ids, int32 [tokens].
        mask: attention mask, int32 [tokens]; None if every token counts.
    """

    ids: Int32Array
    mask: Int32Array | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The version that a caller asks for: by number, else by alias, else the default alias's."""

    version: str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """The conditions under which a caller's texts are scored.

    Attributes:
        timeout_seconds: counted from the session's beginning; a text whose computation hasn't begun by then
            is never computed. None for no limit.
        store: whether scores may be cached, and taken from the cache, and the texts kept for the review.
        caller: who shares the service with others: the name of a key, or an address.
    """

    timeout_seconds: float | None = None
    store: bool = True
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A text to score.

    Attributes:
        content: the text.
        language: ISO 639-1 code, if it is stated or identified.
        confidence: of an identified language, from 0 to 1; None if it was stated or assumed.
        whole: whether it is all of what was sent; not a sentence of it.
    """

    content: str
    language: str | None = None
    confidence: float | None = field(default=None, compare=False)
    whole: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class RawScore:
    """The model's scores of one text.

    Attributes:
        scores: uncalibrated, float32 [labels]; the highest over the windows.
        tokens: how many were read.
        windows: how many windows they were read in.
        truncated: whether the text continues after the last window.
        low_confidence: whether the vocabulary lacks most of the text.
    """

    scores: Float32Array
    tokens: int
    windows: int
    truncated: bool
    low_confidence: bool = False


@dataclass(frozen=True, slots=True)
class TextScore:
    """The scores of one text.

    Attributes:
        scores: calibrated, in the contract's label order; of a long text, the highest over its windows.
        decisions: whether each score reaches its operating threshold.
        tokens: how many tokens were read, special tokens included.
        truncated: whether the text is longer than the most windows, so that its end wasn't read.
        windows: how many overlapping windows the text was read in; 1 if it fits into one.
        decided_by: with a policy, what decided each label: `model` or `list`.
        low_confidence: whether the vocabulary lacks most of the text, so that it gets no decision.
    """

    scores: tuple[float, ...]
    decisions: tuple[bool, ...]
    tokens: int
    truncated: bool
    windows: int = 1
    decided_by: tuple[str, ...] = ()
    low_confidence: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, and its influence on the scores.

    Attributes:
        begin: its first character in the text as the caller sent it, counted in code points.
        end: one past its last character.
        influence: how much each calibrated score falls without it, in the contract's label order, from -1 to
            1; negative if it lowers the score.
    """

    begin: int
    end: int
    influence: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The scores of one text, and the words that drove them.

    Attributes:
        score: the text's scores.
        spans: its words, in order, or groups of neighbouring words if there are too many to try each.
    """

    score: TextScore
    spans: tuple[Span, ...]


class Session(Protocol):
    """One version, leased for as long as a caller needs it to stay the same."""

    @property
    def version(self) -> str:
        """The version that answers."""
        ...

    @property
    def contract(self) -> Contract:
        """The version's contract."""
        ...

    @property
    def scales(self) -> Scales | None:
        """The version's scales; None if it has none."""
        ...

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        """Score `texts`, in order.

        Raises:
            OverloadedError: the queue is full (interactive only; bulk waits its turn).
            DeadlineExceededError: the session's time ran out.
            InferenceError: the model failed.
            NoVersionReadyError: the version was unloaded, since the session lasted too long.
        """
        ...

    async def explain(self, text: Text, *, lane: Lane) -> Explanation:
        """Score a text and find the words that drove each score, in about seventy passes at most.

        Raises:
            OverloadedError: the queue is full.
            DeadlineExceededError: the session's time ran out.
            InferenceError: the model failed.
            NoVersionReadyError: the version was unloaded, since the session lasted too long.
        """
        ...

    async def infer(self, rows: Sequence[Row], *, lane: Lane) -> Float32Array:
        """Return the raw scores of token ids, float32 [rows, labels].

        Raises:
            InvalidTensorError: the model refuses these rows.
            OverloadedError: the queue is full.
        """
        ...

    async def infer_texts(self, texts: Sequence[str], *, lane: Lane) -> Sequence[RawScore]:
        """Return the raw, uncalibrated scores of `texts`, in order; raises as `score`."""
        ...


class Scorer(Protocol):
    """Opens sessions; what doors need of the core to score."""

    def session(self, target: Target, terms: Terms = ...) -> AbstractContextManager[Session]:
        """Lease the version that `target` names; by default without a time limit, and with the cache.

        Raises:
            UnknownModelError: there is no such version or alias.
            NoVersionReadyError: it isn't available yet.
        """
        ...
