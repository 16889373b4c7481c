"""Reading an export with DuckDB: every value typed by the contract, or set down word for word as unreadable."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import narwhals as nw

from smartcart_pipeline.declaration.contract import KEY, MISSING, ROW_NUMBER, DeliveredColumn
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.matching import match_categories
from smartcart_pipeline.engines.duckdb import BATCH, DuckDBEngine
from smartcart_pipeline.engines.sql import INTEGERS, boolean, file_literal, identifier, literal, unquoted
from smartcart_pipeline.exports.csv_text import strange_lines
from smartcart_pipeline.exports.inspecting import MAX_FURTHER, Export, tell_read
from smartcart_pipeline.exports.naming import Names

EARLIEST_YEAR = 1900
# So many different texts of a column of categories are looked at, the most frequent first.
MOST_TEXTS = 2_000
# What begins no word for a missing value, from one text up to another: all but some signs, N and n, and 1.#IND.
BEGINS_VALUE = (("0", "1.#"), ("1.$", "<"), ("@", "N"), ("O", "n"), ("o", ""))

DATE_FORMATS = {"day-first": "%d-%m-%Y", "ISO": "%Y-%m-%d", "month-first": "%m-%d-%Y"}
# What DuckDB takes of memory to set down one fault, besides three times the line, of which it keeps so much; and what
# all of them may take.
FAULT_BYTES, KEPT_BYTES = 1_000, 10_000
MAX_FAULT_BYTES = 300_000_000
# What is wrong with a line that cannot be put into columns, by the kind of DuckDB's error.
MALFORMED = {
    "TOO MANY COLUMNS": "The line has more values than the header",
    "UNQUOTED VALUE": "The line has a quotation mark in the wrong place",
    "LINE SIZE OVER MAXIMUM": "The line is longer than 2,000,000 bytes",
}


@dataclass(frozen=True)
class DateReading:
    """How the dates of a column are read, and on what evidence.

    Attributes:
        reading: `day-first` or `ISO`.
        evidence: A sentence for people.
    """

    reading: str
    evidence: str


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


# By the names of the columns.
DateReadings = Mapping[str, DateReading]
CategoryReadings = Mapping[str, CategoryReading]
# Of columns of dates, and of columns of categories some of which are written otherwise.
Readings = Mapping[str, DateReading | CategoryReading]


def read_export(engine: DuckDBEngine, export: Export) -> tuple[nw.LazyFrame[Any], Readings]:
    """See `reading.read_export`."""
    import duckdb  # noqa: PLC0415

    try:
        types = _delivered(engine, export)
        if not _count(engine, "SELECT count(*) FROM delivered"):
            raise ExportError(f"{export.path}: the file holds a header but no customers. Deliver the export again.")
        dates = {
            column.name: _settle_dates(engine, export, column, types)
            for column in export.contract.delivered
            if column.type == "DATE"
        }
        categories = _match_categories(engine, export)
        query = _typed_query(export, types, dates, categories)
        return nw.from_native(engine.connection.sql(query)), {**dates, **categories}
    except duckdb.Error as error:
        first_line = str(error).splitlines()[0]
        if "state machine" in first_line:
            raise ExportError(
                f"{export.path}: the lines of the file do not all end alike, or a lone carriage return breaks one. "
                "Save it again with one kind of line end and deliver it."
            ) from None
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
    else:
        source = _csv_lines(engine, export, names)
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
        "max_line_size = 32_000_000, parallel = false)"
    )
    return "SELECT *, NULL::VARCHAR AS malformed FROM workbook_lines"


def _csv_lines(engine: DuckDBEngine, export: Export, names: list[str]) -> str:
    """Read a CSV into a table; give the query for its lines."""
    _read_lines(engine, export, names)
    rows = f"SELECT ordinal + 1 AS line_number, {', '.join(names)}, NULL::VARCHAR AS malformed FROM delivered_lines"
    if _count(engine, "SELECT count(*) FROM delivered_lines") >= export.lines - 1:
        return rows
    found = _survey_lines(engine, export)
    if _lost_lines(engine, export, names, found.blank):
        _require_few_faults(export, found)
        _read_lines(engine, export, names, keep_rejects=True)
    _keep_malformed(engine)
    _require_all_lines(engine, export, names, found)
    _number_lines(engine)
    return (
        f"SELECT ordinal + 1 + coalesce(shift, 0) AS line_number, {', '.join(names)}, NULL::VARCHAR AS malformed "
        "FROM delivered_lines ASOF LEFT JOIN shifts ON ordinal >= delivered_before "
        f"UNION ALL SELECT line, {', '.join('NULL' for _ in names)}, malformed FROM malformed_lines"
    )


def _read_lines(engine: DuckDBEngine, export: Export, names: list[str], keep_rejects: bool = False) -> None:
    """Read what can be put into columns; DuckDB leaves out blank lines, and leaves out or sets aside malformed ones.

    What is set aside counts towards no limit of memory, and is one entry for each value too many: it is asked for only
    where something has been left out, and not much.
    """
    columns = ", ".join(f"c{number}: 'VARCHAR'" for number in range(len(export.headers)))
    rejects = ", store_rejects = true, rejects_limit = 0" if keep_rejects else ""
    engine.connection.execute(
        "DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans; "
        f"CREATE OR REPLACE TEMP TABLE delivered_lines AS SELECT row_number() OVER () AS ordinal, {', '.join(names)} "
        f"FROM read_csv({file_literal(export.path)}, hive_partitioning = false, auto_detect = false, header = false, "
        f"skip = 1, delim = {literal(export.delimiter)}, quote = '\"', escape = '\"', "
        f"encoding = {literal(export.encoding)}, compression = '{'gzip' if export.gzipped else 'none'}', "
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

    def blank_lines() -> Iterator[tuple[int, int]]:
        for line in strange_lines(export.path, export.gzipped, export.line_end, export.delimiter, len(export.headers)):
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
    rows = _count(engine, "SELECT count(*) FROM delivered_lines")
    if rows + others >= export.lines - 1:
        return 0
    return export.lines - 1 - rows - others - _count_breaks(engine, export, "delivered_lines", names)


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
        f"{kinds} ELSE 'The line cannot be read' END || ': ' || ltrim(csv_line, chr(10) || chr(13))) AS malformed "
        "FROM reject_errors GROUP BY line"
        if rejects
        else "CREATE OR REPLACE TEMP TABLE malformed_lines (line BIGINT, malformed VARCHAR)"
    )


def _require_all_lines(engine: DuckDBEngine, export: Export, names: list[str], found: _Found) -> None:
    """Refuse a file that ends inside quotes: all that follows the opening one would be missing without a word."""
    malformed = _count(engine, "SELECT count(*) FROM malformed_lines")
    lost = _lost_lines(engine, export, names, found.blank + malformed)
    if lost > 0 and lost > _count_breaks(engine, export, "malformed_lines", ["malformed"]):
        rows = _count(engine, "SELECT count(*) FROM delivered_lines")
        # Of columns that are left out nobody knows how many line breaks are in their values.
        if found.is_open or not export.left_out or rows + found.blank + malformed < found.last - 1:
            raise ExportError(
                f"{export.path}: a quotation mark opens near line {found.last if found.is_open else rows + 1} and is "
                "never closed, so the rest cannot be read. Close it or take it out, and deliver the export again."
            )


def _number_lines(engine: DuckDBEngine) -> None:
    """Keep in a table by how much the rows from a certain one on stand further down than their own number says."""
    engine.connection.execute(
        "CREATE OR REPLACE TEMP TABLE shifts AS "
        "SELECT line - 1 - upto + lines AS delivered_before, max(upto)::BIGINT AS shift FROM ("
        "SELECT line, lines, (sum(lines) OVER (ORDER BY line ROWS UNBOUNDED PRECEDING))::BIGINT AS upto FROM ("
        "SELECT line, lines FROM blank_lines UNION ALL SELECT line, 1 FROM malformed_lines)) GROUP BY ALL"
    )


def _count(engine: DuckDBEngine, query: str) -> int:
    [(number,)] = engine.connection.execute(query).fetchall()
    return int(number)


def _settle_dates(engine: DuckDBEngine, export: Export, column: DeliveredColumn, types: dict[str, str]) -> DateReading:
    """Find the one reading of a column's dates that fits the file."""
    name = _position(export, column)
    if types[name].startswith(("DATE", "TIMESTAMP")):
        return DateReading("ISO", f"{column.header} is delivered as a date type.")
    text = _date_text(_text(name))
    readings = ", ".join(f"{_parsed_date(text, reading)} AS {identifier(reading)}" for reading in DATE_FORMATS)
    query = (
        'SELECT count("day-first"), count("ISO"), count("month-first"), count(text), '
        "min(line_number) FILTER (text IS NOT NULL), "
        'count("day-first") FILTER ("month-first" IS NULL), count("month-first") FILTER ("day-first" IS NULL) '
        f"FROM (SELECT line_number, {text} AS text, {readings} FROM delivered)"
    )
    [(day_first, iso, month_first, values, line, only_day, only_month)] = engine.connection.execute(query).fetchall()
    if values and not max(day_first, iso, month_first):
        raise ExportError(
            f"{export.path}: no value of column {column.header} can be read as a date: see line {line}. "
            "Expected day-month-year (04-09-2012) or ISO (2012-09-04)."
        )
    if month_first > max(day_first, iso):
        raise ExportError(
            f"{export.path}: the dates in column {column.header} read month first: {only_month:,} of "
            f"{values:,} can only be read so. Deliver them as day-month-year (04-09-2012) or ISO (2012-09-04)."
        )
    if iso > day_first:
        return DateReading("ISO", f"{iso:,} of {values:,} values of {column.header} read as year-month-day.")
    evidence = f"{day_first:,} of {values:,} values of {column.header} read as day-month-year"
    doubt = f"{only_day:,} of them cannot be month-first" if only_day else "nothing in the file rules out month-first"
    return DateReading("day-first", f"{evidence}; {doubt}.")


def read_categories(engine: DuckDBEngine, export: Export) -> CategoryReadings:
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


def _typed_query(export: Export, types: dict[str, str], dates: DateReadings, categories: CategoryReadings) -> str:
    """Three steps, each over the columns of the one before: texts, typed values, and what could not be typed."""
    columns = export.contract.delivered
    delivered = {column.name: types[_position(export, column)] for column in columns}
    trimmed = [
        f"{_present(_position(export, column), delivered[column.name], column)} AS {column.name}_delivered"
        for column in columns
    ]
    typed = [
        f"{_by_sight(column, _typed(column, delivered[column.name], dates), categories)} AS {column.name}"
        for column in columns
    ]
    if ROW_NUMBER in export.contract.columns:
        typed.append(f"line_number - 1 AS {KEY}")
    extras = extra_columns(export)
    return (
        f"WITH trimmed AS (SELECT *, {', '.join(trimmed)} FROM delivered), "
        f"typed AS (SELECT *, {', '.join(typed)} FROM trimmed) "
        f"SELECT line_number, {', '.join(export.contract.names)}, "
        f"{_unreadable(columns, delivered, dates)} AS unreadable"
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
    return _text(name, column.missing) if column.type == "VARCHAR" else _trimmed(name)


def _is_finite(number: str) -> str:
    # DuckDB 2.0 answers isnan and comparisons from the statistics of a Parquet file, which pass over NaN.
    return f"{number} - {number} = 0"


def _typed(column: DeliveredColumn, delivered: str, dates: DateReadings) -> str:
    """The expression that reads a delivered column as the contract's type; null where it cannot be."""
    value = f"{column.name}_delivered"
    if column.type == "VARCHAR":
        return f"CAST({value} AS VARCHAR)"
    if column.type == "DATE":
        return _dated(value, delivered, dates[column.name])
    if column.type == "BOOLEAN":
        return boolean(value)
    if delivered in INTEGERS:
        return f"TRY_CAST({value} AS {column.type})"
    number = f"TRY_CAST({value} AS DOUBLE)"
    if column.type == "DOUBLE" or column.is_rounded:
        return f"CASE WHEN {_is_finite(number)} THEN TRY_CAST({number} AS {column.type}) END"
    exact = f"TRY_CAST({value} AS {column.type})"
    return f"CASE WHEN {exact} = {number} THEN {exact} END"


def _by_sight(column: DeliveredColumn, typed: str, categories: CategoryReadings) -> str:
    """The expression for a typed value, with what people write otherwise for the same."""
    if column.is_flag:
        return f"coalesce({typed}, CAST({boolean(f'{column.name}_delivered')} AS {column.type}))"
    if column.name not in categories:
        return typed
    meant = categories[column.name].meant.items()
    cases = " ".join(f"WHEN {literal(text)} THEN {literal(category)}" for text, category in meant)
    return f"CASE {typed} {cases} ELSE {typed} END"


def _dated(value: str, delivered: str, dates: DateReading) -> str:
    if delivered == "TIMESTAMP WITH TIME ZONE":  # the day must not depend on where the pipeline runs
        return f"CAST({value} AT TIME ZONE 'UTC' AS DATE)"
    if delivered.startswith(("DATE", "TIMESTAMP")):
        return f"CAST({value} AS DATE)"
    return _parsed_date(_date_text(f"CAST({value} AS VARCHAR)"), dates.reading)


def _unreadable(columns: Sequence[DeliveredColumn], delivered: dict[str, str], dates: DateReadings) -> str:
    """The expression that sets down, word for word, what could not be typed; null where all could."""
    cases = {"malformed IS NOT NULL": "malformed"}
    for column in columns:
        value, was = column.name, f"{column.name}_delivered"
        if column.type == "VARCHAR" or (delivered[value] == column.type and column.type != "DOUBLE"):
            continue  # every value is what it should be; but a double may be infinite
        expected = column.expected + (f" ({dates[value].reading})" if column.type == "DATE" else "")
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


def readings_of(text: str) -> dict[str, str]:
    """The expressions that read a text as a date.

    Args:
        text: An expression for a text.

    Returns:
        By the name of the reading, as in `DATE_FORMATS`; null where the text is no such date.
    """
    return {reading: _parsed_date(_date_text(text), reading) for reading in DATE_FORMATS}


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


def _date_text(text: str) -> str:
    """The date part of a text, with its parts joined by hyphens."""
    return f"translate(regexp_replace({text}, '[ T]\\d{{1,2}}:\\d{{2}}.*$', ''), '/.', '--')"


def _parsed_date(text: str, reading: str) -> str:
    parsed = f"TRY_CAST(try_strptime({text}, '{DATE_FORMATS[reading]}') AS DATE)"
    return f"CASE WHEN year({parsed}) >= {EARLIEST_YEAR} THEN {parsed} END"
