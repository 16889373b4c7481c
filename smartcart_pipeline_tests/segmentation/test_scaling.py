"""Standardising equals scikit-learn's own scaler, on every kind of frame and however the data is batched."""

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
    correlate,
    correlation_rows,
    encode_features,
    fit_scaler,
    read_correlations,
    standardise,
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
    assert scaler.rows()[1] == {"feature": "f1", "mean": 5.0, "scale": 1.0}
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
