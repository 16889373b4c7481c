"""The home: the one folder that holds everything generated."""

import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from smartcart_pipeline.declaration.errors import HomeError

# What a customer takes on disk, measured with ten million of them: in all tables of the lake, in those of a publication
# and its published copy, and at most for a while beside them.
LAKE_BYTES, WAREHOUSE_BYTES, SPILL_BYTES = 150, 420, 60

STAMP = "%Y%m%dT%H%M%S%fZ"
STAMPED = re.compile(r"(\d{8}T\d{12}Z)_.+")


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
        """The DuckDB file that analysts open: a copy of one of the publications."""
        return self.root / "warehouse.duckdb"

    @property
    def publications(self) -> Path:
        """The warehouses of the last runs, one file each, named after time and run."""
        return self.root / "publications"

    @property
    def run_lock(self) -> Path:
        """Held by the run that is under way."""
        return self.root / ".run.lock"

    @property
    def set_aside(self) -> Path:
        """What somebody wrote into a published warehouse: the file with its write-ahead log, by run."""
        return self.root / "set-aside"

    @property
    def report(self) -> Path:
        """The page that people read."""
        return self.root / "report.html"

    @property
    def settings(self) -> Path:
        """What is set for every run in this home."""
        return self.root / "settings.yaml"

    @property
    def models(self) -> Path:
        """The segment models, one folder a version, and the record of which is in force."""
        return self.root / "models"

    @property
    def spill(self) -> Path:
        """Where an engine puts what does not fit into its memory, while it runs."""
        return self.root / "spill"

    @property
    def dagster(self) -> Path:
        """What Dagster records: runs, events, schedules."""
        return self.root / "dagster"

    @property
    def outbox(self) -> Path:
        """Messages that not everybody has who is to be told."""
        return self.root / "outbox"

    @property
    def audiences_file(self) -> Path:
        """What the home says of audiences."""
        return self.root / "audiences.yaml"

    @property
    def audiences(self) -> Path:
        """Lists of customers that were handed out, one folder an audience."""
        return self.root / "audiences"

    @property
    def outcomes(self) -> Path:
        """What customers did since campaigns reached them: one Parquet file for each file that was taken in."""
        return self.root / "outcomes"

    @property
    def incoming(self) -> Path:
        """Where new exports are dropped."""
        return self.root / "incoming"

    @property
    def incoming_outcomes(self) -> Path:
        """Where files of outcomes are dropped."""
        return self.incoming / "outcomes"

    @property
    def refused(self) -> Path:
        """Where exports that cannot be used are set aside, each with its reason."""
        return self.incoming / "refused"


def require_space(home: Home, customers: int, copied_rows: int) -> None:
    """Refuse a run that the disk has no room for, before it starts.

    Args:
        home: The home.
        customers: How many customers the export holds.
        copied_rows: Tables of more rows are not copied into the warehouse.

    Raises:
        HomeError: If there is less room than the run is known to need.
    """
    root = next(folder for folder in (home.root, *home.root.parents) if folder.exists())
    needed = customers * (LAKE_BYTES + SPILL_BYTES + (WAREHOUSE_BYTES if customers <= copied_rows else 0))
    free = shutil.disk_usage(root).free
    if needed > free:
        raise HomeError(
            f"{home.root}: {customers:,} customers need about {needed / 1e9:,.1f} GB of disk, {free / 1e9:,.1f} GB are "
            "free. Make room, or name a home on a larger disk with --home."
        )


def unwritable(home: Home, error: OSError) -> HomeError:
    """What to say where a home cannot be written.

    Args:
        home: The home.
        error: What the system said.

    Returns:
        The error for people.
    """
    return HomeError(
        f"{home.root}: the home cannot be written ({error.strerror}). "
        "Give the pipeline's user the right to, or name another folder with --home."
    )


def next_stamp(folder: Path) -> str:
    """How the next file of a folder begins its name, so that names sort by the order in which files were made.

    It is the time of day, or just after the newest name where the clock has gone back since.

    Args:
        folder: The folder.

    Returns:
        A time (UTC) of fixed width.
    """
    now = f"{datetime.now(UTC):{STAMP}}"
    newest = max((known[1] for path in folder.iterdir() if (known := STAMPED.fullmatch(path.name))), default="")
    if now > newest:
        return now
    return f"{datetime.strptime(newest, STAMP).replace(tzinfo=UTC) + timedelta(microseconds=1):{STAMP}}"


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing happens if there is none.

    Args:
        path: The file or folder.
    """
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
        written: The finished file, or folder of files, in the same folder.
        path: Its name; replaced if it is there.
    """
    for file in written.iterdir() if written.is_dir() else ():
        flush_to_disk(file)
    flush_to_disk(written)
    os.replace(written, path)
    flush_to_disk(path.parent)
