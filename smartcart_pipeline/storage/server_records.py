"""Dagster's storage on PostgreSQL, by the driver that comes with it; only where the extra `postgres` is installed."""

from typing import Any

from dagster_postgres import DagsterPostgresStorage

from smartcart_pipeline.storage.record_server import name_driver


class ServerStorage(DagsterPostgresStorage):
    """Dagster's own, for an address without a driver, where SQLAlchemy would take one that is not there."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "ServerStorage":
        """See Dagster's own."""
        return cls(postgres_url=name_driver(config_value["postgres_url"]), inst_data=inst_data)
