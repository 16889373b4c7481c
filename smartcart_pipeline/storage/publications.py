"""Publications: the warehouses of the last runs, and which of them is the published one.

Each is a file of `<home>/publications`, written once and never changed. The published file, which analysts open, is a
copy of one of them, swapped in whole: whatever somebody's session does to the copy, what is kept stays as it was built.
"""

import filecmp
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from smartcart_pipeline.declaration.errors import CallError, HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.storage.access import OWNERS_COPY, admit_readers, admit_to_lake
from smartcart_pipeline.storage.home import Home, flush_to_disk, next_stamp, put_in_place, remove
from smartcart_pipeline.storage.run_lock import HomeBusyError, try_to_hold
from smartcart_pipeline.storage.warehouse import Contents, build, open_warehouse, runs_in


@dataclass(frozen=True)
class Published:
    """What a publication did.

    Attributes:
        path: The publication.
        set_aside: Where the file that was published before is now, if somebody had written into it.
        pruned: Files that nothing needs any more, removed.
        before: The publication that was published before, if it still was as it was built.
    """

    path: Path
    set_aside: Path | None
    pruned: tuple[Path, ...] = ()
    before: Path | None = None


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


def readable(home: Home) -> Path:
    """What the pipeline itself reads: the publication that is published, and nothing that a session did to its copy.

    Args:
        home: The home.

    Returns:
        The publication; the newest if somebody has changed what is published; the published file if none is kept.
    """
    return published(home) or next(iter(kept_publications(home)), home.warehouse)


def find_publication(home: Home, run: str | None = None) -> Path:
    """Find the publication of a run.

    Args:
        home: The home.
        run: The run's id, or its first digits; None for the published one.

    Returns:
        Its file; for None, the newest if what is published has been changed by somebody.

    Raises:
        CallError: If there is none of it, or more than one.
    """
    kept = kept_publications(home)
    if home.publications.is_dir() and not os.access(home.publications, os.R_OK | os.X_OK):
        if run is None:
            return home.warehouse
        raise CallError(f"{home.publications}: not allowed. Whoever may read the published warehouse reads no other.")
    if not kept:
        raise CallError(f"Nothing has been published in {home.root} yet: smartcart run, or name a home with --home.")
    if run is None:
        return readable(home)
    found = [path for path in kept if run_of(path).startswith(run)]
    if len({run_of(path) for path in found}) != 1:
        known = ", ".join(run_of(path)[:8] for path in (found or kept))
        which = f"Several kept runs begin with {run}" if found else f"No publication of run {run} is kept"
        raise CallError(f"{which}: {known}. See: smartcart warehouse list.")
    return found[0]


def describe_publications(home: Home) -> Rows:
    """What is kept, for people.

    Args:
        home: The home.

    Returns:
        One row a publication, the newest first: run_id, published_at, export_name, as_of_date, recipe, model_version,
        customers, bytes, path and whether it is the published one.
    """
    shown = published(home)
    rows = []
    for path in kept_publications(home):
        try:
            described = _describe(path)
        except duckdb.Error as error:
            raise HomeError(f"{path}: this publication cannot be read ({error}). Remove it.") from None
        rows.append(described | {"bytes": path.stat().st_size, "path": str(path), "is_published": path == shown})
    return rows


def _describe(path: Path) -> dict[str, Any]:
    with open_warehouse(path) as connection:
        [described] = (
            connection.sql(
                "SELECT run_id, published_at, export_name, as_of_date, recipe, model_version, "
                "row_counts['cleaned'] AS customers FROM publication"
            )
            .to_arrow_table()
            .to_pylist()
        )
    return dict(described)


def read_personas(home: Home, version: str) -> dict[str, str] | None:
    """What people called the segments of a model.

    Args:
        home: The home.
        version: The model.

    Returns:
        The personas by segment, as the newest kept publication of the model has them; None if none of it is kept.
    """
    for path in kept_publications(home):
        if _describe(path)["model_version"] == version:
            with open_warehouse(path) as connection:
                return dict(connection.execute("SELECT segment_id, persona FROM profiles").fetchall())
    return None


def roll_back(home: Home, run: str | None, lay_ready: Callable[[Path], Path]) -> Published:
    """Publish an earlier publication again, with its report.

    Args:
        home: The home.
        run: The run's id, or its first digits; None for the one before the published one.
        lay_ready: Makes the report of a publication, as a file beside the one that it will replace.

    Returns:
        What was done.

    Raises:
        CallError: If there is no such publication.
        HomeBusyError: If a run is under way, which would publish its own in a moment.
    """
    with try_to_hold(home) as held:
        if not held:
            raise HomeBusyError(f"{home.root}: a run is under way, and will publish when it ends. Roll back after it.")
        before = published(home)
        if run is None and before is not None:
            older = [path for path in kept_publications(home) if path < before]
            if not older:
                raise CallError(f"Nothing older than run {run_of(before)[:8]} is kept: smartcart warehouse list.")
            path = older[0]
        else:
            path = find_publication(home, run)
        page = lay_ready(path)
        set_aside = show(home, path)
        put_in_place(page, home.report)
        return Published(path, set_aside, before=before)


def tell_strange(home: Home) -> str | None:
    """What is wrong with the published file, if something is, and what to do.

    Args:
        home: The home.

    Returns:
        A few sentences for people, or None if readers find what was published.
    """
    shown, kept = published(home), kept_publications(home)
    log = home.warehouse.with_name(f"{home.warehouse.name}.wal")
    if not kept or (shown and not log.exists()):
        return None
    found = f"lies {log}, which" if log.exists() else "is a file that nobody published; it"
    return (
        f"In place of the published warehouse, or beside it, {found} a read-write session left: other readers may be "
        "unable to open it. End that session. The next run sets aside what it wrote and publishes anew; at once: "
        f"smartcart warehouse rollback {run_of(shown or kept[0])[:8]}. What you read here is a kept publication."
    )


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
    path = home.publications / f"{next_stamp(home.publications)}_{contents.publication.run_id}.duckdb"
    building = path.with_name(f".{path.name}.building")
    try:
        build(engine, contents, building)
        building.chmod(OWNERS_COPY)
        put_in_place(building, path)
    finally:
        building.unlink(missing_ok=True)
        building.with_name(f"{building.name}.wal").unlink(missing_ok=True)
    before = published(home)
    set_aside = show(home, path)
    return Published(path, set_aside, tuple(prune(home, kept, path)), before)


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
        admit_readers(home, copy)
        admit_to_lake(home, publication)
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
    target = home.set_aside / f"{next_stamp(home.set_aside)}_before_{run_of(publication)}.duckdb"
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
    try:
        needed = runs_in(kept_publications(home))
    except duckdb.Error:
        # Whatever keeps one from being read, its files may be needed yet: they can go another night.
        return old
    tables = [sorted(folder.glob("[0-9]*.parquet")) for folder in home.lake.iterdir() if folder.is_dir()]
    unneeded = [file for files in tables for file in files[:-1] if run_of(file) not in needed]
    for file in unneeded:
        remove(file)
    return old + unneeded
