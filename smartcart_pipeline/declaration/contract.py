"""The contract: what every column of an export must be.

One value that parsing, cleaning rules, schema checks, comments and SQL types all read; `reading` makes it from a file.
What belongs here: facts about a *delivered* column. What does not: anything computed from it (see `recipe`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from smartcart_pipeline.declaration.columns import TYPES, WHOLE, Column
from smartcart_pipeline.declaration.matching import by_look, look

# What the key of every table of customers is called, whatever the export calls it.
KEY = "customer_id"
# What a contract calls the way in which the numbers of a column are written, and how it may say so.
NUMBER_FORMAT = "numberFormat"
NUMBERS_WRITTEN = tuple(
    f"1{grouping}234{decimal}5" for grouping in ("", ",", ".", " ", "'") for decimal in ".," if grouping != decimal
)
# What stands for a value that is missing, in small letters: as people, databases, pandas and C write it, and the errors
# of spreadsheets. It is always the whole value.
MISSING = (
    "", "-", "?", "na", "n/a", "nan", "-nan", "nat", "null", "none", "<na>", "#na", "#n/a", "#n/a n/a",
    "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan",
    "#value!", "#ref!", "#div/0!", "#name?", "#num!", "#null!",
)  # fmt: skip


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
    def accepted(self) -> tuple[str, ...]:
        """The names that it may have in the export, the likeliest first."""
        return (self.header, *self.synonyms)

    @property
    def is_flag(self) -> bool:
        """Whether it is a whole number that can only say yes or no: 1 or 0."""
        return self.type in WHOLE and (self.minimum, self.maximum) == (0, 1)

    @property
    def missing(self) -> tuple[str, ...]:
        """What stands for a missing value, in small letters; not what it lists as one of its values."""
        listed = {category.lower() for category in self.categories}
        return tuple(word for word in MISSING if word not in listed)

    @property
    def expected(self) -> str:
        """What a value of it is, for people."""
        if self.is_flag:
            return "1 or 0, or yes or no"
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

    @cached_property
    def columns_by_look(self) -> dict[str, str]:
        """The names of the columns by what their headers and synonyms look like, where it is like no other column's."""
        return by_look((accepted, column.name) for column in self.delivered for accepted in column.accepted)

    def recognise(self, headers: Collection[str]) -> set[str]:
        """Which headers of a file are those of columns, as they stand or by sight.

        Args:
            headers: The headers of the file.

        Returns:
            Those of them.
        """
        return {header for header in headers if header in self.accepted_headers or look(header) in self.columns_by_look}

    def find_by_sight(self, headers: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Which headers look like those of columns that the file does not have under any of their names.

        Args:
            headers: The headers of the file.

        Returns:
            The different headers, in the file's order, by the names of the columns.
        """
        found: dict[str, tuple[str, ...]] = {}
        for header in dict.fromkeys(headers):
            name = self.columns_by_look.get(look(header))
            if name and not any(accepted in headers for accepted in self.by_name[name].accepted):
                found[name] = (*found.get(name, ()), header)
        return found

    def as_delivered(self, headers: Collection[str]) -> "Contract":
        """The contract for a file that may have some columns under their synonyms, or under headers that look alike.

        Args:
            headers: The headers of the file.

        Returns:
            The contract, with the header of each column that the file has: the usual one before synonyms, and these
            before what looks alike. Where the file has none of them, the usual one.
        """
        by_sight = self.find_by_sight(headers)
        columns = tuple(_as_delivered(column, headers, by_sight.get(column.name, ())) for column in self.columns)
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


def _as_delivered(column: DeliveredColumn, headers: Collection[str], by_sight: tuple[str, ...]) -> DeliveredColumn:
    exact = (header for header in column.accepted if header in headers)
    found = next(iter((*exact, *by_sight)), column.header)
    return column if found == column.header else replace(column, header=found)


# What is wrong with a line that is no row.
REPEATED_HEADER = "The line repeats the header"
TOO_MANY_VALUES = "The line has more values than the header"
MISPLACED_QUOTE = "The line has a quotation mark in the wrong place"
TOO_LONG = "The line is longer than 2,000,000 bytes"
NOT_READ = "The line cannot be read"
LINE_FAULTS = (REPEATED_HEADER, TOO_MANY_VALUES, MISPLACED_QUOTE, TOO_LONG, NOT_READ)
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
