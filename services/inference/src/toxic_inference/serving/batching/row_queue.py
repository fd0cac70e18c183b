"""The rows that wait for one servable, in two lanes, in which callers take turns.

Each batch begins with the oldest row of the caller that had the fewest tokens lately, so that callers share
the model by tokens.

Invariant: within a lane the oldest row of the next caller is in the next batch. Interactive rows
go before bulk rows, but bulk rows never wait for more than `_TURNS` interactive batches, so neither lane
starves.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice

from toxic_inference.serving.batching.calls import Call, Entry
from toxic_inference.serving.batching.policy import POLICY, BatchingPolicy
from toxic_inference.serving.interfaces import Lane

_WINDOW_ROWS = 512
"""How many waiting rows the policy chooses from: enough to find equal lengths, at a bounded cost."""

_TURNS = 8
"""Interactive batches in a row after which bulk rows have a turn: an eighth of a saturated machine."""


class _Lane:
    """The rows of one lane by caller, each caller's oldest first, and the tokens that each has had."""

    def __init__(self) -> None:
        self.rows = self.tokens = 0
        self.callers: dict[str, OrderedDict[int, Entry]] = {}
        self.waiting: dict[str, int] = {}
        self._had: dict[str, int] = {}

    def add(self, entry: Entry) -> None:
        caller = entry.call.caller
        if caller not in self.callers:
            # A caller that returns has no claim on the time without it.
            self._had[caller] = min(self._had.values(), default=0)
            self.callers[caller], self.waiting[caller] = OrderedDict(), 0
        self.callers[caller][entry.key] = entry
        self._count(entry, 1)

    def remove(self, entry: Entry) -> None:
        caller = entry.call.caller
        del self.callers[caller][entry.key]
        self._count(entry, -1)
        if not self.callers[caller]:
            del self.callers[caller], self.waiting[caller], self._had[caller]

    def charge(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._had[entry.call.caller] += entry.tokens

    def in_turn(self, most: int) -> list[Entry]:
        """Return rows of every caller, about `most`, those of the next caller first."""
        if len(self.callers) == 1:
            (entries,) = self.callers.values()
            return list(islice(entries.values(), most))
        each = most // max(len(self.callers), 1) + 1
        in_turn = sorted(self.callers, key=self._had.__getitem__)[:most]
        return [entry for caller in in_turn for entry in islice(self.callers[caller].values(), each)]

    def _count(self, entry: Entry, sign: int) -> None:
        self.rows += sign
        self.tokens += sign * entry.tokens
        self.waiting[entry.call.caller] += sign * entry.tokens


class RowQueue:
    """Holds rows until a batch takes them, or their caller gives up.

    Args:
        policy: chooses the rows of a batch.
    """

    def __init__(self, policy: BatchingPolicy = POLICY) -> None:
        self._policy = policy
        self._lanes = {lane: _Lane() for lane in Lane}
        self._timed: dict[int, Call] = {}
        self._next_key = 0
        self._interactive_turns = 0

    def __len__(self) -> int:
        return sum(lane.rows for lane in self._lanes.values())

    def rows(self, lane: Lane) -> int:
        """Return how many rows wait in a lane."""
        return self._lanes[lane].rows

    def tokens(self, lane: Lane) -> int:
        """Return how many tokens wait in a lane."""
        return self._lanes[lane].tokens

    def rows_of(self, caller: str, lane: Lane) -> int:
        """Return how many rows of a caller wait in a lane."""
        return len(self._lanes[lane].callers.get(caller, ()))

    def callers(self, lane: Lane) -> int:
        """Return how many callers have rows in a lane."""
        return len(self._lanes[lane].callers)

    def tokens_before(self, caller: str, lane: Lane, *, budget: int) -> int:
        """Return how many tokens come before a new row of a caller: its own, and its rivals' shares."""
        waiting = self._lanes[lane].waiting
        own = waiting.get(caller, 0)
        share = max(own, budget)
        return own + sum(min(tokens, share) for rival, tokens in waiting.items() if rival != caller)

    @property
    def timed(self) -> bool:
        """Whether a call with a deadline waits."""
        return bool(self._timed)

    def add(self, call: Call) -> None:
        """Add every row of a call."""
        for position, row in enumerate(call.rows):
            self._next_key += 1
            entry = Entry(self._next_key, call, position, len(row.ids))
            self._lanes[call.lane].add(entry)
            call.waiting.add(entry.key)
        if call.deadline is not None:
            self._timed[id(call)] = call

    def drop(self, call: Call) -> int:
        """Remove a call's remaining rows; return how many there were."""
        dropped = len(call.waiting)
        for key in tuple(call.waiting):
            self._remove(self._lanes[call.lane].callers[call.caller][key])
        return dropped

    def expired(self, now: float) -> list[Call]:
        """Return the waiting calls past their deadline."""
        return [call for call in self._timed.values() if call.deadline is not None and call.deadline <= now]

    def take(self, *, budget: int) -> list[Entry]:
        """Remove and return the rows of the next batch: of one lane, as the policy chooses."""
        interactive, bulk = (bool(self._lanes[lane].rows) for lane in (Lane.INTERACTIVE, Lane.BULK))
        if interactive and not (bulk and self._interactive_turns >= _TURNS):
            self._interactive_turns = self._interactive_turns + 1 if bulk else 0
            lane = Lane.INTERACTIVE
        else:
            self._interactive_turns = 0
            lane = Lane.BULK
        window = self._lanes[lane].in_turn(_WINDOW_ROWS)
        if not window:
            return []
        oldest = window[0].call
        if len(oldest.waiting) == self._lanes[lane].rows:
            budget = min(budget, oldest.batch_tokens)
        chosen = self._policy([entry.tokens for entry in window], budget=budget)
        entries = [window[index] for index in chosen]
        self._lanes[lane].charge(entries)
        for entry in entries:
            self._remove(entry)
        return entries

    def calls(self) -> Iterator[Call]:
        """Return every call that waits, once."""
        entries = (
            entry
            for lane in self._lanes.values()
            for of_caller in lane.callers.values()
            for entry in of_caller.values()
        )
        return iter({id(entry.call): entry.call for entry in entries}.values())

    def _remove(self, entry: Entry) -> None:
        self._lanes[entry.call.lane].remove(entry)
        entry.call.waiting.discard(entry.key)
        if not entry.call.waiting:
            self._timed.pop(id(entry.call), None)
