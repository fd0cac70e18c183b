import asyncio

import pytest

from toxic_inference.serving.slots import Slots

pytestmark = pytest.mark.anyio


async def test_slots_are_given_in_the_order_of_asking() -> None:
    """Who wants all of them isn't overtaken for ever by those who want one."""
    slots = Slots(2)
    first, second = await slots.take(1), await slots.take(1)
    all_of_them, one = (asyncio.ensure_future(slots.take(number)) for number in (2, 1))
    await asyncio.sleep(0)
    first.end()
    await asyncio.sleep(0)
    assert not all_of_them.done()
    assert not one.done()
    second.end()
    turn = await all_of_them
    assert turn.whole
    assert not one.done()
    turn.end()
    assert (await one).share == 0.5


async def test_a_turn_widens_only_where_nobody_else_has_a_slot() -> None:
    """Then it has the whole machine, and gives all of it back."""
    slots = Slots(2)
    first, second = await slots.take(1), await slots.take(1)
    second.widen()
    assert second.share == 0.5
    first.end()
    second.widen()
    assert second.share == 1
    waiting = asyncio.ensure_future(slots.take(2))
    await asyncio.sleep(0)
    assert not waiting.done()
    second.end()
    assert (await waiting).whole


async def test_a_turn_never_widens_past_who_waits() -> None:
    """Who wants the whole machine would wait for as long as others come."""
    slots = Slots(2)
    first, second = await slots.take(1), await slots.take(1)
    waiting = asyncio.ensure_future(slots.take(2))
    await asyncio.sleep(0)
    first.end()
    second.widen()
    assert second.share == 0.5
    second.end()
    assert (await waiting).whole


async def test_who_gives_up_waiting_takes_nothing_along() -> None:
    """Neither before its turn came, nor in the moment when it did."""
    slots = Slots(2)
    held = await slots.take(2)
    before, then, patient = (asyncio.ensure_future(slots.take(number)) for number in (2, 2, 2))
    await asyncio.sleep(0)
    before.cancel()
    held.end()
    then.cancel()
    turn = await patient
    assert turn.whole
    assert before.cancelled()
    assert then.cancelled()
    turn.end()
    assert (await slots.take(2)).whole
