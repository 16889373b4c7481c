"""Planted groups are natural, a continuum never is, and noise is constructed under every recipe."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.segmentation.features import describe_customers
from smartcart_pipeline.segmentation.noise import Space, fit, place, shuffle
from smartcart_pipeline.segmentation.scaling import encode_features, fit_fences, standardise
from smartcart_pipeline.segmentation.structure import (
    Structure,
    Verdict,
    examine,
    examine_afresh,
    gather,
    is_better,
    is_doubtful,
    measure_gap,
    recovery_rows,
    stand_apart,
    structure_row,
    tell_structure,
)
from smartcart_pipeline.segmentation.threads import alone
from smartcart_pipeline.smartcart import sample
from smartcart_pipeline.smartcart.simulation import Memory
from smartcart_pipeline_tests.declared import CONTRACT, DECLARATIONS, RECIPES
from smartcart_pipeline_tests.segmentation.test_model import by_numpy, random_features, random_model

SEEDS = range(20)
Kind = Callable[[np.random.Generator, int], np.ndarray]


def blobs(random: np.random.Generator, customers: int) -> np.ndarray:
    """Three round groups of unlike size, far apart in five features."""
    sizes = (customers // 2, customers // 3, customers // 6)
    return np.concatenate(
        [random.normal(centre, 1, (size, 5)) for centre, size in zip(np.eye(5) * 7, sizes, strict=False)]
    )


def correlated(random: np.random.Generator, customers: int) -> np.ndarray:
    """A single cloud, each two features correlated by a half."""
    return random.normal(size=(customers, 5)) @ np.linalg.cholesky(0.5 * np.eye(5) + 0.5).T


def elongated(random: np.random.Generator, customers: int) -> np.ndarray:
    """A single cloud, four times as long as wide, in any direction."""
    return random.normal(size=(customers, 5)) * [4, 1, 1, 1, 1] @ np.linalg.qr(random.normal(size=(5, 5)))[0]


def one_factor(random: np.random.Generator, customers: int) -> np.ndarray:
    """A single quantity, such as wealth, that five features say with little noise."""
    return random.normal(size=(customers, 1)) + 0.4 * random.normal(size=(customers, 5))


def space_of(values: np.ndarray) -> Space:
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    return Space(scaled, tuple(f"f{number}" for number in range(values.shape[1])))


def look(values: np.ndarray, clusters: int, seed: int) -> Structure:
    """What speaks for the clusters that k-means finds."""
    space = space_of(values)
    with alone():
        points = place(space.values)
        return examine(space, points, fit(points, clusters, seed, 10).labels_, clusters, seed)


def found(**said: Any) -> Structure:
    """A structure for which everything speaks, but for what is said."""
    good = Structure(
        silhouette=0.4,
        null_silhouette=0.1,
        null_deviation=0.05,
        prediction_strength=0.95,
        recovery=(0.9, 0.85, 0.95),
        on_components=0.5,
        null_on_components=0.3,
        gap=0.2,
        customers=500,
    )
    return replace(good, **said)


def test_planted_groups_are_natural_whatever_the_seed():
    assert Counter(look(blobs(np.random.default_rng(seed), 120), 3, seed).verdict for seed in SEEDS) == {"natural": 20}


@pytest.mark.parametrize("kind", [correlated, elongated, one_factor])
def test_a_continuum_is_never_natural(kind: Kind):
    """Of one in two, in three and in four."""
    verdicts = Counter(look(kind(np.random.default_rng(seed), 200), 2 + seed % 3, seed).verdict for seed in SEEDS)
    assert verdicts["natural"] == 0
    # Other customers do fall into some of them again: those of a long cloud that is cut in two.
    assert 1 <= verdicts["reproducible"] <= 12


@pytest.mark.parametrize("clusters", [2, 4])
def test_as_many_segments_as_there_are_no_groups_are_less_to_be_believed(clusters: int):
    verdict = look(blobs(np.random.default_rng(0), 240), clusters, 0).verdict
    assert verdict != "natural"


@pytest.fixture(scope="module")
def customers() -> Iterator[dict[str, np.ndarray]]:
    """Generated customers, encoded as each recipe shows them its model."""
    engine = DuckDBEngine()
    raw = engine.frame(pa.Table.from_batches(sample.batches(500, seed=3)))
    good = raw.rename({column.header: column.name for column in CONTRACT}).with_columns(
        nw.col("income").fill_null(50_000.0), nw.lit(date(2014, 6, 29), dtype=nw.Date).alias("as_of_date")
    )
    good = engine.keep(good.filter(nw.col("income") < 600_000))
    yield {
        name: engine.array(
            encode_features(describe_customers(good, declared), declared.recipe).sort("customer_id"),
            declared.recipe.names,
        )
        for name, declared in DECLARATIONS.items()
    }
    engine.close()


def shuffled(values: np.ndarray, recipe: Recipe, seed: int) -> np.ndarray:
    sources = tuple(column.source for column in recipe.encoded)
    return shuffle(Space(values, sources), np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_noise_is_constructed_under_every_recipe(customers: dict[str, np.ndarray], recipe: Recipe, seed: int):
    verdict = examine_afresh(shuffled(customers[recipe.name], recipe, seed), recipe, seed)[0].verdict
    assert verdict == "constructed"


def test_noise_is_constructed_whatever_the_seed_though_it_is_found_again(customers: dict[str, np.ndarray]):
    """Categories and flags part even noise so that everybody finds the same: only noise itself tells."""
    recipe = RECIPES["behavioural"]
    looked = []
    for seed in SEEDS:
        space = stand_apart(shuffled(customers["behavioural"][:200], recipe, seed), recipe)
        with alone():
            points = place(space.values)
            looked.append(examine(space, points, fit(points, 5, seed, 10).labels_, 5, seed))
    assert Counter(each.verdict for each in looked) == {"constructed": 20}
    again = [each for each in looked if each.prediction_strength >= 0.8 and min(each.recovery) >= 0.75]
    assert len(again) >= 2


def test_generated_customers_are_no_noise_under_the_recipe_where_each_weighs_once(customers: dict[str, np.ndarray]):
    recipe = RECIPES["balanced"]
    structure, labels = examine_afresh(customers["balanced"], recipe, 0)
    assert structure.beyond_noise > 10
    assert not structure.is_noise
    assert structure.gap > 0.5
    assert len(labels) == len(customers["balanced"]) == structure.customers
    assert sorted(set(labels.tolist())) == list(range(len(structure.recovery)))


def test_as_many_segments_are_looked_at_as_the_recipe_asks_for(customers: dict[str, np.ndarray]):
    recipe = replace(RECIPES["balanced"], segments=5)
    structure, labels = examine_afresh(customers["balanced"], recipe, 0)
    assert (len(structure.recovery), len(set(labels.tolist()))) == (5, 5)


def test_a_recipes_customers_are_fenced_standardised_and_weighed(customers: dict[str, np.ndarray]):
    recipe = replace(RECIPES["behavioural"], fences=0.5)
    values = customers["behavioural"]
    space = stand_apart(values, recipe)
    fences = fit_fences(values, recipe.names, 0.5)
    moved = []
    for number, one in enumerate(recipe.encoded):
        column = values[:, number]
        if one.name in recipe.fenced and one.name in fences:
            column = column.clip(*fences[one.name])
            moved.append(one.name)
        expected = (column - column.mean()) / column.std() * recipe.factors[number]
        assert space.values[:, number] == pytest.approx(expected), one.name
    assert "income" in moved
    # What is 0 or 1 has no fences.
    assert not {"complain", "education_graduate"} & set(moved)
    assert space.sources == tuple(one.source for one in recipe.encoded)
    # Features weigh as declared, however many columns they have.
    for columns, name in zip(space.columns, dict.fromkeys(space.sources), strict=True):
        assert space.values[:, columns].var(axis=0).sum() == pytest.approx(recipe.by_name[name].weight)


def test_what_never_varies_stands_at_zero_and_fences_are_the_recipes():
    recipe = RECIPES["balanced"]
    values = np.random.default_rng(0).normal(size=(400, len(recipe.names)))
    values[:, 2] = 7.0
    values[0, 0] = 1e6
    fenced, free = (stand_apart(values, each).values for each in (recipe, replace(recipe, fences=None)))
    assert fenced[:, 2].tolist() == free[:, 2].tolist() == [0.0] * 400
    assert free[0, 0] > 19
    assert fenced[0, 0] < 15
    assert fenced[1:, 0].std() > 0.7
    assert free[1:, 0].std() < 1e-4


def test_silhouettes_are_scikit_learns_of_the_same_customers():
    values = correlated(np.random.default_rng(0), 150)
    space = space_of(values)
    points = place(space.values)
    labels = fit(points, 3, 0, 10).labels_
    structure = examine(space, points, labels, 3, 1)
    assert structure.silhouette == pytest.approx(silhouette_score(space.values, labels))
    assert structure.on_components == pytest.approx(silhouette_score(points, labels))
    assert structure.customers == 150


def test_of_many_customers_a_sample_is_looked_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("smartcart_pipeline.segmentation.structure.EXAMINED_CUSTOMERS", 120)
    monkeypatch.setattr("smartcart_pipeline.segmentation.structure.COMPARED_CUSTOMERS", 60)
    space = space_of(blobs(np.random.default_rng(0), 600))
    points = place(space.values)
    labels = fit(points, 3, 0, 10).labels_
    structure = examine(space, points, labels, 3, 5)

    random = np.random.default_rng(5)
    few = np.sort(random.permutation(600)[:120])
    compared = few[np.sort(random.permutation(120)[:60])]
    assert structure.customers == 120
    assert structure.silhouette == pytest.approx(silhouette_score(space.values[compared], labels[compared]))
    assert structure.gap == measure_gap(space.values[few], labels[few])
    assert structure.verdict == "natural"


def test_a_seed_gives_the_same_structure_and_another_draws_others():
    values = correlated(np.random.default_rng(1), 120)
    one, again, other = (look(values, 3, seed) for seed in (1, 1, 2))
    assert one == again
    drawn = ("null_silhouette", "null_deviation", "prediction_strength", "recovery", "null_on_components")
    assert all(getattr(one, name) != getattr(other, name) for name in drawn)


def test_a_segment_of_nobody_is_not_found_again():
    space = space_of(blobs(np.random.default_rng(0), 180))
    points = place(space.values)
    labels = fit(points, 3, 0, 10).labels_
    structure = examine(space, points, labels, 4, 0)
    assert len(structure.recovery) == 4
    assert structure.recovery[3] == 0
    assert structure.verdict == "constructed"
    # Nobody's number may also lie between those of others.
    between = examine(space, points, np.where(labels == 2, 3, labels), 4, 0)
    assert between.recovery[2] == 0
    assert between.silhouette == structure.silhouette


def test_where_all_customers_are_in_one_segment_nothing_parts_them():
    space = space_of(correlated(np.random.default_rng(0), 60))
    structure = examine(space, place(space.values), np.zeros(60, dtype=int), 1, 0)
    assert (structure.silhouette, structure.on_components, structure.gap) == (0, 0, 0)
    assert structure.verdict == "constructed"


@pytest.mark.parametrize(
    ("along", "labels", "gap"),
    [
        # Two centres at 0 and 10, two customers around each and one in the middle, which changes neither mean.
        pytest.param([-0.5, 0.5, 9.5, 10.5], [0, 0, 1, 1], 0.0, id="nobody between them"),
        pytest.param([-0.9, -5, 5, 0.9, 9.5, 10.5], [0, 0, 0, 0, 1, 1], 0.5, id="as many as half of a centre"),
        pytest.param([-5, 5, 9.5, 10.5], [0, 0, 1, 1], 1.0, id="nobody around a centre counts as one"),
        pytest.param([-4.1, 4.1, -0.5, 0.5, 15.9, 4.1], [0, 0, 0, 0, 1, 1], 2 / 1, id="of both segments"),
        pytest.param([-3.9, 3.9, 0, 0, 9.5, 10.5], [0, 0, 0, 0, 1, 1], 0.0, id="beyond the middle"),
        pytest.param([0, 0, 0], [0, 0, 0], 0.0, id="one segment"),
        pytest.param([-1, 1, -2, 2], [0, 0, 1, 1], 1.0, id="one centre for both"),
    ],
)
def test_the_middle_is_counted_beside_the_lesser_centre(along: list[float], labels: list[int], gap: float):
    assert measure_gap(np.array(along, dtype=float)[:, None], np.array(labels)) == gap


def test_the_gap_is_that_of_the_pair_which_is_parted_least():
    # Between 0 and 1 there is nobody, between 1 and 2 there are two for the two around each.
    values = np.array([-100.5, -99.5, -0.5, 0.5, -5, 5, 9.5, 10.5, 15, 5], dtype=float)[:, None]
    labels = np.array([0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    assert measure_gap(values[:4], labels[:4]) == 0
    assert measure_gap(values, labels) == 1.0


@given(st.integers(2, 4), st.integers(0, 500), st.floats(0.1, 9))
@settings(max_examples=40, deadline=None)
def test_a_gap_depends_on_no_unit_no_place_and_no_numbering(clusters: int, seed: int, times: float):
    random = np.random.default_rng(seed)
    values, labels = random.normal(size=(60, 3)), random.integers(0, clusters, 60)
    turned = values @ np.linalg.qr(random.normal(size=(3, 3)))[0] * times + 5
    assert measure_gap(turned, clusters - labels) == measure_gap(values, labels)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({}, "natural"),
        ({"gap": 0.5}, "natural"),
        ({"gap": 0.5001}, "reproducible"),
        ({"silhouette": 0.25, "null_deviation": 0.05 - 1e-12}, "natural"),
        ({"silhouette": 0.2499}, "constructed"),
        ({"on_components": 0.3001}, "natural"),
        ({"on_components": 0.3}, "constructed"),
        ({"prediction_strength": 0.8}, "natural"),
        ({"prediction_strength": 0.7999}, "constructed"),
        ({"recovery": (0.9, 0.75)}, "natural"),
        ({"recovery": (0.9, 0.7499)}, "constructed"),
        ({"gap": 9.0, "recovery": (0.9, 0.7499)}, "constructed"),
        # Where all shuffled data have one silhouette, any better one is beyond.
        ({"null_deviation": 0.0, "silhouette": 0.1001}, "natural"),
        ({"null_deviation": 0.0, "silhouette": 0.1}, "constructed"),
    ],
)
def test_each_threshold_is_met_exactly_or_not(said: dict[str, Any], verdict: Verdict):
    assert found(**said).verdict == verdict


NAMES = ("Old hands", "Savers", "Newcomers")


def test_reasons_are_told_in_a_sentence_each():
    assert found().reasons(NAMES) == (
        "The silhouette over all features is 0.400, and 0.100 where each feature is shuffled by itself (+6.0 standard "
        "deviations, of 3 needed); on the components 0.500 and 0.300: more than noise. The segments are found again in "
        "other samples of the customers: prediction strength 0.95 (of 0.80 needed), and of Savers, the least sure, "
        "refits find 0.85 again (of 0.75 needed). There are gaps between them: half way between the two nearest lie "
        "0.20 customers for each around a centre (0.50 at most is a gap)."
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"silhouette": 0.05}, "(-1.0 standard deviations, of 3 needed)"),
        ({"silhouette": 0.05}, ": no more than noise. The segments are found again"),
        ({"on_components": 0.2}, "on the components 0.200 and 0.300: no more than noise. "),
        ({"prediction_strength": 0.5}, "The segments are not found again in other samples"),
        ({"recovery": (0.7, 0.8, 0.9)}, "are not found again"),
        ({"recovery": (0.7, 0.8, 0.9)}, "of Old hands, the least sure, refits find 0.70 again"),
        ({"gap": 1.5}, "There are no gaps between them: half way between the two nearest lie 1.50 customers"),
    ],
)
def test_reasons_say_what_speaks_against(said: dict[str, Any], told: str):
    assert told in found(**said).reasons(NAMES)


def row(
    name: str = "behavioural", giveaway: str | None = None, is_in_force: bool = True, **said: Any
) -> dict[str, Any]:
    return structure_row(name, found(**said), NAMES, giveaway) | {"is_in_force": is_in_force}


CONSTRUCTED, REPRODUCIBLE = {"prediction_strength": 0.5}, {"gap": 2.0}


def test_a_row_tells_all_that_was_found():
    assert structure_row("balanced", found(), NAMES, "income") == {
        "recipe": "balanced",
        "segments": 3,
        "verdict": "natural",
        "reasons": found().reasons(NAMES),
        "giveaway": "income",
        "silhouette": 0.4,
        "null_silhouette": 0.1,
        "null_deviation": 0.05,
        "beyond_noise": pytest.approx(6),
        "on_components": 0.5,
        "null_on_components": 0.3,
        "prediction_strength": 0.95,
        "recovery": 0.85,
        "gap": 0.2,
        "sample_customers": 500,
    }


def test_each_segment_is_told_how_surely_it_is_found_again():
    assert recovery_rows(found(recovery=(0.75, 0.7499, 1.0)), ("S03", "S01", "S02")) == [
        {"segment_id": "S03", "recovery": 0.75, "is_found_again": True},
        {"segment_id": "S01", "recovery": 0.7499, "is_found_again": False},
        {"segment_id": "S02", "recovery": 1.0, "is_found_again": True},
    ]
    with pytest.raises(ValueError, match="zip"):
        recovery_rows(found(), ("S01", "S02"))


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (row(), False),
        (row(**REPRODUCIBLE), False),
        (row(**CONSTRUCTED), True),
        (row(giveaway="living_with"), True),
        (row(giveaway="living_with", **REPRODUCIBLE), True),
    ],
)
def test_segments_are_doubtful_if_constructed_or_given_away(known: dict[str, Any], expected: bool):
    assert is_doubtful(known) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (row(), row(**REPRODUCIBLE), True),
        (row(**REPRODUCIBLE), row(**CONSTRUCTED), True),
        (row(), row(**CONSTRUCTED), True),
        (row(), row(), False),
        (row(**CONSTRUCTED), row(**CONSTRUCTED), False),
        (row(**REPRODUCIBLE), row(), False),
        (row(**CONSTRUCTED), row(**REPRODUCIBLE), False),
        # As good: only the other's are given away by one feature.
        (row(), row(giveaway="x"), True),
        (row(**CONSTRUCTED), row(giveaway="x", **CONSTRUCTED), True),
        (row(giveaway="x"), row(giveaway="y"), False),
        (row(giveaway="x"), row(), False),
        # A better verdict counts for more than what gives segments away.
        (row(giveaway="x"), row(**CONSTRUCTED), True),
        (row(**CONSTRUCTED), row(giveaway="x"), False),
    ],
)
def test_one_recipes_segments_may_be_more_to_be_believed(one: dict[str, Any], other: dict[str, Any], expected: bool):
    assert is_better(one, other) == expected


CUT = "They are a way to cut the customer base, not groups found in it."
BY_OTHERS = f"The segments are constructed: other samples of the customers fall into others. {CUT}"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([row()], "The segments are natural: gaps part them."),
        (
            [row(**REPRODUCIBLE)],
            "The segments are reproducible: no gaps part them, but other samples of the customers fall into the same.",
        ),
        ([row(**CONSTRUCTED)], BY_OTHERS),
        ([row(silhouette=0.1)], f"The segments are constructed: noise would give them as well. {CUT}"),
        (
            [row(giveaway="x"), row("balanced", is_in_force=False)],
            (
                "The segments are natural: gaps part them. The recipe balanced would do better: its 3 are given away "
                "by no feature."
            ),
        ),
        (
            [row(giveaway="x", **REPRODUCIBLE), row("balanced", is_in_force=False)],
            (
                "The segments are reproducible: no gaps part them, but other samples of the customers fall into the "
                "same. The recipe balanced would do better: its 3 are natural."
            ),
        ),
        (
            [row("balanced", is_in_force=False, **REPRODUCIBLE), row(**CONSTRUCTED)],
            f"{BY_OTHERS} The recipe balanced would do better: its 3 are reproducible.",
        ),
        (
            [row(), row("balanced", is_in_force=False, **REPRODUCIBLE)],
            "The segments are natural: gaps part them.",
        ),
    ],
)
def test_how_far_to_believe_the_segments_is_told_in_a_sentence_or_two(rows: list[dict[str, Any]], told: str):
    assert tell_structure(rows) == told


def test_noise_on_the_components_alone_is_told_as_noise():
    assert "noise would give them as well" in tell_structure([row(on_components=0.2)])


@pytest.mark.parametrize("recipe", RECIPES)
def test_customers_are_gathered_as_the_model_sees_them(recipe: str):
    model = random_model(1, recipe)
    model = replace(model, scaler=replace(model.scaler, fences=dict.fromkeys(model.features.numeric[:4], (20.0, 70.0))))
    frame = random_features(2)
    space, points, labels = gather(Memory(), nw.from_native(frame.sample(frac=1, random_state=3)), model)

    scaled = standardise(encode_features(nw.from_native(frame), model.features), model.scaler)
    expected = nw.to_native(scaled)[list(model.features.names)].to_numpy(dtype=float)
    assert space.values == pytest.approx(expected)
    assert space.sources == tuple(one.source for one in model.features.encoded)
    assert points == pytest.approx(expected @ model.components.loadings.T)
    assert labels.tolist() == by_numpy(frame, model).argmin(axis=1).tolist()
