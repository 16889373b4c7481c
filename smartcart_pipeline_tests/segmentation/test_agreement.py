"""How far clusterings agree is what scikit-learn, sets and pairs of customers say."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix

from smartcart_pipeline.segmentation.agreement import adjusted_rand, count_both, predict_pairs, recover

# Clusters of some customers by two clusterings; of few clusters some have nobody.
BOTH = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40)
CLUSTERS = 5


def split(both: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    labels, others = np.array(both).T
    return labels, others


@given(BOTH)
@example([(0, 0), (0, 0)])
@example([(0, 0), (1, 1)])
@example([(0, 0), (0, 1)])
@example([(2, 3)])
@settings(max_examples=300, deadline=None)
def test_the_adjusted_rand_index_is_scikit_learns(both: list[tuple[int, int]]):
    labels, others = split(both)
    assert adjusted_rand(labels, others) == pytest.approx(adjusted_rand_score(labels, others), abs=1e-12)
    assert adjusted_rand(labels, others) == adjusted_rand(others, labels)


def test_the_adjusted_rand_index_of_many_customers_is_scikit_learns():
    """As many pairs as no 32 bits hold."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 4, 200_000)
    others = np.where(random.random(200_000) < 0.7, labels, random.integers(0, 7, 200_000))
    assert adjusted_rand(labels, others) == pytest.approx(adjusted_rand_score(labels, others), abs=1e-12)
    assert 0.3 < adjusted_rand(labels, others) < 0.7


@given(BOTH)
@settings(max_examples=50, deadline=None)
def test_customers_are_counted_by_both_as_scikit_learn_does(both: list[tuple[int, int]]):
    labels, others = split(both)
    counted = count_both(labels, others)
    known = counted[np.ix_(np.unique(labels), np.unique(others))]
    assert counted.shape == (labels.max() + 1, others.max() + 1)
    assert known.tolist() == contingency_matrix(labels, others).tolist()
    assert counted.sum() == len(both)


@given(BOTH)
@settings(max_examples=200, deadline=None)
def test_a_cluster_is_found_again_as_far_as_sets_of_customers_agree(both: list[tuple[int, int]]):
    labels, others = split(both)

    def members(clusters: np.ndarray, number: int) -> set[int]:
        return set(np.flatnonzero(clusters == number).tolist())

    expected = [
        max(
            len(members(labels, one) & members(others, other)) / len(members(labels, one) | members(others, other))
            for other in set(others.tolist())
        )
        for one in range(CLUSTERS)
    ]
    assert recover(labels, others, CLUSTERS).tolist() == pytest.approx(expected)


def test_clusters_are_found_again_by_hand():
    labels, others = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([1, 1, 1, 0, 0, 0, 0])
    assert recover(labels, others, 4).tolist() == [3 / 4, 2 / 4, 1 / 4, 0]


@given(BOTH, st.booleans())
@settings(max_examples=200, deadline=None)
def test_pairs_are_predicted_as_if_each_was_looked_at(both: list[tuple[int, int]], of_two: bool):
    """Tibshirani and Walther 2005: of each cluster the share of the pairs that the other fit puts together."""
    labels, predicted = split([(one % 2, other) for one, other in both] if of_two else both)
    clusters = 2 if of_two else CLUSTERS
    shares = []
    for cluster in range(clusters):
        pairs = list(combinations(np.flatnonzero(labels == cluster).tolist(), 2))
        shares.append(sum(predicted[i] == predicted[j] for i, j in pairs) / len(pairs) if pairs else 0.0)
    assert predict_pairs(labels, predicted, clusters) == pytest.approx(min(shares))


@pytest.mark.parametrize(
    ("labels", "predicted", "strength"),
    [
        ([0, 0, 0, 1, 1], [0, 0, 0, 1, 1], 1.0),
        ([0, 0, 0, 1, 1], [1, 1, 1, 0, 0], 1.0),
        ([0, 0, 0, 1, 1], [1, 1, 1, 1, 1], 1.0),
        ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1], 1 / 3),
        ([0, 0, 0, 1, 1], [0, 0, 0, 0, 1], 0.0),
        # One of a single customer, and one of nobody.
        ([0, 0, 0, 0, 1], [0, 0, 0, 0, 1], 0.0),
        ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], 0.0),
    ],
)
def test_pairs_are_predicted_by_hand(labels: list[int], predicted: list[int], strength: float):
    assert predict_pairs(np.array(labels), np.array(predicted), 2) == pytest.approx(strength)
