from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from toxic_core.errors import UnknownModelError
from toxic_registry.gate.aliases import (
    Alias,
    ModelVersion,
    Promotion,
    PromotionRefusedError,
    Request,
    promote,
    roll_back,
)

MADE = datetime(2026, 1, 1, tzinfo=UTC)


class MemoryStore:
    """An `AliasStore` in memory; `refuse` makes it turn a champion down."""

    def __init__(self, numbers: Sequence[int], aliases: Mapping[str, int] | None = None) -> None:
        self.numbers = numbers
        self.alias_table = dict(aliases or {})
        self.requests: list[Request] = []
        self.refuse = False

    def aliases(self) -> Mapping[str, int]:
        """Return the table."""
        return dict(self.alias_table)

    def versions(self) -> Sequence[ModelVersion]:
        """Return every version."""
        return [ModelVersion(number=number, created_at=MADE) for number in self.numbers]

    def promote(self, number: int, request: Request) -> None:
        """Move the champion and what follows it, unless refused."""
        if self.refuse:
            raise PromotionRefusedError("below the floor")
        self.requests.append(request)
        if Alias.CHAMPION in self.alias_table:
            self.alias_table[Alias.PREVIOUS] = self.alias_table[Alias.CHAMPION]
        self.alias_table[Alias.CHAMPION] = number


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ({}, "2", {"champion": 2}),
        ({"champion": 1}, "2", {"champion": 2, "previous": 1}),
        ({"champion": 2, "previous": 1}, "3", {"champion": 3, "previous": 2}),
        ({"champion": 1, "challenger": 3}, "challenger", {"champion": 3, "challenger": 3, "previous": 1}),
        ({"champion": 2, "previous": 1}, "2", {"champion": 2, "previous": 1}),
        ({"champion": 2, "previous": 1}, "champion", {"champion": 2, "previous": 1}),
    ],
)
def test_promotion_moves_previous_to_the_old_champion(
    before: dict[str, int], wanted: str, after: dict[str, int]
) -> None:
    """The old champion stays within reach, and promoting the present one moves nothing."""
    store = MemoryStore([1, 2, 3], before)
    promotion = promote(store, wanted)
    assert store.alias_table == after
    assert promotion == Promotion(champion=after["champion"], replaced=before.get("champion"))


@pytest.mark.parametrize("before", [{}, {"champion": 1}, {"champion": 2, "previous": 1}])
def test_refused_promotion_leaves_every_alias(before: dict[str, int]) -> None:
    """A champion that the registry turns down doesn't cost the way back."""
    store = MemoryStore([1, 2, 3], before)
    store.refuse = True
    with pytest.raises(PromotionRefusedError, match="below the floor"):
        promote(store, "3")
    assert store.alias_table == before


@pytest.mark.parametrize("wanted", ["4", "challenger", "²", "-1", ""])
def test_unknown_version_is_refused_by_name(wanted: str) -> None:
    """The message names what there is."""
    store = MemoryStore([1, 2], {"champion": 1})
    with pytest.raises(UnknownModelError, match=r"versions: 1, 2; aliases: champion"):
        promote(store, wanted)


def test_model_without_versions_asks_for_training() -> None:
    """An empty registry isn't a wrong number."""
    with pytest.raises(UnknownModelError, match="no version yet"):
        promote(MemoryStore([]), "1")


def test_registry_hears_who_asks_and_why() -> None:
    """The ledger is the registry's, so the request goes there as it was made."""
    store = MemoryStore([1], {})
    request = Request(actor="zoe", reason="first")
    promote(store, "1", request)
    assert store.requests == [request]


def test_rolling_back_twice_ends_where_it_began() -> None:
    """A roll-back is a change of champion like any other, so it can be undone."""
    store = MemoryStore([1, 2], {"champion": 2, "previous": 1})
    assert roll_back(store) == Promotion(champion=1, replaced=2)
    assert store.alias_table == {"champion": 1, "previous": 2}
    roll_back(store)
    assert store.alias_table == {"champion": 2, "previous": 1}


def test_rolling_back_without_a_previous_champion_is_refused() -> None:
    """There is nothing to go back to after the first promotion."""
    with pytest.raises(PromotionRefusedError, match="no previous champion"):
        roll_back(MemoryStore([1], {"champion": 1}))
