"""Drift: how far tonight's customers are from those that the model in force was fitted on.

Both are held against the same bins, whose edges are stored with the model. Two measures must agree before anything is
called drift: an effect size, which does not grow with the number of customers, and after it a test, which keeps small
numbers from crying wolf. The population stability index with its limits of 0.1 and 0.25 is from credit scoring (Siddiqi
2006, "Credit Risk Scorecards"); the tests are Kolmogorov and Smirnov's (1933, 1939) on the edges of the bins, which can
only understate the distance, and Pearson's chi-square (1900) for categories. That a test alone rejects anything among
enough customers is the point of Lin, Lucas and Shmueli (2013, "Too big to fail").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import Rows

BINS = 10
NOTICEABLE, DRIFTED = 0.1, 0.25
SIGNIFICANT = 0.001
VERDICTS = ("steady", "noticeable", "drifted")


@dataclass(frozen=True)
class Reference:
    """How the customers that a model was fitted on are spread.

    Attributes:
        customers: How many were counted.
        edges: Inner edges of the bins of each number; a bin ends with its edge.
        shares: Share of the customers in each bin, or of each category, by feature.
        categories: The categories of each text, in the order of the shares.
    """

    customers: int
    edges: dict[str, tuple[float, ...]]
    shares: dict[str, tuple[float, ...]]
    categories: dict[str, tuple[str, ...]]

    def document(self) -> dict[str, Any]:
        """The reference as plain data, fit for JSON."""
        return {
            "customers": self.customers,
            "edges": {name: list(edges) for name, edges in self.edges.items()},
            "shares": {name: list(shares) for name, shares in self.shares.items()},
            "categories": {name: list(values) for name, values in self.categories.items()},
        }


def read_reference(document: Mapping[str, Any]) -> Reference:
    """The reference, from the document that keeps it.

    Args:
        document: What `Reference.document` gave.

    Returns:
        The reference.
    """
    return Reference(
        customers=int(document["customers"]),
        edges={name: tuple(map(float, edges)) for name, edges in document["edges"].items()},
        shares={name: tuple(map(float, shares)) for name, shares in document["shares"].items()},
        categories={name: tuple(map(str, values)) for name, values in document["categories"].items()},
    )


def describe_spread(numbers: Mapping[str, np.ndarray], texts: Mapping[str, Sequence[str]], recipe: Recipe) -> Reference:
    """Find bins with about as many customers each, and count how many are in them.

    Args:
        numbers: Values of each number, arrays of shape (customers,).
        texts: Values of each text, as long.
        recipe: Tells the categories that there may be.

    Returns:
        The reference.
    """
    edges, shares = {}, {}
    for name, values in numbers.items():
        inner = np.unique(np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf"))
        inner = inner[inner < values.max()]
        edges[name] = tuple(inner.tolist())
        counts = np.bincount(np.searchsorted(inner, values, side="left"), minlength=len(inner) + 1)
        shares[name] = tuple((counts / len(values)).tolist())
    categories = {name: known for name, known in recipe.categorical if name in texts}
    for name, known in categories.items():
        values = np.asarray(texts[name])
        shares[name] = tuple(float((values == category).mean()) for category in known)
    customers = len(next(iter([*numbers.values(), *texts.values()])))
    return Reference(customers, edges, shares, categories)


def mark_bins(reference: Reference) -> list[nw.Expr]:
    """What to sum up of tonight's customers, in one pass over all features.

    Args:
        reference: The bins.

    Returns:
        Columns `bin_0`, `bin_1`, … (Int32, 0 or 1): for each edge whether a customer is at or below it, and for each
        category whether it is the customer's.
    """
    edges = [nw.col(name) <= edge for name, values in reference.edges.items() for edge in values]
    categories = [nw.col(name) == value for name, values in reference.categories.items() for value in values]
    return [
        nw.when(condition).then(nw.lit(1, nw.Int32)).otherwise(nw.lit(0, nw.Int32)).alias(f"bin_{number}")
        for number, condition in enumerate([*edges, *categories])
    ]


def measure_drift(reference: Reference, sums: Rows) -> Rows:
    """Hold tonight's customers against the reference.

    Args:
        reference: The bins, and how the reference's customers spread over them.
        sums: Rows with `customers` and the sums of what `mark_bins` marks; of several groups, or one.

    Returns:
        One row a feature: `psi`, `test`, `effect` (Kolmogorov-Smirnov's distance, or Cramer's V), `p_value`, `verdict`,
        and the categories that are `new` or have `vanished`, in one text each.
    """
    customers = sum(row["customers"] for row in sums)
    bins = [len(edges) for edges in reference.edges.values()] + [len(known) for known in reference.categories.values()]
    totals = [int(sum(row[f"bin_{number}"] for row in sums)) for number in range(sum(bins))]
    rows, start = [], 0
    for name, size in zip([*reference.edges, *reference.categories], bins, strict=True):
        found = totals[start : start + size]
        start += size
        counts = found if name in reference.categories else np.diff([0, *found, customers]).tolist()
        rows.append({"feature": name} | _compare(reference, name, np.array(counts, dtype=float)))
    return rows


def _compare(reference: Reference, name: str, counts: np.ndarray) -> dict[str, Any]:
    before, after = np.array(reference.shares[name]), counts / max(counts.sum(), 1)
    psi = stability_index(before * reference.customers, counts)
    known = reference.categories.get(name, ())
    if known:
        test, effect, p_value = "chi-square", *_chi_square(before * reference.customers, counts)
    else:
        test, effect, p_value = "Kolmogorov-Smirnov", *_kolmogorov(before, after, reference.customers, counts.sum())
    return {
        "psi": psi,
        "test": test,
        "effect": effect,
        "p_value": p_value,
        "verdict": judge_drift(psi, p_value),
        "new_categories": ", ".join(c for c, a, b in zip(known, before, after, strict=False) if not a and b),
        "vanished_categories": ", ".join(c for c, a, b in zip(known, before, after, strict=False) if a and not b),
    }


def judge_drift(psi: float, p_value: float) -> str:
    """The verdict: what the effect size says, if it is not chance.

    Args:
        psi: Population stability index.
        p_value: Of the test.

    Returns:
        One of `VERDICTS`.
    """
    effect = "drifted" if psi >= DRIFTED else "noticeable" if psi >= NOTICEABLE else "steady"
    return effect if p_value < SIGNIFICANT else "steady"


def stability_index(before: np.ndarray, after: np.ndarray) -> float:
    """Population stability index of two counts over the same bins.

    Args:
        before: Customers in each bin, shape (bins,).
        after: The same of others.

    Returns:
        From 0, the same shares; half a customer stands in an empty bin.
    """
    p, q = (np.maximum(counts, 0.5) / np.maximum(counts, 0.5).sum() for counts in (before, after))
    return float(((q - p) * np.log(q / p)).sum())


def _kolmogorov(before: np.ndarray, after: np.ndarray, n: float, m: float) -> tuple[float, float]:
    """The largest distance between two cumulative shares, and how likely chance makes a larger one."""
    from scipy.stats import kstwobign  # noqa: PLC0415  (slow to import)

    distance = float(np.abs(np.cumsum(before) - np.cumsum(after)).max())
    return distance, float(kstwobign.sf(distance * np.sqrt(n * m / max(n + m, 1))))


def _chi_square(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Cramer's V of two counts over the same categories, and how likely chance makes a larger one."""
    from scipy.stats import chi2  # noqa: PLC0415  (slow to import)

    table = np.array([before, after])
    table = table[:, table.sum(axis=0) > 0]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum()) if expected.all() else 0.0
    return float(np.sqrt(statistic / table.sum())), float(chi2.sf(statistic, max(table.shape[1] - 1, 1)))
