"""The rows that wait for one servable, in two lanes.

Invariant: within a lane the oldest row is in the next batch. Interactive rows go before bulk rows, but bulk
rows never wait for more than `_TURNS` interactive batches, so neither lane starves.
"""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

from toxic_inference.serving.batching.calls import Call, Entry
from toxic_inference.serving.batching.policy import POLICY, BatchingPolicy
from toxic_inference.serving.interfaces import Lane

_WINDOW_ROWS = 512
"""How many waiting rows the policy chooses from: enough to find equal lengths, at a bounded cost."""

_TURNS = 8
"""Interactive batches in a row after which bulk rows have a turn: an eighth of a saturated machine."""


class RowQueue:
    """Holds rows until a batch takes them, or their caller gives up.

    Args:
        policy: chooses the rows of a batch.
    """

    def __init__(self, policy: BatchingPolicy = POLICY) -> None:
        self._policy = policy
        self._lanes: dict[Lane, OrderedDict[int, Entry]] = {lane: OrderedDict() for lane in Lane}
        self._tokens = dict.fromkeys(Lane, 0)
        self._timed: dict[int, Call] = {}
        self._next_key = 0
        self._interactive_turns = 0

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._lanes.values())

    def rows(self, lane: Lane) -> int:
        """Return how many rows wait in a lane."""
        return len(self._lanes[lane])

    def tokens(self, lane: Lane) -> int:
        """Return how many tokens wait in a lane."""
        return self._tokens[lane]

    @property
    def timed(self) -> bool:
        """Whether a call with a deadline waits."""
        return bool(self._timed)

    def add(self, call: Call) -> None:
        """Add every row of a call."""
        for position, row in enumerate(call.rows):
            self._next_key += 1
            entry = Entry(self._next_key, call, position, len(row.ids))
            self._lanes[call.lane][entry.key] = entry
            self._tokens[call.lane] += entry.tokens
            call.waiting.add(entry.key)
        if call.deadline is not None:
            self._timed[id(call)] = call

    def drop(self, call: Call) -> int:
        """Remove a call's remaining rows; return how many there were."""
        dropped = len(call.waiting)
        for key in tuple(call.waiting):
            self._remove(self._lanes[call.lane][key])
        return dropped

    def expired(self, now: float) -> list[Call]:
        """Return the waiting calls past their deadline."""
        return [call for call in self._timed.values() if call.deadline is not None and call.deadline <= now]

    def take(self, *, budget: int) -> list[Entry]:
        """Remove and return the rows of the next batch: of one lane, as the policy chooses."""
        interactive, bulk = (bool(self._lanes[lane]) for lane in (Lane.INTERACTIVE, Lane.BULK))
        if interactive and not (bulk and self._interactive_turns >= _TURNS):
            self._interactive_turns = self._interactive_turns + 1 if bulk else 0
            lane = Lane.INTERACTIVE
        else:
            self._interactive_turns = 0
            lane = Lane.BULK
        window = list(islice(self._lanes[lane].values(), _WINDOW_ROWS))
        if not window:
            return []
        oldest = window[0].call
        if len(oldest.waiting) == len(self._lanes[lane]):
            budget = min(budget, oldest.batch_tokens)
        chosen = self._policy([entry.tokens for entry in window], budget=budget)
        entries = [window[index] for index in chosen]
        for entry in entries:
            self._remove(entry)
        return entries

    def calls(self) -> Iterator[Call]:
        """Return every call that waits, once."""
        entries = (entry for lane in self._lanes.values() for entry in lane.values())
        return iter({id(entry.call): entry.call for entry in entries}.values())

    def _remove(self, entry: Entry) -> None:
        del self._lanes[entry.call.lane][entry.key]
        self._tokens[entry.call.lane] -= entry.tokens
        entry.call.waiting.discard(entry.key)
        if not entry.call.waiting:
            self._timed.pop(id(entry.call), None)
