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
from itertools import islice
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
        size: How many bytes it has.
        encoding: `utf-8` or `latin-1`.
        lines: How many lines it has.
        line_end: What ends them; a carriage return and a line feed count as a line feed.
        ended: How many lines it has where every line feed and every carriage return, or both together, ends one.
        is_mixed: Whether there are line ends of several kinds, be it within values.
        has_c1_controls: Whether it has bytes that are no letters in Latin-1.
        damaged_line: The line where it ceases to be UTF-8 that has had letters in UTF-8 before; 0 where there is none.
    """

    start: bytes = b""
    size: int = 0
    encoding: str = "utf-8"
    lines: int = 0
    line_end: LineEnd = "\n"
    ended: int = 0
    is_mixed: bool = False
    has_c1_controls: bool = False
    damaged_line: int = 0


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


def read_pieces(path: Path, gzipped: bool) -> Iterator[bytes]:
    """Read the bytes of a text.

    Args:
        path: The file.
        gzipped: Whether it is compressed.

    Yields:
        Pieces of it.

    Raises:
        ExportError: If the text is out of proportion to the file.
    """
    size = 0
    most = max(UNFOLDED_UNASKED, MAX_UNFOLDING * path.stat().st_size) if gzipped else None
    with open_text(path, gzipped) as text:
        while piece := text.read(CHUNK):
            size += len(piece)
            if most is not None and size > most:
                raise ExportError(
                    f"{path}: the compressed file of {path.stat().st_size:,} bytes holds more than {most:,} bytes of "
                    "text, as no export of customers does: most of it is one and the same again and again, like blank "
                    "lines. Deliver the export without them, or not compressed."
                )
            yield piece


def survey_text(path: Path, pieces: Iterable[bytes]) -> Survey:
    """Look at a text once from its beginning to its end.

    Args:
        path: The file.
        pieces: Its bytes.

    Returns:
        What was found out.

    Raises:
        ExportError: If a line is longer than any line of an export.
    """
    survey, unended = Survey(), 0
    feeds, returns, pairs, end = 0, 0, 0, b""
    letters = _Letters()
    for piece in pieces:
        if len(survey.start) < CHUNK:
            survey.start += piece
        letters.look_at(piece, feeds or returns)
        feeds, found = feeds + piece.count(b"\n"), piece.count(b"\r")
        # Most texts have none, and looking for two letters takes longest.
        pairs += (piece.count(b"\r\n") if found else 0) + (end == b"\r" and piece.startswith(b"\n"))
        returns += found
        survey.has_c1_controls = survey.has_c1_controls or bool(not piece.isascii() and C1_CONTROLS.search(piece))
        survey.size, end = survey.size + len(piece), piece[-1:] or end
        unended = _unended(piece, unended)
        if unended > MAX_LINE_BYTES:
            raise ExportError(
                f"{path}: line {(feeds or returns) + 1:,} is longer than {MAX_LINE_BYTES:,} bytes: this is no text "
                "with a line for each customer. Deliver the export again."
            )
    letters.look_at(b"", feeds or returns, final=True)
    survey.encoding, survey.damaged_line = letters.encoding, letters.damaged_line
    survey.line_end = "\n" if feeds or not returns else "\r"
    survey.lines = (feeds or returns) + (end != survey.line_end.encode())
    survey.ended = feeds + returns - pairs + (end not in (b"\n", b"\r"))
    survey.is_mixed = sum(map(bool, (feeds - pairs, returns - pairs, pairs))) > 1
    return survey


def _unended(piece: bytes, unended: int) -> int:
    """How many bytes at least of the line that is under way have been read; of a longer one, where that is too long."""
    longest = 0
    for start in range(0, len(piece), BLOCK):
        size = min(BLOCK, len(piece) - start)
        unended = 0 if LINE_END.search(piece, start, start + BLOCK) else unended + size
        longest = max(longest, unended)
    return longest if longest > MAX_LINE_BYTES else unended


class _Letters:
    """Whether the letters of a text are UTF-8, as far as it has been looked at."""

    def __init__(self) -> None:
        self.encoding, self.damaged_line = "utf-8", 0
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="strict")
        self.has_letters = False

    def look_at(self, piece: bytes, lines: int, final: bool = False) -> None:
        """Look at a piece that so many lines end before."""
        if self.encoding != "utf-8":
            return
        try:
            self.decoder.decode(piece, final)
            self.has_letters = self.has_letters or not piece.isascii()
        except UnicodeDecodeError as error:
            self.encoding, good = "latin-1", error.object[: error.start]
            if self.has_letters or not good.isascii():
                self.damaged_line = lines + 1 + (good.count(b"\n") or good.count(b"\r"))


def strange_lines(
    path: Path, gzipped: bool, line_end: LineEnd, delimiter: str, columns: int, skipped: int = 0
) -> Iterator[Line]:
    """The lines of a text that are blank or have more values than the header, and its last line.

    Args:
        path: The file.
        gzipped: Whether it is compressed.
        line_end: What ends its lines.
        delimiter: What separates values.
        columns: How many columns the header has.
        skipped: How many lines above the header are none of them.

    Yields:
        Lines in their order; the last one in any case.
    """
    with open_text(path, gzipped) as text:
        lines = islice(_physical_lines(text, line_end), skipped, None)
        yield from _strange_lines(lines, delimiter.encode(), columns, skipped)


def _physical_lines(text: gzip.GzipFile | io.BufferedReader, line_end: LineEnd) -> Iterator[bytes]:
    if line_end == "\n":
        yield from text
    else:
        with io.TextIOWrapper(text, "latin-1", newline=line_end) as lines:
            yield from (line.encode("latin-1") for line in lines)


def _strange_lines(text: Iterable[bytes], delimiter: bytes, columns: int, number: int) -> Iterator[Line]:
    size, delimiters, blank, inside = 0, 0, 0, False
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


def ends_within_quotes(lines: Iterable[str], delimiter: str) -> bool:
    """Whether a quoted value goes on after the end of one of some lines.

    Args:
        lines: Lines without what ends them.
        delimiter: What separates values.

    Returns:
        Whether so.
    """
    return any(_walk(line.encode(), delimiter.encode(), inside=False)[0] for line in lines)


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
