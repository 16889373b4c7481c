"""Exports: finding out what a file is before a row of it is read.

A file is judged by what is in it, never by its name: an Excel workbook named `.csv` is a workbook.
"""

import difflib
import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from smartcart_pipeline.declaration.contract import Contract, DeliveredColumn
from smartcart_pipeline.declaration.errors import CallError, ExportError, HomeError
from smartcart_pipeline.exports.csv_text import CHUNK, LineEnd, ends_within_quotes
from smartcart_pipeline.exports.header import DELIMITERS, Header, find_header, find_header_row, split_lines
from smartcart_pipeline.exports.nameless import NamelessFile
from smartcart_pipeline.exports.transcoding import Text, copy_text, look_at_text
from smartcart_pipeline.exports.workbook import read_workbook
from smartcart_pipeline.storage.arrivals import kind_of

# So many columns beyond the contract are carried along at most.
MAX_FURTHER = 200
NAMED_HEADERS, NAMED_CHARACTERS = 3, 60

Kind = Literal["csv", "parquet", "excel"]


@dataclass(frozen=True)
class Export:
    """A file of customers, and how to read it.

    Attributes:
        path: Where it is.
        contract: What it was held against, with the header that the file has of each column.
        kind: What it is.
        headers: Its column headers, in order, without surrounding space.
        content_hash: SHA-256 of the file's bytes, in hexadecimal.
        rows: How many customers it holds; of a CSV about, by its line ends.
        encoding: `utf-8`, `latin-1`, `utf-16` or `windows-1252`, of a CSV.
        delimiter: What separates values, of a CSV.
        gzipped: Whether a CSV is compressed.
        lines: How many lines a CSV has, by what ends them.
        line_end: What ends the lines of a CSV; a carriage return and a line feed count as a line feed.
        skipped: How many lines stand above the header.
        cells: The lines of a workbook.
        copy: A CSV in UTF-8 and not compressed, where it cannot be read as it is.
    """

    path: Path
    contract: Contract
    kind: Kind
    headers: tuple[str, ...]
    content_hash: str
    rows: int
    encoding: str = "utf-8"
    delimiter: str = ","
    gzipped: bool = False
    lines: int = 0
    line_end: LineEnd = "\n"
    skipped: int = 0
    cells: NamelessFile | None = field(default=None, repr=False, compare=False)
    copy: NamelessFile | None = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> tuple[Path, bool, str]:
        """Where the text of a CSV is read, whether it is compressed there, and its encoding there."""
        return (self.copy.path, False, "utf-8") if self.copy else (self.path, self.gzipped, self.encoding)

    @property
    def separator(self) -> str:
        """What separates values, of a CSV; empty of other files."""
        return self.delimiter if self.kind == "csv" else ""

    @property
    def further(self) -> tuple[int, ...]:
        """Where columns beyond the contract stand, from 0."""
        expected = self.contract.headers
        return tuple(number for number, header in enumerate(self.headers) if header not in expected)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The headers of the columns that are neither the contract's nor among those that are carried along."""
        return tuple(self.headers[number] for number in self.further[MAX_FURTHER:])

    @property
    def format(self) -> str:
        """The format in words, e.g. `CSV, semicolon, utf-8`."""
        if self.kind != "csv":
            return {"parquet": "Parquet", "excel": "Excel workbook"}[self.kind]
        return ", ".join(["CSV", DELIMITERS[self.delimiter], self.encoding, *(["gzip"] if self.gzipped else [])])


def tell_left_out(export: Export) -> str:
    """What is not read of an export, for people.

    Args:
        export: An export that has columns which are left out.

    Returns:
        A sentence.
    """
    named = [header[:NAMED_CHARACTERS] for header in export.left_out[:NAMED_HEADERS]]
    more = ["…"] if len(export.left_out) > NAMED_HEADERS else []
    return (
        f"{export.path.name} has {len(export.further):,} columns beyond the contract: the first {MAX_FURTHER} are "
        f"carried along, {len(export.left_out):,} are left out ({', '.join(named + more)})."
    )


def tell_skipped(export: Export) -> str:
    """What stands above the header of an export, for people.

    Args:
        export: An export whose header is not its first line.

    Returns:
        A sentence.
    """
    if export.skipped == 1:
        return f"The first line of {export.path.name} stands above the header and is no customer."
    return f"The first {export.skipped:,} lines of {export.path.name} stand above the header and are no customers."


def hash_content(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inspect_export(path: Path, contract: Contract) -> Export:
    """Find out what a file is, and hold its headers against the contract.

    Args:
        path: The file.
        contract: What its columns must be.

    Returns:
        What it is and how to read it.

    Raises:
        ExportError: If it cannot be read as an export, or a column is missing or repeated.
        CallError: If there is no such file.
        HomeError: If the pipeline may not read it.
    """
    if not path.exists():
        raise CallError(f"{path}: no such file. Name the customer export with --input, or put it there.")
    if kind := kind_of(path.resolve()):
        raise CallError(f"{path}: is {kind}, no file. Name the customer export with --input.")
    export = _inspect(path, contract)
    _require_one_look(export)
    export = replace(export, contract=contract.as_delivered(export.headers))
    _require_headers(export)
    return export


def find_synonyms(export: Export, contract: Contract) -> dict[str, str]:
    """Which columns came under another header than the usual one: a synonym, or one that looks alike.

    Args:
        export: The file.
        contract: The contract, with the usual headers.

    Returns:
        The headers that the file has, by the usual ones; nothing of columns that came under these.
    """
    both = zip(contract.columns, export.contract.columns, strict=True)
    return {usual.header: found.header for usual, found in both if found.header != usual.header}


def find_by_sight(export: Export, contract: Contract) -> dict[str, str]:
    """Which columns came under a header that is none of theirs as it stands, but looks like one.

    Args:
        export: The file.
        contract: The contract, with the usual headers.

    Returns:
        The headers that the file has, by the usual ones.
    """
    both = zip(contract.columns, export.contract.columns, strict=True)
    return {usual.header: found.header for usual, found in both if found.header not in usual.accepted}


def tell_by_sight(export: Export, contract: Contract) -> str | None:
    """Which headers were read by sight, for people.

    Args:
        export: The file.
        contract: The contract, with the usual headers.

    Returns:
        A sentence that names the first of them; None where there are none.
    """
    found = find_by_sight(export, contract)
    return tell_read("Read by sight", {header: usual for usual, header in found.items()}) if found else None


def tell_read(said: str, meant: Mapping[str, str]) -> str:
    """What texts of a file were taken for, for people.

    Args:
        said: How the sentence begins.
        meant: What each text stands for.

    Returns:
        A sentence that names the first of them.
    """
    named = [f"'{text[:NAMED_CHARACTERS]}' for {of}" for text, of in islice(meant.items(), NAMED_HEADERS)]
    more = ["…"] if len(meant) > NAMED_HEADERS else []
    return f"{said}: {', '.join(named + more)}{'' if more else '.'}"


def inspect_unknown(path: Path) -> Export:
    """Find out what a file is whose columns no contract tells yet.

    Args:
        path: The file.

    Returns:
        What it is and how to read it, held against a contract of no columns: all of its columns are further ones.

    Raises:
        FaultError: As `inspect_export`, but for its headers.
    """
    if not path.exists():
        raise CallError(f"{path}: no such file. Name a file of customers.")
    if kind := kind_of(path.resolve()):
        raise CallError(f"{path}: is {kind}, no file. Name a file of customers.")
    return _inspect(path, Contract("", ()))


def find_kind(path: Path) -> tuple[Kind, bool]:
    """What a file is, by how it begins.

    Args:
        path: The file.

    Returns:
        Its kind, and whether it is a text that is compressed.

    Raises:
        ExportError: If it is empty.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise ExportError(f"{path}: the file is empty. Deliver the export again.")
    if start.startswith(b"PAR1"):
        return "parquet", False
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "excel", False
    return "csv", start.startswith(b"\x1f\x8b")


def _inspect(path: Path, contract: Contract) -> Export:
    try:
        kind, gzipped = find_kind(path)
        if kind == "parquet":
            headers, rows = _inspect_parquet(path)
            return Export(path, contract, "parquet", headers, hash_content(path), rows)
        if kind == "excel":
            return _inspect_workbook(path, contract)
        return _inspect_csv(path, contract, gzipped)
    except PermissionError:
        raise HomeError(f"{path}: not allowed to read this file. Give the pipeline's user the right to.") from None


def _inspect_parquet(path: Path) -> tuple[tuple[str, ...], int]:
    import pyarrow as pa  # noqa: PLC0415  (only for Parquet)
    from pyarrow import parquet  # noqa: PLC0415

    try:
        found = parquet.read_metadata(path)
        return tuple(found.schema.to_arrow_schema().names), found.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise ExportError(f"{path}: the Parquet file is damaged ({error}). Deliver it again.") from None


def _inspect_workbook(path: Path, contract: Contract) -> Export:
    workbook = read_workbook(path)
    header = find_header_row(workbook.head, contract)
    rows = max(workbook.lines - 1 - header.skipped, 0)
    return Export(
        path,
        contract,
        "excel",
        header.headers,
        hash_content(path),
        rows,
        skipped=header.skipped,
        cells=workbook.cells,
    )


def _inspect_csv(path: Path, contract: Contract, gzipped: bool) -> Export:
    try:
        text = look_at_text(path, gzipped)
        lines = split_lines(text.start)
        header = find_header(lines, contract)
        if contract.recognise(header.headers) or not contract.columns:
            if header.skipped == len(lines) - 1 and text.survey.size > len(text.survey.start):
                raise ExportError(
                    f"{path}: the header is longer than {CHUNK:,} bytes. "
                    "Deliver the columns of the contract, and few others."
                )
            text = _make_readable(path, gzipped, text, header, lines[: header.skipped])
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ExportError(f"{path}: the compressed file is damaged or cut off ({error}). Deliver it again.") from None
    survey = text.survey
    return Export(
        path,
        contract,
        "csv",
        header.headers,
        hash_content(path),
        max(survey.ended - 1 - header.skipped, 0),
        text.encoding,
        header.delimiter,
        gzipped,
        survey.lines,
        survey.line_end,
        skipped=header.skipped,
        copy=text.copy,
    )


def _make_readable(path: Path, gzipped: bool, text: Text, header: Header, above: list[str]) -> Text:
    """Copy a text that DuckDB cannot read as it is."""
    survey, is_windows = text.survey, text.codec == "cp1252"
    if is_windows and survey.damaged_line:
        raise ExportError(
            f"{path}: line {survey.damaged_line:,} holds bytes that are no letter in UTF-8, as those of the letters "
            "before it are: the text is damaged, or put together from several. Save it as UTF-8 and deliver it again."
        )
    # DuckDB takes lines above the header that one quoted value spans for one.
    is_open = ends_within_quotes(above, header.delimiter)
    if is_windows or is_open or (survey.is_mixed and above):
        return copy_text(path, gzipped, text.codec, len(above) if is_open else 0)
    return text


def even_line_ends(export: Export) -> Export:
    """Have the lines of a CSV all end alike.

    Args:
        export: The file.

    Returns:
        The same, to be read from a copy whose lines end with line feeds.

    Raises:
        HomeError: If there is no room for the copy.
    """
    text = copy_text(export.path, export.gzipped, export.encoding)
    return replace(export, copy=text.copy, lines=text.survey.lines, line_end=text.survey.line_end)


def _require_one_look(export: Export) -> None:
    """Refuse a file of whose headers two look like one column: which of them it is, nobody can tell."""
    for name, headers in export.contract.find_by_sight(export.headers).items():
        if len(headers) > 1:
            told = " and ".join(f"'{header[:NAMED_CHARACTERS]}'" for header in headers)
            raise ExportError(
                f"{export.path}: the headers {told} look like one column, {export.contract.by_name[name].header}. "
                "Name the right one so, or leave the other out, and deliver the export again."
            )


def _require_headers(export: Export) -> None:
    found, expected = export.headers, export.contract.headers
    missing = [column for column in export.contract.delivered if column.header not in found]
    if len(missing) == len(expected):
        raise ExportError(
            f"{export.path}: this is no customer export: none of the {len(expected)} expected columns is there. "
            f"Its first line has {len(found):,} column{'' if len(found) == 1 else 's'}. "
            f"Expected a header line with {', '.join(sorted(expected))}."
        )
    if missing:
        told = ", ".join(_nearest(column, found, expected) for column in missing)
        raise ExportError(
            f"{export.path}: {len(missing)} of the {len(expected)} expected columns "
            f"{'is' if len(missing) == 1 else 'are'} missing: {told}. "
            "Rename or add what is missing and deliver the export again."
        )
    for name in sorted(expected):
        if found.count(name) > 1:
            raise ExportError(
                f"{export.path}: column {name} stands {found.count(name)} times in the header. "
                "Leave one of them and deliver the export again."
            )


def _nearest(column: DeliveredColumn, found: tuple[str, ...], expected: frozenset[str]) -> str:
    unknown = {header.casefold(): header for header in found if header not in expected}
    names = (column.header, *column.synonyms)
    near = next((near for name in names if (near := difflib.get_close_matches(name.casefold(), unknown, n=1))), None)
    told = f"{column.header} (or {', '.join(column.synonyms)})" if column.synonyms else column.header
    return f"{told} (nearest name found: {unknown[near[0]]!r})" if near else told
