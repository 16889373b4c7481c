"""The lake: one Parquet file per table and run, or a folder of such, written once and never changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import narwhals as nw

from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.tables import BEFORE, Table, declare_tables
from smartcart_pipeline.engines.engine import Engine, Span, Written
from smartcart_pipeline.engines.lineage import Columns, merge_sources
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.storage.home import next_stamp, put_in_place, remove


@dataclass(frozen=True)
class Fitted:
    """A small table that was fitted, put together in Python, or kept in memory.

    Attributes:
        rows: Its rows, or a frame that was kept.
        sources: The frames it was made from, so that its lineage can be told.
    """

    rows: "Rows | nw.LazyFrame[Any]"
    sources: Sequence[nw.LazyFrame[Any]] = field(default_factory=tuple)


@dataclass(frozen=True)
class Stored:
    """A table that was written.

    Attributes:
        path: The file.
        rows: Number of rows.
        spans: What is known of its columns from having written them.
        lineage: The upstream columns of each column.
        further: Its columns beyond the declared ones.
    """

    path: Path
    rows: int
    spans: Mapping[str, Span]
    lineage: Columns
    further: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of the file, or of all the files of a folder."""
        files = self.path.iterdir() if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files)


@dataclass(frozen=True)
class Lake:
    """The tables of one run, as files.

    Attributes:
        root: The folder of the lake.
        run_id: The run that writes and reads. It sees its own tables, and the newest of those it did not write.
        engine: Where frames live.
        declaration: What the run goes by.
        stored: What has been written, by table.
    """

    root: Path
    run_id: str
    engine: Engine
    declaration: Declaration = field(hash=False)
    stored: dict[str, Stored] = field(default_factory=dict, compare=False)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """What its tables hold, by name."""
        return declare_tables(self.declaration)

    def write(
        self, name: str, content: "nw.LazyFrame[Any] | Fitted", report: Callable[[float], None] | None = None
    ) -> Stored:
        """Write a table as this run's.

        Args:
            name: Its name.
            content: A frame, or the rows of a small table.
            report: Told now and then what share has been done, from 0 to 1.

        Returns:
            What was written.
        """
        table = self.tables[name]
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{next_stamp(folder)}_{self.run_id}.parquet"
        writing = path.with_name(f".{path.name}.writing")
        made = content.rows if isinstance(content, Fitted) else content
        frame = made if isinstance(made, nw.LazyFrame) else self.engine.declared(made, table)
        engine = self._engine_of(frame)
        # Begun before and read after: the two go on side by side.
        sources = content.sources if isinstance(content, Fitted) else [content]
        further = [each for each in frame.collect_schema().names() if table.carries_extra and each not in table.names]
        schemas = {known: self._names(declared) for known, declared in self.tables.items()}
        traces = [self._engine_of(source).trace(source, schemas) for source in sources]
        try:
            written = engine.write(frame, table, writing, report)
            put_in_place(writing, path)
        finally:
            remove(writing)
        traced = [self._of_tonight(trace.result()) for trace in traces]
        lineage = _join_traces((*table.names, *further), traced, is_one=not isinstance(content, Fitted))
        self.stored[name] = Stored(path, written.rows, written.spans, lineage, tuple(further))
        return self.stored[name]

    def _engine_of(self, frame: nw.LazyFrame[Any]) -> Engine:
        """Where a frame lives: some are made by the DuckDB of this process, whatever the engine is."""
        return self.engine.local if frame.implementation.is_duckdb() else self.engine

    def _names(self, table: Table) -> tuple[str, ...]:
        """The columns of a table, those beyond the declared ones too."""
        if table.name in self.stored:
            return (*table.names, *self.stored[table.name].further)
        if table.carries_extra and self.has(table.name):
            return tuple(self.read(table.name).collect_schema().names())
        return table.names

    def _of_tonight(self, traced: Columns) -> Columns:
        """Without the sources that another night wrote: lineage is of one night."""
        return {column: [each for each in sources if each[0] in self.tables] for column, sources in traced.items()}

    def read(self, name: str) -> nw.LazyFrame[Any]:
        """Read a table: this run's, else the newest.

        Args:
            name: Its name.

        Returns:
            A frame.

        Raises:
            FileNotFoundError: If no run has written it yet.
        """
        return self.engine.scan(self.path(name), name)

    def read_of(self, run_id: str, name: str) -> nw.LazyFrame[Any] | None:
        """Read a table as another run wrote it.

        Args:
            run_id: The run.
            name: The table's name.

        Returns:
            A frame; None where the run's file is no longer kept.
        """
        path = self.path_of(run_id, name)
        return None if path is None else self.engine.scan(path, f"{name}{BEFORE}")

    def count(self, name: str) -> int:
        """How many rows a table has: this run's, else the newest, by the file's footer.

        Args:
            name: Its name.

        Returns:
            Number of rows.
        """
        if name in self.stored:
            return self.stored[name].rows
        return int(self.engine.rows(self.read(name).select(nw.len().alias("rows")))[0]["rows"])

    def written(self, name: str) -> Written:
        """What is known of a table: all that writing it told, where that was this run, else its rows only.

        Args:
            name: Its name.

        Returns:
            What is known.
        """
        return Written(self.count(name), self.stored[name].spans if name in self.stored else {})

    def has(self, name: str) -> bool:
        """Whether any run has written a table.

        Args:
            name: Its name.

        Returns:
            Whether there is a file of it.
        """
        return any((self.root / name).glob("[0-9]*.parquet"))

    def path(self, name: str) -> Path:
        """The file of a table: this run's, else the newest.

        Args:
            name: Its name.

        Returns:
            The file.

        Raises:
            FileNotFoundError: If no run has written it yet.
        """
        files = sorted((self.root / name).glob("[0-9]*.parquet"))
        own = [path for path in files if path.stem.endswith(f"_{self.run_id}")]
        if not files:
            raise FileNotFoundError(
                f"The table {name} has never been made: materialise the asset {name}, or run the whole job."
            )
        return (own or files)[-1]

    def path_of(self, run_id: str, name: str) -> Path | None:
        """The file of a table as a run wrote it.

        Args:
            run_id: The run.
            name: The table's name.

        Returns:
            The file; None where it is no longer kept.
        """
        return max((self.root / name).glob(f"[0-9]*_{run_id}.parquet"), default=None)


def _join_traces(columns: Sequence[str], traces: Sequence[Columns], is_one: bool) -> Columns:
    """The sources of each column of a table; of what was fitted, one of no frame's columns comes from all of them."""
    everything = [] if is_one else merge_sources(traces)
    traced = {column: sources for trace in traces for column, sources in trace.items()}
    return {column: traced.get(column, everything) for column in columns if column in traced or everything}
