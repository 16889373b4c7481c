"""What assets and checks are handed: the settings of a run, the engine, the home and the lake.

Settings are a Dagster resource so that each can be changed for one run in the launchpad of the UI.
"""

import errno
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from pydantic import Field, ValidationError

from smartcart_pipeline import apart
from smartcart_pipeline.as_of import NEWEST, require_lasting
from smartcart_pipeline.contract import ExportError, FaultError, HomeError
from smartcart_pipeline.engines import Engine
from smartcart_pipeline.engines.duckdb import MEMORY_LIMIT, DuckDBEngine, unquoted
from smartcart_pipeline.lineage import Columns
from smartcart_pipeline.receivers import NAMES, read_notify
from smartcart_pipeline.segmentation.cleaning import Limits
from smartcart_pipeline.segmentation.hysteresis import Hysteresis
from smartcart_pipeline.segmentation.promotion import Gate, Refit
from smartcart_pipeline.segmentation.recipes import RECIPES, Recipe, RecipeName
from smartcart_pipeline.settings_file import read_settings
from smartcart_pipeline.storage.access import NAMES as ACCESS
from smartcart_pipeline.storage.access import read_access
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Lake, Stored
from smartcart_pipeline.storage.run_lock import hold
from smartcart_pipeline.tables import TABLES

SPARK_MASTER = "SMARTCART_SPARK_MASTER"

# Whose fault a failure is, in the metadata of its event: the export's, the call's or the home's (`FaultError.whose`).
AT_FAULT = "at_fault"
# What a disk says that is full, or may not be written to.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
# What people should know although nothing failed, in the metadata of the step that found it.
NOTE = "note"
# How many rows an export holds, in the metadata of the table that keeps it.
DELIVERED_ROWS = "delivered_rows"


class Settings(dg.ConfigurableResource):
    """What can be set for a run."""

    input: str | None = Field(
        default=None, description="The export to segment. Default: the newest in <home>/incoming."
    )
    as_of: str = Field(
        default=NEWEST,
        description="The day age and tenure are counted to: newest (join date), delivered (the day of the file's "
        "modification time), a pattern of the file's name such as customers-%Y%m%d.csv, or a date, YYYY-MM-DD.",
    )
    recipe: RecipeName = Field(
        default="behavioural",
        description="Which features define segments: behavioural, or reference (with the outcome).",
    )
    max_age: int = Field(default=90, ge=0, description="Older customers are outliers, in years.")
    max_income: float = Field(
        default=600_000, ge=0, description="Higher incomes are outliers, in currency units a year."
    )
    max_rejected_share: float = Field(
        default=0.05, ge=0, le=1, description="A run with more rejected rows than this fails."
    )
    seed: int = Field(default=42, ge=0, description="Seed of every random choice.")
    sample_customers: int = Field(
        default=10_000, ge=100, description="k is chosen, and k-means begun, on at most this many customers."
    )
    ward_customers: int = Field(
        default=3_000,
        ge=100,
        description="Agglomerative clustering is fitted on at most this many; its cost is quadratic.",
    )
    comparison_customers: int = Field(
        default=3_000, ge=100, description="The two algorithms are compared on at most this many customers."
    )

    refit: Refit = Field(
        default="auto",
        description="Whether tonight's fit takes the place of the model in force: auto (the gate), always, or never.",
    )
    min_drifted_features: float = Field(
        default=Gate.drifted_features, ge=0, le=1, description="Gate: a reason is so large a share of drifted features."
    )
    min_silhouette_gain: float = Field(
        default=Gate.silhouette_gain, ge=0, description="Gate: a reason is so much better a silhouette."
    )
    min_unexplained_customers: float = Field(
        default=Gate.unexplained_customers,
        ge=0,
        le=1,
        description="Gate: where so large a share is far from every segment, one more is tried.",
    )
    min_stability: float = Field(
        default=Gate.stability, le=1, description="Gate: the challenger is at least so stable."
    )
    max_silhouette_loss: float = Field(
        default=Gate.silhouette_loss, ge=0, description="Gate: the challenger's silhouette may be so much worse."
    )
    min_segment_share: float = Field(
        default=Gate.segment_share, ge=0, le=1, description="Gate: the smallest segment has this share at least."
    )
    max_relabelled_customers: float = Field(
        default=Gate.relabelled_customers,
        ge=0,
        le=1,
        description="Gate: the budget, a share of the known customers that may change segment.",
    )
    band: float = Field(
        default=Hysteresis.band, ge=0, description="A customer moves at once if the margin is above this (no unit)."
    )
    band_nights: int = Field(
        default=Hysteresis.nights, ge=1, le=120, description="Within the band, a move counts after so many nights."
    )
    copied_rows: int = Field(
        default=500_000,
        ge=0,
        description="Larger tables are not copied into the warehouse: it has a view of the run's file in the lake.",
    )
    kept_publications: int = Field(
        default=7, ge=1, description="So many publications stay, with the files of the lake that they need."
    )
    kept_records: int = Field(
        default=90, ge=1, description="Dagster forgets runs that are older than so many good nights, with their events."
    )
    wait_seconds: int = Field(
        default=3_600, ge=0, description="How long a run waits for another to end, at most; one at a time uses a home."
    )

    @property
    def limits(self) -> Limits:
        """What makes a customer an outlier."""
        return Limits(self.max_age, self.max_income)

    @property
    def gate(self) -> Gate:
        """When a challenger is promoted."""
        return Gate(
            refit=self.refit,
            drifted_features=self.min_drifted_features,
            silhouette_gain=self.min_silhouette_gain,
            unexplained_customers=self.min_unexplained_customers,
            stability=self.min_stability,
            silhouette_loss=self.max_silhouette_loss,
            segment_share=self.min_segment_share,
            relabelled_customers=self.max_relabelled_customers,
        )

    @property
    def hysteresis(self) -> Hysteresis:
        """When a customer's published segment follows the raw one."""
        return Hysteresis(self.band, self.band_nights)

    @property
    def features(self) -> Recipe:
        """The recipe in full."""
        return RECIPES[self.recipe]


# What a home's settings may set.
SECTIONS = {
    "settings": tuple(Settings.model_fields),
    "engine": ("memory_limit", "spill_directory", "spark"),
    "notify": NAMES,
    "access": ACCESS,
}


def read_home(home: Home) -> dict[str, dict[str, Any]]:
    """What a home sets for all its runs.

    Args:
        home: The home.

    Returns:
        `settings`: fields of `Settings`; `engine`: the engine's configuration.

    Raises:
        HomeError: If the file cannot be read, or a value is none that the field takes.
    """
    chosen = read_settings(home, SECTIONS)
    read_notify(home.settings, chosen.pop("notify"))
    if "as_of" in chosen["settings"]:
        require_lasting(chosen["settings"]["as_of"], home.settings)
    chosen.pop("access")
    read_access(home)
    try:
        Settings(**chosen["settings"])
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][0]} is {fault['input']!r}: {fault['msg']}" for fault in error.errors())
        raise HomeError(f"{home.settings}: {faults}. Correct the file.") from None
    return chosen


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


@dg.resource(required_resource_keys={"engine", "home"})
def lake(context: dg.InitResourceContext) -> Lake:
    """The tables of this run."""
    run_id = context.run.run_id if context.run else "no-run"
    return Lake(context.resources.home.lake, run_id, context.resources.engine)


class LakeIOManager(dg.IOManager):
    """Keeps what an asset returns as a Parquet file of the lake, and hands it to the next asset as a lazy frame."""

    def __init__(self, tables: Lake) -> None:
        """Write to and read from these tables."""
        self.tables = tables
        self._delivered: int | None = None

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a table and say in the metadata what was written."""
        name = context.asset_key.path[-1]
        expected = self._expect_rows(context)
        started = time.monotonic()

        def say(rows: float, about: str) -> None:
            rate = rows / max(time.monotonic() - started, 0.001)
            context.log.info(f"{name}: {about}{rows:,.0f} rows, {rate:,.0f} a second")

        with naming_the_fault(), _blaming_the_export(context):
            stored = self.tables.write(name, obj, lambda share: say(share * expected, f"of {expected:,} rows about "))
        say(stored.rows, "")
        context.add_output_metadata(describe_stored(name, stored))

    def _expect_rows(self, context: dg.OutputContext) -> int:
        """About how many rows a table of customers will have; counted once a run, before anything is written."""
        delivered = (context.output_metadata or {}).get(DELIVERED_ROWS)
        if delivered is not None:
            self._delivered = int(delivered.value)
        elif self._delivered is None:
            self._delivered = self.tables.count("raw_customers") if self.tables.has("raw_customers") else 0
        return self._delivered

    def load_input(self, context: dg.InputContext) -> Any:
        """Read a table."""
        return self.tables.read(context.asset_key.path[-1])


@dg.io_manager(required_resource_keys={"lake"})
def lake_io_manager(context: dg.InitResourceContext) -> LakeIOManager:
    """The IO manager of this run."""
    return LakeIOManager(context.resources.lake)


def describe_stored(name: str, stored: Stored) -> Mapping[str, Any]:
    """Metadata of a table that was written.

    Args:
        name: The table.
        stored: What was written.

    Returns:
        Row count, schema, column lineage (for Dagster, and as a table for people), path and size.
    """
    table = TABLES[name]
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            column.description,
            constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=column.unique),
        )
        for column in table.columns
        if not column.optional or column.name in stored.lineage
    ]
    return {
        "dagster/row_count": stored.rows,
        "dagster/table_name": name,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": _column_lineage(stored.lineage),
        "column_lineage": _lineage_table(name, stored.lineage),
        "path": dg.MetadataValue.path(stored.path),
        "bytes": stored.bytes,
    }


def _column_lineage(lineage: Columns) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(dg.AssetKey(table), upstream) for table, upstream in sources]
            for column, sources in lineage.items()
            if sources
        }
    )


def _lineage_table(name: str, lineage: Columns) -> dg.TableMetadataValue:
    # A column without upstream columns is delivered, or is one figure for all rows, like the as-of date.
    origin = "the export" if name == "raw_customers" else "a figure of the whole run"
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {
                    "column": f"{name}.{column}",
                    "computed_from": ", ".join(f"{t}.{c}" for t, c in sources) or origin,
                }
            )
            for column, sources in lineage.items()
        ],
        schema=dg.TableSchema(
            [
                dg.TableColumn("column", "string", "A column of this table."),
                dg.TableColumn("computed_from", "string", "The upstream columns its values come from."),
            ]
        ),
    )


@contextmanager
def naming_the_fault() -> Iterator[None]:
    """Turn a fault that is not the pipeline's into a failure with its message, without a retry or a traceback."""
    try:
        yield
    except FaultError as error:
        raise _failure(error) from None
    except (OSError, duckdb.IOException) as error:
        told = " ".join(str(error).split())
        if not any(os.strerror(number) in told for number in DISK_ERRORS):
            raise
        advice = "Make room, or give the pipeline's user the right to. What was published before is unchanged."
        raise _failure(HomeError(f"The home cannot be written ({told}). {advice}")) from None
    except duckdb.Error as error:
        raise dg.Failure(f"DuckDB: {unquoted(error)}", allow_retries=False) from None


@contextmanager
def _blaming_the_export(context: dg.OutputContext) -> Iterator[None]:
    """Some of what is wrong with a file shows only when all of it is read, on the way into the lake."""
    try:
        yield
    except duckdb.InvalidInputException as error:
        export = (context.output_metadata or {}).get("export")
        if export is None:
            raise
        raise ExportError(f"{export.value}: the file cannot be read ({unquoted(error)}). Deliver it again.") from None


def _failure(error: FaultError) -> dg.Failure:
    return dg.Failure(str(error), metadata={AT_FAULT: error.whose}, allow_retries=False)


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
        "engine": engine,
        "lake": lake,
        "io_manager": lake_io_manager,
        **overrides,
    }
