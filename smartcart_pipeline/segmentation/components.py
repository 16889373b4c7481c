"""Principal components: the three directions in which customers differ most."""

from dataclasses import dataclass

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.recipe import COMPONENT_NAMES
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.threads import alone

NAMES = COMPONENT_NAMES
COMPONENTS = len(NAMES)

# Loadings closer than this count as equally strong; the indicators of a two-valued category mirror each other exactly.
TIE = 1e-6


@dataclass(frozen=True)
class Components:
    """Fitted principal components as plain numbers.

    Attributes:
        features: Names of the standardised features, in order.
        loadings: Array of shape (3, features), float64, of unit length by row, signs fixed by `fix_signs`.
        explained_variance_ratio: Share of all variance that each component carries.
    """

    features: tuple[str, ...]
    loadings: np.ndarray
    explained_variance_ratio: tuple[float, ...]

    def rows(self) -> Rows:
        """The table `loadings`: one row a component and feature."""
        return [
            {
                "component": name,
                "feature": feature,
                "loading": float(self.loadings[number, column]),
                "explained_variance_ratio": self.explained_variance_ratio[number],
            }
            for number, name in enumerate(NAMES)
            for column, feature in enumerate(self.features)
        ]


def fit_components(covariances: np.ndarray, names: tuple[str, ...]) -> Components:
    """Find the principal components of standardised features: the leading eigenvectors of their covariances.

    The same as scikit-learn's `PCA` of all customers (its solver `covariance_eigh`), without seeing them again
    (Jolliffe 2002, "Principal Component Analysis", 2.3).

    Args:
        covariances: Covariance of each two standardised features, shape (features, features): their correlation, where
            all weigh once.
        names: Names of the features, in order.

    Returns:
        The fitted numbers.
    """
    with alone():
        variances, directions = np.linalg.eigh(covariances)
    strongest = np.argsort(-variances, kind="stable")[:COMPONENTS]
    explained = np.clip(variances[strongest], 0, None) / variances.sum()
    return fill_up(names, fix_signs(directions[:, strongest].T), explained)


def fill_up(names: tuple[str, ...], loadings: np.ndarray, explained: np.ndarray) -> Components:
    """Components of few features: those that there are not lie at zero for everybody.

    Args:
        names: Names of the standardised features, in order.
        loadings: Shape (3 or fewer, features).
        explained: Share of all variance that each carries.

    Returns:
        Three components.
    """
    lacking = COMPONENTS - len(loadings)
    return Components(
        names,
        np.vstack([loadings, np.zeros((lacking, len(names)))]),
        (*map(float, explained), *([0.0] * lacking)),
    )


def fix_signs(loadings: np.ndarray) -> np.ndarray:
    """Turn each component so that its strongest loading is positive, the first one where several are as strong.

    Args:
        loadings: Array of shape (components, features).

    Returns:
        The same array with rows multiplied by 1 or -1.
    """
    strength = np.abs(loadings)
    strongest = np.argmax(strength >= strength.max(axis=1, keepdims=True) - TIE, axis=1)
    signs = np.sign(loadings[np.arange(len(loadings)), strongest])
    return loadings * np.where(signs == 0, 1.0, signs)[:, None]


def read_components(loadings: Rows) -> Components:
    """The fitted numbers, from the table that keeps them.

    Args:
        loadings: All rows of the table `loadings`.

    Returns:
        The components.
    """
    of_component = {name: [row for row in loadings if row["component"] == name] for name in NAMES}
    return Components(
        features=tuple(row["feature"] for row in of_component[NAMES[0]]),
        loadings=np.array([[row["loading"] for row in of_component[name]] for name in NAMES]),
        explained_variance_ratio=tuple(of_component[name][0]["explained_variance_ratio"] for name in NAMES),
    )


def project(scaled: FrameT, components: Components, beside: tuple[str, ...] = ()) -> FrameT:
    """Place customers on the components.

    Args:
        scaled: Customers from `standardise`.
        components: The fitted numbers.
        beside: Further columns of `scaled` to keep.

    Returns:
        `customer_id`, `pc1`, `pc2`, `pc3` (Float64, no unit), and what is kept beside them.
    """
    axes = []
    for name, loadings in zip(NAMES, components.loadings, strict=True):
        terms = [nw.col(f) * float(value) for f, value in zip(components.features, loadings, strict=True)]
        axis = terms[0]
        for term in terms[1:]:
            axis = axis + term
        axes.append(axis.alias(name))
    return scaled.select("customer_id", *axes, *beside)
