from collections import Counter
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.cluster import KMeans

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.segmentation.components import NAMES, fit_components, project
from smartcart_pipeline.segmentation.features import describe_customers
from smartcart_pipeline.segmentation.noise import Space, doubt_fits
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


def measure(
    k: int,
    inertia: float,
    silhouette: float | None = None,
    stability: float | None = None,
    elbow_share: float = 0.0,
) -> dict[str, Any]:
    return {
        "k": k,
        "inertia": inertia,
        "silhouette": silhouette,
        "stability": stability,
        "elbow_share": elbow_share,
    }


# An inertia curve whose elbow is at 3.
INERTIAS = (1000.0, 500.0, 120.0, 100.0, 85.0, 72.0)


def table(*measures: tuple[float, float], votes: dict[int, float] | None = None) -> list[dict[str, Any]]:
    """Candidates 1 to 6: k = 1, then (silhouette, stability) of the others; `votes` are the shares of the elbows."""
    shares = {3: 0.8, 4: 0.2} if votes is None else votes
    return [measure(1, INERTIAS[0])] + [
        measure(k, INERTIAS[k - 1], *values, shares.get(k, 0.0)) for k, values in enumerate(measures, start=2)
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
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

    points = blobs(4)
    row = evaluate_candidates(points, seed=5, candidates=(1, 2))[1]
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
    assert len({evaluate_candidates(points, seed, (1, 2))[1]["stability"] for seed in range(4)}) == 4


def test_separate_groups_are_found():
    rows = choose_k(evaluate_candidates(blobs(4), seed=1))
    assert [row["k"] for row in rows if row["is_selected"]] == [4]


def test_as_few_customers_as_thirty_are_enough_and_fewer_are_refused():
    points = np.random.default_rng(1).normal(size=(30, 3))
    assert [row["k"] for row in evaluate_candidates(points, seed=1)] == [1, 2, 3]
    told = r"Only 29 customers are left after cleaning: at least 30 are needed to find segments among, 200 or more"
    with pytest.raises(ExportError, match=told):
        evaluate_candidates(points[:29], seed=1)


@pytest.mark.parametrize("customers", [0, 1])
def test_nobody_and_a_single_customer_are_refused_with_their_number(customers: int):
    with pytest.raises(ExportError, match=rf"Only {customers} customers are left after cleaning"):
        evaluate_candidates(np.zeros((customers, 3)), seed=1)


@pytest.mark.parametrize("points", [np.zeros((500, 3)), np.repeat(blobs(1, 3), 100, axis=0)])
def test_too_few_different_customers_are_refused_with_their_number(points: np.ndarray):
    different = len(np.unique(points, axis=0))
    with pytest.raises(ExportError, match=rf"Only {different} different customers .* at least 4 are needed"):
        evaluate_candidates(points, seed=1)


@pytest.mark.parametrize(("different", "most"), [(4, 3), (5, 4), (10, 9), (11, 10), (12, 10)])
@pytest.mark.parametrize("times", [10, 50])
def test_no_more_segments_are_tried_than_customers_differ(different: int, most: int, times: int):
    points = np.random.default_rng(1).normal(size=(different, 3)).repeat(times, axis=0)
    rows = choose_k(evaluate_candidates(points, 1))
    assert [row["k"] for row in rows] == list(range(1, most + 1))
    assert sum(row["is_selected"] for row in rows) == 1


@pytest.mark.parametrize(("customers", "most"), [(30, 3), (39, 3), (40, 4), (49, 4), (50, 5)])
def test_ten_times_as_many_customers_as_segments_are_needed_but_for_three(customers: int, most: int):
    # Five groups of eight or more, so that no cluster is a handful.
    where = np.array([[-40, 0, 0], [-20, 0, 0], [0, 0, 0], [20, 0, 0], [40, 0, 0]])
    points = where[np.arange(customers) % 5] + np.random.default_rng(1).normal(size=(customers, 3))
    assert [row["k"] for row in evaluate_candidates(points, seed=1)][-1] == most


def crowds(*sizes: int) -> np.ndarray:
    """Round groups of so many customers, far apart on a line."""
    random = np.random.default_rng(0)
    places = np.cumsum([0, *(50 + 7 * number for number in range(len(sizes) - 1))])
    return np.concatenate([random.normal([place, 0, 0], 0.3, (n, 3)) for place, n in zip(places, sizes, strict=True)])


@pytest.mark.parametrize(("fewest", "tried"), [(4, [1, 2, 3]), (5, [1, 2, 3, 4])])
def test_candidates_end_before_a_handful_of_customers_is_a_cluster(fewest: int, tried: list[int]):
    points = crowds(100, 100, 100, fewest)
    rows = evaluate_candidates(points, seed=1, candidates=(1, 2, 3, 4))
    assert [row["k"] for row in rows] == tried
    if fewest == 5:
        assert rows[3]["smallest_cluster_share"] == 5 / 305


def test_after_a_candidate_with_a_handful_nothing_is_tried_though_a_recipe_wants_it():
    points = crowds(100, 100, 100, 4)
    measured = evaluate_candidates(points, seed=1, wanted=8)
    assert [row["k"] for row in measured] == [1, 2, 3]
    with pytest.raises(ExportError, match=r"8 segments are asked for, and 3 are the most that these customers make"):
        choose_k(measured, 8)


def test_up_to_three_segments_are_tried_though_one_is_a_single_customer():
    rows = evaluate_candidates(crowds(100, 100, 1), seed=1, candidates=(1, 2, 3))
    assert [row["k"] for row in rows] == [1, 2, 3]
    assert rows[2]["smallest_cluster_share"] == 1 / 201


def test_the_recipe_may_say_how_many_segments_there_shall_be():
    measured = evaluate_candidates(blobs(4), seed=1)
    rows = choose_k(measured, 3)
    assert selected(rows)["k"] == 3
    assert selected(rows)["reason"].startswith("as asked for: silhouette ")
    assert selected(rows)["reason"].endswith("; the data say 4")
    assert rows[3]["reason"].startswith("what the data say, not asked for: elbow in ")
    with pytest.raises(ExportError, match=r"7 segments are asked for, and 4 are the most that these customers"):
        choose_k(measured[:4], 7)


def test_what_the_recipe_wants_may_be_what_the_data_say():
    row = selected(choose_k(table((0.40, 0.99), (0.50, 0.99), (0.4, 0.9), (0.3, 0.9), (0.3, 0.9)), 3))
    assert row["k"] == 3
    assert row["reason"] == (
        "as asked for, and as the data say: elbow in 80% of bootstrap samples: silhouette 0.500 (best 0.500 at k = 3), "
        "stability 0.990"
    )


def test_more_than_ten_segments_are_tried_and_taken_only_where_they_are_asked_for():
    points = np.concatenate([crowds(*[20] * 12), [[9_000, 0, 0]] * 20])
    measured = evaluate_candidates(points, seed=1, wanted=13)
    assert [row["k"] for row in measured] == [*range(1, 11), 13]
    assert measured[-1]["elbow_share"] == 0
    assert measured[-1]["silhouette"] > max(row["silhouette"] for row in measured[1:-1])
    assert selected(choose_k(measured))["k"] <= 10
    assert selected(choose_k(measured, 13))["k"] == 13
    # What the data may not choose is not what they are measured by.
    assert all("at k = 13" not in row["reason"] for row in choose_k(measured, 13) if row["reason"])


def test_nobody_holds_candidates_against_noise_where_there_is_nothing_to_shuffle():
    rows = evaluate_candidates(blobs(3), seed=1, candidates=(1, 2, 3))
    assert {row[name] for row in rows for name in ("null_silhouette", "prediction_strength", "recovery")} == {None}


def test_each_candidate_is_held_against_noise_and_halves():
    points = blobs(3)
    space = Space(points, ("a", "b", "c"))
    rows = evaluate_candidates(points, seed=1, candidates=(1, 2, 3, 4), space=space)
    doubts = [{name: row[name] for name in ("null_silhouette", "prediction_strength", "recovery")} for row in rows]
    fits = [KMeans(k, n_init=10, random_state=1).fit(points).labels_ for k in (2, 3, 4)]
    assert set(doubts[0].values()) == {None}
    assert doubts[1:] == list(doubt_fits(points, space, fits, 1))
    assert doubts[2]["prediction_strength"] == doubts[2]["recovery"] == 1
    assert doubts[3]["recovery"] < 0.9
    # They change nothing of what is measured besides.
    assert [row | dict.fromkeys(doubts[0]) for row in rows] == evaluate_candidates(points, 1, (1, 2, 3, 4))


def test_elbow_shares_are_the_votes_of_bootstrap_samples():
    """Inertias of each sample's customers around the means that they have themselves in the clusters of all."""
    points, seed, tried = np.random.default_rng(3).normal(size=(120, 3)), 7, tuple(range(1, 7))
    random = np.random.default_rng(seed)
    random.permutation(len(points))
    fits = [KMeans(k, n_init=10, random_state=seed).fit(points).labels_ for k in tried]
    votes: Counter[int | None] = Counter()
    for _ in range(50):
        drawn = random.integers(0, len(points), len(points))
        samples = [pd.DataFrame(points[drawn]).groupby(labels[drawn]) for labels in fits]
        votes[find_elbow(tried, [float((sample.var(ddof=0).T * sample.size()).sum().sum()) for sample in samples])] += 1

    found = {row["k"]: row["elbow_share"] for row in evaluate_candidates(points, seed, tried)}
    assert len([share for share in found.values() if share]) > 1
    assert found == {k: votes[k] / 50 for k in tried}


def test_of_groups_far_apart_every_sample_has_the_same_elbow():
    shares = {row["k"]: row["elbow_share"] for row in evaluate_candidates(crowds(60, 60, 60), seed=1)}
    assert shares == {k: float(k == 3) for k in shares}


def test_the_elbow_is_kneeds():
    assert find_elbow(range(1, 7), INERTIAS) == 3


@pytest.mark.filterwarnings("ignore:No knee")
def test_a_curve_without_an_elbow_has_none():
    assert find_elbow(range(1, 7), [60.0, 50.0, 40.0, 30.0, 20.0, 10.0]) is None


def selected(rows: list[dict]) -> dict:
    [row] = [row for row in rows if row["is_selected"]]
    return row


def test_the_elbow_of_most_samples_is_taken_when_it_is_good_and_steady():
    row = selected(choose_k(table((0.40, 0.99), (0.46, 0.95), (0.50, 0.99), (0.30, 0.99), (0.30, 0.99))))
    assert (row["k"], row["is_elbow"]) == (3, True)
    assert row["reason"] == (
        "elbow in 80% of bootstrap samples: silhouette 0.460 (best 0.500 at k = 4), stability 0.950"
    )


def test_the_samples_decide_and_not_the_curve_of_all():
    rows = choose_k(
        table((0.48, 0.9), (0.50, 0.99), (0.49, 0.95), (0.3, 0.99), (0.3, 0.99), votes={3: 0.44, 4: 0.46, 5: 0.1})
    )
    assert selected(rows)["k"] == 4
    assert selected(rows)["reason"].startswith("elbow in 46% of bootstrap samples: ")
    assert [row["k"] for row in rows if row["is_elbow"]] == [3]
    assert rows[2]["reason"] is None


def test_of_two_that_as_many_samples_vote_for_the_smaller_k_is_taken():
    rows = choose_k(table((0.4, 0.99), (0.5, 0.95), (0.5, 0.99), (0.3, 0.99), (0.3, 0.99), votes={3: 0.5, 4: 0.5}))
    assert selected(rows)["k"] == 3


def test_that_a_coarser_one_is_parted_better_passes_no_elbow_over():
    rows = choose_k(table((0.90, 1.0), (0.46, 0.9), (0.50, 0.92), (0.30, 0.99), (0.30, 0.99)))
    assert selected(rows)["k"] == 3
    assert selected(rows)["reason"].startswith("elbow in 80% of bootstrap samples: silhouette 0.460 (best 0.900")


# Where the elbow holds not: of the others k = 2 is the steadiest within the tolerance of the best.
@pytest.mark.parametrize(
    "elbow",
    [
        pytest.param((0.39, 0.95), id="the silhouette of a finer one is better by too much"),
        pytest.param((0.49, 0.89), id="it is unsteady"),
    ],
)
def test_else_the_most_stable_of_the_good_ones_is_taken(elbow: tuple[float, float]):
    rows = choose_k(table((0.46, 0.97), elbow, (0.50, 0.92), (0.48, 0.96), (0.30, 0.99)))
    assert selected(rows)["k"] == 2
    assert selected(rows)["reason"].startswith("most stable of the candidates with a silhouette near the best")
    assert rows[2]["is_elbow"]
    assert rows[2]["reason"].startswith(f"elbow in 80% of bootstrap samples, passed over: silhouette {elbow[0]:.3f}")


@pytest.mark.parametrize(
    ("elbow", "chosen"),
    [((0.4, 0.9), 3), ((0.3999, 0.9), 2), ((0.4, 0.8999), 2)],
    ids=["at both edges", "beyond the tolerance", "less stable"],
)
def test_the_elbow_is_judged_at_the_edges(elbow: tuple[float, float], chosen: int):
    # What is left of 0.5 without the tolerance is 0.4, to the last bit.
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
    assert [row["reason"] is None for row in chosen] == [True, True, False]
    assert selected(chosen)["k"] == 3
    assert selected(chosen)["reason"].startswith("most stable")


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
