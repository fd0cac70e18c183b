"""Scores and decisions for a table of comments, as serving gives them.

Invariant: a row's scores depend on its text and language alone, so a table may be scored in any blocks, by
any number of workers; rows keep their order.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.contract.calibration import calibrate
from toxic_core.errors import InvalidDataError
from toxic_core.packing import length_groups, pad_to_step
from toxic_core.text import normalise
from toxic_core.tokens import EncodedBatch, Tokeniser

TEXT_COLUMNS = ("comment_text", "content", "text")
LANGUAGE_COLUMNS = ("lang", "language")
MODEL_VERSION = "model_version"
ERROR = "error"
NO_TEXT = "has no text to score"

Float32Array = NDArray[np.float32]


class Servable(Protocol):
    """A loaded model version."""

    @property
    def contract(self) -> Contract:
        """What the version's bundle says of itself."""
        ...

    @property
    def tokeniser(self) -> Tokeniser:
        """The version's own path from texts to token ids."""
        ...

    @property
    def streams(self) -> int:
        """How many batches it computes at a time."""
        ...

    def infer(self, batch: EncodedBatch) -> Float32Array:
        """Return raw scores, float32 [batch, labels]; from as many threads as there are streams."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """How texts are read.

    Attributes:
        batch_tokens: the most tokens, padding included, that are scored at once.
        windows: the most windows that a long text is read in; the highest score counts, as in serving.
        overlap: tokens that neighbouring windows share.
    """

    batch_tokens: int
    windows: int
    overlap: int


@dataclass(frozen=True, slots=True)
class ScoredTable:
    """A table with its scores.

    Attributes:
        table: the input's columns, then `score_<label>`, `decision_<label>`, `model_version` and `error`.
        rejected: rows that have an error instead of scores.
    """

    table: pa.Table
    rejected: int


@dataclass(frozen=True, slots=True)
class TableScorer:
    """Scores tables by one version.

    Attributes:
        servable: the version.
        version: what it is called.
        reading: how texts are read.
    """

    servable: Servable
    version: str
    reading: Reading

    def score(self, table: pa.Table) -> ScoredTable:
        """Return `table` with scores and decisions; a row without a text gets an error instead.

        Raises:
            InvalidDataError: there is no column of texts, or one has the name of an output column.
        """
        check_columns(table.column_names, self.servable.contract)
        texts = [normalise(text) if isinstance(text, str) else "" for text in _texts(table)]
        rows = np.flatnonzero([bool(text) for text in texts])
        languages = _languages(table)
        contract = self.servable.contract
        known = [languages[row] for row in rows]
        scores = calibrate(self._raw([texts[row] for row in rows]), languages=known, contract=contract)
        columns = dict(self._columns(scores, known, rows=rows, total=len(texts)))
        columns[MODEL_VERSION] = pa.array([self.version] * len(texts), pa.string())
        columns[ERROR] = pa.array(["" if text else NO_TEXT for text in texts], pa.string())
        for name, column in columns.items():
            table = table.append_column(name, column)
        return ScoredTable(table=table, rejected=len(texts) - len(rows))

    def _columns(
        self, scores: Float32Array, languages: Sequence[str], *, rows: NDArray[np.intp], total: int
    ) -> Iterator[tuple[str, pa.Array]]:
        missing = np.ones(total, dtype=bool)
        missing[rows] = False
        decisions: dict[str, pa.Array] = {}
        for index, label in enumerate(self.servable.contract.labels):
            spread = np.zeros(total, dtype=np.float32)
            spread[rows] = scores[:, index]
            yield f"score_{label}", pa.array(spread, mask=missing)
            thresholds = [self.servable.contract.threshold(label, language) for language in languages]
            decided = np.zeros(total, dtype=bool)
            decided[rows] = scores[:, index].astype(np.float64) >= np.array(thresholds, dtype=np.float64)
            decisions[f"decision_{label}"] = pa.array(decided, mask=missing)
        yield from decisions.items()

    def _raw(self, texts: Sequence[str]) -> Float32Array:
        """Return raw scores, float32 [texts, labels]: of a long text the highest over its windows."""
        tokeniser = self.servable.tokeniser
        read = tokeniser.encode_windows(texts, most=self.reading.windows)
        windows = [window for text in read for window in text.windows]
        scores = np.zeros((len(windows), len(self.servable.contract.labels)), dtype=np.float32)
        lengths = np.array([len(window) for window in windows], dtype=np.int32)

        def fill(group: NDArray[np.intp]) -> None:
            batch = pad_to_step([windows[index] for index in group], pad_id=tokeniser.pad_id)
            scores[group] = self.servable.infer(batch)

        # The longest texts, which are fewest to a batch, come first, so that the last batches end together.
        groups = reversed(list(length_groups(lengths, batch_tokens=self.reading.batch_tokens)))
        with ThreadPoolExecutor(self.servable.streams) as threads:
            for _ in threads.map(fill, groups):
                pass
        starts = np.cumsum([0, *(len(text.windows) for text in read)])[:-1]
        return np.maximum.reduceat(scores, starts) if read else scores


def check_columns(columns: Sequence[str], contract: Contract) -> None:
    """Refuse a table that can't be scored.

    Raises:
        InvalidDataError: it has no column of texts, or a column with the name of one that is written.
    """
    if not any(name in columns for name in TEXT_COLUMNS):
        raise InvalidDataError(
            f"The files need a column {', '.join(TEXT_COLUMNS)}; they have {', '.join(columns) or 'none'}."
        )
    written = {MODEL_VERSION, ERROR}
    written |= {f"{kind}_{label}" for label in contract.labels for kind in ("score", "decision")}
    if taken := sorted(written & set(columns)):
        raise InvalidDataError(
            f"The files already have a column {taken[0]}; rename it, or score the originals."
        )


def _texts(table: pa.Table) -> list[object]:
    name = next(name for name in TEXT_COLUMNS if name in table.column_names)
    texts: list[object] = table.column(name).to_pylist()
    return texts


def _languages(table: pa.Table) -> list[str]:
    """Return each row's ISO 639-1 code; empty where none is stated."""
    name = next((name for name in LANGUAGE_COLUMNS if name in table.column_names), None)
    if name is None:
        return [""] * table.num_rows
    return [_code(stated) for stated in table.column(name).to_pylist()]


def _code(stated: object) -> str:
    """Return the language of a tag such as `pt-BR` or `PT_br`."""
    return stated.strip().lower().replace("_", "-").partition("-")[0] if isinstance(stated, str) else ""
