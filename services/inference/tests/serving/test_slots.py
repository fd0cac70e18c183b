import pytest

from toxic_inference.serving.batching.slots import Slots, Turn


@pytest.fixture
def slots() -> Slots:
    """Two of them."""
    return Slots(2)


def ask(slots: Slots, number: int) -> list[Turn]:
    """Ask for so many; the list holds the turn once it has come."""
    turns: list[Turn] = []
    slots.ask(number, turns.append)
    return turns


def test_slots_are_given_in_the_order_of_asking(slots: Slots) -> None:
    """Who wants all of them isn't overtaken for ever by those who want one."""
    (first,), (second,) = ask(slots, 1), ask(slots, 1)
    all_of_them, one = ask(slots, 2), ask(slots, 1)
    first.end()
    assert not all_of_them
    assert not one
    second.end()
    (turn,) = all_of_them
    assert turn.whole
    assert not one
    turn.end()
    assert one[0].share == 0.5


def test_a_turn_widens_only_where_nobody_else_has_a_slot(slots: Slots) -> None:
    """Then it has the whole machine, and gives all of it back."""
    (first,), (second,) = ask(slots, 1), ask(slots, 1)
    second.widen()
    assert second.share == 0.5
    first.end()
    second.widen()
    assert second.share == 1
    waiting = ask(slots, 2)
    assert not waiting
    second.end()
    assert waiting[0].whole


def test_a_turn_never_widens_past_who_waits(slots: Slots) -> None:
    """Who wants the whole machine would wait for as long as others come."""
    (first,), (second,) = ask(slots, 1), ask(slots, 1)
    waiting = ask(slots, 2)
    first.end()
    second.widen()
    assert second.share == 0.5
    second.end()
    assert waiting[0].whole


def test_who_has_no_use_for_a_turn_any_more_passes_it_on(slots: Slots) -> None:
    """Whoever asked may have nothing left to compute when the turn comes."""
    (held,) = ask(slots, 2)
    slots.ask(2, Turn.end)
    patient = ask(slots, 2)
    held.end()
    assert patient[0].whole
