"""The contract: what every column of an export must be.

One value that parsing, cleaning rules, schema checks, comments and SQL types all read; `reading` makes it from a file.
What belongs here: facts about a *delivered* column. What does not: anything computed from it (see `recipe`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from smartcart_pipeline.declaration.columns import TYPES, Column

# What the key of every table of customers is called, whatever the export calls it.
KEY = "customer_id"


@dataclass(frozen=True)
class DeliveredColumn(Column):
    """A column as the company delivers it.

    Attributes:
        header: The name it has in the export.
        is_rounded: Whether a number of a whole type may be delivered with decimals, which are rounded.
        classification: How personal the values are, in the company's own words; empty if nobody said.
    """

    header: str = ""
    is_rounded: bool = False
    classification: str = ""

    @property
    def expected(self) -> str:
        """What a value of it is, for people."""
        words = TYPES[self.type].expected
        return words.replace("a whole number", "a number") if self.is_rounded else words


@dataclass(frozen=True)
class Contract:
    """What every column of an export must be.

    Attributes:
        name: What recipes call it.
        columns: The columns, in order; the first is the key, `customer_id`.
        source: The file it was read from, as plain data.
    """

    name: str
    columns: tuple[DeliveredColumn, ...]
    source: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def by_name(self) -> dict[str, DeliveredColumn]:
        """The columns by their names in the lake."""
        return {column.name: column for column in self.columns}

    @property
    def names(self) -> tuple[str, ...]:
        """Their names in the lake, in order."""
        return tuple(self.by_name)

    @cached_property
    def headers(self) -> frozenset[str]:
        """Their names in the export."""
        return frozenset(column.header for column in self.columns)

    @property
    def key(self) -> DeliveredColumn:
        """The column that tells customers apart."""
        return self.by_name[KEY]


LINE_COLUMNS: tuple[Column, ...] = (
    Column(
        "line_number", "BIGINT", "Line of the export that held the row; the first customer stands on line 2.", minimum=1
    ),
    Column(
        "unreadable",
        "VARCHAR",
        "What could not be read as its column's type, word for word; empty where all could.",
        nullable=True,
    ),
)
