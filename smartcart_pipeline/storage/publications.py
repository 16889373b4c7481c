"""Publications: the warehouses of the last runs, and which of them is the published one.

Each is a file of `<home>/publications`, written once and never changed. The published file, which analysts open, is a
copy of one of them, swapped in whole: whatever somebody's session does to the copy, what is kept stays as it was built.
"""

import filecmp
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage.home import Home, flush_to_disk, put_in_place
from smartcart_pipeline.storage.warehouse import Contents, build, runs_in

READ_ONLY = 0o444
STAMP = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True)
class Published:
    """What a publication did.

    Attributes:
        path: The publication.
        set_aside: Where the file that was published before is now, if somebody had written into it.
        pruned: Files that nothing needs any more, removed.
    """

    path: Path
    set_aside: Path | None
    pruned: tuple[Path, ...]


def kept_publications(home: Home) -> list[Path]:
    """The publications that are still there.

    Args:
        home: The home.

    Returns:
        Their files, the newest first.
    """
    return sorted(home.publications.glob("[0-9]*.duckdb"), reverse=True)


def run_of(path: Path) -> str:
    """The run that made a file of the lake or a publication, by its name.

    Args:
        path: The file.

    Returns:
        The run's id.
    """
    return path.stem.split("_", maxsplit=1)[1]


def published(home: Home) -> Path | None:
    """Which publication is the published one.

    Args:
        home: The home.

    Returns:
        Its file; None if nothing is published, or somebody has changed what was.
    """
    if not home.warehouse.is_file():
        return None
    # Equal in size and time is equal, as a copy keeps both; only else are bytes compared.
    return next((path for path in kept_publications(home) if filecmp.cmp(home.warehouse, path)), None)


def publish(engine: DuckDBEngine, contents: Contents, home: Home, kept: int) -> Published:
    """Build a warehouse from files of the lake, keep it, and put it in place of the published one.

    Readers that hold the old file keep it until they connect again.

    Args:
        engine: What builds it.
        contents: What goes into it.
        home: Where it is published.
        kept: How many publications stay.

    Returns:
        What was done.
    """
    home.publications.mkdir(parents=True, exist_ok=True)
    path = home.publications / f"{datetime.now(UTC):{STAMP}}_{contents.publication.run_id}.duckdb"
    building = path.with_name(f".{path.name}.building")
    try:
        build(engine, contents, building)
        building.chmod(READ_ONLY)
        put_in_place(building, path)
    finally:
        building.unlink(missing_ok=True)
        building.with_name(f"{building.name}.wal").unlink(missing_ok=True)
    set_aside = show(home, path)
    return Published(path, set_aside, tuple(prune(home, kept, path)))


def show(home: Home, publication: Path) -> Path | None:
    """Make a publication the published one.

    Args:
        home: The home.
        publication: One of those that are kept.

    Returns:
        Where the file that was published before is now, if somebody had written into it: nothing of it is lost.
    """
    copy = home.warehouse.with_name(f".{home.warehouse.name}.copying")
    copy.unlink(missing_ok=True)
    try:
        shutil.copyfile(publication, copy)
        shutil.copystat(publication, copy)
        set_aside = _set_aside(home, publication)
        put_in_place(copy, home.warehouse)
    finally:
        copy.unlink(missing_ok=True)
    return set_aside


def tell_set_aside(path: Path) -> str:
    """What was set aside, for people.

    Args:
        path: The file.

    Returns:
        A sentence on what was found, and one on how to read it.
    """
    return (
        "Somebody had written into the published warehouse with a read-write session; what they wrote is set aside. "
        f"Read it with: duckdb -readonly {path}"
    )


def _set_aside(home: Home, publication: Path) -> Path | None:
    """Keep what a read-write session wrote: its file, and the write-ahead log that would spoil the next one.

    Together, under one name, the two can be opened as they were; a session that is still open goes on writing to them.
    """
    wal = home.warehouse.with_name(f"{home.warehouse.name}.wal")
    others = [path for path in kept_publications(home) if path != publication]
    changed = home.warehouse.is_file() and bool(others) and published(home) is None
    if not wal.exists() and not changed:
        return None
    home.set_aside.mkdir(parents=True, exist_ok=True)
    target = home.set_aside / f"{datetime.now(UTC):{STAMP}}_before_{run_of(publication)}.duckdb"
    if home.warehouse.is_file():
        try:
            os.link(home.warehouse, target)
        except OSError:
            # A file system without links: what a session that is still open writes later stays in the log.
            shutil.copy2(home.warehouse, target)
    if wal.exists():
        os.replace(wal, target.with_name(f"{target.name}.wal"))
    flush_to_disk(home.set_aside)
    return target


def prune(home: Home, kept: int, shown: Path) -> list[Path]:
    """Remove old publications, and files of the lake that none of the others needs.

    The newest file of each table stays in any case: the next run, or an asset made alone, may read it.

    Args:
        home: The home.
        kept: How many publications stay.
        shown: The published one, which stays however old it is.

    Returns:
        What was removed.
    """
    old = [path for path in kept_publications(home)[kept:] if path != shown]
    for path in old:
        path.unlink()
    needed = {run for path in kept_publications(home) for run in (run_of(path), *runs_in(path))}
    tables = [sorted(folder.glob("[0-9]*.parquet")) for folder in home.lake.iterdir() if folder.is_dir()]
    unneeded = [file for files in tables for file in files[:-1] if run_of(file) not in needed]
    for file in unneeded:
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink()
    return old + unneeded
