"""Clustering: fitting the two algorithms, putting every customer into a cluster, and comparing the two.

Cluster numbers are canonical: 0 is the cluster that spends most on average, so they do not depend on a fit's luck.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.components import NAMES

LLOYD_STEPS = 300
LLOYD_TOLERANCE = 1e-4
UNIT = 10**7


def fit_kmeans(sample: np.ndarray, points: FrameT, rows: Callable[[FrameT], Rows], k: int, seed: int) -> np.ndarray:
    """Fit k-means: scikit-learn's on a sample, then Lloyd's steps (1982) over all customers from its solution.

    Args:
        sample: Customers on the components, shape (sampled customers, 3), float64.
        points: All customers, with `pc1`, `pc2`, `pc3`.
        rows: Fetches a small frame.
        k: Number of clusters.
        seed: Seed of the initial centres.

    Returns:
        Centroids, shape (k, 3), float64.
    """
    from sklearn.cluster import KMeans  # noqa: PLC0415  (slow to import)
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    # On one thread sums are made in one order, so the bits do not depend on the machine's cores.
    with threadpool_limits(limits=1):
        centroids: np.ndarray = KMeans(k, n_init=10, random_state=seed).fit(sample).cluster_centers_
    for _ in range(LLOYD_STEPS):
        moved = _move(centroids, rows(sum_points(points, centroids)))
        shift = np.abs(moved - centroids).max()
        centroids = moved
        if shift < LLOYD_TOLERANCE:
            break
    return centroids


def sum_points(points: FrameT, centroids: np.ndarray) -> FrameT:
    """One of Lloyd's steps, in one pass: the customers nearest to each centroid, and the sums of their coordinates.

    Args:
        points: Customers with `pc1`, `pc2`, `pc3`.
        centroids: Shape (k, 3).

    Returns:
        One row a centroid that has customers: `label`, `customers`, and the sums in `UNIT`ths.
    """
    # Whole numbers add up to the same sum in whatever order an engine adds them; floating-point numbers do not.
    whole = [(nw.col(name) * UNIT).round().cast(nw.Int64).alias(name) for name in NAMES]
    return (
        nearest_centroid(points, centroids, "label")
        .with_columns(*whole)
        .group_by("label")
        .agg(nw.len().alias("customers"), *[nw.col(name).sum() for name in NAMES])
    )


def _move(centroids: np.ndarray, sums: Rows) -> np.ndarray:
    """Each centroid to the mean of its customers; one without any stays."""
    moved = centroids.copy()
    for row in sums:
        moved[int(row["label"])] = [int(row[name]) / UNIT / row["customers"] for name in NAMES]
    return moved


def fit_ward(points: np.ndarray, k: int) -> np.ndarray:
    """Fit agglomerative clustering with Ward's criterion (1963); time and memory grow with the square of customers.

    Args:
        points: Customers on the components, shape (customers, 3), float64.
        k: Number of clusters.

    Returns:
        Labels of the points, shape (customers,), integers 0 to k - 1.
    """
    from sklearn.cluster import AgglomerativeClustering  # noqa: PLC0415  (slow to import)

    labels: np.ndarray = AgglomerativeClustering(k, linkage="ward").fit_predict(points)
    return labels


def group_means(points: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Mean of the points of each label.

    Args:
        points: Shape (customers, 3).
        labels: Shape (customers,), integers 0 to k - 1.
        k: Number of labels.

    Returns:
        Shape (k, 3).
    """
    return np.array([points[labels == label].mean(axis=0) for label in range(k)])


def segment_name(number: int) -> str:
    """The id of a segment: 0 is `S01`.

    Args:
        number: Place in the canonical order, from 0.

    Returns:
        `S01`, `S02`, …
    """
    return f"S{number + 1:02d}"


def sum_spending(labelled: FrameT, features: FrameT) -> FrameT:
    """What the customers of each pair of labels spend, in one pass.

    Args:
        labelled: Customers with `kmeans_label` and `ward_label`.
        features: The same customers with `total_spending`.

    Returns:
        One row a pair that occurs: the labels, `customers`, and `spending` (the sum, in currency units).
    """
    return (
        labelled.select("customer_id", "kmeans_label", "ward_label")
        .join(features.select("customer_id", "total_spending"), on="customer_id", how="inner")
        .group_by("kmeans_label", "ward_label")
        .agg(nw.len().alias("customers"), nw.col("total_spending").sum().alias("spending"))
    )


def renumber(label: str, order: Sequence[int]) -> nw.Expr:
    """The number of a label in the canonical order.

    Args:
        label: Name of the label's column.
        order: Old labels in the order of their new numbers, from `canonical_order`.

    Returns:
        An expression (Int32).
    """
    return nw.coalesce(*[nw.when(nw.col(label) == old).then(nw.lit(new, nw.Int32)) for new, old in enumerate(order)])


def canonical_order(spending: Rows, label: str) -> list[int]:
    """Old labels in the order of their new numbers: falling mean total spending, then rising label.

    Args:
        spending: Rows from `sum_spending`.
        label: Which of the labels.

    Returns:
        Old labels; the first one becomes 0.
    """
    customers: Counter[int] = Counter()
    spent: Counter[int] = Counter()
    for row in spending:
        customers[row[label]] += row["customers"]
        spent[row[label]] += int(row["spending"])
    return sorted(customers, key=lambda old: (-spent[old] / customers[old], old))


def centroid_rows(centres: np.ndarray) -> Rows:
    """The table `centroids`: one row a segment.

    Args:
        centres: Shape (k, 3), in canonical order.

    Returns:
        Its rows.
    """
    return [
        {"segment_id": segment_name(number), "kmeans_cluster": number}
        | dict(zip(NAMES, map(float, centre), strict=True))
        for number, centre in enumerate(centres)
    ]


def label_beyond_sample(points: FrameT, fitted: FrameT, centres: np.ndarray, label: str) -> FrameT:
    """Give fitted customers their label and all others that of the nearest centre.

    Args:
        points: Customers with `pc1`, `pc2`, `pc3`.
        fitted: `customer_id` and `label` of the customers that were fitted.
        centres: Means of the fitted clusters, shape (k, 3).
        label: Name of the label.

    Returns:
        The columns of `points` and `label` (Int32).
    """
    near = nearest_centroid(points, centres, "near_label")
    known = near.join(fitted, on="customer_id", how="left")
    return known.with_columns(nw.coalesce(label, "near_label").alias(label)).drop("near_label")


def nearest_centroid(points: FrameT, centroids: np.ndarray, label: str) -> FrameT:
    """Add the number of the nearest centroid.

    Args:
        points: Customers with `pc1`, `pc2`, `pc3`.
        centroids: Shape (k, 3).
        label: Name of the column to add.

    Returns:
        The same columns and `label` (Int32; the lower number where two are as near).
    """
    return (
        _with_squares(points, centroids)
        .with_columns(_position_of_least(len(centroids)).alias(label))
        .drop(_squares(len(centroids)))
    )


def assign_segments(points: FrameT, centroids: np.ndarray) -> FrameT:
    """Put every customer into the segment of the nearest centroid, and say how clearly.

    Args:
        points: Customers with `pc1`, `pc2`, `pc3`.
        centroids: Shape (k, 3), in canonical order.

    Returns:
        The same columns, `kmeans_cluster` (Int32), `segment_id`, `distance` to its centroid, `runner_up_segment_id`
        (null for k = 1) and `margin`, how much farther the runner-up's centroid is; distances have no unit.
    """
    k = len(centroids)
    cluster = nw.col("kmeans_cluster")
    squares = _with_squares(points, centroids).with_columns(_position_of_least(k).alias("kmeans_cluster"))
    without_own = squares.with_columns(
        nw.min_horizontal(*_squares(k)).sqrt().alias("distance"),
        *[nw.when(cluster != number).then(nw.col(name)).alias(name) for number, name in enumerate(_squares(k))],
    )
    return without_own.with_columns(
        _choose(cluster, [segment_name(number) for number in range(k)]).alias("segment_id"),
        _choose(_position_of_least(k), [segment_name(number) for number in range(k)]).alias("runner_up_segment_id"),
        (nw.min_horizontal(*_squares(k)).sqrt() - nw.col("distance")).alias("margin"),
    ).drop(_squares(k))


def _squares(k: int) -> list[str]:
    return [f"square_{number}" for number in range(k)]


def _with_squares(points: FrameT, centroids: np.ndarray) -> FrameT:
    """Add the squared distance to each centroid."""
    columns = []
    for name, centre in zip(_squares(len(centroids)), centroids, strict=True):
        parts = [(nw.col(axis) - float(value)) ** 2 for axis, value in zip(NAMES, centre, strict=True)]
        columns.append((parts[0] + parts[1] + parts[2]).alias(name))
    return points.with_columns(*columns)


def _position_of_least(k: int) -> nw.Expr:
    """Number of the least square that is not null; the first of equals."""
    least = nw.min_horizontal(*_squares(k))
    return nw.coalesce(
        *[nw.when(nw.col(name) == least).then(nw.lit(number, nw.Int32)) for number, name in enumerate(_squares(k))]
    )


def _choose(position: nw.Expr, values: Sequence[str]) -> nw.Expr:
    return nw.coalesce(*[nw.when(position == number).then(nw.lit(value)) for number, value in enumerate(values)])


def compare_algorithms(spaces: dict[str, np.ndarray], algorithms: dict[str, np.ndarray]) -> Rows:
    """Measure each algorithm's clusters in each space, and how far the two agree.

    Args:
        spaces: Name to points of the measured customers, shape (customers, dimensions).
        algorithms: Name to labels of the same customers, shape (customers,); two of them.

    Returns:
        One row an algorithm and space: silhouette, Calinski-Harabasz, Davies-Bouldin, `sizes` (customers by cluster
        number), `adjusted_rand_index` between the two algorithms (Hubert and Arabie 1985), `sample_customers`.
    """
    from sklearn.metrics import (  # noqa: PLC0415  (slow to import)
        adjusted_rand_score,
        calinski_harabasz_score,
        davies_bouldin_score,
        pairwise_distances,
        silhouette_score,
    )

    agreement = float(adjusted_rand_score(*algorithms.values()))
    rows: Rows = []
    for space, points in spaces.items():
        distances = pairwise_distances(points)
        rows += [
            {
                "algorithm": algorithm,
                "space": space,
                "silhouette": float(silhouette_score(distances, labels, metric="precomputed")),
                "calinski_harabasz": float(calinski_harabasz_score(points, labels)),
                "davies_bouldin": float(davies_bouldin_score(points, labels)),
                "sizes": np.bincount(labels).tolist(),
                "adjusted_rand_index": agreement,
                "sample_customers": len(points),
            }
            for algorithm, labels in algorithms.items()
        ]
    return rows
