"""Texts that DuckDB cannot read as they are, copied as UTF-8 with line feeds, in pieces and little memory.

UTF-16 and Windows-1252 are read so, lines that end in several ways, and what stands above the header with a quotation
mark that nobody closes.
"""

import codecs
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.exports.csv_text import Survey, open_text, read_pieces, survey_text
from smartcart_pipeline.exports.header import LINE_ENDS
from smartcart_pipeline.exports.nameless import NamelessFile

# So many bytes tell UTF-16 that has no byte order mark.
START = 64
# What people call encodings, by the name of Python's codec.
ENCODINGS = {"utf-16-le": "utf-16", "utf-16-be": "utf-16", "cp1252": "windows-1252"}


@dataclass(frozen=True)
class Text:
    """A text, and how it can be read.

    Attributes:
        codec: Its encoding, by Python's name.
        survey: What was found out about it, or about the copy.
        copy: It in UTF-8, where it cannot be read as it is.
    """

    codec: str
    survey: Survey
    copy: NamelessFile | None = None

    @property
    def encoding(self) -> str:
        """What people call its encoding."""
        return ENCODINGS.get(self.codec, self.codec)

    @property
    def start(self) -> str:
        """Its beginning."""
        codec = "utf-8-sig" if self.copy or self.codec == "utf-8" else self.codec
        return self.survey.start.decode(codec, errors="replace")


def look_at_text(path: Path, gzipped: bool) -> Text:
    """Read a text once.

    Args:
        path: The file.
        gzipped: Whether it is compressed.

    Returns:
        What it is; UTF-16 as a copy.

    Raises:
        ExportError: If it is no text of lines, or no text at all.
        HomeError: If there is no room for a copy.
    """
    with open_text(path, gzipped) as text:
        start = text.read(START)
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise ExportError(f"{path}: the text is UTF-32. Save it as UTF-8 and deliver it again.")
    if codec := find_utf16(start):
        return copy_text(path, gzipped, codec)
    survey = survey_text(path, read_pieces(path, gzipped))
    # Latin-1 has no letters there: a text that has is of another encoding, most likely Windows-1252.
    is_windows = survey.encoding == "latin-1" and survey.has_c1_controls
    return Text("cp1252" if is_windows else survey.encoding, survey)


def find_utf16(start: bytes) -> str | None:
    """Whether a text is UTF-16.

    Args:
        start: Its first `START` bytes.

    Returns:
        Python's name of the codec; None where it is another encoding.
    """
    if start.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if start.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    even, odd = start[::2], start[1::2]
    if len(odd) > 1 and len(even) == len(odd):
        if all(even) and not any(odd):
            return "utf-16-le"
        if all(odd) and not any(even):
            return "utf-16-be"
    return None


def copy_text(path: Path, gzipped: bool, codec: str, blanked: int = 0) -> Text:
    """Copy a text as UTF-8, every line of it ended by a line feed.

    Args:
        path: The file.
        gzipped: Whether it is compressed.
        codec: Its encoding, by Python's name.
        blanked: So many lines at the beginning become blank ones.

    Returns:
        The copy.

    Raises:
        ExportError: As `look_at_text`, or if something is not of that encoding.
        HomeError: If there is no room for it.
    """
    copy = NamelessFile()
    texts = _blank(_decode(path, read_pieces(path, gzipped), codec), blanked)
    survey = survey_text(path, copy.keep(text.encode() for text in texts))
    return Text(codec, survey, copy)


def _decode(path: Path, pieces: Iterable[bytes], codec: str) -> Iterator[str]:
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(codec)(), translate=True)
    lines, first = 1, True
    for piece, final in chain(((piece, False) for piece in pieces), [(b"", True)]):
        try:
            text = decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode(codec)
            raise _undecodable(path, lines + len(LINE_ENDS.findall(good)), codec) from None
        yield text.removeprefix("\ufeff") if first else text
        lines, first = lines + text.count("\n"), False


def _undecodable(path: Path, line: int, codec: str) -> ExportError:
    name = ENCODINGS.get(codec, codec)
    told = "the text is neither UTF-8 nor Latin-1, and " if codec == "cp1252" else ""
    return ExportError(
        f"{path}: {told}line {line:,} holds bytes that are no letter in {name.title().replace('Utf', 'UTF')}. "
        "Save it as UTF-8 and deliver it again."
    )


def _blank(texts: Iterable[str], lines: int) -> Iterator[str]:
    """Leave nothing of so many lines but their ends."""
    for text in texts:
        rest = text
        while lines and rest:
            _, end, rest = rest.partition("\n")
            lines -= bool(end)
            yield end
        yield rest
