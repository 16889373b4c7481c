"""Choosing k: how many segments the customers fall into.

Every candidate is fitted and measured; the choice is then a rule over the table of measures, so that anyone can check
it. k = 1 has an inertia (the elbow needs it) but none of the other measures, which compare clusters.
"""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.agreement import adjusted_rand
from smartcart_pipeline.segmentation.noise import Space, doubt_fits
from smartcart_pipeline.segmentation.silhouette import mean_silhouettes
from smartcart_pipeline.segmentation.threads import alone

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

# What the data may choose; more than that only a recipe asks for.
CANDIDATES = tuple(range(1, 11))

# A silhouette this close to the best counts as equally good: 5 % of the width of its useful scale, 0 to 1.
SILHOUETTE_TOLERANCE = 0.05
# What most samples take for the elbow is left only for what is clearly better: near the best a single customer tips.
ELBOW_TOLERANCE = 0.1
STABLE = 0.9

# Fewer customers, or fewer that differ, are nothing to choose among.
FEWEST_CUSTOMERS, ENOUGH_CUSTOMERS = 30, 200
FEWEST_DIFFERENT = 4
# A segment of fewer is a handful of people, and so is one of a tenth of its number.
SMALLEST_CLUSTER = 5
CUSTOMERS_A_CLUSTER = 10
# These are tried all the same: of fewer there is no choice.
ALWAYS_TRIED = 3

BALLOTS = 50
BOOTSTRAPS = 10
SILHOUETTE_CUSTOMERS = 5_000


def evaluate_candidates(
    points: np.ndarray,
    seed: int,
    candidates: Sequence[int] = CANDIDATES,
    wanted: int | None = None,
    space: Space | None = None,
) -> Rows:
    """Fit k-means for every candidate k that leaves customers to share a cluster, and measure how good it is.

    Measures: inertia; silhouette (Rousseeuw 1987), of at most 5,000 customers, from distances computed once;
    Calinski-Harabasz (1974); Davies-Bouldin (1979); stability, the mean adjusted Rand index between the clusters and
    those of fits to bootstrap samples (Hennig 2007, "Cluster-wise assessment of cluster stability"); and in how many of
    50 bootstrap samples the elbow is here.

    Args:
        points: Customers on the components, shape (customers, 3), float64, in a fixed order.
        seed: Seed of every random choice.
        candidates: The values of k, ascending.
        wanted: A further one, that the recipe wants.
        space: The same customers in all standardised features, to hold each candidate against noise and against fits to
            halves of the customers; without it nobody asks.

    Returns:
        One row a candidate: k, the measures (None for k = 1 where they compare clusters), `smallest_cluster_share`
        and `sample_customers`, the number of customers fitted. Beyond the first three, candidates end before one of
        whose clusters the smallest has fewer than 5 customers, or of which there are not 10 times as many customers.

    Raises:
        ExportError: If there are few customers, or hardly any differ.
    """
    different = len(np.unique(points.round(9), axis=0))
    if len(points) < FEWEST_CUSTOMERS:
        raise ExportError(
            f"Only {len(points)} customers are left after cleaning: at least {FEWEST_CUSTOMERS} are needed to find "
            f"segments among, {ENOUGH_CUSTOMERS} or more are better. Deliver a larger export."
        )
    if different < FEWEST_DIFFERENT:
        raise ExportError(
            f"Only {different} different customers are left after cleaning: at least {FEWEST_DIFFERENT} are needed. "
            "Deliver a larger export, or have the recipe make features that tell customers apart."
        )
    tried = sorted({*candidates, *([wanted] if wanted else [])})
    possible = [k for k in tried if k < different and (k <= ALWAYS_TRIED or k * CUSTOMERS_A_CLUSTER <= len(points))]
    return _measure(points, seed, possible, space)


def _measure(points: np.ndarray, seed: int, candidates: Sequence[int], space: Space | None) -> Rows:
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  (slow to import)
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score  # noqa: PLC0415

    random = np.random.default_rng(seed)
    measured = np.sort(random.permutation(len(points))[:SILHOUETTE_CUSTOMERS])
    resamples = [random.integers(0, len(points), len(points)) for _ in range(BALLOTS)]

    # One after the other: threads, which wait for each other inside of scikit-learn, take twice as long on two cores.
    with alone(), warnings.catch_warnings():
        # A resample of few customers may hold fewer different ones than clusters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = list(_fit(points, seed, candidates))
        tried = [fitted.n_clusters for fitted in fits]
        compared = [fitted.labels_ for fitted in fits if fitted.n_clusters > 1]
        silhouettes = mean_silhouettes(points[measured], [labels[measured] for labels in compared])
        votes = _vote(points, [fitted.labels_ for fitted in fits], tried, resamples)
        rows: Rows = [
            {
                "k": fitted.n_clusters,
                "inertia": float(fitted.inertia_),
                "silhouette": None,
                "calinski_harabasz": None,
                "davies_bouldin": None,
                "stability": None,
                "elbow_share": votes[fitted.n_clusters] / BALLOTS,
                "smallest_cluster_share": _smallest(fitted) / len(points),
                "sample_customers": len(points),
                "null_silhouette": None,
                "prediction_strength": None,
                "recovery": None,
            }
            for fitted in fits
        ]
        several = [row for row in rows if row["k"] > 1]
        centres = [fitted.cluster_centers_ for fitted in fits if fitted.n_clusters > 1]
        for row, labels, begun, silhouette in zip(several, compared, centres, silhouettes, strict=True):
            row["silhouette"] = silhouette
            row["calinski_harabasz"] = float(calinski_harabasz_score(points, labels))
            row["davies_bouldin"] = float(davies_bouldin_score(points, labels))
            row["stability"] = _stability(points, labels, begun, resamples[:BOOTSTRAPS])
        if space is not None:
            for row, doubts in zip(several, doubt_fits(points, space, compared, seed), strict=True):
                row.update(doubts)
    return rows


def _fit(points: np.ndarray, seed: int, candidates: Sequence[int]) -> "Iterator[KMeans]":
    """Clusters for each candidate, up to the first that leaves too few customers in one."""
    from sklearn.cluster import KMeans  # noqa: PLC0415  (slow to import)

    for k in candidates:
        fitted = KMeans(k, n_init=10, random_state=seed).fit(points)
        if k > ALWAYS_TRIED and _smallest(fitted) < SMALLEST_CLUSTER:
            return
        yield fitted


def _smallest(fitted: "KMeans") -> int:
    return int(np.bincount(fitted.labels_, minlength=fitted.n_clusters).min())


def _stability(points: np.ndarray, labels: np.ndarray, centres: np.ndarray, resamples: list[np.ndarray]) -> float:
    from sklearn.cluster import KMeans  # noqa: PLC0415  (slow to import)

    # Begun from the fit itself, a refit moves only because the data did, not because it was begun elsewhere.
    refits = (KMeans(len(centres), init=centres, n_init=1).fit(points[resample]) for resample in resamples)
    return float(np.mean([adjusted_rand(labels, refit.predict(points)) for refit in refits]))


def _vote(
    points: np.ndarray, labelings: Sequence[np.ndarray], candidates: Sequence[int], resamples: list[np.ndarray]
) -> Counter[int | None]:
    """Where each bootstrap sample has its elbow; its inertia is that of its customers in the clusters of all."""
    drawn = np.array([np.bincount(resample, minlength=len(points)) for resample in resamples], dtype=float)
    squares = drawn @ (points**2).sum(axis=1)
    inertias = [squares - _explained(drawn, points, labels) for labels in labelings]
    known = [k for k in candidates if k in CANDIDATES]
    ballots = np.array(inertias[: len(known)]).T
    return Counter(find_elbow(known, ballot.tolist()) for ballot in ballots)


def _explained(drawn: np.ndarray, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of the squares of each sample, what its clusters' means account for."""
    explained = np.zeros(len(drawn))
    for cluster in range(labels.max() + 1):
        members = labels == cluster
        weights = drawn[:, members]
        sums = weights @ points[members]
        explained += (sums**2).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
    return explained


def find_elbow(candidates: Sequence[int], inertias: Sequence[float]) -> int | None:
    """The elbow of the inertia curve by Kneedle (Satopaa et al. 2011), or None where the curve has none.

    Args:
        candidates: The values of k, ascending.
        inertias: Inertia of each.

    Returns:
        A candidate, or None.
    """
    from kneed import KneeLocator  # noqa: PLC0415  (slow to import)

    # Of one or two points there is no curve. kneed's answer is None, with or without a warning, where it finds no knee.
    if len(candidates) <= 2:
        return None
    elbow = KneeLocator(candidates, inertias, curve="convex", direction="decreasing").elbow
    return None if elbow is None else int(elbow)


def tell_few(customers: int) -> str:
    """Say of few customers how little they are.

    Args:
        customers: How many there are.

    Returns:
        Sentences; none from 200 customers on.
    """
    if customers >= ENOUGH_CUSTOMERS:
        return ""
    return (
        f"{customers} customers are little to find segments among: a segment is a few dozen people, and as many others "
        f"may fall into other ones. From {ENOUGH_CUSTOMERS} on segments say more."
    )


def choose_k(measures: Rows, wanted: int | None = None) -> Rows:
    """Select one candidate by a stated rule.

    0. The one that the recipe wants, if it wants one.
    1. Else what most bootstrap samples take for the elbow, if no finer candidate has a silhouette that is better by
       more than 0.1, and its stability is at least 0.9.
    2. Else the most stable candidate whose silhouette is within 0.05 of the best, if it is as stable as that.
    3. Else the best silhouette, recorded as "no clear k".

    Args:
        measures: Rows from `evaluate_candidates`.
        wanted: How many segments there shall be; None where the measures choose.

    Returns:
        The same rows with `is_elbow`, `is_selected` (True in one row) and `reason` (of the selected row, of an elbow
        that was passed over, and of what the data would have chosen where the recipe did; else None).

    Raises:
        ExportError: If there are too few different customers for the segments that are wanted.
    """
    known = [row for row in measures if row["k"] in CANDIDATES]
    elbow = find_elbow([row["k"] for row in known], [row["inertia"] for row in known])
    compared = [row for row in known if row["silhouette"] is not None]
    best = max(compared, key=lambda row: row["silhouette"])
    by_data, rule = _choose(compared, best)
    selected = _find_wanted(measures, wanted) if wanted else by_data
    told = {
        "elbow": f"elbow in {by_data['elbow_share']:.0%} of bootstrap samples",
        "most stable": "most stable of the candidates with a silhouette near the best",
        "no clear k": "no clear k, best silhouette taken",
    }[rule]
    reasons = {by_data["k"]: f"{told}: {_measures(by_data, best)}"}
    favourite = _favourite(compared)
    if favourite["elbow_share"] and favourite is not by_data:
        share = f"elbow in {favourite['elbow_share']:.0%} of bootstrap samples"
        reasons[favourite["k"]] = f"{share}, passed over: {_measures(favourite, best)}"
    if wanted and selected is by_data:
        reasons[selected["k"]] = f"as asked for, and as the data say: {reasons[selected['k']]}"
    elif wanted:
        reasons[by_data["k"]] = f"what the data say, not asked for: {reasons[by_data['k']]}"
        reasons[selected["k"]] = f"as asked for: {_measures(selected, best)}; the data say {by_data['k']}"
    return [
        row
        | {
            "is_elbow": row["k"] == elbow,
            "is_selected": row is selected,
            "reason": reasons.get(row["k"]),
        }
        for row in measures
    ]


def _favourite(compared: Rows) -> dict[str, Any]:
    """What most bootstrap samples take for the elbow; the smaller k of equals."""
    return max(compared, key=lambda row: (row["elbow_share"], -row["k"]))


def _choose(compared: Rows, best: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """What the measures choose, and by which rule."""
    elbow = _favourite(compared)
    # That a coarser one is parted better is no reason: the elbow says that it leaves out what can be told apart.
    finest = max(row["silhouette"] for row in compared if row["k"] >= elbow["k"])
    holds = elbow["silhouette"] >= finest - ELBOW_TOLERANCE and elbow["stability"] >= STABLE
    if elbow["elbow_share"] and holds:
        return elbow, "elbow"
    good = [row for row in compared if row["silhouette"] >= best["silhouette"] - SILHOUETTE_TOLERANCE]
    steady = max(good, key=lambda row: (row["stability"], -row["k"]))
    return (steady, "most stable") if steady["stability"] >= STABLE else (best, "no clear k")


def _find_wanted(measures: Rows, wanted: int) -> dict[str, Any]:
    for row in measures:
        if row["k"] == wanted:
            return row
    raise ExportError(
        f"{wanted} segments are asked for, and {measures[-1]['k']} are the most that these customers make: each needs "
        f"{SMALLEST_CLUSTER} customers at least and {CUSTOMERS_A_CLUSTER} on average, who differ. Deliver a larger "
        "export, or ask for fewer: segments in the recipe, or --segments."
    )


def _measures(row: dict, best: dict) -> str:
    return (
        f"silhouette {row['silhouette']:.3f} (best {best['silhouette']:.3f} at k = {best['k']}), "
        f"stability {row['stability']:.3f}"
    )
