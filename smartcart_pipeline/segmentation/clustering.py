"""Clustering: fitting the two algorithms, putting every customer into a cluster, and comparing the two.

Cluster numbers are canonical: 0 is the cluster that spends most on average, so they do not depend on a fit's luck.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.components import NAMES
from smartcart_pipeline.segmentation.silhouette import mean_silhouettes
from smartcart_pipeline.segmentation.threads import alone

LLOYD_STEPS = 300
LLOYD_TOLERANCE = 1e-3
UNIT = 10**7
# Of one added centroid, and of the samples that tell how stable it is.
EXTENSION_STEPS = 100
RESAMPLES = 10
# How often a fit begins anywhere: as often as scikit-learn's has always done, and where one odd value must not decide.
# The best of 10 may be another where one customer has another value; of 20, hardly.
STARTS, STEADY_STARTS = 10, 20


def count_starts(recipe: Recipe) -> int:
    """How often a fit begins anywhere.

    Args:
        recipe: The recipe.

    Returns:
        More often where it has fences, so that no single customer decides.
    """
    return STEADY_STARTS if recipe.fences else STARTS


def fit_kmeans(sample: np.ndarray, k: int, seed: int, starts: int = STARTS) -> np.ndarray:
    """Fit scikit-learn's k-means to a sample.

    Args:
        sample: Customers on the components, shape (sampled customers, 3), float64.
        k: Number of clusters.
        seed: Seed of the initial centres.
        starts: How often it begins; the best fit is taken.

    Returns:
        Centroids, shape (k, 3), float64.
    """
    from sklearn.cluster import KMeans  # noqa: PLC0415  (slow to import)

    with alone():
        centroids: np.ndarray = KMeans(k, n_init=starts, random_state=seed).fit(sample).cluster_centers_
    return centroids


def refine_centroids(points: FrameT, centroids: np.ndarray, rows: Callable[[FrameT], Rows]) -> np.ndarray:
    """Take Lloyd's steps (1982) over all customers, from the centroids of a sample.

    Args:
        points: All customers, with `pc1`, `pc2`, `pc3`.
        centroids: Where to begin, shape (k, 3).
        rows: Fetches a small frame.

    Returns:
        Centroids, shape (k, 3), float64.
    """
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
    return (
        nearest_centroid(points, centroids, "label")
        .with_columns(*[_whole(name).alias(name) for name in NAMES])
        .group_by("label")
        .agg(nw.len().alias("customers"), *[nw.col(name).sum() for name in NAMES])
    )


def _whole(name: str) -> nw.Expr:
    """A number in `UNIT`ths: whole numbers add up to the same sum in any order, floating-point numbers do not."""
    return (nw.col(name) * UNIT).round().cast(nw.Int64)


def _move(centroids: np.ndarray, sums: Rows) -> np.ndarray:
    """Each centroid to the mean of its customers; one without any stays."""
    moved = centroids.copy()
    for row in sums:
        moved[int(row["label"])] = [int(row[name]) / UNIT / row["customers"] for name in NAMES]
    return moved


@dataclass(frozen=True)
class Ward:
    """Agglomerative clustering, and where its clusters lie.

    Attributes:
        centres: Mean of each cluster on the components, shape (k, 3).
        fitted_customers: How many customers were fitted.
        labels: `customer_id` and `ward_label` (Int32) of every customer; None where only a sample was fitted.
    """

    centres: np.ndarray
    fitted_customers: int
    labels: nw.LazyFrame[Any] | None = None


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


def whole_worth(worth: str | None) -> nw.Expr:
    """What a customer is worth, as a whole number: clusters are numbered by its sums.

    Args:
        worth: The feature; None where nothing tells it, and all are worth the same.

    Returns:
        An expression (Int64).
    """
    return nw.lit(0, nw.Int64) if worth is None else nw.col(worth).round().cast(nw.Int64)


def canonical_order(spending: Rows, label: str) -> list[int]:
    """Old labels in the order of their new numbers: falling mean worth, then falling size, then rising label.

    Args:
        spending: Rows with the label, `customers`, and `spending`, the sum of theirs; a label may be in several.
        label: Which of the labels.

    Returns:
        Old labels; the first one becomes 0.
    """
    customers: Counter[int] = Counter()
    spent: Counter[int] = Counter()
    for row in spending:
        customers[row[label]] += row["customers"]
        spent[row[label]] += int(row["spending"])
    return sorted(customers, key=lambda old: (-spent[old] / customers[old], -customers[old], old))


def centroid_rows(centres: np.ndarray, segment_ids: Sequence[str]) -> Rows:
    """The table `centroids`: one row a segment.

    Args:
        centres: Shape (k, 3), by cluster number.
        segment_ids: The segment of each cluster.

    Returns:
        Its rows.
    """
    return [
        {"segment_id": segment, "kmeans_cluster": number} | dict(zip(NAMES, map(float, centre), strict=True))
        for number, (segment, centre) in enumerate(zip(segment_ids, centres, strict=True))
    ]


def cluster_of_segment(centroids: Rows) -> nw.Expr:
    """The number of a published segment's cluster in the model in force.

    Args:
        centroids: The table `centroids`.

    Returns:
        An expression over `segment_id` (Int32).
    """
    return nw.coalesce(
        *[
            nw.when(nw.col("segment_id") == row["segment_id"]).then(nw.lit(row["kmeans_cluster"], nw.Int32))
            for row in centroids
        ]
    )


def label_customers(points: FrameT, ward: "Ward") -> FrameT:
    """Give every customer its label by agglomerative clustering.

    Args:
        points: Customers with `pc1`, `pc2`, `pc3`.
        ward: The fit.

    Returns:
        The columns of `points` and `ward_label` (Int32): the fit's own where it saw every customer, else that of the
        nearest centre, for the fitted ones too.
    """
    if ward.labels is None:
        return nearest_centroid(points, ward.centres, "ward_label")
    labels: Any = ward.labels
    return points.join(labels, on="customer_id", how="inner")


def nearest_centroid(points: FrameT, centroids: np.ndarray, label: str) -> FrameT:
    """Add the number of the nearest centroid.

    Args:
        points: Customers with `pc1`, `pc2`, `pc3`.
        centroids: Shape (k, 3).
        label: Name of the column to add.

    Returns:
        The same columns and `label` (Int32; the lower number where two are as near).
    """
    k = len(centroids)
    return (
        _with_squares(points, centroids)
        .with_columns(_least(_squares(k)).alias("least"))
        .with_columns(_position(k, "least").alias(label))
        .drop("least", *_squares(k))
    )


def assign_segments(points: FrameT, centroids: np.ndarray, segment_ids: Sequence[str]) -> FrameT:
    """Put every customer into the segment of the nearest centroid, and say how clearly.

    Args:
        points: Customers with `pc1`, `pc2`, `pc3`.
        centroids: Shape (k, 3), by cluster number.
        segment_ids: The segment of each cluster, by its number.

    Returns:
        The same columns, `kmeans_cluster` (Int32), `segment_id`, `distance` to its centroid, `runner_up_segment_id`
        (null for k = 1) and `margin`, how much farther the runner-up's centroid is; distances have no unit.
    """
    k, cluster = len(centroids), nw.col("kmeans_cluster")
    squares = _with_squares(points, centroids).with_columns(_least(_squares(k)).alias("least"))
    placed = squares.with_columns(_position(k, "least").alias("kmeans_cluster"))
    # The nearest of all others, once the customer's own is out of the way.
    others = [nw.when(cluster != number).then(nw.col(name)) for number, name in enumerate(_squares(k))]
    second = placed.with_columns(_least(others).alias("second"))
    runner_up = [
        ((nw.col(name) == nw.col("second")) & (cluster != number), nw.lit(segment_ids[number]))
        for number, name in enumerate(_squares(k))
    ]
    return second.with_columns(
        _choose(cluster, segment_ids).alias("segment_id"),
        nw.col("least").sqrt().alias("distance"),
        _first(runner_up).alias("runner_up_segment_id"),
        (nw.col("second").sqrt() - nw.col("least").sqrt()).alias("margin"),
    ).drop("least", "second", *_squares(k))


def _squares(k: int) -> list[str]:
    return [f"square_{number}" for number in range(k)]


def _with_squares(points: FrameT, centroids: np.ndarray) -> FrameT:
    """Add the squared distance to each centroid."""
    columns = []
    for name, centre in zip(_squares(len(centroids)), centroids, strict=True):
        # Times itself, not to the power of two: engines raise to a power with logarithms.
        apart = [nw.col(axis) - float(value) for axis, value in zip(NAMES, centre, strict=True)]
        columns.append((apart[0] * apart[0] + apart[1] * apart[1] + apart[2] * apart[2]).alias(name))
    return points.with_columns(*columns)


def _least(values: Sequence[Any]) -> nw.Expr:
    # The first stands there twice, because Spark wants two of which to find the least.
    return nw.min_horizontal(*values, values[0])


def _position(k: int, least: str) -> nw.Expr:
    """Number of the square that equals the least; the first of equals."""
    return _first([(nw.col(name) == nw.col(least), nw.lit(n, nw.Int32)) for n, name in enumerate(_squares(k))])


def _choose(position: nw.Expr, values: Sequence[str]) -> nw.Expr:
    return _first([(position == number, nw.lit(value)) for number, value in enumerate(values)])


def _first(cases: Sequence[tuple[nw.Expr, nw.Expr]]) -> nw.Expr:
    """The value of the first condition that holds; null where none does."""
    # One within the other: of values beside each other an engine computes all, which takes a third longer.
    (condition, value), *others = cases
    return nw.when(condition).then(value).otherwise(_first(others) if others else None)


def compare_algorithms(
    spaces: dict[str, np.ndarray], algorithms: dict[str, np.ndarray], fitted_customers: dict[str, int]
) -> Rows:
    """Measure each algorithm's clusters in each space, and how far the two agree.

    Args:
        spaces: Name to points of the measured customers, shape (customers, dimensions).
        algorithms: Name to labels of the same customers, shape (customers,); two of them.
        fitted_customers: Name to the number of customers the algorithm was fitted on.

    Returns:
        One row an algorithm and space: silhouette, Calinski-Harabasz, Davies-Bouldin, `sizes` (customers by cluster
        number), `adjusted_rand_index` between the two (Hubert and Arabie 1985), customers measured and fitted.
    """
    from sklearn.metrics import (  # noqa: PLC0415  (slow to import)
        adjusted_rand_score,
        calinski_harabasz_score,
        davies_bouldin_score,
    )

    agreement = float(adjusted_rand_score(*algorithms.values()))
    rows: Rows = []
    for space, points in spaces.items():
        silhouettes = mean_silhouettes(points, list(algorithms.values()))
        rows += [
            {
                "algorithm": algorithm,
                "space": space,
                "silhouette": silhouette,
                "calinski_harabasz": float(calinski_harabasz_score(points, labels)),
                "davies_bouldin": float(davies_bouldin_score(points, labels)),
                "sizes": np.bincount(labels).tolist(),
                "adjusted_rand_index": agreement,
                "sample_customers": len(points),
                "fitted_customers": fitted_customers[algorithm],
            }
            for (algorithm, labels), silhouette in zip(algorithms.items(), silhouettes, strict=True)
        ]
    return rows


def extend_centroids(points: np.ndarray, centroids: np.ndarray, is_far: np.ndarray) -> np.ndarray:
    """Add a centroid for the customers that are far from all others, which stay where they are.

    Lloyd's steps (1982) of the one new centroid, from the mean of the far customers.

    Args:
        points: Customers on the components, shape (customers, 3).
        centroids: Those of the champion, shape (k, 3).
        is_far: Whether a customer is far from all of them, shape (customers,).

    Returns:
        Shape (k + 1, 3).
    """
    nearest = _squared_distances(points, centroids).min(axis=1)
    new = points[is_far].mean(axis=0)
    for _ in range(EXTENSION_STEPS):
        mine = ((points - new) ** 2).sum(axis=1) < nearest
        moved = points[mine].mean(axis=0) if mine.any() else new
        if np.allclose(moved, new, rtol=0, atol=1e-6):
            break
        new = moved
    return np.vstack([centroids, new])


def measure_extension(points: np.ndarray, centroids: np.ndarray, far: float, seed: int) -> float:
    """How stable an added segment is: mean adjusted Rand index against those of bootstrap samples (Hennig 2007).

    Args:
        points: Customers on the components, shape (customers, 3).
        centroids: From `extend_centroids`, shape (k + 1, 3).
        far: The distance beyond which a customer is far.
        seed: Seed of the samples.

    Returns:
        From about 0, chance, to 1.
    """
    from sklearn.metrics import adjusted_rand_score  # noqa: PLC0415  (slow to import)

    random = np.random.default_rng(seed)
    labels = nearest_labels(points, centroids)
    agreements = []
    for _ in range(RESAMPLES):
        drawn = points[random.integers(0, len(points), len(points))]
        is_far = _squared_distances(drawn, centroids[:-1]).min(axis=1) > far**2
        again = extend_centroids(drawn, centroids[:-1], is_far) if is_far.any() else centroids[:-1]
        agreements.append(adjusted_rand_score(labels, nearest_labels(points, again)))
    return float(np.mean(agreements))


def nearest_labels(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Number of the nearest centroid of each point.

    Args:
        points: Shape (customers, 3).
        centroids: Shape (k, 3).

    Returns:
        Shape (customers,), integers 0 to k - 1.
    """
    labels: np.ndarray = _squared_distances(points, centroids).argmin(axis=1)
    return labels


def _squared_distances(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    squares: np.ndarray = ((points[:, None] - centroids[None]) ** 2).sum(axis=2)
    return squares
