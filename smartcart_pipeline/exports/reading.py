"""Reading an export with whichever engine a run has; what is read is the same."""

from typing import Any

import narwhals as nw

from smartcart_pipeline.declaration.contract import Contract
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.exports import reading_duckdb
from smartcart_pipeline.exports.dates import HOW_TO_SAY
from smartcart_pipeline.exports.inspecting import Export, tell_by_sight, tell_left_out, tell_skipped
from smartcart_pipeline.exports.reading_duckdb import Readings


def read_export(engine: Engine, export: Export) -> tuple[nw.LazyFrame[Any], Readings]:
    """The rows of an export, typed by the contract.

    Args:
        engine: Where the frame lives.
        export: The file, from `inspect_export`.

    Returns:
        A frame with the columns of the table `raw_customers`, good until the engine reads another export (Spark's as
        long as the engine); and how dates and numbers are read.

    Raises:
        ExportError: If the file cannot be read, holds no customers, or its dates or numbers are written in several ways
            or in one of which nothing says how to read it.
    """
    if isinstance(engine, DuckDBEngine):
        return reading_duckdb.read_export(engine, export)
    from smartcart_pipeline.engines.spark import SparkEngine  # noqa: PLC0415  (only where it is asked for)
    from smartcart_pipeline.exports import reading_spark  # noqa: PLC0415

    if not isinstance(engine, SparkEngine):
        raise TypeError(f"no reader is known for {type(engine).__name__}")
    return reading_spark.read_export(engine, export)


def tell_reading(export: Export, readings: Readings, contract: Contract) -> list[str]:
    """All that people should know of how a file was read.

    Args:
        export: The file.
        readings: How its columns are read.
        contract: The contract, with the usual headers.

    Returns:
        Sentences; none of a file that is just as the contract says.
    """
    by_sight = tell_by_sight(export, contract)
    return [
        *([tell_skipped(export)] if export.skipped else []),
        *tell_defaults(export, readings),
        *([tell_left_out(export)] if export.left_out else []),
        *([by_sight] if by_sight else []),
        *(each.evidence for each in readings.categories.values()),
    ]


def tell_numbers(readings: Readings) -> str:
    """How numbers are written that SQL would not read as they are.

    Args:
        readings: How the columns are read.

    Returns:
        A sentence a column; none of plain numbers.
    """
    return " ".join(each.evidence for each in readings.numbers.values() if each.evidence)


def tell_defaults(export: Export, readings: Readings) -> list[str]:
    """What was taken for granted, because nothing in the file says it.

    Args:
        export: The file.
        readings: How its columns are read.

    Returns:
        A sentence for each column.
    """
    return [
        f"{reading.evidence} Should they be month first, say so in the contract, at "
        f"{export.contract.by_name[name].header}: {HOW_TO_SAY}."
        for name, reading in readings.dates.items()
        if reading.is_default
    ]
