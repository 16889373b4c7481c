"""What outlives the night: who was in which segment and since when, who moved and why, and the nights themselves."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.recipe import NEWEST
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.orchestration.assets import makes, picture
from smartcart_pipeline.orchestration.assets.segments import read_compared, read_models
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.io_manager import NOTE
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.report.plots import plot_flows
from smartcart_pipeline.segmentation import Rows, hysteresis, migration
from smartcart_pipeline.segmentation import days as by_day
from smartcart_pipeline.segmentation import history as stays
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.models import read_record
from smartcart_pipeline.storage.nights import (
    add_night,
    explain_night,
    flows_since_month,
    flows_since_night,
    kept_rows,
    read_history,
    replaces,
)

Made = Iterator[dg.Output[Any]]

VERBS = (hysteresis, migration, stays)


@makes("history", {"segment_membership": (stays,)})
def segment_membership(
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    engine: dg.ResourceParam[Engine],
    cleaning_figures: nw.LazyFrame,
    contested_models: nw.LazyFrame,
    clusters: nw.LazyFrame,
) -> Made:
    """One row a stay."""
    as_of = engine.rows(cleaning_figures)[0]["as_of_date"]
    version = read_models(engine, contested_models)["in_force"].version
    with naming_the_fault():
        record = read_record(home)
        compared = read_compared(engine, contested_models, record)
        history = add_night(read_history(lake, record), record, clusters, as_of, version, compared)
    yield dg.Output(history, "segment_membership")


@makes("history", {"segment_moves": VERBS})
def segment_moves(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    features: nw.LazyFrame,
    contested_models: nw.LazyFrame,
    clusters: nw.LazyFrame,
) -> Made:
    """One row a customer that moved."""
    with naming_the_fault():
        record = read_record(home)
        compared = read_compared(engine, contested_models, record)
        model = read_models(engine, contested_models)["in_force"].model
        moves = explain_night(home, lake, record, compared, clusters, features, model, settings.band)
    yield dg.Output(moves, "segment_moves")


@makes("history", {"segment_migration": VERBS, "nights": VERBS, "segment_days": (by_day,)})
def migrating(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    cleaning_figures: nw.LazyFrame,
    contested_models: nw.LazyFrame,
    promotion_decisions: nw.LazyFrame,
    clusters: nw.LazyFrame,
    segment_membership: nw.LazyFrame,
    segment_moves: nw.LazyFrame,
    profiles: nw.LazyFrame,
    declaration: dg.ResourceParam[Declaration],
) -> Made:
    """`segment_migration`: a flow. `nights`: a night. `segment_days`: a day and segment."""
    as_of = engine.rows(cleaning_figures)[0]["as_of_date"]
    with naming_the_fault():
        record = read_record(home)
        compared = read_compared(engine, contested_models, record)
        in_force = read_models(engine, contested_models)["in_force"]
    # Tonight, or the night before once more, where these tables are made alone.
    told = max(engine.rows(promotion_decisions), key=lambda row: row["night"])
    dated = {"night": told["night"], "as_of_date": as_of}
    flows = engine.rows(migration.count_flows(clusters))
    last_night = flows_since_night(lake, compared, flows, segment_moves)
    tonights = [*last_night, *flows_since_month(lake, record, as_of, segment_membership)]
    night_row = dated | {
        "model_version": in_force.version,
        "is_promoted": told["is_promoted"],
        "customers": sum(flow["customers"] for flow in flows),
        "segments": len(in_force.model.segment_ids),
        "declaration": lake.declaration.digest,
        "replaces_night": compared.night if compared and replaces(compared, as_of) else None,
        "verdict": told["verdict"],
    }
    seen = [clusters, segment_moves]

    def so_far(name: str) -> Rows:
        return [row for row in kept_rows(lake, record, name) if row["night"] < told["night"]]

    yield dg.Output(
        Fitted([*so_far("segment_migration"), *(dated | row for row in tonights)], seen),
        "segment_migration",
        metadata={"flows": picture(apart.call(plot_flows, last_night))} if last_night else {},
    )
    nights = [*so_far("nights"), night_row]
    yield dg.Output(
        Fitted(nights, [clusters, promotion_decisions]),
        "nights",
        metadata={NOTE: _tell_replaced(night_row, settings.as_of, lake.declaration)}
        if night_row["replaces_night"]
        else {},
    )
    tonight = by_day.describe_tonight(engine.rows(profiles), declaration.recipe)
    # Of a day that is published again nothing is kept.
    kept = [row for row in kept_rows(lake, record, "segment_days") if row["day"] != as_of]
    known = [*kept, *({"day": as_of} | row for row in tonight)]
    # Where rows are numbered, nobody is found again: each night is the only one that is known.
    days = [as_of] if declaration.contract.is_numbered else [row["as_of_date"] for row in nights]
    changes = engine.rows(by_day.count_changes(segment_membership))
    yield dg.Output(Fitted(by_day.tell_days(changes, days, known), [segment_membership, profiles]), "segment_days")


def _tell_replaced(night: dict[str, Any], as_of: str | None, declaration: Declaration) -> str:
    """That a night takes the place of another."""
    number, day = night["replaces_night"], night["as_of_date"]
    told = (
        f"Night {night['night']} takes the place of night {number}: both count to {day}, and their exports differ. Who "
        f"moved, arrived and left is told against night {number}."
    )
    if (as_of or declaration.recipe.as_of) != NEWEST:
        return told
    cause = f"No {declaration.newest_day} is newer."
    return f"{told} {cause} To have a night a day all the same, set as_of: see docs/guides/nightly.md."
