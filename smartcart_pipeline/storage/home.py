"""The home: the one folder that holds everything generated."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """Where things are in a home.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def lake(self) -> Path:
        """Parquet files, one folder a table."""
        return self.root / "lake"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that analysts open."""
        return self.root / "warehouse.duckdb"

    @property
    def dagster(self) -> Path:
        """What Dagster records: runs, events, schedules."""
        return self.root / "dagster"

    @property
    def incoming(self) -> Path:
        """Where new exports are dropped."""
        return self.root / "incoming"

    @property
    def refused(self) -> Path:
        """Where exports that cannot be used are set aside, each with its reason."""
        return self.incoming / "refused"


def flush_to_disk(path: Path) -> None:
    """Make sure that a file, or a folder's list of names, survives a power cut.

    Args:
        path: The file or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(written: Path, path: Path) -> None:
    """Give a finished file its name, at once and for good: readers see the old file or the whole new one.

    Args:
        written: The finished file, in the same folder.
        path: Its name; replaced if it is there.
    """
    flush_to_disk(written)
    os.replace(written, path)
    flush_to_disk(path.parent)
