"""Replay: the membership history once more, from what each night published, to show that it is what it should be."""

from dataclasses import dataclass, replace
from pathlib import Path

from smartcart_pipeline.assets.history import add_night
from smartcart_pipeline.contract import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline.storage.models import Record, read_record
from smartcart_pipeline.tables import BEFORE, TABLES

NAME = "segment_membership"


@dataclass(frozen=True)
class Replayed:
    """What a replay found.

    Attributes:
        nights: How many nights were played again.
        kept: The file that the last of them wrote.
        again: The file that the replay wrote.
        is_same: Whether the two are the same bytes.
    """

    nights: int
    kept: Path
    again: Path
    is_same: bool


def replay_history(home: Home, folder: Path, engine: DuckDBEngine) -> Replayed:
    """Build the history of a home again, from the clusters that each night wrote, in the order of publication.

    Where the files of the oldest nights are no longer kept, it begins with the history of the last of those.

    Args:
        home: The home.
        folder: Where the replay writes.
        engine: What computes.

    Returns:
        What was found.

    Raises:
        ExportError: If nothing was published, or no night can be played again.
    """
    record = read_record(home)
    lake = Lake(home.lake, "replay", engine)
    first = _first_kept(lake, record)
    so_far = lake.read_of(record.nights[first - 1].run_id, NAME) if first else None
    path = folder / f"{NAME}.parquet"
    for number in range(first, len(record.nights)):
        night = record.nights[number]
        clusters = lake.read_of(night.run_id, "clusters")
        before = replace(record, nights=record.nights[:number])
        frame = add_night(so_far, before, clusters, night.as_of_date, night.version)
        written = folder / f"{NAME}.{number % 2}.parquet"
        engine.write(frame, TABLES[NAME], written)
        so_far = engine.scan(written, f"{NAME}{BEFORE}")
        path = written
    kept = _newest(lake, record.nights[-1].run_id)
    return Replayed(len(record.nights) - first, kept, path, path.read_bytes() == kept.read_bytes())


def _first_kept(lake: Lake, record: Record) -> int:
    """The first of the nights from which on all are kept, and the history before them, if there was one."""
    first = len(record.nights)
    while first and _is_kept(lake, record.nights[first - 1].run_id, "clusters"):
        first -= 1
    if first and not _is_kept(lake, record.nights[first - 1].run_id, NAME):
        first += 1
    if not record.nights or first >= len(record.nights):
        raise ExportError(f"{lake.root}: no night is kept that could be played again. Publish one: smartcart run.")
    return first


def _is_kept(lake: Lake, run_id: str, name: str) -> bool:
    return any((lake.root / name).glob(f"[0-9]*_{run_id}.parquet"))


def _newest(lake: Lake, run_id: str) -> Path:
    return sorted((lake.root / NAME).glob(f"[0-9]*_{run_id}.parquet"))[-1]
