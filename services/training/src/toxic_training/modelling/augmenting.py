"""Changes case, punctuation and spelling of training comments, as people write them.

What normalisation undoes (`toxic_core.undisguise`) needs no example here.
"""

from toxic_training.data.sample.dice import Dice
from toxic_training.data.sample.disguise import mistyped, starred

_LETTERS_A_TYPO = 30


def augmented(texts: list[str], *, share: float, seed: int) -> list[str]:
    """Return `texts`, this share of them changed; the same for the same seed."""
    dice = Dice(f"{seed}/augmenting")
    return [_changed(text, dice) if dice.chance(share) else text for text in texts]


def _changed(text: str, dice: Dice) -> str:
    """Return `text` in capitals or small letters, without its last mark, with a starred word, or mistyped."""
    match dice.below(5):
        case 0:
            return text.upper()
        case 1:
            return text.lower()
        case 2:
            return text.rstrip(".!?… ") or text
        case 3:
            words = text.split(" ")
            at = dice.below(len(words))  # an empty one, between two spaces, stays
            return " ".join([*words[:at], starred(words[at]), *words[at + 1 :]])
    for _ in range(max(1, len(text) // _LETTERS_A_TYPO)):
        text = mistyped(text, dice=dice)
    return text
