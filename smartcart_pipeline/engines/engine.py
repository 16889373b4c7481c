"""What an engine can do, and what it tells of the tables that it writes."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import narwhals as nw
import numpy as np

from smartcart_pipeline.declaration.tables import Table
from smartcart_pipeline.engines.lineage import Columns
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.components import Components
from smartcart_pipeline.segmentation.hands import Counting, Framing
from smartcart_pipeline.segmentation.scaling import Scaler

if TYPE_CHECKING:
    from smartcart_pipeline.engines.duckdb import DuckDBEngine

Frame = nw.LazyFrame[Any]
# The columns of each table of the lake.
Schemas = Mapping[str, Sequence[str]]
# Of each group, for each column: values, and how many rows have each, as arrays of shape (values,).
GroupedCounts = dict[int, dict[str, tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class Span:
    """What is known of a column from having written it.

    Attributes:
        nulls: How many values are missing.
        nans: How many are not a number.
        least: The least number among the others; None where there is none, or no number.
        greatest: The greatest.
        is_enumerated: Whether it was written as one of its categories, so that nothing else can be in it.
    """

    nulls: int
    nans: int = 0
    least: float | None = None
    greatest: float | None = None
    is_enumerated: bool = False


@dataclass(frozen=True)
class Written:
    """A table that was written.

    Attributes:
        rows: How many.
        spans: What is known of its columns, by name; nothing where the engine does not tell.
    """

    rows: int
    spans: Mapping[str, Span] = field(default_factory=dict)


class Engine(Framing, Counting, Protocol):
    """What assets and the lake ask of an engine, besides what verbs do; this is where its methods are told."""

    @property
    def local(self) -> "DuckDBEngine":
        """The DuckDB of this process, which reads texts and builds the warehouse."""

    def close(self) -> None:
        """Let go of all that is held; frames of this engine can be used no more."""

    def scan(self, path: Path, name: str) -> Frame:
        """A Parquet file as a frame.

        Args:
            path: The file.
            name: What its queries shall call it, so that lineage can be read from them.

        Returns:
            A frame that reads the file when it is used.
        """

    def declared(self, rows: Rows, table: Table) -> Frame:
        """Rows of a small table as a frame, in the declared types, also where a column is all nulls or there is no row.

        Args:
            rows: Dicts; what may be missing and is not there is null.
            table: The declaration.

        Returns:
            A frame over them, until rows of the same table are handed in again.
        """

    def trace(self, frame: Frame, schemas: Schemas) -> Future[Columns]:
        """Trace each column of a frame back to the tables of the lake it reads, by its SQL.

        Args:
            frame: A frame of this engine.
            schemas: The columns of each table.

        Returns:
            What will be, for each column, in order, its (table, column) sources, sorted.
        """

    def write(self, frame: Frame, table: Table, path: Path, report: Callable[[float], None] | None = None) -> Written:
        """Write a frame as Parquet, in the declared columns, their order and types.

        Rows keep the frame's order, unless it joins others: then only a table that grows does.

        Args:
            frame: A frame of this engine.
            table: The declaration.
            path: Where to write; replaced if it is there.
            report: Told every two seconds what share has been done, from 0 to 1.

        Returns:
            How many rows were written, and what the file's statistics say of each column.
        """

    def fingerprint(self, frame: Frame, group: str | None = None) -> Rows:
        """What two frames of the same customers agree in, whatever their order, in one pass.

        Two different sets of customers agree in it by a chance of one in 2^64.

        Args:
            frame: Rows with `customer_id`.
            group: A column that parts them, if they are to agree part by part.

        Returns:
            One row, or one a group, in its order: the group, `customers`, `ids` (the sum of the ids, of texts that of
            their numbers) and `hashed` (all ids' hashes, one crossed with the other).
        """

    def count_values(self, frame: Frame, group: str, columns: Sequence[str]) -> GroupedCounts:
        """Count how often each value of each column occurs in each group, in one pass.

        Args:
            frame: A frame of this engine.
            group: The column that tells the group, an integer.
            columns: The columns to count, of few different values.

        Returns:
            For each group and column, values (numbers as float64) and their counts, arrays of shape (values,).
        """

    def fit_scaler(self, encoded: Frame, names: tuple[str, ...]) -> tuple[Scaler, np.ndarray]:
        """Fit the scaler, and see how the features go together.

        Args:
            encoded: Customers from `encode_features`.
            names: Names of the encoded features.

        Returns:
            The fitted numbers, and the correlation of each two features, shape (features, features).

        Raises:
            ExportError: If no two customers differ, so that there is nothing to segment.
        """

    def fit_components(self, scaled: Frame, covariances: np.ndarray, names: tuple[str, ...]) -> Components:
        """Fit the principal components.

        Args:
            scaled: Customers from `standardise`.
            covariances: Of the standardised features, shape (features, features).
            names: Names of the standardised features.

        Returns:
            The fitted numbers.
        """
