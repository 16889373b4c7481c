"""Profiles: what each segment is like, in the units the business knows.

Everything follows from how many customers of a segment have each value of a feature: counts are whole numbers, so they
add up to the same in any order, and there are few of them however many customers there are.
"""

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.recipe import Recipe, share_name
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.clustering import cluster_of_segment

# For each feature: values, and how many customers have each, as arrays of shape (values,).
ValueCounts = Mapping[str, tuple[np.ndarray, np.ndarray]]


# Of more customers than this, values are counted rounded.
EXACT_CUSTOMERS = 1_000_000
# Binary digits of a value that is rounded.
FINENESS = 14


def join_members(clusters: FrameT, features: FrameT, centroids: Rows, recipe: Recipe) -> FrameT:
    """Each customer's features beside the published segment.

    Args:
        clusters: Customers with `segment_id`.
        features: The same customers from `describe_customers`.
        centroids: The table `centroids`, which tells the cluster of a segment in the model in force.
        recipe: Tells what is counted.

    Returns:
        `segment_id`, `kmeans_cluster` (by which engines group several times faster) and what is counted.
    """
    segments = clusters.select("customer_id", "segment_id", cluster_of_segment(centroids).alias("kmeans_cluster"))
    return features.join(segments, on="customer_id", how="inner").select(
        "segment_id", "kmeans_cluster", *recipe.counted
    )


def round_values(members: FrameT, recipe: Recipe) -> FrameT:
    """Have few different values of every number, of very many customers.

    Args:
        members: Customers from `join_members`.
        recipe: Tells what is counted.

    Returns:
        The same rows, with numbers to 14 binary digits; whole ones up to 32,768 stay as they are.
    """
    schema = members.collect_schema()
    # Narrow whole numbers have few different values anyway.
    rounded = [_rounded(name) for name in recipe.measured if schema[name] not in (nw.Int8, nw.Int16)]
    return members.with_columns(*rounded) if rounded else members


def _rounded(name: str) -> nw.Expr:
    """A number to a fixed number of binary digits."""
    value = nw.col(name).cast(nw.Float64)
    size = nw.when(value != 0).then(value.abs()).otherwise(nw.lit(1.0))
    step = nw.lit(2.0) ** (size.log(2).floor() - FINENESS)
    return ((value / step + 0.5).floor() * step).alias(name)


def name_sources(members: FrameT, recipe: Recipe) -> FrameT:
    """What each column of a profile is computed from, under the name of that column.

    Args:
        members: Customers from `join_members`.
        recipe: Tells what a profile has.

    Returns:
        The segment, and for each figure of a profile the feature it comes from.
    """
    return members.select(
        "segment_id",
        *[nw.col(name).alias(f"{measure}_{name}") for measure in ("mean", "median") for name in recipe.measured],
        *[nw.col(column).alias(share_name(column, level)) for column, level in recipe.shares],
        *[nw.col(name).alias(rate) for rate, name in recipe.rates.items()],
    )


def profile_segments(counts: Mapping[int, ValueCounts], centroids: Rows, recipe: Recipe) -> Rows:
    """Summarise the features of each segment.

    Args:
        counts: For each cluster, how many customers have each value of each feature.
        centroids: The table `centroids`, which tells the segment of a cluster.
        recipe: Tells what a profile has.

    Returns:
        One row a segment, in order of `segment_id`: that, and the columns of `summarise_customers`.
    """
    segments = {row["segment_id"]: row["kmeans_cluster"] for row in centroids}
    return [
        {"segment_id": segment} | summarise_customers(counts[cluster], recipe)
        for segment, cluster in sorted(segments.items())
    ]


def merge_counts(counts: Mapping[int, ValueCounts]) -> ValueCounts:
    """Counts of all customers, from those of each segment.

    Args:
        counts: As for `profile_segments`.

    Returns:
        One count for each value, of all segments together or one after the other.
    """
    return {
        name: (
            np.concatenate([segment[name][0] for segment in counts.values()]),
            np.concatenate([segment[name][1] for segment in counts.values()]),
        )
        for name in next(iter(counts.values()))
    }


def summarise_customers(counts: ValueCounts, recipe: Recipe) -> dict[str, Any]:
    """Summarise the features of some customers.

    Args:
        counts: How many of them have each value of each feature; a value may stand in several places.
        recipe: Tells what a profile has.

    Returns:
        `customers`, `mean_…` and `median_…` of every feature in its own unit, `share_…` of every category,
        and the rate of all that is 0 or 1 (shares, 0 to 1).
    """
    customers = int(next(iter(counts.values()))[1].sum())
    return {
        "customers": customers,
        **{f"mean_{name}": _mean(counts[name]) for name in recipe.measured},
        **{f"median_{name}": _median(counts[name]) for name in recipe.measured},
        **{share_name(column, level): _count(counts[column], level) / customers for column, level in recipe.shares},
        **{rate: _mean(counts[name]) for rate, name in recipe.rates.items()},
    }


def measure_spread(counts: ValueCounts, recipe: Recipe) -> dict[str, float]:
    """How much customers differ in each column that the model sees.

    Args:
        counts: As for `summarise_customers`.
        recipe: Which columns those are.

    Returns:
        Standard deviation of each (dividing by n), in its own unit; of an indicator that of its 0s and 1s.
    """
    customers = int(next(iter(counts.values()))[1].sum())
    spread = {}
    for column in recipe.encoded:
        values, numbers = counts[column.source]
        if column.category is not None:
            values = np.asarray(values == column.category, dtype=float)
        mean = values @ numbers / customers
        spread[column.name] = float(((values - mean) ** 2 @ numbers / customers) ** 0.5)
    return spread


def _count(counted: tuple[np.ndarray, np.ndarray], value: str) -> int:
    values, numbers = counted
    return int(numbers[values == value].sum())


def _mean(counted: tuple[np.ndarray, np.ndarray]) -> float:
    values, numbers = counted
    return float(values @ numbers / numbers.sum())


def _median(counted: tuple[np.ndarray, np.ndarray]) -> float:
    values, numbers = counted
    rising = np.argsort(values, kind="stable")
    upto = np.cumsum(numbers[rising])
    # The mean of the two in the middle, which are one and the same where the number of customers is odd.
    middle = np.searchsorted(upto, [(upto[-1] + 1) // 2, upto[-1] // 2 + 1])
    return float(values[rising][middle].mean())
