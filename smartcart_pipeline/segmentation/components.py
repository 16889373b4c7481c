"""Principal components: the three directions in which customers differ most."""

from collections.abc import Iterable
from dataclasses import dataclass

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.contract import ExportError
from smartcart_pipeline.segmentation import Rows

COMPONENTS = 3
NAMES = tuple(f"pc{number}" for number in range(1, COMPONENTS + 1))

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


def fit_components(batches: Iterable[np.ndarray], names: tuple[str, ...]) -> Components:
    """Fit principal components with scikit-learn's `IncrementalPCA`, batch by batch.

    All components are kept while fitting, which makes the incremental result exact (Ross et al. 2008, "Incremental
    learning for robust visual tracking": what is lost is only what is truncated); the first three are returned.

    Args:
        batches: Arrays of shape (customers, features), float64, standardised, in a fixed order, each with at least as
            many customers as features unless it is the only one.
        names: Names of the features.

    Returns:
        The fitted numbers.

    Raises:
        ExportError: If there are fewer customers than components.
    """
    from sklearn.decomposition import IncrementalPCA  # noqa: PLC0415  (slow to import)

    pca = None
    for batch in batches:
        if pca is None and len(batch) < COMPONENTS:
            break
        pca = pca or IncrementalPCA(n_components=min(len(names), len(batch)))
        pca.partial_fit(batch)
    if pca is None:
        raise ExportError(
            f"Fewer than {COMPONENTS} customers are left after cleaning: too few to segment. Deliver a larger export."
        )
    return Components(
        features=names,
        loadings=fix_signs(pca.components_[:COMPONENTS]),
        explained_variance_ratio=tuple(map(float, pca.explained_variance_ratio_[:COMPONENTS])),
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


def project(scaled: FrameT, components: Components) -> FrameT:
    """Place customers on the components.

    Args:
        scaled: Customers from `standardise`.
        components: The fitted numbers.

    Returns:
        `customer_id`, `pc1`, `pc2`, `pc3` (Float64, no unit).
    """
    axes = []
    for name, loadings in zip(NAMES, components.loadings, strict=True):
        terms = [nw.col(f) * float(value) for f, value in zip(components.features, loadings, strict=True)]
        axis = terms[0]
        for term in terms[1:]:
            axis = axis + term
        axes.append(axis.alias(name))
    return scaled.select("customer_id", *axes)
