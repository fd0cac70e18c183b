"""Names that others rely on."""

from toxic_core.labels import LABELS, PERSPECTIVE_LABELS
from toxic_core.languages import ANY_LANGUAGE, LANGUAGES


def test_labels_are_the_jigsaw_columns_in_their_order() -> None:
    """The order is that of the model's output and of the Jigsaw files."""
    assert [str(label) for label in LABELS] == [
        "toxic",
        "severe_toxic",
        "obscene",
        "threat",
        "insult",
        "identity_hate",
    ]


def test_each_label_has_its_perspective_attribute() -> None:
    """The attributes are those that Perspective's clients request, one for each label and back."""
    assert [label.perspective_name for label in LABELS] == [
        "TOXICITY",
        "SEVERE_TOXICITY",
        "PROFANITY",
        "THREAT",
        "INSULT",
        "IDENTITY_ATTACK",
    ]
    assert [PERSPECTIVE_LABELS[label.perspective_name] for label in LABELS] == list(LABELS)


def test_languages_are_the_seven_of_the_data() -> None:
    """ISO 639-1 codes, none of which is the key for any language."""
    assert [str(language) for language in LANGUAGES] == ["en", "es", "fr", "it", "pt", "ru", "tr"]
    assert ANY_LANGUAGE not in LANGUAGES
