"""Silhouettes of several clusterings of the same customers, over distances that are computed once."""

from collections.abc import Sequence

import numpy as np


def mean_silhouettes(points: np.ndarray, labelings: Sequence[np.ndarray]) -> list[float]:
    """Mean silhouette (Rousseeuw 1987) of each clustering; equals scikit-learn's `silhouette_score`.

    Args:
        points: Customers, shape (customers, dimensions); memory grows with the square of customers.
        labelings: Labels of the customers by each clustering, shape (customers,), integers from 0; at least two differ.

    Returns:
        A silhouette for each clustering, -1 to 1.
    """
    from scipy.spatial.distance import cdist  # noqa: PLC0415  (slow to import)

    distances = cdist(points, points)
    return [_mean_silhouette(distances, labels) for labels in labelings]


def _mean_silhouette(distances: np.ndarray, labels: np.ndarray) -> float:
    everyone = np.arange(len(labels))
    members = (labels[:, None] == np.unique(labels)).astype(float)
    own = members.argmax(axis=1)
    sizes = members.sum(axis=0)
    sums = distances @ members
    within = sums[everyone, own] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[everyone, own] = np.inf
    nearest_other = means.min(axis=1)
    scores = (nearest_other - within) / np.maximum(np.maximum(within, nearest_other), np.finfo(float).tiny)
    # Alone in a cluster, a customer scores 0.
    return float(np.where(sizes[own] > 1, scores, 0.0).mean())
