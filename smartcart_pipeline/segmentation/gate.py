"""Promotion: whether tonight's challenger takes the place of the champion, the model in force.

A challenger is promoted where there is a reason to change and every criterion of safety holds. Each criterion is a row
of `promotion_decisions`, so that anyone can see what spoke for and against.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.selection import SILHOUETTE_TOLERANCE, STABLE
from smartcart_pipeline.segmentation.structure import VERDICTS, Verdict

Refit = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class Gate:
    """When a challenger is promoted.

    Attributes:
        refit: `auto` asks the criteria; `always` promotes every night's fit; `never` promotes none.
        drifted_features: A reason to change: at least this share of the features has drifted since the champion.
        silhouette_gain: A reason to change: the challenger's silhouette is better by this.
        unexplained_customers: A reason to add a segment: at least this share is far from every segment.
        stability: The challenger must be at least this stable.
        silhouette_loss: Its silhouette may be worse by this.
        segment_share: Its smallest segment must have this share of all customers.
        relabelled_customers: At most this share of the known customers may change segment.
        structure: Its segments must be as much to be believed as this verdict; `constructed` asks nothing.
    """

    refit: Refit = "auto"
    drifted_features: float = 0.25
    silhouette_gain: float = 0.02
    unexplained_customers: float = 0.03
    stability: float = STABLE
    silhouette_loss: float = 0.02
    segment_share: float = 0.02
    relabelled_customers: float = 0.05
    structure: Verdict = "constructed"


@dataclass(frozen=True)
class Evidence:
    """What is known of a challenger, beside the champion.

    Attributes:
        drifted_features: Share of the features whose verdict is drifted.
        unexplained_customers: Share of customers far from every segment of the champion.
        silhouette_gain: The challenger's silhouette less the champion's, of the same customers in the same space.
        stability: Mean adjusted Rand index of the challenger against fits to bootstrap samples.
        smallest_share: Share of the smallest segment of the challenger.
        relabelled_share: Share of the known customers whose segment would be another one.
        adds_segment: Whether the challenger is the champion with one more segment.
        is_newest: Whether no later as-of date has been published.
        structure: The verdict on its segments; None where the gate does not ask for it.
    """

    drifted_features: float
    unexplained_customers: float
    silhouette_gain: float
    stability: float
    smallest_share: float
    relabelled_share: float
    adds_segment: bool
    is_newest: bool
    structure: Verdict | None = None


@dataclass(frozen=True)
class Decision:
    """Whether the challenger is promoted.

    Attributes:
        promoted: Whether it is.
        verdict: Why, in plain words.
        criteria: Rows of `promotion_decisions` without the night.
    """

    promoted: bool
    verdict: str
    criteria: Rows


def decide_promotion(evidence: Evidence, gate: Gate) -> Decision:
    """Put a challenger through the gate.

    Args:
        evidence: What is known of it.
        gate: When to promote.

    Returns:
        The decision.
    """
    reasons = [
        _at_least("drifted_features", "reason", evidence.drifted_features, gate.drifted_features),
        _at_least("silhouette_gain", "reason", evidence.silhouette_gain, gate.silhouette_gain),
    ]
    if evidence.adds_segment:
        reasons = [
            _at_least("unexplained_customers", "reason", evidence.unexplained_customers, gate.unexplained_customers)
        ]
    safety = [
        _at_least("stability", "safety", evidence.stability, gate.stability),
        _at_least("silhouette_loss", "safety", evidence.silhouette_gain, -gate.silhouette_loss),
        _at_least("smallest_segment_share", "safety", evidence.smallest_share, gate.segment_share),
        _at_most("relabelled_customers", "safety", evidence.relabelled_share, gate.relabelled_customers),
        _at_least("newest_night", "safety", float(evidence.is_newest), 1.0),
    ]
    if evidence.structure is not None:
        found, needed = (float(VERDICTS.index(verdict)) for verdict in (evidence.structure, gate.structure))
        safety.append(_at_least("structure", "safety", found, needed))
    promoted = {
        "auto": any(row["passed"] for row in reasons) and all(row["passed"] for row in safety),
        "always": evidence.is_newest,
        "never": False,
    }[gate.refit]
    verdict = _tell(promoted, gate, evidence, reasons, [row for row in safety if not row["passed"]])
    return Decision(promoted, verdict, [*reasons, *safety])


def promote_first(criterion: str, verdict: str) -> Decision:
    """A decision that is not the gate's: the first model of all, another recipe's, or a person's.

    Args:
        criterion: What decided: `first_model`, `declaration` or `person`.
        verdict: Why, in plain words.

    Returns:
        The decision, to promote.
    """
    return Decision(True, verdict, [_at_least(criterion, "reason", 1.0, 1.0)])


def challenger_k(candidates: Rows, k: int) -> int:
    """The number of clusters of a challenger: that of the champion, as long as it is as good as any.

    Args:
        candidates: The table `k_selection`.
        k: The champion's.

    Returns:
        `k` where its silhouette is within 0.05 of the best and its stability at least 0.9; else what is selected.
    """
    selected = next(row for row in candidates if row["is_selected"])
    mine = next((row for row in candidates if row["k"] == k and row["silhouette"] is not None), None)
    best = max(row["silhouette"] for row in candidates if row["silhouette"] is not None)
    good = mine is not None and mine["silhouette"] >= best - SILHOUETTE_TOLERANCE and mine["stability"] >= STABLE
    return k if good else int(selected["k"])


def count_relabelled(overlaps: Rows, champion_ids: Sequence[str], challenger_ids: Sequence[str]) -> float:
    """Share of the known customers whose segment would be another one with the challenger.

    Args:
        overlaps: Customers by `segment_id` the night before (null where unknown), `champion` and `challenger`, the
            clusters that each model puts them in tonight.
        champion_ids: Segments of the champion's clusters.
        challenger_ids: Segments of the challenger's.

    Returns:
        From 0 to 1; 0 where nobody is known.
    """
    known = [row for row in overlaps if row["segment_id"] is not None]
    moved = [row for row in known if champion_ids[row["champion"]] != challenger_ids[row["challenger"]]]
    return float(sum(row["customers"] for row in moved) / max(sum(row["customers"] for row in known), 1))


def _at_least(criterion: str, role: str, value: float, limit: float) -> dict[str, Any]:
    return {"criterion": criterion, "role": role, "value": value, "limit": limit, "passed": value >= limit}


def _at_most(criterion: str, role: str, value: float, limit: float) -> dict[str, Any]:
    return {"criterion": criterion, "role": role, "value": value, "limit": limit, "passed": value <= limit}


WORDS = {
    "drifted_features": "{value:.0%} of the features have drifted (limit {limit:.0%})",
    "silhouette_gain": "the silhouette would be better by {value:.3f} (limit {limit:.3f})",
    "unexplained_customers": "{value:.1%} of the customers are far from every segment (limit {limit:.1%})",
    "stability": "its stability is {value:.3f} (limit {limit:.3f})",
    "silhouette_loss": "its silhouette differs by {value:+.3f} (limit {limit:+.3f})",
    "smallest_segment_share": "its smallest segment would have {value:.1%} of the customers (limit {limit:.1%})",
    "relabelled_customers": "{value:.1%} of the known customers would change segment (limit {limit:.1%})",
    "newest_night": "a later night has been published already",
    "structure": "its segments are less to be believed than the setting asks for (see structure)",
}


def _tell(promoted: bool, gate: Gate, evidence: Evidence, reasons: Rows, failed: Rows) -> str:
    """The verdict in plain words."""
    why = " and ".join(WORDS[row["criterion"]].format(**row) for row in reasons if row["passed"])
    kind = "The model in force gets one more segment" if evidence.adds_segment else "Tonight's fit is promoted"
    if gate.refit != "auto":
        told = "every night's fit is promoted" if gate.refit == "always" else "no fit is promoted"
        return f"{'Promoted' if promoted else 'Held'}: by the setting refit: {gate.refit}, {told}."
    if promoted:
        return f"{kind}: {why}, and every criterion of safety holds."
    if not why:
        return "Held: there is no reason to change the segments."
    against = "; ".join(WORDS[row["criterion"]].format(**row) for row in failed)
    return f"Held: {why}, but {against}."
