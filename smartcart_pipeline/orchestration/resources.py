"""What assets and checks are handed, besides settings: the engine, the home and the lake."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from smartcart_pipeline.declaration.declaration import CONTRACT_FILE, Declaration, read_declaration
from smartcart_pipeline.declaration.errors import FaultError, HomeError
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.duckdb import MEMORY_LIMIT, DuckDBEngine
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.exports.ids import settle_key
from smartcart_pipeline.orchestration.io_manager import lake_io_manager
from smartcart_pipeline.orchestration.settings import Settings, read_home
from smartcart_pipeline.storage.arrivals import find_export
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline.storage.models import read_record, read_version
from smartcart_pipeline.storage.run_lock import hold

SPARK_MASTER = "SMARTCART_SPARK_MASTER"


@dg.resource(
    config_schema={
        "memory_limit": dg.Field(
            str,
            is_required=False,
            description=f"What DuckDB may use of memory; Python and scikit-learn need half a gigabyte beside it. "
            f"Default: {MEMORY_LIMIT}.",
        ),
        "spill_directory": dg.Field(
            str, is_required=False, description="Where DuckDB puts what does not fit. Default: <home>/spill."
        ),
        "spark": dg.Field(
            dg.Noneable(
                {
                    "master": dg.Field(
                        dg.StringSource,
                        is_required=False,
                        description="URL of Spark's master. Default: SMARTCART_SPARK_MASTER, else local[*].",
                    ),
                    "settings": dg.Field(
                        dict, is_required=False, description="Spark's own settings, e.g. spark.executor.memory."
                    ),
                }
            ),
            is_required=False,
            description="Run on Spark instead of DuckDB; null: on DuckDB, whatever the home's settings say.",
        ),
    },
    required_resource_keys={"home", "settings"},
)
def engine(context: dg.InitResourceContext) -> Iterator[Engine]:
    """The engine, one for all assets of a run: DuckDB, or Spark where that is configured.

    Whoever has an engine reads or writes the lake, so a run holds its home for as long as it has one.
    """
    home = context.resources.home
    config = read_home(home)["engine"] | context.resource_config
    log = context.log or logging.getLogger(__name__)
    apart.begin()
    with hold(home, context.resources.settings.wait_seconds, log.warning):
        spill = Path(config.get("spill_directory") or home.spill)
        local = DuckDBEngine(config.get("memory_limit", MEMORY_LIMIT), spill)
        spark = config.get("spark")
        engine = local if spark is None else _spark_engine(spark, home, local)
        yield engine
        engine.close()


def _spark_engine(config: Mapping[str, Any], home: Home, local: DuckDBEngine) -> Engine:
    from smartcart_pipeline.engines.spark import SparkEngine  # noqa: PLC0415  (only where it is asked for)

    master = config.get("master") or os.environ.get(SPARK_MASTER, "local[*]")
    return SparkEngine(master, config.get("settings"), local, shared=home.lake, log=home.root / "spark.log")


@dg.resource(required_resource_keys={"home", "settings"})
def declaration(context: dg.InitResourceContext) -> Declaration:
    """What this run goes by; where the home's files are wrong, the run says so and does nothing else."""
    settings, home = context.resources.settings, context.resources.home
    declared = read_declaration(home.root, settings.recipe, settings.segments)
    # What a company's own contract says of ids holds; SmartCart's is only where to begin.
    return declared if (home.root / CONTRACT_FILE).is_file() else _settle_key(declared, home, settings.input)


def _settle_key(declared: Declaration, home: Home, named: str | None) -> Declaration:
    try:
        export, record = find_export(home, named), read_record(home)
        before = read_version(home, record, record.last.version).model.declaration if record.last else None
    except FaultError:
        # Whoever reads the export or the record next says so.
        return declared
    return settle_key(declared, export, before)


@dg.resource(required_resource_keys={"declaration", "engine", "home"})
def lake(context: dg.InitResourceContext) -> Lake:
    """The tables of this run."""
    run_id = context.run.run_id if context.run else "no-run"
    resources = context.resources
    return Lake(resources.home.lake, run_id, resources.engine, resources.declaration)


def _defaults(home: Home) -> dict[str, Any]:
    """What the launchpad shows; where the home's settings cannot be read, every run says so and does nothing else."""
    try:
        return read_home(home)["settings"]
    except HomeError:
        return {}


def default_resources(home: Home, **overrides: Any) -> dict[str, Any]:
    """The resources of a code location.

    Args:
        home: The folder that holds everything generated.
        **overrides: Resources to use instead, by key.

    Returns:
        Resources by key.
    """
    return {
        "home": home,
        "settings": Settings.configure_at_launch(**_defaults(home)),
        "declaration": declaration,
        "engine": engine,
        "lake": lake,
        "io_manager": lake_io_manager,
        **overrides,
    }
