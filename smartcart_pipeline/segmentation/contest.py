"""The contest of a night: tonight's fit against the model in force, and which of the two customers are put in by.

What belongs here: the order in which the verbs of `segmentation` are asked, by a run and by a simulation alike. What
does not: the rules (see `gate`) and where models are kept (see `storage.models`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np

from smartcart_pipeline.declaration.contract import Contract
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import Rows, clustering, components, drift, identity, sampling, scaling, structure
from smartcart_pipeline.segmentation.drift import Reference
from smartcart_pipeline.segmentation.gate import (
    Decision,
    Evidence,
    Gate,
    challenger_k,
    count_relabelled,
    decide_promotion,
    promote_first,
)
from smartcart_pipeline.segmentation.hands import Hands
from smartcart_pipeline.segmentation.identity import Matching
from smartcart_pipeline.segmentation.model import SegmentModel, assign_model, label_by, place_customers, read_medians
from smartcart_pipeline.segmentation.silhouette import mean_silhouettes
from smartcart_pipeline.segmentation.structure import VERDICTS, Verdict

DISTANCE = "distance"
# A customer is far from every segment beyond the distance that this share of the fitted customers is within.
FAR_QUANTILE = 0.99
# Silhouettes of more customers than this take too much memory.
COMPARED_CUSTOMERS = 3_000


@dataclass(frozen=True, eq=False)
class Champion:
    """A segment model that is or was in force, or may come to be, with what later nights are held against.

    Attributes:
        version: Its name: `v` and the number of the night that made it.
        model: The fitted numbers.
        reference: How the customers it was fitted on are spread.
        far: Distance to the centroid that 99 of 100 of those were within (no unit).
        origin: How it was made, in a few words.
    """

    version: str
    model: SegmentModel
    reference: Reference
    far: float
    origin: str


@dataclass(frozen=True, eq=False)
class Tonight:
    """What a night brings to the contest.

    Attributes:
        night: Its number among those that were published, from 1.
        features: All customers, described.
        points: All customers on tonight's components.
        sample: Some customers, with both, kept; the fit begins with them, and the gate judges by them.
        candidates: The table `k_selection`.
        fit: Tonight's scaler and components, with anything for centroids.
        previous: The table `clusters` of the night before; None where there is none.
        is_newest: Whether no later as-of date has been published.
        seed: Seed of every random choice.
    """

    night: int
    features: Any
    points: Any
    sample: Any
    candidates: Rows
    fit: SegmentModel
    previous: Any
    is_newest: bool
    seed: int


@dataclass(frozen=True, eq=False)
class Requested:
    """A model that a person wants in force.

    Attributes:
        champion: The model.
        keeps_ids: Whether its segments keep their ids, because it was in force before.
        reason: The person's.
    """

    champion: Champion
    keeps_ids: bool
    reason: str


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a contest ended.

    Attributes:
        in_force: The model that customers are put into segments by tonight.
        challenger: Tonight's; the same where it was promoted.
        fitted: Tonight's fit, in canonical order.
        decision: Whether the challenger was promoted, and why.
        events: What became of each segment, rows of `segment_events` without the night; none on a held night.
        drift: Rows of `feature_drift` without the night; none on the first night.
        named: How many segment ids have ever been given.
    """

    in_force: Champion
    challenger: Champion
    fitted: np.ndarray
    decision: Decision
    events: Rows
    drift: Rows
    named: int


def begin_model(declaration: Declaration, figures: dict[str, Any], scaler: Rows, loadings: Rows) -> SegmentModel:
    """Tonight's scaler and components, to which the contest finds the centroids.

    Args:
        declaration: Which features it sees.
        figures: The row of the table `cleaning_figures`.
        scaler: All rows of the table `scaler`.
        loadings: All rows of the table `loadings`.

    Returns:
        A model without segments.
    """
    return SegmentModel(
        declaration=declaration,
        as_of_date=figures["as_of_date"],
        medians=read_medians(figures),
        scaler=scaling.read_scaler(scaler),
        components=components.read_components(loadings),
        centroids=np.empty((0, components.COMPONENTS)),
        segment_ids=(),
        personas=(),
    )


def require_same_key(champion: Champion, declaration: Declaration) -> None:
    """Refuse to hold a night against a model that knows customers by another key.

    Args:
        champion: The model in force.
        declaration: What the night goes by.

    Raises:
        HomeError: If the key is another column, or of another kind.
    """
    before, tonight = champion.model.declaration.contract, declaration.contract
    if (before.key_name, before.key.type) != (tonight.key_name, tonight.key.type):
        raise HomeError(
            f"By the contract customers are told apart by {_tell_key(tonight)}, and the model in force, "
            f"{champion.version}, knows them by {_tell_key(before)}. Another key is another base: name another home "
            "with --home."
        )


def _tell_key(contract: Contract) -> str:
    if contract.is_numbered:
        return "the number of their row"
    return f"{contract.key_name}, {contract.key.expected}"


def require_same_recipe(wanted: Champion, recipe: Recipe) -> None:
    """Refuse a model that a person wants in force, and that sees other features than a recipe makes.

    Args:
        wanted: The model.
        recipe: The recipe.

    Raises:
        HomeError: If it does.
    """
    if change := tell_change(wanted.model, recipe):
        raise HomeError(
            f"{wanted.version} was asked for, but since it was made the recipe has changed: {change}. Put the recipe "
            f"of {wanted.version} back first, or ask for another model: smartcart model promote."
        )


def tell_change(model: SegmentModel, recipe: Recipe) -> str:
    """How what tonight's recipe shows a model differs from what one sees.

    Args:
        model: The model.
        recipe: Tonight's.

    Returns:
        Clauses for people; empty where nothing differs. Words, limits and the order of features make no difference.
    """
    before, tonight = ({one.name: one for one in each.seen} for each in (model.features, recipe))
    both = [(before[name], one) for name, one in tonight.items() if name in before]
    told = {
        "the model now sees {}": [name for name in tonight if name not in before],
        "it no longer sees {}": [name for name in before if name not in tonight],
        "{} is made otherwise": [o.name for b, o in both if (b.verb, b.step) != (o.verb, o.step)],
        "{} weighs otherwise": [o.name for b, o in both if b.weight != o.weight],
    }
    clauses = [words.format(", ".join(names)) for words, names in told.items() if names]
    if recipe.segments not in (None, len(model.centroids)):
        clauses.append(f"there shall be {recipe.segments} segments")
    return "; ".join(clauses)


def hold_contest(
    hands: Hands,
    tonight: Tonight,
    champion: Champion | None,
    named: int,
    gate: Gate,
    requested: Requested | None = None,
) -> Outcome:
    """Fit tonight's model, hold it against the one in force, and decide.

    Args:
        hands: The engine.
        tonight: What the night brings.
        champion: The model in force; None before the first.
        named: How many segment ids have ever been given.
        gate: When to promote.
        requested: A model that a person wants in force instead.

    Returns:
        The outcome.
    """
    if champion is None:
        return _begin(hands, tonight)
    if change := tell_change(champion.model, tonight.fit.features):
        return _begin_anew(hands, tonight, champion, named, change, requested)
    placed = hands.array(assign_model(tonight.sample, champion.model).sort("customer_id"), ["kmeans_cluster", DISTANCE])
    is_far = placed[:, 1] > champion.far
    fitted = _fit(hands, tonight, champion, placed[:, 0].astype(int))
    contender = _propose(hands, tonight, champion, fitted, is_far, gate, requested)
    drifted = hands.call(drift.measure_drift, champion.reference, _count_bins(hands, tonight.sample, champion))
    matching = _match(hands, contender.counts, champion, contender.model, named, requested)
    if requested:
        decision = promote_first("person", f"Promoted by a person: {requested.reason}")
    else:
        decision = decide_promotion(
            _measure(hands, tonight, champion, contender, matching, is_far, drifted, gate), gate
        )
    if decision.promoted:
        # What becomes of the segments is told of all customers.
        counts = _count(hands, tonight, tonight.features, champion, contender.model)
        matching = _match(hands, counts, champion, contender.model, named, requested)
    challenger = _finish(hands, tonight, replace(contender.model, segment_ids=matching.segment_ids), contender.origin)
    return Outcome(
        in_force=challenger if decision.promoted else champion,
        challenger=challenger,
        fitted=fitted.model.centroids,
        decision=decision,
        events=matching.events if decision.promoted else [],
        drift=drifted,
        named=matching.named if decision.promoted else named,
    )


@dataclass(frozen=True, eq=False)
class Contender:
    """A model that would take the place of the one in force.

    Attributes:
        model: The model, without segments.
        counts: Sampled customers by the night before and both models, from `_count`.
        stability: How steady it is.
        origin: How it was made, in a few words.
        adds_segment: Whether it is the model in force with one more segment.
    """

    model: SegmentModel
    counts: Rows
    stability: float
    origin: str
    adds_segment: bool = False


def _fit(hands: Hands, tonight: Tonight, champion: Champion, labels: np.ndarray) -> Contender:
    """Tonight's fit, its clusters in the canonical order."""
    begun = _begin_fit(hands, tonight, champion, labels)
    model = replace(tonight.fit, centroids=hands.refine_centroids(tonight.points, begun))
    counts = _count(hands, tonight, tonight.sample, champion, model)
    model, counts = _reorder(model, counts, clustering.canonical_order(counts, "challenger"))
    return Contender(model, counts, _stability(tonight.candidates, len(model.centroids)), "fitted")


def _propose(
    hands: Hands,
    tonight: Tonight,
    champion: Champion,
    fitted: Contender,
    is_far: np.ndarray,
    gate: Gate,
    requested: Requested | None,
) -> Contender:
    """What a person wants; else tonight's fit, or one segment more where many are far from every segment.

    Where the recipe says how many segments there shall be, there is never one more.
    """
    if requested:
        wanted = requested.champion.model
        counts = _count(hands, tonight, tonight.sample, champion, wanted)
        return Contender(wanted, counts, fitted.stability, f"{requested.champion.version} by a person")
    if is_far.mean() < gate.unexplained_customers or tonight.fit.features.segments:
        return fitted
    points = hands.array(_project(tonight.sample, champion.model), components.NAMES)
    centroids = clustering.extend_centroids(points, champion.model.centroids, is_far)
    extended = replace(champion.model, centroids=centroids)
    return Contender(
        extended,
        _count(hands, tonight, tonight.sample, champion, extended),
        hands.call(clustering.measure_extension, points, centroids, champion.far, tonight.seed),
        f"{champion.version} and one more segment",
        adds_segment=True,
    )


def _measure(
    hands: Hands,
    tonight: Tonight,
    champion: Champion,
    contender: Contender,
    matching: Matching,
    is_far: np.ndarray,
    drifted: Rows,
    gate: Gate,
) -> Evidence:
    """What the gate asks of a contender."""
    counts = contender.counts
    return Evidence(
        drifted_features=float(np.mean([row["verdict"] == "drifted" for row in drifted])),
        unexplained_customers=float(is_far.mean()),
        silhouette_gain=_silhouette_gain(hands, tonight, champion.model, contender.model),
        stability=contender.stability,
        smallest_share=_smallest_share(counts, len(contender.model.centroids)),
        relabelled_share=count_relabelled(counts, champion.model.segment_ids, matching.segment_ids),
        adds_segment=contender.adds_segment,
        is_newest=tonight.is_newest,
        structure=_examine(hands, tonight, contender) if gate.structure != VERDICTS[0] else None,
    )


def _examine(hands: Hands, tonight: Tonight, contender: Contender) -> Verdict:
    """How far a contender's segments are to be believed."""
    gathered = structure.gather(hands, tonight.sample, contender.model)
    return hands.call(structure.examine, *gathered, len(contender.model.centroids), tonight.seed).verdict


def _begin(hands: Hands, tonight: Tonight) -> Outcome:
    """The first night: tonight's fit is the model in force."""
    fitted = _fit_afresh(hands, tonight)
    matching = hands.call(identity.match_segments, [], (), len(fitted.centroids), 0)
    first = _finish(hands, tonight, replace(fitted, segment_ids=matching.segment_ids), "fitted")
    decision = promote_first("first_model", "Promoted: it is the first model of this home.")
    return Outcome(first, first, fitted.centroids, decision, matching.events, [], matching.named)


def _begin_anew(
    hands: Hands, tonight: Tonight, champion: Champion, named: int, change: str, requested: Requested | None
) -> Outcome:
    """A night of another recipe: the model in force cannot be asked, so tonight's fit takes its place.

    Who was in which segment the night before says which segments go on, so that they keep their ids.
    """
    fitted = _fit_afresh(hands, tonight)
    model, origin = fitted, "fitted"
    if requested:
        model, origin = requested.champion.model, f"{requested.champion.version} by a person"
    counts = _count(hands, tonight, tonight.features, None, model)
    matching = _match(hands, counts, champion, model, named, requested)
    promoted = _finish(hands, tonight, replace(model, segment_ids=matching.segment_ids), origin)
    decision = (
        promote_first("person", f"Promoted by a person: {requested.reason}")
        if requested
        else promote_first("declaration", f"Promoted: the recipe has changed since {champion.version}: {change}.")
    )
    return Outcome(promoted, promoted, fitted.centroids, decision, matching.events, [], matching.named)


def _fit_afresh(hands: Hands, tonight: Tonight) -> SegmentModel:
    """Tonight's fit without a model before it, its clusters in the canonical order."""
    k = next(row["k"] for row in tonight.candidates if row["is_selected"])
    begun = _begin_anywhere(hands, tonight, _sampled_points(hands, tonight), k)
    fitted = replace(tonight.fit, centroids=hands.refine_centroids(tonight.points, begun))
    counts = _count(hands, tonight, tonight.sample, None, fitted)
    return _reorder(fitted, counts, clustering.canonical_order(counts, "challenger"))[0]


def _sampled_points(hands: Hands, tonight: Tonight) -> np.ndarray:
    return hands.array(tonight.sample.sort("customer_id"), components.NAMES)


def _begin_fit(hands: Hands, tonight: Tonight, champion: Champion, labels: np.ndarray) -> np.ndarray:
    """Where tonight's fit begins: where the champion's customers are now, if its number of clusters is still good."""
    points = _sampled_points(hands, tonight)
    k = len(champion.model.centroids)
    chosen = tonight.fit.features.segments or challenger_k(tonight.candidates, k)
    if chosen == k and len(np.unique(labels)) == k:
        return clustering.group_means(points, labels, k)
    return _begin_anywhere(hands, tonight, points, chosen)


def _begin_anywhere(hands: Hands, tonight: Tonight, points: np.ndarray, k: int) -> np.ndarray:
    return hands.call(clustering.fit_kmeans, points, k, tonight.seed, clustering.count_starts(tonight.fit.features))


def _stability(candidates: Rows, k: int) -> float:
    return float(next(row["stability"] for row in candidates if row["k"] == k))


def _count(hands: Hands, tonight: Tonight, customers: Any, champion: Champion | None, challenger: SegmentModel) -> Rows:
    """Some of tonight's customers by both models and the segment of the night before, in one pass over them."""
    frame, labels = customers.select(*tonight.features.collect_schema().names()), ["challenger"]
    if champion is not None:
        frame = label_by(frame, champion.model, {"champion": champion.model.centroids})
        labels.append("champion")
    # What the cluster's number goes by; whole numbers add up to the same in any order.
    worth = challenger.features.business.worth
    labelled = label_by(frame, challenger, {"challenger": challenger.centroids}).select(
        "customer_id", *labels, clustering.whole_worth(worth).alias("spending")
    )
    # Joined last: labels are all that goes through the join.
    if tonight.previous is not None:
        before = tonight.previous.select("customer_id", "segment_id")
        labelled = labelled.join(before, on="customer_id", how="left")
    else:
        labelled = labelled.with_columns(nw.lit(None, nw.String).alias("segment_id"))
    summed = labelled.group_by("segment_id", *labels).agg(nw.len().alias("customers"), nw.col("spending").sum())
    counts = [row | {name: int(row[name]) for name in labels} for row in hands.rows(summed)]
    if tonight.previous is None and champion is not None:
        # Nobody knows the night before any more: the champion says where customers would have been.
        return [row | {"segment_id": champion.model.segment_ids[row["champion"]]} for row in counts]
    return counts


def _count_bins(hands: Hands, sample: Any, champion: Champion) -> Rows:
    """How the sample spreads over the bins, which the champion's own sample made: one row."""
    marked = sample.select("customer_id", *drift.mark_bins(champion.reference))
    sums = [nw.col(name).sum() for name in marked.collect_schema().names() if name != "customer_id"]
    return hands.rows(marked.select(nw.len().alias("customers"), *sums))


def _reorder(model: SegmentModel, counts: Rows, order: Sequence[int]) -> tuple[SegmentModel, Rows]:
    """Number the clusters anew, in the canonical order."""
    new = {old: number for number, old in enumerate(order)}
    return (
        replace(model, centroids=model.centroids[list(order)]),
        [row | {"challenger": new[row["challenger"]]} for row in counts],
    )


def _match(
    hands: Hands, counts: Rows, champion: Champion, challenger: SegmentModel, named: int, requested: Requested | None
) -> Matching:
    overlaps = [
        {"segment_id": row["segment_id"], "cluster": row["challenger"], "customers": row["customers"]} for row in counts
    ]
    keeps = challenger.segment_ids if requested and requested.keeps_ids else None
    return hands.call(
        identity.match_segments, overlaps, champion.model.segment_ids, len(challenger.centroids), named, keeps
    )


def _smallest_share(counts: Rows, clusters: int) -> float:
    sizes = identity.sum_segments(counts, "challenger")
    return min(sizes[cluster] for cluster in range(clusters)) / max(sum(sizes.values()), 1)


def _project(features: Any, model: SegmentModel) -> Any:
    return place_customers(features, model).sort("customer_id")


def _silhouette_gain(hands: Hands, tonight: Tonight, champion: SegmentModel, challenger: SegmentModel) -> float:
    """How much better the challenger's silhouette is, over all standardised features, where neither is at home."""
    few = hands.keep(sampling.sample_customers(hands, tonight.sample, COMPARED_CUSTOMERS, tonight.seed))
    scaled = scaling.standardise(scaling.encode_features(few, tonight.fit.features), tonight.fit.scaler)
    space = hands.array(scaled.sort("customer_id"), tonight.fit.features.names)
    labels = [
        clustering.nearest_labels(hands.array(_project(few, model), components.NAMES), model.centroids)
        for model in (champion, challenger)
    ]
    if any(len(np.unique(of)) < 2 for of in labels):
        return 0.0
    before, after = hands.call(mean_silhouettes, space, labels)
    return after - before


def _finish(hands: Hands, tonight: Tonight, model: SegmentModel, origin: str) -> Champion:
    """What later nights are held against, beside the numbers themselves."""
    model = replace(model, personas=model.segment_ids)
    sample = tonight.sample.sort("customer_id")
    # Some recipes have no numbers, others no categories, and no frame is without columns.
    numeric, texts = list(model.features.numeric), [name for name, _ in model.features.categorical]
    numbers = dict(zip(numeric, hands.array(sample, numeric).T, strict=True)) if numeric else {}
    told = hands.rows(sample.select(*texts)) if texts else []
    distances = hands.array(assign_model(sample, model).sort("customer_id"), [DISTANCE])[:, 0]
    return Champion(
        version=f"v{tonight.night}",
        model=model,
        reference=drift.describe_spread(numbers, {name: [row[name] for row in told] for name in texts}, model.features),
        far=float(np.quantile(distances, FAR_QUANTILE, method="inverted_cdf")),
        origin=origin,
    )
