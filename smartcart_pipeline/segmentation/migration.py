"""Migration: who moved from one segment to another since the night before, and what made them.

The question behind a cause is what would have happened otherwise. Let *old* be the model in force the night before and
*new* tonight's, and let a customer have moved from A to B:

- `borderline`: tonight's margin is within the band, so the customer is as good as between the two.
- `customer`: the old model does not put tonight's features into A either: the move would have come with any model.
- `model`: all others. The old model would have kept the customer in A; in the plain case the new model moves even the
  features of the night before.

A customer whose segment A is gone with the new model has no border with it, so that is never called borderline.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import narwhals as nw
from narwhals.typing import FrameT

from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.features import is_one_of
from smartcart_pipeline.segmentation.history import membership_on
from smartcart_pipeline.segmentation.model import SegmentModel, assign_model

CAUSES = ("stayed", "customer", "model", "borderline", "arrived", "left")


def find_moves(clusters: FrameT) -> FrameT:
    """Customers whose published segment is another one than the night before.

    Args:
        clusters: Customers from `settle_segments`.

    Returns:
        `customer_id`, `from_segment_id`, `to_segment_id` and tonight's `margin`.
    """
    was = nw.col("previous_segment_id")
    return clusters.filter(~was.is_null() & (was != nw.col("segment_id"))).select(
        "customer_id", was.alias("from_segment_id"), nw.col("segment_id").alias("to_segment_id"), "margin"
    )


def explain_moves(
    moves: FrameT,
    features: FrameT,
    features_before: FrameT | None,
    old: SegmentModel | None,
    new: SegmentModel,
    band: float,
) -> FrameT:
    """Say what made each customer move; see the module's docstring.

    Args:
        moves: Rows of `find_moves`.
        features: Tonight's, of at least these customers.
        features_before: Those of the night before; None where they are no longer kept, or made by another recipe.
        old: The model in force the night before; None where it knows other features than tonight's.
        new: Tonight's.
        band: A margin up to this is within the band.

    Returns:
        `moves`, and `old_model_moves` (whether the old model puts tonight's features into another segment than A; null
        where there is none to ask), `new_model_moves` (the same of the new model and the features of the night before;
        null where those are not known), and `cause`; in order of `customer_id`.
    """
    asked = moves.select("customer_id", "from_segment_id")
    leaves = nw.col("segment_id") != nw.col("from_segment_id")

    def judge(judged: FrameT, known: FrameT | None, model: SegmentModel | None, name: str) -> FrameT:
        if known is None or model is None:
            return judged.with_columns(nw.lit(None, nw.Boolean).alias(name))
        placed = assign_model(known.join(moves.select("customer_id"), on="customer_id", how="semi"), model)
        told = asked.join(placed, on="customer_id", how="inner").select("customer_id", leaves.alias(name))
        return judged.join(told, on="customer_id", how="left")

    judged = judge(moves, features, old, "old_model_moves")
    judged = judge(judged, features_before, new, "new_model_moves")
    near = (nw.col("margin") <= band) & is_one_of(nw.col("from_segment_id"), new.segment_ids)
    cause = nw.when(nw.col("old_model_moves")).then(nw.lit("customer")).otherwise(nw.lit("model"))
    told = judged.with_columns(nw.when(near).then(nw.lit("borderline")).otherwise(cause).alias("cause"))
    return told.sort("customer_id")


def count_flows(clusters: FrameT) -> FrameT:
    """Tonight's customers by where they were and are, in one pass.

    Args:
        clusters: Customers from `settle_segments`.

    Returns:
        `from_segment_id` (null for who was not published the night before), `to_segment_id` and `customers`.
    """
    return _count(clusters.rename({"previous_segment_id": "from_segment_id", "segment_id": "to_segment_id"}))


def count_flows_since(history: FrameT, since: date) -> FrameT:
    """All customers by where they were on a day, and are now.

    Args:
        history: Stays.
        since: The day.

    Returns:
        `from_segment_id` (null for who was in none), `to_segment_id` (null for who is in none) and `customers`.
    """
    before = membership_on(history, since).rename({"segment_id": "from_segment_id"})
    now = history.filter(nw.col("valid_to").is_null()).select(
        "customer_id", nw.col("segment_id").alias("to_segment_id")
    )
    known = before.join(now, on="customer_id", how="left").select("from_segment_id", "to_segment_id")
    arrived = now.join(before, on="customer_id", how="anti").select(
        nw.lit(None, nw.String).alias("from_segment_id"), "to_segment_id"
    )
    return _count(nw.concat([known, arrived]))


def migration_rows(flows: Rows, moved: Rows, sizes_before: dict[str, int]) -> Rows:
    """All flows since the night before, with their causes.

    Args:
        flows: Rows of `count_flows`.
        moved: Rows of `count_causes`.
        sizes_before: Customers of each segment the night before.

    Returns:
        `from_segment_id`, `to_segment_id`, `cause` and `customers`: who stayed, moved (by cause), arrived, and left.
    """
    rows: Rows = [dict(row) for row in moved]
    gone = dict(sizes_before)
    for flow in flows:
        start, end = flow["from_segment_id"], flow["to_segment_id"]
        if start is not None:
            gone[start] -= flow["customers"]
        if start is None or start == end:
            rows.append(flow | {"cause": "arrived" if start is None else "stayed"})
    left = ((segment, number) for segment, number in gone.items() if number)
    rows += [_flow(segment, None, "left", number) for segment, number in left]
    return _in_order(rows)


def simple_flows(flows: Rows) -> Rows:
    """Flows over a longer time, which have no cause but that somebody stayed, moved, arrived or left.

    Args:
        flows: Rows of `count_flows_since`.

    Returns:
        The same with `cause`, null for who moved.
    """
    return _in_order([row | {"cause": _plain_cause(row)} for row in flows])


def count_causes(explained: FrameT) -> FrameT:
    """Moves by where from, where to, and cause.

    Args:
        explained: Rows of `explain_moves`.

    Returns:
        `from_segment_id`, `to_segment_id`, `cause` and `customers`.
    """
    return explained.group_by("from_segment_id", "to_segment_id", "cause").agg(nw.len().alias("customers"))


def _count(flows: FrameT) -> FrameT:
    return flows.group_by("from_segment_id", "to_segment_id").agg(nw.len().alias("customers"))


def _flow(start: str | None, end: str | None, cause: str | None, customers: int) -> dict[str, Any]:
    return {"from_segment_id": start, "to_segment_id": end, "cause": cause, "customers": customers}


def _plain_cause(row: dict[str, Any]) -> str | None:
    start, end = row["from_segment_id"], row["to_segment_id"]
    if start is None:
        return "arrived"
    if end is None:
        return "left"
    return "stayed" if start == end else None


def _in_order(rows: Rows) -> Rows:
    names: Sequence[str] = ("from_segment_id", "to_segment_id", "cause")
    return sorted(
        ({name: row[name] for name in (*names, "customers")} for row in rows),
        key=lambda row: tuple(row[name] or "" for name in names),
    )
