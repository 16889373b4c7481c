"""The default engine: DuckDB, in this process, streaming through a bounded memory."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np

from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.tables import Table

# Customers per array handed to a fit: large enough to be fast, small enough to stay out of the way.
BATCH = 122_880


class DuckDBEngine:
    """Frames as lazy DuckDB relations; nothing is read before it is written, fetched or streamed.

    Attributes:
        memory_limit: What DuckDB may use, e.g. `1GB`; None for its own default.
        spill_directory: Where it may put what does not fit; None for its own default.
    """

    def __init__(self, memory_limit: str | None = None, spill_directory: Path | None = None) -> None:
        """Take note of the limits; the connection opens with the first use."""
        self.memory_limit = memory_limit
        self.spill_directory = spill_directory

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The one connection of this process, to a database in memory."""
        connection = duckdb.connect(":memory:")
        if self.memory_limit:
            connection.execute(f"SET memory_limit = {literal(self.memory_limit)}")
        if self.spill_directory:
            connection.execute(f"SET temp_directory = {literal(str(self.spill_directory))}")
        return connection

    def close(self) -> None:
        """Let go of the connection and of all memory; frames of this engine can be used no more."""
        if "connection" in vars(self):
            vars(self).pop("connection").close()

    def scan(self, path: Path, name: str) -> nw.LazyFrame[Any]:
        """A Parquet file as a frame.

        Args:
            path: The file.
            name: What its queries shall call it, so that lineage can be read from them.

        Returns:
            A frame that reads the file when it is used.
        """
        self.connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS SELECT * FROM read_parquet({literal(str(path))})"
        )
        return nw.from_native(self.connection.table(name))

    def frame(self, rows: Rows | Any) -> nw.LazyFrame[Any]:
        """Rows, or an Arrow table, as a frame.

        Args:
            rows: A list of dicts, or a pyarrow Table.

        Returns:
            A frame over them.
        """
        import pyarrow as pa  # noqa: PLC0415  (not every use of the engine needs it)

        table = pa.Table.from_pylist(rows) if isinstance(rows, list) else rows
        return nw.from_native(self.connection.from_arrow(table))

    def query(self, frame: nw.LazyFrame[Any]) -> str:
        """The SQL that a frame stands for.

        Args:
            frame: A frame of this engine.

        Returns:
            One SELECT statement.
        """
        return str(nw.to_native(frame).sql_query())

    def rows(self, frame: nw.LazyFrame[Any]) -> Rows:
        """Fetch a small frame.

        Args:
            frame: A frame of this engine, of few rows.

        Returns:
            Its rows as dicts.
        """
        rows: Rows = self.fetch(frame).to_pylist()
        return rows

    def fetch(self, frame: nw.LazyFrame[Any]) -> Any:
        """Fetch a frame that is known to be small enough.

        Args:
            frame: A frame of this engine.

        Returns:
            A pyarrow Table.
        """
        return nw.to_native(frame).to_arrow_table()

    def keep(self, frame: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
        """Compute a frame that is known to be small enough once, so that using it again costs nothing.

        Args:
            frame: A frame of this engine.

        Returns:
            The same rows, from memory.
        """
        return self.frame(self.fetch(frame))

    def arrays(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> Iterator[np.ndarray]:
        """Stream columns of a frame, in its order.

        Args:
            frame: A frame of this engine.
            columns: Numeric columns without nulls.

        Yields:
            Arrays of shape (customers, columns), float64, of up to 122,880 customers.
        """
        for batch in nw.to_native(frame.select(*columns)).to_arrow_reader(BATCH):
            # By DLPack, because pyarrow's own to_numpy imports pandas.
            yield np.column_stack([np.from_dlpack(column) for column in batch.columns]).astype(np.float64, copy=False)

    def array(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> np.ndarray:
        """Fetch columns of a frame that is known to be small enough.

        Args:
            frame: A frame of this engine.
            columns: Numeric columns.

        Returns:
            Array of shape (customers, columns), float64.
        """
        batches = list(self.arrays(frame, columns))
        return np.concatenate(batches) if batches else np.empty((0, len(columns)))

    def write(self, frame: nw.LazyFrame[Any], table: Table, path: Path) -> int:
        """Write a frame as Parquet, in the declared columns, order and types.

        Args:
            frame: A frame of this engine.
            table: The declaration.
            path: Where to write; replaced if it is there.

        Returns:
            Number of rows written.
        """
        found = frame.collect_schema().names()
        declared = [column for column in table.columns if not (column.optional and column.name not in found)]
        extra = [name for name in found if name not in table.names] if table.carries_extra else []
        columns = [
            *(f"CAST({identifier(column.name)} AS {column.type}) AS {identifier(column.name)}" for column in declared),
            *map(identifier, extra),
        ]
        row = self.connection.execute(
            f"COPY (SELECT {', '.join(columns)} FROM ({self.query(frame)})) TO {literal(str(path))} "
            f"(FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {BATCH})"
        ).fetchone()
        return int(row[0]) if row else 0


def identifier(name: str) -> str:
    """A name, quoted for SQL.

    Args:
        name: Any text.

    Returns:
        The quoted identifier.
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text, quoted for SQL where a parameter cannot be bound.

    Args:
        text: Any text.

    Returns:
        The quoted literal.
    """
    return "'" + text.replace("'", "''") + "'"
