"""Which languages a comment is scored in.

Invariant: a comment gets a score unless each of its languages, declared or identified, is one that the model
wasn't evaluated for and the rules refuse that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from toxic_core.languages import UNDETERMINED
from toxic_inference.http.backend import PerspectiveRules
from toxic_model.identification import has_words


@dataclass(frozen=True, slots=True)
class Languages:
    """The languages of a comment.

    Attributes:
        scored: the ones that it is scored in, in the caller's order; the answer's `languages`.
        refused: the ones that the model wasn't evaluated for, if there are no others and the rules refuse
            them.
        unevaluated: the same, if the rules score them.
        calibration: the language whose calibration is used; None for the one of any language.
    """

    scored: tuple[str, ...]
    refused: tuple[str, ...] = ()
    unevaluated: tuple[str, ...] = ()
    calibration: str | None = None


def choose_languages(
    declared: Sequence[str], identified: str, *, text: str, supported: Sequence[str], rules: PerspectiveRules
) -> Languages:
    """Return the languages of a comment.

    Args:
        declared: by the request.
        identified: from the text, or `und`; of a text without words, the default language.
        text: the comment.
        supported: the languages that the model was evaluated for.
        rules: what to do with others.
    """
    found = tuple(declared) or (identified,)
    if not declared and not has_words(text):
        return Languages(found, calibration=identified if identified in supported else None)
    if scored := tuple(language for language in found if language in supported):
        # One text has one calibration; with several languages it is the one for any language.
        return Languages(scored, calibration=scored[0] if len(scored) == 1 else None)
    if rules.score_any_language:
        return Languages(found, unevaluated=found)
    return Languages(found, refused=found)


def detected(text: str, identified: str) -> list[str]:
    """Return an answer's `detectedLanguages`; a text without words has `und`."""
    return [identified if has_words(text) else UNDETERMINED]
