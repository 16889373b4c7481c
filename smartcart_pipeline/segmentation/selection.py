"""Choosing k: how many segments the customers fall into.

Every candidate is fitted and measured; the choice is then a rule over the table of measures, so that anyone can check
it. k = 1 has an inertia (the elbow needs it) but none of the other measures, which compare clusters.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.silhouette import mean_silhouettes
from smartcart_pipeline.segmentation.threads import alone

CANDIDATES = tuple(range(1, 11))

# A silhouette this close to the best counts as equally good: 5 % of the width of its useful scale, 0 to 1.
SILHOUETTE_TOLERANCE = 0.05
STABLE = 0.9

# Of fewer different customers there is nothing to choose: two and three segments are the least to be tried.
FEWEST = 4

BOOTSTRAPS = 10
SILHOUETTE_CUSTOMERS = 5_000


def evaluate_candidates(points: np.ndarray, seed: int, candidates: Sequence[int] = CANDIDATES) -> Rows:
    """Fit k-means for every candidate k that leaves customers to share a cluster, and measure how good it is.

    Measures: inertia; silhouette (Rousseeuw 1987), of at most 5,000 customers, from distances computed once;
    Calinski-Harabasz (1974); Davies-Bouldin (1979); stability, the mean adjusted Rand index between the clusters and
    those of fits to bootstrap samples (Hennig 2007, "Cluster-wise assessment of cluster stability").

    Args:
        points: Customers on the components, shape (customers, 3), float64, in a fixed order.
        seed: Seed of every random choice.
        candidates: The values of k, ascending.

    Returns:
        One row a candidate: k, the measures (None for k = 1 where they compare clusters), `smallest_cluster_share`
        and `sample_customers`, the number of customers fitted.

    Raises:
        ExportError: If there are few customers, or hardly any differ.
    """
    different = len(np.unique(points.round(9), axis=0))
    # Many customers that differ in few ways are few segments; of few customers every segment would be a handful.
    if len(points) <= max(candidates):
        raise ExportError(
            f"Only {different} different customers are left after cleaning, and up to {max(candidates)} segments are "
            f"tried: at least {max(candidates) + 1} customers are needed. Deliver a larger export."
        )
    if different < FEWEST:
        raise ExportError(
            f"Only {different} different customers are left after cleaning: at least {FEWEST} are needed. Deliver a "
            "larger export, or have the recipe make features that tell customers apart."
        )
    return _measure(points, seed, [k for k in candidates if k < different])


def _measure(points: np.ndarray, seed: int, candidates: Sequence[int]) -> Rows:
    from sklearn.cluster import KMeans  # noqa: PLC0415  (slow to import)
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.metrics import (  # noqa: PLC0415
        adjusted_rand_score,
        calinski_harabasz_score,
        davies_bouldin_score,
    )

    random = np.random.default_rng(seed)
    measured = np.sort(random.permutation(len(points))[:SILHOUETTE_CUSTOMERS])
    resamples = [random.integers(0, len(points), len(points)) for _ in range(BOOTSTRAPS)]

    def fit(k: int) -> tuple[KMeans, float | None]:
        """Clusters for k, and how stable they are."""
        fitted = KMeans(k, n_init=10, random_state=seed).fit(points)
        if k == 1:
            return fitted, None
        # Begun from the fit itself, a refit moves only because the data did, not because it was begun elsewhere.
        refits = (KMeans(k, init=fitted.cluster_centers_, n_init=1).fit(points[resample]) for resample in resamples)
        agreements = [adjusted_rand_score(fitted.labels_, refit.predict(points)) for refit in refits]
        return fitted, float(np.mean(agreements))

    # One after the other: threads, which wait for each other inside of scikit-learn, take twice as long on two cores.
    with alone(), warnings.catch_warnings():
        # A resample of few customers may hold fewer different ones than clusters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = [fit(k) for k in candidates]
        compared = [fitted.labels_[measured] for fitted, _ in fits if fitted.n_clusters > 1]
        silhouettes = iter(mean_silhouettes(points[measured], compared))
    rows: Rows = []
    for k, (fitted, stability) in zip(candidates, fits, strict=True):
        labels = fitted.labels_
        several = k > 1
        rows.append(
            {
                "k": k,
                "inertia": float(fitted.inertia_),
                "silhouette": next(silhouettes) if several else None,
                "calinski_harabasz": float(calinski_harabasz_score(points, labels)) if several else None,
                "davies_bouldin": float(davies_bouldin_score(points, labels)) if several else None,
                "stability": stability,
                "smallest_cluster_share": float(np.bincount(labels, minlength=k).min() / len(points)),
                "sample_customers": len(points),
            }
        )
    return rows


def find_elbow(candidates: Sequence[int], inertias: Sequence[float]) -> int | None:
    """The elbow of the inertia curve by Kneedle (Satopaa et al. 2011), or None where the curve has none.

    Args:
        candidates: The values of k, ascending.
        inertias: Inertia of each.

    Returns:
        A candidate, or None.
    """
    from kneed import KneeLocator  # noqa: PLC0415  (slow to import)

    # kneed's answer is None, with or without a warning, where it finds no knee.
    elbow = KneeLocator(candidates, inertias, curve="convex", direction="decreasing").elbow
    return None if elbow is None else int(elbow)


def choose_k(measures: Rows, wanted: int | None = None) -> Rows:
    """Select one candidate by a stated rule.

    0. The one that the recipe wants, if it wants one.
    1. Else the elbow, if its silhouette is within 0.05 of the best and its stability at least 0.9.
    2. Else the most stable candidate whose silhouette is within 0.05 of the best, if it is as stable as that.
    3. Else the best silhouette, recorded as "no clear k".

    Args:
        measures: Rows from `evaluate_candidates`.
        wanted: How many segments there shall be; None where the measures choose.

    Returns:
        The same rows with `is_elbow`, `is_selected` (True in one row) and `reason` (of the selected row and of an
        elbow that was passed over, else None).

    Raises:
        ExportError: If there are too few different customers for the segments that are wanted.
    """
    elbow = find_elbow([row["k"] for row in measures], [row["inertia"] for row in measures])
    compared = [row for row in measures if row["silhouette"] is not None]
    best = max(compared, key=lambda row: row["silhouette"])
    good = [row for row in compared if row["silhouette"] >= best["silhouette"] - SILHOUETTE_TOLERANCE]
    steady = max(good, key=lambda row: (row["stability"], -row["k"]))
    at_elbow = next((row for row in compared if row["k"] == elbow), None)

    if wanted:
        selected, rule = _find_wanted(compared, wanted), "wanted"
    elif at_elbow in good and at_elbow["stability"] >= STABLE:
        selected, rule = at_elbow, "elbow"
    elif steady["stability"] >= STABLE:
        selected, rule = steady, "most stable"
    else:
        selected, rule = best, "no clear k"
    reasons = {selected["k"]: _why(rule, selected, best)}
    if at_elbow is not None and at_elbow is not selected:
        reasons[at_elbow["k"]] = f"elbow, passed over: {_measures(at_elbow, best)}"
    return [
        row
        | {
            "is_elbow": row["k"] == elbow,
            "is_selected": row is selected,
            "reason": reasons.get(row["k"]),
        }
        for row in measures
    ]


def _find_wanted(compared: Rows, wanted: int) -> dict[str, Any]:
    for row in compared:
        if row["k"] == wanted:
            return row
    raise ExportError(
        f"The recipe wants {wanted} segments, and the customers differ in so few ways that {compared[-1]['k']} are the "
        "most. Deliver a larger export, or write segments: auto into the recipe."
    )


def _why(rule: str, selected: dict, best: dict) -> str:
    return {
        "wanted": f"as the recipe says: {_measures(selected, best)}",
        "elbow": f"elbow: {_measures(selected, best)}",
        "most stable": f"most stable of the candidates with a silhouette near the best: {_measures(selected, best)}",
        "no clear k": f"no clear k, best silhouette taken: {_measures(selected, best)}",
    }[rule]


def _measures(row: dict, best: dict) -> str:
    return (
        f"silhouette {row['silhouette']:.3f} (best {best['silhouette']:.3f} at k = {best['k']}), "
        f"stability {row['stability']:.3f}"
    )
