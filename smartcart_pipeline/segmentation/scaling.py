"""Standardising: every feature to mean 0 and its declared weight for variance, so that none outweighs by its unit.

Where a recipe declares fences, a number beyond one counts as the fence wherever a model is fitted or asked: one odd
value does not decide where all others belong (winsorising; Tukey 1962, "The future of data analysis").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.recipe import FINE, Recipe
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.moments import Moments

# Binary digits of a fence, counted from how far it lies.
DIGITS = 12
# The least and the greatest that a feature counts with, by its name.
Fences = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Scaler:
    """A fitted scaler as plain numbers.

    Attributes:
        features: Names of the encoded features, in order.
        mean: Mean of each, in its own unit.
        scale: Standard deviation of each (dividing by n), in its own unit, divided by its factor; 1 where a feature
            never varies.
        fences: The least and the greatest that a feature counts with, in its own unit; of those that have any.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    fences: Fences = field(default_factory=dict)

    def rows(self) -> Rows:
        """The table `scaler`: one row a feature."""
        return [
            {"feature": feature, "mean": mean, "scale": scale}
            | dict(zip(("lower", "upper"), self.fences.get(feature, (None, None)), strict=True))
            for feature, mean, scale in zip(self.features, self.mean, self.scale, strict=True)
        ]


def fit_fences(values: np.ndarray, names: Sequence[str], times: float) -> Fences:
    """Find beyond which numbers a value is far out: so many times the reach of most customers away from the median.

    On either side most reach as far as all but a hundredth of the customers do, or twice the distance of the quartiles,
    whichever is less. The first hugs a feature that ends abruptly, such as the days since customers came; the second
    leaves a long tail behind (Tukey 1977, "Exploratory Data Analysis", 2D).

    Args:
        values: Customers, shape (customers, features).
        names: The features.
        times: How many times.

    Returns:
        The fences, in each feature's own unit, of those that have any: where all but two hundredths have one value,
        nothing tells what is far; where that is so on one side only, the other side tells.
    """
    if not len(values) or not names:
        return {}
    first, lower, middle, upper, last = np.quantile(values, [0.01, 0.25, 0.5, 0.75, 0.99], axis=0)
    below, above = middle - first, last - middle
    below, above = np.where(below > 0, below, above), np.where(above > 0, above, below)
    tail = np.where(lower < upper, 2 * (upper - lower), np.inf)
    below, above = times * np.minimum(below, tail), times * np.minimum(above, tail)
    # In few binary digits: what counts as a fence adds up without rounding, like the numbers themselves.
    step = 2.0 ** (np.ceil(np.log2(np.maximum(np.maximum(below, above), FINE))) - DIGITS)
    lower, upper = np.floor((middle - below) / step) * step, np.ceil((middle + above) / step) * step
    return {
        name: (float(low), float(high))
        for name, low, high, reach in zip(names, lower, upper, below + above, strict=True)
        if reach > 0
    }


def fence(encoded: FrameT, fences: Fences) -> FrameT:
    """Let what lies beyond a fence count as lying there.

    Args:
        encoded: Customers with the features that have fences.
        fences: From `fit_fences`.

    Returns:
        The same columns.
    """
    columns = [within(nw.col(name), each).alias(name) for name, each in fences.items()]
    return encoded.with_columns(*columns) if columns else encoded


def within(value: nw.Expr, fences: tuple[float, float]) -> nw.Expr:
    """A number, or the fence that it lies beyond.

    Args:
        value: The number.
        fences: The least and the greatest.

    Returns:
        An expression (Float64; null where the number is).
    """
    return value.cast(nw.Float64).clip(*fences)


def beyond(name: str, fences: tuple[float, float]) -> nw.Expr:
    """How many customers have a value beyond the fences.

    Args:
        name: The feature.
        fences: The least and the greatest.

    Returns:
        An expression (Int64) that makes one row.
    """
    lower, upper = fences
    return ((nw.col(name) < lower) | (nw.col(name) > upper)).cast(nw.Int64).sum()


def read_fences(figures: Mapping[str, object], names: Sequence[str]) -> Fences:
    """The fences, from the table that keeps them.

    Args:
        figures: The row of the table `cleaning_figures`.
        names: The features that may have fences.

    Returns:
        Those of which the table has any.
    """
    both = {name: (figures[f"{name}_lower"], figures[f"{name}_upper"]) for name in names}
    return {name: (float(low), float(high)) for name, (low, high) in both.items() if low is not None}  # type: ignore[arg-type]


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
        {row["feature"]: (row["lower"], row["upper"]) for row in rows if row["lower"] is not None},
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
    columns = [
        ((_counted(name, scaler.fences) - mean) / scale).alias(name)
        for name, mean, scale in zip(scaler.features, scaler.mean, scaler.scale, strict=True)
    ]
    return encoded.select("customer_id", *columns)


def standardise_values(values: np.ndarray, scaler: Scaler) -> np.ndarray:
    """Apply a fitted scaler to customers in memory.

    Args:
        values: Customers from `encode_features`, shape (customers, features), float64.
        scaler: The fitted numbers.

    Returns:
        The same, within the fences and standardised.
    """
    inside = fence_values(values, scaler.features, scaler.fences)
    standardised: np.ndarray = (inside - np.array(scaler.mean)) / np.array(scaler.scale)
    return standardised


def fence_values(values: np.ndarray, names: Sequence[str], fences: Fences) -> np.ndarray:
    """Let what lies beyond a fence count as lying there, of customers in memory.

    Args:
        values: Customers from `encode_features`, shape (customers, features), float64.
        names: The features.
        fences: From `fit_fences`.

    Returns:
        The same, within the fences.
    """
    lower, upper = zip(*(fences.get(name, (-np.inf, np.inf)) for name in names), strict=True)
    return values.clip(lower, upper)


def _counted(name: str, fences: Fences) -> nw.Expr:
    return within(nw.col(name), fences[name]) if name in fences else nw.col(name)
