"""Profiles: what each segment is like, in the units the business knows."""

import narwhals as nw
from narwhals.typing import FrameT

from smartcart_pipeline.segmentation.recipes import BEHAVIOUR, EDUCATION_LEVELS, LIVING_WITH

# A mean or median of 0s and 1s says nothing that its rate does not.
MEASURED = tuple(name for name in BEHAVIOUR if name != "complain")
SHARES = tuple(("living_with", level) for level in LIVING_WITH) + tuple(
    ("education", level) for level in EDUCATION_LEVELS
)


def profile_segments(clusters: FrameT, features: FrameT) -> FrameT:
    """Summarise the features of each segment.

    Args:
        clusters: Customers with `segment_id`.
        features: The same customers from `engineer_features`.

    Returns:
        One row a segment, in order of `segment_id`: the columns of `summarise_customers` beside it.
    """
    members = features.join(clusters.select("customer_id", "segment_id"), on="customer_id", how="inner")
    return members.with_columns(*_indicators()).group_by("segment_id").agg(*_aggregates()).sort("segment_id")


def summarise_customers(features: FrameT) -> FrameT:
    """Summarise the features of all customers, for comparison with a segment's.

    Args:
        features: Customers from `engineer_features`.

    Returns:
        One row: `customers`, `mean_…` and `median_…` of every feature in its own unit, `share_…` of every category,
        `response_rate` and `complaint_rate` (shares, 0 to 1).
    """
    return features.with_columns(*_indicators()).select(*_aggregates())


def _indicators() -> list[nw.Expr]:
    return [
        nw.when(nw.col(column) == level).then(nw.lit(1.0)).otherwise(nw.lit(0.0)).alias(share_name(column, level))
        for column, level in SHARES
    ]


def _aggregates() -> list[nw.Expr]:
    return [
        nw.len().alias("customers"),
        *[nw.col(name).mean().alias(f"mean_{name}") for name in MEASURED],
        *[nw.col(name).median().alias(f"median_{name}") for name in MEASURED],
        *[nw.col(share_name(column, level)).mean() for column, level in SHARES],
        nw.col("response").mean().alias("response_rate"),
        nw.col("complain").mean().alias("complaint_rate"),
    ]


def share_name(column: str, level: str) -> str:
    """Name of a category's share, e.g. `share_living_with_partner`.

    Args:
        column: The categorical feature.
        level: The category.

    Returns:
        The column's name.
    """
    return f"share_{column}_{level.lower()}"
