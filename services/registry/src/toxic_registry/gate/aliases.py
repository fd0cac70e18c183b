"""Which version is served: the registered model's name, its aliases, and how a client asks to move them.

Invariant: a client asks for `champion` alone. The registry moves `previous` to its old place in the same
transaction, so there is always a way back, or refuses and leaves both as they were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from toxic_core.errors import ToxicError, UnknownModelError

MODEL_NAME = "toxic-comments"


class Alias(StrEnum):
    """An alias of the registered model."""

    CHAMPION = "champion"
    """What is served."""
    CHALLENGER = "challenger"
    """The newest version that passed evaluation."""
    PREVIOUS = "previous"
    """The champion before this one."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version, as far as promotion and its history need it.

    Attributes:
        number: MLflow's version number.
        created_at: when it was registered.
        run_id: the training run that made it; empty where none did.
        tags: by name.
    """

    number: int
    created_at: datetime
    run_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class AliasStore(Protocol):
    """The registry, as far as promotion needs it. Every method may raise `RegistryUnavailableError`."""

    def aliases(self) -> Mapping[str, int]:
        """Return the version number behind every alias; empty where the model isn't registered."""
        ...

    def versions(self) -> Sequence[ModelVersion]:
        """Return every version, the newest first; empty where the model isn't registered."""
        ...

    def promote(self, number: int, request: "Request") -> None:
        """Ask for a version to become champion.

        Raises:
            PromotionRefusedError: the registry doesn't allow it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for a promotion, and why; for the ledger.

    Attributes:
        actor: the person's name; the registry's own sign-in goes before it.
        reason: why; may be empty.
        override: why the gate's reasons shall not count; empty to let them.
    """

    actor: str = ""
    reason: str = ""
    override: str = ""


class PromotionRefusedError(ToxicError):
    """The registry doesn't let this version become champion, or there is nothing to go back to."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion did.

    Attributes:
        champion: the version that is champion now.
        replaced: the one that was before; None where there was none.
    """

    champion: int
    replaced: int | None

    @property
    def changed(self) -> bool:
        """Whether the champion moved."""
        return self.champion != self.replaced


def promote(store: AliasStore, version_or_alias: str, request: Request | None = None) -> Promotion:
    """Make a version champion; asking for the present champion changes nothing.

    Args:
        store: the registry.
        version_or_alias: a version number or an alias.
        request: who asks, and why.

    Raises:
        UnknownModelError: no such version or alias.
        PromotionRefusedError: the registry refused.
    """
    aliases = store.aliases()
    number = _resolve(store, aliases, version_or_alias)
    promotion = Promotion(champion=number, replaced=aliases.get(Alias.CHAMPION))
    if promotion.changed:
        store.promote(number, request or Request())
    return promotion


def roll_back(store: AliasStore, request: Request | None = None) -> Promotion:
    """Make the version behind `previous` champion again; a second call undoes the first.

    Raises:
        PromotionRefusedError: there is no previous champion, or the registry refused.
    """
    if Alias.PREVIOUS not in store.aliases():
        raise PromotionRefusedError("There is no previous champion to go back to.")
    return promote(store, Alias.PREVIOUS, request)


def _resolve(store: AliasStore, aliases: Mapping[str, int], version_or_alias: str) -> int:
    if (number := aliases.get(version_or_alias)) is not None:
        return number
    numbers = sorted(version.number for version in store.versions())
    if version_or_alias.isdecimal() and int(version_or_alias) in numbers:
        return int(version_or_alias)
    if not numbers:
        raise UnknownModelError(f"{MODEL_NAME} has no version yet; train one first.")
    raise UnknownModelError(
        f"{MODEL_NAME} has no version or alias {version_or_alias!r}; "
        f"versions: {', '.join(map(str, numbers))}; aliases: {', '.join(sorted(aliases)) or 'none'}."
    )
