"""What of a home is damaged, and the way out: looked for where something failed, so that people read of a file.

Tables of the lake that the next night needs are mended from the publication of the run that wrote them.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw

from smartcart_pipeline.declaration.errors import FaultError, HomeError
from smartcart_pipeline.declaration.tables import OUTLINES, Table
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.sql import identifier, literal, parquet
from smartcart_pipeline.storage.home import Home, put_in_place, remove
from smartcart_pipeline.storage.models import read_record
from smartcart_pipeline.storage.publications import kept_publications, run_of
from smartcart_pipeline.storage.warehouse import open_warehouse

NO_COPY = (
    "The publication of that night is not kept, or holds no copy. Put the lake back from a backup; until then nothing "
    "is published, so that no history is lost."
)


@contextmanager
def naming_damage(home: Home) -> Iterator[None]:
    """Where something fails that no message was written for, look for damaged files, and tell of them instead.

    Args:
        home: The home.

    Yields:
        Once.

    Raises:
        HomeError: If files of the home are damaged.
    """
    try:
        yield
    except (FaultError, RuntimeError):
        raise
    except Exception:
        require_sound(home)
        raise


def require_sound(home: Home) -> None:
    """Look into every file of a home; this takes time.

    Args:
        home: The home.

    Raises:
        HomeError: If files are damaged; it names them with the way out.
    """
    require_records(home)
    if found := [*_damaged_publications(home), *_damaged_tables(home)]:
        raise HomeError(" ".join(found))


def require_records(home: Home) -> None:
    """Look into all files in which Dagster keeps its records.

    Args:
        home: The home.

    Raises:
        HomeError: If one is damaged.
    """
    # Dagster keeps what belongs to no run in a file without a name.
    files = sorted(path for path in home.dagster.rglob("*") if path.name.endswith(".db"))
    damaged = [path for path in files if not _is_database(path)]
    if damaged:
        raise HomeError(
            f"{_list(damaged)}: damaged. Dagster's records cannot be read. Stop `smartcart dev`, or the daemon and the "
            f"web server, if they run, and delete the folder {home.dagster}: it is made anew. What Dagster "
            "remembers of past runs is lost then; segments, their history and publications stay as they are."
        )


def mend_tables(home: Home, engine: DuckDBEngine, tables: Mapping[str, Table]) -> list[str]:
    """Put tables back that the last night left to the next and that are damaged or missing; hold the home to do so.

    Args:
        home: The home.
        engine: What reads and writes.
        tables: What each holds.

    Returns:
        What was put back, for people.

    Raises:
        HomeError: If the publication of that night does not hold a table, or the lake cannot be written.
    """
    last = read_record(home, recover=True).last
    if last is None:
        return []
    mended = []
    for name, columns in _columns_of_night(home, last.run_id).items():
        found = max((home.lake / name).glob(f"[0-9]*_{last.run_id}.parquet"), default=None)
        if found is None or not _is_table(found, columns):
            path = _put_back(home, engine, tables[name], last.run_id, found)
            mended.append(f"{path}: was {'damaged' if found else 'missing'}, and is put back from the publication.")
    return mended


def _columns_of_night(home: Home, run_id: str) -> dict[str, set[str]]:
    """The tables of a night with their columns, as published: an earlier version may have had fewer of both.

    Where its publication is not kept, or cannot be read, all tables that there are now, of whatever columns.
    """
    for path in kept_publications(home):
        if run_of(path) == run_id:
            with suppress(duckdb.Error), duckdb.connect(str(path), read_only=True) as connection:
                found = connection.execute(
                    "SELECT table_name, list(column_name) FROM duckdb_columns() GROUP BY table_name"
                ).fetchall()
                return {name: set(columns) for name, columns in found if name in OUTLINES}
    return {name: set() for name in OUTLINES}


def _put_back(home: Home, engine: DuckDBEngine, table: Table, run_id: str, found: Path | None) -> Path:
    name = table.name
    publication = _publication_with(home, name, run_id)
    path = found or home.lake / name / f"{publication.stem if publication else run_id}.parquet"
    if publication is None:
        state = "damaged" if found else "missing"
        raise HomeError(f"{path}: the table {name} of the last night is {state}. {NO_COPY}")
    writing = path.with_name(f".{path.name}.writing")
    if not (home.lake / name).is_dir() and (home.lake / name).exists():
        raise HomeError(f"{home.lake / name}: stands where the table {name} should. Move it away: smartcart run.")
    engine.connection.execute(f"ATTACH {literal(str(publication))} AS kept (READ_ONLY)")
    try:
        [(schema,)] = engine.connection.execute(
            "SELECT schema_name FROM duckdb_tables() WHERE database_name = 'kept' AND table_name = ?", [name]
        ).fetchall()
        kept = f"kept.{identifier(schema)}.{identifier(name)}"
        frame: nw.LazyFrame[Any] = nw.from_native(engine.connection.sql(f"FROM {kept}"))
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the columns of that night, which may have gone by another recipe.
        found_columns = frame.collect_schema().names()
        columns = tuple(column for column in table.columns if column.name in found_columns)
        engine.write(frame, replace(table, columns=columns, carries_extra=True), writing)
        remove(path)
        put_in_place(writing, path)
    finally:
        remove(writing)
        engine.connection.execute("DETACH kept")
    return path


def _publication_with(home: Home, name: str, run_id: str) -> Path | None:
    """The publication of a run, if it holds a copy of a table: of a large one it has a view."""
    for path in kept_publications(home):
        if run_of(path) == run_id:
            try:
                with duckdb.connect(str(path), read_only=True) as connection:
                    found = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [name]).fetchall()
                return path if found else None
            except duckdb.Error:
                return None
    return None


def _is_database(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)])
    except sqlite3.OperationalError:
        # Locked, or on a disk that cannot be written: whether it is whole cannot be told.
        return True
    except sqlite3.DatabaseError:
        return False


def _is_table(path: Path, columns: set[str]) -> bool:
    """Whether a file, or each of a folder, is Parquet to its end and holds the columns of a table."""
    from pyarrow import ArrowException  # noqa: PLC0415
    from pyarrow.parquet import read_schema  # noqa: PLC0415

    try:
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        return bool(files) and all(columns <= set(read_schema(file).names) for file in files)
    except (ArrowException, OSError):
        return False


def _damaged_publications(home: Home) -> Iterator[str]:
    for path in kept_publications(home):
        try:
            with open_warehouse(path) as connection:
                connection.execute("SELECT run_id FROM publication").fetchall()
        except duckdb.Error:
            yield f"{path}: this publication is damaged. Delete it; to publish anew: smartcart run."


def _damaged_tables(home: Home) -> Iterator[str]:
    last = read_record(home).last
    of_last = _columns_of_night(home, last.run_id) if last else {}
    for path in sorted(home.lake.glob("*/[0-9]*.parquet")):
        name = path.parent.name
        columns = of_last.get(name, set()) if last and run_of(path) == last.run_id else set()
        if name not in OUTLINES or (_is_table(path, columns) and _is_readable(path)):
            continue
        if not (last and run_of(path) == last.run_id):
            way_out = "Delete it, or put it back from a backup: only what is asked of that night is lost."
        elif _publication_with(home, name, last.run_id):
            way_out = "The next run puts it back from the publication of that night: smartcart run."
        else:
            way_out = NO_COPY
        yield f"{path}: the table {name} of run {run_of(path)[:8]} is damaged. {way_out}"


def _is_readable(path: Path) -> bool:
    try:
        with duckdb.connect() as connection:
            connection.execute(f"SELECT count(COLUMNS(*)) FROM {parquet(path)}").fetchall()
    except duckdb.Error:
        return False
    return True


def _list(paths: list[Path]) -> str:
    shown = ", ".join(map(str, paths[:3]))
    return f"{shown} and {len(paths) - 3} more" if len(paths) > 3 else shown
