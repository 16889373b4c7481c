from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartcart_pipeline.segmentation.clustering import (
    Ward,
    assign_segments,
    canonical_order,
    centroid_rows,
    compare_algorithms,
    fit_kmeans,
    fit_ward,
    group_means,
    label_customers,
    nearest_centroid,
    refine_centroids,
)
from smartcart_pipeline.segmentation.identity import name_segment
from smartcart_pipeline_tests.conftest import Frames, to_pandas

CENTROIDS = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
SEGMENTS = ("S07", "S02", "S05")


def points_frame(*points: tuple[float, float, float]) -> pd.DataFrame:
    frame = pd.DataFrame(points, columns=["pc1", "pc2", "pc3"], dtype="float64")
    frame.insert(0, "customer_id", range(1, len(points) + 1))
    return frame


def test_a_customer_belongs_to_the_nearest_centroid(as_frame: Frames):
    frame = as_frame(points_frame((1.0, 0.0, 0.0), (4.0, 0.0, 1.0), (0.0, 2.5, 0.0)))
    result = to_pandas(assign_segments(frame, CENTROIDS, SEGMENTS)).sort_values("customer_id")
    assert result.columns.tolist() == [
        "customer_id",
        "pc1",
        "pc2",
        "pc3",
        "kmeans_cluster",
        "segment_id",
        "distance",
        "runner_up_segment_id",
        "margin",
    ]
    assert result["kmeans_cluster"].tolist() == [0, 1, 2]
    assert result["segment_id"].tolist() == ["S07", "S02", "S05"]
    assert result["distance"].tolist() == [1.0, 1.0, 0.5]
    assert result["runner_up_segment_id"].tolist() == ["S02", "S07", "S07"]
    assert result["margin"].tolist() == pytest.approx([2.0, 17**0.5 - 1, 2.0])


def test_the_first_of_equally_near_centroids_is_taken(as_frame: Frames):
    result = to_pandas(assign_segments(as_frame(points_frame((2.0, 0.0, 0.0))), CENTROIDS[:2], SEGMENTS[:2]))
    assert result["segment_id"].tolist() == ["S07"]
    assert result["runner_up_segment_id"].tolist() == ["S02"]
    assert result["margin"].tolist() == [0.0]


def test_a_single_segment_has_no_runner_up(as_frame: Frames):
    result = to_pandas(assign_segments(as_frame(points_frame((3.0, 0.0, 4.0))), CENTROIDS[:1], SEGMENTS[:1]))
    assert result["segment_id"].tolist() == ["S07"]
    assert result["distance"].tolist() == [5.0]
    assert result["runner_up_segment_id"].isna().all()
    assert result["margin"].isna().all()


@given(st.integers(0, 10_000), st.integers(2, 10))
@settings(max_examples=25, deadline=None)
def test_assignment_equals_numpys(seed: int, k: int):
    random = np.random.default_rng(seed)
    points, centroids = random.normal(size=(50, 3)), random.normal(size=(k, 3))
    result = to_pandas(
        assign_segments(
            nw.from_native(points_frame(*map(tuple, points))), centroids, tuple(map(name_segment, range(1, k + 1)))
        )
    )

    distances = np.linalg.norm(points[:, None] - centroids[None], axis=2)
    nearest = np.sort(distances, axis=1)
    assert result["kmeans_cluster"].tolist() == distances.argmin(axis=1).tolist()
    assert result["distance"].to_numpy() == pytest.approx(nearest[:, 0], abs=1e-9)
    assert result["margin"].to_numpy() == pytest.approx(nearest[:, 1] - nearest[:, 0], abs=1e-9)


def test_nearest_centroid_adds_only_the_label(as_frame: Frames):
    result = to_pandas(nearest_centroid(as_frame(points_frame((0.0, 9.0, 0.0))), CENTROIDS, "label"))
    assert result.to_dict("list") == {"customer_id": [1], "pc1": [0.0], "pc2": [9.0], "pc3": [0.0], "label": [2]}


def spending_row(label: int, customers: int, spending: float) -> dict:
    return {"label": label, "customers": customers, "spending": spending}


def test_clusters_are_numbered_by_falling_mean_spending_then_by_label():
    rows = [spending_row(2, 1, 7), spending_row(0, 4, 12), spending_row(1, 1, 6), spending_row(1, 1, 8)]
    assert canonical_order(rows, "label") == [1, 2, 0]


def test_where_all_are_fitted_the_fit_labels_them(as_frame: Frames):
    points = as_frame(points_frame((0.1, 0, 0), (0.2, 0, 0), (3.9, 0, 0)))
    fitted = as_frame(pd.DataFrame({"customer_id": [1, 2, 3], "ward_label": pd.array([0, 1, 1], "int32")}))
    labelled = label_customers(points, Ward(CENTROIDS[:2], 3, fitted))
    result = to_pandas(labelled).sort_values("customer_id")
    assert result["ward_label"].astype(int).tolist() == [0, 1, 1]
    assert result.columns.tolist() == ["customer_id", "pc1", "pc2", "pc3", "ward_label"]


def test_where_a_sample_is_fitted_the_nearest_mean_labels_everyone(as_frame: Frames):
    points = as_frame(points_frame((0.1, 0, 0), (0.2, 0, 0), (3.9, 0, 0)))
    result = to_pandas(label_customers(points, Ward(CENTROIDS[:2], 2)))
    assert result["ward_label"].astype(int).tolist() == [0, 0, 1]


def test_centroids_are_rows_by_cluster_number():
    assert centroid_rows(CENTROIDS, SEGMENTS)[1] == {
        "segment_id": "S02",
        "kmeans_cluster": 1,
        "pc1": 4.0,
        "pc2": 0.0,
        "pc3": 0.0,
    }


@given(st.permutations(range(5)), st.lists(st.integers(0, 1000), min_size=5, max_size=5, unique=True))
def test_numbers_do_not_depend_on_a_fits_labels(labels: list[int], spending: list[int]):
    """Whatever a fit calls its clusters, the one that spends most is 0, and so on."""
    rows = [spending_row(label, 1, s) for label, s in zip(labels, spending, strict=True)]
    order = canonical_order(rows, "label")
    numbered = sorted(zip(np.argsort(order)[labels].tolist(), spending, strict=True))
    assert [number for number, _ in numbered] == [0, 1, 2, 3, 4]
    assert [spent for _, spent in numbered] == sorted(spending, reverse=True)


def test_segment_names_sort_like_their_numbers():
    names = tuple(map(name_segment, range(1, 11)))
    assert (names[0], names[8], names[9]) == ("S01", "S09", "S10")
    assert sorted(names) == list(names)


def fetch_rows(frame: Any) -> list[dict]:
    return to_pandas(frame).to_dict("records")


def test_kmeans_over_all_customers_ends_where_scikit_learns_does(as_frame: Frames):
    from sklearn.cluster import KMeans

    random = np.random.default_rng(3)
    points = np.concatenate([random.normal(c, 0.5, (200, 3)) for c in ((0, 0, 0), (5, 0, 0), (0, 5, 0))])
    random.shuffle(points)

    whole = KMeans(3, n_init=10, random_state=0).fit(points).cluster_centers_
    begun = fit_kmeans(points[:150], 3, seed=0)
    streamed = refine_centroids(as_frame(points_frame(*map(tuple, points))), begun, fetch_rows)
    by_first = [np.lexsort(centres.round(3).T) for centres in (whole, streamed)]
    assert streamed[by_first[1]] == pytest.approx(whole[by_first[0]], abs=1e-3)


def test_lloyds_steps_go_on_until_nothing_moves_any_more(as_frame: Frames):
    points = np.random.default_rng(5).normal(0, 3, (2_000, 3))
    frame = as_frame(points_frame(*map(tuple, points)))
    refined = refine_centroids(frame, points[:4], fetch_rows)
    again = refine_centroids(frame, refined, fetch_rows)
    assert np.abs(again - refined).max() < 0.01


def test_a_centroid_without_customers_stays_where_it_is(as_frame: Frames):
    sample = np.array([[0.0, 0, 0], [0.1, 0, 0], [9, 0, 0], [9.1, 0, 0]])
    everyone = as_frame(points_frame((0.0, 0, 0), (0.2, 0, 0)))
    centres = refine_centroids(everyone, fit_kmeans(sample, 2, seed=0), fetch_rows)
    assert sorted(centres[:, 0]) == pytest.approx([0.1, 9.05])


def test_ward_separates_groups_and_means_are_theirs():
    points = np.array([[0.0, 0, 0], [0.2, 0, 0], [5, 5, 5], [5, 5, 5.2]])
    labels = fit_ward(points, 2)
    assert labels[0] == labels[1] != labels[2] == labels[3]
    means = group_means(points, labels, 2)
    assert means[labels[0]].tolist() == [0.1, 0.0, 0.0]
    assert means[labels[2]].tolist() == [5.0, 5.0, 5.1]


def test_the_comparison_measures_both_algorithms_in_both_spaces():
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    random = np.random.default_rng(0)
    near, far = random.normal(0, 1, (30, 3)), random.normal(6, 1, (30, 3))
    points = np.concatenate([near, far])
    first, second = np.repeat([0, 1], 30), np.repeat([0, 1], [28, 32])
    rows = compare_algorithms(
        {"pca_components": points, "scaled": points[:, :2]},
        {"kmeans": first, "agglomerative": second},
        {"kmeans": 1_000, "agglomerative": 60},
    )

    assert [(row["algorithm"], row["space"]) for row in rows] == [
        ("kmeans", "pca_components"),
        ("agglomerative", "pca_components"),
        ("kmeans", "scaled"),
        ("agglomerative", "scaled"),
    ]
    assert rows[3]["silhouette"] == pytest.approx(silhouette_score(points[:, :2], second))
    assert rows[1]["sizes"] == [28, 32]
    assert {row["adjusted_rand_index"] for row in rows} == {adjusted_rand_score(first, second)}
    assert {row["sample_customers"] for row in rows} == {60}
    assert [row["fitted_customers"] for row in rows] == [1_000, 60, 1_000, 60]
