"""Dagster's own records in SQLite, written through connections that stay open.

Dagster opens and sets up a connection for each of the thousand writes of a run. That took a fifth of the time of a
night of a few thousand customers; what is recorded, and where, is the same with or without this module.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool


class OpenEventLog(SqliteEventLogStorage):
    """Dagster's event log, with a connection kept for the index and for the run of the moment."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        """Open nothing yet; arguments as for Dagster's own."""
        self._engines: dict[str, Engine] = {}
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
        self._engines[shard] = create_engine(
            self.conn_string_for_shard(shard),
            poolclass=QueuePool,
            pool_size=1,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
        return self._engines[shard]

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
