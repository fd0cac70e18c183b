import pytest

from toxic_inference.adapters.lingua_detector import identify_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Have a lovely day, my friend.", "en"),
        ("Que tengas un buen día, amigo mío.", "es"),
        ("Passe une bonne journée, mon ami.", "fr"),
        ("Ti auguro una buona giornata, amico mio.", "it"),
        ("Tenha um bom dia, meu amigo. Você é gentil.", "pt"),
        ("Хорошего тебе дня, друг мой.", "ru"),
        ("İyi günler dilerim dostum.", "tr"),
        ("12345 👍", None),
        ("bonjour à tous, mes amis " * 1_000, "fr"),
    ],
)
def test_a_text_s_language_is_told(text: str, language: str | None) -> None:
    """One of the seven, or none without letters."""
    assert identify_language(text) == language
