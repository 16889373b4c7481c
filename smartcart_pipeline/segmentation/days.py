"""Segments by day: how many customers each had, what they were worth, and who entered and left, ready for a line.

Sizes and moves follow from the history of stays, so that they hold for every day, however late its night came. What
customers were worth is known on the night itself only, and is kept.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import narwhals as nw
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import Rows

# What is known of a segment on the night itself only.
KEPT = ("persona", "spending", "outcome", "responses", "outcome_rate")


def count_changes(history: FrameT) -> FrameT:
    """How many stays began and ended in each segment, by day.

    Args:
        history: Stays, with `segment_id`, `valid_from` and `valid_to` (Date; null while there is no end).

    Returns:
        One row a segment, day and kind of change: `segment_id`, `day`, `change` (1 where they began, -1 where they
        ended) and `customers`.
    """
    changes = [
        history.filter(~nw.col(day).is_null()).select(
            "segment_id", nw.col(day).alias("day"), nw.lit(change).alias("change")
        )
        for day, change in (("valid_from", 1), ("valid_to", -1))
    ]
    return nw.concat(changes).group_by("segment_id", "day", "change").agg(nw.len().alias("customers"))


def describe_tonight(profiles: Rows, recipe: Recipe) -> Rows:
    """What is known of the segments on the night itself only.

    Args:
        profiles: Rows of `profiles`.
        recipe: Says what customers are worth, and which outcome comes first.

    Returns:
        One row a segment: `segment_id` and `KEPT`; None for what the recipe does not speak of.
    """
    worth, outcome = recipe.business.worth, recipe.outcomes[0] if recipe.outcomes else None
    return [
        {
            "segment_id": row["segment_id"],
            "persona": row["persona"],
            "spending": row[f"mean_{worth}"] * row["customers"] if worth else None,
            "outcome": outcome.name if outcome else None,
            "responses": round(row[outcome.rate] * row["customers"]) if outcome else None,
            "outcome_rate": row[outcome.rate] if outcome else None,
        }
        for row in profiles
    ]


def tell_days(changes: Rows, days: Iterable[date], known: Sequence[dict[str, Any]]) -> Rows:
    """Every segment on every day that has been published.

    Args:
        changes: Rows of `count_changes`.
        days: The as-of dates of all nights.
        known: Of days and segments `KEPT`.

    Returns:
        One row a day and segment that had customers then, or lost its last ones: `day`, `segment_id`, `customers`,
        `share`, `customers_entered`, `customers_left` and `KEPT`; by day and segment.
    """
    counted = {(row["day"], row["segment_id"], row["change"]): row["customers"] for row in changes}
    segments = sorted({row["segment_id"] for row in changes})
    told, published = {(row["day"], row["segment_id"]): row for row in known}, set(days)
    sizes: Counter[str] = Counter()
    rows: Rows = []
    # Every change counts, also on a day that is not told.
    for day in sorted(published | {row["day"] for row in changes}):
        moved = {s: (counted.get((day, s, 1), 0), counted.get((day, s, -1), 0)) for s in segments}
        sizes.update({segment: entered - left for segment, (entered, left) in moved.items()})
        rows += [
            {"day": day, "segment_id": segment}
            | {"customers": sizes[segment], "share": sizes[segment] / sizes.total()}
            | {"customers_entered": entered, "customers_left": left}
            | {name: told.get((day, segment), {}).get(name) for name in KEPT}
            for segment, (entered, left) in moved.items()
            if day in published and (sizes[segment] or left)
        ]
    return rows
