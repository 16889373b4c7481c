"""Moments: what fitting must know of all customers, from one pass over them: their number, sums and cross products."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

# Products of so few customers add up without rounding, for features in whole or half units up to 700,000.
SLICE = 4_096


@dataclass(frozen=True)
class Moments:
    """First and second moments of some features.

    Attributes:
        features: Names of the features, in order.
        customers: How many customers were summed up.
        sums: Sum of each feature, exact where `sum_moments` says so.
        products: Sum of the product of each two features, as nested tuples of shape (features, features).
    """

    features: tuple[str, ...]
    customers: int
    sums: tuple[Fraction, ...]
    products: tuple[tuple[Fraction, ...], ...]

    @property
    def means(self) -> np.ndarray:
        """Mean of each feature in its own unit, shape (features,)."""
        return np.array([float(total / self.customers) for total in self.sums])

    @property
    def covariances(self) -> np.ndarray:
        """Covariance of each two features (dividing by n), shape (features, features); exact up to the last digit."""
        n, sums = self.customers, self.sums
        return np.array(
            [
                [float((n * product - sums[i] * sums[j]) / n**2) for j, product in enumerate(row)]
                for i, row in enumerate(self.products)
            ]
        )


def sum_moments(batches: Iterable[np.ndarray], names: tuple[str, ...]) -> Moments:
    """Sum up customers, in flat memory.

    Sums of slices are made by a matrix product, and added up with what rounding took away kept beside (Knuth 1969, "The
    Art of Computer Programming", vol. 2, 4.2.2, theorem B). For features in whole or half units up to 700,000 nothing
    is ever rounded: the result does not depend on the order of customers, the batches or the machine. For all others,
    values are counted from a whole number in their midst, so that a large mean takes no digits from a small spread
    (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance").

    Args:
        batches: Arrays of shape (customers, features), float64.
        names: Names of the features.

    Returns:
        The moments; all zero where there are no customers.
    """
    size = len(names) + 1
    total, taken_away = np.zeros((size, size)), np.zeros((size, size))
    origin = np.zeros(len(names))
    for number, batch in enumerate(batches):
        if not number and len(batch):
            origin = np.rint(batch.mean(axis=0))
        with_one = np.ones((len(batch), size), order="F")
        np.subtract(batch, origin, out=with_one[:, 1:])
        for start in range(0, len(batch), SLICE):
            part = with_one[start : start + SLICE]
            total, lost = _add(total, part.T @ part)
            taken_away += lost
    pairs = zip(total.tolist(), taken_away.tolist(), strict=True)
    exact = [tuple(Fraction(a) + Fraction(b) for a, b in zip(*rows, strict=True)) for rows in pairs]
    return _from_zero(names, exact, [int(value) for value in origin])


def _from_zero(names: tuple[str, ...], exact: list[tuple[Fraction, ...]], origin: list[int]) -> Moments:
    """The moments of values from those of their distances to an origin."""
    customers, apart = int(exact[0][0]), exact[0][1:]
    sums = tuple(total + customers * zero for total, zero in zip(apart, origin, strict=True))
    products = tuple(
        tuple(
            product + origin[i] * apart[j] + origin[j] * apart[i] + customers * origin[i] * origin[j]
            for j, product in enumerate(row[1:])
        )
        for i, row in enumerate(exact[1:])
    )
    return Moments(names, customers, sums, products)


def _add(total: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sum, and what rounding took from it."""
    added = total + part
    seen = added - total
    return added, (total - (added - seen)) + (part - seen)
