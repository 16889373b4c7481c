"""What is known of another company's table, beside what is in it.

Outcomes and columns to leave out are what an analyst would say who knows the company; sensitive is what a person is
protected for (sex, origin, faith, health), not age. A test holds every claim against the data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import pyarrow as pa

from smartcart_pipeline_tests.crowds import Crowd
from smartcart_pipeline_tests.deliveries import FORMATS

# By header: NumPy or Arrow arrays.
Columns = dict[str, Any]

# Why a column is left out; beside these `copy_of`.
CONSTANT, NEARLY_CONSTANT, MOSTLY_EMPTY = "constant", "nearly constant", "mostly empty"
FREE_TEXT, TOO_MANY_LEVELS = "free text", "too many levels"
COPY = "copy of "


def copy_of(header: str) -> str:
    """The reason to leave out what repeats another column, be it in another unit."""
    return COPY + header


@dataclass(frozen=True)
class ForeignTable:
    """What is known of a company's table.

    Attributes:
        name: Of the table, and of its file.
        fill: Makes its columns of a crowd.
        shares: Of the kinds of its customers.
        format: One of `FORMATS`.
        key: Header of what tells customers apart, if anything does.
        outcomes: Headers of what must not describe a customer: what a campaign or contract came to, of two values.
        sensitive: Headers of what a person is protected for.
        left_out: Headers of what describes nobody, each with the reason.
        has_date: Whether any column is a date or a timestamp.
        dates: How a CSV writes dates, as of `strftime`.
        daily: Headers of what changes for everybody every night, such as days since something.
    """

    name: str
    fill: Callable[[Crowd], Columns]
    shares: tuple[float, ...]
    format: str
    key: str | None
    outcomes: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    has_date: bool = False
    dates: str = "%Y-%m-%d"
    daily: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """Of every delivery."""
        return self.name + FORMATS[self.format].suffix

    def crowd(self, customers: int, seed: int, night: int = 0, batch: int = 0, start: int = 0) -> Crowd:
        """The customers that a table is made of; further batches have others."""
        entropy = (crc32(self.name.encode()), seed, batch)
        return Crowd(customers, self.shares, entropy, night, start=start)

    def make(self, customers: int, seed: int, night: int = 0) -> pa.Table:
        """Make the table.

        Args:
            customers: How many on the first night; from there on it grows by half a percent of them a night.
            seed: The same seed gives the same customers.
            night: How many nights later: few left, few came, few moved (see `crowds`).

        Returns:
            An Arrow table with the company's headers.

        Raises:
            ValueError: If there is no customer to make, or seed or night is negative.
        """
        return pa.table(self.fill(self.crowd(customers, seed, night)))
