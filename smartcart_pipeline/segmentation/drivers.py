"""Drivers: what tells the segments apart, all of them or two at a time, and whether one feature does so by itself.

How strongly a feature goes with the segments is one number from 0 to 1, made of the counts that profiles are made of.
Of numbers it is eta squared, the share of the variance that lies between segments (Fisher 1925, "Statistical Methods
for Research Workers"; Cohen 1988, "Statistical Power Analysis"). Of categories and flags it is Cramer's V, corrected
for the bias by which few customers in many groups seem to go with anything (Bergsma 2013, Journal of the Korean
Statistical Society 42).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from smartcart_pipeline.declaration.recipe import Feature, Log, Recipe
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.profiling import ValueCounts

# So many features are told of each pair of segments.
PAIR_FEATURES = 3
# A feature this strong gives the segments away: they are its values under other names.
GIVEAWAY = 0.95
# So many of those are named in a sentence.
NAMED = 3
# Below this association, nobody would see two segments in it.
VISIBLE = 0.1
# A category of more groups than these has no picture for each.
PICTURES = 4

Counted = tuple[np.ndarray, np.ndarray]


def measure_drivers(counts: Mapping[int, ValueCounts], segments: Mapping[int, str], recipe: Recipe) -> Rows:
    """How strongly each feature goes with the segments, whether the model sees it or not.

    Args:
        counts: For each cluster, how many customers have each value of each feature.
        segments: The segment of each cluster.
        recipe: The features.

    Returns:
        One row a feature, the strongest first: `feature`, `role`, `is_seen`, `measure` (`eta_squared` or `cramers_v`),
        `association` (0 to 1; 0 where it never varies) and `rank` from 1, by eta squared and the square of V. Of equals
        the recipe's first comes first.
    """
    seen = {feature.name for feature in recipe.seen}
    sums = _sum_up(counts, sorted(segments, key=segments.__getitem__), recipe)
    found: Rows = [
        {"feature": feature.name, "role": feature.role, "is_seen": feature.name in seen}
        | _associate(feature, sums[feature.name])
        for feature in recipe.features
    ]
    ranked = sorted(found, key=lambda row: -between(row))
    return [row | {"rank": rank} for rank, row in enumerate(ranked, start=1)]


def measure_pairs(counts: Mapping[int, ValueCounts], segments: Mapping[int, str], recipe: Recipe) -> Rows:
    """What tells each two segments apart most, among the customers of those two.

    Args:
        counts: For each cluster, how many customers have each value of each feature.
        segments: The segment of each cluster.
        recipe: The features.

    Returns:
        Up to `PAIR_FEATURES` rows a pair, in order of the pairs: `segment_id`, `other_segment_id` (the later of the
        two), `rank` from 1, `feature`, `measure` and `association` (above 0). Of a number and its logarithm there is
        the stronger only.
    """
    clusters = sorted(segments, key=segments.__getitem__)
    sums = _sum_up(counts, clusters, recipe)
    rows = []
    for one, other in combinations(range(len(clusters)), 2):
        found = [
            {"feature": feature.name} | _associate(feature, sums[feature.name][:, [one, other]])
            for feature in recipe.features
        ]
        pair = {"segment_id": segments[clusters[one]], "other_segment_id": segments[clusters[other]]}
        rows += [pair | {"rank": rank} | row for rank, row in enumerate(_strongest(found, recipe), start=1)]
    return rows


def count_rows(rows: Rows, labels: np.ndarray, recipe: Recipe) -> dict[int, ValueCounts]:
    """Count the values of a few customers, as an engine counts those of all.

    Args:
        rows: Customers from `describe_customers`.
        labels: Their clusters, shape (customers,), integers from 0.
        recipe: The features.

    Returns:
        For each cluster, how many customers have each value of each feature.
    """
    kinds = {feature.name: object if feature.is_category else float for feature in recipe.features}
    values = {name: np.array([row[name] for row in rows], dtype=kind) for name, kind in kinds.items()}
    return {
        int(label): {name: np.unique(found[labels == label], return_counts=True) for name, found in values.items()}
        for label in np.unique(labels)
    }


def between(row: Mapping[str, Any]) -> float:
    """What numbers and categories are ranked by: V goes like a correlation, and eta squared like its square.

    Args:
        row: A row of `measure_drivers` or `measure_pairs`.

    Returns:
        How much of the feature's differences lies between the segments, 0 to 1.
    """
    association: float = row["association"]
    return association**2 if row["measure"] == "cramers_v" else association


def _strongest(found: Rows, recipe: Recipe) -> Rows:
    """The few strongest, none of which is the logarithm of another."""
    told: dict[str, dict[str, Any]] = {}
    for row in sorted(found, key=lambda row: -between(row)):
        verb = recipe.by_name[row["feature"]].verb
        if row["association"] > 0:
            told.setdefault(verb.of if isinstance(verb, Log) else row["feature"], row)
    return list(told.values())[:PAIR_FEATURES]


def _sum_up(counts: Mapping[int, ValueCounts], clusters: Sequence[int], recipe: Recipe) -> dict[str, np.ndarray]:
    """Of each feature all that its association follows from: arrays with a column for each cluster."""
    return {
        feature.name: (count_groups if _is_grouped(feature) else _sum_deviations)(
            [counts[cluster][feature.name] for cluster in clusters]
        )
        for feature in recipe.features
    }


def _is_grouped(feature: Feature) -> bool:
    return feature.is_category or feature.is_flag


def _associate(feature: Feature, sums: np.ndarray) -> dict[str, Any]:
    if _is_grouped(feature):
        return {"measure": "cramers_v", "association": cramers_v(sums)}
    return {"measure": "eta_squared", "association": _eta_squared(sums)}


def count_groups(counted: Sequence[Counted]) -> np.ndarray:
    """Cross values with segments.

    Args:
        counted: For each segment values, and how many customers have each, arrays of shape (values,).

    Returns:
        Customers, shape (different values, segments), in order of value.
    """
    values = np.unique(np.concatenate([own for own, _ in counted]))
    columns = [
        np.bincount(np.searchsorted(values, own), weights=customers, minlength=len(values))
        for own, customers in counted
    ]
    return np.array(columns).T


def cramers_v(table: np.ndarray) -> float:
    """Bias-corrected Cramer's V (Bergsma 2013): how far the rows of a table go with its columns.

    Args:
        table: Customers of each group in each segment, shape (groups, segments).

    Returns:
        0, no more than chance would have it, to 1; 0 where there is but one group or one segment.
    """
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    rows, columns = table.shape
    if min(rows, columns) < 2:
        return 0.0
    customers = table.sum()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / customers
    phi_squared = float(((table - expected) ** 2 / expected).sum() / customers)
    corrected = phi_squared - (rows - 1) * (columns - 1) / (customers - 1)
    most = min(size - 1 - (size - 1) ** 2 / (customers - 1) for size in (rows, columns))
    # Where every customer is a group, nothing can be told from chance.
    return float(min(max(corrected, 0.0) / most, 1.0) ** 0.5) if most > 0 else 0.0


def _sum_deviations(counted: Sequence[Counted]) -> np.ndarray:
    """Of each segment: customers, mean, squared deviations from it, least and greatest value; shape (5, segments).

    Values are told in widths of all customers' range from its beginning. So what is large and hardly varies keeps its
    digits, and nothing overflows.
    """
    bounds = [(own.min(), own.max()) for own, _ in counted]
    start = min(least for least, _ in bounds)
    width = (max(greatest for _, greatest in bounds) - start) or 1.0
    columns = []
    for own, customers in counted:
        # In order of value, and not by linear algebra: sums are the same bits in any order of rows, on any machine.
        rising = np.argsort(own)
        values, numbers = (own[rising] - start) / width, customers[rising].astype(float)
        mean = (values * numbers).sum() / numbers.sum()
        columns.append((numbers.sum(), mean, ((values - mean) ** 2 * numbers).sum(), values[0], values[-1]))
    return np.array(columns).T


def _eta_squared(sums: np.ndarray) -> float:
    """The share of the variance that lies between segments, from `_sum_deviations`."""
    customers, means, within, least, greatest = sums
    # Asked of the values themselves: what never varies has means that differ in their last digit.
    if sums.shape[1] < 2 or least.min() == greatest.max():
        return 0.0
    mean = (means * customers).sum() / customers.sum()
    between = ((means - mean) ** 2 * customers).sum()
    total = between + within.sum()
    return float(between / total) if total else 0.0


def find_giveaways(drivers: Rows, pairs: Rows) -> Rows:
    """Features that give the segments away by themselves, or two of them.

    Args:
        drivers: Rows of `measure_drivers`.
        pairs: Rows of `measure_pairs`.

    Returns:
        `feature`, `association`, `segment_id` and `other_segment_id`: those of all segments first, for which the last
        two are None; then those of pairs, but for features that are told already. The strongest first.
    """
    everywhere: dict[str, Any] = {"segment_id": None, "other_segment_id": None}
    of_all = [row | everywhere for row in drivers if row["association"] >= GIVEAWAY]
    told = {row["feature"] for row in of_all}
    of_pairs = [row for row in pairs if row["association"] >= GIVEAWAY and row["feature"] not in told]
    return [
        {name: row[name] for name in ("feature", "association", "segment_id", "other_segment_id")}
        for rows in (of_all, of_pairs)
        for row in sorted(rows, key=lambda row: -row["association"])
    ]


def name_giveaway(drivers: Rows, pairs: Rows) -> str | None:
    """The feature that gives most away.

    Args:
        drivers: Rows of `measure_drivers`.
        pairs: Rows of `measure_pairs`.

    Returns:
        Its name; None where no feature gives anything away.
    """
    found = find_giveaways(drivers, pairs)
    return found[0]["feature"] if found else None


def choose_axes(drivers: Rows, pairs: Rows, recipe: Recipe) -> tuple[str, ...]:
    """The two numbers of the model in which segments are seen to lie apart.

    Args:
        drivers: Rows of `measure_drivers`.
        pairs: Rows of `measure_pairs`.
        recipe: The features.

    Returns:
        The two that between them tell each two segments apart best, the stronger first, as far as they are among the
        three strongest features of a pair; of equals those that go most with all segments. A logarithm stands for its
        number, where that is a feature. Empty where there are no two.
    """
    told: dict[tuple[str, str], dict[str, float]] = {}
    for row in pairs:
        apart = told.setdefault((row["segment_id"], row["other_segment_id"]), {})
        apart[recipe.plain(row["feature"])] = row["association"] if row["association"] >= VISIBLE else 0.0
    seen = [row for row in drivers if row["is_seen"] and row["measure"] == "eta_squared" and row["association"] > 0]
    numbers = dict.fromkeys(recipe.plain(row["feature"]) for row in seen)

    def shows(two: tuple[str, str]) -> float:
        return sum(max(apart.get(name, 0.0) for name in two) for apart in told.values())

    return max(combinations(numbers, 2), key=shows, default=())


def choose_split(drivers: Rows, recipe: Recipe) -> str | None:
    """The category by which the model parts customers, whatever else goes with it.

    Args:
        drivers: Rows of `measure_drivers`.
        recipe: The features.

    Returns:
        A category that gives the segments away, of few groups: each group has segments of its own, and is worth a
        picture of its own. None where there is none.
    """
    for row in drivers:
        feature = recipe.by_name[row["feature"]]
        has_few = feature.is_category and len(feature.groups) <= PICTURES
        if row["is_seen"] and has_few and row["association"] >= GIVEAWAY:
            return feature.name
    return None


def tell_giveaways(found: Rows) -> str:
    """Say which features give the segments away, each with the pair that it tells apart best.

    Args:
        found: Rows of `find_giveaways`.

    Returns:
        A sentence, or two where some tell all segments apart and others a pair.
    """
    strongest: dict[str, dict[str, Any]] = {}
    for row in found:
        strongest.setdefault(row["feature"], row)
    of_all = [row for row in strongest.values() if row["segment_id"] is None]
    of_pairs = [row for row in strongest.values() if row["segment_id"] is not None]
    said = [_tell_all(of_all)] if of_all else []
    said += [_tell_pairs(of_pairs)] if of_pairs else []
    return " ".join(said) or "No feature alone tells segments apart."


def _tell_all(rows: Rows) -> str:
    if len(rows) == 1:
        return f"{rows[0]['feature']} alone tells the segments apart (association {rows[0]['association']:.2f})."
    told = [f"{row['feature']} ({word}{row['association']:.2f})" for row, word in _with_word(rows)]
    return f"Each by itself, {_list(told, len(rows))} tell the segments apart."


def _tell_pairs(rows: Rows) -> str:
    pairs = [f"{row['segment_id']} and {row['other_segment_id']}" for row in rows]
    if len(rows) == 1:
        return f"{rows[0]['feature']} alone tells {pairs[0]} apart (association {rows[0]['association']:.2f})."
    told = [
        f"{row['feature']} tells {pair} apart ({word}{row['association']:.2f})"
        for (row, word), pair in zip(_with_word(rows), pairs, strict=False)
    ]
    return f"Each by itself, {_list(told, len(rows))}."


def _with_word(rows: Rows) -> list[tuple[dict[str, Any], str]]:
    """Those that are named; the first says what its number is."""
    return [(row, "" if place else "association ") for place, row in enumerate(rows[:NAMED])]


def _list(told: list[str], of: int) -> str:
    """A list in words, of which the last stands for those that are not named."""
    *first, last = [*told, *([f"{of - len(told)} more"] if of > len(told) else [])]
    return f"{', '.join(first)} and {last}"
