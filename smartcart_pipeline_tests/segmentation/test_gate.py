"""A challenger is promoted for a reason, and only if nothing speaks against it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from smartcart_pipeline.segmentation.clustering import extend_centroids, measure_extension, nearest_labels
from smartcart_pipeline.segmentation.gate import (
    Evidence,
    Gate,
    challenger_k,
    count_relabelled,
    decide_promotion,
    promote_first,
)
from smartcart_pipeline.segmentation.model import assign_model, label_by
from smartcart_pipeline.segmentation.structure import VERDICTS, Verdict
from smartcart_pipeline_tests.conftest import Frames, to_pandas
from smartcart_pipeline_tests.segmentation.test_model import random_features, random_model

GATE = Gate()
STEADY = Evidence(
    drifted_features=0.0,
    unexplained_customers=0.01,
    silhouette_gain=0.0,
    stability=0.98,
    smallest_share=0.15,
    relabelled_share=0.01,
    adds_segment=False,
    is_newest=True,
)
DRIFTED = replace(STEADY, drifted_features=0.5)
NEW_GROUP = replace(STEADY, adds_segment=True, unexplained_customers=0.05)


@pytest.mark.parametrize(
    ("evidence", "promoted", "said"),
    [
        (STEADY, False, "Held: there is no reason to change the segments."),
        (DRIFTED, True, "Tonight's fit is promoted: 50% of the features have drifted (limit 25%), and every criterion"),
        (replace(STEADY, silhouette_gain=0.02), True, "the silhouette would be better by 0.020 (limit 0.020)"),
        (NEW_GROUP, True, "The model in force gets one more segment: 5.0% of the customers are far from every segment"),
        (replace(DRIFTED, stability=0.85), False, "but its stability is 0.850 (limit 0.900)."),
        (replace(DRIFTED, silhouette_gain=-0.03), False, "but its silhouette differs by -0.030 (limit -0.020)."),
        (replace(DRIFTED, smallest_share=0.01), False, "but its smallest segment would have 1.0% of the customers"),
        (replace(DRIFTED, relabelled_share=0.06), False, "but 6.0% of the known customers would change segment"),
        (replace(DRIFTED, is_newest=False), False, "but a later night has been published already."),
        (replace(NEW_GROUP, relabelled_share=0.5, stability=0.1), False, "stability is 0.100 (limit 0.900); 50.0% of"),
    ],
)
def test_the_gate_says_what_it_decides_and_why(evidence: Evidence, promoted: bool, said: str):
    decision = decide_promotion(evidence, GATE)
    assert decision.promoted == promoted
    assert said in decision.verdict


def test_every_criterion_alone_holds_a_challenger_back():
    safety = [row for row in decide_promotion(DRIFTED, GATE).criteria if row["role"] == "safety"]
    assert all(row["passed"] for row in safety)
    assert [row["criterion"] for row in safety] == [
        "stability",
        "silhouette_loss",
        "smallest_segment_share",
        "relabelled_customers",
        "newest_night",
    ]


@pytest.mark.parametrize("found", VERDICTS)
@pytest.mark.parametrize("needed", VERDICTS)
def test_segments_must_be_as_much_to_be_believed_as_the_setting_asks(found: Verdict, needed: Verdict):
    decision = decide_promotion(replace(DRIFTED, structure=found), replace(GATE, structure=needed))
    [row] = [row for row in decision.criteria if row["criterion"] == "structure"]
    enough = VERDICTS.index(found) >= VERDICTS.index(needed)
    assert decision.promoted == row["passed"] == enough
    assert (row["role"], row["value"], row["limit"]) == ("safety", VERDICTS.index(found), VERDICTS.index(needed))
    told = "but its segments are less to be believed than the setting asks for (see structure)."
    assert (told in decision.verdict) != enough


def test_verdicts_stand_from_the_least_to_be_believed_to_the_most():
    assert VERDICTS == ("constructed", "reproducible", "natural")


def test_by_default_nobody_asks_how_far_segments_are_to_be_believed():
    assert GATE.structure == "constructed"
    assert STEADY.structure is None
    assert "structure" not in [row["criterion"] for row in decide_promotion(DRIFTED, GATE).criteria]
    # Whoever asks for no more than that lets everything pass.
    assert decide_promotion(replace(DRIFTED, structure="constructed"), GATE).promoted


def test_natural_segments_are_no_reason_to_change_and_a_forced_refit_asks_nobody():
    natural, constructed = (replace(STEADY, structure=verdict) for verdict in ("natural", "constructed"))
    assert not decide_promotion(natural, replace(GATE, structure="reproducible")).promoted
    assert decide_promotion(constructed, replace(GATE, structure="natural", refit="always")).promoted


# Limits that binary fractions hold exactly, none of them the default, and each another than the others.
OWN = Gate(
    drifted_features=0.5,
    silhouette_gain=0.25,
    unexplained_customers=0.125,
    stability=0.75,
    silhouette_loss=0.0625,
    segment_share=0.03125,
    relabelled_customers=0.375,
)
SAFE = replace(STEADY, drifted_features=1.0, stability=1.0, smallest_share=0.5, relabelled_share=0.0)


@pytest.mark.parametrize("adds_segment", [False, True])
@pytest.mark.parametrize(
    ("field", "limit", "worse"),
    [
        ("stability", 0.75, -1),
        ("silhouette_gain", -0.0625, -1),
        ("smallest_share", 0.03125, -1),
        ("relabelled_share", 0.375, 1),
    ],
)
def test_a_criterion_of_safety_that_is_met_exactly_holds(field: str, limit: float, worse: int, adds_segment: bool):
    reasoned = replace(SAFE, adds_segment=adds_segment, unexplained_customers=1.0)
    assert decide_promotion(replace(reasoned, **{field: limit}), OWN).promoted
    assert not decide_promotion(replace(reasoned, **{field: np.nextafter(limit, worse * np.inf)}), OWN).promoted


@pytest.mark.parametrize(
    ("field", "limit", "adds_segment"),
    [("drifted_features", 0.5, False), ("silhouette_gain", 0.25, False), ("unexplained_customers", 0.125, True)],
)
def test_a_reason_that_is_met_exactly_is_one(field: str, limit: float, adds_segment: bool):
    without = replace(SAFE, drifted_features=0.0, unexplained_customers=0.0, adds_segment=adds_segment)
    assert decide_promotion(replace(without, **{field: limit}), OWN).promoted
    assert not decide_promotion(replace(without, **{field: np.nextafter(limit, 0)}), OWN).promoted


def test_a_segment_is_added_for_unexplained_customers_alone():
    adding = replace(SAFE, adds_segment=True, unexplained_customers=0.0, silhouette_gain=0.9)
    assert not decide_promotion(adding, OWN).promoted
    fitting = replace(SAFE, drifted_features=0.0, unexplained_customers=1.0)
    assert not decide_promotion(fitting, OWN).promoted


@pytest.mark.parametrize(("refit", "promoted"), [("always", True), ("never", False)])
def test_a_setting_overrules_the_gate(refit: Any, promoted: bool):
    for evidence in (STEADY, replace(DRIFTED, stability=0.1)):
        decision = decide_promotion(evidence, replace(GATE, refit=refit))
        assert decision.promoted == promoted
        assert f"refit: {refit}" in decision.verdict
    assert not decide_promotion(replace(STEADY, is_newest=False), replace(GATE, refit="always")).promoted


def test_the_first_model_is_promoted():
    decision = promote_first("first_model", "It is the first.")
    assert (decision.promoted, decision.verdict) == (True, "It is the first.")


def candidates(*silhouettes: float, stability: float = 0.95, selected: int = 4) -> list[dict[str, Any]]:
    rows = [
        {"k": k, "silhouette": silhouette, "stability": stability, "is_selected": k == selected}
        for k, silhouette in enumerate(silhouettes, start=2)
    ]
    return [{"k": 1, "silhouette": None, "stability": None, "is_selected": False}, *rows]


def test_the_champions_k_stays_as_long_as_it_is_as_good_as_any():
    assert challenger_k(candidates(0.40, 0.41, 0.44), 2) == 2
    assert challenger_k(candidates(0.38, 0.41, 0.44), 2) == 4
    assert challenger_k(candidates(0.40, 0.41, 0.44, stability=0.8), 2) == 4
    assert challenger_k(candidates(0.40, 0.41, 0.44), 12) == 4


@pytest.mark.parametrize(("silhouette", "stability", "k"), [(0.40, 0.9, 2), (0.3999, 0.9, 4), (0.40, 0.8999, 4)])
def test_the_champions_k_is_judged_at_the_edges(silhouette: float, stability: float, k: int):
    # What is left of 0.45 without the tolerance is 0.40, to the last bit.
    rows = candidates(silhouette, 0.41, 0.45)
    rows[1]["stability"] = stability
    assert challenger_k(rows, 2) == k


CENTROIDS = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]])


def clouds(*places: tuple[tuple[float, float, float], int]) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.concatenate([np.array(place) + rng.normal(0, 0.5, (size, 3)) for place, size in places])


def test_a_segment_is_added_where_the_far_customers_are_and_the_others_stay():
    points = clouds(((0, 0, 0), 200), ((10, 0, 0), 200), ((5, 9, 0), 60))
    is_far = np.arange(460) >= 430  # only half of them are far enough to be seen
    extended = extend_centroids(points, CENTROIDS, is_far)
    assert extended[:2].tolist() == CENTROIDS.tolist()
    assert extended[2] == pytest.approx(points[400:].mean(axis=0), abs=1e-6)
    assert nearest_labels(points, extended)[400:].tolist() == [2] * 60
    assert measure_extension(points, extended, 3.0, 42) > 0.99


def test_an_extension_for_a_handful_of_strays_is_not_stable():
    points = clouds(((0, 0, 0), 200), ((10, 0, 0), 200), ((0, 6, 0), 1), ((10, -6, 0), 1), ((5, 0, 7), 1))
    is_far = np.sqrt(((points[:, None] - CENTROIDS) ** 2).sum(axis=2)).min(axis=1) > 3
    extended = extend_centroids(points, CENTROIDS, is_far)
    alone = clouds(((0, 0, 0), 200), ((10, 0, 0), 200), ((5, 9, 0), 60))
    steady = extend_centroids(alone, CENTROIDS, np.arange(460) >= 400)
    assert measure_extension(points, extended, 3.0, 42) < measure_extension(alone, steady, 3.0, 42)


def test_far_is_a_distance_and_not_its_square():
    """Customers farther than half a unit are far, though the square of their distance is less than that."""
    points = np.concatenate([np.zeros((300, 3)), np.tile([10.0, 0, 0], (300, 1)), np.tile([0, 0.6, 0], (100, 1))])
    extended = np.vstack([CENTROIDS, [[0, 0.6, 0]]])
    assert measure_extension(points, extended, 0.5, 42) == 1
    assert measure_extension(points, extended, 0.65, 42) < 1


def test_relabelled_are_the_known_customers_whose_segment_differs():
    rows = [
        {"segment_id": "S01", "champion": 0, "challenger": 1, "customers": 90},
        {"segment_id": "S02", "champion": 1, "challenger": 1, "customers": 10},
        {"segment_id": None, "champion": 1, "challenger": 1, "customers": 1_000},
    ]
    assert count_relabelled(rows, ("S01", "S02"), ("S02", "S01")) == 0.1
    assert count_relabelled([rows[2]], ("S01", "S02"), ("S02", "S01")) == 0


def test_labels_are_the_clusters_of_the_model(as_frame: Frames):
    features, model = random_features(2), random_model(1, k=3)
    labelled = to_pandas(label_by(as_frame(features), model, {"label": model.centroids})).sort_values("customer_id")
    placed = to_pandas(assign_model(as_frame(features), model)).sort_values("customer_id")
    assert labelled["label"].tolist() == placed["kmeans_cluster"].tolist()
    assert set(labelled) == {*features, "label"}
    assert isinstance(labelled, pd.DataFrame)
