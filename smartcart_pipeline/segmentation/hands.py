"""What verbs ask of whoever computes for them: an engine in a run, memory in a simulation."""

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np

from smartcart_pipeline.segmentation import Rows

P = ParamSpec("P")
T = TypeVar("T")


class Keeping(Protocol):
    """Who can keep a small frame."""

    def keep(self, frame: Any) -> Any:
        """Compute a frame that is known to be small enough once, so that using it again costs nothing.

        Args:
            frame: A frame of this engine.

        Returns:
            The same rows, from memory.
        """


class Counting(Keeping, Protocol):
    """Who can count, besides."""

    def count_repeats(self, frame: Any, columns: Sequence[str]) -> int:
        """Count the rows that repeat an earlier one in some columns.

        Args:
            frame: A frame of this engine.
            columns: The columns to compare; what is missing in a single one repeats nothing.

        Returns:
            How many rows there are beyond the different ones.
        """


class Numbering(Protocol):
    """Who can number ids."""

    def number_ids(self, frame: Any) -> Any:
        """Set a number beside each customer's id: the id itself, or 60 bits of the MD5 of a text (RFC 1321).

        Args:
            frame: Rows with `customer_id`.

        Returns:
            The same rows with `id_number` (Int64); the same numbers by every engine.
        """


class Hands(Keeping, Numbering, Protocol):
    """What a contest asks."""

    def rows(self, frame: Any) -> Rows:
        """Fetch a small frame.

        Args:
            frame: A frame of this engine, of few rows.

        Returns:
            Its rows as dicts.
        """

    def array(self, frame: Any, columns: Sequence[str]) -> np.ndarray:
        """Fetch columns of a frame that is known to be small enough.

        Args:
            frame: A frame of this engine.
            columns: Numeric columns without nulls.

        Returns:
            Array of shape (customers, columns), float64.
        """

    def refine_centroids(self, points: Any, centroids: np.ndarray) -> np.ndarray:
        """Move centroids over all customers; see `clustering.refine_centroids`.

        Args:
            points: Customers with `pc1`, `pc2`, `pc3`.
            centroids: Where to begin, shape (k, 3).

        Returns:
            Centroids, shape (k, 3), float64.
        """

    def call(self, verb: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Have a verb work whose libraries are slow to import.

        Args:
            verb: The verb.
            *arguments: What it takes.
            **named: What it takes by name.

        Returns:
            What it gives.
        """


class Framing(Hands, Protocol):
    """Who can turn Arrow tables into frames and back, besides."""

    def fetch(self, frame: Any) -> Any:
        """Fetch a frame that is known to be small enough.

        Args:
            frame: A frame of this engine.

        Returns:
            A pyarrow Table.
        """

    def frame(self, rows: Any) -> Any:
        """An Arrow table as a frame.

        Args:
            rows: A pyarrow Table.

        Returns:
            A frame over it.
        """
