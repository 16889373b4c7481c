"""What goes with the segments is what other libraries say does, and what gives them away is told in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats.contingency import association
from sklearn.feature_selection import f_classif

from smartcart_pipeline.declaration.recipe import AsIs, Business, Feature, Flag, Log, Recipe, Regroup, Role, Verb, Words
from smartcart_pipeline.segmentation.drivers import (
    GIVEAWAY,
    choose_axes,
    choose_split,
    count_groups,
    cramers_v,
    find_giveaways,
    measure_drivers,
    measure_pairs,
    tell_giveaways,
)
from smartcart_pipeline.segmentation.profiling import ValueCounts
from smartcart_pipeline_tests.declared import RECIPES
from smartcart_pipeline_tests.report.bikes import declare_bikes

WORDS = Words("", "", "", "", "", "")
TARIFF = Regroup("tariff", (("Basic", ("B",)), ("Plus", ("P",)), ("Star", ("S",))), "Basic")


def recipe_of(roles: dict[str, Role] | None = None, sensitive: Sequence[str] = (), **verbs: Verb) -> Recipe:
    """A recipe of nothing but features, a flag's rate being named after it."""
    features = tuple(
        Feature(name, verb, WORDS, role=(roles or {}).get(name, "feature"), rate=f"{name}_rate")
        for name, verb in verbs.items()
    )
    return Recipe("r", features, Business(), sensitive=tuple(sensitive))


def count(frame: pd.DataFrame, clusters: Sequence[int] | np.ndarray, *, shuffled: int = 0) -> dict[int, ValueCounts]:
    """What engines count, in any order."""
    counted = {}
    for cluster, members in frame.groupby(np.asarray(clusters)):
        numbers = {name: members[name].value_counts().sample(frac=1, random_state=shuffled) for name in frame}
        counted[int(str(cluster))] = {
            name: (found.index.to_numpy(float if frame[name].dtype.kind in "if" else object), found.to_numpy())
            for name, found in numbers.items()
        }
    return counted


def drive(frame: pd.DataFrame, clusters: Sequence[int] | np.ndarray, recipe: Recipe) -> dict[str, Any]:
    segments = {int(cluster): f"S{cluster + 1:02d}" for cluster in np.unique(clusters)}
    return {row["feature"]: row for row in measure_drivers(count(frame, clusters), segments, recipe)}


def corrected(table: np.ndarray) -> float:
    """Bergsma's correction of scipy's own V."""
    customers, (r, k) = table.sum(), table.shape
    phi_squared = association(table, "cramer") ** 2 * min(r - 1, k - 1)
    of_chance = (r - 1) * (k - 1) / (customers - 1)
    smaller = min(r - (r - 1) ** 2 / (customers - 1), k - (k - 1) ** 2 / (customers - 1)) - 1
    return float((max(phi_squared - of_chance, 0) / smaller) ** 0.5)


def test_drivers_of_four_customers_by_hand():
    frame = pd.DataFrame({"rides": [1, 3, 5, 7], "tariff": ["Basic", "Plus"] * 2, "late": [0, 0, 0, 0]})
    recipe = recipe_of({"late": "outcome"}, tariff=TARIFF, rides=AsIs("rides"), late=Flag("late"))
    segments, counts = {0: "S02", 1: "S01"}, count(frame, [0, 0, 1, 1])
    assert measure_drivers(counts, segments, recipe) == [
        {
            "feature": "rides",
            "role": "feature",
            "is_seen": True,
            "measure": "eta_squared",
            "association": pytest.approx(0.8),
        }
        | {"rank": 1},
        # Of what never varies, or goes with nothing, the recipe's first comes first.
        {"feature": "tariff", "role": "feature", "is_seen": True, "measure": "cramers_v", "association": 0.0}
        | {"rank": 2},
        {"feature": "late", "role": "outcome", "is_seen": False, "measure": "cramers_v", "association": 0.0}
        | {"rank": 3},
    ]
    assert measure_pairs(counts, segments, recipe) == [
        {"segment_id": "S01", "other_segment_id": "S02", "rank": 1, "feature": "rides", "measure": "eta_squared"}
        | {"association": pytest.approx(0.8)}
    ]


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_numbers_go_with_segments_as_variance_does(seed: int, k: int):
    random = np.random.default_rng(seed)
    clusters = random.permutation([*range(k), *random.integers(0, k, 60)])
    frame = pd.DataFrame({"x": random.integers(-9, 9, len(clusters)) / 4 + clusters})
    statistic = f_classif(frame, clusters)[0][0]
    expected = statistic * (k - 1) / (statistic * (k - 1) + len(clusters) - k)
    found = drive(frame, clusters, recipe_of(x=AsIs("x")))["x"]["association"]
    assert found == pytest.approx(expected, rel=1e-9)
    # Neither where a scale begins nor its unit changes anything.
    moved = drive(frame * 2**20 + 2**40, clusters, recipe_of(x=AsIs("x")))["x"]["association"]
    assert moved == pytest.approx(found, rel=1e-12)


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_groups_go_with_segments_as_scipy_says(seed: int, groups: int, k: int):
    table = np.random.default_rng(seed).integers(0, 30, (groups, k)) + 1
    assert cramers_v(table) == pytest.approx(corrected(table), abs=1e-12)
    assert cramers_v(table.T) == pytest.approx(cramers_v(table), abs=1e-12)
    with_nobody = np.pad(table, 1)
    assert cramers_v(with_nobody) == cramers_v(table)


def test_a_table_by_hand():
    # chi-square 20 of 80 customers; (0.25 - 1/79) / (1 - 1/79) is what is left of 0.25.
    assert cramers_v(np.array([[30, 10], [10, 30]])) == pytest.approx(((0.25 - 1 / 79) / (1 - 1 / 79)) ** 0.5)
    assert cramers_v(np.array([[40, 0], [0, 9]])) == pytest.approx(1.0)


@pytest.mark.parametrize("table", [[[5, 9, 3]], [[5], [9]], [[5, 0], [9, 0]], [[1, 0], [0, 1]], [[1]]])
def test_one_group_one_segment_or_only_chance_go_with_nothing(table: list[list[int]]):
    assert cramers_v(np.array(table)) == 0.0


def test_values_are_crossed_with_segments_in_their_order():
    counted = [(np.array(["b", "a"], object), np.array([2, 3])), (np.array(["c"], object), np.array([4]))]
    assert count_groups(counted).tolist() == [[3, 0], [2, 0], [0, 4]]


def test_large_numbers_that_hardly_vary_keep_their_digits():
    clusters = np.repeat([0, 1, 2], 500)
    small = np.random.default_rng(1).integers(0, 64, 1_500) / 2**22 + clusters / 2**18
    recipe = recipe_of(x=AsIs("x"))
    expected = drive(pd.DataFrame({"x": small}), clusters, recipe)["x"]["association"]
    assert 0.1 < expected < 0.9
    found = drive(pd.DataFrame({"x": small + 2.0**28}), clusters, recipe)["x"]["association"]
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("value", [0.1, -1e9 / 3, 1e-300, 1e300])
def test_what_never_varies_tells_nothing_apart(value: float):
    # In one pair it varies as little: all that differs is in the third segment.
    frame = pd.DataFrame({"x": [value] * 7, "y": [value] * 5 + [2 * value] * 2})
    clusters = [0, 0, 0, 1, 1, 2, 2]
    recipe = recipe_of(x=AsIs("x"), y=AsIs("y"))
    assert drive(frame, clusters, recipe)["x"]["association"] == 0.0
    assert drive(frame, clusters, recipe)["y"]["association"] == pytest.approx(1.0)
    pairs = measure_pairs(count(frame, clusters), {0: "S01", 1: "S02", 2: "S03"}, recipe)
    assert [(row["segment_id"], row["other_segment_id"], row["feature"]) for row in pairs] == [
        ("S01", "S03", "y"),
        ("S02", "S03", "y"),
    ]


def test_a_single_segment_is_told_apart_from_nothing():
    frame = pd.DataFrame({"rides": [1, 2, 6], "tariff": ["Basic", "Plus", "Plus"], "late": [0, 1, 1]})
    recipe = recipe_of(rides=AsIs("rides"), tariff=TARIFF, late=Flag("late"))
    assert {row["association"] for row in drive(frame, [4, 4, 4], recipe).values()} == {0.0}
    assert measure_pairs(count(frame, [4, 4, 4]), {4: "S01"}, recipe) == []


def test_a_pair_is_measured_among_its_own_customers():
    random = np.random.default_rng(5)
    clusters = random.integers(0, 3, 300)
    frame = pd.DataFrame({"x": random.normal(clusters, 1.0).round(1)})
    frame["tariff"] = np.where(random.random(300) < clusters / 4, "Plus", "Basic")
    recipe, segments = recipe_of(x=AsIs("x"), tariff=TARIFF), {0: "S03", 1: "S01", 2: "S02"}
    pairs = measure_pairs(count(frame, clusters), segments, recipe)
    assert [(row["segment_id"], row["other_segment_id"]) for row in pairs][::2] == [
        ("S01", "S02"),
        ("S01", "S03"),
        ("S02", "S03"),
    ]
    for row in pairs:
        chosen = [cluster for cluster, name in segments.items() if name in (row["segment_id"], row["other_segment_id"])]
        two = np.isin(clusters, chosen)
        alone = drive(frame[two], clusters[two], recipe)[row["feature"]]["association"]
        assert row["association"] == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize(("spread", "stronger"), [("of_log", "log_x"), ("of_x", "x")])
def test_of_a_number_and_its_logarithm_the_stronger_is_told(spread: str, stronger: str):
    x = [1, 2, 4, 30, 60, 1_000] if spread == "of_log" else [0, 30, 60, 80, 90, 100]
    frame = pd.DataFrame({"x": x, "y": [0, 1, 2, 1, 2, 3]}, dtype=float)
    frame["log_x"] = np.log1p(frame["x"])
    recipe = recipe_of(log_x=Log("x"), x=AsIs("x"), y=AsIs("y"))
    clusters = [0, 0, 0, 1, 1, 1]
    pairs = measure_pairs(count(frame, clusters), {0: "S01", 1: "S02"}, recipe)
    assert [(row["rank"], row["feature"]) for row in pairs] == [(1, stronger), (2, "y")]
    assert {"x", "log_x", "y"} == {*drive(frame, clusters, recipe)}, "drivers tell both"


def test_the_same_bits_whatever_order_values_come_in():
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"x": random.normal(0.1, 1e3, 900), "tariff": random.choice(["Basic", "Plus", "Star"], 900)})
    clusters, recipe = random.integers(0, 3, 900), recipe_of(x=AsIs("x"), tariff=TARIFF)
    segments = {0: "S01", 1: "S02", 2: "S03"}
    first, *others = (measure_drivers(count(frame, clusters, shuffled=seed), segments, recipe) for seed in range(4))
    assert all(other == first for other in others)


def test_every_recipe_that_is_shipped_is_measured():
    for recipe in RECIPES.values():
        frame = pd.DataFrame({name: [0, 1, 2, 3] for name in recipe.counted})
        for feature in recipe.features:
            if feature.is_category:
                frame[feature.name] = [feature.groups[number % 2] for number in range(4)]
        found = drive(frame, [0, 0, 1, 1], recipe)
        assert {*found} == {feature.name for feature in recipe.features}
        assert {name for name, row in found.items() if row["is_seen"]} == {feature.name for feature in recipe.seen}


DRIVERS = [{"feature": "a", "association": 0.97, "rank": 1}, {"feature": "b", "association": 0.94, "rank": 2}]


def paired(feature: str, strength: float, one: str = "S01", other: str = "S02") -> dict[str, Any]:
    return {"segment_id": one, "other_segment_id": other, "feature": feature, "association": strength, "rank": 1}


def test_giveaways_are_of_all_segments_first_and_then_of_pairs():
    pairs = [paired("a", 1.0), paired("b", GIVEAWAY), paired("c", 0.99, "S01", "S03"), paired("d", 0.9499)]
    found = find_giveaways(DRIVERS, pairs)
    assert found == [
        {"feature": "a", "association": 0.97, "segment_id": None, "other_segment_id": None},
        {"feature": "c", "association": 0.99, "segment_id": "S01", "other_segment_id": "S03"},
        {"feature": "b", "association": GIVEAWAY, "segment_id": "S01", "other_segment_id": "S02"},
    ]
    assert tell_giveaways(found) == (
        "a alone tells the segments apart (association 0.97). Each by itself, c tells S01 and S03 apart "
        "(association 0.99) and b tells S01 and S02 apart (0.95)."
    )


@pytest.mark.parametrize(
    ("drivers", "pairs", "told"),
    [
        ({}, {}, "No feature alone tells segments apart."),
        ({"a": 1.0}, {}, "a alone tells the segments apart (association 1.00)."),
        ({"a": 1.0, "b": 0.98}, {}, "Each by itself, a (association 1.00) and b (0.98) tell the segments apart."),
        (
            {"a": 1.0, "b": 0.98, "c": 0.97, "d": 0.96, "e": 0.95},
            {},
            "Each by itself, a (association 1.00), b (0.98), c (0.97) and 2 more tell the segments apart.",
        ),
        ({}, {"a": 1.0}, "a alone tells S01 and S02 apart (association 1.00)."),
        (
            {},
            {"a": 1.0, "b": 0.98},
            "Each by itself, a tells S01 and S02 apart (association 1.00) and b tells S01 and S02 apart (0.98).",
        ),
    ],
)
def test_giveaways_are_told_in_words(drivers: dict[str, float], pairs: dict[str, float], told: str):
    of_all = [{"feature": name, "association": strength} for name, strength in drivers.items()]
    of_pairs = [paired(name, strength) for name, strength in pairs.items()]
    assert tell_giveaways(find_giveaways(of_all, of_pairs)) == told


def test_a_feature_is_named_once_with_its_best_pair_and_few_are_named():
    pairs = [paired("a", 0.96), paired("a", 1.0, "S01", "S03"), *(paired(name, 0.95) for name in "bcde")]
    assert tell_giveaways(find_giveaways([], pairs)) == (
        "Each by itself, a tells S01 and S03 apart (association 1.00), b tells S01 and S02 apart (0.95), "
        "c tells S01 and S02 apart (0.95) and 2 more."
    )


def axes_of(pairs: dict[tuple[str, str], dict[str, float]], **drivers: float) -> tuple[str, ...]:
    """The axes where features go so much with all segments, the strongest first, and so much with each two."""
    recipe = declare_bikes().recipe
    ranked = [
        {"feature": name, "is_seen": True, "measure": "eta_squared", "association": association}
        for name, association in drivers.items()
    ]
    told = [
        {"segment_id": one, "other_segment_id": other, "feature": name, "association": association}
        for (one, other), apart in pairs.items()
        for name, association in apart.items()
    ]
    return choose_axes(ranked, told, recipe)


def test_axes_are_the_numbers_that_between_them_tell_every_two_segments_apart() -> None:
    drivers = {"rides": 0.8, "distance_km": 0.7, "late_share": 0.3}
    far = {"rides": 0.8, "distance_km": 0.7}
    assert axes_of({("S01", "S03"): far, ("S02", "S03"): far}, **drivers) == ("rides", "distance_km")
    # What tells the other two apart is worth more than another number that tells the same.
    assert axes_of({("S01", "S03"): far, ("S01", "S02"): {"late_share": 0.4}}, **drivers) == ("rides", "late_share")
    # What nobody would see does not count.
    assert axes_of({("S01", "S03"): far, ("S01", "S02"): {"late_share": 0.05}}, **drivers) == ("rides", "distance_km")


def test_without_two_numbers_there_are_no_axes() -> None:
    assert axes_of({("S01", "S02"): {"rides": 0.5}}, rides=0.5) == ()


@pytest.mark.parametrize(("association", "split"), [(0.96, "tariff"), (0.9, None)])
def test_customers_are_shown_apart_by_a_category_that_gives_the_segments_away(
    association: float, split: str | None
) -> None:
    row = {"feature": "tariff", "is_seen": True, "measure": "cramers_v", "association": association}
    assert choose_split([row], declare_bikes().recipe) == split
    assert choose_split([row | {"is_seen": False}], declare_bikes().recipe) is None
