"""Doubts: how clusters compare with those of data in which there is nothing to find, and of other customers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import scaling
from smartcart_pipeline.segmentation.agreement import predict_pairs, recover
from smartcart_pipeline.segmentation.components import fit_components
from smartcart_pipeline.segmentation.hands import Hands
from smartcart_pipeline.segmentation.scaling import Scaler
from smartcart_pipeline.segmentation.silhouette import mean_silhouettes

# Of each candidate k; the verdict on the segments looks closer.
SHUFFLES, SPLITS, STARTS = 1, 2, 2
# Of more customers the figures are the same to two digits, and take longer.
DOUBTED_CUSTOMERS = 3_000


@dataclass(frozen=True, eq=False)
class Space:
    """Customers in all that a model sees.

    Attributes:
        values: The standardised features, weighed and within their fences, shape (customers, columns).
        sources: The feature that each column is from, shape (columns,): a category has several.
    """

    values: np.ndarray
    sources: tuple[str, ...]

    @property
    def columns(self) -> list[list[int]]:
        """The columns of each feature."""
        return [
            [number for number, source in enumerate(self.sources) if source == name]
            for name in dict.fromkeys(self.sources)
        ]

    def of(self, customers: np.ndarray) -> "Space":
        """Some of the customers.

        Args:
            customers: Their numbers.

        Returns:
            Those.
        """
        return Space(self.values[customers], self.sources)


def gather(hands: Hands, sample: Any, recipe: Recipe, scaler: Scaler) -> Space:
    """Sampled customers in all that a model sees.

    Args:
        hands: The engine.
        sample: Customers from `describe_customers`.
        recipe: Which features the model sees.
        scaler: What it standardises by.

    Returns:
        Those, in the order of their ids.
    """
    encoded = scaling.encode_features(sample, recipe).sort("customer_id")
    return Space(scaling.standardise_values(hands.array(encoded, recipe.names), scaler), recipe.sources)


def shuffle(space: Space, random: np.random.Generator) -> np.ndarray:
    """Shuffle each feature by itself: each is spread as before, and nothing that goes together is left to find.

    Args:
        space: Customers.
        random: Says how.

    Returns:
        Other customers in the same columns, shape (customers, columns).
    """
    shuffled = space.values.copy()
    for columns in space.columns:
        shuffled[:, columns] = space.values[random.permutation(len(shuffled))][:, columns]
    return shuffled


def place(values: np.ndarray) -> np.ndarray:
    """Place customers on the principal components of their own.

    Args:
        values: Standardised features, shape (customers, columns).

    Returns:
        Shape (customers, 3).
    """
    names = tuple(map(str, range(values.shape[1])))
    points: np.ndarray = values @ fit_components(np.cov(values.T, bias=True), names).loadings.T
    return points


def doubt_fits(
    points: np.ndarray, space: Space, labelings: Sequence[np.ndarray], seed: int
) -> Iterator[dict[str, Any]]:
    """Hold fits against noise, and against fits to halves of the customers.

    Args:
        points: Customers on the components, shape (customers, 3).
        space: The same customers in all features.
        labelings: Their clusters by each fit, shape (customers,), integers from 0.
        seed: Seed of every random choice.

    Yields:
        For each fit `null_silhouette`, on the components of features that were each shuffled by itself;
        `prediction_strength` (Tibshirani and Walther 2005), the mean of two splits; and `recovery`, the mean Jaccard
        coefficient of the cluster that fits to halves find again worst (Hennig 2007).
    """
    random = np.random.default_rng(seed)
    few = np.sort(random.permutation(len(points))[:DOUBTED_CUSTOMERS])
    points, space = points[few], space.of(few)
    noise = [place(shuffle(space, random)) for _ in range(SHUFFLES)]
    halves = [np.array_split(random.permutation(len(points)), 2) for _ in range(SPLITS)]
    ks = [int(labels.max()) + 1 for labels in labelings]
    nulls = np.mean([mean_silhouettes(each, [fit(each, k, seed).labels_ for k in ks]) for each in noise], axis=0)
    for k, labels, null in zip(ks, labelings, nulls, strict=True):
        held = [hold_halves(points, labels[few], k, each, seed, STARTS) for each in halves]
        yield {
            "null_silhouette": float(null),
            "prediction_strength": float(np.mean([strength for strength, _ in held])),
            "recovery": float(np.mean([found for _, each in held for found in each], axis=0).min()),
        }


def hold_halves(
    points: np.ndarray, labels: np.ndarray, k: int, halves: Sequence[np.ndarray], seed: int, starts: int
) -> tuple[float, list[np.ndarray]]:
    """Fit to halves of the customers: how well one predicts who is together in the other, and both find clusters again.

    Args:
        points: Customers on the components, shape (customers, 3).
        labels: Their clusters, shape (customers,), integers from 0.
        k: How many clusters there are.
        halves: Numbers of the customers of each half.
        seed: Seed of where the fits begin.
        starts: How often each begins anywhere; once more it begins where the clusters lie, and the best is taken.

    Returns:
        The prediction strength, and of each half's fit how well it finds each cluster again, shape (k,).
    """
    centres = np.array(
        [points[labels == label].mean(axis=0) if (labels == label).any() else points[label] for label in range(k)]
    )
    one, other = (_fit_best(points[half], centres, seed, starts) for half in halves)
    strength = predict_pairs(other.labels_, one.predict(points[halves[1]]), k)
    return strength, [recover(labels, each.predict(points), k) for each in (one, other)]


def _fit_best(points: np.ndarray, centres: np.ndarray, seed: int, starts: int) -> Any:
    """The best of several fits: one that begins badly says nothing of the customers."""
    from sklearn.cluster import KMeans  # noqa: PLC0415  (slow to import)

    begun = KMeans(len(centres), init=centres, n_init=1).fit(points)
    return min(fit(points, len(centres), seed, starts), begun, key=lambda fitted: fitted.inertia_)


def fit(points: np.ndarray, k: int, seed: int, starts: int = 1) -> Any:
    """Fit scikit-learn's k-means, begun anywhere.

    Args:
        points: Customers on the components, shape (customers, 3).
        k: Number of clusters.
        seed: Seed of where it begins.
        starts: How often it begins; the best fit is taken.

    Returns:
        The fitted estimator.
    """
    from sklearn.cluster import KMeans  # noqa: PLC0415  (slow to import)

    return KMeans(k, n_init=starts, random_state=seed).fit(points)
