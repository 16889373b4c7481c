"""Reading an export for Spark, with the same result as DuckDB's reader.

A Parquet file of typed columns is read by the executors, each a part of it. What is text, be it a CSV, a workbook or a
Parquet file with numbers or dates set down as text, is read by DuckDB in the driver and handed over as Parquet.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw

from smartcart_pipeline.declaration.contract import KEY, ROW_NUMBER, DeliveredColumn
from smartcart_pipeline.declaration.tables import declare_raw
from smartcart_pipeline.engines.spark import TYPES, SparkEngine, quoted, text_literal
from smartcart_pipeline.exports import reading_duckdb
from smartcart_pipeline.exports.dates import DateReading
from smartcart_pipeline.exports.inspecting import Export
from smartcart_pipeline.exports.reading_duckdb import CategoryReading, Readings, extra_columns

Kinds = dict[str, str]


def read_export(engine: SparkEngine, export: Export) -> tuple[nw.LazyFrame[Any], Readings]:
    """See `reading.read_export`; where Spark reads the file, it lies in a place that all executors see."""
    kinds = _typed_columns(export) if export.kind == "parquet" else None
    return _read_locally(engine, export) if kinds is None else _read_typed(engine, export, kinds)


def _read_locally(engine: SparkEngine, export: Export) -> tuple[nw.LazyFrame[Any], Readings]:
    frame, readings = reading_duckdb.read_export(engine.local, export)
    path = engine.shared_folder / "raw_customers.parquet"
    engine.local.write(frame, declare_raw(export.contract), path)
    return nw.from_native(engine.session.read.parquet(str(path))), readings


def _typed_columns(export: Export) -> Kinds | None:
    """What kind each column of a Parquet file is; None where Spark would not read all as DuckDB does."""
    from pyarrow import parquet  # noqa: PLC0415

    file = parquet.ParquetFile(export.path)
    kinds = {f"c{number}": _kind(field.type) for number, field in enumerate(file.schema_arrow)}
    fits = all(kinds[_position(export, column)] in _fitting(column) for column in export.contract.delivered)
    # Spark takes names that differ only in case for one.
    distinct = len({header.lower() for header in export.headers}) == len(export.headers)
    return kinds if fits and distinct and "other" not in kinds.values() and file.metadata.num_rows else None


def _kind(type: Any) -> str:  # noqa: A002
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_dictionary(type):
        type = type.value_type  # noqa: A001
    if pa.types.is_integer(type) or pa.types.is_boolean(type):
        return "integer"
    if pa.types.is_float32(type) or pa.types.is_float64(type):
        return "float"
    if pa.types.is_date32(type) or (pa.types.is_timestamp(type) and type.unit in ("ms", "us")):
        return "date"
    return "text" if pa.types.is_string(type) or pa.types.is_large_string(type) else "other"


def _fitting(column: DeliveredColumn) -> tuple[str, ...]:
    kinds = {"VARCHAR": ("text",), "DATE": ("date",), "BOOLEAN": ("integer",)}
    return kinds.get(column.type, ("integer", "float"))


def _read_typed(engine: SparkEngine, export: Export, kinds: Kinds) -> tuple[nw.LazyFrame[Any], Readings]:
    """Three steps, each over the columns of the one before: values, typed values, and what could not be typed."""
    extras = extra_columns(export)
    categories = reading_duckdb.read_categories(engine.local, export)
    read = [*(_position(export, column) for column in export.contract.delivered), *extras]
    headers = [f"{quoted(export.headers[int(name[1:])])} AS {name}" for name in read]
    present = {column.name: _present(_position(export, column), kinds, column) for column in export.contract.delivered}
    typed = {
        column.name: _by_sight(column, _typed(column, kinds[_position(export, column)]), categories)
        for column in export.contract.delivered
    }
    numbered = [f"line_number - 1 AS {KEY}"] if ROW_NUMBER in export.contract.columns else []
    frame = (
        engine.session.read.parquet(str(export.path))
        .selectExpr("_metadata.row_index + 2 AS line_number", *headers)
        .selectExpr("*", *(f"{value} AS {name}_delivered" for name, value in present.items()))
        .selectExpr("*", *(f"{value} AS {name}" for name, value in typed.items()))
        .selectExpr(
            "line_number",
            *numbered,
            *typed,
            f"{_unreadable(export.contract.delivered)} AS unreadable",
            *(f"CAST({name} AS STRING) AS {quoted(extra)}" for name, extra in extras.items()),
        )
    )
    dates = {
        column.name: DateReading("ISO", f"{column.header} is delivered as a date type.")
        for column in export.contract.delivered
        if column.type == "DATE"
    }
    return nw.from_native(frame), Readings(dates, categories=categories)


def _present(name: str, kinds: Kinds, column: DeliveredColumn) -> str:
    """The expression for a delivered value; null where it is missing."""
    if kinds[name] == "float":  # "not a number" says that the value is missing
        return f"CASE WHEN NOT isnan({name}) THEN {name} END"
    if kinds[name] == "text":
        missing = ", ".join(text_literal(word) for word in column.missing)
        return f"CASE WHEN lower(trim({name})) NOT IN ({missing}) THEN trim({name}) END"
    return name


def _typed(column: DeliveredColumn, kind: str) -> str:
    """The expression that reads a delivered column as the contract's type; null where it cannot be."""
    value, target = f"{column.name}_delivered", TYPES.get(column.type, column.type)
    if column.type == "BOOLEAN":
        return f"CASE CAST({value} AS BIGINT) WHEN 1 THEN true WHEN 0 THEN false END"
    if kind != "float":
        return f"try_cast({value} AS {target})"
    number = f"CAST({value} AS DOUBLE)"
    if column.type == "DOUBLE":
        return f"CASE WHEN abs({number}) < double('inf') THEN {number} END"
    rounded = f"try_cast(rint({number}) AS {target})"
    if column.is_rounded:
        return rounded
    return f"CASE WHEN rint({number}) = {number} THEN {rounded} END"


def _by_sight(column: DeliveredColumn, typed: str, categories: Mapping[str, CategoryReading]) -> str:
    """The expression for a typed value, with categories as the contract writes them."""
    if column.name not in categories:
        return typed
    meant = categories[column.name].meant.items()
    cases = " ".join(f"WHEN {text_literal(text)} THEN {text_literal(category)}" for text, category in meant)
    return f"CASE {typed} {cases} ELSE {typed} END"


def _unreadable(columns: Sequence[DeliveredColumn]) -> str:
    """The expression that sets down what could not be typed; null where all could."""
    cases = dict(_unreadable_case(column) for column in columns if column.type != "VARCHAR")
    texts = ", ".join(f"CASE WHEN {condition} THEN {text} END" for condition, text in cases.items())
    return f"CASE WHEN {' OR '.join(f'({condition})' for condition in cases)} THEN concat_ws('; ', {texts}) END"


def _unreadable_case(column: DeliveredColumn) -> tuple[str, str]:
    was = f"{column.name}_delivered"
    before, after = text_literal(f"{column.header} is '"), text_literal(f"': expected {column.expected}")
    return f"{column.name} IS NULL AND {was} IS NOT NULL", f"concat({before}, CAST({was} AS STRING), {after})"


def _position(export: Export, column: DeliveredColumn) -> str:
    return f"c{export.headers.index(column.header)}"
