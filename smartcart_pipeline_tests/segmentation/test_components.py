"""Components keep their signs, and projecting on them is scikit-learn's, also from batches."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading_duckdb import read_export
from smartcart_pipeline.segmentation.cleaning import clean_customers, judge_customers, summarise_accepted
from smartcart_pipeline.segmentation.components import (
    NAMES,
    Components,
    fit_components,
    fix_signs,
    project,
    read_components,
)
from smartcart_pipeline.segmentation.features import describe_customers
from smartcart_pipeline.segmentation.moments import sum_moments
from smartcart_pipeline.segmentation.scaling import correlate, encode_features, fit_scaler, standardise
from smartcart_pipeline_tests.conftest import Frames, to_pandas
from smartcart_pipeline_tests.declared import BEHAVIOURAL, DECLARATIONS, RECIPES


def pipeline(features: pd.DataFrame, recipe: Recipe) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, loadings and explained variance by scikit-learn alone, which also encodes the categories."""
    from sklearn.compose import make_column_transformer
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encoder = make_column_transformer(
        ("passthrough", list(recipe.numeric)),
        *(
            (OneHotEncoder(categories=[list(levels)], sparse_output=False), [source])
            for source, levels in recipe.categorical
        ),
    )
    fitted = make_pipeline(encoder, StandardScaler(), PCA(3, svd_solver="full")).fit(features)
    signs = np.sign(np.sum(fitted[-1].components_ * fix_signs(fitted[-1].components_), axis=1))
    return (
        fitted.transform(features) * signs,
        fitted[-1].components_ * signs[:, None],
        fitted[-1].explained_variance_ratio_,
    )


def split(values: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """Batches of the given sizes, and one of the rest."""
    return np.split(values, np.cumsum(sizes))


def random_features(customers: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    recipe = RECIPES["behavioural"]
    # Scales apart, so that no two directions are of equal variance and either may be found.
    numbers = (random.normal(size=(customers, 3)) * [12, 8, 4]) @ random.normal(size=(3, len(recipe.numeric)))
    frame = pd.DataFrame(numbers + random.normal(size=numbers.shape), columns=list(recipe.numeric))
    for source, categories in recipe.categorical:
        frame[source] = random.permutation(np.resize(categories, customers))
    frame.insert(0, "customer_id", range(customers))
    return frame


def export_features(engine: DuckDBEngine, path: Path, recipe: str = "behavioural") -> pd.DataFrame:
    raw, _ = read_export(engine, inspect_export(path, BEHAVIOURAL.contract))
    judged = judge_customers(raw, None, BEHAVIOURAL.contract)
    [accepted] = engine.rows(summarise_accepted(judged, "dt_customer", "income"))
    cleaned = clean_customers(judged, accepted["newest"], {"income": accepted["median"]}, BEHAVIOURAL)
    return to_pandas(describe_customers(cleaned, DECLARATIONS[recipe]).sort("customer_id"))


def assert_equals_scikit_learn(as_frame: Frames, features: pd.DataFrame, recipe: Recipe, sizes: list[int]) -> None:
    encoded = encode_features(as_frame(features), recipe)
    matrix = to_pandas(encoded).sort_values("customer_id")[list(recipe.names)].to_numpy(dtype=float)
    seen = sum_moments(split(matrix, sizes), recipe.names)
    scaled = standardise(encoded, fit_scaler(seen))
    components = fit_components(correlate(seen), recipe.names)
    placed = to_pandas(project(scaled, components)).sort_values("customer_id")

    points, loadings, explained = pipeline(features, recipe)
    assert placed.columns.tolist() == ["customer_id", "pc1", "pc2", "pc3"]
    assert placed["customer_id"].tolist() == features["customer_id"].tolist()
    assert np.abs(placed[list(NAMES)].to_numpy(dtype=float) - points).max() < 1e-9
    assert np.abs(components.loadings - loadings).max() < 1e-9
    assert np.abs(np.array(components.explained_variance_ratio) - explained).max() < 1e-9


@pytest.mark.parametrize("sizes", [[], [100, 100], [60, 60, 119]], ids=["one batch", "three", "a last one of one"])
@pytest.mark.parametrize("seed", range(3))
def test_random_customers_are_placed_as_by_scikit_learn(as_frame: Frames, seed: int, sizes: list[int]):
    assert_equals_scikit_learn(as_frame, random_features(240, seed), RECIPES["behavioural"], sizes)


@pytest.mark.parametrize("sizes", [[], [1_000, 900, 300]], ids=["one batch", "four"])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
@pytest.mark.parametrize("export", ["sample", "real_export"])
def test_an_exports_customers_are_placed_as_by_scikit_learn(
    as_frame: Frames,
    engine: DuckDBEngine,
    request: pytest.FixtureRequest,
    export: str,
    recipe: Recipe,
    sizes: list[int],
):
    features = export_features(engine, request.getfixturevalue(export), recipe.name)
    assert_equals_scikit_learn(as_frame, features, recipe, sizes)


def test_the_real_export_gives_the_measured_components(engine: DuckDBEngine, real_export: Path):
    """As measured once with pandas and scikit-learn, and written down in the design."""
    recipe = RECIPES["reference"]
    features = export_features(engine, real_export)
    _, _, explained = pipeline(features, recipe)
    assert len(features) == 2_236
    assert explained.round(4).tolist() == [0.2316, 0.1139, 0.1041]


def test_customers_are_placed_by_the_sum_of_their_weighted_features(as_frame: Frames):
    components = Components(
        features=("a", "b"),
        loadings=np.array([[0.5, 0.25], [-1.0, 1.0], [0.0, 2.0]]),
        explained_variance_ratio=(0.5, 0.3, 0.2),
    )
    scaled = pd.DataFrame({"customer_id": [7, 8], "a": [2.0, -4.0], "b": [8.0, 0.0], "c": [1.0, 1.0]})
    assert to_pandas(project(as_frame(scaled), components)).to_dict("list") == {
        "customer_id": [7, 8],
        "pc1": [3.0, -2.0],
        "pc2": [6.0, 4.0],
        "pc3": [16.0, 0.0],
    }


def test_loadings_are_a_row_for_each_component_and_feature():
    components = Components(
        features=("a", "b"),
        loadings=np.array([[0.6, 0.8], [0.8, -0.6], [1.0, 0.0]]),
        explained_variance_ratio=(0.5, 0.3, 0.2),
    )
    assert [tuple(row.values()) for row in components.rows()] == [
        ("pc1", "a", 0.6, 0.5),
        ("pc1", "b", 0.8, 0.5),
        ("pc2", "a", 0.8, 0.3),
        ("pc2", "b", -0.6, 0.3),
        ("pc3", "a", 1.0, 0.2),
        ("pc3", "b", 0.0, 0.2),
    ]
    assert list(components.rows()[0]) == ["component", "feature", "loading", "explained_variance_ratio"]


@pytest.mark.parametrize(
    ("loadings", "fixed"),
    [
        ([0.6, 0.8], [0.6, 0.8]),
        ([0.6, -0.8], [-0.6, 0.8]),
        ([-0.8, 0.6], [0.8, -0.6]),
        # The indicators of a two-valued category mirror each other: whichever rounding makes a hair stronger, the
        # first of them is positive.
        ([0.1, -0.7, 0.7], [-0.1, 0.7, -0.7]),
        ([0.1, 0.7, -0.7000000001], [0.1, 0.7, -0.7000000001]),
        ([0.1, -0.7, 0.7000000001], [-0.1, 0.7, -0.7000000001]),
        ([0.1, 0.7, -0.70001], [-0.1, -0.7, 0.70001]),
        ([0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_the_first_of_the_strongest_loadings_is_positive(loadings: list[float], fixed: list[float]):
    assert fix_signs(np.array([loadings])).tolist() == [fixed]


@given(
    st.lists(
        st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=4, max_size=4)
        .filter(lambda row: max(map(abs, row)) > 0.1)
        .map(lambda row: [0.0, *row]),
        min_size=1,
        max_size=3,
    )
)
@settings(derandomize=True)
def test_signs_do_not_depend_on_a_fits_luck(rows: list[list[float]]):
    loadings = np.array(rows)
    fixed = fix_signs(loadings)
    assert fix_signs(-loadings).tolist() == fixed.tolist()
    assert fix_signs(fixed).tolist() == fixed.tolist()
    assert np.abs(fixed).tolist() == np.abs(loadings).tolist()


def test_the_components_of_features_that_hardly_differ_are_ordered_all_the_same():
    seen = sum_moments([np.array([[1.0, 0, 0, 5], [0, 1, 0, 5], [0, 0, 3, 5]])], ("a", "b", "c", "d"))
    components = fit_components(correlate(seen), seen.features)
    assert components.loadings.shape == (3, 4)
    assert sum(components.explained_variance_ratio) == pytest.approx(1)
    assert components.loadings[:, 3].tolist()[:2] == [0.0, 0.0]


def test_components_are_read_back_from_the_rows_that_keep_them():
    values = np.random.default_rng(1).normal(size=(50, 4))
    fitted = fit_components(correlate(sum_moments([values], tuple("abcd"))), tuple("abcd"))
    read = read_components(fitted.rows())
    assert (read.features, read.explained_variance_ratio) == (fitted.features, fitted.explained_variance_ratio)
    assert read.loadings.tolist() == fitted.loadings.tolist()
