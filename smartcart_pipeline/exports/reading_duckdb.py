"""Reading an export with DuckDB: every value typed by the contract, or set down word for word as unreadable."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import narwhals as nw

from smartcart_pipeline.declaration.contract import (
    KEY,
    MISPLACED_QUOTE,
    MISSING,
    NOT_READ,
    REPEATED_HEADER,
    ROW_NUMBER,
    TOO_LONG,
    TOO_MANY_VALUES,
    DeliveredColumn,
)
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.matching import match_categories
from smartcart_pipeline.engines.duckdb import BATCH, DuckDBEngine
from smartcart_pipeline.engines.sql import INTEGERS, boolean, file_literal, identifier, literal, unquoted
from smartcart_pipeline.exports.as_of import day_of_delivery
from smartcart_pipeline.exports.csv_text import strange_lines
from smartcart_pipeline.exports.dates import DateReading, read_date, settle_dates
from smartcart_pipeline.exports.inspecting import MAX_FURTHER, Export, even_line_ends, tell_read
from smartcart_pipeline.exports.naming import Names
from smartcart_pipeline.exports.numerals import Delivered, NumberReading, settle_numbers, telling_all

# So many different texts of a column of categories are looked at, the most frequent first.
MOST_TEXTS = 2_000
# What begins no word for a missing value, from one text up to another: all but some signs, N and n, and 1.#IND.
BEGINS_VALUE = (("0", "1.#"), ("1.$", "<"), ("@", "N"), ("O", "n"), ("o", ""))
# What DuckDB takes of memory to set down one fault, besides three times the line, of which it keeps so much; and what
# all of them may take.
FAULT_BYTES, KEPT_BYTES = 1_000, 10_000
MAX_FAULT_BYTES = 300_000_000
# Dates as the cells of a workbook are told, and texts in which day or month comes first.
ISO_DATE, ORDERED_DATE = r"^\d{4}-\d{2}-\d{2}$", r"^\d{1,2}[-/. ]+\d{1,2}[-/. ]+\d{2,4}\b"
# A byte order mark, and what does not count around a header.
MARK, STRIPPED = "chr(65279)", "' ' || chr(65279)"
# What is wrong with a line that cannot be put into columns, by the kind of DuckDB's error.
MALFORMED = {
    "TOO MANY COLUMNS": TOO_MANY_VALUES,
    "UNQUOTED VALUE": MISPLACED_QUOTE,
    "LINE SIZE OVER MAXIMUM": TOO_LONG,
}


@dataclass(frozen=True)
class CategoryReading:
    """Which texts of a column were read as categories although they are written otherwise.

    Attributes:
        header: The column's header in the file.
        meant: The category that each of the texts stands for.
    """

    header: str
    meant: Mapping[str, str]

    @property
    def evidence(self) -> str:
        """A sentence for people."""
        return tell_read(f"Read by sight in {self.header}", self.meant)


@dataclass(frozen=True)
class Readings:
    """How the columns of a file are read that people write in several ways, by the names of the columns.

    Attributes:
        dates: Of columns of dates.
        numbers: Of columns of numbers that are delivered as texts.
        categories: Of columns of categories some of which are written otherwise.
    """

    dates: Mapping[str, DateReading]
    numbers: Mapping[str, NumberReading] = field(default_factory=dict)
    categories: Mapping[str, CategoryReading] = field(default_factory=dict)


def read_export(engine: DuckDBEngine, export: Export) -> tuple[nw.LazyFrame[Any], Readings]:
    """See `reading.read_export`."""
    import duckdb  # noqa: PLC0415

    try:
        types = _delivered(engine, export)
        _require_dates_of_one_kind(engine, export)
        if not _count(engine, "SELECT count(*) FROM delivered"):
            raise ExportError(f"{export.path}: the file holds a header but no customers. Deliver the export again.")
        readings = _settle(engine, export, types)
        return nw.from_native(engine.connection.sql(_typed_query(export, types, readings))), readings
    except duckdb.Error as error:
        raise ExportError(f"{export.path}: the file cannot be read ({unquoted(error)}). Deliver it again.") from None


def _delivered(engine: DuckDBEngine, export: Export) -> dict[str, str]:
    """Make the view `delivered` (line_number, c0, c1, …, and `malformed`), and tell the types of its columns.

    Only columns that are read are in it: those of the contract, and further ones up to a limit.
    """
    connection = engine.connection
    names = [*(_position(export, column) for column in export.contract.delivered), *extra_columns(export)]
    if export.kind == "parquet":
        # By position, because DuckDB takes columns whose names differ only in case for one.
        every = ", ".join(f"c{number}" for number in range(len(export.headers)))
        source = (
            f"SELECT file_row_number + 2 AS line_number, {', '.join(names)}, NULL::VARCHAR AS malformed "
            f"FROM read_parquet({file_literal(export.path)}, file_row_number = true, hive_partitioning = false) "
            f"AS file({every})"
        )
    elif export.cells:
        source = _workbook_lines(engine, export, export.cells.path, names)
        source = _set_apart(engine, export, source, "workbook_lines", names)
    else:
        source = _set_apart(engine, export, _csv_lines(engine, export, names), "delivered_lines", names)
    connection.execute(f"CREATE OR REPLACE TEMP VIEW delivered AS {source}")
    described = connection.execute("DESCRIBE delivered").fetchall()
    return {row[0]: str(row[1]) for row in described}


def _workbook_lines(engine: DuckDBEngine, export: Export, cells: Path, names: list[str]) -> str:
    """Read the cells of a workbook into a table; give the query for its lines."""
    columns = ", ".join(f"c{number}: 'VARCHAR'" for number in range(len(export.headers)))
    engine.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE workbook_lines AS SELECT line_number, {', '.join(names)} "
        f"FROM read_csv({file_literal(cells)}, auto_detect = false, header = false, delim = ',', "
        f"quote = '\"', escape = '\"', columns = {{line_number: 'BIGINT', {columns}}}, allow_quoted_nulls = false, "
        f"max_line_size = 32_000_000, parallel = false) WHERE line_number > {export.skipped + 1}"
    )
    return "SELECT *, NULL::VARCHAR AS malformed FROM workbook_lines"


def _csv_lines(engine: DuckDBEngine, export: Export, names: list[str]) -> str:
    """Read a CSV into a table; give the query for its lines."""
    export = _read_unevenly_ended(engine, export, names)
    header = export.skipped + 1
    rows = f"SELECT ordinal + {header} AS line_number, {', '.join(names)}, NULL::VARCHAR AS malformed"
    if _count(engine, "SELECT count(*) FROM delivered_lines") >= export.lines - header:
        return f"{rows} FROM delivered_lines"
    found = _survey_lines(engine, export)
    if _lost_lines(engine, export, names, found.blank):
        _require_few_faults(export, found)
        _read_lines(engine, export, names, keep_rejects=True)
    _keep_malformed(engine)
    _require_all_lines(engine, export, names, found)
    _number_lines(engine, header)
    return (
        f"SELECT ordinal + {header} + coalesce(shift, 0) AS line_number, {', '.join(names)}, NULL::VARCHAR AS "
        "malformed FROM delivered_lines ASOF LEFT JOIN shifts ON ordinal >= delivered_before "
        f"UNION ALL SELECT line, {', '.join('NULL' for _ in names)}, malformed FROM malformed_lines"
    )


def _read_unevenly_ended(engine: DuckDBEngine, export: Export, names: list[str]) -> Export:
    """Read what can be put into columns; where the lines do not all end alike, which DuckDB refuses, from a copy."""
    import duckdb  # noqa: PLC0415

    try:
        _read_lines(engine, export, names)
    except duckdb.Error as error:
        if "state machine" not in str(error) or export.copy:
            raise
        export = even_line_ends(export)
        _read_lines(engine, export, names)
    return export


def _read_lines(engine: DuckDBEngine, export: Export, names: list[str], keep_rejects: bool = False) -> None:
    """Read what can be put into columns; DuckDB leaves out blank lines, and leaves out or sets aside malformed ones.

    What is set aside counts towards no limit of memory, and is one entry for each value too many: it is asked for only
    where something has been left out, and not much.
    """
    columns = ", ".join(f"c{number}: 'VARCHAR'" for number in range(len(export.headers)))
    rejects = ", store_rejects = true, rejects_limit = 0" if keep_rejects else ""
    path, gzipped, encoding = export.text
    engine.connection.execute(
        "DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans; "
        f"CREATE OR REPLACE TEMP TABLE delivered_lines AS SELECT row_number() OVER () AS ordinal, {', '.join(names)} "
        f"FROM read_csv({file_literal(path)}, hive_partitioning = false, auto_detect = false, header = false, "
        f"skip = {export.skipped + 1}, delim = {literal(export.delimiter)}, quote = '\"', escape = '\"', "
        f"encoding = {literal(encoding)}, compression = '{'gzip' if gzipped else 'none'}', "
        f"columns = {{{columns}}}, null_padding = true, ignore_errors = true{rejects}, parallel = false)"
    )


@dataclass
class _Found:
    """What the lines of a CSV are, besides rows."""

    blank: int = 0
    last: int = 1
    is_open: bool = False
    faulty: int = 0
    first_faulty: int = 0
    fault_bytes: int = 0


def _survey_lines(engine: DuckDBEngine, export: Export) -> _Found:
    """Keep in a table where blank lines are, and tell about the others."""
    found = _Found()
    path, gzipped, _ = export.text
    columns, skipped = len(export.headers), export.skipped

    def blank_lines() -> Iterator[tuple[int, int]]:
        for line in strange_lines(path, gzipped, export.line_end, export.delimiter, columns, skipped):
            found.last, found.is_open = line.number, line.is_open
            if line.faults:
                found.faulty += 1
                found.first_faulty = found.first_faulty or line.number
                found.fault_bytes += line.faults * (FAULT_BYTES + 3 * min(line.size, KEPT_BYTES))
            if line.lines:
                found.blank += line.lines
                yield line.number, line.lines

    _keep_blank_lines(engine, blank_lines())
    return found


def _keep_blank_lines(engine: DuckDBEngine, lines: Iterator[tuple[int, int]]) -> None:
    """Make a table of them, which DuckDB may spill."""
    import pyarrow as pa  # noqa: PLC0415

    schema = pa.schema([("line", pa.int64()), ("lines", pa.int64())])
    batches = iter(lambda: list(islice(lines, BATCH)), [])
    columns = ([pa.array(numbers, pa.int64()) for numbers in zip(*batch, strict=True)] for batch in batches)
    reader = pa.RecordBatchReader.from_batches(schema, (pa.record_batch(each, schema=schema) for each in columns))
    engine.connection.register("told", reader)
    engine.connection.execute("CREATE OR REPLACE TEMP TABLE blank_lines AS SELECT * FROM told")
    engine.connection.unregister("told")


def _lost_lines(engine: DuckDBEngine, export: Export, names: list[str], others: int) -> int:
    """How many lines are neither read nor others, those within values counted."""
    missing = export.lines - export.skipped - 1 - _count(engine, "SELECT count(*) FROM delivered_lines") - others
    return 0 if missing <= 0 else missing - _count_breaks(engine, export, "delivered_lines", names)


def _count_breaks(engine: DuckDBEngine, export: Export, table: str, names: list[str]) -> int:
    end = f"chr({ord(export.line_end)})"
    within = " + ".join(f"coalesce(len({name}) - len(replace({name}, {end}, '')), 0)" for name in names)
    return _count(engine, f"SELECT coalesce(sum({within}), 0) FROM {table}")


def _require_few_faults(export: Export, found: _Found) -> None:
    if found.fault_bytes > MAX_FAULT_BYTES:
        raise ExportError(
            f"{export.path}: too much of it cannot be put into columns to set it all down. Lines with more values than "
            f"the header or a quotation mark in the wrong place: {found.faulty:,}, the first of them line "
            f"{found.first_faulty:,}. Correct the export and deliver it again."
        )


def _keep_malformed(engine: DuckDBEngine) -> None:
    [(rejects,)] = engine.connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'reject_errors'"
    ).fetchall()
    kinds = " ".join(f"WHEN {literal(kind)} THEN {literal(text)}" for kind, text in MALFORMED.items())
    engine.connection.execute(
        "CREATE OR REPLACE TEMP TABLE malformed_lines AS "
        "SELECT CAST(line AS BIGINT) AS line, any_value(CASE CAST(error_type AS VARCHAR) "
        f"{kinds} ELSE {literal(NOT_READ)} END || ': ' || ltrim(csv_line, chr(10) || chr(13))) AS malformed "
        "FROM reject_errors GROUP BY line"
        if rejects
        else "CREATE OR REPLACE TEMP TABLE malformed_lines (line BIGINT, malformed VARCHAR)"
    )


def _require_all_lines(engine: DuckDBEngine, export: Export, names: list[str], found: _Found) -> None:
    """Refuse a file that ends inside quotes: all that follows the opening one would be missing without a word."""
    malformed = _count(engine, "SELECT count(*) FROM malformed_lines")
    lost = _lost_lines(engine, export, names, found.blank + malformed)
    if lost > 0 and lost > _count_breaks(engine, export, "malformed_lines", ["malformed"]):
        read = export.skipped + 1 + _count(engine, "SELECT count(*) FROM delivered_lines")
        # Of columns that are left out nobody knows how many line breaks are in their values.
        if found.is_open or not export.left_out or read + found.blank + malformed < found.last:
            raise ExportError(
                f"{export.path}: a quotation mark opens near line {found.last if found.is_open else read} and is "
                "never closed, so the rest cannot be read. Close it or take it out, and deliver the export again."
            )


def _number_lines(engine: DuckDBEngine, header: int) -> None:
    """Keep in a table by how much the rows from a certain one on stand further down than their own number says."""
    engine.connection.execute(
        "CREATE OR REPLACE TEMP TABLE shifts AS "
        f"SELECT line - {header} - upto + lines AS delivered_before, max(upto)::BIGINT AS shift FROM ("
        "SELECT line, lines, (sum(lines) OVER (ORDER BY line ROWS UNBOUNDED PRECEDING))::BIGINT AS upto FROM ("
        "SELECT line, lines FROM blank_lines UNION ALL SELECT line, 1 FROM malformed_lines)) GROUP BY ALL"
    )


def _set_apart(engine: DuckDBEngine, export: Export, source: str, table: str, names: list[str]) -> str:
    """Leave out rows that hold nothing but separators, and say of those that repeat the header that they do.

    Hardly any file has such rows, and one look at one column tells. Where columns are left out, nobody knows whether a
    row holds nothing.

    Args:
        engine: Where the rows are.
        export: The file.
        source: The query for its lines.
        table: The rows that it gives.
        names: The columns that are read.

    Returns:
        The query without these rows.
    """
    is_blank = "false" if export.left_out else " AND ".join(f"coalesce(trim({name}), '') = ''" for name in names)
    headers = {_position(export, column): column.header for column in export.contract.delivered}
    # Files that are put together may have a byte order mark within.
    repeats = " AND ".join(f"trim({name}, {STRIPPED}) = {literal(header)}" for name, header in headers.items())
    name, header = names[0], export.headers[int(names[0][1:])]
    # Cheap, and true of every such row.
    candidate = f"({name} IS NULL OR {name} < '!' OR starts_with({name}, {literal(header)}) OR {name} >= {MARK})"
    [(blanks, repeated)] = engine.connection.execute(
        f"SELECT count(*) FILTER ({is_blank}), count(*) FILTER ({repeats}) FROM {table} WHERE {candidate}"
    ).fetchall()
    if not blanks and not repeated:
        return source
    nothing = ", ".join(f"NULL AS {name}" for name in names)
    return (
        f"SELECT * FROM ({source}) WHERE malformed IS NOT NULL OR NOT {candidate} "
        f"OR NOT (({is_blank}) OR coalesce({repeats}, false)) UNION ALL "
        f"SELECT line_number, {nothing}, {literal(REPEATED_HEADER)} AS malformed FROM ({source}) "
        f"WHERE {candidate} AND {repeats}"
    )


def _require_dates_of_one_kind(engine: DuckDBEngine, export: Export) -> None:
    """Refuse a workbook in which a column holds dates and texts that a spreadsheet has left as they were."""
    if export.kind != "excel":
        return
    for column in export.contract.delivered:
        if column.type != "DATE":
            continue
        text = f"trim({_position(export, column)})"
        is_date, is_text = (f"regexp_matches({text}, '{form}')" for form in (ISO_DATE, ORDERED_DATE))
        [(dates, texts, line)] = engine.connection.execute(
            f"SELECT count(*) FILTER ({is_date}), count(*) FILTER ({is_text}), min(line_number) FILTER ({is_text}) "
            "FROM delivered"
        ).fetchall()
        if dates and texts:
            raise ExportError(
                f"{export.path}: column {column.header} holds {dates:,} dates and {texts:,} texts (the first in line "
                f"{line:,}). A spreadsheet turns what fits its own order of day and month into dates and leaves the "
                "rest as text, so day and month of these dates may be swapped. Export the customers again as CSV or "
                "Parquet, or make that column text before they are put into the workbook, and deliver that."
            )


def _count(engine: DuckDBEngine, query: str) -> int:
    [(number,)] = engine.connection.execute(query).fetchall()
    return int(number)


def _settle(engine: DuckDBEngine, export: Export, types: dict[str, str]) -> Readings:
    """Find out how numbers and dates are written, where they are texts."""
    texts = {column.name: _text(_position(export, column)) for column in export.contract.delivered}
    rows, latest = Delivered(engine, export.path), day_of_delivery(export.path).year
    dates, columns = {}, []
    numbers: dict[str, NumberReading] = {}
    with telling_all(export.path) as faults:
        for column in export.contract.delivered:
            delivered = types[_position(export, column)]
            if column.type == "DATE" and delivered.startswith(("DATE", "TIMESTAMP")):
                dates[column.name] = DateReading("ISO", f"{column.header} is delivered as a date type.")
            elif column.type == "DATE":
                with faults.noted():
                    dates[column.name] = settle_dates(rows, column, texts[column.name], latest)
            elif column.is_number and column.name != KEY and delivered == "VARCHAR":
                columns.append(column)
        other = _find_not_whole(engine, export, columns)
        with faults.noted():
            asked = [(column, texts[column.name]) for column in columns if column.name in other]
            numbers = settle_numbers(rows, asked, export.separator)
    return Readings(dates, numbers, _match_categories(engine, export))


def _find_not_whole(engine: DuckDBEngine, export: Export, columns: Sequence[DeliveredColumn]) -> set[str]:
    """The columns of numbers that hold anything but plain whole ones: most do not, and that takes little to see."""
    if not columns:
        return set()
    names = [_position(export, column) for column in columns]
    asked = ", ".join(f"bool_or(TRY_CAST({name} AS BIGINT) IS NULL OR contains({name}, '.'))" for name in names)
    [found] = engine.connection.execute(f"SELECT {asked} FROM delivered").fetchall()
    return {column.name for column, is_other in zip(columns, found, strict=True) if is_other}


def read_categories(engine: DuckDBEngine, export: Export) -> Mapping[str, CategoryReading]:
    """Which values of a Parquet file are categories written otherwise; no other column of it is read.

    Args:
        engine: Where they are looked at.
        export: The file.

    Returns:
        By the names of those columns that have such values.
    """
    _delivered(engine, export)
    return _match_categories(engine, export)


def _match_categories(engine: DuckDBEngine, export: Export) -> dict[str, CategoryReading]:
    found = {}
    for column in export.contract.delivered:
        if column.type == "VARCHAR" and column.categories:
            texts = (text for text in _frequent_texts(engine, export, column) if text.lower() not in column.missing)
            if meant := match_categories(texts, column.categories):
                found[column.name] = CategoryReading(column.header, meant)
    return found


def _frequent_texts(engine: DuckDBEngine, export: Export, column: DeliveredColumn) -> list[str]:
    """The different texts of a column, without surrounding space."""
    name = _position(export, column)
    query = (
        f"SELECT trim(CAST({name} AS VARCHAR)) FROM (SELECT {name}, count(*) AS values FROM delivered "
        f"WHERE {name} IS NOT NULL GROUP BY {name}) ORDER BY values DESC, 1 LIMIT {MOST_TEXTS}"
    )
    return list(dict.fromkeys(text for (text,) in engine.connection.execute(query).fetchall()))


def _typed_query(export: Export, types: dict[str, str], readings: Readings) -> str:
    """Three steps, each over the columns of the one before: texts, typed values, and what could not be typed."""
    columns = export.contract.delivered
    delivered = {column.name: types[_position(export, column)] for column in columns}
    trimmed = [
        f"{_present(_position(export, column), delivered[column.name], column)} AS {column.name}_delivered"
        for column in columns
    ]
    typed = [f"{_read(export, column, delivered[column.name], readings)} AS {column.name}" for column in columns]
    if ROW_NUMBER in export.contract.columns:
        typed.append(f"line_number - 1 AS {KEY}")
    extras = extra_columns(export)
    return (
        f"WITH trimmed AS (SELECT *, {', '.join(trimmed)} FROM delivered), "
        f"typed AS (SELECT *, {', '.join(typed)} FROM trimmed) "
        f"SELECT line_number, {', '.join(export.contract.names)}, "
        f"{_unreadable(columns, delivered, readings)} AS unreadable"
        f"{''.join(f', CAST({name} AS VARCHAR) AS {identifier(extra)}' for name, extra in extras.items())} FROM typed"
    )


def _is_text(delivered: str) -> bool:
    return delivered not in (*INTEGERS, "FLOAT", "DOUBLE") and not delivered.startswith(("DATE", "TIMESTAMP"))


def _present(name: str, delivered: str, column: DeliveredColumn) -> str:
    """The expression for a delivered value, as text unless it is a number or a date; null where it is missing.

    No word for a missing value is a number, a date, or a yes or no: of columns of these the words are told from what
    is unreadable only where a value could not be typed, which hardly any row has.
    """
    if delivered in ("FLOAT", "DOUBLE"):  # "not a number" says that the value is missing
        return f"CASE WHEN {_is_finite(name)} OR contains(CAST({name} AS VARCHAR), 'inf') THEN {name} END"
    if not _is_text(delivered):
        return name
    if column.type != "VARCHAR":
        return _trimmed(name)
    text = _text(name, column.missing)
    if not column.categories or delivered != "VARCHAR":
        return text
    # Nearly all values are as the contract lists them.
    # Word by word: a list this long is made a join, after which DuckDB writes rows in any order.
    listed = " ".join(f"WHEN {literal(category)} THEN {name}" for category in column.categories)
    return f"CASE {name} {listed} ELSE {text} END"


def _is_finite(number: str) -> str:
    # DuckDB 2.0 answers isnan and comparisons from the statistics of a Parquet file, which pass over NaN.
    return f"{number} - {number} = 0"


def _typed(export: Export, column: DeliveredColumn, delivered: str, readings: Readings) -> str:
    """The expression that reads a delivered column as the contract's type; null where it cannot be."""
    value = f"{column.name}_delivered"
    if column.type == "VARCHAR":
        return f"CAST({value} AS VARCHAR)"
    if column.type == "DATE":
        return _dated(export, value, delivered, readings.dates[column.name])
    if column.type == "BOOLEAN":
        return boolean(value)
    if delivered in INTEGERS:
        return f"TRY_CAST({value} AS {column.type})"
    if column.name in readings.numbers:
        value = readings.numbers[column.name].number(value)
    number = f"TRY_CAST({value} AS DOUBLE)"
    if column.type == "DOUBLE" or column.is_rounded:
        return f"CASE WHEN {_is_finite(number)} THEN TRY_CAST({number} AS {column.type}) END"
    exact = f"TRY_CAST({value} AS {column.type})"
    return f"CASE WHEN {exact} = {number} THEN {exact} END"


def _read(export: Export, column: DeliveredColumn, delivered: str, readings: Readings) -> str:
    """The expression for a typed value, with what people write otherwise for the same."""
    typed, categories = _typed(export, column, delivered, readings), readings.categories
    if column.is_flag and delivered == "VARCHAR":
        return f"coalesce({typed}, CAST({boolean(f'{column.name}_delivered')} AS {column.type}))"
    if column.name not in categories:
        return typed
    meant = categories[column.name].meant.items()
    cases = " ".join(f"WHEN {literal(text)} THEN {literal(category)}" for text, category in meant)
    return f"CASE {typed} {cases} ELSE {typed} END"


def _dated(export: Export, value: str, delivered: str, dates: DateReading) -> str:
    if delivered == "TIMESTAMP WITH TIME ZONE":  # the day must not depend on where the pipeline runs
        return f"CAST({value} AT TIME ZONE 'UTC' AS DATE)"
    if delivered.startswith(("DATE", "TIMESTAMP")):
        return f"CAST({value} AS DATE)"
    return read_date(f"CAST({value} AS VARCHAR)", dates.reading, day_of_delivery(export.path).year)


def _unreadable(columns: Sequence[DeliveredColumn], delivered: dict[str, str], readings: Readings) -> str:
    """The expression that sets down, word for word, what could not be typed; null where all could."""
    cases = {"malformed IS NOT NULL": "malformed"}
    for column in columns:
        value, was = column.name, f"{column.name}_delivered"
        if column.type == "VARCHAR" or (delivered[value] == column.type and column.type != "DOUBLE"):
            continue  # every value is what it should be; but a double may be infinite
        expected = column.expected + _told(column, readings)
        before, after = literal(f"{column.header} is '"), literal(f"': expected {expected}")
        is_there = f" AND {_is_there(was, MISSING)}" if _is_text(delivered[value]) else ""
        cases[f"{value} IS NULL AND {was} IS NOT NULL{is_there}"] = f"{before} || CAST({was} AS VARCHAR) || {after}"
    # Hardly any row has a problem: the texts are put together only where one has.
    texts = ", ".join(f"CASE WHEN {condition} THEN {text} END" for condition, text in cases.items())
    return f"CASE WHEN {' OR '.join(f'({condition})' for condition in cases)} THEN concat_ws('; ', {texts}) END"


def extra_columns(export: Export) -> dict[str, str]:
    """Columns beyond the contract that are carried along: the first of them.

    Args:
        export: The file.

    Returns:
        Where they stand (`c7` is the eighth), and a name that a column may have and no other has.
    """
    names = Names(export.contract.names)
    return {
        f"c{number}": names.of_header(export.headers[number], number + 1) for number in export.further[:MAX_FURTHER]
    }


def _told(column: DeliveredColumn, readings: Readings) -> str:
    """How the values of a column are read, behind what is expected of it."""
    if column.type == "DATE":
        return f" ({readings.dates[column.name].reading})"
    number = readings.numbers.get(column.name, NumberReading())
    return "" if number.is_plain else f" (like {number.example})"


def _position(export: Export, column: DeliveredColumn) -> str:
    return f"c{export.headers.index(column.header)}"


def _text(name: str, missing: Sequence[str] = MISSING) -> str:
    """The expression for a text without surrounding space; null where it stands for a missing value."""
    trimmed = _trimmed(name)
    # Most values begin like no such word, which takes less time to see than the words.
    begins = " OR ".join(
        f"({trimmed} >= {literal(first)}" + (f" AND {trimmed} < {literal(until)})" if until else ")")
        for first, until in BEGINS_VALUE
    )
    return f"CASE WHEN {begins} OR {_is_there(trimmed, missing)} THEN {trimmed} END"


def _trimmed(name: str) -> str:
    return f"trim(CAST({name} AS VARCHAR))"


def _is_there(text: str, missing: Sequence[str]) -> str:
    # One pattern: a list this long is made a join, after which DuckDB writes rows in any order.
    words = "|".join(map(re.escape, missing))
    return f"NOT regexp_full_match({text}, {literal(f'(?i){words}')})"
