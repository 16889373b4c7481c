"""How far two clusterings of the same customers agree, from how many customers they put together."""

import numpy as np


def count_both(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Count the customers of each pair of clusters.

    Args:
        labels: Clusters of the customers by one clustering, shape (customers,), integers from 0.
        others: The same by another.

    Returns:
        Customers, shape (clusters, other clusters), float64.
    """
    rows, columns = int(labels.max()) + 1, int(others.max()) + 1
    counted = np.bincount(labels * columns + others, minlength=rows * columns)
    return counted.reshape(rows, columns).astype(float)


def adjusted_rand(labels: np.ndarray, others: np.ndarray) -> float:
    """The adjusted Rand index (Hubert and Arabie 1985); equals scikit-learn's `adjusted_rand_score`.

    Args:
        labels: As for `count_both`.
        others: The same by another.

    Returns:
        1 for the same clusters, about 0 for chance.
    """
    both = count_both(labels, others)
    together, own, theirs = (_pairs(each) for each in (both, both.sum(axis=1), both.sum(axis=0)))
    pairs = float(len(labels) * (len(labels) - 1) / 2)
    expected, most = own * theirs / max(pairs, 1.0), (own + theirs) / 2
    return 1.0 if most == expected else (together - expected) / (most - expected)


def _pairs(sizes: np.ndarray) -> float:
    return float((sizes * (sizes - 1)).sum() / 2)


def recover(labels: np.ndarray, others: np.ndarray, clusters: int) -> np.ndarray:
    """How well another clustering finds each cluster again.

    Args:
        labels: As for `count_both`.
        others: The same by another.
        clusters: How many the first has; some may have no customers.

    Returns:
        Shape (clusters,): the Jaccard coefficient of each with the one of the others that is most like it, 0 to 1
        (Hennig 2007, "Cluster-wise assessment of cluster stability").
    """
    both = count_both(labels, others)
    either = both.sum(axis=1)[:, None] + both.sum(axis=0)[None] - both
    found = (both / np.maximum(either, 1.0)).max(axis=1)
    return np.pad(found, (0, clusters - len(found)))


def predict_pairs(labels: np.ndarray, predicted: np.ndarray, clusters: int) -> float:
    """How many of those who are together by one clustering are so by another, in the cluster where it is worst.

    Args:
        labels: Clusters of the customers by their own fit, as for `count_both`.
        predicted: The same by a fit to other customers.
        clusters: How many the first has; one of fewer than two customers predicts nothing.

    Returns:
        The share of pairs, 0 to 1: the prediction strength of one split (Tibshirani and Walther 2005, "Cluster
        validation by prediction strength").
    """
    both = count_both(labels, predicted)
    sizes = both.sum(axis=1)
    if len(sizes) < clusters or sizes.min() < 2:
        return 0.0
    together = (both * (both - 1)).sum(axis=1) / (sizes * (sizes - 1))
    return float(together.min())
