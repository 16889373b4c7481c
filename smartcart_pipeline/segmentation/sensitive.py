"""Sensitive attributes: how far the segments follow what they shall not follow unawares.

Segments that never saw an attribute may follow it all the same, by way of features that go with it. Two things tell:
for a whole attribute its association with the segments (see `drivers`), and for each of its categories how much more
frequent it is in a segment than among all customers.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.drivers import count_groups, cramers_v
from smartcart_pipeline.segmentation.profiling import ValueCounts

# A number of more different values than this is cut into so many bands.
DIFFERENT, BANDS = 6, 4
# Of the standard normal distribution, the square of the bounds of its middle 95 %.
Z_SQUARED = 1.959963984540054**2
# Halvings of the range in which a bound lies: more than a double has digits.
HALVINGS = 60

Counted = tuple[np.ndarray, np.ndarray]


def associate_sensitive(counts: Mapping[int, ValueCounts], segments: Mapping[int, str], recipe: Recipe) -> Rows:
    """How frequent each category of each sensitive attribute is in each segment, beside all customers.

    Numbers of few different values have these for categories; all others are cut at the quartiles of all customers.

    Args:
        counts: For each cluster, how many customers have each value of each feature.
        segments: The segment of each cluster.
        recipe: Says which features are sensitive.

    Returns:
        One row an attribute, category and segment, in this order: `segment_id`, `attribute`, `category`, `customers`,
        `share` (0 to 1, in the segment), `base_share` (among all customers), `ratio` of the two with the bounds of its
        95 % interval `ratio_low` and `ratio_high`, and `association` of the attribute (Cramer's V, 0 to 1).
    """
    clusters = sorted(segments, key=segments.__getitem__)
    rows: Rows = []
    for attribute in recipe.sensitive:
        categories, table = _cross(attribute, [counts[cluster][attribute] for cluster in clusters], recipe)
        association = cramers_v(table)
        sizes, customers = table.sum(axis=0), int(table.sum())
        for category, found in zip(categories, table, strict=True):
            rows += [
                {"segment_id": segments[cluster], "attribute": attribute, "category": category}
                | _compare(int(own), int(size), int(found.sum()), customers)
                | {"association": association}
                for cluster, own, size in zip(clusters, found, sizes, strict=True)
            ]
    return rows


def _compare(own: int, size: int, having: int, customers: int) -> dict[str, Any]:
    low, high = bound_ratio(own, size, having, customers)
    return {
        "customers": own,
        "share": own / size,
        "base_share": having / customers,
        "ratio": (own * customers) / (size * having),
        "ratio_low": low,
        "ratio_high": high,
    }


def _cross(attribute: str, counted: Sequence[Counted], recipe: Recipe) -> tuple[list[str], np.ndarray]:
    """The categories of an attribute, and how many customers of each segment are in them."""
    feature = recipe.by_name[attribute]
    values = np.unique(np.concatenate([own for own, _ in counted]))
    if feature.is_category:
        table, there = count_groups(counted), values.tolist()
        named = [group for group in feature.groups if group in there]
        return named, table[[there.index(group) for group in named]]
    if feature.is_flag:
        return [("no", "yes")[int(value)] for value in values], count_groups(counted)
    if len(values) <= DIFFERENT:
        return _write(values), count_groups(counted)
    edges = _find_edges(count_groups(counted).sum(axis=1), values)
    banded = [(np.searchsorted(edges, own), customers) for own, customers in counted]
    return label_bands(edges, values[0], values[-1], is_whole=_is_whole(values)), count_groups(banded)


def _find_edges(customers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The last value of every band but the last: quartiles, or fewer where one value has more than a quarter."""
    upto = np.cumsum(customers)
    quartiles = np.searchsorted(upto, [upto[-1] * number / BANDS for number in range(1, BANDS)])
    # Something must be left for the last band.
    return np.unique(values[np.minimum(quartiles, len(values) - 2)])


def label_bands(edges: np.ndarray, least: float, greatest: float, *, is_whole: bool) -> list[str]:
    """Say what is in each band of a number.

    Args:
        edges: The last value of every band but the last, rising, shape (bands - 1,).
        least: The least value of all.
        greatest: The greatest.
        is_whole: Whether all values are whole numbers.

    Returns:
        A label for each band: "up to 38", "39 to 47", "48", "49 and more", or "up to 1.5", "above 1.5 up to 2.0".
    """
    upper = _write(edges)
    if not is_whole:
        between = [f"above {low} up to {high}" for low, high in pairwise(upper)]
        return [f"up to {upper[0]}", *between, f"above {upper[-1]}"]
    lower = _write(edges + 1)
    between = [low if low == high else f"{low} to {high}" for low, high in zip(lower, upper[1:], strict=False)]
    first = upper[0] if edges[0] == least else f"up to {upper[0]}"
    last = lower[-1] if edges[-1] + 1 == greatest else f"{lower[-1]} and more"
    return [first, *between, last]


def _is_whole(values: np.ndarray) -> bool:
    return bool((values == np.floor(values)).all())


def _write(values: np.ndarray) -> list[str]:
    """Numbers as people read them, with as few decimals as tell them apart."""
    for decimals in range(0 if _is_whole(values) else 1, 17):
        written = [f"{value:z,.{decimals}f}" for value in values.tolist()]
        if len(set(written)) == len(values):
            return written
    return [f"{value!r}" for value in values.tolist()]


def bound_ratio(own: int, size: int, having: int, customers: int) -> tuple[float, float]:
    """A 95 % interval of how much more frequent something is in a segment than among all customers.

    All customers hold the segment's own, so the two shares are not independent; those of the segment and of everybody
    else are. Theirs is Koopman's score interval (1984, Biometrics 40, 513-517), which keeps what it promises for few
    customers and for none, where the logarithm of a ratio has no bounds. For a segment that is w of all customers, a
    ratio r of the two makes the ratio r / (w r + 1 - w) to everybody, which rises with r: bounds of the one are bounds
    of the other, and finite, as nothing is more than 1 / w times as frequent in a segment as among all.

    Args:
        own: Customers of the segment who have it.
        size: Customers of the segment.
        having: Customers who have it, at least one.
        customers: All customers.

    Returns:
        The bounds, which hold the ratio between them; both are 1 for a segment of everybody.
    """
    if size == customers:
        return 1.0, 1.0
    ratio, most = (own * customers) / (size * having), customers / size

    def is_within(at: float) -> bool:
        return _score(own, size, having - own, customers - size, at) <= Z_SQUARED

    bounds = []
    for outside in (0.0, most):
        within, beyond = ratio, outside
        # Nobody, or everybody, who has it is in the segment: no ratio lies beyond.
        for _ in range(HALVINGS if ratio != outside else 0):
            middle = (within + beyond) / 2
            within, beyond = (middle, beyond) if is_within(middle) else (within, middle)
        bounds.append(within)
    return min(bounds[0], ratio), max(bounds[1], ratio)


def _score(own: int, size: int, others: int, other_size: int, ratio: float) -> float:
    """Koopman's statistic: how far two counts are from a ratio of the segment to everybody, chi-squared by chance."""
    # By this ratio the shares of the segment and of the others are to each other as these.
    one, other = ratio * other_size, max(size + other_size - size * ratio, 0.0)
    having = own + others
    twice = one * (size + others) + other * (own + other_size)
    root = max(twice**2 - 4 * (size + other_size) * one * other * having, 0.0) ** 0.5
    # Of the shares that are so to each other, the likeliest.
    share, other_share = (min(part * 2 * having / (twice + root), 1.0) for part in (one, other))
    variance = other**2 * share * (1 - share) / size + one**2 * other_share * (1 - other_share) / other_size
    difference = (other * own / size - one * others / other_size) ** 2
    return difference / variance if variance else np.inf if difference else 0.0


def find_followed(rows: Rows, limit: float) -> dict[str, float]:
    """Attributes that the segments follow further than they may.

    Args:
        rows: Rows of `associate_sensitive`.
        limit: The greatest association that is let pass.

    Returns:
        The association of each, the strongest first.
    """
    associations = {row["attribute"]: row["association"] for row in rows if row["association"] > limit}
    return dict(sorted(associations.items(), key=lambda item: -item[1]))


def tell_followed(found: Mapping[str, float], limit: float) -> str:
    """Say which attributes the segments follow.

    Args:
        found: What `find_followed` found.
        limit: The limit.

    Returns:
        A sentence.
    """
    if not found:
        return f"The segments follow no sensitive attribute (no association above {limit:g})."
    *first, last = [f"{attribute} ({association:.2f})" for attribute, association in found.items()]
    told = f"{', '.join(first)} and {last}" if first else last
    return f"The segments follow what is sensitive, by an association above {limit:g}: {told}."
