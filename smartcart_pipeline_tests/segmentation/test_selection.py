from datetime import date

import narwhals as nw
import numpy as np
import pyarrow as pa
import pytest

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.segmentation.components import NAMES, fit_components, project
from smartcart_pipeline.segmentation.features import describe_customers
from smartcart_pipeline.segmentation.sampling import sample_customers
from smartcart_pipeline.segmentation.scaling import correlate, encode_features, fit_scaler, standardise
from smartcart_pipeline.segmentation.selection import choose_k, evaluate_candidates, find_elbow
from smartcart_pipeline.smartcart import sample
from smartcart_pipeline_tests.declared import BEHAVIOURAL, CONTRACT


def blobs(centres: int, customers: int = 60, seed: int = 0) -> np.ndarray:
    """Round groups far apart from each other."""
    random = np.random.default_rng(seed)
    where = random.uniform(-20, 20, (centres, 3))
    return np.concatenate([random.normal(centre, 0.3, (customers, 3)) for centre in where])


def measure(k: int, inertia: float, silhouette: float | None = None, stability: float | None = None) -> dict:
    return {"k": k, "inertia": inertia, "silhouette": silhouette, "stability": stability}


# An inertia curve whose elbow is at 3.
INERTIAS = (1000.0, 500.0, 120.0, 100.0, 85.0, 72.0)


def table(*measures: tuple[float, float]) -> list[dict]:
    """Candidates 1 to 6: k = 1, then (silhouette, stability) of the others."""
    return [measure(1, INERTIAS[0])] + [
        measure(k, INERTIAS[k - 1], *values) for k, values in enumerate(measures, start=2)
    ]


def test_every_candidate_gets_its_measures():
    rows = evaluate_candidates(blobs(3), seed=1, candidates=(1, 2, 3, 4))

    assert [row["k"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["silhouette"] is rows[0]["stability"] is rows[0]["calinski_harabasz"] is None
    assert rows[0]["smallest_cluster_share"] == 1
    assert rows[2]["silhouette"] > 0.9
    assert rows[2]["stability"] == 1
    assert rows[2]["smallest_cluster_share"] == pytest.approx(1 / 3)
    assert [row["inertia"] for row in rows] == sorted((row["inertia"] for row in rows), reverse=True)
    assert {row["sample_customers"] for row in rows} == {180}


def test_measures_equal_scikit_learns_own():
    from sklearn.cluster import KMeans
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

    points = blobs(4)
    row = evaluate_candidates(points, seed=5, candidates=(2,))[0]
    fit = KMeans(2, n_init=10, random_state=5).fit(points)

    assert row["inertia"] == pytest.approx(fit.inertia_)
    assert row["silhouette"] == pytest.approx(silhouette_score(points, fit.labels_))
    assert row["calinski_harabasz"] == pytest.approx(calinski_harabasz_score(points, fit.labels_))
    assert row["davies_bouldin"] == pytest.approx(davies_bouldin_score(points, fit.labels_))


def test_the_same_seed_gives_the_same_bits_and_another_draws_others():
    # Clouds that overlap: whom a resample draws shows in how stable the clusters are.
    points = np.random.default_rng(3).normal(0, 1, (300, 3))
    first, again, other = (evaluate_candidates(points, seed, (1, 4)) for seed in (1, 1, 2))
    assert first == again
    assert first[1]["stability"] != other[1]["stability"]


def test_the_seed_draws_the_resamples_too():
    # Of groups far apart every seed finds the same two clusters; who is drawn moves the border through the third.
    points = np.concatenate([blobs(1, 40), np.random.default_rng(3).normal(0, 6, (400, 3))])
    assert len({evaluate_candidates(points, seed, (2,))[0]["stability"] for seed in range(4)}) == 4


def test_separate_groups_are_found():
    rows = choose_k(evaluate_candidates(blobs(4), seed=1))
    assert [row["k"] for row in rows if row["is_selected"]] == [4]


@pytest.mark.parametrize("customers", [1, 9, 10])
def test_too_few_customers_are_refused(customers: int):
    with pytest.raises(ExportError, match=r"Only .* up to 10 segments are tried: at least 11 customers are needed"):
        evaluate_candidates(blobs(1, customers=customers), seed=1)


@pytest.mark.parametrize("points", [np.zeros((500, 3)), np.repeat(blobs(1, 3), 100, axis=0)])
def test_too_few_different_customers_are_refused_with_their_number(points: np.ndarray):
    different = len(np.unique(points, axis=0))
    with pytest.raises(ExportError, match=rf"Only {different} different customers .* at least 4 are needed"):
        evaluate_candidates(points, seed=1)


@pytest.mark.parametrize(("different", "most"), [(4, 3), (5, 4), (10, 9), (11, 10), (12, 10)])
@pytest.mark.parametrize("times", [3, 50])
def test_no_more_segments_are_tried_than_customers_differ(different: int, most: int, times: int):
    points = np.random.default_rng(1).normal(size=(different, 3)).repeat(times, axis=0)
    rows = choose_k(evaluate_candidates(points, 1))
    assert [row["k"] for row in rows] == list(range(1, most + 1))
    assert sum(row["is_selected"] for row in rows) == 1


def test_the_recipe_may_say_how_many_segments_there_shall_be():
    measured = evaluate_candidates(blobs(4), seed=1)
    row = selected(choose_k(measured, 3))
    assert row["k"] == 3
    assert row["reason"].startswith("as the recipe says: silhouette ")
    with pytest.raises(ExportError, match=r"The recipe wants 7 segments, .* so few ways that 4 are the most"):
        choose_k(measured[:4], 7)


def test_the_elbow_is_kneeds():
    assert find_elbow(range(1, 7), INERTIAS) == 3


@pytest.mark.filterwarnings("ignore:No knee")
def test_a_curve_without_an_elbow_has_none():
    assert find_elbow(range(1, 7), [60.0, 50.0, 40.0, 30.0, 20.0, 10.0]) is None


def selected(rows: list[dict]) -> dict:
    [row] = [row for row in rows if row["is_selected"]]
    return row


def test_the_elbow_is_taken_when_it_is_good_and_steady():
    row = selected(choose_k(table((0.40, 0.99), (0.46, 0.95), (0.50, 0.99), (0.30, 0.99), (0.30, 0.99))))
    assert (row["k"], row["is_elbow"]) == (3, True)
    assert row["reason"] == "elbow: silhouette 0.460 (best 0.500 at k = 4), stability 0.950"


@pytest.mark.parametrize(
    "elbow",
    [
        pytest.param((0.44, 0.95), id="its silhouette is too far from the best"),
        pytest.param((0.49, 0.89), id="it is unsteady"),
    ],
)
def test_else_the_most_stable_of_the_good_ones_is_taken(elbow: tuple[float, float]):
    rows = choose_k(table((0.46, 0.97), elbow, (0.50, 0.92), (0.48, 0.96), (0.30, 0.99)))
    assert selected(rows)["k"] == 2
    assert selected(rows)["reason"].startswith("most stable of the candidates with a silhouette near the best")
    assert rows[2]["is_elbow"]
    assert rows[2]["reason"].startswith("elbow, passed over")


@pytest.mark.parametrize(
    ("elbow", "chosen"),
    [((0.45, 0.9), 3), ((0.4499, 0.9), 2), ((0.45, 0.8999), 2)],
    ids=["at both edges", "beyond the tolerance", "less stable"],
)
def test_the_elbow_is_judged_at_the_edges(elbow: tuple[float, float], chosen: int):
    # What is left of 0.5 without the tolerance is 0.45, to the last bit.
    rows = choose_k(table((0.46, 0.97), elbow, (0.50, 0.92), (0.48, 0.96), (0.30, 0.99)))
    assert selected(rows)["k"] == chosen


@pytest.mark.parametrize(("silhouette", "chosen"), [(0.45, 2), (0.4499, 4)])
def test_the_steadiest_is_looked_for_within_the_tolerance(silhouette: float, chosen: int):
    rows = choose_k(table((silhouette, 1.0), (0.3, 0.95), (0.50, 0.92), (0.2, 1.0), (0.2, 1.0)))
    assert selected(rows)["k"] == chosen


@pytest.mark.parametrize(("stability", "reason"), [(0.9, "most stable"), (0.8999, "no clear k")])
def test_the_steadiest_must_be_stable(stability: float, reason: str):
    rows = choose_k(table((0.50, stability), (0.3, 0.95), (0.48, 0.8), (0.2, 1.0), (0.2, 1.0)))
    assert selected(rows)["k"] == 2
    assert selected(rows)["reason"].startswith(reason)


def test_of_two_that_are_as_steady_the_smaller_k_is_taken():
    rows = choose_k(table((0.3, 0.9), (0.3, 0.95), (0.49, 1.0), (0.50, 1.0), (0.48, 1.0)))
    assert selected(rows)["k"] == 4


def test_else_the_best_silhouette_is_taken_and_no_k_called_clear():
    rows = choose_k(table((0.46, 0.7), (0.49, 0.8), (0.50, 0.6), (0.48, 0.7), (0.30, 0.99)))
    assert selected(rows)["k"] == 4
    assert selected(rows)["reason"].startswith("no clear k, best silhouette taken")


@pytest.mark.filterwarnings("ignore:No knee")
def test_without_an_elbow_a_k_is_still_chosen():
    rows = [measure(1, 30.0), measure(2, 20.0, 0.4, 0.95), measure(3, 10.0, 0.42, 0.99)]
    chosen = choose_k(rows)
    assert not any(row["is_elbow"] for row in chosen)
    assert selected(chosen)["k"] == 3


def test_a_sample_chooses_the_k_that_all_customers_do(engine: DuckDBEngine):
    """Thirty thousand generated customers on the components, and the ten thousand of them that a run would draw."""
    raw = engine.frame(pa.Table.from_batches(sample.batches(30_000, seed=3)))
    good = raw.rename({column.header: column.name for column in CONTRACT}).with_columns(
        nw.col("income").fill_null(50_000.0), nw.lit(date(2014, 6, 29), dtype=nw.Date).alias("as_of_date")
    )
    recipe = BEHAVIOURAL.recipe
    described = describe_customers(good.filter(nw.col("income") < 600_000), BEHAVIOURAL)
    encoded = encode_features(described, recipe)
    seen = engine.sum_moments(encoded, recipe.names)
    points = project(standardise(encoded, fit_scaler(seen)), fit_components(correlate(seen), recipe.names))
    drawn = sample_customers(engine, points, 10_000, seed=42)

    measured = [evaluate_candidates(engine.array(some, NAMES), seed=42) for some in (drawn, points)]
    assert [rows[0]["sample_customers"] for rows in measured] == [10_000, 29_987]
    assert [row["k"] for rows in measured for row in choose_k(rows) if row["is_selected"]] == [4, 4]
