"""Standardising equals scikit-learn's own scaler, on every kind of frame and however the data is batched."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import components
from smartcart_pipeline.segmentation.components import fit_components, fix_signs, project
from smartcart_pipeline.segmentation.moments import sum_moments
from smartcart_pipeline.segmentation.scaling import (
    Scaler,
    beyond,
    correlate,
    correlation_rows,
    encode_features,
    fence,
    fit_fences,
    fit_scaler,
    read_correlations,
    read_fences,
    read_scaler,
    standardise,
    weigh,
    within,
)
from smartcart_pipeline_tests.conftest import Frames, to_pandas
from smartcart_pipeline_tests.declared import BEHAVIOURAL

TOLERANCE = 1e-9


def table(values: np.ndarray) -> tuple[pd.DataFrame, tuple[str, ...]]:
    names = tuple(f"f{number}" for number in range(values.shape[1]))
    frame = pd.DataFrame(values, columns=list(names))
    frame.insert(0, "customer_id", range(len(values)))
    return frame, names


def by_scikit_learn(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), PCA(3)).fit(values)
    signed = fix_signs(pipeline[-1].components_)
    return pipeline[0].transform(values), pipeline[0].transform(values) @ signed.T


def by_us(frame: Any, values: np.ndarray, names: tuple[str, ...], batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised values and components, fitted to moments that were summed in batches."""
    seen = sum_moments((values[i : i + batch] for i in range(0, len(values), batch)), names)
    scaled = standardise(frame, fit_scaler(seen))
    z = to_pandas(scaled).sort_values("customer_id")[list(names)].to_numpy(dtype=float)
    fitted = fit_components(correlate(seen), names)
    points = to_pandas(project(scaled, fitted)).sort_values("customer_id")[list(components.NAMES)]
    return z, points.to_numpy(dtype=float)


@given(arrays.arrays(np.float64, (60, 5), elements=st.integers(-1000, 1000)), st.sampled_from([20, 60]))
@example(np.full((60, 5), 796.0), 60)
@example(np.full((60, 5), 1e6), 20)
@settings(max_examples=40, deadline=None)
def test_any_numbers_are_treated_as_scikit_learn_does(values: np.ndarray, batch: int):
    values = values + np.random.default_rng(0).normal(size=values.shape)  # no two directions of equal variance
    frame, names = table(values)
    z, points = by_us(nw.from_native(frame), values, names, batch)
    expected_z, expected_points = by_scikit_learn(values)
    assert np.abs(z - expected_z).max() < TOLERANCE
    # Directions of nearly equal variance may turn into each other: distances do not.
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    expected_gaps = np.linalg.norm(expected_points[:, None] - expected_points[None], axis=2)
    assert np.abs(gaps - expected_gaps).max() < 1e-6


def test_categories_become_indicators(as_frame: Frames):
    features = tuple(BEHAVIOURAL.recipe.by_name[name] for name in ("living_with", "age"))
    recipe = Recipe("behavioural", features, BEHAVIOURAL.recipe.business)
    frame = as_frame(pd.DataFrame({"customer_id": [1, 2], "age": [30, 40], "living_with": ["Partner", "Alone"]}))
    assert to_pandas(encode_features(frame, recipe)).sort_values("customer_id").to_dict("list") == {
        "customer_id": [1, 2],
        "age": [30.0, 40.0],
        "living_with_alone": [0.0, 1.0],
        "living_with_partner": [1.0, 0.0],
    }


def test_a_feature_that_never_varies_becomes_zero(as_frame: Frames):
    frame, names = table(np.array([[1.0, 5.0], [3.0, 5.0]]))
    seen = sum_moments([frame[list(names)].to_numpy()], names)
    assert correlate(seen).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    scaler = fit_scaler(seen)
    assert scaler.rows()[1] == {"feature": "f1", "mean": 5.0, "scale": 1.0, "lower": None, "upper": None}
    assert to_pandas(standardise(as_frame(frame), scaler))["f1"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("batches", [[], [np.ones((5, 2))]], ids=["nobody", "nobody differs"])
def test_customers_that_do_not_differ_are_refused(batches: list[np.ndarray]):
    with pytest.raises(ExportError, match="do not differ in any feature"):
        fit_scaler(sum_moments(batches, ("a", "b")))


def test_correlations_are_read_back_from_the_rows_that_keep_them():
    values = np.random.default_rng(1).normal(size=(50, 3))
    correlations = correlate(sum_moments([values], ("a", "b", "c")))
    assert correlations == pytest.approx(np.corrcoef(values.T))
    rows = correlation_rows(correlations, ("a", "b", "c"))
    assert [(row["feature"], row["other_feature"]) for row in rows[:4]] == [
        ("a", "a"),
        ("a", "b"),
        ("a", "c"),
        ("b", "a"),
    ]
    assert read_correlations(rows[::-1], ("a", "b", "c")).tolist() == correlations.tolist()


@pytest.mark.parametrize(
    ("values", "times", "expected"),
    [
        # The hundredths are 1 and 99, the median is 50.
        (range(101), 1.5, (-23.5, 123.5)),
        (range(100, -1, -1), 1.5, (-23.5, 123.5)),
        (range(101), 4, (-146.0, 246.0)),
        (range(101), 0.5, (25.5, 74.5)),
        # Each side has a reach of its own: 1, 2,500 and 9,801.
        # The reach of 14,602 has 12 binary digits: fences lie on fours, the next further out.
        ([number**2 for number in range(101)], 2, (-2_500, 17_104)),
        # Between two values, 0.98, 49 and 97.02, and so on sixty-fourths.
        (range(99), 1, (0.96875, 97.03125)),
        # Half and more have one value: the other side tells, and that on both.
        ([0] * 90 + [10] * 10, 3, (-30.0, 30.0)),
        ([0] * 90 + [-10] * 10, 3, (-30.0, 30.0)),
        ([-4] * 5 + [0] * 90 + [10] * 5, 2, (-8.0, 20.0)),
        # Of a thousand customers one decides nothing.
        ([*range(1_000), 10**9], 1, (10, 990)),
    ],
)
def test_fences_lie_as_far_from_the_median_as_all_but_a_hundredth_so_many_times(
    values: Sequence[float], times: float, expected: tuple[float, float]
):
    assert fit_fences(np.array(values, dtype=float)[:, None], ["x"], times) == {"x": expected}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([5.0] * 40, id="constant"),
        pytest.param([7.0], id="a single customer"),
        # Of two hundred customers less than a hundredth differ: nothing tells what is far.
        pytest.param([0.0] * 199 + [9.0], id="all but two hundredths have one value"),
    ],
)
def test_of_a_number_that_hardly_varies_nothing_is_far_out(values: list[float]):
    assert fit_fences(np.array(values)[:, None], ["x"], 3) == {}


def test_each_feature_has_fences_of_its_own_and_those_that_have_none_are_left_out():
    values = np.array([[number, 7, 10 * number] for number in range(101)], dtype=float)
    fences = fit_fences(values, ("a", "b", "c"), 2)
    assert fences == {"a": (-48.0, 148.0), "c": (-480.0, 1480.0)}
    assert {type(bound) for each in fences.values() for bound in each} == {float}


def test_of_nobody_and_of_no_feature_there_are_no_fences():
    assert fit_fences(np.zeros((0, 2)), ("a", "b"), 3) == {}
    assert fit_fences(np.zeros((5, 0)), (), 3) == {}


@given(
    arrays.arrays(np.float64, (120, 3), elements=st.integers(-50, 50)),
    st.floats(1, 5),
    st.permutations(range(120)),
)
@settings(max_examples=60, deadline=None)
def test_nobody_of_the_middle_half_is_beyond_the_fences_and_nobodys_place_counts(
    values: np.ndarray, times: float, order: list[int]
):
    names = ("a", "b", "c")
    fences = fit_fences(values, names, times)
    assert fit_fences(values[order], names, times) == fences
    for number, name in enumerate(names):
        column = values[:, number]
        assert (name in fences) == (np.quantile(column, 0.01) < np.quantile(column, 0.99))
        lower, upper = fences.get(name, (-np.inf, np.inf))
        assert lower <= np.quantile(column, 0.25) <= np.quantile(column, 0.75) <= upper
        # Where the tails are no longer than twice the distance of the quartiles, hardly anybody is.
        first, quarter, three_quarters, last = np.quantile(column, [0.01, 0.25, 0.75, 0.99])
        if last - first <= 2 * (three_quarters - quarter):
            assert ((column < lower) | (column > upper)).sum() <= 4


FENCED = pd.DataFrame(
    {
        "customer_id": [1, 2, 3, 4, 5, 6],
        "whole": [-100, -2, 0, 3, 4, 2**40],
        "real": [-2.0, -2.0000001, None, 3.0, 3.0000001, 0.5],
        "free": [-1e9, 1e9, 0.0, None, 1.0, 2.0],
    }
)
BOUNDS = {"whole": (-2.0, 3.0), "real": (-2.0, 3.0)}


def columns(frame: Any) -> dict[str, list[Any]]:
    """The columns in the order of the customers; None for what is missing, be it null or not a number."""
    found = to_pandas(frame).sort_values("customer_id").astype(object)
    return found.where(found.notna(), None).to_dict("list")


def test_what_lies_beyond_a_fence_counts_as_lying_there(as_frame: Frames):
    assert columns(fence(as_frame(FENCED), BOUNDS)) == {
        "customer_id": [1, 2, 3, 4, 5, 6],
        "whole": [-2.0, -2.0, 0.0, 3.0, 3.0, 3.0],
        # What is missing stays so.
        "real": [-2.0, -2.0, None, 3.0, 3.0, 0.5],
        "free": [-1e9, 1e9, 0.0, None, 1.0, 2.0],
    }


def test_without_fences_nothing_is_another(as_frame: Frames):
    assert columns(fence(as_frame(FENCED), {})) == columns(as_frame(FENCED))


@given(
    arrays.arrays(np.float64, 20, elements=st.floats(-1e6, 1e6)),
    st.floats(-1e6, 1e6),
    st.floats(0.001, 1e6),
)
@settings(max_examples=60, deadline=None)
def test_a_number_within_fences_is_numpys_clip(values: np.ndarray, lower: float, width: float):
    frame = nw.from_native(pd.DataFrame({"x": values}))
    found = frame.select(within(nw.col("x"), (lower, lower + width)).alias("x"))["x"].to_list()
    assert found == values.clip(lower, lower + width).tolist()


def test_customers_beyond_the_fences_are_counted_and_those_on_them_are_not(as_frame: Frames):
    counts = {name: beyond(name, each).alias(name) for name, each in BOUNDS.items()}
    [found] = to_pandas(as_frame(FENCED).select(*counts.values())).to_dict("records")
    assert found == {"whole": 3, "real": 2}


SCALER = Scaler(("whole", "real", "free"), (1.0, 0.5, 2.0), (2.0, 0.25, 4.0), BOUNDS)


def test_numbers_are_standardised_from_within_their_fences(as_frame: Frames):
    found = columns(standardise(as_frame(FENCED), SCALER))
    assert found == {
        "customer_id": [1, 2, 3, 4, 5, 6],
        "whole": [-1.5, -1.5, -0.5, 1.0, 1.0, 1.0],
        "real": [-10.0, -10.0, None, 10.0, 10.0, 0.0],
        "free": [(-1e9 - 2) / 4, (1e9 - 2) / 4, -0.5, None, -0.25, 0.0],
    }


def test_fitting_and_applying_see_the_same_numbers(as_frame: Frames):
    """One odd value decides nothing: the others lie where they would without it."""
    values = np.random.default_rng(0).normal(50, 10, (400, 2))
    values[0] = [1e7, -1e7]
    names = ("f0", "f1")
    frame, _ = table(values)
    fences = fit_fences(values, names, 1.5)
    inside = to_pandas(fence(as_frame(frame), fences)).sort_values("customer_id")[list(names)].to_numpy(dtype=float)
    fitted = fit_scaler(sum_moments([inside], names))
    scaler = Scaler(fitted.features, fitted.mean, fitted.scale, fences)
    z = to_pandas(standardise(as_frame(frame), scaler)).sort_values("customer_id")[list(names)].to_numpy(dtype=float)

    clipped = values.clip(*np.array([fences[name] for name in names]).T)
    assert z == pytest.approx((clipped - clipped.mean(axis=0)) / clipped.std(axis=0), abs=1e-9)
    assert np.abs(z).max() < 6
    assert z[1:].std(axis=0) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("customers", [30, 60, 100, 101, 400])
def test_of_few_customers_one_odd_value_decides_nothing_either(customers: int):
    values = np.random.default_rng(0).normal(50, 10, (customers, 1))
    values[0] = 1e6
    inside = values.clip(*fit_fences(values, ["x"], 2.5)["x"])
    assert ((inside - inside.mean()) / inside.std())[1:].std() > 0.5


def test_fences_are_read_from_the_figures_that_keep_them():
    figures = {"as_of_date": "x", "a_lower": -5, "a_upper": 9.5, "a_beyond": 3, "b_lower": None, "b_upper": None}
    assert read_fences(figures, ("a", "b")) == {"a": (-5.0, 9.5)}
    assert read_fences(figures, ("b",)) == read_fences(figures, ()) == {}
    # A fence at 0 is one.
    assert read_fences({"a_lower": 0.0, "a_upper": 1.0}, ("a",)) == {"a": (0.0, 1.0)}


def test_a_scaler_is_read_back_from_the_rows_that_keep_it():
    rows = SCALER.rows()
    assert rows == [
        {"feature": "whole", "mean": 1.0, "scale": 2.0, "lower": -2.0, "upper": 3.0},
        {"feature": "real", "mean": 0.5, "scale": 0.25, "lower": -2.0, "upper": 3.0},
        {"feature": "free", "mean": 2.0, "scale": 4.0, "lower": None, "upper": None},
    ]
    assert read_scaler(rows) == SCALER
    zero = Scaler(("a",), (0.0,), (1.0,), {"a": (0.0, 1.0)})
    assert read_scaler(zero.rows()) == zero


def test_weights_leave_the_fences_where_they_are():
    weighed = weigh(SCALER, (2.0, 0.5, 1.0))
    assert weighed == Scaler(SCALER.features, SCALER.mean, (1.0, 0.5, 4.0), BOUNDS)
