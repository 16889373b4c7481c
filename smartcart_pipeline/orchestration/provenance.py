"""Where the tables of a warehouse come from: Dagster's records of their making, as rows of the warehouse's own tables.

Each file of the lake is matched with the record of the step that wrote it, so that a table made alone, in a run of its
own, is told apart from those of the last whole run.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.tables import RECORDS, declare_tables
from smartcart_pipeline.declaration.views import View
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.lineage import Columns, trace_columns, trace_tables
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.storage.publications import run_of

Evaluation = dg.AssetCheckEvaluation

# Of a column that was computed from no other.
NOWHERE: list[tuple[Any, Any]] = [(None, None)]
INPUT = "dagster/input_data_version/"


@dataclass(frozen=True)
class Made:
    """How a table of the lake was made.

    Attributes:
        file: Its file.
        record: Dagster's record of it; None if the run died before there was one.
        started: When the step that made it began, in seconds since 1970.
    """

    file: Path
    record: dg.EventLogEntry | None
    started: float | None

    @property
    def metadata(self) -> dict[str, Any]:
        """What the step said of it."""
        materialization = self.record.asset_materialization if self.record else None
        return {key: value.value for key, value in materialization.metadata.items()} if materialization else {}

    @property
    def tags(self) -> Mapping[str, str]:
        """Versions of its code, its data and its inputs."""
        materialization = self.record.asset_materialization if self.record else None
        return (materialization.tags or {}) if materialization else {}


def trace_files(instance: dg.DagsterInstance, files: Mapping[str, Path]) -> dict[str, Made]:
    """Find how the tables of a warehouse were made.

    Args:
        instance: Where runs are recorded.
        files: The file of each table.

    Returns:
        The record of each.
    """
    begun: dict[str, dict[str, float | None]] = {}
    made = {}
    keys = [dg.AssetKey(name) for name in files]
    known = {asset.asset_entry.asset_key.path[-1]: asset for asset in instance.get_asset_records(keys)}
    for name, file in files.items():
        record = known[name].asset_entry.last_materialization if name in known else None
        if record is None or Path(Made(file, record, None).metadata["path"]).name != file.name:
            made[name] = Made(file, None, None)
            continue
        if record.run_id not in begun:
            steps = instance.get_run_step_stats(record.run_id)
            begun[record.run_id] = {step.step_key: step.start_time for step in steps}
        made[name] = Made(file, record, begun[record.run_id].get(record.step_key or ""))
    return made


def trace_delivery(instance: dg.DagsterInstance, file: Path) -> dict[str, Any]:
    """What was recorded of the export when it was read.

    Args:
        instance: Where runs are recorded.
        file: The file of `raw_customers`.

    Returns:
        Metadata of the asset.

    Raises:
        dagster.Failure: If the run that read it died before it was recorded, or recorded less.
    """
    recorded = trace_files(instance, {"raw_customers": file})["raw_customers"].metadata
    if "delivered_on" not in recorded:
        raise dg.Failure(
            "The run that wrote the newest raw_customers died before it was recorded, or was of an earlier version: "
            "run the whole job.",
            allow_retries=False,
        )
    return recorded


def lineage_rows(
    made: Mapping[str, Made], run_id: str, code_version: str, published_at: datetime, views: Mapping[str, View]
) -> Rows:
    """Rows of the table `lineage`: tables of the lake, what the publication adds to them, and views.

    Args:
        made: The record of each table of the lake.
        run_id: The run that publishes.
        code_version: Hash of the pipeline's code.
        published_at: When it publishes, UTC without a zone.
        views: Its views.

    Returns:
        One row a table or view.
    """
    built = {name: (code_version, sorted(made) if name == "publication" else []) for name in RECORDS}
    for name, view in views.items():
        built[name] = (hashlib.sha256(view.sql.encode()).hexdigest()[:12], apart.call(trace_tables, view.sql))
    return [_lineage_row(name, one) for name, one in made.items()] + [
        {
            "asset": name,
            "run_id": run_id,
            "code_version": version,
            "finished": published_at,
            "upstream_assets": upstream,
        }
        for name, (version, upstream) in built.items()
    ]


def _lineage_row(name: str, made: Made) -> dict[str, Any]:
    return {
        "asset": name,
        "run_id": run_of(made.file),
        "code_version": made.tags.get("dagster/code_version"),
        "data_version": made.tags.get("dagster/data_version"),
        "rows": made.metadata.get("dagster/row_count"),
        "bytes": made.metadata.get("bytes"),
        "started": _time(made.started),
        "finished": _time(made.record.timestamp if made.record else None),
        "upstream_assets": sorted(tag.removeprefix(INPUT) for tag in made.tags if tag.startswith(INPUT)),
    }


def find_evaluations(instance: dg.DagsterInstance, made: Mapping[str, Made]) -> list[Evaluation]:
    """What was found of each table by the run that wrote it.

    Args:
        instance: Where runs are recorded.
        made: The record of each table of the lake.

    Returns:
        Evaluations of checks, in order of their tables, then of their names.
    """
    runs = {name: run_of(one.file) for name, one in made.items()}
    known = {}
    for run in set(runs.values()):
        for record in instance.get_records_for_run(run, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records:
            event = record.event_log_entry.get_dagster_event()
            evaluated = event.asset_check_evaluation_data
            name = evaluated.asset_key.path[-1]
            if runs.get(name) == run:
                known[name, evaluated.check_name] = evaluated
    return [known[key] for key in sorted(known)]


def check_rows(evaluations: Sequence[Evaluation]) -> Rows:
    """Rows of the table `checks`.

    Args:
        evaluations: From `find_evaluations`.

    Returns:
        One row a check.
    """
    return [
        {
            "table_name": evaluated.asset_key.path[-1],
            "check_name": evaluated.check_name,
            "passed": evaluated.passed,
            "blocking": bool(evaluated.blocking),
            "found": evaluated.description,
        }
        for evaluated in evaluations
    ]


def column_lineage_rows(made: Mapping[str, Made], declaration: Declaration, views: Mapping[str, View]) -> Rows:
    """Rows of the table `column_lineage`: every column, with each column it was computed from.

    Args:
        made: The record of each table of the lake.
        declaration: What the tables hold.
        views: The views of the warehouse.

    Returns:
        One row a column and upstream column; one with nulls where a column has none.
    """
    traced: dict[str, Columns] = {
        **{name: _columns(name, one.metadata, declaration) for name, one in made.items()},
        **{name: {column: [] for column in table.names} for name, table in RECORDS.items()},
    }
    traced |= _trace_views(views, {name: tuple(columns) for name, columns in traced.items()})
    return [
        {"table_name": name, "column_name": column, "upstream_table": table, "upstream_column": upstream}
        for name, columns in traced.items()
        for column, sources in columns.items()
        for table, upstream in sources or NOWHERE
    ]


def _columns(name: str, metadata: Mapping[str, Any], declaration: Declaration) -> Columns:
    """Sources of a table's columns; of a delivered one, its header in the export."""
    schema, lineage = metadata.get("dagster/column_schema"), metadata.get("dagster/column_lineage")
    names = [column.name for column in schema.columns] if schema else declare_tables(declaration)[name].names
    if name == "raw_customers":
        headers = {column.name: column.header for column in declaration.contract.columns}
        return {column: [("export", headers[column])] if column in headers else [] for column in names}
    known = lineage.deps_by_column if lineage else {}
    return {
        column: [(source.asset_key.path[-1], source.column_name) for source in known.get(column, ())]
        for column in names
    }


def _trace_views(views: Mapping[str, View], tables: Mapping[str, tuple[str, ...]]) -> dict[str, Columns]:
    """Sources of the views' columns, read from their SQL; a view may read those before it."""
    schemas = dict(tables)
    traced: dict[str, Columns] = {}
    for name, view in views.items():
        traced[name] = apart.call(trace_columns, view.sql, schemas)
        schemas[name] = tuple(traced[name])
    return traced


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
