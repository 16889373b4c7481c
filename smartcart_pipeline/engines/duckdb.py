"""The default engine: DuckDB, in this process, streaming through a bounded memory."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np

from smartcart_pipeline.declaration.columns import Column
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.tables import BEFORE, Table
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.apart import P, T
from smartcart_pipeline.engines.engine import GroupedCounts, Schemas, Span, Written
from smartcart_pipeline.engines.lineage import Columns, trace_columns
from smartcart_pipeline.engines.sql import identifier, literal, parquet
from smartcart_pipeline.segmentation import Rows, clustering, components, scaling
from smartcart_pipeline.segmentation.components import Components
from smartcart_pipeline.segmentation.moments import Moments, sum_moments
from smartcart_pipeline.segmentation.sampling import ID_NUMBER
from smartcart_pipeline.segmentation.scaling import Scaler

# Customers per array handed to a fit: large enough to be fast, small enough to stay out of the way.
BATCH = 122_880
MEMORY_LIMIT = "900MB"
# Bits of a bitmap: 32 MB on each thread.
BITMAP = 2**28
# Columns that are counted in one pass: GROUPING takes 63, and those of many different values take much memory.
COUNTED_TOGETHER, CONTINUOUS_TOGETHER = 50, 8
# A column of more different values in a row group gets no dictionary. A larger one makes the files of ten million
# customers no smaller, and takes an eighth longer to write.
DICTIONARY = 5_000
REPORT_SECONDS = 2.0
# A text id as a number of 60 bits, by its MD5, which every engine reckons alike.
TEXT_NUMBER = f"CAST('0x' || substr(md5({KEY}), 1, 15) AS BIGINT)"
NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"}


class DuckDBEngine:
    """Frames as lazy DuckDB relations; nothing is read before it is written, fetched or streamed.

    Attributes:
        memory_limit: What DuckDB may use, e.g. `900MB`.
        spill_directory: Where it may put what does not fit; None for its own default.
    """

    def __init__(self, memory_limit: str = MEMORY_LIMIT, spill_directory: Path | None = None) -> None:
        """Take note of the limits; the connection opens with the first use."""
        self.memory_limit = memory_limit
        self.spill_directory = spill_directory
        self._scanned: dict[str, tuple[Path, nw.LazyFrame[Any]]] = {}
        self._traced: dict[str, Future[Columns]] = {}

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The one connection of this process, to a database in memory."""
        connection = duckdb.connect(":memory:")
        connection.execute(f"SET memory_limit = {literal(self.memory_limit)}")
        # Reckon how far a query is, without drawing a bar.
        connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
        if self.spill_directory:
            connection.execute(f"SET temp_directory = {literal(str(self.spill_directory))}")
        return connection

    @property
    def local(self) -> "DuckDBEngine":
        """This engine itself."""
        return self

    def close(self) -> None:
        """Let go of the connection and of all memory; frames of this engine can be used no more."""
        if "connection" in vars(self):
            vars(self).pop("connection").close()
        self._scanned.clear()

    def call(self, verb: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """See `apart.call`."""
        return apart.call(verb, *arguments, **named)

    def scan(self, path: Path, name: str) -> nw.LazyFrame[Any]:
        """See `Engine.scan`."""
        # Files of the lake never change: one that is read again and again is opened and looked into once.
        known, frame = self._scanned.get(name, (None, None))
        if known != path or frame is None:
            self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS SELECT * FROM {parquet(path)}")
            frame = nw.from_native(self.connection.table(name))
            self._scanned[name] = path, frame
        return frame

    def frame(self, rows: Any) -> nw.LazyFrame[Any]:
        """See `Engine.frame`."""
        return nw.from_native(self.connection.from_arrow(rows))

    def declared(self, rows: Rows, table: Table) -> nw.LazyFrame[Any]:
        """See `Engine.declared`."""
        name = f"declared_{table.name}"
        insert_rows(self.connection, f"CREATE OR REPLACE TEMP TABLE {identifier(name)} AS", rows, table)
        return nw.from_native(self.connection.table(name))

    def query(self, frame: nw.LazyFrame[Any]) -> str:
        """The SQL that a frame stands for.

        Args:
            frame: A frame of this engine.

        Returns:
            One SELECT statement.
        """
        return str(nw.to_native(frame).sql_query())

    def trace(self, frame: nw.LazyFrame[Any], schemas: Schemas) -> "Future[Columns]":
        """See `Engine.trace`."""
        query = self.query(frame)
        # Several tables of a step are made from the same frames; reading their SQL once is enough.
        if query not in self._traced:
            before = {f"{name}{BEFORE}": columns for name, columns in schemas.items()}
            # Of few of all the tables does a query say anything, and each that is handed over is read.
            named = {name: columns for name, columns in {**schemas, **before}.items() if name in query}
            self._traced[query] = apart.start(trace_columns, query, named)
        return self._traced[query]

    def rows(self, frame: nw.LazyFrame[Any]) -> Rows:
        """See `Engine.rows`."""
        rows: Rows = self.fetch(frame).to_pylist()
        return rows

    def fetch(self, frame: nw.LazyFrame[Any]) -> Any:
        """See `Engine.fetch`."""
        return nw.to_native(frame).to_arrow_table()

    def keep(self, frame: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
        """See `Engine.keep`."""
        return self.frame(self.fetch(frame))

    def number_ids(self, frame: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
        """See `Engine.number_ids`."""
        if frame.collect_schema()[KEY].is_integer():
            return frame.with_columns(nw.col(KEY).alias(ID_NUMBER))
        numbered: nw.LazyFrame[Any] = nw.from_native(nw.to_native(frame).project(f"*, {TEXT_NUMBER} AS {ID_NUMBER}"))
        return numbered

    def arrays(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> Iterator[np.ndarray]:
        """Stream columns of a frame, in its order.

        Args:
            frame: A frame of this engine.
            columns: Numeric columns without nulls.

        Yields:
            Arrays of shape (customers, columns), float64, of up to 122,880 customers.
        """
        for batch in nw.to_native(frame.select(*columns)).to_arrow_reader(BATCH):
            # Column beside column, as they come: a fifth of the time of putting them row by row.
            values = np.empty((batch.num_rows, len(columns)), order="F")
            for number, column in enumerate(batch.columns):
                # By DLPack, because pyarrow's own to_numpy imports pandas.
                values[:, number] = np.from_dlpack(column)
            yield values

    def sum_moments(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> Moments:
        """Sum up columns of a frame, in one pass.

        Args:
            frame: A frame of this engine.
            columns: Numeric columns without nulls.

        Returns:
            Their moments.
        """
        return sum_moments(self.arrays(frame, columns), tuple(columns))

    def count_values(self, frame: nw.LazyFrame[Any], group: str, columns: Sequence[str]) -> GroupedCounts:
        """See `Engine.count_values`; in one pass, if they are not many."""

        def count(part: list[str]) -> Any:
            names = ", ".join(map(identifier, part))
            sets = ", ".join(f"({identifier(group)}, {identifier(column)})" for column in part)
            # GROUPING sets the bit of each column that a row is not about; the last column's is the lowest.
            return self.connection.sql(
                f"SELECT {identifier(group)} AS 'group', GROUPING({names}) AS others, {names}, count(*) AS customers "
                f"FROM ({self.query(frame)}) GROUP BY GROUPING SETS ({sets})"
            ).to_arrow_table()

        return count_in_passes(frame, columns, count)

    def count_repeats(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> int:
        """See `Engine.count_repeats`; in one pass.

        Whole numbers that lie near enough together are ticked off in a bitmap, which takes a twentieth of the time of
        a hash table. Other rows are compared by a hash of 64 bits: among ten million, two that differ count as equal
        with a chance of one in four hundred thousand.
        """
        if len(columns) == 1 and frame.collect_schema()[columns[0]].is_integer():
            return self._count_repeated_numbers(frame, columns[0])
        hashed = f"hash({', '.join(map(identifier, columns))})"
        there = f" WHERE {identifier(columns[0])} IS NOT NULL" if len(columns) == 1 else ""
        [(repeats,)] = self.connection.execute(
            f"SELECT count(*) - count(DISTINCT {hashed}) FROM ({self.query(frame)}){there}"
        ).fetchall()
        return int(repeats)

    def _count_repeated_numbers(self, frame: nw.LazyFrame[Any], column: str) -> int:
        number, query = identifier(column), self.query(frame)
        [(least, greatest, numbers)] = self.connection.execute(
            f"SELECT min({number}), max({number}), count({number}) FROM ({query})"
        ).fetchall()
        if not numbers:
            return 0
        is_near = greatest - least < BITMAP
        ticked = f"bit_count(bitstring_agg({number}, {least}, {greatest}))" if is_near else f"count(DISTINCT {number})"
        [(different,)] = self.connection.execute(f"SELECT {ticked} FROM ({query})").fetchall()
        return int(numbers - different)

    def fingerprint(self, frame: nw.LazyFrame[Any], group: str | None = None) -> Rows:
        """See `Engine.fingerprint`."""
        grouped = f"{identifier(group)}, " if group else ""
        number = KEY if frame.collect_schema()[KEY].is_integer() else TEXT_NUMBER
        summed = self.connection.sql(
            f"SELECT {grouped}count(*) AS customers, sum({number})::VARCHAR AS ids, "
            f"bit_xor(hash({KEY})) AS hashed FROM ({self.query(frame)}) GROUP BY ALL ORDER BY ALL"
        )
        return self.rows(nw.from_native(summed))

    def array(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> np.ndarray:
        """See `Engine.array`."""
        batches = list(self.arrays(frame, columns))
        return np.ascontiguousarray(np.concatenate(batches)) if batches else np.empty((0, len(columns)))

    def write(
        self, frame: nw.LazyFrame[Any], table: Table, path: Path, report: Callable[[float], None] | None = None
    ) -> Written:
        """See `Engine.write`.

        Rows keep the frame's order, unless it joins others: then only a table that grows does.
        """
        found = frame.collect_schema().names()
        extra = [name for name in found if name not in table.names] if table.carries_extra else []
        columns = [
            *(f"{_cast(column)} AS {identifier(column.name)}" for column in table.columns),
            *map(identifier, extra),
        ]
        # After a join DuckDB writes row groups as they come, unless it is told not to, which keeps it to one thread.
        in_order = ", PRESERVE_ORDER true" if table.grows else ""
        with self._reporting(report):
            [(_, rows, _, _, statistics, *_)] = self.connection.execute(
                f"COPY (SELECT {', '.join(columns)} FROM ({self.query(frame)})) TO {literal(str(path))} (FORMAT "
                f"parquet, COMPRESSION snappy, ROW_GROUP_SIZE {BATCH}, DICTIONARY_SIZE_LIMIT {DICTIONARY}{in_order}, "
                "RETURN_STATS)"
            ).fetchall()
        return Written(
            rows, {column.name: _span(column, statistics[identifier(column.name)]) for column in table.columns}
        )

    def fit_scaler(self, encoded: nw.LazyFrame[Any], names: tuple[str, ...]) -> tuple[Scaler, np.ndarray]:
        """See `scaling.fit_scaler` and `scaling.correlate`; one pass serves both."""
        moments = self.sum_moments(encoded, names)
        return scaling.fit_scaler(moments), scaling.correlate(moments)

    def fit_components(
        self,
        scaled: nw.LazyFrame[Any],  # noqa: ARG002  (the covariances say all)
        covariances: np.ndarray,
        names: tuple[str, ...],
    ) -> Components:
        """See `components.fit_components`."""
        return apart.call(components.fit_components, covariances, names)

    def refine_centroids(self, points: nw.LazyFrame[Any], centroids: np.ndarray) -> np.ndarray:
        """See `clustering.refine_centroids`."""
        return clustering.refine_centroids(points, centroids, self.rows)

    @contextmanager
    def _reporting(self, report: Callable[[float], None] | None) -> Iterator[None]:
        """Tell, from a thread of its own, how far the running query is."""
        done = threading.Event()

        def watch() -> None:
            while report and not done.wait(REPORT_SECONDS):
                percent = self.connection.query_progress()
                if percent > 0:
                    report(min(percent / 100, 1.0))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def _span(column: Column, statistics: Mapping[str, str]) -> Span:
    """What DuckDB's `RETURN_STATS` says of a column, which is in texts."""
    bounds = {"least": statistics.get("min"), "greatest": statistics.get("max")} if column.type in NUMBERS else {}
    return Span(
        nulls=int(statistics["null_count"]),
        nans=int(statistics.get("nan_count", 0)),
        is_enumerated=_is_enumerated(column),
        **{name: None if bound is None else _number(column, bound) for name, bound in bounds.items()},
    )


def _number(column: Column, text: str) -> float:
    """A number as the column holds it: 0.1 of 32 bits is another than 0.1 of 64."""
    return float(np.float32(text)) if column.type == "FLOAT" else float(text)


def _is_enumerated(column: Column) -> bool:
    return bool(column.categories) and not column.nullable


def _cast(column: Column) -> str:
    name = identifier(column.name)
    if not _is_enumerated(column):
        return f"CAST({name} AS {column.type})"
    # As an enumeration, texts are written in two thirds of the time; in the file they are texts. A value outside the
    # categories becomes null; the schema check reports it.
    return f"TRY_CAST({name} AS ENUM ({', '.join(map(literal, column.categories))}))"


def insert_rows(connection: duckdb.DuckDBPyConnection, into: str, rows: Rows, table: Table) -> None:
    """Hand rows to DuckDB in the declared types.

    Args:
        connection: A connection.
        into: The statement, up to the SELECT.
        rows: Dicts, as for `DuckDBEngine.declared`.
        table: The declaration.

    Raises:
        ValueError: If a row has something that is not declared, or lacks what must be there.
    """
    required = {column.name for column in table.columns if not column.nullable}
    for row in rows:
        if unknown := row.keys() - set(table.names):
            raise ValueError(f"{table.name}: {', '.join(sorted(unknown))}: no such column is declared")
        if missing := required - row.keys():
            raise ValueError(f"{table.name}: {', '.join(sorted(missing))}: missing in a row")
    # Not by way of Arrow, whose Python library imports pandas to look at a list.
    fields = ", ".join(f"{identifier(column.name)} {column.type}" for column in table.columns)
    complete = [{name: row.get(name) for name in table.names} for row in rows]
    connection.execute(f"{into} SELECT unnest($1::STRUCT({fields})[], max_depth := 2)", [complete])


def count_in_passes(
    frame: nw.LazyFrame[Any], columns: Sequence[str], count: Callable[[list[str]], Any]
) -> GroupedCounts:
    """Count the values of many columns, some of them at a time.

    Args:
        frame: What is counted.
        columns: The columns to count.
        count: Counts some of them over grouping sets, and gives what `split_counts` takes apart.

    Returns:
        As `Engine.count_values`.
    """
    counts: GroupedCounts = {}
    for part in _passes(frame, columns):
        for group, found in split_counts(count(part), part).items():
            counts.setdefault(group, {}).update(found)
    return counts


def _passes(frame: nw.LazyFrame[Any], columns: Sequence[str]) -> Iterator[list[str]]:
    """Which columns are counted together: as many as a query can tell apart, and few of which have many values."""
    schema = frame.collect_schema()
    part: list[str] = []
    continuous = 0
    for column in columns:
        is_continuous = schema[column].is_float() or schema[column] in (nw.Int32, nw.Int64)
        if len(part) == COUNTED_TOGETHER or (is_continuous and continuous == CONTINUOUS_TOGETHER):
            yield part
            part, continuous = [], 0
        part.append(column)
        continuous += is_continuous
    if part:
        yield part


def split_counts(counted: Any, columns: Sequence[str]) -> GroupedCounts:
    """Take the result of a count over grouping sets apart.

    Args:
        counted: A pyarrow Table: `group`, `others` (the bit of each column that a row is not about, the last column's
            the lowest), the columns, and `customers`.
        columns: The columns.

    Returns:
        For each group and column, values (numbers as float64) and their counts, arrays of shape (values,).
    """
    import pyarrow as pa  # noqa: PLC0415  (not every use of the engine needs it)

    counts: GroupedCounts = {}
    every, others = (1 << len(columns)) - 1, _as_array(counted["others"])
    for number, column in enumerate(reversed(columns)):
        is_about = np.packbits(others == every - (1 << number), bitorder="little")
        about = counted.filter(pa.Array.from_buffers(pa.bool_(), len(others), [None, pa.py_buffer(is_about)]))
        is_text = pa.types.is_string(about.schema.field(column).type)
        # By DLPack, because pyarrow's own to_numpy imports pandas, as all does that looks at something of Python's.
        values = (
            np.array(about[column].to_pylist(), dtype=object)
            if is_text
            else _as_array(about[column].cast(pa.float64()))
        )
        groups, customers = (_as_array(about[name]) for name in ("group", "customers"))
        for name in np.unique(groups).tolist():
            counts.setdefault(name, {})[column] = values[groups == name], customers[groups == name]
    return counts


def _as_array(column: Any) -> np.ndarray:
    return np.from_dlpack(column.combine_chunks())
