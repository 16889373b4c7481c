"""What came of campaigns: outcomes as other tools deliver them, and whether each campaign was worth it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.campaigns import evidence, results
from smartcart_pipeline.campaigns import outcomes as taking_in
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.errors import FaultError
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.engines.sql import parquet
from smartcart_pipeline.orchestration.assets import makes
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.io_manager import NOTE
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.models import read_record

OUTCOME = ("campaign", KEY, "day", "converted", "amount", "taken", "file_name", "line_number")


@makes(
    "audiences",
    {
        "campaign_results": (results, evidence),
        "outcomes": (taking_in, results),
        "rejected_outcomes": (taking_in, results),
    },
    after=("audience_stays", "deliveries"),
)
def measuring_campaigns(
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    declaration: dg.ResourceParam[Declaration],
    audiences: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`outcomes`: a customer's day. `campaign_results`: a campaign and segment."""
    local, key = engine.local, declaration.contract.key
    with naming_the_fault():
        notes = list(_take_in(engine, home, declaration))
        taken = taking_in.select_taken(home, key)
        stays, handed = (parquet(lake.path(name)) for name in ("audience_stays", "deliveries"))
        results.judge_outcomes(local.connection, taken, stays, handed)
        notes += results.tell_strange(local.connection)
    sources = [local.scan(lake.path(name), name) for name in ("audience_stays", "deliveries", "audiences")]

    def select(columns: str, condition: str) -> Fitted:
        query = f"SELECT {columns} FROM {results.JUDGED} WHERE {condition} ORDER BY ALL"
        return Fitted(nw.from_native(local.connection.sql(query)), sources)

    yield dg.Output(
        select(", ".join(OUTCOME), "reason IS NULL"), "outcomes", metadata={NOTE: " ".join(notes)} if notes else {}
    )
    refused = f"taken, file_name, line_number, campaign, CAST({KEY} AS VARCHAR) AS {KEY}, day, converted, amount"
    yield dg.Output(
        select(f"{refused}, reason, detail", "reason IS NOT NULL AND reason <> 'replaced'"), "rejected_outcomes"
    )
    costs = _known_costs(engine, lake, home) | {
        row["audience"]: row["cost"] for row in engine.rows(audiences.select("audience", "cost"))
    }
    yield dg.Output(Fitted(results.measure(local.connection, costs), sources), "campaign_results")


def _known_costs(engine: Engine, lake: Lake, home: Home) -> dict[str, float]:
    """What addressing a customer cost, of campaigns whose audiences may be declared no more: as the last night knew."""
    record = read_record(home)
    before = lake.read_of(record.last.run_id, "campaign_results") if record.last else None
    rows = [] if before is None else engine.rows(before.filter(nw.col("segment_id") == results.ALL))
    return {row["campaign"]: row["cost"] / row["treated"] for row in rows if row["treated"] and row["cost"] is not None}


def _take_in(engine: Engine, home: Home, declaration: Declaration) -> Iterator[str]:
    """Take in what was dropped; a file that cannot be read stops no night, and is told every night."""
    files = taking_in.find_files(home)
    if files and declaration.contract.is_numbered:
        yield "Outcomes are left alone: the contract has no key, so that nobody knows whose they are."
        return
    for path in files:
        try:
            taken = taking_in.take_in(engine.local, home, path, declaration.contract.key)
        except (FaultError, OSError) as error:
            yield f"Outcomes are left alone that cannot be read: {error}"
            continue
        if taken.is_new and taken.refused:
            every = taken.rows + taken.refused
            yield f"{path.name}: {taken.refused:,} of {every:,} outcomes are refused. {taken.causes}"
