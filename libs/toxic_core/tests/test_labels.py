"""Names that others rely on."""

import pytest
from pydantic import TypeAdapter, ValidationError

from toxic_core.labels import KNOWN_LABELS, LABELS, LabelName, perspective_attribute
from toxic_core.languages import ANY_LANGUAGE, KNOWN_LANGUAGES, LANGUAGES, UNDETERMINED


def test_labels_are_the_jigsaw_columns_in_their_order() -> None:
    """The order is that of the model's output and of the Jigsaw files."""
    assert LABELS == ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def test_the_labels_of_training_are_known() -> None:
    """Every label that training uses has its facts, and no name or attribute occurs twice."""
    names = [label.name for label in KNOWN_LABELS]
    assert set(LABELS) <= set(names)
    assert len(set(names)) == len({label.perspective for label in KNOWN_LABELS}) == len(KNOWN_LABELS)
    assert all(label.description for label in KNOWN_LABELS)


def test_each_label_has_its_perspective_attribute() -> None:
    """Known labels answer the attributes that Perspective's clients request; others their upper-case name."""
    assert [perspective_attribute(label) for label in (*LABELS, "sexual_explicit", "spam")] == [
        "TOXICITY",
        "SEVERE_TOXICITY",
        "PROFANITY",
        "THREAT",
        "INSULT",
        "IDENTITY_ATTACK",
        "SEXUALLY_EXPLICIT",
        "SPAM",
    ]


@pytest.mark.parametrize("name", ["", "Toxic", "1st", "_toxic", "identity-hate", "a b", "a.b", "a" * 65])
def test_a_name_that_is_no_identifier_is_refused(name: str) -> None:
    """A label's name is a column's name, part of a figure's name and a metric's label: it stays plain."""
    with pytest.raises(ValidationError):
        TypeAdapter(LabelName).validate_python(name)


def test_languages_are_known_codes() -> None:
    """Supported languages have ISO 639-1 codes, none of which is the key for any language."""
    assert set(LANGUAGES) < KNOWN_LANGUAGES - {UNDETERMINED}
    assert ANY_LANGUAGE not in KNOWN_LANGUAGES
