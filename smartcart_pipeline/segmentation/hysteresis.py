"""Hysteresis: a customer near the border of two segments does not go to and fro between them.

The raw segment is that of the nearest centroid tonight. The published one follows it when the customer is clearly in
there, or has been for some nights in a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw
from narwhals.typing import FrameT

from smartcart_pipeline.segmentation.features import is_one_of


@dataclass(frozen=True)
class Hysteresis:
    """When a customer's published segment follows the raw one.

    Attributes:
        band: A margin above this is clear: the runner-up's centroid is that much farther (no unit).
        nights: The raw segment counts if it has been the same for so many nights in a row, tonight's among them.
    """

    band: float = 0.25
    nights: int = 7


def settle_segments(placed: FrameT, previous: FrameT | None, in_force: Sequence[str], rule: Hysteresis) -> FrameT:
    """Decide which segment is published for every customer.

    Args:
        placed: Customers with tonight's raw `segment_id` and `margin`, and any further columns.
        previous: The table `clusters` of the night before; None on the first night.
        in_force: Segments of the model in force.
        rule: When to follow the raw segment.

    Returns:
        The same rows: `segment_id` is now the published segment, beside `raw_segment_id`, `nights_pending` (Int32: for
        how many nights the raw segment has been another one, and the same), and `previous_segment_id`, the one
        published the night before, or null. A customer that was not published then, or whose segment is gone, gets the
        raw one.
    """
    raw = placed.rename({"segment_id": "raw_segment_id"})
    if previous is None:
        return raw.with_columns(
            nw.col("raw_segment_id").alias("segment_id"),
            nw.lit(0, nw.Int32).alias("nights_pending"),
            nw.lit(None, nw.String).alias("previous_segment_id"),
        )
    pending = nw.col("nights_pending")
    before = previous.select("customer_id", nw.col("segment_id").alias("previous_segment_id"))
    # Few wait, so that what only they need is not carried through the join of all customers.
    waiting = previous.filter(pending > 0).select(
        "customer_id",
        nw.col("raw_segment_id").alias("previous_raw_segment_id"),
        pending.cast(nw.Int32).alias("previous_nights"),
    )
    known = raw.join(before, on="customer_id", how="left").join(waiting, on="customer_id", how="left")
    was, now = nw.col("previous_segment_id"), nw.col("raw_segment_id")
    none = nw.lit(0, nw.Int32)
    again = nw.when(nw.col("previous_raw_segment_id") == now).then(nw.col("previous_nights")).otherwise(none)
    may_wait = is_one_of(was, tuple(in_force)) & (nw.col("margin") <= rule.band)
    waited = nw.when(may_wait).then(again + 1).otherwise(none)
    # Asked of the few whose raw segment is another one: an engine works out the rest for nobody else.
    return (
        known.with_columns(nw.when(was != now).then(waited).otherwise(none).alias("nights_pending"))
        .with_columns(
            nw.when(pending < rule.nights).then(pending).otherwise(none).cast(nw.Int32).alias("nights_pending")
        )
        .with_columns(nw.when(pending > 0).then(was).otherwise(now).alias("segment_id"))
        .drop("previous_raw_segment_id", "previous_nights")
    )
