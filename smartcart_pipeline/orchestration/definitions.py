"""Wiring: which assets, checks, jobs, schedules, sensors and resources make up the code location."""

import os
from pathlib import Path
from typing import Any

import dagster as dg

from smartcart_pipeline.orchestration.assets import (
    audiences,
    campaigns,
    contest,
    declare,
    history,
    ingest,
    model,
    prepare,
    publish,
    report,
    scoring,
    segments,
)
from smartcart_pipeline.orchestration.automation import new_export, nightly, nightly_refresh, refused_export
from smartcart_pipeline.orchestration.progress import progress
from smartcart_pipeline.orchestration.resources import default_resources
from smartcart_pipeline.orchestration.telling import notifications
from smartcart_pipeline.storage.access import keep_to_owner
from smartcart_pipeline.storage.home import Home


def build_defs(home: Home, **overrides: Any) -> dg.Definitions:
    """Everything Dagster needs to know.

    Args:
        home: The folder that holds everything generated.
        **overrides: Resources to use instead, by key.

    Returns:
        The definitions.
    """
    return dg.Definitions(
        assets=[
            declare.declaring,
            ingest.raw_customers,
            prepare.cleaning_rules,
            prepare.features,
            prepare.standardising,
            model.projecting,
            model.choosing_k,
            contest.promoting,
            segments.clustering_customers,
            segments.illustrating,
            segments.profiling_segments,
            history.segment_membership,
            history.segment_moves,
            history.migrating,
            scoring.segment_model,
            scoring.segment_rules,
            audiences.choosing_audiences,
            campaigns.measuring_campaigns,
            publish.warehouse,
            audiences.audience_lists,
            report.report,
        ],
        jobs=[nightly_refresh],
        schedules=[nightly],
        sensors=[new_export, refused_export, notifications],
        resources=default_resources(home, **overrides),
        # One process: the steps share one engine, and starting a process for each would cost more than the work.
        executor=dg.in_process_executor,
        loggers={"progress": progress, "console": dg.colored_console_logger},
    )


# What the code server and its runs write holds customers.
keep_to_owner()
defs = build_defs(Home(Path(os.environ.get("SMARTCART_HOME", "data")).resolve()))
