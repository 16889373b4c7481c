"""Spending by product category: what each segment buys. The model only sees the sum of the six amounts."""

import narwhals as nw
from narwhals.typing import FrameT

from smartcart_pipeline.contract import AMOUNTS
from smartcart_pipeline.segmentation import Rows

# What people call the product category of each amount.
CATEGORIES = dict(zip(AMOUNTS, ("wine", "fruit", "meat", "fish", "sweets", "gold products"), strict=True))


def join_amounts(clusters: FrameT, cleaned: FrameT) -> FrameT:
    """Each customer's amounts beside the segment.

    Args:
        clusters: Customers with `segment_id`.
        cleaned: The same customers, with the six amounts.

    Returns:
        `segment_id` and the amounts.
    """
    segments = clusters.select("customer_id", "segment_id")
    return cleaned.select("customer_id", *AMOUNTS).join(segments, on="customer_id", how="inner").drop("customer_id")


def sum_amounts(members: FrameT) -> FrameT:
    """Sum the amounts of each segment, in one pass; whole numbers add up to the same in any order.

    Args:
        members: Customers from `join_amounts`.

    Returns:
        One row a segment: `segment_id`, `customers`, and for each amount its sum, and how many customers have one
        above 0 as `buyers_…`.
    """
    bought = [
        nw.when(nw.col(name) > 0).then(nw.lit(1)).otherwise(nw.lit(0)).alias(f"buyers_{name}") for name in AMOUNTS
    ]
    return (
        members.with_columns(*[nw.col(name).cast(nw.Int64) for name in AMOUNTS], *bought)
        .group_by("segment_id")
        .agg(nw.len().alias("customers"), *[nw.col(name, f"buyers_{name}").sum() for name in AMOUNTS])
    )


def category_rows(sums: Rows) -> Rows:
    """The table `category_spending`: one row a segment and product category.

    Args:
        sums: Rows from `sum_amounts`.

    Returns:
        In order of `segment_id`, then of the contract: those two, `mean_spending` (currency units a customer),
        `share_of_spending` (0 to 1; 0 where the segment spends nothing) and `share_buying` (0 to 1).
    """
    rows: Rows = []
    for row in sorted(sums, key=lambda row: row["segment_id"]):
        # Engines widen a sum of whole numbers to other types than int.
        spent = {amount: int(row[amount]) for amount in AMOUNTS}
        rows += [
            {
                "segment_id": row["segment_id"],
                "category": category,
                "mean_spending": spent[amount] / row["customers"],
                "share_of_spending": spent[amount] / (sum(spent.values()) or 1),
                "share_buying": int(row[f"buyers_{amount}"]) / row["customers"],
            }
            for amount, category in CATEGORIES.items()
        ]
    return rows


def name_sources(members: FrameT) -> FrameT:
    """What each column of `category_spending` is computed from, under the name of that column.

    Args:
        members: Customers from `join_amounts`.

    Returns:
        The segment, and for each figure the amounts.
    """
    amounts = nw.sum_horizontal(*AMOUNTS)
    figures = ("mean_spending", "share_of_spending", "share_buying")
    return members.select("segment_id", *[amounts.alias(name) for name in figures])
