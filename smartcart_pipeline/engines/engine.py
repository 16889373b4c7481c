"""What an engine can do, and what it tells of the tables that it writes."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import narwhals as nw
import numpy as np

from smartcart_pipeline.declaration.tables import Table
from smartcart_pipeline.engines.apart import P, T
from smartcart_pipeline.engines.lineage import Columns
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.components import Components
from smartcart_pipeline.segmentation.scaling import Scaler

if TYPE_CHECKING:
    from smartcart_pipeline.engines.duckdb import DuckDBEngine

Frame = nw.LazyFrame[Any]
# The columns of each table of the lake.
Schemas = Mapping[str, Sequence[str]]


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


class Engine(Protocol):
    """What assets and the lake ask of an engine; see `DuckDBEngine` for what each method does."""

    @property
    def local(self) -> "DuckDBEngine":
        """The DuckDB of this process, which reads texts and builds the warehouse."""

    def close(self) -> None: ...  # noqa: D102
    def call(self, verb: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T: ...  # noqa: D102
    def scan(self, path: Path, name: str) -> Frame: ...  # noqa: D102
    def frame(self, rows: Any) -> Frame: ...  # noqa: D102
    def declared(self, rows: Rows, table: Table) -> Frame: ...  # noqa: D102
    def trace(self, frame: Frame, schemas: Schemas) -> Future[Columns]: ...  # noqa: D102
    def rows(self, frame: Frame) -> Rows: ...  # noqa: D102
    def fetch(self, frame: Frame) -> Any: ...  # noqa: D102
    def keep(self, frame: Frame) -> Frame: ...  # noqa: D102
    def number_ids(self, frame: Frame) -> Frame: ...  # noqa: D102
    def array(self, frame: Frame, columns: Sequence[str]) -> np.ndarray: ...  # noqa: D102
    def write(  # noqa: D102
        self, frame: Frame, table: Table, path: Path, report: Callable[[float], None] | None = None
    ) -> Written: ...
    def count_repeats(self, frame: Frame, columns: Sequence[str]) -> int: ...  # noqa: D102
    def fingerprint(self, frame: Frame, group: str | None = None) -> Rows: ...  # noqa: D102
    def count_values(  # noqa: D102
        self, frame: Frame, group: str, columns: Sequence[str]
    ) -> dict[int, dict[str, tuple[np.ndarray, np.ndarray]]]: ...
    def fit_scaler(self, encoded: Frame, names: tuple[str, ...]) -> tuple[Scaler, np.ndarray]: ...  # noqa: D102
    def fit_components(  # noqa: D102
        self, scaled: Frame, correlations: np.ndarray, names: tuple[str, ...]
    ) -> Components: ...
    def refine_centroids(self, points: Frame, centroids: np.ndarray) -> np.ndarray: ...  # noqa: D102
