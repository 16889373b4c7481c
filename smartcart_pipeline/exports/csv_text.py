"""The text of a CSV file: its encoding, and which of its lines are no rows, found in one pass and little memory.

Nothing here grows with the file, whatever it holds: a text is read in pieces, what is no text of lines is refused, and
lines are told one after the other.
"""

import codecs
import gzip
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from smartcart_pipeline.declaration.errors import ExportError

CHUNK = 1 << 20
BLOCK = 1 << 16

# Beyond these a text is no export. DuckDB takes lines of up to 2,000,000 bytes for rows, and sets longer ones down as
# unreadable; customers are compressed to a tenth, and those that hardly differ to a fiftieth.
MAX_LINE_BYTES = 32_000_000
MAX_UNFOLDING = 200
UNFOLDED_UNASKED = 64_000_000

C1_CONTROLS = re.compile(rb"[\x80-\x9f]")
LINE_END = re.compile(rb"[\r\n]")
OPENING_QUOTE = re.compile(rb' *"')
QUOTES = re.compile(rb'"+')

LineEnd = Literal["\n", "\r"]


@dataclass
class Survey:
    """What one pass over the bytes of a text finds out.

    Attributes:
        start: The first piece of it.
        encoding: `utf-8` or `latin-1`.
        lines: How many lines it has.
        line_end: What ends them; a carriage return and a line feed count as a line feed.
        has_c1_controls: Whether it has bytes that are no letters in Latin-1.
    """

    start: bytes = b""
    encoding: str = "utf-8"
    lines: int = 0
    line_end: LineEnd = "\n"
    has_c1_controls: bool = False


class Line(NamedTuple):
    """A line that is no row as it should be, several blank ones that follow each other, or the last line of a text.

    Attributes:
        number: Its number, from 1; a value with line breaks in it stands on one line.
        lines: How many blank lines follow each other from there; 0 where the line is not blank.
        faults: How many values more than the header it has, and a quotation mark in the wrong place.
        size: How many bytes it has.
        is_open: Whether the text ends there within quotes.
    """

    number: int
    lines: int = 0
    faults: int = 0
    size: int = 0
    is_open: bool = False


def open_text(path: Path, gzipped: bool) -> gzip.GzipFile | io.BufferedReader:
    """Open a text for reading.

    Args:
        path: The file.
        gzipped: Whether it is compressed.

    Returns:
        The bytes of the text.
    """
    return gzip.open(path) if gzipped else path.open("rb")


def survey_text(path: Path, gzipped: bool) -> Survey:
    """Read a text once from its beginning to its end.

    Args:
        path: The file.
        gzipped: Whether it is compressed.

    Returns:
        What was found out.

    Raises:
        ExportError: If a line is longer than any line of an export, or the text is out of proportion to the file.
    """
    survey, size, unended = Survey(), 0, 0
    feeds, returns, end = 0, 0, b""
    most = max(UNFOLDED_UNASKED, MAX_UNFOLDING * path.stat().st_size) if gzipped else None
    decoder = codecs.getincrementaldecoder("utf-8")(errors="strict")
    with open_text(path, gzipped) as text:
        while chunk := text.read(CHUNK):
            survey.start = survey.start or chunk
            feeds, returns = feeds + chunk.count(b"\n"), returns + chunk.count(b"\r")
            survey.has_c1_controls = survey.has_c1_controls or bool(not chunk.isascii() and C1_CONTROLS.search(chunk))
            if survey.encoding == "utf-8":
                survey.encoding = _still_utf8(decoder, chunk)
            size, end = size + len(chunk), chunk[-1:]
            if most is not None and size > most:
                raise ExportError(
                    f"{path}: the compressed file of {path.stat().st_size:,} bytes holds more than {most:,} bytes of "
                    "text, as no export of customers does: most of it is one and the same again and again, like blank "
                    "lines. Deliver the export without them, or not compressed."
                )
            unended = _unended(chunk, unended)
            if unended > MAX_LINE_BYTES:
                raise ExportError(
                    f"{path}: line {(feeds or returns) + 1:,} is longer than {MAX_LINE_BYTES:,} bytes: this is no text "
                    "with a line for each customer. Deliver the export again."
                )
    if survey.encoding == "utf-8":
        survey.encoding = _still_utf8(decoder, b"", final=True)
    survey.line_end = "\n" if feeds or not returns else "\r"
    survey.lines = (feeds or returns) + (end != survey.line_end.encode())
    return survey


def _unended(chunk: bytes, unended: int) -> int:
    """How many bytes at least of the line that is under way have been read, where that is many."""
    longest = 0
    for start in range(0, len(chunk), BLOCK):
        unended = 0 if LINE_END.search(chunk, start, start + BLOCK) else unended + BLOCK
        longest = max(longest, unended)
    return longest if longest > MAX_LINE_BYTES else unended


def _still_utf8(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> str:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def strange_lines(path: Path, gzipped: bool, line_end: LineEnd, delimiter: str, columns: int) -> Iterator[Line]:
    """The lines of a text that are blank or have more values than the header, and its last line.

    Args:
        path: The file.
        gzipped: Whether it is compressed.
        line_end: What ends its lines.
        delimiter: What separates values.
        columns: How many columns the header has.

    Yields:
        Lines in their order; the last one in any case.
    """
    with open_text(path, gzipped) as text:
        yield from _strange_lines(_physical_lines(text, line_end), delimiter.encode(), columns)


def _physical_lines(text: gzip.GzipFile | io.BufferedReader, line_end: LineEnd) -> Iterator[bytes]:
    if line_end == "\n":
        yield from text
    else:
        with io.TextIOWrapper(text, "latin-1", newline=line_end) as lines:
            yield from (line.encode("latin-1") for line in lines)


def _strange_lines(text: Iterable[bytes], delimiter: bytes, columns: int) -> Iterator[Line]:
    number, size, delimiters, blank, inside = 0, 0, 0, 0, False
    for line in text:
        if not inside:
            number, size, delimiters = number + 1, 0, 0
            if line in (b"\n", b"\r\n", b"\r"):
                blank += 1
                continue
        if blank:
            yield Line(number - blank, lines=blank)
            blank = 0
        size += len(line)
        if inside or b'"' in line:
            inside, found, misplaced = _walk(line, delimiter, inside)
            delimiters += found
        else:
            delimiters, misplaced = line.count(delimiter), False
        faults = max(delimiters + 1 - columns, 0) + misplaced
        if faults and not inside:
            yield Line(number, faults=faults, size=size)
    if blank:
        yield Line(number - blank + 1, lines=blank)
    yield Line(number, size=size, is_open=inside)


def _walk(line: bytes, delimiter: bytes, inside: bool) -> tuple[bool, int, bool]:
    """Whether a quoted value goes on after the end of the line, its delimiters, and whether a quote is misplaced.

    A quotation mark in the middle of a value is a plain letter; two of them in a quoted value stand for one.
    """
    position, delimiters, misplaced = 0, 0, False
    while True:
        if not inside:
            opening = OPENING_QUOTE.match(line, position)
            inside, position = bool(opening), opening.end() if opening else position
        while inside:
            quotes = QUOTES.search(line, position)
            if not quotes:
                return True, delimiters, misplaced
            inside, position = (quotes.end() - quotes.start()) % 2 == 0, quotes.end()
            misplaced |= not inside and line[position : position + 1] not in (delimiter, b"\r", b"\n", b"")
        position = line.find(delimiter, position) + 1
        if not position:
            return False, delimiters, misplaced
        delimiters += 1
