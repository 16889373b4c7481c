"""How far to believe segments: whether noise would give them, other samples find them again, and gaps part them.

Few customer bases fall into groups by themselves. Dolnicar and Leisch (2010, "Evaluation of structure and
reproducibility of cluster solutions using the bootstrap", Marketing Letters 21) tell three cases apart, and so does the
verdict:

* natural: gaps lie between the groups, and whoever looks finds them;
* reproducible: there are no gaps, but other samples of the customers fall into the same segments;
* constructed: noise would fall into segments as well, or other samples fall into others. They may still be of use, as
  what people have decided; not as what has been found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import Rows, clustering, noise, scaling
from smartcart_pipeline.segmentation.agreement import recover
from smartcart_pipeline.segmentation.hands import Hands
from smartcart_pipeline.segmentation.model import SegmentModel
from smartcart_pipeline.segmentation.noise import Space, fit, hold_halves, place, shuffle
from smartcart_pipeline.segmentation.scaling import fit_fences
from smartcart_pipeline.segmentation.selection import choose_k, evaluate_candidates
from smartcart_pipeline.segmentation.silhouette import mean_silhouettes
from smartcart_pipeline.segmentation.threads import alone

Verdict = Literal["constructed", "reproducible", "natural"]
# From the least to believe to the most.
VERDICTS: tuple[Verdict, ...] = ("constructed", "reproducible", "natural")

# So many standard deviations of shuffled data's silhouettes above their mean are more than noise.
BEYOND_NOISE = 3.0
# Tibshirani and Walther (2005) ask for 0.8 to 0.9.
PREDICTED = 0.8
# Hennig (2007; R's fpc): 0.75 and more is a valid, stable cluster; less than 0.6 is not to be trusted.
RECOVERED = 0.75
# Half way between two segments lie at most half as many customers as around the centre of the lesser one.
GAP = 0.5

SHUFFLES, REFITS, SPLITS = 8, 10, 5
# Of fits that begin anywhere: one that begins badly says nothing of the customers.
STARTS, NULL_STARTS = 4, 2
# Silhouettes of more are the same to two digits; fits too.
COMPARED_CUSTOMERS, EXAMINED_CUSTOMERS = 1_000, 3_000
# Share of the way from one centre to the other.
BAND = 0.1


@dataclass(frozen=True)
class Structure:
    """What speaks for segments, and against.

    Attributes:
        silhouette: Mean silhouette over all standardised features.
        null_silhouette: The same of as many clusters of data whose features were each shuffled by itself: the mean.
        null_deviation: Standard deviation of those.
        prediction_strength: How well half of the customers predict who is together in the other half, 0 to 1.
        recovery: Of each segment, by cluster number, the mean Jaccard coefficient with what refits to bootstrap samples
            find, which begin anywhere.
        on_components: Mean silhouette on the components, where the segments are made.
        null_on_components: The mean of it of shuffled data, on components of their own.
        gap: Of the two segments that are parted least, how many customers lie half way between them, for each that lies
            around the centre of the lesser one.
        customers: How many were looked at.
    """

    silhouette: float
    null_silhouette: float
    null_deviation: float
    prediction_strength: float
    recovery: tuple[float, ...]
    on_components: float
    null_on_components: float
    gap: float
    customers: int

    @property
    def beyond_noise(self) -> float:
        """How many standard deviations the silhouette lies above those of shuffled data."""
        return (self.silhouette - self.null_silhouette) / max(self.null_deviation, 1e-9)

    @property
    def is_noise(self) -> bool:
        """Whether noise would give such segments, too: over all features, or where they are made."""
        return _is_noise(self.beyond_noise, self.on_components, self.null_on_components)

    @property
    def verdict(self) -> Verdict:
        """The verdict, by the thresholds above."""
        found_again = self.prediction_strength >= PREDICTED and min(self.recovery) >= RECOVERED
        if self.is_noise or not found_again:
            return "constructed"
        return "natural" if self.gap <= GAP else "reproducible"

    def reasons(self, names: Sequence[str]) -> str:
        """Why the verdict is as it is.

        Args:
            names: What each segment is called, by cluster number.

        Returns:
            A sentence each on noise, on other samples and on gaps.
        """
        worst = int(np.argmin(self.recovery))
        more = "no more than" if self.is_noise else "more than"
        again = "are" if self.prediction_strength >= PREDICTED and self.recovery[worst] >= RECOVERED else "are not"
        gap = "There are gaps" if self.gap <= GAP else "There are no gaps"
        return (
            f"The silhouette over all features is {self.silhouette:.3f}, and {self.null_silhouette:.3f} where each "
            f"feature is shuffled by itself ({self.beyond_noise:+.1f} standard deviations, of {BEYOND_NOISE:.0f} "
            f"needed); on the components {self.on_components:.3f} and {self.null_on_components:.3f}: {more} noise. "
            f"The segments {again} found again in other samples of the customers: prediction strength "
            f"{self.prediction_strength:.2f} (of {PREDICTED:.2f} needed), and of {names[worst]}, the least sure, "
            f"refits find {self.recovery[worst]:.2f} again (of {RECOVERED:.2f} needed). "
            f"{gap} between them: half way between the two nearest lie {self.gap:.2f} customers for each around a "
            f"centre ({GAP:.2f} at most is a gap)."
        )


def _is_noise(beyond_noise: float, on_components: float, null_on_components: float) -> bool:
    return beyond_noise < BEYOND_NOISE or on_components <= null_on_components


def examine(space: Space, points: np.ndarray, labels: np.ndarray, clusters: int, seed: int) -> Structure:
    """Look for what speaks for segments.

    Args:
        space: Customers in all that the model sees.
        points: The same customers on its components, shape (customers, 3).
        labels: Their segments, by cluster number, shape (customers,).
        clusters: How many segments there are.
        seed: Seed of every random choice.

    Returns:
        What was found, of 3,000 customers at most.
    """
    random = np.random.default_rng(seed)
    few = np.sort(random.permutation(len(points))[:EXAMINED_CUSTOMERS])
    space, points, labels = space.of(few), points[few], labels[few]
    compared = np.sort(random.permutation(len(points))[:COMPARED_CUSTOMERS])
    with alone():
        over_all, on_components = (_silhouette(of[compared], labels[compared]) for of in (space.values, points))
        nulls = np.array([_null(space, clusters, compared, random) for _ in range(SHUFFLES)])
        halves = [np.array_split(random.permutation(len(points)), 2) for _ in range(SPLITS)]
        strengths = [hold_halves(points, labels, clusters, each, seed, NULL_STARTS)[0] for each in halves]
        found = [_refit(points, labels, clusters, random) for _ in range(REFITS)]
    return Structure(
        silhouette=over_all,
        null_silhouette=float(nulls[:, 0].mean()),
        null_deviation=float(nulls[:, 0].std(ddof=1)),
        prediction_strength=float(np.mean(strengths)),
        recovery=tuple(map(float, np.mean(found, axis=0))),
        on_components=on_components,
        null_on_components=float(nulls[:, 1].mean()),
        gap=measure_gap(space.values, labels),
        customers=len(points),
    )


def gather(hands: Hands, sample: Any, model: SegmentModel) -> tuple[Space, np.ndarray, np.ndarray]:
    """Sampled customers as a model sees them.

    Args:
        hands: The engine.
        sample: Customers from `describe_customers`.
        model: The model.

    Returns:
        The customers in all that it sees; on its components, shape (customers, 3); and their clusters by it.
    """
    space = noise.gather(hands, sample, model.features, model.scaler)
    points = space.values @ model.components.loadings.T
    return space, points, clustering.nearest_labels(points, model.centroids)


def _silhouette(values: np.ndarray, labels: np.ndarray) -> float:
    """The mean silhouette; 0 where nobody is parted from anybody."""
    return mean_silhouettes(values, [labels])[0] if len(np.unique(labels)) > 1 else 0.0


def _null(space: Space, clusters: int, compared: np.ndarray, random: np.random.Generator) -> tuple[float, float]:
    """The silhouettes that the same procedure finds in noise: over all features, and on the components."""
    noise = shuffle(space, random)
    points = place(noise)
    labels = fit(points, clusters, int(random.integers(2**31)), NULL_STARTS).labels_
    return _silhouette(noise[compared], labels[compared]), _silhouette(points[compared], labels[compared])


def _refit(points: np.ndarray, labels: np.ndarray, clusters: int, random: np.random.Generator) -> np.ndarray:
    drawn = points[random.integers(0, len(points), len(points))]
    return recover(labels, fit(drawn, clusters, int(random.integers(2**31)), STARTS).predict(points), clusters)


def measure_gap(values: np.ndarray, labels: np.ndarray) -> float:
    """How full the space is half way between the two segments that are parted least.

    The customers of two segments are projected onto the line through their centres, and counted in three bands, each a
    fifth of the way between the centres wide: around the middle and around either centre. A continuum has about as many
    in the middle as around a centre, or more; where there is a gap, there are few.

    Args:
        values: Standardised features, shape (customers, columns).
        labels: Segments, shape (customers,), integers.

    Returns:
        Of the pair that has most in the middle: those, for each customer around the centre that has fewer; 0 where no
        two segments have customers.
    """
    members = [values[labels == label] for label in np.unique(labels)]
    return max((_fullness(one, other) for one, other in combinations(members, 2)), default=0.0)


def _fullness(one: np.ndarray, other: np.ndarray) -> float:
    start, way = one.mean(axis=0), other.mean(axis=0) - one.mean(axis=0)
    length = float(way @ way)
    if not length:
        return 1.0
    along = np.concatenate([(each - start) @ way / length for each in (one, other)])
    middle, *ends = (int((np.abs(along - place) < BAND).sum()) for place in (0.5, 0.0, 1.0))
    return middle / max(min(ends), 1)


def stand_apart(values: np.ndarray, recipe: Recipe) -> Space:
    """Fence, standardise and weigh customers by figures of their own.

    Args:
        values: Customers from `encode_features`, shape (customers, columns).
        recipe: Which columns those are.

    Returns:
        The customers in all that a model of the recipe sees.
    """
    places = [recipe.names.index(name) for name in recipe.fenced]
    fences = fit_fences(values[:, places], recipe.fenced, recipe.fences) if recipe.fences else {}
    inside = scaling.fence_values(values, recipe.names, fences)
    deviations = inside.std(axis=0)
    scale = np.where(deviations > 0, deviations, 1.0) / np.array(recipe.factors)
    return Space((inside - inside.mean(axis=0)) / scale, recipe.sources)


def examine_afresh(values: np.ndarray, recipe: Recipe, seed: int) -> tuple[Structure, np.ndarray]:
    """Find the segments that a recipe would make of a sample, and what speaks for them.

    Args:
        values: Customers from `encode_features`, shape (customers, columns).
        recipe: Which columns those are, and how many segments there shall be, if it says so.
        seed: Seed of every random choice.

    Returns:
        What was found, and the cluster of each customer, shape (customers,).

    Raises:
        ExportError: If there are too few customers for any.
    """
    space = stand_apart(values, recipe)
    points = place(space.values)
    rows = choose_k(evaluate_candidates(points, seed, wanted=recipe.segments), recipe.segments)
    k = next(row["k"] for row in rows if row["is_selected"])
    with alone():
        labels: np.ndarray = fit(points, k, seed, starts=10).labels_
    return examine(space, points, labels, k, seed), labels


def structure_row(recipe: str, found: Structure, names: Sequence[str], giveaway: str | None) -> dict[str, Any]:
    """A row of the table `structure`, but for whether it is of the model in force.

    Args:
        recipe: The recipe's name.
        found: What was found.
        names: What each segment is called, by cluster number.
        giveaway: The feature that alone gives the segments away, if one does.

    Returns:
        The row.
    """
    worst = int(np.argmin(found.recovery))
    return {
        "recipe": recipe,
        "segments": len(found.recovery),
        "verdict": found.verdict,
        "reasons": found.reasons(names),
        "giveaway": giveaway,
        "silhouette": found.silhouette,
        "null_silhouette": found.null_silhouette,
        "null_deviation": found.null_deviation,
        "beyond_noise": found.beyond_noise,
        "prediction_strength": found.prediction_strength,
        "recovery": found.recovery[worst],
        "on_components": found.on_components,
        "null_on_components": found.null_on_components,
        "gap": found.gap,
        "sample_customers": found.customers,
    }


def recovery_rows(found: Structure, segment_ids: Sequence[str]) -> Rows:
    """The table `segment_recovery`: one row a segment.

    Args:
        found: What was found.
        segment_ids: The segment of each cluster.

    Returns:
        Its rows.
    """
    return [
        {"segment_id": segment, "recovery": value, "is_found_again": value >= RECOVERED}
        for segment, value in zip(segment_ids, found.recovery, strict=True)
    ]


def is_doubtful(row: Mapping[str, Any]) -> bool:
    """Whether another recipe is worth a look.

    Args:
        row: The row of `structure` of the model in force.

    Returns:
        Whether its segments are constructed, or one feature gives them away.
    """
    return row["verdict"] == "constructed" or row["giveaway"] is not None


TOLD = {
    "natural": "The segments are natural: gaps part them.",
    "reproducible": "The segments are reproducible: no gaps part them, but other samples of the customers fall into "
    "the same.",
    "constructed": "The segments are constructed: {why}. They are a way to cut the customer base, not groups found in "
    "it.",
}


def tell_structure(rows: Rows) -> str:
    """How far to believe the segments, in a sentence or two.

    Args:
        rows: The table `structure`.

    Returns:
        The verdict on those in force, and the name of the recipe that would do better, if one was found.
    """
    [tonight] = [row for row in rows if row["is_in_force"]]
    is_noise = _is_noise(tonight["beyond_noise"], tonight["on_components"], tonight["null_on_components"])
    why = "noise would give them as well" if is_noise else "other samples of the customers fall into others"
    said = TOLD[tonight["verdict"]].format(why=why)
    better = [row for row in rows if not row["is_in_force"] and is_better(row, tonight)]
    named = [
        f" The recipe {row['recipe']} would do better: its {row['segments']} are "
        f"{row['verdict'] if row['verdict'] != tonight['verdict'] else 'given away by no feature'}."
        for row in better
    ]
    return said + "".join(named)


def is_better(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the segments of one recipe are more to be believed than those of another.

    Args:
        one: A row of `structure`.
        other: Another.

    Returns:
        Whether its verdict is better, or as good where only the other's are given away by one feature.
    """
    first, second = (VERDICTS.index(row["verdict"]) for row in (one, other))
    return first > second or (first == second and other["giveaway"] is not None and one["giveaway"] is None)
