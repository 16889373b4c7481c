"""A night among the others: what it adds to the history, who moved since, and what earlier nights have left."""

from datetime import date, timedelta
from typing import Any

import narwhals as nw

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.segmentation import Rows, migration
from smartcart_pipeline.segmentation.history import begin_history, extend_history, insert_night, take_back_night
from smartcart_pipeline.segmentation.model import SegmentModel
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline.storage.models import PublishedNight, Record, read_version

MONTH = timedelta(days=30)


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


def find_compared(lake: Lake, record: Record, as_of: date, content_hash: str | None) -> PublishedNight | None:
    """The night that a night is compared with.

    Args:
        lake: Knows what the night goes by.
        record: The nights so far.
        as_of: As-of date of the night.
        content_hash: SHA-256 of its export.

    Returns:
        As `Record.compared_with`; None where rows are numbered, as nobody can be found among the customers of another
        night.
    """
    return None if lake.declaration.contract.is_numbered else record.compared_with(as_of, content_hash)


def replaces(compared: PublishedNight | None, as_of: date) -> bool:
    """Whether a night takes the place of the one that it is compared with: both are of the same day."""
    return compared is not None and compared.as_of_date == as_of


def read_history(lake: Lake, record: Record) -> Any:
    """The history as the last night left it.

    Args:
        lake: Holds it.
        record: The nights so far.

    Returns:
        Stays; None before the first night, and where rows are numbered: each night begins a history of its own.

    Raises:
        HomeError: If its file is gone.
    """
    if record.last is None or lake.declaration.contract.is_numbered:
        return None
    so_far = lake.read_of(record.last.run_id, "segment_membership")
    if so_far is None:
        raise HomeError(
            f"{lake.root / 'segment_membership'}: the history of run {record.last.run_id[:8]}, the last one published, "
            "is missing. Put the lake back from a backup; nothing was published, so that no history is lost."
        )
    return so_far


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
    moves = migration.find_moves(clusters)
    old = read_version(home, record, compared.version).model if compared else model
    # Where the recipe has changed, a model may not know what to make of the features of the other's night.
    asked_before = compared is not None and old.features.makes_for(model.features)
    features_before = lake.read_of(compared.run_id, "features") if compared and asked_before else None
    asked = old if model.features.makes_for(old.features) else None
    return migration.explain_moves(moves, features, features_before, asked, model, band)


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


def flows_since_month(lake: Lake, record: Record, as_of: date, history: Any) -> Rows:
    """Flows since the last night that is a month ago or more.

    Args:
        lake: Its engine computes.
        record: The nights so far.
        as_of: As-of date of the night.
        history: The table `segment_membership` with the night.

    Returns:
        Rows of `segment_migration` without the night; none for a night that comes late, or where rows are numbered.
    """
    then = record.before(as_of - MONTH + timedelta(days=1))
    if then is None or not record.is_newest(as_of) or lake.declaration.contract.is_numbered:
        return []
    flows = lake.engine.rows(migration.count_flows_since(history, then.as_of_date))
    return [{"since": then.as_of_date, "period": "month"} | row for row in migration.simple_flows(flows)]


def _sizes(engine: Engine, clusters: Any) -> dict[str, int]:
    counted = clusters.group_by("segment_id").agg(nw.len().alias("customers"))
    return {row["segment_id"]: row["customers"] for row in engine.rows(counted)}


def kept_rows(lake: Lake, record: Record, name: str) -> Rows:
    """What a table that grows by every night held after the night that was published last.

    Args:
        lake: The lake.
        record: The nights so far.
        name: The table.

    Returns:
        Its rows; none before the first night, or where its file is no longer kept.
    """
    kept = lake.read_of(record.last.run_id, name) if record.last else None
    return [] if kept is None else lake.engine.rows(kept)
