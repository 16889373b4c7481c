"""The contract: what every column of an export must be.

One value that parsing, cleaning rules, schema checks, comments and SQL types all read; `reading` makes it from a file.
What belongs here: facts about a *delivered* column. What does not: anything computed from it (see `recipe`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from smartcart_pipeline.declaration.columns import TYPES, Column

# What the key of every table of customers is called, whatever the export calls it.
KEY = "customer_id"
# What a contract calls the way in which the numbers of a column are written, and how it may say so.
NUMBER_FORMAT = "numberFormat"
NUMBERS_WRITTEN = tuple(
    f"1{grouping}234{decimal}5" for grouping in ("", ",", ".", " ", "'") for decimal in ".," if grouping != decimal
)


@dataclass(frozen=True)
class DeliveredColumn(Column):
    """A column as the company delivers it.

    Attributes:
        header: The name it has in the export.
        synonyms: Other names that it may have there instead, the likeliest first.
        shortest: How many characters a text has at least.
        longest: How many characters it has at most.
        is_rounded: Whether a number of a whole type may be delivered with decimals, which are rounded.
        written: How its numbers or dates are written, where the evidence of the file shall not decide: an example of a
            number, such as `1.234,5`; the order of a date, `day-first`, `month-first` or `ISO`.
        classification: How personal the values are, in the company's own words; empty if nobody said.
    """

    header: str = ""
    synonyms: tuple[str, ...] = ()
    shortest: int | None = None
    longest: int | None = None
    is_rounded: bool = False
    written: str = ""
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
        columns: The columns, the key `customer_id` among them; where no column tells customers apart, it comes first
            and is the number of the row.
        key_name: What the contract itself calls the key; empty where rows are numbered.
        source: The file it was read from, as plain data.
    """

    name: str
    columns: tuple[DeliveredColumn, ...]
    key_name: str = ""
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
    def delivered(self) -> tuple[DeliveredColumn, ...]:
        """The columns that the export has."""
        return tuple(column for column in self.columns if not (self.is_numbered and column.name == KEY))

    @cached_property
    def headers(self) -> frozenset[str]:
        """Their names in the export."""
        return frozenset(column.header for column in self.delivered)

    @property
    def is_numbered(self) -> bool:
        """Whether no column tells customers apart: rows are numbered, and nobody can be followed to another night."""
        return not self.key_name

    @cached_property
    def accepted_headers(self) -> frozenset[str]:
        """All names that they may have in an export."""
        return self.headers | {synonym for column in self.columns for synonym in column.synonyms}

    def as_delivered(self, headers: Collection[str]) -> "Contract":
        """The contract for a file that may have some columns under their synonyms.

        Args:
            headers: The headers of the file.

        Returns:
            The contract, with the header of each column that the file has; where it has none of them, the usual one.
        """
        columns = tuple(_as_delivered(column, headers) for column in self.columns)
        return self if columns == self.columns else replace(self, columns=columns)

    @property
    def key(self) -> DeliveredColumn:
        """The column that tells customers apart."""
        return self.by_name[KEY]


# The key where no column tells customers apart.
ROW_NUMBER = DeliveredColumn(
    name=KEY,
    type="BIGINT",
    description="The number of the customer's row in the export: another customer's in the next one.",
    minimum=1,
    unique=True,
)


def _as_delivered(column: DeliveredColumn, headers: Collection[str]) -> DeliveredColumn:
    found = next((header for header in (column.header, *column.synonyms) if header in headers), column.header)
    return column if found == column.header else replace(column, header=found)


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
