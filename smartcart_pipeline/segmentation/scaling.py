"""Standardising: every feature to mean 0 and standard deviation 1, so that none outweighs another by its unit."""

from collections.abc import Iterable
from dataclasses import dataclass

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.contract import ExportError
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.recipes import Recipe


@dataclass(frozen=True)
class Scaler:
    """A fitted scaler as plain numbers.

    Attributes:
        features: Names of the encoded features, in order.
        mean: Mean of each, in its own unit.
        scale: Standard deviation of each (dividing by n), in its own unit; 1 where a feature never varies.
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


def encode_features(features: FrameT, recipe: Recipe) -> FrameT:
    """Turn features into numbers: categories become indicators of 0 and 1 (one-hot, none dropped).

    Args:
        features: Customers from `engineer_features`.
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


def fit_scaler(batches: Iterable[np.ndarray], names: tuple[str, ...]) -> Scaler:
    """Fit scikit-learn's `StandardScaler`, batch by batch.

    Args:
        batches: Arrays of shape (customers, features), float64, in a fixed order.
        names: Names of the features.

    Returns:
        The fitted numbers.

    Raises:
        ExportError: If no two customers differ, so that there is nothing to segment.
    """
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415  (slow to import)

    scaler = StandardScaler()
    for batch in batches:
        scaler.partial_fit(batch)
    if not hasattr(scaler, "var_") or not np.any(scaler.var_ > 0):
        raise ExportError(
            "The customers of this export do not differ in any feature, so there are no segments to find. "
            "Deliver an export with customers that differ."
        )
    return Scaler(names, tuple(map(float, scaler.mean_)), tuple(map(float, scaler.scale_)))


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
