"""Exports: finding out what a file is before a row of it is read.

A file is judged by what is in it, never by its name: an Excel workbook named `.csv` is a workbook.
"""

import codecs
import csv
import difflib
import gzip
import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from smartcart_pipeline.declaration.contract import Contract, DeliveredColumn
from smartcart_pipeline.declaration.errors import CallError, ExportError, HomeError
from smartcart_pipeline.exports.csv_text import CHUNK, LineEnd, survey_text
from smartcart_pipeline.exports.workbook import Cells, read_workbook
from smartcart_pipeline.storage.arrivals import kind_of

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
# So many columns beyond the contract are carried along at most.
MAX_FURTHER = 200
NAMED_HEADERS, NAMED_CHARACTERS = 3, 60
# So many lines tell what separates values where the headers don't.
GUESSED_LINES = 50

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
        encoding: `utf-8` or `latin-1`, of a CSV.
        delimiter: What separates values, of a CSV.
        gzipped: Whether a CSV is compressed.
        lines: How many lines a CSV has, by what ends them.
        line_end: What ends the lines of a CSV; a carriage return and a line feed count as a line feed.
        cells: The rows of a workbook.
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
    cells: Cells | None = field(default=None, repr=False, compare=False)

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


def _inspect(path: Path, contract: Contract) -> Export:
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if not start:
            raise ExportError(f"{path}: the file is empty. Deliver the export again.")
        if start.startswith(b"PAR1"):
            headers, rows = _inspect_parquet(path)
            return Export(path, contract, "parquet", headers, hash_content(path), rows)
        if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
            workbook = read_workbook(path)
            return Export(
                path, contract, "excel", workbook.headers, hash_content(path), workbook.rows, cells=workbook.cells
            )
        return _inspect_csv(path, contract, gzipped=start.startswith(b"\x1f\x8b"))
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


def _inspect_csv(path: Path, contract: Contract, gzipped: bool) -> Export:
    try:
        survey = survey_text(path, gzipped)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ExportError(f"{path}: the compressed file is damaged or cut off ({error}). Deliver it again.") from None
    if survey.start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ExportError(f"{path}: the text is UTF-16. Save it as UTF-8 and deliver it again.")
    encoding = "utf-8-sig" if survey.encoding == "utf-8" else survey.encoding
    start = survey.start.decode(encoding, errors="replace")
    line, *ended = re.split("[\r\n]", start, maxsplit=1)
    if contract.columns:
        delimiter = max(DELIMITERS, key=lambda candidate: len(contract.recognise(_split(line, candidate))))
    else:
        delimiter = _guess_delimiter(line, start)
    headers = _split(line, delimiter)
    if contract.recognise(headers) or not contract.columns:
        if len(survey.start) == CHUNK and not ended:
            raise ExportError(
                f"{path}: the header is longer than {CHUNK:,} bytes. "
                "Deliver the columns of the contract, and few others."
            )
        # Latin-1 has no letters there: a text that has is of another encoding, most likely Windows-1252.
        if survey.encoding == "latin-1" and survey.has_c1_controls:
            raise ExportError(
                f"{path}: the text is neither UTF-8 nor Latin-1 (it may be Windows-1252). "
                "Save it as UTF-8 and deliver it again."
            )
    return Export(
        path,
        contract,
        "csv",
        headers,
        hash_content(path),
        max(survey.lines - 1, 0),
        survey.encoding,
        delimiter,
        gzipped,
        survey.lines,
        survey.line_end,
    )


def _guess_delimiter(header: str, start: str) -> str:
    """What separates values where no header is known: what most lines have as often as the header, most often."""

    def evidence(candidate: str) -> tuple[bool, float, int, int]:
        columns = _split(header, candidate)
        rows = csv.reader(start.splitlines(keepends=True), delimiter=candidate, skipinitialspace=True)
        try:
            widths = [len(row) for row in islice(rows, GUESSED_LINES + 1) if row][1:GUESSED_LINES]
        except csv.Error:
            widths = []
        alike = sum(width == len(columns) for width in widths) / max(len(widths), 1)
        # A quotation mark within a header says that it was cut in two.
        cut = sum('"' in column for column in columns)
        return len(columns) > 1, alike, -cut, len(columns)

    return max(DELIMITERS, key=evidence)


def _split(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        return _texts(next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), []))
    except csv.Error:  # a value too long to be a header
        return (line.strip(),)


def _texts(cells: list[str]) -> tuple[str, ...]:
    return tuple(str(cell).strip() for cell in cells)


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
