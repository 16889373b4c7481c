"""Dagster's own records in SQLite, written through connections that stay open.

Dagster opens and sets up a connection for each of the thousand writes of a run. That took a fifth of the time of a
night of a few thousand customers; what is recorded, and where, is the same with or without this module.

A run leaves about three megabytes. Runs that are older than so many nights are forgotten, here or on PostgreSQL.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.pool import QueuePool

# A file of which more than half is free is written anew, if that gives back so many bytes.
WORTH_WRITING_ANEW = 4_000_000


class OpenEventLog(SqliteEventLogStorage):
    """Dagster's event log, with a connection kept for the index and for the run of the moment."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        """Open nothing yet; arguments as for Dagster's own."""
        self._engines: dict[str, Engine] = {}
        # A file without a byte counts as made, and would lack what Dagster notes when it makes one.
        index = Path(base_dir) / f"{INDEX_SHARD_NAME}.db"
        if index.is_file() and not index.stat().st_size:
            index.unlink()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _engine(self, shard: str) -> Engine:
        known = self._engines.get(shard)
        # A file that was deleted and made anew is not the one that is open.
        if known is not None and Path(self.path_for_shard(shard)).exists():
            return known
        for other in [name for name in self._engines if name == shard or name != INDEX_SHARD_NAME]:
            self._engines.pop(other).dispose()
        # One connection at a time is what the lock allows, in whichever thread.
        engine = self._engines[shard] = create_engine(
            self.conn_string_for_shard(shard),
            poolclass=QueuePool,
            pool_size=1,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
        # What is written outlives this process at once, and a power cut only with the next checkpoint: what has been
        # published stands in no record of Dagster's.
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
        return engine

    def delete_events(self, run_id: str) -> None:
        """Forget the events of a run, and remove its file: emptied, it would keep its size."""
        with self.index_connection() as connection:
            self.delete_events_for_run(connection, run_id)
        if self.supports_global_concurrency_limits:
            self.free_concurrency_slots_for_run(run_id)
        with self._db_lock:
            if run_id in self._engines:
                self._engines.pop(run_id).dispose()
            self._initialized_dbs.discard(run_id)
            for ending in ("", "-wal", "-shm"):
                Path(f"{self.path_for_shard(run_id)}{ending}").unlink(missing_ok=True)

    def compact(self) -> None:
        """Give back the room that forgotten runs took; another time if somebody else is writing now."""
        history = Path(self._base_dir)
        for path in (history / f"{INDEX_SHARD_NAME}.db", history.parent / "runs.db"):
            with suppress(sqlite3.OperationalError):
                _write_anew(path)

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()
        while self._engines:
            self._engines.popitem()[1].dispose()


class OpenSqliteStorage(DagsterSqliteStorage):
    """Dagster's storage, with the event log above."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        """Use the folders and files that Dagster's own would; arguments as for it."""
        super().__init__(base_dir, inst_data)
        self._event_log_storage.dispose()
        self._event_log_storage = OpenEventLog(self._event_log_storage._base_dir)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "OpenSqliteStorage":
        """See Dagster's own."""
        return cls.from_local(inst_data=inst_data, **config_value)


def forget_old_runs(instance: dg.DagsterInstance, job_name: str, kept_nights: int) -> int:
    """Forget runs that began before the last so many good ones, with their events.

    What made the newest version of an asset stays however old it is, and so do runs that are not at their end.

    Args:
        instance: Where runs are recorded.
        job_name: The job whose runs count as nights.
        kept_nights: How many of its good runs stay.

    Returns:
        How many runs were forgotten.
    """
    good = dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.SUCCESS])
    nights = instance.get_run_records(good, limit=kept_nights)
    if len(nights) < kept_nights:
        return 0
    since = nights[-1].create_timestamp
    newest = [record.asset_entry.last_materialization for record in instance.get_asset_records()]
    needed = {event.run_id for event in newest if event is not None}
    ended = dg.RunsFilter(created_before=since, statuses=FINISHED_STATUSES)
    old = [record.dagster_run.run_id for record in instance.get_run_records(ended)]
    forgotten = [run_id for run_id in old if run_id not in needed]
    for run_id in forgotten:
        instance.delete_run(run_id)
    log = instance.event_log_storage
    if isinstance(log, SqlEventLogStorage):
        _forget_mirrored(log, forgotten, since)
    if forgotten and isinstance(log, OpenEventLog):
        log.compact()
    return len(forgotten)


def _forget_mirrored(log: SqlEventLogStorage, forgotten: Sequence[str], since: datetime) -> None:
    """Forget what Dagster keeps beside the events of runs: their checks, and old events that belong to no run."""
    with log.index_connection() as connection:
        checks = AssetCheckExecutionsTable
        connection.execute(checks.delete().where(checks.c.run_id.in_(forgotten)))
        _forget_runless(connection, since)
    with log.run_connection(RUNLESS_RUN_ID) as connection:
        _forget_runless(connection, since)


def _forget_runless(connection: Connection, since: datetime) -> None:
    """Forget such events but for the newest of each asset and kind, which says how things are."""
    events = SqlEventLogStorageTable
    runless = events.c.run_id == RUNLESS_RUN_ID
    newest = select(func.max(events.c.id)).where(runless).group_by(events.c.dagster_event_type, events.c.asset_key)
    old = runless & (events.c.timestamp < since.replace(tzinfo=None)) & events.c.id.not_in(newest)
    connection.execute(events.delete().where(old))


def _write_anew(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=SQLITE_BUSY_TIMEOUT_SECONDS, isolation_level=None)) as connection:
        (free,), (pages,), (size,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count", "page_size")
        )
        if free > pages // 2 and free * size > WORTH_WRITING_ANEW:
            connection.execute("VACUUM")
