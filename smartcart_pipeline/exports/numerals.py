"""How the numbers of a column are written: found once for the whole file, from all of its values.

`58.138` is a number between 58 and 59 to one company and more than fifty-eight thousand to another. Nobody can tell
from one value; all values together, and the other columns of the file, mostly can. Where they cannot, nobody guesses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from smartcart_pipeline.declaration.columns import WHOLE
from smartcart_pipeline.declaration.contract import NUMBER_FORMAT, DeliveredColumn
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.sql import literal

# Spaces that do not break a line, thin ones, and the apostrophe of typesetters: each stands for the plain one.
SPACES, APOSTROPHES = "\u00a0\u202f\u2009\u2007", "\u2019"
# What may stand before or behind a number: a sign of money, its code or name, a percent sign.
MONEY = r"(?:\p{Sc}|[A-Z]{2,3}\$?|[A-Z]\$|kr\.?|z\x{142}|Fr\.|Rs\.?)"
# Of a column's values at least so many must be written alike: a run refuses the rows of the others.
ALIKE = 0.995
# Signs that say what a number is of.
UNIT = r"\p{Sc}|%"


@dataclass(frozen=True)
class Delivered:
    """The rows of a file, in which the evidence is looked for.

    Attributes:
        engine: Holds them.
        path: The file.
        table: What they are called; it has `line_number`.
    """

    engine: DuckDBEngine
    path: Path
    table: str = "delivered"

    def ask(self, query: str) -> list[Any]:
        """The answer of a query, of few rows."""
        return self.engine.connection.execute(query).fetchall()


@dataclass(frozen=True)
class NumberReading:
    """How the numbers of a column are written.

    Attributes:
        decimal: What stands before decimals.
        grouping: What stands between thousands; empty where nothing does.
        is_plain: Whether all are as SQL writes them.
        evidence: A sentence for people; empty of plain numbers.
    """

    decimal: str = "."
    grouping: str = ""
    is_plain: bool = True
    evidence: str = ""

    @property
    def example(self) -> str:
        """A number as this reading writes it."""
        return f"1{self.grouping}234{self.decimal}5"

    def number(self, text: str) -> str:
        """The expression that reads a text as a number.

        Args:
            text: An expression for a text without surrounding space.

        Returns:
            An expression for a text that SQL can cast; null where it is no number.
        """
        if self.is_plain:
            return text
        plain = f"translate({text}, {literal(SPACES + APOSTROPHES)}, {literal(' ' * len(SPACES) + chr(39))})"
        digits = f"regexp_extract({plain}, {literal(self._pattern())}, 1)"
        bare = f"replace(replace({digits}, {literal(self.grouping or ' ')}, ''), {literal(self.decimal)}, '.')"
        is_negative = f"regexp_matches({plain}, '^[^0-9]*[-(\u2212]|-$')"
        return f"CASE WHEN {digits} <> '' THEN CASE WHEN {is_negative} THEN '-' ELSE '' END || {bare} END"

    def _pattern(self) -> str:
        """The texts that are numbers of this kind; what is captured is the number without its sign."""
        decimal, grouping = (f"[{mark}]" for mark in (self.decimal, self.grouping or " "))
        grouped = rf"|[1-9][0-9]{{0,2}}(?:{grouping}[0-9]{{2,3}})*{grouping}[0-9]{{3}}" if self.grouping else ""
        number = rf"((?:[0-9]+{grouped})(?:{decimal}[0-9]*)?(?:[eE][-+]?[0-9]+)?|{decimal}[0-9]+)"
        sign, money = r"[-+\x{2212}]", f"(?:{MONEY} *)?"
        # A sign stands before the money or behind it, not twice.
        return rf"^\(?(?:{sign} *{money}|{money}{sign}?){number} *(?:{MONEY}|%)?\)?-?$"


PLAIN = NumberReading()
# In the order in which one is taken of those that read the same values as the same numbers.
READINGS = tuple(
    NumberReading(decimal, grouping, is_plain=False)
    for grouping, decimal in product(("", ",", ".", " ", "'"), ".,")
    if grouping != decimal
)
# By the names of the columns.
NumberReadings = Mapping[str, NumberReading]


def read_example(example: str) -> NumberReading | None:
    """The reading that an example stands for.

    Args:
        example: A number between a thousand and a million with decimals, such as `1.234,5`.

    Returns:
        The reading; None where it stands for none.
    """
    return next((reading for reading in READINGS if reading.example == example), None)


def count_few(present: int) -> float:
    """How many values of a column may be written in another way: slips, whose rows are refused.

    Args:
        present: How many values there are.

    Returns:
        One in two hundred, and one at least.
    """
    return max(1.0, (1 - ALIKE) * present)


@dataclass(frozen=True)
class _Tally:
    """What one reading makes of a column.

    Attributes:
        reading: The reading.
        read: How many values it reads.
        marked: How many of these have a point or a comma.
    """

    reading: NumberReading
    read: int
    marked: int


@dataclass(frozen=True)
class _Column:
    """A column of which not all values are plain numbers without a point.

    Attributes:
        delivered: The column.
        text: The expression for its text.
        present: How many values there are.
        plain: How many of them SQL reads as they are.
        best: What the readings that read most make of it, the likelier first.
    """

    delivered: DeliveredColumn
    text: str
    present: int
    plain: int
    best: tuple[_Tally, ...]


def settle_numbers(
    rows: Delivered, columns: Sequence[tuple[DeliveredColumn, str]], delimiter: str = ""
) -> dict[str, NumberReading]:
    """Find the one reading of each column of numbers that fits the file.

    Args:
        rows: The rows of the file.
        columns: Columns of numbers that are delivered as texts, each with the expression for its text.
        delimiter: What separates the values of the file; empty where nothing does.

    Returns:
        The readings, by the names of the columns.

    Raises:
        ExportError: If values can be read as different numbers and nothing says which, or are written in several ways.
    """
    odd = _find_odd(rows, columns)
    settled = {column.name: PLAIN for column, _ in columns}
    looked_at = [_look_at(rows, column, text) for column, text in columns if column.name in odd]
    decided = [each for each in looked_at if not _differing(rows, each.text, each.best)]
    settled |= {each.delivered.name: _settle(rows, each, each.best[0]) for each in decided}
    # One system wrote the file: what its other columns prove holds for a column that proves nothing.
    proven = {each.best[0].reading.decimal for each in decided if each.best[0].marked}
    for each in looked_at:
        if each not in decided:
            fitting = _narrow(rows, each, proven, delimiter)
            if other := _differing(rows, each.text, fitting):
                raise ExportError(_tell_undecided(rows, each, (fitting[0].reading, other.reading)))
            settled[each.delivered.name] = _settle(rows, each, fitting[0])
    return settled


def _find_odd(rows: Delivered, columns: Sequence[tuple[DeliveredColumn, str]]) -> set[str]:
    """The columns that have a value which is no plain number, or has a point that may stand between thousands."""
    if not columns:
        return set()
    asked = ", ".join(f"bool_or({_is_odd(text)})" for _, text in columns)
    [found] = rows.ask(f"SELECT {asked} FROM {rows.table}")
    return {column.name for (column, _), is_odd in zip(columns, found, strict=True) if is_odd}


def _is_odd(text: str) -> str:
    return f"((TRY_CAST({text} AS DOUBLE) IS NULL AND {text} IS NOT NULL) OR contains({text}, '.'))"


def _is_whole(column: DeliveredColumn) -> bool:
    return column.type in WHOLE and not column.is_rounded


def _look_at(rows: Delivered, column: DeliveredColumn, text: str) -> _Column:
    """Count what each reading reads of a column."""
    numbers = [_number(reading, text, column) for reading in READINGS]
    marked = f"regexp_matches({text}, '[.,]')"
    asked = ", ".join(f"count({number}), count(CASE WHEN {marked} THEN {number} END)" for number in numbers)
    [(present, plain, *counts)] = rows.ask(
        f"SELECT count({text}), count(TRY_CAST({text} AS DOUBLE)), {asked} FROM {rows.table}"
    )
    tallies = [_Tally(*each) for each in zip(READINGS, counts[::2], counts[1::2], strict=True)]
    if column.written:
        tallies = [tally for tally in tallies if tally.reading == read_example(column.written)]
    most = max(tally.read for tally in tallies)
    return _Column(column, text, present, plain, tuple(tally for tally in tallies if tally.read == most))


def _number(reading: NumberReading, text: str, column: DeliveredColumn) -> str:
    """The expression for the number that a reading makes of a value; null of none, or of decimals in a whole column."""
    number = f"TRY_CAST({reading.number(text)} AS DOUBLE)"
    return f"CASE WHEN {number} = round({number}) THEN {number} END" if _is_whole(column) else number


def _differing(rows: Delivered, text: str, tallies: Sequence[_Tally]) -> _Tally | None:
    """The first of some readings that makes another number of a value than the very first does."""
    if len(tallies) < 2:
        return None
    first, *others = [f"TRY_CAST({tally.reading.number(text)} AS DOUBLE)" for tally in tallies]
    asked = ", ".join(f"bool_or({first} <> {other})" for other in others)
    [found] = rows.ask(f"SELECT {asked} FROM {rows.table}")
    return next((tally for tally, differs in zip(tallies[1:], found, strict=True) if differs), None)


def _narrow(rows: Delivered, column: _Column, proven: set[str], delimiter: str) -> Sequence[_Tally]:
    """The readings that go with the rest of the file."""
    if len(proven) == 1 and (fitting := [tally for tally in column.best if tally.reading.decimal in proven]):
        return fitting
    [(has_commas,)] = rows.ask(f"SELECT bool_or(contains({column.text}, ',')) FROM {rows.table}")
    if delimiter == "," and has_commas:
        # Whoever writes decimals with a comma separates values by something else.
        return [tally for tally in column.best if tally.reading.decimal == "."] or column.best
    return column.best


def _settle(rows: Delivered, column: _Column, tally: _Tally) -> NumberReading:
    """The reading of a column, unless too many of its values are written in another way."""
    if tally.read == column.plain and (tally.reading.decimal, tally.reading.grouping) == (".", ""):
        return PLAIN
    few = count_few(column.present)
    _require_alike(rows, column, tally, few)
    _require_one_unit(rows, column, few)
    header, example = column.delivered.header, tally.reading.example
    return replace(
        tally.reading, evidence=f"{tally.read:,} of {column.present:,} values of {header} read like {example}."
    )


def _require_alike(rows: Delivered, column: _Column, tally: _Tally, few: float) -> None:
    number = _number(tally.reading, column.text, column.delivered)
    for other in READINGS:
        only = f"{_number(other, column.text, column.delivered)} IS NOT NULL AND {number} IS NULL"
        [(count, line, value)] = rows.ask(
            f"SELECT count(*), min(line_number), arg_min({column.text}, line_number) FROM {rows.table} WHERE {only}"
        )
        if count > few:
            raise ExportError(
                f"{rows.path}: the numbers in column {column.delivered.header} are written in two ways: {tally.read:,} "
                f"of {column.present:,} read like {tally.reading.example}, and {count:,} only like {other.example} "
                f"(line {line:,}: {value!r}). Deliver them all in one way."
            )


def _require_one_unit(rows: Delivered, column: _Column, few: float) -> None:
    """Refuse amounts in several currencies, and shares beside numbers in per cent: they cannot be compared."""
    units = rows.ask(
        f"SELECT regexp_extract({column.text}, {literal(UNIT)}) AS unit, count(*) AS n, min(line_number) "
        f"FROM {rows.table} WHERE {column.text} IS NOT NULL GROUP BY unit HAVING n > {few} ORDER BY n DESC, unit"
    )
    named = [unit for unit in units if unit[0]]
    # Where some amounts have their sign and others none, it is the same one.
    if len(named) > 1 or (len(units) > 1 and any(unit == "%" for unit, *_ in named)):
        told = " and ".join(f"{count:,} with {unit or 'none'} (line {line:,})" for unit, count, line in units)
        raise ExportError(
            f"{rows.path}: the numbers in column {column.delivered.header} have different signs: {told}. They cannot "
            "be compared: deliver them all in one unit."
        )


def _tell_undecided(rows: Delivered, column: _Column, readings: tuple[NumberReading, NumberReading]) -> str:
    numbers = [f"TRY_CAST({reading.number(column.text)} AS DOUBLE)" for reading in readings]
    [(line, value, one, other)] = rows.ask(
        f"SELECT line_number, {column.text}, {', '.join(numbers)} FROM {rows.table} "
        f"WHERE {numbers[0]} <> {numbers[1]} ORDER BY line_number LIMIT 1"
    )
    return (
        f"{rows.path}: nothing says whether {value!r} in column {column.delivered.header} (line {line:,}) is "
        f"{one:.10g} or {other:.10g}: all {column.present:,} values can be read both ways. Say in the contract how "
        f"they are written (customProperties: [{{property: {NUMBER_FORMAT}, value: '{readings[0].example}'}}], or "
        f"'{readings[1].example}'), or deliver them without marks between thousands."
    )
