"""The door that Dagster knows. Its name stays: schedules, ticks and cursors of every home are kept under it."""

from smartcart_pipeline.orchestration.definitions import defs

__all__ = ["defs"]
