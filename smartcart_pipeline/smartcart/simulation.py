"""Simulated nights, in which the truth is known: how often customers are relabelled without cause, and how seldom.

The project's generator makes households, more every night, in three worlds. In the first nobody's life changes. In the
second some households change theirs: they come to wealth or lose it over some nights, or find or lose a partner.
In the third a new kind of customer arrives on one night. Each night goes through the very verbs of a run, and beside it
through a plain refit and a refit whose clusters are matched with those of the night before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from math import isnan
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from smartcart_pipeline.declaration.declaration import shipped_declaration
from smartcart_pipeline.segmentation import (
    Rows,
    clustering,
    components,
    contest,
    hysteresis,
    identity,
    migration,
    sampling,
    scaling,
    selection,
)
from smartcart_pipeline.segmentation.components import Components
from smartcart_pipeline.segmentation.contest import Champion, Requested, Tonight
from smartcart_pipeline.segmentation.features import describe_customers
from smartcart_pipeline.segmentation.gate import Gate
from smartcart_pipeline.segmentation.hands import P, T
from smartcart_pipeline.segmentation.hysteresis import Hysteresis
from smartcart_pipeline.segmentation.model import SegmentModel, assign_model
from smartcart_pipeline.segmentation.moments import sum_moments
from smartcart_pipeline.smartcart.sample import (
    EDUCATIONS,
    LAST_JOIN_DATE,
    MARITAL_STATUSES,
    Households,
    draw_households,
)

WORLDS = ("unchanged", "gradual", "sudden")
ARRIVAL = 45
NEWCOMERS_A_NIGHT = 0.004
GROUP_SHARE = 0.08
CHANGING_SHARE = 0.2
SLIDE_NIGHTS = 10
# Customers on which k is chosen each night: fewer than in a run, so that ninety nights take seconds.
SAMPLE = 1_000

Bools = NDArray[np.bool_]


class Memory:
    """The hands of a contest over small frames in memory."""

    def rows(self, frame: Any) -> Rows:
        """See `DuckDBEngine.rows`."""
        # What is missing, pandas gives as not a number.
        rows: Rows = [
            {name: None if isinstance(value, float) and isnan(value) else value for name, value in row.items()}
            for row in frame.rows(named=True)
        ]
        return rows

    def array(self, frame: Any, columns: Sequence[str]) -> np.ndarray:
        """See `DuckDBEngine.array`."""
        return np.column_stack([frame[name].to_numpy() for name in columns]).astype(np.float64)

    def keep(self, frame: Any) -> Any:
        """See `DuckDBEngine.keep`."""
        return frame

    def number_ids(self, frame: Any) -> Any:
        """See `DuckDBEngine.number_ids`; ids of the worlds are numbers."""
        return frame.with_columns(nw.col("customer_id").alias(sampling.ID_NUMBER))

    def call(self, verb: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Have a verb work, here and now."""
        return verb(*arguments, **named)

    def refine_centroids(self, points: Any, centroids: np.ndarray) -> np.ndarray:
        """See `DuckDBEngine.refine_centroids`."""
        return clustering.refine_centroids(points, centroids, self.rows)


@dataclass(eq=False)
class World:
    """Households over time.

    Attributes:
        kind: Which of `WORLDS`.
        households: All that were ever drawn, those to come too.
        arrives: The night on which each is first exported.
        changes: The night on which each begins to change its life; -1 for never.
        changed: The night on which the change is complete.
        is_new_group: Whether each belongs to the new kind of customer.
        other: The same households after their change.
    """

    kind: str
    households: Households
    arrives: NDArray[np.int64]
    changes: NDArray[np.int64]
    changed: NDArray[np.int64]
    is_new_group: Bools
    other: Households

    def export(self, night: int) -> tuple[Any, NDArray[np.int64]]:
        """The cleaned customers of a night, and the position of each.

        Args:
            night: From 0.

        Returns:
            A frame as `clean_customers` gives it, and positions in `households`.
        """
        import pandas as pd  # noqa: PLC0415  (slow to import)

        here = np.flatnonzero(self.arrives <= night)
        progress = np.clip((night - self.changes + 1) / np.maximum(self.changed - self.changes, 1), 0, 1)
        progress = np.where(self.changes < 0, 0.0, progress)[here]
        before, after = take(self.households, here), take(self.other, here)
        now = replace(
            before,
            affluence=before.affluence + progress * (after.affluence - before.affluence),
            appetite_luck=before.appetite_luck + progress * (after.appetite_luck - before.appetite_luck),
            partner=np.where(progress > 0, after.partner, before.partner),
            # Who buys every hundred days bought last on a day of their own.
            recency=(before.recency + night) % 100,
        )
        columns = now.describe()
        frame = pd.DataFrame(columns | {"customer_id": here})
        frame["education"] = np.array(EDUCATIONS)[columns["education"]]
        frame["marital_status"] = np.array(MARITAL_STATUSES)[columns["marital_status"]]
        frame["dt_customer"] = pd.to_datetime(frame["dt_customer"])
        frame["as_of_date"] = pd.Timestamp(as_of(night))
        return nw.from_native(frame, eager_only=True), here


def as_of(night: int) -> date:
    """The as-of date of a night.

    Args:
        night: From 0.

    Returns:
        The day.
    """
    first: date = LAST_JOIN_DATE.astype(object)
    return first + timedelta(days=night)


def make_world(kind: str, customers: int, nights: int, seed: int) -> World:
    """Draw a world.

    Args:
        kind: One of `WORLDS`.
        customers: On the first night.
        nights: How many.
        seed: The same seed draws the same world.

    Returns:
        The world.
    """
    rng = np.random.default_rng([seed, WORLDS.index(kind)])
    newcomers = round(customers * NEWCOMERS_A_NIGHT)
    households = draw_households(rng, customers + newcomers * (nights - 1))
    arrives = np.concatenate([np.zeros(customers, np.int64), np.repeat(np.arange(1, nights), newcomers)])
    is_new_group = np.zeros(len(arrives), bool)
    if kind == "sudden":
        group = draw_large_families(rng, round(GROUP_SHARE * customers))
        households = join(households, group)
        arrives = np.concatenate([arrives, np.full(len(group.age), ARRIVAL)])
        is_new_group = np.concatenate([is_new_group, np.ones(len(group.age), bool)])
    # Who arrives later has joined on that day, but is a customer like any other.
    tenure = np.where(arrives > 0, -arrives, households.tenure)
    households = replace(households, tenure=tenure)
    changes = np.full(len(arrives), -1)
    other, changed = households, changes
    if kind == "gradual":
        changes, changed, other = _change_lives(rng, households, customers, nights)
    return World(kind, households, arrives, changes, changed, is_new_group, other)


def draw_large_families(rng: np.random.Generator, size: int) -> Households:
    """Customers such as the generator never draws: large, well-off families that look for bargains on the web.

    Args:
        rng: Where luck comes from.
        size: How many.

    Returns:
        The households.
    """
    drawn = draw_households(rng, size)
    return replace(
        drawn,
        age=38 + np.floor(10 * rng.random(size)),
        partner=np.ones(size, bool),
        kids=2 + (rng.random(size) < 0.5).astype(np.int64),
        teens=1 + (rng.random(size) < 0.5).astype(np.int64),
        affluence=0.75 + 0.2 * rng.random(size),
        hunting_luck=drawn.hunting_luck + 1,
        appetite_luck=drawn.appetite_luck + 5,
        visits=np.full(size, 8),
    )


def _change_lives(
    rng: np.random.Generator, households: Households, customers: int, nights: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Households]:
    """Choose who changes, when, and into what: another level of wealth, or with a partner where there was none."""
    size = len(households.age)
    chosen = np.flatnonzero(rng.random(size) < CHANGING_SHARE)
    # Only those who are clearly one thing can become clearly another.
    clear = np.abs(households.appetite - 0.5) > 0.4
    chosen = chosen[clear[chosen] & (chosen < customers)]
    changes = np.full(size, -1)
    changes[chosen] = rng.integers(5, max(nights - SLIDE_NIGHTS - 10, 6), len(chosen))
    slides = np.zeros(size, bool)
    slides[chosen] = rng.random(len(chosen)) < 0.5
    rich = households.appetite > 0.5
    other = replace(
        households,
        affluence=np.where(
            slides, np.where(rich, households.affluence - 0.5, households.affluence + 0.5), households.affluence
        ),
        appetite_luck=np.where(slides, np.where(rich, -6.0, 6.0), households.appetite_luck),
        partner=np.where((changes >= 0) & ~slides, ~households.partner, households.partner),
    )
    return changes, np.where(changes < 0, -1, changes + np.where(slides, SLIDE_NIGHTS, 1)), other


def take(households: Households, positions: NDArray[np.int64]) -> Households:
    """Some of the households."""
    return _each(lambda values: values[positions], households)


def join(one: Households, more: Households) -> Households:
    """Households, and more of them."""
    return _each(lambda *values: np.concatenate(values), one, more)


def _each(apply: Any, *several: Households) -> Households:
    columns: dict[str, Any] = {}
    for column in fields(Households):
        values = [getattr(households, column.name) for households in several]
        columns[column.name] = (
            {name: apply(*[value[name] for value in values]) for name in values[0]}
            if isinstance(values[0], dict)
            else apply(*values)
        )
    return Households(**columns)


@dataclass
class Played:
    """What happened to the published segments over the nights of a world, by one policy.

    Attributes:
        relabelled: For each night, the share of the known customers that were relabelled without cause.
        found: Nights until the new group had a segment of its own; None if it never had.
        moved: Share of the truly changed customers that ended in another segment.
        told: Moves by their true cause and the cause told.
        promotions: Nights on which a challenger was promoted.
    """

    relabelled: list[float] = field(default_factory=list)
    found: int | None = None
    moved: float | None = None
    told: dict[tuple[str, str], int] = field(default_factory=dict)
    promotions: list[int] = field(default_factory=list)

    @property
    def right_causes(self) -> float | None:
        """Share of the moves whose cause was told right."""
        total = sum(self.told.values())
        return sum(count for (true, told), count in self.told.items() if true == told) / total if total else None


def play_world(world: World, nights: int, seed: int, gate: Gate, rule: Hysteresis) -> dict[str, Played]:
    """Play the nights of a world.

    Args:
        world: The world.
        nights: How many.
        seed: Seed of the fits.
        gate: When to promote.
        rule: When a customer's published segment follows the raw one.

    Returns:
        What happened under `identity` (this pipeline), `matching` (a refit each night, clusters matched) and `refit`.
    """
    players: list[Any] = [Identity(seed, gate, rule), Matched(), Refit()]
    played = {player.name: Played() for player in players}
    size = len(world.arrives)
    first: dict[str, Any] = {}
    before = {player.name: np.full(size, "", dtype=object) for player in players}
    for night in range(nights):
        frame, here = world.export(night)
        tonight = describe_night(frame, night, seed)
        for player in players:
            labels = np.full(size, "", dtype=object)
            labels[here] = player.publish(tonight, seed)
            record = played[player.name]
            _record(record, world, night, before[player.name], labels)
            if isinstance(player, Identity):
                _record_causes(record, world, night, player)
            start = first.setdefault(player.name, labels.copy())
            start[(start == "") & (labels != "")] = labels[(start == "") & (labels != "")]
            begins = world.changes == night + 1
            start[begins] = labels[begins]
            before[player.name] = labels
    for name, record in played.items():
        done = (world.changes >= 0) & (world.changed <= nights)
        if done.any():
            record.moved = float((before[name][done] != first[name][done]).mean())
    return played


def summarise_world(kind: str, customers: int, nights: int, seed: int) -> Rows:
    """Play a world with the pipeline's own settings, and sum up.

    Args:
        kind: One of `WORLDS`.
        customers: On the first night.
        nights: How many.
        seed: Of everything.

    Returns:
        One row a policy: world, policy, customers, nights, seed, mean_relabelled and worst_relabelled (shares of the
        known customers, without cause), nights_to_find, changed_moved and causes_right (shares, None where that is not
        asked), moves (with a cause told) and promotions.
    """
    played = play_world(make_world(kind, customers, nights, seed), nights, seed, Gate(), Hysteresis())
    facts = {"world": kind, "customers": customers, "nights": nights, "seed": seed}
    return [
        facts
        | {
            "policy": policy,
            "mean_relabelled": float(np.mean(record.relabelled)),
            "worst_relabelled": max(record.relabelled),
            "nights_to_find": record.found,
            "changed_moved": record.moved,
            "causes_right": record.right_causes,
            "moves": sum(record.told.values()),
            "promotions": len(record.promotions),
        }
        for policy, record in played.items()
    ]


def _record(record: Played, world: World, night: int, before: Any, labels: Any) -> None:
    known = (before != "") & (labels != "")
    caused = known & (world.changes >= 0) & (world.changes <= night)
    moved = known & (before != labels)
    if night:
        record.relabelled.append(float((moved & ~caused).sum() / max(known.sum(), 1)))
    if world.is_new_group.any() and record.found is None and night >= ARRIVAL:
        of_group = labels[world.is_new_group]
        names, counts = np.unique(of_group.astype(str), return_counts=True)
        name, count = names[counts.argmax()], counts.max()
        if count >= len(of_group) / 2 and count >= (labels == name).sum() / 2:
            record.found = night - ARRIVAL


def _record_causes(record: Played, world: World, night: int, player: "Identity") -> None:
    if player.promoted and night:
        record.promotions.append(night)
    for customer, told in player.causes:
        changing = 0 <= world.changes[customer] <= night
        true = "customer" if changing else "model" if player.promoted else "borderline"
        record.told[true, told] = record.told.get((true, told), 0) + 1


@dataclass(frozen=True, eq=False)
class Night:
    """A night, described and fitted up to the choice of k.

    Attributes:
        number: From 0.
        features: From `describe_customers`.
        points: The customers on tonight's components.
        sample: Some customers, with both.
        candidates: The table `k_selection`.
        fit: Tonight's scaler and components.
    """

    number: int
    features: Any
    points: Any
    sample: Any
    candidates: Rows
    fit: SegmentModel


def describe_night(cleaned: Any, number: int, seed: int) -> Night:
    """From cleaned customers to the choice of k, as a run does it.

    Args:
        cleaned: Customers as `clean_customers` gives them.
        number: The night, from 0.
        seed: Seed of the fits.

    Returns:
        The night.
    """
    declaration, memory = shipped_declaration(), Memory()
    recipe = declaration.recipe
    features = describe_customers(cleaned, declaration)
    encoded = scaling.encode_features(features, recipe)
    drawn = sampling.sample_customers(memory, features, SAMPLE, seed)
    fences = scaling.fit_fences(memory.array(drawn, recipe.fenced), recipe.fenced, recipe.fences or 0)
    moments = sum_moments([memory.array(scaling.fence(encoded, fences), recipe.names)], recipe.names)
    scaler = replace(scaling.weigh(scaling.fit_scaler(moments), recipe.factors), fences=fences)
    weighed = scaling.weigh_pairs(scaling.correlate(moments), recipe.factors)
    fitted: Components = components.fit_components(weighed, recipe.names)
    points = components.project(scaling.standardise(encoded, scaler), fitted)
    sample = sampling.sample_places(memory, features, points, SAMPLE, seed)
    candidates = selection.choose_k(selection.evaluate_candidates(memory.array(sample, components.NAMES), seed))
    nothing = np.zeros((1, components.COMPONENTS))
    model = SegmentModel(declaration, as_of(number), {}, scaler, fitted, nothing, ("S01",), ("none",))
    return Night(number, features, points, sample, candidates, model)


class Identity:
    """This pipeline: champion and challenger, identity and hysteresis."""

    name = "identity"

    def __init__(self, seed: int, gate: Gate, rule: Hysteresis) -> None:
        """Begin without a model."""
        self.seed, self.gate, self.rule = seed, gate, rule
        self.champion: Champion | None = None
        self.named = 0
        self.clusters: Any = None
        self.features: Any = None
        self.promoted = False
        self.causes: Iterator[tuple[int, str]] | list[tuple[int, str]] = []
        self.verdicts: list[str] = []

    def publish(self, night: Night, seed: int, requested: Requested | None = None) -> NDArray[np.object_]:
        """The published segment of every customer of a night."""
        tonight = Tonight(
            night=night.number + 1,
            features=night.features,
            points=night.points,
            sample=night.sample,
            candidates=night.candidates,
            fit=night.fit,
            previous=self.clusters,
            is_newest=True,
            seed=seed,
        )
        old = self.champion
        outcome = contest.hold_contest(Memory(), tonight, old, self.named, self.gate, requested)
        self.champion, self.named, self.promoted = outcome.in_force, outcome.named, outcome.decision.promoted
        self.verdicts.append(outcome.decision.verdict)
        model = outcome.in_force.model
        placed = assign_model(night.features, model)
        clusters = hysteresis.settle_segments(placed, self.clusters, model.segment_ids, self.rule)
        self.causes = []
        if old is not None:
            moves = migration.find_moves(clusters)
            explained = migration.explain_moves(moves, night.features, self.features, old.model, model, self.rule.band)
            self.causes = list(zip(explained["customer_id"].to_list(), explained["cause"].to_list(), strict=True))
        self.clusters, self.features = clusters, night.features
        published: NDArray[np.object_] = clusters.sort("customer_id")["segment_id"].to_numpy().astype(object)
        return published


def fit_anew(night: Night, seed: int) -> NDArray[np.intp]:
    """The cluster of every customer by a fit that knows no night before; 0 spends most on average."""
    k = next(row["k"] for row in night.candidates if row["is_selected"])
    points = Memory().array(night.points, components.NAMES)
    labels = clustering.nearest_labels(points, clustering.fit_kmeans(points, k, seed))
    spending = Memory().array(night.features, ["total_spending"])[:, 0]
    order = np.argsort([-spending[labels == label].mean() for label in range(k)])
    numbered: NDArray[np.intp] = np.argsort(order)[labels]
    return numbered


class Refit:
    """A plain refit every night, its clusters numbered by spending."""

    name = "refit"

    def publish(self, night: Night, seed: int) -> NDArray[np.object_]:
        """The cluster of every customer of a night."""
        return np.array([identity.name_segment(number + 1) for number in fit_anew(night, seed)], dtype=object)


class Matched:
    """A plain refit every night, its clusters matched with those of the night before."""

    name = "matching"

    def __init__(self) -> None:
        """Begin without segments."""
        self.before: dict[int, str] = {}
        self.ids: tuple[str, ...] = ()
        self.named = 0

    def publish(self, night: Night, seed: int) -> NDArray[np.object_]:
        """The segment of every customer of a night."""
        labels = fit_anew(night, seed)
        customers = night.features["customer_id"].to_list()
        pairs: dict[tuple[str, int], int] = {}
        for customer, label in zip(customers, labels.tolist(), strict=True):
            if customer in self.before:
                pair = self.before[customer], label
                pairs[pair] = pairs.get(pair, 0) + 1
        overlaps = [{"segment_id": a, "cluster": b, "customers": count} for (a, b), count in pairs.items()]
        matching = identity.match_segments(overlaps, self.ids, int(labels.max()) + 1, self.named)
        self.ids, self.named = matching.segment_ids, matching.named
        published = np.array([self.ids[label] for label in labels], dtype=object)
        self.before = dict(zip(customers, published.tolist(), strict=True))
        return published
