"""The page that people read, made after publication: when it fails, what was published stays."""

from typing import Any

import dagster as dg

from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.orchestration.assets import OWNERS, source_version
from smartcart_pipeline.report import (
    changes,
    charts,
    contents,
    drawing,
    first_screen,
    made,
    outcomes,
    reading,
    rendering,
    results,
    scatter,
    segment,
    sensitive,
    wording,
)
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import readable


@dg.asset(
    deps=["warehouse"],
    description="The page that says who the segments are and what to do for each: one file that needs no network.",
    group_name="publish",
    owners=OWNERS,
    kinds={"html"},
    code_version=source_version(
        *(reading, wording, changes, charts, contents, drawing, first_screen, made, outcomes),
        *(rendering, results, scatter, segment, sensitive),
    ),
)
def report(engine: dg.ResourceParam[Engine], home: dg.ResourceParam[Home]) -> dg.MaterializeResult[Any]:
    """One page about the published warehouse."""
    findings = reading.read_findings(engine.local, readable(home))
    size = rendering.write_report(findings, home.report)
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(home.report),
            "address": dg.MetadataValue.url(home.report.as_uri()),
            "bytes": size,
            "run": findings.publication["run_id"],
            "summary": dg.MetadataValue.md(wording.summarise(findings)),
        }
    )
