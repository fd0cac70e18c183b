"""The attributes of the Perspective API, and the labels that answer them."""

import re
from functools import lru_cache

from toxic_core.labels import LabelName, perspective_attribute
from toxic_inference.doors.perspective.problems import refusal

KNOWN_ATTRIBUTES = frozenset(
    """
    TOXICITY SEVERE_TOXICITY IDENTITY_ATTACK INSULT PROFANITY THREAT SEXUALLY_EXPLICIT FLIRTATION
    ATTACK_ON_AUTHOR ATTACK_ON_COMMENTER ATTACK_ON_PUBLISHER INCOHERENT INFLAMMATORY LIKELY_TO_REJECT OBSCENE
    OFF_TOPIC SPAM UNSUBSTANTIAL
    TOXICITY_FAST TOXICITY_IDENTITY_HATE TOXICITY_INSULT TOXICITY_OBSCENE TOXICITY_THREAT
    GENDER HEALTH_AGE_DISABILITY RELIGION RNE SEXUAL_ORIENTATION
    AFFINITY_EXPERIMENTAL COMPASSION_EXPERIMENTAL CONSTRUCTIVE_EXPERIMENTAL CURIOSITY_EXPERIMENTAL
    NUANCE_EXPERIMENTAL PERSONAL_STORY_EXPERIMENTAL REASONING_EXPERIMENTAL RESPECT_EXPERIMENTAL
    ALIENATION_EXPERIMENTAL FEARMONGERING_EXPERIMENTAL GENERALIZATION_EXPERIMENTAL MANIPULATION_EXPERIMENTAL
    MORAL_OUTRAGE_EXPERIMENTAL POWER_APPEAL_EXPERIMENTAL SCAPEGOATING_EXPERIMENTAL
    """.split()  # noqa: SIM905  easier to read than a list of them
)
"""Every attribute that Google had: production, experimental, the New York Times', the first release's, and
the families of bridging and persuasion."""

_SYNONYMS = {
    "OBSCENE": "PROFANITY",
    "TOXICITY_FAST": "TOXICITY",
    "TOXICITY_IDENTITY_HATE": "IDENTITY_ATTACK",
    "TOXICITY_INSULT": "INSULT",
    "TOXICITY_OBSCENE": "PROFANITY",
    "TOXICITY_THREAT": "THREAT",
}
"""Older names of attributes."""

_VERSION = re.compile(r"@[0-9]{1,3}\Z")
_EXPERIMENTAL = "_EXPERIMENTAL"


def bare(attribute: str) -> str:
    """Return an attribute without the version that clients may ask for, as in `TOXICITY@6`."""
    return _VERSION.sub("", attribute)


@lru_cache
def label_of(attribute: str, labels: tuple[LabelName, ...]) -> LabelName | None:
    """Return the label that answers an attribute; None if none does, but Google has the attribute.

    Raises:
        MalformedRequestError: Google never had it.
    """
    name = bare(attribute)
    stable = name.removesuffix(_EXPERIMENTAL)
    wanted = {name, stable, _SYNONYMS.get(stable, stable)}
    for label in labels:
        if perspective_attribute(label) in wanted:
            return label
    if KNOWN_ATTRIBUTES.isdisjoint({name, stable}):
        raise refusal(f"Unknown requested attribute: {attribute}")
    return None
