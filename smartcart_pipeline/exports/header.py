"""Where the header of an export stands, and what separates its values.

Above it there may be what only people or spreadsheets read: a title, who made the file and when, blank lines, and a
line such as `sep=;`.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from smartcart_pipeline.declaration.contract import Contract

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
# Among so many lines is the header.
HEAD_LINES = 20
# So many lines tell what separates values where the headers don't.
GUESSED_LINES = 50
# Fewer columns than these are no evidence of a header under a title.
FEWEST_COLUMNS, FEWEST_ROWS = 3, 2

SEPARATOR_LINE = re.compile(r'\ufeff?\s*"?sep=([,;\t|])"?[\s,;|]*', re.IGNORECASE)
BLANK_LINE = re.compile(r'[\s,;|"]*')
LINE_ENDS = re.compile("\r\n|\r|\n")


@dataclass(frozen=True)
class Header:
    """The line with the names of the columns.

    Attributes:
        skipped: How many lines stand above it.
        headers: The names, in order, without surrounding space.
        delimiter: What separates values.
    """

    skipped: int
    headers: tuple[str, ...]
    delimiter: str = ","


def split_lines(start: str) -> list[str]:
    """The first lines of a text, and all the rest of its beginning as the last one.

    Args:
        start: The beginning of a text.

    Returns:
        Lines without what ends them; one at least.
    """
    return LINE_ENDS.split(start, maxsplit=HEAD_LINES + GUESSED_LINES)


def find_header(lines: Sequence[str], contract: Contract) -> Header:
    """Find the header of a text.

    Args:
        lines: Its first lines, from `split_lines`.
        contract: What its columns must be; one of no columns where nobody knows yet.

    Returns:
        The line among the first 20 that has most of the contract's headers, the first of them where several have; the
        first line where none has any.
    """
    told = SEPARATOR_LINE.fullmatch(lines[0])
    first = 1 if told and len(lines) > 1 else 0
    delimiters = [told[1]] if told else list(DELIMITERS)
    if not contract.columns:
        return _guess_header(lines, first, delimiters)
    return _best_match(
        (
            Header(number, split_line(lines[number], delimiter), delimiter)
            for number in range(first, min(len(lines), HEAD_LINES))
            for delimiter in delimiters
        ),
        contract,
    )


def find_header_row(rows: Sequence[tuple[str, ...]], contract: Contract) -> Header:
    """Find the header of a sheet.

    Args:
        rows: Its first rows, as texts; one at least.
        contract: As for `find_header`.

    Returns:
        As `find_header`.
    """
    if contract.columns:
        return _best_match((Header(number, row) for number, row in enumerate(rows)), contract)
    first = next((number for number, row in enumerate(rows) if any(row)), 0)
    if _filled(rows[first]) * 2 > len(rows[first]):
        return Header(first, rows[first])
    number = _evident_header(rows, first) or first
    return Header(number, rows[number])


def _best_match(candidates: Iterable[Header], contract: Contract) -> Header:
    def matches(candidate: Header) -> int:
        names = dict.fromkeys(candidate.headers).keys()
        return sum(column.header in names for column in contract.as_delivered(names).delivered)

    return max(candidates, key=matches)


def _guess_header(lines: Sequence[str], first: int, delimiters: list[str]) -> Header:
    """The first line that is not blank; one further down only where that is evident."""
    rest = range(first, min(len(lines), HEAD_LINES))
    first = next((number for number in rest if not BLANK_LINE.fullmatch(lines[number])), first)
    evidence = {delimiter: _evidence(lines[first:], delimiter) for delimiter in delimiters}
    delimiter = max(delimiters, key=lambda candidate: evidence[candidate])
    header = Header(first, split_line(lines[first], delimiter), delimiter)
    has_several, alike, *_ = evidence[delimiter]
    if has_several and alike >= 1 / 2 and _filled(header.headers) * 2 > len(header.headers):
        return header
    titled = []
    for candidate in delimiters:
        rows = [split_line(line, candidate) for line in lines[: HEAD_LINES + GUESSED_LINES]]
        if number := _evident_header(rows, first):
            titled.append(Header(number, rows[number], candidate))
    return max(titled, key=lambda each: len(each.headers), default=header)


def _evidence(lines: Sequence[str], delimiter: str) -> tuple[bool, float, int, int]:
    """What speaks for a delimiter: that most lines have as many values as the first, the header, and these are many."""
    columns = split_line(lines[0], delimiter)
    rows = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
    try:
        widths = [len(row) for row in islice(rows, GUESSED_LINES + 1) if row][1:GUESSED_LINES]
    except csv.Error:
        widths = []
    alike = sum(width == len(columns) for width in widths) / max(len(widths), 1)
    # A quotation mark within a header says that it was cut in two.
    cut = sum('"' in column for column in columns)
    return len(columns) > 1, alike, -cut, len(columns)


def _evident_header(rows: Sequence[tuple[str, ...]], first: int) -> int | None:
    """The row that names every column of all rows below it, while those above fill half of the columns at most."""
    for number in range(first + 1, min(len(rows), HEAD_LINES)):
        header, below = rows[number], [row for row in rows[number + 1 :] if any(row)]
        columns = len(header)
        if (
            columns >= FEWEST_COLUMNS
            and len(set(filter(None, header))) == columns
            and len(below) >= FEWEST_ROWS
            and all(_filled(row) * 2 <= columns for row in rows[first:number])
            and all(len(row) == columns and _filled(row) * 2 > columns for row in below)
        ):
            return number
    return None


def _filled(row: tuple[str, ...]) -> int:
    return sum(map(bool, row))


def split_line(line: str, delimiter: str) -> tuple[str, ...]:
    """The values of a line.

    Args:
        line: It, without what ends it.
        delimiter: What separates values.

    Returns:
        Texts without surrounding space.
    """
    try:
        values = next(csv.reader([line.removeprefix("\ufeff")], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:  # a value too long to be a header
        values = [line]
    return tuple(value.strip() for value in values)
