"""Publication: what leaves the pipeline. It runs only after every blocking check of the run has passed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.declaration import tables, views
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.tables import OUTLINES
from smartcart_pipeline.engines import macros
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.orchestration import provenance
from smartcart_pipeline.orchestration.assets import OWNERS, source_version
from smartcart_pipeline.orchestration.automation import nightly_refresh, package_version
from smartcart_pipeline.orchestration.checks import checks_of
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.io_manager import NOTE
from smartcart_pipeline.orchestration.provenance import (
    Evaluation,
    Made,
    check_rows,
    column_lineage_rows,
    find_evaluations,
    lineage_rows,
    trace_delivery,
    trace_files,
)
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.storage import publications
from smartcart_pipeline.storage import warehouse as building
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline.storage.models import (
    PublishedNight,
    Record,
    commit_record,
    prepare_record,
    read_champion,
    read_record,
)
from smartcart_pipeline.storage.publications import publish, run_of
from smartcart_pipeline.storage.run_records import forget_old_runs
from smartcart_pipeline.storage.warehouse import Contents, Publication, now

# What the next night reads of this one: only a run that made all of them is a night of its own.
HANDED_ON = ("features", "contested_models", "clusters", "segment_membership", "audience_stays", "nights")


# The last tables of the groups on which no other depends: every step is upstream of one of them.
LAST = ("segment_rules", "segment_migration", "campaign_results")
# In a run that makes a few tables and none of these, only its priority has the publication wait for them.
AFTER_ALL = {"dagster/priority": "-1"}


@dg.asset(
    deps=LAST,
    op_tags=AFTER_ALL,
    description="The DuckDB file that analysts open: all tables of one run, swapped in whole.",
    group_name="publish",
    owners=OWNERS,
    kinds={"duckdb"},
    code_version=source_version(publications, building, provenance, tables, views, macros),
)
def warehouse(
    context: dg.AssetExecutionContext,
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    declaration: dg.ResourceParam[Declaration],
) -> dg.MaterializeResult[Any]:
    """One file of all tables, each at its own grain."""
    files = {name: lake.path(name) for name in OUTLINES}
    with naming_the_fault():
        record = read_record(home)
    made = trace_files(context.instance, files)
    delivered = trace_delivery(context.instance, files["raw_customers"])
    night = _describe_night(engine, lake, record, delivered["content_hash"])
    is_new = night != record.last
    publication = _describe(engine, lake, made, delivered, night)
    declared = lake.tables["cleaned"].names
    further = [name for name in lake.read("cleaned").collect_schema().names() if name not in declared]
    shown = views.declare_views(declaration, further)
    evaluations = find_evaluations(context.instance, made)
    require_passed(evaluations, [name for name, file in files.items() if run_of(file) == lake.run_id])
    contents = Contents(
        publication,
        declaration,
        shown,
        files,
        lineage_rows(made, publication.run_id, publication.code_version, publication.published_at, shown),
        column_lineage_rows(made, declaration, shown),
        settings.copied_rows,
        check_rows(evaluations),
    )
    with naming_the_fault():
        pending = _prepare_record(engine, lake, home, record, night) if is_new else None
        done = publish(engine.local, contents, home, settings.kept_publications)
        if pending:
            commit_record(home, pending)
    forgotten = _forget_old_runs(context, settings.kept_records)
    notes = {NOTE: publications.tell_set_aside(done.set_aside)} if done.set_aside else {}
    for note in notes.values():
        context.log.warning(note)
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(home.warehouse),
            "publication": dg.MetadataValue.path(done.path),
            "bytes": home.warehouse.stat().st_size,
            "export": publication.export_name,
            "as_of_date": str(publication.as_of_date),
            "model_version": publication.model_version,
            "night": night.night,
            "pruned_files": len(done.pruned),
            "forgotten_runs": forgotten,
            **notes,
        }
    )


def require_passed(evaluations: Sequence[Evaluation], tonights: Sequence[str]) -> None:
    """Publish no table that a check has stopped, and none of tonight's that was never judged.

    Args:
        evaluations: What was found of the tables.
        tonights: The tables that this run has written.

    Raises:
        dagster.Failure: If there is such a table; it names the check and what was found.
    """
    found = {(each.asset_key.path[-1], each.check_name): each for each in evaluations}
    stopped = [
        f"{table}, {name}: {each.description}"
        for (table, name), each in found.items()
        if each.blocking and not each.passed and each.severity is dg.AssetCheckSeverity.ERROR
    ]
    stopped += [
        f"{check.table}, {check.name}: its step failed before it was judged"
        for check in checks_of(tuple(tonights))
        if check.blocking and (check.table, check.name) not in found
    ]
    if stopped:
        raise dg.Failure(f"Nothing is published. What a check has stopped: {'; '.join(stopped)}", allow_retries=False)


def _forget_old_runs(context: dg.AssetExecutionContext, kept_nights: int) -> int:
    """Forget runs, if that can be done: the night has published, and the next one tries again."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  (Dagster has imported it)

    try:
        return forget_old_runs(context.instance, nightly_refresh.name, kept_nights)
    except (OSError, SQLAlchemyError) as error:
        context.log.warning(f"Old runs stay in Dagster's records for now: {error}")
        return 0


def _describe(
    engine: Engine, lake: Lake, made: dict[str, Made], delivered: dict[str, Any], night: PublishedNight
) -> Publication:
    [in_force] = engine.rows(lake.read("segment_model").select("recipe"))
    return Publication(
        run_id=lake.run_id,
        as_of_date=engine.rows(lake.read("cleaned").select("as_of_date").head(1))[0]["as_of_date"],
        as_of_found=made["cleaned"].metadata.get("as_of_found"),
        export_name=Path(delivered["export"]).name,
        export_hash=delivered["content_hash"],
        recipe=in_force["recipe"],
        fitted_recipe=str(made["scaled"].metadata.get("recipe", in_force["recipe"])),
        code_version=package_version(),
        declaration=lake.declaration.digest,
        declared=json.dumps(lake.declaration.document()),
        model_version=night.version,
        published_at=now(),
    )


def _describe_night(engine: Engine, lake: Lake, record: Record, content_hash: str) -> PublishedNight:
    """Tonight; or the night before once more, where this run made some of the tables only."""
    if any(run_of(lake.path(name)) != lake.run_id for name in HANDED_ON):
        if record.last is None:
            raise dg.Failure("No night has been published yet: run the whole job.", allow_retries=False)
        return record.last
    number = len(record.nights) + 1
    [tonight] = engine.rows(lake.read("nights").filter(nw.col("night") == number))
    return PublishedNight(
        night=number,
        run_id=lake.run_id,
        as_of_date=tonight["as_of_date"],
        version=tonight["model_version"],
        promoted=tonight["is_promoted"],
        verdict=tonight["verdict"],
        content_hash=content_hash,
        declaration=tonight["declaration"],
    )


def _prepare_record(engine: Engine, lake: Lake, home: Home, record: Record, night: PublishedNight) -> Path:
    """Lay ready what the home shall know of tonight's models once the night has published."""
    models = {row["part"]: row for row in engine.rows(lake.read("contested_models"))}
    challenger = read_champion(json.loads(models["challenger"]["document"]))
    return prepare_record(home, record, night, challenger, models["in_force"]["named_segments"])
