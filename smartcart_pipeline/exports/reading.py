"""Reading an export with whichever engine a run has; what is read is the same."""

from typing import Any

import narwhals as nw

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.exports import reading_duckdb
from smartcart_pipeline.exports.inspecting import Export
from smartcart_pipeline.exports.reading_duckdb import Readings


def read_export(engine: Engine, export: Export) -> tuple[nw.LazyFrame[Any], Readings]:
    """The rows of an export, typed by the contract.

    Args:
        engine: Where the frame lives.
        export: The file, from `inspect_export`.

    Returns:
        A frame with the columns of the table `raw_customers`, good until the engine reads another export (Spark's as
        long as the engine); and how the dates of each column of dates are read.

    Raises:
        ExportError: If the file cannot be read, holds no customers, or its dates read month first.
    """
    if isinstance(engine, DuckDBEngine):
        return reading_duckdb.read_export(engine, export)
    from smartcart_pipeline.engines.spark import SparkEngine  # noqa: PLC0415  (only where it is asked for)
    from smartcart_pipeline.exports import reading_spark  # noqa: PLC0415

    if not isinstance(engine, SparkEngine):
        raise TypeError(f"no reader is known for {type(engine).__name__}")
    return reading_spark.read_export(engine, export)
