"""What outlives the night: who was in which segment and since when, who moved and why, and the nights themselves."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline import apart
from smartcart_pipeline.as_of import NEWEST
from smartcart_pipeline.assets import makes, picture
from smartcart_pipeline.assets.promotion import kept_rows
from smartcart_pipeline.assets.segments import read_compared, read_models
from smartcart_pipeline.contract import HomeError
from smartcart_pipeline.engines import Engine
from smartcart_pipeline.plots import plot_flows
from smartcart_pipeline.resources import NOTE, Settings, naming_the_fault
from smartcart_pipeline.segmentation import Rows, hysteresis, migration
from smartcart_pipeline.segmentation import history as stays
from smartcart_pipeline.segmentation.history import begin_history, extend_history, insert_night, take_back_night
from smartcart_pipeline.segmentation.model import SegmentModel
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.models import PublishedNight, Record, read_record, read_version

Made = Iterator[dg.Output[Any]]

MONTH = timedelta(days=30)
VERBS = (hysteresis, migration, stays)


@makes("segments", {"segment_membership": (stays,)})
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
        history = add_night(_read_history(lake, record), record, clusters, as_of, version, compared)
    yield dg.Output(history, "segment_membership")


def add_night(
    so_far: Any, record: Record, clusters: Any, as_of: date, version: str, compared: PublishedNight | None
) -> Any:
    """Add a night to the history, the fast way where no later one has been published.

    Args:
        so_far: Stays; None before the first night.
        record: The nights so far.
        clusters: The table `clusters` of the night.
        as_of: Its as-of date.
        version: The model in force.
        compared: The night that it is compared with, whose segments are the previous ones of `clusters`.

    Returns:
        Stays.
    """
    if so_far is None:
        return begin_history(clusters, as_of, version)
    later = record.after(as_of)
    if later is not None:
        return insert_night(so_far, clusters, as_of, version, later.as_of_date, later.version)
    if record.is_published(as_of):
        so_far = take_back_night(so_far, as_of)
    if replaces(compared, as_of):
        # The previous segments are those of the night that was taken back, not of the stays that are open now.
        clusters = clusters.with_columns(nw.lit(None, nw.String).alias("previous_segment_id"))
    return extend_history(so_far, clusters, as_of, version)


def replaces(compared: PublishedNight | None, as_of: date) -> bool:
    """Whether a night takes the place of the one that it is compared with: both are of the same day."""
    return compared is not None and compared.as_of_date == as_of


def _read_history(lake: Lake, record: Record) -> Any:
    if record.last is None:
        return None
    so_far = lake.read_of(record.last.run_id, "segment_membership")
    if so_far is None:
        raise HomeError(
            f"{lake.root / 'segment_membership'}: the history of run {record.last.run_id[:8]}, the last one published, "
            "is missing. Put the lake back from a backup; nothing was published, so that no history is lost."
        )
    return so_far


@makes("segments", {"segment_moves": VERBS})
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


def explain_night(
    home: Home,
    lake: Lake,
    record: Record,
    compared: PublishedNight | None,
    clusters: Any,
    features: Any,
    model: SegmentModel,
    band: float,
) -> Any:
    """Find who moved since the night that this one is compared with, and why.

    Args:
        home: Holds the model of that night.
        lake: Holds its features.
        record: The nights so far.
        compared: That night; None for the first.
        clusters: The table `clusters` of the night.
        features: The table `features` of the night.
        model: The model in force.
        band: Within which a customer is borderline.

    Returns:
        Moves, a frame as `segment_moves` declares it.
    """
    old = read_version(home, record, compared.version).model if compared else model
    features_before = lake.read_of(compared.run_id, "features") if compared else None
    return migration.explain_moves(migration.find_moves(clusters), features, features_before, old, model, band)


@makes("segments", {"segment_migration": VERBS, "nights": VERBS})
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
) -> Made:
    """`segment_migration`: a flow. `nights`: a night."""
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
    tonights = [*last_night, *flows_since_month(engine, record, as_of, segment_membership)]
    night_row = dated | {
        "model_version": in_force.version,
        "is_promoted": told["is_promoted"],
        "customers": sum(flow["customers"] for flow in flows),
        "segments": len(in_force.model.segment_ids),
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
    yield dg.Output(
        Fitted([*so_far("nights"), night_row], [clusters, promotion_decisions]),
        "nights",
        metadata={NOTE: _tell_replaced(night_row, settings.as_of)} if night_row["replaces_night"] else {},
    )


def _tell_replaced(night: dict[str, Any], as_of: str) -> str:
    """That a night takes the place of another."""
    number, day = night["replaces_night"], night["as_of_date"]
    told = (
        f"Night {night['night']} takes the place of night {number}: both count to {day}, and their exports differ. Who "
        f"moved, arrived and left is told against night {number}."
    )
    cause = " No join date is newer. To have a night a day all the same, set as_of: see docs/guides/nightly.md."
    return told + cause if as_of == NEWEST else told


def flows_since_night(lake: Lake, compared: PublishedNight | None, flows: Rows, moves: Any) -> Rows:
    """Flows of customers since the night that this one is compared with.

    Args:
        lake: Holds the clusters of that night.
        compared: That night; None for the first.
        flows: Customers by segment then and now, from `migration.count_flows`.
        moves: The table `segment_moves` of the night.

    Returns:
        Rows of `segment_migration` without the night; none for the first.
    """
    if compared is None:
        return []
    kept = lake.read_of(compared.run_id, "clusters")
    sizes = {} if kept is None else _sizes(lake.engine, kept)
    rows = migration.migration_rows(flows, lake.engine.rows(migration.count_causes(moves)), sizes)
    return [{"since": compared.as_of_date, "period": "night"} | row for row in rows]


def flows_since_month(engine: Engine, record: Record, as_of: date, history: Any) -> Rows:
    """Flows since the last night that is a month ago or more.

    Args:
        engine: Computes.
        record: The nights so far.
        as_of: As-of date of the night.
        history: The table `segment_membership` with the night.

    Returns:
        Rows of `segment_migration` without the night; none for a night that comes late.
    """
    then = record.before(as_of - MONTH + timedelta(days=1))
    if then is None or not record.is_newest(as_of):
        return []
    flows = engine.rows(migration.count_flows_since(history, then.as_of_date))
    return [{"since": then.as_of_date, "period": "month"} | row for row in migration.simple_flows(flows)]


def _sizes(engine: Engine, clusters: Any) -> dict[str, int]:
    counted = clusters.group_by("segment_id").agg(nw.len().alias("customers"))
    return {row["segment_id"]: row["customers"] for row in engine.rows(counted)}
