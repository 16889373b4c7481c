"""Noise keeps how each feature is spread, and no more; clusters are held against it and against other customers."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from smartcart_pipeline.segmentation.agreement import recover
from smartcart_pipeline.segmentation.noise import Space, doubt_fits, fit, hold_halves, place, shuffle

SOURCES = ("age", "tariff", "tariff", "tariff", "rides")


def customers(number: int, seed: int = 0) -> Space:
    """An age, a tariff of three and rides, all of which go together."""
    random = np.random.default_rng(seed)
    age = random.normal(size=number)
    tariff = np.clip(np.round(age + 1 + random.normal(0, 0.3, number)), 0, 2).astype(int)
    values = np.column_stack([age, np.eye(3)[tariff], age + random.normal(0, 0.1, number)])
    return Space(values, SOURCES)


def blobs(customers: int = 80) -> np.ndarray:
    """Three round groups far apart."""
    random = np.random.default_rng(0)
    return np.concatenate([random.normal(centre, 0.3, (customers, 3)) for centre in ([0, 0, 9], [0, 9, 0], [9, 0, 0])])


def test_a_category_has_the_columns_of_all_its_groups():
    assert customers(5).columns == [[0], [1, 2, 3], [4]]
    assert Space(np.zeros((1, 4)), ("a", "b", "a", "c")).columns == [[0, 2], [1], [3]]


def test_some_of_the_customers_are_those():
    space = customers(5)
    some = space.of(np.array([3, 1]))
    assert some.sources == space.sources
    assert some.values.tolist() == space.values[[3, 1]].tolist()


@given(st.integers(1, 60), st.integers(0, 1_000))
@settings(max_examples=50, deadline=None)
def test_a_feature_keeps_its_values_and_a_category_its_indicators(number: int, seed: int):
    space = customers(number)
    shuffled = shuffle(space, np.random.default_rng(seed))
    for columns in space.columns:
        before, after = (Counter(map(tuple, values[:, columns].tolist())) for values in (space.values, shuffled))
        assert after == before


def test_what_goes_together_does_so_no_more():
    space = customers(4_000)
    before = np.corrcoef(space.values.T)
    after = np.corrcoef(shuffle(space, np.random.default_rng(1)).T)
    apart = [(0, 1), (0, 3), (0, 4), (1, 4), (3, 4)]
    assert min(abs(before[pair]) for pair in apart) > 0.5
    assert max(abs(after[pair]) for pair in apart) < 0.06
    # Whoever has one tariff has no other.
    within = np.ix_([1, 2, 3], [1, 2, 3])
    assert after[within] == pytest.approx(before[within])


def test_the_generator_says_how_customers_are_shuffled():
    space = customers(50)
    values = space.values.copy()
    one, again, other = (shuffle(space, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert space.values.tolist() == values.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_customers_are_placed_as_by_scikit_learn_up_to_sign(seed: int):
    random = np.random.default_rng(seed)
    values = random.normal(size=(200, 6)) * [6, 5, 4, 1, 1, 1] @ np.linalg.qr(random.normal(size=(6, 6)))[0]
    values -= values.mean(axis=0)
    placed, expected = place(values), PCA(3).fit_transform(values)
    assert np.abs(placed) == pytest.approx(np.abs(expected), abs=1e-9)
    assert np.abs((np.sign(placed) * np.sign(expected)).sum(axis=0)).tolist() == [200, 200, 200]


def test_of_two_features_the_third_component_is_nothing():
    values = np.random.default_rng(0).normal(size=(50, 2))
    placed = place(values - values.mean(axis=0))
    assert placed[:, 2].tolist() == [0.0] * 50
    assert (placed**2).sum() == pytest.approx(((values - values.mean(axis=0)) ** 2).sum())


def test_groups_far_apart_are_found_by_both_halves_and_noise_is_worse():
    points = blobs()
    space = Space(points, ("a", "b", "c"))
    labels = [KMeans(k, n_init=10, random_state=0).fit(points).labels_ for k in (2, 3, 5)]
    two, three, five = doubt_fits(points, space, labels, seed=1)
    assert three["prediction_strength"] == three["recovery"] == 1
    assert three["null_silhouette"] < silhouette_score(points, labels[1]) - 0.2
    assert two["prediction_strength"] < 0.8
    assert five["prediction_strength"] < 0.8
    assert five["recovery"] < 1


def test_noise_is_hardly_found_again_and_like_noise():
    points = np.random.default_rng(0).normal(size=(400, 3))
    labels = KMeans(5, n_init=10, random_state=0).fit(points).labels_
    [doubts] = doubt_fits(points, Space(points, ("a", "b", "c")), [labels], seed=1)
    assert doubts["prediction_strength"] < 0.6
    assert doubts["recovery"] < 0.75
    assert doubts["null_silhouette"] == pytest.approx(silhouette_score(points, labels), abs=0.03)


def test_noise_is_that_of_all_features_and_not_of_the_components():
    """Two features that are one and the same are two again where each is shuffled."""
    twice = np.repeat(np.where(np.arange(300) % 2, 5.0, -5.0)[:, None], 6, axis=1)
    points = place(twice + np.random.default_rng(0).normal(0, 0.1, twice.shape))
    labels = (points[:, 0] > 0).astype(int)
    [doubts] = doubt_fits(points, Space(twice, tuple("abcdef")), [labels], seed=1)
    assert silhouette_score(points, labels) > 0.9
    assert doubts["null_silhouette"] < 0.7


def test_doubts_are_the_same_for_a_seed_and_others_for_another():
    points = np.random.default_rng(3).normal(size=(120, 3))
    space, labels = Space(points, ("a", "b", "c")), KMeans(4, n_init=10, random_state=0).fit(points).labels_
    one, again, other = (next(iter(doubt_fits(points, space, [labels], seed))) for seed in (1, 1, 2))
    assert one == again
    assert all(one[name] != other[name] for name in one)


@pytest.mark.parametrize("seed", range(4))
def test_halves_are_held_against_each_other_and_against_all(seed: int):
    points = np.random.default_rng(seed).normal(size=(90, 3))
    labels = fit(points, 4, 0, starts=10).labels_
    halves = [np.arange(0, 90, 2), np.arange(1, 90, 2)]
    strength, found = hold_halves(points, labels, 4, halves, seed, starts=1)

    centres = np.array([points[labels == cluster].mean(axis=0) for cluster in range(4)])
    anywhere = [KMeans(4, n_init=1, random_state=seed).fit(points[half]) for half in halves]
    begun = [KMeans(4, init=centres, n_init=1).fit(points[half]) for half in halves]
    one, other = (min(pair, key=lambda fitted: fitted.inertia_) for pair in zip(anywhere, begun, strict=True))
    own, told = other.labels_, one.predict(points[halves[1]])
    shares = []
    for cluster in range(4):
        members = told[own == cluster]
        same = (members[:, None] == members[None]).sum() - len(members)
        shares.append(same / (len(members) * (len(members) - 1)))
    assert strength == pytest.approx(min(shares))
    for fitted, each in zip((one, other), found, strict=True):
        again = fitted.predict(points)
        alike = [
            [((labels == c) & (again == a)).sum() / ((labels == c) | (again == a)).sum() for a in range(4)]
            for c in range(4)
        ]
        assert each.tolist() == pytest.approx(np.max(alike, axis=1).tolist())


def test_fits_to_halves_begin_where_the_clusters_lie_too():
    """Begun anywhere else once, the fit to a half ends elsewhere, and would find them again worse."""
    points = np.random.default_rng(0).normal(size=(200, 3))
    labels = fit(points, 6, 0, starts=20).labels_
    half = np.arange(0, 200, 2)
    centres = np.array([points[labels == cluster].mean(axis=0) for cluster in range(6)])
    begun = KMeans(6, init=centres, n_init=1).fit(points[half])
    worse = [seed for seed in range(20) if fit(points[half], 6, seed).inertia_ > begun.inertia_]
    assert worse
    for seed in worse[:3]:
        _, (found, _) = hold_halves(points, labels, 6, [half, np.arange(1, 200, 2)], seed, starts=1)
        assert found.tolist() == recover(labels, begun.predict(points), 6).tolist()


def test_a_cluster_of_nobody_is_found_again_by_neither_half():
    points = blobs()
    labels = np.repeat([0, 1, 3], 80)
    halves = [np.arange(0, 240, 2), np.arange(1, 240, 2)]
    _, found = hold_halves(points, labels, 4, halves, seed=0, starts=2)
    assert [each[2] for each in found] == [0, 0]
    assert min(each[0] for each in found) > 0.4
