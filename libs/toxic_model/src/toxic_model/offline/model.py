"""`load()`: the shipped model, or another bundle, in this process, with the scores that the service gives.

It downloads no file: the shipped weights are the package `toxic-model-weights`, an extra of this one.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from toxic_core.errors import ConfigurationError, InvalidTextError
from toxic_core.languages import LANGUAGES, Language, primary_language
from toxic_core.text import is_blank
from toxic_model.identification import identify_language, load_identifiers
from toxic_model.loaded import LoadedModel
from toxic_model.opening import open_model
from toxic_model.registered import open_folder
from toxic_model.scoring import AS_SERVED

THREADS = 2
"""As many threads as the service uses, unless a caller sets another number."""

_WEIGHTS = "toxic_model_weights"


@dataclass(frozen=True, slots=True)
class TextScores:
    """The scores of one text.

    Attributes:
        scores: calibrated score from 0 to 1, by label.
        decisions: whether each score reaches its operating threshold, by label.
        language: ISO 639-1 code, stated or identified; `und` if it is none that can be identified.
        tokens: number of tokens read.
        low_confidence: whether the vocabulary lacks most of the text, so that it gets no decision.
    """

    scores: dict[str, float]
    decisions: dict[str, bool]
    language: str
    tokens: int
    low_confidence: bool


@dataclass(frozen=True, slots=True)
class Model:
    """A model in this process. One thread at a time may score.

    Attributes:
        loaded: the opened bundle.
        version: the beginning of the SHA-256 of the bundle's contract.
        default_language: of texts that are too short to identify their language.
    """

    loaded: LoadedModel
    version: str
    default_language: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the scores, in order."""
        return tuple(map(str, self.loaded.contract.labels))

    def score(self, texts: Sequence[str], languages: Sequence[str | None] | None = None) -> list[TextScores]:
        """Score texts, as `POST /predict` does. Blocks.

        Args:
            texts: a list of any length; more than a few at once are scored faster.
            languages: code of each text's language, such as `pt` or `pt-BR`; None to identify it.

        Raises:
            InvalidTextError: `texts` isn't a list of texts, one of them is empty, or `languages` has another
                length or something else than codes.
        """
        if isinstance(texts, str):
            raise InvalidTextError("score takes a list of texts: model.score([text]).")
        for index, text in enumerate(texts):
            if not isinstance(text, str) or is_blank(text):
                raise InvalidTextError(f"texts[{index}] is empty or no string; leave it out.")
        stated = [None] * len(texts) if languages is None else languages
        if len(stated) != len(texts):
            raise InvalidTextError(f"{len(texts)} texts have {len(stated)} languages; give one per text.")
        known = []
        for code, text in zip(stated, texts, strict=True):
            language = primary_language(code) if code else identify_language(text, self.default_language)
            if language is None:
                raise InvalidTextError(f"{code!r} is no language code; give one such as en, or None.")
            known.append(language)
        found = self.loaded.score(texts, known, options=AS_SERVED)
        marks = (found.tokens.tolist(), found.low_confidence.tolist())
        rows = zip(found.scores.tolist(), found.decisions.tolist(), known, *marks, strict=True)
        return [
            TextScores(
                scores=dict(zip(self.labels, scores, strict=True)),
                decisions=dict(zip(self.labels, decisions, strict=True)),
                language=language,
                tokens=tokens,
                low_confidence=unread,
            )
            for scores, decisions, language, tokens, unread in rows
        ]


def load(
    folder: str | Path | None = None,
    *,
    threads: int = THREADS,
    default_language: str = Language.ENGLISH,
    precision: Literal["auto", "float32"] = "float32",
) -> Model:
    """Load a model for this process. Takes a second or two, and needs no network.

    Args:
        folder: of a bundle; None for the shipped weights.
        threads: the most threads that compute; 0 for as many as the process may use.
        default_language: of texts that are too short to identify their language.
        precision: `float32` gives the same scores on every machine. `auto` chooses by the stopwatch, as the
            service does: up to twice as fast, but scores may differ by hundredths.

    Raises:
        ConfigurationError: the shipped weights aren't installed, or the default language isn't known.
        ContractError: the folder holds no bundle, or a damaged one.
        WarmupError: this machine doesn't compute the scores that were recorded in training, for the shorter
            half of the warm-up examples.
    """
    if default_language not in LANGUAGES:
        raise ConfigurationError(
            f"The default language {default_language!r} isn't known; choose one of {', '.join(LANGUAGES)}."
        )
    if threads:
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))  # which the tokenizer reads once
    opened = open_folder(shipped_bundle() if folder is None else Path(folder))
    with ThreadPoolExecutor(1) as beside:
        identifiers = beside.submit(load_identifiers)
        loaded = open_model(
            opened.bundle, threads=threads, overlap=AS_SERVED.overlap, precision=precision, start="quick"
        )
        identifiers.result()
    return Model(loaded, opened.version, default_language)


def shipped_bundle() -> Path:
    """Return the folder of the shipped weights.

    Raises:
        ConfigurationError: they aren't installed.
    """
    weights = find_spec(_WEIGHTS)
    if weights is not None and weights.origin is not None:
        folder = Path(weights.origin).parent / "bundle"
        if folder.is_dir():  # which an editable installation lacks
            return folder
    raise ConfigurationError(
        "The shipped weights aren't installed. Install them in a checkout by make install, or elsewhere by "
        "make wheels && pip install --find-links dist 'toxic-model[weights]'; or name the folder of a bundle."
    )
