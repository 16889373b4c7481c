"""Standardising: every feature to mean 0 and its declared weight for variance, so that none outweighs by its unit."""

from dataclasses import dataclass, replace

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.moments import Moments


@dataclass(frozen=True)
class Scaler:
    """A fitted scaler as plain numbers.

    Attributes:
        features: Names of the encoded features, in order.
        mean: Mean of each, in its own unit.
        scale: Standard deviation of each (dividing by n), in its own unit, divided by its factor; 1 where a feature
            never varies.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    def rows(self) -> Rows:
        """The table `scaler`: one row a feature."""
        return [
            {"feature": feature, "mean": mean, "scale": scale}
            for feature, mean, scale in zip(self.features, self.mean, self.scale, strict=True)
        ]


def weigh(scaler: Scaler, factors: tuple[float, ...]) -> Scaler:
    """Let standardised features have the weights that a recipe declares.

    Args:
        scaler: From `fit_scaler`.
        factors: What each is multiplied by, once standardised: `Recipe.factors`.

    Returns:
        The scaler that does both.
    """
    scale = tuple(deviation / factor for deviation, factor in zip(scaler.scale, factors, strict=True))
    return replace(scaler, scale=scale)


def read_scaler(rows: Rows) -> Scaler:
    """The fitted numbers, from the table that keeps them.

    Args:
        rows: All rows of the table `scaler`.

    Returns:
        The scaler.
    """
    return Scaler(
        tuple(row["feature"] for row in rows),
        tuple(row["mean"] for row in rows),
        tuple(row["scale"] for row in rows),
    )


def encode_features(features: FrameT, recipe: Recipe) -> FrameT:
    """Turn features into numbers: categories become indicators of 0 and 1 (one-hot, none dropped).

    Args:
        features: Customers from `describe_customers`.
        recipe: Which features the model sees.

    Returns:
        `customer_id` and one Float64 column for each of `recipe.names`.
    """
    columns = [
        nw.col(feature.source).cast(nw.Float64).alias(feature.name)
        if feature.category is None
        else nw.when(nw.col(feature.source) == feature.category)
        .then(nw.lit(1.0))
        .otherwise(nw.lit(0.0))
        .alias(feature.name)
        for feature in recipe.encoded
    ]
    return features.select("customer_id", *columns)


def fit_scaler(moments: Moments) -> Scaler:
    """Fit the scaler: scikit-learn's `StandardScaler`, from moments.

    Args:
        moments: Moments of the encoded features.

    Returns:
        The fitted numbers.

    Raises:
        ExportError: If no two customers differ, so that there is nothing to segment.
    """
    deviations = np.sqrt(np.diag(moments.covariances)) if moments.customers else np.zeros(1)
    require_differences(deviations)
    scale = np.where(deviations > 0, deviations, 1.0)
    return Scaler(moments.features, tuple(moments.means.tolist()), tuple(scale.tolist()))


def require_differences(deviations: np.ndarray) -> None:
    """Refuse customers that are all alike.

    Args:
        deviations: Standard deviation of each feature.

    Raises:
        ExportError: If no feature varies.
    """
    if not np.any(deviations > 0):
        raise ExportError(
            "The customers of this export do not differ in any feature, so there are no segments to find. "
            "Deliver an export with customers that differ."
        )


def correlate(moments: Moments) -> np.ndarray:
    """How the features go together (Pearson 1895).

    Args:
        moments: Moments of the encoded features.

    Returns:
        Correlation of each two features, shape (features, features); zero for a feature that never varies.
    """
    covariances = moments.covariances
    scale = np.sqrt(np.diag(covariances))
    both = np.outer(scale, scale)
    correlations: np.ndarray = np.divide(covariances, both, out=np.zeros_like(covariances), where=both > 0)
    return correlations


def weigh_pairs(correlations: np.ndarray, factors: tuple[float, ...]) -> np.ndarray:
    """The covariances of standardised features that weigh as a recipe declares.

    Args:
        correlations: Shape (features, features).
        factors: What each is multiplied by, once standardised: `Recipe.factors`.

    Returns:
        Shape (features, features).
    """
    weighed: np.ndarray = correlations * np.outer(factors, factors)
    return weighed


def correlation_rows(correlations: np.ndarray, names: tuple[str, ...]) -> Rows:
    """The table `correlations`: one row a pair of features.

    Args:
        correlations: Shape (features, features).
        names: Names of the features, in order.

    Returns:
        Rows with `feature`, `other_feature` and `correlation`.
    """
    return [
        {"feature": one, "other_feature": other, "correlation": float(correlations[i, j])}
        for i, one in enumerate(names)
        for j, other in enumerate(names)
    ]


def read_correlations(rows: Rows, names: tuple[str, ...]) -> np.ndarray:
    """The correlations, from the table that keeps them.

    Args:
        rows: All rows of the table `correlations`.
        names: Names of the features, in order.

    Returns:
        Shape (features, features).
    """
    known = {(row["feature"], row["other_feature"]): row["correlation"] for row in rows}
    return np.array([[known[one, other] for other in names] for one in names])


def standardise(encoded: FrameT, scaler: Scaler) -> FrameT:
    """Apply a fitted scaler.

    Args:
        encoded: Customers from `encode_features`.
        scaler: The fitted numbers.

    Returns:
        `customer_id` and the same columns, standardised (Float64, no unit).
    """
    columns = [((nw.col(row["feature"]) - row["mean"]) / row["scale"]).alias(row["feature"]) for row in scaler.rows()]
    return encoded.select("customer_id", *columns)
