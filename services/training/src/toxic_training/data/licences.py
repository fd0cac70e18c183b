"""What a licence permits, by its name: the only code that reads such names."""

import re
from collections.abc import Iterable

SHARE_ALIKE = "share-alike"
"""Stands for every share-alike licence in `data.leave_out_licences`."""

_SHARE_ALIKE = re.compile(r"\bSA\b|GPL|\bODbL\b|share-?alike", re.IGNORECASE)
_EVALUATION_ONLY = "evaluation only"


def is_share_alike(licence: str) -> bool:
    """Return whether texts may be passed on only under the same licence, or under this or another one."""
    return _SHARE_ALIKE.search(licence) is not None


def is_for_evaluation_only(licence: str) -> bool:
    """Return whether the rows may only be measured."""
    return _EVALUATION_ONLY in licence.casefold()


def is_left_out(licence: str, parts: Iterable[str]) -> bool:
    """Return whether the licence contains one of these parts, in any case, or `share-alike` stands for it."""
    return any(
        part.casefold() in licence.casefold() or (part == SHARE_ALIKE and is_share_alike(licence))
        for part in parts
    )
