"""The version that each alias routes to.

Invariant: an alias routes only to an available version. The default alias, once routed, never loses its
version because the source omits it: a registry without a champion is a mistake to repair, and no request to
stop serving.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from toxic_inference.serving.interfaces import AspiredVersion, ServableId


class AliasTable:
    """Maps aliases to servables.

    Args:
        default_alias: the alias of requests that name none.
    """

    def __init__(self, default_alias: str) -> None:
        self._default_alias = default_alias
        self._routes: dict[str, ServableId] = {}

    def get(self, alias: str) -> ServableId | None:
        """Return the servable that `alias` routes to."""
        return self._routes.get(alias)

    def aliases_of(self, servable_id: ServableId) -> tuple[str, ...]:
        """Return the aliases that route to a servable, sorted."""
        return tuple(sorted(alias for alias, routed in self._routes.items() if routed == servable_id))

    def follow(self, aspired: Sequence[AspiredVersion], *, available: AbstractSet[ServableId]) -> list[str]:
        """Move each alias whose aspired version is available; drop those without an aspired or available one.

        Returns:
            The aliases that moved or were dropped, the default one first.
        """
        before = dict(self._routes)
        wanted = {alias: version.id for version in aspired for alias in version.aliases}
        self._routes = {alias: routed for alias, routed in before.items() if routed in available}
        self._routes |= {alias: wish for alias, wish in wanted.items() if wish in available}
        for alias in self._routes.keys() - wanted.keys() - {self._default_alias}:
            del self._routes[alias]
        touched = before.keys() | self._routes.keys()
        return sorted((a for a in touched if before.get(a) != self._routes.get(a)), key=self._rank)

    def served(self) -> tuple[AspiredVersion, ...]:
        """Return the routed versions as an aspired set, the default alias's version first."""
        served = dict.fromkeys(self._routes[alias] for alias in sorted(self._routes, key=self._rank))
        return tuple(AspiredVersion(s, frozenset(self.aliases_of(s))) for s in served)

    def _rank(self, alias: str) -> tuple[bool, str]:
        return alias != self._default_alias, alias
