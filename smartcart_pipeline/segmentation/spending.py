"""Spending by product category: what each segment buys. The model only sees the sum of the amounts."""

from collections.abc import Mapping, Sequence

import narwhals as nw
from narwhals.typing import FrameT

from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.clustering import cluster_of_segment


def join_amounts(clusters: FrameT, cleaned: FrameT, centroids: Rows, amounts: Sequence[str]) -> FrameT:
    """Each customer's amounts beside the segment.

    Args:
        clusters: Customers with `segment_id`.
        cleaned: The same customers, with the amounts.
        centroids: The table `centroids`, which tells the cluster of a segment.
        amounts: Their columns.

    Returns:
        `segment_id`, `kmeans_cluster` (by which engines group faster) and the amounts.
    """
    segments = clusters.select("customer_id", "segment_id", cluster_of_segment(centroids).alias("kmeans_cluster"))
    return cleaned.select("customer_id", *amounts).join(segments, on="customer_id", how="inner").drop("customer_id")


def sum_amounts(members: FrameT, amounts: Sequence[str]) -> FrameT:
    """Sum the amounts of each segment, in one pass; whole numbers add up to the same in any order.

    Args:
        members: Customers from `join_amounts`.
        amounts: Their columns.

    Returns:
        One row a cluster: `kmeans_cluster`, `customers`, and the sum of each amount.
    """
    return members.group_by("kmeans_cluster").agg(
        nw.len().alias("customers"), *[nw.col(amount).sum() for amount in amounts]
    )


def category_rows(sums: Rows, centroids: Rows, parts: Mapping[str, str]) -> Rows:
    """The table `category_spending`: one row a segment and product category.

    Args:
        sums: Rows from `sum_amounts`.
        centroids: The table `centroids`, which tells the segment of a cluster.
        parts: The column of each amount, and what people call it.

    Returns:
        In order of `segment_id`, then of the parts: those two, `mean_spending` (currency units a customer) and
        `share_of_spending` (0 to 1; 0 where the segment spends nothing).
    """
    segments = {row["kmeans_cluster"]: row["segment_id"] for row in centroids}
    rows: Rows = []
    for row in sorted(sums, key=lambda row: segments[row["kmeans_cluster"]]):
        # Engines widen a sum of whole numbers to other types than int.
        spent = {amount: int(row[amount]) for amount in parts}
        rows += [
            {
                "segment_id": segments[row["kmeans_cluster"]],
                "category": category,
                "mean_spending": spent[amount] / row["customers"],
                "share_of_spending": spent[amount] / (sum(spent.values()) or 1),
            }
            for amount, category in parts.items()
        ]
    return rows


def name_sources(members: FrameT, amounts: Sequence[str]) -> FrameT:
    """What each column of `category_spending` is computed from, under the name of that column.

    Args:
        members: Customers from `join_amounts`.
        amounts: Their columns.

    Returns:
        The segment, and for each figure the amounts.
    """
    total = nw.sum_horizontal(*amounts)
    return members.select("segment_id", total.alias("mean_spending"), total.alias("share_of_spending"))
