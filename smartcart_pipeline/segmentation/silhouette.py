"""Silhouettes of several clusterings of the same customers, over distances that are computed once."""

from collections.abc import Sequence

import numpy as np

from smartcart_pipeline.segmentation.threads import alone

# Customers whose distances to all others are held at once: few enough to stay in the processor's cache.
BLOCK = 250


def mean_silhouettes(points: np.ndarray, labelings: Sequence[np.ndarray]) -> list[float]:
    """Mean silhouette (Rousseeuw 1987) of each clustering; equals scikit-learn's `silhouette_score`.

    Args:
        points: Customers, shape (customers, dimensions); time grows with the square of customers.
        labelings: Labels of the customers by each clustering, shape (customers,), integers from 0; at least two differ.

    Returns:
        A silhouette for each clustering, -1 to 1.
    """
    from scipy.spatial.distance import cdist  # noqa: PLC0415  (slow to import)

    members = [(labels[:, None] == np.unique(labels)).astype(float) for labels in labelings]
    all_members = np.hstack(members)
    blocks = [points[start : start + BLOCK] for start in range(0, len(points), BLOCK)]
    with alone():
        sums = np.vstack([cdist(block, points) @ all_members for block in blocks])
    of_each = np.split(sums, np.cumsum([each.shape[1] for each in members])[:-1], axis=1)
    return [_mean_silhouette(*pair) for pair in zip(of_each, members, strict=True)]


def _mean_silhouette(sums: np.ndarray, members: np.ndarray) -> float:
    """From every customer's summed distances to the members of each cluster."""
    everyone = np.arange(len(members))
    own = members.argmax(axis=1)
    sizes = members.sum(axis=0)
    within = sums[everyone, own] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[everyone, own] = np.inf
    nearest_other = means.min(axis=1)
    scores = (nearest_other - within) / np.maximum(np.maximum(within, nearest_other), np.finfo(float).tiny)
    # A customer who is the only one of a cluster scores 0.
    return float(np.where(sizes[own] > 1, scores, 0.0).mean())
