"""A promotion as the client sees it: which version is meant, and what changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toxic_core.errors import ToxicError, UnknownModelError


class PromotionRefusedError(ToxicError):
    """The registry refused the promotion, or there is no previous champion."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """The result of a promotion; `replaced` is the champion before, None if there was none."""

    model: str
    champion: int
    replaced: int | None

    def __str__(self) -> str:
        if self.champion == self.replaced:
            return f"{self.model} version {self.champion} is champion; its content is approved."
        if self.replaced is None:
            return f"champion: none -> {self.champion}"
        return (
            f"champion: {self.replaced} -> {self.champion}\n"
            f"previous: {self.replaced} (`toxic-registry rollback` makes it champion again)"
        )


def resolve(version_or_alias: str, *, model: str, numbers: Sequence[int], aliases: Mapping[str, int]) -> int:
    """Return the version number that a user means: a number is a version, whatever aliases are called.

    Raises:
        UnknownModelError: the model has no such version or alias.
    """
    is_number = version_or_alias.isascii() and version_or_alias.isdecimal()
    if is_number and int(version_or_alias) in numbers:
        return int(version_or_alias)
    if not is_number and (number := aliases.get(version_or_alias)) is not None:
        return number
    if not numbers:
        raise UnknownModelError(f"{model} has no version yet; train one first.")
    raise UnknownModelError(
        f"{model} has no version or alias {version_or_alias!r}; "
        f"versions: {', '.join(map(str, sorted(numbers)))}; aliases: {', '.join(sorted(aliases)) or 'none'}."
    )
