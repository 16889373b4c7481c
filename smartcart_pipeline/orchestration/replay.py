"""Replay: the history tables once more, from what each night published, to show that they are what they should be."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.declaration.tables import BEFORE
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.sql import parquet
from smartcart_pipeline.segmentation import migration
from smartcart_pipeline.storage.damage import naming_damage
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline.storage.models import PublishedNight, Record, read_record, read_version
from smartcart_pipeline.storage.nights import (
    add_night,
    explain_night,
    find_compared,
    flows_since_month,
    flows_since_night,
    kept_rows,
)

STAYS, MOVES, FLOWS = "segment_membership", "segment_moves", "segment_migration"


@dataclass(frozen=True)
class Replayed:
    """What a replay found.

    Attributes:
        nights: How many nights were played again.
        compared: How many files were compared, by table.
        other: The files of the lake that hold other rows than the replay.
    """

    nights: int
    compared: dict[str, int]
    other: tuple[Path, ...]


def replay_history(home: Home, folder: Path, engine: DuckDBEngine, band: float) -> Replayed:
    """Build the history of a home again, from the features and clusters that each night wrote.

    The nights are played in the order of their publication. Where the files of the oldest are no longer kept, it begins
    with the history of the last of those, and moves and flows with the first night whose night before is kept.

    Args:
        home: The home.
        folder: Where the replay writes.
        engine: What computes.
        band: Within which a customer is borderline, as it was set in those nights.

    Returns:
        What was found.

    Raises:
        HomeError: If nothing was published, or no night can be played again.
    """
    with naming_damage(home):
        return _replay(home, folder, engine, band)


def _replay(home: Home, folder: Path, engine: DuckDBEngine, band: float) -> Replayed:
    record = read_record(home)
    if record.last is None:
        raise HomeError(f"{home.lake}: no night is kept that could be played again. Publish one: smartcart run.")
    # No night can change what the key is, and of a declaration histories know nothing else.
    lake = Lake(home.lake, "replay", engine, read_version(home, record, record.last.version).model.declaration)
    first = _first_kept(lake, record)
    compared = dict.fromkeys((STAYS, MOVES, FLOWS), 0)
    other = []
    for kept, again in _play(home, lake, record, first, folder, band):
        compared[kept.parent.name] += 1
        if not _is_same(engine, kept, again):
            other.append(kept)
    return Replayed(len(record.nights) - first, compared, tuple(other))


def _play(home: Home, lake: Lake, record: Record, first: int, folder: Path, band: float) -> Iterator[tuple[Path, Path]]:
    """The history files of each night: the one that is kept, and the one that the replay wrote."""
    is_followed = not lake.declaration.contract.is_numbered
    stays = lake.read_of(record.nights[first - 1].run_id, STAYS) if first else None
    for number in range(first, len(record.nights)):
        night, so_far = record.nights[number], replace(record, nights=record.nights[:number])
        # The lake as that night's run saw it.
        own, as_of = replace(lake, run_id=night.run_id), night.as_of_date
        _require_tables(own)
        compared = find_compared(lake, so_far, as_of, night.content_hash)
        clusters = own.read("clusters")
        before = stays if is_followed else None
        added = add_night(before, so_far, clusters, as_of, night.version, compared)
        written = _write(lake, folder, STAYS, number, added)
        yield own.path(STAYS), written
        stays = lake.engine.scan(written, f"{STAYS}{BEFORE}")
        if compared is not None and not all(_is_kept(lake, compared.run_id, name) for name in ("features", "clusters")):
            continue
        model = read_version(home, record, night.version).model
        moved = explain_night(home, own, so_far, compared, clusters, own.read("features"), model, band)
        written = _write(lake, folder, MOVES, number, moved)
        yield own.path(MOVES), written
        moves = lake.engine.scan(written, f"{MOVES}{BEFORE}")
        flows = _flows(own, so_far, night, compared, clusters, moves, stays)
        yield own.path(FLOWS), _write(lake, folder, FLOWS, number, flows)


def _require_tables(own: Lake) -> None:
    for name in ("features", "clusters", STAYS, MOVES, FLOWS):
        if not _is_kept(own, own.run_id, name):
            raise HomeError(
                f"{own.root / name}: the table of run {own.run_id[:8]} is missing, although others of it are kept. Put "
                "it back from a backup; that of the run published last, the next run puts back."
            )


def _is_same(engine: DuckDBEngine, kept: Path, again: Path) -> bool:
    """Byte for byte; else row by row, as Spark writes folders of files, and what was put back is written otherwise."""
    if kept.is_file() and kept.read_bytes() == again.read_bytes():
        return True
    one, other = (f"FROM {parquet(path)}" for path in (kept, again))
    differing = f"({one} EXCEPT ALL {other}) UNION ALL ({other} EXCEPT ALL {one})"
    return not engine.connection.execute(f"SELECT 1 FROM ({differing}) LIMIT 1").fetchall()


def _flows(
    lake: Lake,
    so_far: Record,
    night: PublishedNight,
    compared: PublishedNight | None,
    clusters: Any,
    moves: Any,
    stays: Any,
) -> Any:
    """All flows up to a night: those of earlier nights as they are kept, and the night's own."""
    engine, as_of = lake.engine, night.as_of_date
    tonights = [
        *flows_since_night(lake, compared, engine.rows(migration.count_flows(clusters)), moves),
        *flows_since_month(lake, so_far, as_of, stays),
    ]
    earlier = [row for row in kept_rows(lake, so_far, FLOWS) if row["night"] < night.night]
    dated = {"night": night.night, "as_of_date": as_of}
    return engine.declared([*earlier, *(dated | row for row in tonights)], lake.tables[FLOWS])


def _write(lake: Lake, folder: Path, name: str, number: int, frame: Any) -> Path:
    path = folder / f"{name}.{number}.parquet"
    lake.engine.write(frame, lake.tables[name], path)
    return path


def _first_kept(lake: Lake, record: Record) -> int:
    """The first of the nights from which on all are kept, and the history before them, if there was one."""
    first = len(record.nights)
    while first and _is_kept(lake, record.nights[first - 1].run_id, "clusters"):
        first -= 1
    if first and not _is_kept(lake, record.nights[first - 1].run_id, STAYS):
        first += 1
    if not record.nights or first >= len(record.nights):
        raise HomeError(f"{lake.root}: no night is kept that could be played again. Publish one: smartcart run.")
    return first


def _is_kept(lake: Lake, run_id: str, name: str) -> bool:
    return lake.path_of(run_id, name) is not None
