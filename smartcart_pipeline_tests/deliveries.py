"""Write a table as companies deliver theirs: the same table, the same bytes, with the clock of the night it is of."""

import csv
import gzip
import io
import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

# When files are put down, by their own clock.
HOUR = time(5, 30, tzinfo=UTC)
# The first day that a ZIP archive can tell.
LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Format:
    """What a file is.

    Attributes:
        suffix: What its name ends in.
        delimiter: Of a CSV, between its cells.
        encoding: Of a CSV.
        newline: Of a CSV, after its rows.
    """

    suffix: str
    delimiter: str = ","
    encoding: str = "utf-8"
    newline: str = "\n"


FORMATS = {
    "csv": Format(".csv"),
    "csv semicolon": Format(".csv", delimiter=";", newline="\r\n"),
    "csv tab": Format(".csv", delimiter="\t"),
    "csv latin-1": Format(".csv", delimiter=";", encoding="latin-1", newline="\r\n"),
    "csv with mark": Format(".csv", encoding="utf-8-sig", newline="\r\n"),
    "csv.gz": Format(".csv.gz"),
    "parquet": Format(".parquet"),
    "xlsx": Format(".xlsx"),
}


def write_table(table: pa.Table, path: Path, file_format: str, dates: str = "%Y-%m-%d") -> None:
    """Write a table.

    Args:
        table: The table.
        path: Where; a file of that name is replaced.
        file_format: One of `FORMATS`.
        dates: How a CSV writes its dates, as of `strftime`.
    """
    known = FORMATS[file_format]
    match known.suffix:
        case ".parquet":
            pyarrow.parquet.write_table(table, path)
        case ".xlsx":
            path.write_bytes(_workbook(table))
        case ".csv.gz":
            # No name and no time, which gzip would put into the file.
            path.write_bytes(gzip.compress(_csv_text(table, known, dates).encode(known.encoding), mtime=0))
        case _:
            path.write_bytes(_csv_text(table, known, dates).encode(known.encoding))


def put_down(path: Path, day: date) -> Path:
    """Set a file's clock to the night of a day."""
    moment = datetime.combine(day, HOUR).timestamp()
    os.utime(path, (moment, moment))
    return path


def csv_of(headers: Sequence[str], rows: Sequence[Sequence[str | None]], delimiter: str = ",", end: str = "\n") -> str:
    """The text of a CSV, with quotes where they are needed."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(headers)
    writer.writerows(rows)
    return text.getvalue()


def _csv_text(table: pa.Table, known: Format, dates: str) -> str:
    columns = [_texts(column.combine_chunks(), dates) for column in table.columns]
    return csv_of(table.column_names, list(zip(*columns, strict=True)), known.delimiter, known.newline)


def _texts(column: pa.Array, dates: str) -> list[str | None]:
    if pa.types.is_date(column.type):
        column = pc.strftime(column, format=dates)
    return column.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]


def _workbook(table: pa.Table) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Customers")
    sheet.append(table.column_names)
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        sheet.append(row)
    made = io.BytesIO()
    book.save(made)
    return _without_clock(made)


def _without_clock(made: io.BytesIO) -> bytes:
    """A workbook that does not tell when it was written."""
    still = io.BytesIO()
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(still, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2026-01-01T00:00:00Z", content)
            new.writestr(zipfile.ZipInfo(name, LONG_AGO), content, zipfile.ZIP_DEFLATED)
    return still.getvalue()
