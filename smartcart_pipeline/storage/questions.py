"""Questions to a publication: one SELECT, strictly read-only, its answer streamed to where people want it.

A publication is asked, not its published copy, so that nothing that somebody's session does to the copy is in the way.
"""

import difflib
import json
import math
import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import duckdb

from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.engines.sql import file_literal, identifier, literal
from smartcart_pipeline.storage.damage import require_sound
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.warehouse import open_warehouse

# What DuckDB says of a file that it cannot read.
DAMAGED = (
    duckdb.IOException,
    duckdb.InternalException,
    duckdb.FatalException,
    duckdb.SerializationException,
    duckdb.InvalidInputException,
)

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 50_000

# What makes a spreadsheet take a text for a formula, unless it is a number with a sign, as an id may be.
FORMULA = r"^[=+\-@\t\r]"
SIGNED = r"^[+\-][0-9][0-9.,]*$"


# Types that a file has no value for, or a wrong one: such values are written as DuckDB says them.
_NOT_IN_ARROW = {"bignum", "bit", "interval", "time with time zone", "uhugeint", "union", "variant"}
_MOMENTS = {"date", "time", "timestamp", "timestamp with time zone", "timestamp_s", "timestamp_ms", "timestamp_ns"}
IN_WORDS = {
    "parquet": _NOT_IN_ARROW,
    "json": _NOT_IN_ARROW | {"blob"},
    "csv": _NOT_IN_ARROW | {"blob"} | _MOMENTS,
}
_WHOLE = {"tinyint", "smallint", "integer", "bigint", "hugeint", "bignum"}
_NUMBERS = _WHOLE | {f"u{kind}" for kind in _WHOLE} | {"float", "double", "decimal"}


@dataclass(frozen=True)
class Answer:
    """What a publication answered.

    Attributes:
        rows: In batches.
        is_number: Whether a column holds numbers, for each.
    """

    rows: "pa.RecordBatchReader"
    is_number: list[bool]


@contextmanager
def ask(home: Home, publication: Path, query: str, format: str) -> Iterator[Answer]:  # noqa: A002  (as the option)
    """Ask a publication.

    Args:
        home: The home.
        publication: One of its publications.
        query: One SELECT; DESCRIBE, SHOW and SUMMARIZE count as such.
        format: What the answer is for: one of `WRITERS`, or table, for which all values are texts.

    Yields:
        The answer.

    Raises:
        CallError: If the question cannot be answered as it is put.
    """
    known: list[str] = []
    with (
        _explaining(home, known),
        tempfile.TemporaryDirectory(prefix="smartcart-") as spill,
        open_warehouse(publication) as connection,
    ):
        known += [row[0] for row in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()]
        _require_select(query)
        _restrict(connection, home, spill)
        asked = connection.sql(query)
        carried = [_carried(kind, IN_WORDS.get(format)) for kind in asked.types]
        # By position: nothing keeps two columns from having one name.
        columns = (
            f"#{place}::{kind} AS {identifier(name)}"
            for place, (name, kind) in enumerate(zip(asked.columns, carried, strict=True), start=1)
        )
        # Closed also where the answer breaks off: an unread rest would keep the connection, and who asks next, waiting.
        with asked.project(", ".join(columns)).to_arrow_reader(BATCH_ROWS) as rows:
            yield Answer(rows, [kind.id in _NUMBERS for kind in asked.types])


def _carried(kind: Any, in_words: Collection[str] | None) -> str:
    """The type, as SQL, in which values of a type are handed on; None has all in words."""
    if in_words is None or kind.id in in_words:
        return "VARCHAR"
    if kind.id not in {"list", "array", "struct", "map"}:
        return str(kind)
    parts = {name: part if name == "size" else _carried(part, in_words) for name, part in kind.children}
    match kind.id:
        case "list":
            return f"{parts['child']}[]"
        case "array":
            return f"{parts['child']}[{parts['size']}]"
        case "map":
            return f"MAP({parts['key']}, {parts['value']})"
    return f"STRUCT({', '.join(f'{identifier(name)} {part}' for name, part in parts.items())})"


def _restrict(connection: duckdb.DuckDBPyConnection, home: Home, spill: str) -> None:
    """Leave nothing within reach but the file itself and the lake, over which it has views."""
    connection.execute(f"SET temp_directory = {literal(spill)}")
    # As it is, and as the views write it.
    connection.execute(f"SET allowed_directories = [{literal(str(home.lake))}, {file_literal(home.lake)}]")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")


def _require_select(query: str) -> None:
    found = [statement.type for statement in duckdb.extract_statements(query)]
    if found != [duckdb.StatementType.SELECT]:
        raise CallError(
            "The warehouse is for reading: give one SELECT (or DESCRIBE, SHOW, SUMMARIZE). "
            "To write the answer to a file, add --format and --output."
        )


@contextmanager
def _explaining(home: Home, known: list[str]) -> Iterator[None]:
    """Turn what DuckDB says of a question into what people can act on."""
    try:
        yield
    except (OverflowError, ValueError) as error:
        # Python knows the years from 1 to 9999 only.
        raise CallError(f"A date of the answer cannot be written ({error}). Ask for it as text: ::VARCHAR.") from None
    except duckdb.Error as error:
        message = str(error)
        unknown = re.search(r"Table with name (\S+) does not exist", message)
        if unknown:
            raise CallError(_tell_nearest(unknown[1], known)) from None
        if isinstance(error, duckdb.PermissionException):
            raise CallError("The question reaches outside the warehouse: only its tables can be read.") from None
        if isinstance(error, duckdb.IOException) and "No files found" in message:
            raise CallError(
                f"A large table is a file of the lake, and that is not where it was when it was published: {message} "
                f"If the home was moved, put a link to {home.root} where it was, or publish anew: smartcart run."
            ) from None
        if isinstance(error, DAMAGED):
            require_sound(home)
        raise CallError(message) from None


def _tell_nearest(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name.strip('"').lower(), known, n=3, cutoff=0.5)
    hint = f" Nearest: {', '.join(nearest)}." if nearest else ""
    return f'There is no table {name}.{hint} All of them: smartcart sql "SHOW TABLES".'


def write_csv(answer: "pa.RecordBatchReader", file: BinaryIO) -> None:
    """Write an answer as CSV that a spreadsheet can open without taking a text for a formula.

    Args:
        answer: The answer.
        file: Where to.
    """
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    flat = [_is_flat(kind) for kind in answer.schema.types]
    schema = pa.schema(
        [
            (_neutral(field.name), field.type if keep else pa.string())
            for field, keep in zip(answer.schema, flat, strict=True)
        ]
    )
    with csv.CSVWriter(file, schema) as writer:
        for batch in answer:
            columns = [column if keep else _as_text(column) for column, keep in zip(batch.columns, flat, strict=True)]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _is_flat(kind: Any) -> bool:
    """Whether a value is a number, a date or the like, which no spreadsheet takes for a formula."""
    import pyarrow as pa  # noqa: PLC0415

    return bool(pa.types.is_primitive(kind)) and not pa.types.is_decimal(kind)


def _as_text(column: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_string(column.type):
        return _neutralise(column)
    if pa.types.is_decimal(column.type):
        return column.cast(pa.string())
    texts = [None if value is None else _in_words(value) for value in column.to_pylist(maps_as_pydicts="lossy")]
    return _neutralise(pa.array(texts, pa.string()))


def _in_words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _neutralise(column: Any) -> Any:
    import pyarrow.compute as pc  # noqa: PLC0415

    neutral = pc.replace_substring_regex(column, pattern=f"({FORMULA})", replacement=r"'\1")
    return pc.if_else(pc.match_substring_regex(column, SIGNED), column, neutral)


def _neutral(text: str) -> str:
    return f"'{text}" if re.match(FORMULA, text) and not re.match(SIGNED, text) else text


def write_json(answer: "pa.RecordBatchReader", file: BinaryIO) -> None:
    """Write an answer as a JSON array of objects, one a line.

    Args:
        answer: The answer.
        file: Where to.
    """
    separator = b"[\n"
    for batch in answer:
        for row in batch.to_pylist(maps_as_pydicts="lossy"):
            file.write(separator + json.dumps(_plain(row), ensure_ascii=False).encode())
            separator = b",\n"
    file.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _plain(value: Any) -> Any:
    """A value as JSON knows it: dates as ISO 8601, what is not a number as null, anything else in words."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int) else str(value)


def write_parquet(answer: "pa.RecordBatchReader", file: BinaryIO) -> None:
    """Write an answer as Parquet.

    Args:
        answer: The answer.
        file: Where to.
    """
    from pyarrow import parquet  # noqa: PLC0415

    with parquet.ParquetWriter(file, answer.schema) as writer:
        for batch in answer:
            writer.write_batch(batch)


def write_text(answer: "pa.RecordBatchReader", file: BinaryIO) -> None:
    """Write an answer whose values are texts as lines of columns, with a tab between any two; the names come first.

    Args:
        answer: The answer.
        file: Where to. A tab or the end of a line within a value becomes a space.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    names = [pa.array([name], pa.string()) for name in answer.schema.names]
    for columns in chain([names], (batch.columns for batch in answer)):
        flat = [pc.replace_substring_regex(column, pattern=r"[\t\r\n]+", replacement=" ") for column in columns]
        lines = pc.binary_join_element_wise(*flat, "\t", null_handling="replace", null_replacement="")
        file.write("".join(f"{line}\n" for line in lines.to_pylist()).encode())


WRITERS: dict[str, Callable[[Any, BinaryIO], None]] = {
    "csv": write_csv,
    "json": write_json,
    "parquet": write_parquet,
}
