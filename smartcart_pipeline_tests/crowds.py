"""Customers of a made-up company on one of its nights: who is there, of which kind, and the luck each of them has.

A table is made of a crowd column by column. Every column has a stream of luck of its own, named after it, and a
customer keeps a place in it: a column more, or a night later, changes nothing of the rest. Over the nights

- some customers leave and more come, the same on every night;
- few of those who stay do anything: what moves of them moves a little, and on average nothing grows;
- what a customer is (a kind, an age, a region) never changes.

What belongs here: luck and its shapes. What does not: what a company calls its columns (see `companies`).
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from uuid import UUID
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]
Days = NDArray[np.datetime64]
# One value for all kinds of customers, or one for each.
PerKind = float | Sequence[float]

FIRST_DAY = np.datetime64("2026-03-01", "D")
LEAVING, COMING, MOVING = 0.005, 0.01, 0.04
# How much of a moving customer's luck is new: the rest stays, and so does its variance.
NEW_LUCK = 0.15


class Crowd:
    """The customers of one night, in the order of their delivery.

    Args:
        customers: How many there are on the first night.
        shares: Of each kind of customer.
        entropy: Numbers that all luck comes from.
        night: How many nights later; 0 is the first.
        start: The number of the first customer, where customers are made in batches.

    Attributes:
        day: The day of the delivery.
        here: Places of the customers among all who were ever known.
        number: What tells a customer from all others, over all nights and batches.
        kinds: How many kinds there are.
        kind: Of each customer, 0 to the number of kinds - 1.
    """

    def __init__(
        self, customers: int, shares: Sequence[float], entropy: Sequence[int], night: int = 0, start: int = 0
    ) -> None:
        if customers < 1 or night < 0 or min(entropy) < 0:
            raise ValueError(f"cannot make {customers} customers of night {night} from {entropy}")
        self._entropy = tuple(entropy)
        self._came = round(customers * COMING)
        self._left = round(customers * LEAVING)
        self.night = night
        self.day = FIRST_DAY + night
        self.known = customers + night * self._came
        # A delivery is in no order that tells who came when.
        order = np.argsort(self._stream("order").random(self.known), kind="stable")
        self.here: Integers = order[~self._gone()[order]]
        self.number: Integers = start + self.here
        self.kinds = len(shares)
        ends = np.cumsum(shares)[:-1] / sum(shares)
        self.kind: Integers = np.searchsorted(ends, self.uniform("kind"), side="right").astype(np.int8)

    def _stream(self, name: str, night: int = 0) -> np.random.Generator:
        return np.random.default_rng([*self._entropy, crc32(name.encode()), night])

    def _known_on(self, night: int) -> int:
        return self.known - (self.night - night) * self._came

    def _gone(self) -> Bools:
        gone = np.zeros(self.known, dtype=bool)
        for night in range(1, self.night + 1):
            # Nobody leaves on the night of arrival.
            luck = self._stream("leaving", night).random(self._known_on(night - 1))
            luck[gone[: luck.size]] = 2
            gone[np.argpartition(luck, self._left)[: self._left]] = True
        return gone

    @cached_property
    def _movers(self) -> list[Integers]:
        """Places of who moved on each of the nights."""
        nights = range(1, self.night + 1)
        return [np.flatnonzero(self._stream("moving", n).random(self._known_on(n - 1)) < MOVING) for n in nights]

    def uniform(self, name: str) -> Floats:
        """Luck between 0 and 1 that never changes."""
        # Not the stream of normal luck of that name: the two would agree.
        return self._stream(f"{name}, even").random(self.known)[self.here]

    def normal(self, name: str, *, moves: bool = True) -> Floats:
        """Standard normal luck, some of which is new where a customer moves."""
        luck = self._stream(name).standard_normal(self.known)
        for night, movers in enumerate(self._movers if moves else (), start=1):
            new = self._stream(name, night).standard_normal(movers.size)
            luck[movers] = np.sqrt(1 - NEW_LUCK**2) * luck[movers] + NEW_LUCK * new
        return luck[self.here]

    def of_kind(self, values: PerKind) -> Floats:
        """The value of each customer's kind."""
        return np.broadcast_to(np.asarray(values, dtype=np.float64), self.kinds)[self.kind]

    def amounts(self, name: str, median: PerKind, spread: float = 0.5, decimals: int = 2) -> Floats:
        """Lognormal amounts: `spread` is the standard deviation of their logarithms."""
        values: Floats = np.round(self.of_kind(median) * np.exp(spread * self.normal(name)), decimals)
        return values

    def measures(
        self,
        name: str,
        mean: PerKind,
        deviation: PerKind,
        between: tuple[float, float] = (-np.inf, np.inf),
        decimals: int = 2,
        *,
        moves: bool = True,
    ) -> Floats:
        """Normal values, kept between two limits."""
        values: Floats = self.of_kind(mean) + self.of_kind(deviation) * self.normal(name, moves=moves)
        return np.clip(values, *between).round(decimals)

    def counts(self, name: str, mean: PerKind, most: int = 1_000_000_000, *, moves: bool = True) -> Integers:
        """Whole numbers from 0, about as far from their mean as counts of events that customers differ in."""
        expected = self.of_kind(mean)
        spread = np.sqrt(expected + (0.3 * expected) ** 2)
        luck = self.normal(name, moves=moves)
        return np.clip(np.rint(expected + spread * luck), 0, most).astype(np.int64)

    def flags(self, name: str, chance: PerKind) -> Bools:
        """Whether something is so, by chance of the kind."""
        return self.uniform(name) < self.of_kind(chance)

    def choices(self, name: str, options: Sequence[Any], odds: Sequence[PerKind] = ()) -> pa.Array:
        """One of some options, each with its odds; without odds, the later in the list the rarer."""
        weights = odds or [1 / place for place in range(1, len(options) + 1)]
        of_kinds = np.stack([np.broadcast_to(np.asarray(weight, float), self.kinds) for weight in weights])
        ends = np.cumsum(of_kinds, axis=0) / of_kinds.sum(axis=0)
        luck, chosen = self.uniform(name), np.zeros(self.kind.size, dtype=np.int16)
        for end in ends[:-1]:
            chosen += luck >= end[self.kind]
        return pa.array(options).take(pa.array(chosen))

    def joined(self, name: str, days: PerKind) -> Days:
        """When customers came: evenly over so many days before the first night, newer ones on their night."""
        before = np.floor(1 + self.of_kind(days) * self.uniform(name)).astype(np.int64)
        first = self._known_on(0)
        arrived = (self.here - first) // max(self._came, 1) + 1
        days_joined: Days = np.where(self.here < first, FIRST_DAY - before, FIRST_DAY + arrived)
        return days_joined

    def seen(self, name: str, days: PerKind, joined: Days) -> Days:
        """When customers did something last: days ago on average, or when they last moved; not before they came."""
        ago = np.rint(-self.of_kind(days) * np.log1p(-self.uniform(name))).astype(np.int64)
        moved = np.zeros(self.known, dtype=np.int64)
        for night, movers in enumerate(self._movers, start=1):
            moved[movers] = night
        last = moved[self.here]
        seen: Days = np.maximum(np.where(last > 0, FIRST_DAY + last, FIRST_DAY - ago), joined)
        return seen

    def clock(self, name: str, days: Days) -> NDArray[np.datetime64]:
        """A second of those days, the same for a customer on all of them."""
        seconds = np.floor(86_400 * self.uniform(name)).astype("timedelta64[s]")
        moments: NDArray[np.datetime64] = days.astype("datetime64[s]") + seconds
        return moments

    def gaps(self, name: str, values: Any, share: PerKind) -> pa.Array:
        """Values, missing of a share of the customers, always of the same ones."""
        missing = self.uniform(f"{name} is missing") < self.of_kind(share)
        if isinstance(values, pa.Array):
            return pc.if_else(pa.array(missing), pa.scalar(None, values.type), values)
        return pa.array(values, mask=missing)

    def repeated(self, value: Any) -> pa.Array:
        """The same for everybody."""
        return pa.repeat(pa.scalar(value), self.kind.size)

    def uuids(self, name: str) -> pa.Array:
        """A random UUID for each customer."""
        words = self._stream(name).integers(0, 2**64, size=(self.known, 2), dtype=np.uint64)[self.here]
        return pa.array([str(UUID(int=(high << 64) + low, version=4)) for high, low in words.tolist()])

    def numbered(self, pattern: str, step: int = 1, first: int = 1) -> pa.Array:
        """A text of each customer's number, which `pattern` (as of `str.format`) says how to write."""
        return pa.array([pattern.format(first + step * number) for number in self.number.tolist()])
