"""Publication: what leaves the pipeline. It runs only after every blocking check of the run has passed."""

from typing import Any

import dagster as dg

from smartcart_pipeline.assets import OWNERS, source_version
from smartcart_pipeline.engines import Engine
from smartcart_pipeline.resources import Settings
from smartcart_pipeline.storage import warehouse as publishing
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline.storage.warehouse import Publication, publish
from smartcart_pipeline.tables import TABLES


@dg.asset(
    deps=list(TABLES),
    description="The DuckDB file that analysts open: all tables of one run, swapped in whole.",
    group_name="publish",
    owners=OWNERS,
    kinds={"duckdb"},
    code_version=source_version(publishing),
)
def warehouse(
    context: dg.AssetExecutionContext,
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
) -> dg.MaterializeResult[Any]:
    """One file of all tables, each at its own grain."""
    delivered = _latest_metadata(context, "raw_customers")
    publication = Publication(
        run_id=lake.run_id,
        as_of_date=engine.rows(lake.read("cleaned").select("as_of_date").head(1))[0]["as_of_date"],
        export_name=str(delivered["export"]).rsplit("/", maxsplit=1)[-1],
        export_hash=str(delivered["content_hash"]),
        recipe=settings.recipe,
    )
    files = {name: lake.path(name) for name in TABLES}
    publish(engine.local, files, publication, home.warehouse, settings.copied_rows)
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(home.warehouse),
            "bytes": home.warehouse.stat().st_size,
            "export": publication.export_name,
            "as_of_date": str(publication.as_of_date),
        }
    )


def _latest_metadata(context: dg.AssetExecutionContext, name: str) -> dict[str, Any]:
    event = context.instance.get_latest_materialization_event(dg.AssetKey(name))
    materialization = event.asset_materialization if event else None
    return {key: value.value for key, value in materialization.metadata.items()} if materialization else {}
