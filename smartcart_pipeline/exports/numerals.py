"""How the numbers of a column are written: found once for the whole file, from all of its values.

`58.138` is a number between 58 and 59 to one company and more than fifty-eight thousand to another. Nobody can tell
from one value; all values together, and the other columns of the file, mostly can. Where they cannot, nobody guesses.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
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
PLAINER = " " * len(SPACES) + "'"
# Unicode's signs of money, the planes beyond the first left out.
SIGNS = (
    "$\u00a2-\u00a5\u058f\u060b\u07fe\u07ff\u09f2\u09f3\u09fb\u0af1\u0bf9\u0e3f\u17db\u20a0-\u20c0\ua838\ufdfc\ufe69\uff04\uffe0\uffe1"
    "\uffe5\uffe6"
)
MINUS = "\u2212"
# What may stand before or behind a number: a sign of money, its code or name, a percent sign.
MONEY = f"(?:[{SIGNS}]|[A-Z]{{2,3}}[$]?|[A-Z][$]|kr[.]?|z\u0142|Fr[.]|Rs[.]?)"
# Of a column's values at least so many must be written alike: a run refuses the rows of the others.
ALIKE = 0.995
# Signs that say what a number is of.
UNIT = re.compile(f"[{SIGNS}%]")
# How a number may begin or end that is less than zero.
NEGATIVE = f"^[^0-9]*[-({MINUS}]|-$"
# So many kinds of texts of a column are looked at, the most frequent first: numbers have few, however many they are.
MOST_SHAPES = 10_000


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


@dataclass
class Faults:
    """What is wrong with the columns of a file, found one after the other.

    Attributes:
        found: A message each.
    """

    found: list[str] = field(default_factory=list)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note a fault, and go on with the next column."""
        try:
            yield
        except ExportError as error:
            self.found.append(str(error))


@contextmanager
def telling_all(path: Path) -> Iterator[Faults]:
    """Have one message tell all that is wrong with the columns of a file, instead of one after the other each night.

    Args:
        path: The file.

    Yields:
        What notes it.

    Raises:
        ExportError: At the end, if anything is wrong.
    """
    faults = Faults()
    yield faults
    if faults.found:
        first, *others = faults.found
        raise ExportError(" ".join([first, *(each.removeprefix(f"{path}: ") for each in others)]))


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
        plain = f"translate({text}, {literal(SPACES + APOSTROPHES)}, {literal(PLAINER)})"
        digits = f"regexp_extract({plain}, {literal(f'^{self._pattern}$')}, 1)"
        bare = f"replace(replace({digits}, {literal(self.grouping or ' ')}, ''), {literal(self.decimal)}, '.')"
        is_negative = f"regexp_matches({plain}, {literal(NEGATIVE)})"
        return f"CASE WHEN {digits} <> '' THEN CASE WHEN {is_negative} THEN '-' ELSE '' END || {bare} END"

    def read(self, text: str) -> float | None:
        """Read a text, as `number` has SQL read it.

        Args:
            text: The text, without surrounding space.

        Returns:
            The number; None where it is none.
        """
        plain = text.translate(str.maketrans(SPACES + APOSTROPHES, PLAINER))
        if not (found := self._compiled.fullmatch(plain)):
            return None
        number = float(found[1].replace(self.grouping or " ", "").replace(self.decimal, "."))
        return -number if re.search(NEGATIVE, plain) else number

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self._pattern)

    @property
    def _pattern(self) -> str:
        """The texts that are numbers of this kind; what is captured is the number without its sign."""
        decimal, grouping = (f"[{mark}]" for mark in (self.decimal, self.grouping or " "))
        grouped = rf"|[1-9][0-9]{{0,2}}(?:{grouping}[0-9]{{2,3}})*{grouping}[0-9]{{3}}" if self.grouping else ""
        number = rf"((?:[0-9]+{grouped})(?:{decimal}[0-9]*)?(?:[eE][-+]?[0-9]+)?|{decimal}[0-9]+)"
        sign, money = f"[-+{MINUS}]", f"(?:{MONEY} *)?"
        # A sign stands before the money or behind it, not twice.
        return rf"\(?(?:{sign} *{money}|{money}{sign}?){number} *(?:{MONEY}|%)?\)?-?"


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
class _Shape:
    """Texts of a column that differ in nothing but their digits from 1 to 9.

    Attributes:
        text: One of them, in which each of these is a 9: every reading makes of it what it makes of all.
        values: How many there are.
        plain: How many of them SQL reads as they are.
        line: Where the first stands.
        example: What stands there.
    """

    text: str
    values: int
    plain: int
    line: int
    example: str


@dataclass(frozen=True)
class _Tally:
    """What one reading makes of a column.

    Attributes:
        reading: The reading.
        numbers: The numbers that it makes, by the texts of their shapes.
        read: How many values it reads.
    """

    reading: NumberReading
    numbers: Mapping[str, float]
    read: int

    @property
    def is_marked(self) -> bool:
        """Whether a number that it reads has a point or a comma."""
        return any("." in text or "," in text for text in self.numbers)


@dataclass(frozen=True)
class _Column:
    """A column of which not all values are plain numbers without a point.

    Attributes:
        delivered: The column.
        present: How many values there are.
        shapes: What they look like.
        tallies: What each reading makes of them.
    """

    delivered: DeliveredColumn
    present: int
    shapes: tuple[_Shape, ...]
    tallies: tuple[_Tally, ...]

    @cached_property
    def best(self) -> list[_Tally]:
        """What the readings that read most make of it, the likelier first; what is declared outweighs them."""
        written = self.delivered.written
        asked = [tally for tally in self.tallies if not written or tally.reading == read_example(written)]
        most = max(tally.read for tally in asked)
        return [tally for tally in asked if tally.read == most]


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
    decided = [each for each in looked_at if not _differing(each.best)]
    # One system wrote the file: what its other columns prove holds for a column that proves nothing.
    proven = {each.best[0].reading.decimal for each in decided if each.best[0].is_marked}
    with telling_all(rows.path) as faults:
        for each in looked_at:
            fitting = each.best if each in decided else _narrow(each, proven, delimiter)
            with faults.noted():
                settled[each.delivered.name] = _settle(rows.path, each, fitting)
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
    """Find out what the values of a column look like, and what each reading makes of that."""
    shape = f"translate({text}, '12345678', '99999999')"
    found = rows.ask(
        f"SELECT {shape} AS shape, count(*) AS n, count(TRY_CAST({text} AS DOUBLE)), min(line_number), "
        f"arg_min({text}, line_number), sum(n) OVER () FROM {rows.table} WHERE {text} IS NOT NULL "
        f"GROUP BY shape ORDER BY n DESC, shape LIMIT {MOST_SHAPES}"
    )
    shapes = tuple(_Shape(*each[:-1]) for each in found)
    tallies = tuple(_count(reading, shapes, _is_whole(column)) for reading in READINGS)
    return _Column(column, int(found[0][-1]), shapes, tallies)


def _count(reading: NumberReading, shapes: Sequence[_Shape], is_whole: bool) -> _Tally:
    """Count what a reading reads; a column of whole numbers has none with decimals."""
    read = {shape.text: reading.read(shape.text) for shape in shapes}
    numbers = {text: number for text, number in read.items() if number is not None and not (is_whole and number % 1)}
    return _Tally(reading, numbers, sum(shape.values for shape in shapes if shape.text in numbers))


def _differing(tallies: Sequence[_Tally]) -> _Tally | None:
    """The first of some readings that makes another number of a value than the very first does."""
    first, *others = tallies
    return next((other for other in others if _where_they_differ(first, other)), None)


def _where_they_differ(one: _Tally, other: _Tally) -> set[str]:
    both = one.numbers.keys() & other.numbers.keys()
    return {text for text in both if one.numbers[text] != other.numbers[text]}


def _narrow(column: _Column, proven: set[str], delimiter: str) -> Sequence[_Tally]:
    """The readings that go with the rest of the file."""
    if len(proven) == 1 and (fitting := [tally for tally in column.best if tally.reading.decimal in proven]):
        return fitting
    if delimiter == "," and any("," in shape.text for shape in column.shapes):
        # Whoever writes decimals with a comma separates values by something else.
        return [tally for tally in column.best if tally.reading.decimal == "."] or column.best
    return column.best


def _settle(path: Path, column: _Column, fitting: Sequence[_Tally]) -> NumberReading:
    """The reading of a column, unless several fit, or too many of its values are written in another way."""
    tally = fitting[0]
    if other := _differing(fitting):
        raise ExportError(_tell_undecided(path, column, tally, other))
    plain = sum(shape.plain for shape in column.shapes if shape.text in tally.numbers)
    if tally.read == plain and (tally.reading.decimal, tally.reading.grouping) == (".", ""):
        return PLAIN
    few = count_few(column.present)
    _require_alike(path, column, tally, few)
    _require_one_unit(path, column, few)
    header, example = column.delivered.header, tally.reading.example
    return replace(
        tally.reading, evidence=f"{tally.read:,} of {column.present:,} values of {header} read like {example}."
    )


def _require_alike(path: Path, column: _Column, tally: _Tally, few: float) -> None:
    for other in column.tallies:
        only = [shape for shape in column.shapes if shape.text in other.numbers and shape.text not in tally.numbers]
        if (count := sum(shape.values for shape in only)) > few:
            first = min(only, key=lambda shape: shape.line)
            raise ExportError(
                f"{path}: the numbers in column {column.delivered.header} are written in two ways: {tally.read:,} of "
                f"{column.present:,} read like {tally.reading.example}, and {count:,} only like "
                f"{other.reading.example} (line {first.line:,}: {first.example!r}). Deliver them all in one way."
            )


def _require_one_unit(path: Path, column: _Column, few: float) -> None:
    """Refuse amounts in several currencies, and shares beside numbers in per cent: they cannot be compared."""
    by_unit: dict[str, list[_Shape]] = {}
    for shape in column.shapes:
        found = UNIT.search(shape.text)
        by_unit.setdefault(found[0] if found else "", []).append(shape)
    units = [
        (unit, sum(shape.values for shape in shapes), min(shape.line for shape in shapes))
        for unit, shapes in by_unit.items()
    ]
    units = sorted((each for each in units if each[1] > few), key=lambda each: (-each[1], each[0]))
    named = [unit for unit, *_ in units if unit]
    # Where some amounts have their sign and others none, it is the same one.
    if len(named) > 1 or (len(units) > 1 and "%" in named):
        told = " and ".join(f"{count:,} with {unit or 'none'} (line {line:,})" for unit, count, line in units)
        raise ExportError(
            f"{path}: the numbers in column {column.delivered.header} have different signs: {told}. They cannot "
            "be compared: deliver them all in one unit."
        )


def _tell_undecided(path: Path, column: _Column, one: _Tally, other: _Tally) -> str:
    differing = _where_they_differ(one, other)
    first = min((shape for shape in column.shapes if shape.text in differing), key=lambda shape: shape.line)
    readings = (one.reading, other.reading)
    numbers = " or ".join(f"{reading.read(first.example):.10g}" for reading in readings)
    return (
        f"{path}: nothing says whether {first.example!r} in column {column.delivered.header} (line {first.line:,}) is "
        f"{numbers}: all {column.present:,} values can be read both ways. Say in the contract how "
        f"they are written (customProperties: [{{property: {NUMBER_FORMAT}, value: '{readings[0].example}'}}], or "
        f"'{readings[1].example}'), or deliver them without marks between thousands."
    )
