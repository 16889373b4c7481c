"""Drift is told by an effect size first and a test second, from counts that one pass makes."""

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.drift import (
    Reference,
    describe_spread,
    judge_drift,
    mark_bins,
    measure_drift,
    read_reference,
    stability_index,
)
from smartcart_pipeline_tests.conftest import Frames, to_pandas
from smartcart_pipeline_tests.declared import RECIPES

RECIPE = RECIPES["behavioural"]


def people(size: int, seed: int, shift: float = 0.0, partners: float = 0.6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "income": rng.normal(50_000 + shift, 10_000, size).round(),
            "complain": (rng.random(size) < 0.01).astype(int),
            "living_with": np.where(rng.random(size) < partners, "Partner", "Alone"),
        }
    )


def describe(frame: pd.DataFrame) -> Reference:
    numbers = {name: frame[name].to_numpy(float) for name in ("income", "complain")}
    return describe_spread(numbers, {"living_with": frame["living_with"].tolist()}, RECIPE)


def measure(reference: Reference, frame: Any) -> dict[str, dict[str, Any]]:
    marked = frame.with_columns(*mark_bins(reference))
    names = [name for name in marked.collect_schema().names() if name.startswith("bin_")]
    sums = marked.select(nw.len().alias("customers"), *[nw.col(name).sum() for name in names])
    rows: Rows = to_pandas(sums).to_dict("records")
    return {row["feature"]: row for row in measure_drift(reference, rows)}


def test_the_same_customers_have_not_drifted_at_all(as_frame: Frames):
    frame = people(2_000, 1)
    found = measure(describe(frame), as_frame(frame))
    assert list(found) == ["income", "complain", "living_with"]
    for row in found.values():
        assert row["psi"] == pytest.approx(0, abs=1e-9)
        assert row["effect"] == pytest.approx(0, abs=1e-9)
        assert row["verdict"] == "steady"


def test_a_shift_is_found_in_the_feature_that_shifted_alone(as_frame: Frames):
    found = measure(describe(people(2_000, 1)), as_frame(people(2_000, 2, shift=8_000)))
    assert {name: row["verdict"] for name, row in found.items()} == {
        "income": "drifted",
        "complain": "steady",
        "living_with": "steady",
    }


def test_the_verdict_does_not_flip_because_there_are_many_customers():
    small, large = people(2_000, 2, shift=500), people(400_000, 2, shift=500)
    reference = describe(people(100_000, 1))
    few, many = (measure(reference, nw.from_native(frame))["income"] for frame in (small, large))
    assert many["p_value"] < 1e-6
    assert few["verdict"] == many["verdict"] == "steady"


def test_chance_among_few_customers_is_no_drift():
    reference = describe(people(10_000, 1))
    row = measure(reference, nw.from_native(people(25, 6)))["income"]
    assert row["psi"] > 0.1
    assert row["verdict"] == "steady"


@pytest.mark.parametrize(
    ("psi", "p_value", "verdict"),
    [
        (0.0999, 0.0, "steady"),
        (0.1, 0.0, "noticeable"),
        (0.2499, 0.0, "noticeable"),
        (0.25, 0.0, "drifted"),
        (0.9, 0.000999, "drifted"),
        (0.9, 0.001, "steady"),
    ],
)
def test_the_effect_counts_where_it_is_significant(psi: float, p_value: float, verdict: str):
    assert judge_drift(psi, p_value) == verdict


def test_the_distance_is_that_of_scipy_at_the_edges():
    before, after = people(3_000, 1), people(2_000, 2, shift=4_000)
    row = measure(describe(before), nw.from_native(after))["income"]
    exact = ks_2samp(before["income"], after["income"])
    assert exact.statistic - 0.05 < row["effect"] <= exact.statistic


def test_the_test_of_categories_is_that_of_scipy():
    before, after = people(3_000, 1), people(2_000, 2, partners=0.5)
    row = measure(describe(before), nw.from_native(after))["living_with"]
    table = [[(frame["living_with"] == level).sum() for level in ("Alone", "Partner")] for frame in (before, after)]
    expected = chi2_contingency(table, correction=False)
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["effect"] == pytest.approx((expected.statistic / 5_000) ** 0.5)


def test_three_categories_have_two_degrees_of_freedom():
    rng = np.random.default_rng(4)
    levels = ("Graduate", "Postgraduate", "Undergraduate")
    before, after = (rng.choice(levels, 900, p=p).tolist() for p in ((0.5, 0.3, 0.2), (0.45, 0.33, 0.22)))
    numbers = {"income": np.arange(900.0)}
    reference = describe_spread(numbers, {"education": before}, RECIPE)
    frame = nw.from_native(pd.DataFrame({"income": numbers["income"], "education": after}))
    expected = chi2_contingency([[x.count(level) for level in levels] for x in (before, after)], correction=False)
    assert expected.dof == 2
    assert measure(reference, frame)["education"]["p_value"] == pytest.approx(expected.pvalue)


def test_the_index_is_the_one_of_the_definition():
    before, after = np.array([50.0, 30.0, 20.0]), np.array([10.0, 10.0, 20.0])
    p, q = before / 100, after / 40
    assert stability_index(before, after) == pytest.approx(float(((q - p) * np.log(q / p)).sum()))


def test_half_a_customer_stands_in_an_empty_bin():
    p, q = np.array([100 / 100.5, 0.5 / 100.5]), np.array([0.5, 0.5])
    expected = float(((q - p) * np.log(q / p)).sum())
    assert stability_index(np.array([100.0, 0.0]), np.array([50.0, 50.0])) == pytest.approx(expected, rel=1e-12)


def test_categories_that_are_new_or_have_vanished_are_named():
    reference = describe(people(500, 1, partners=1.0))
    row = measure(reference, nw.from_native(people(500, 2, partners=0.0)))["living_with"]
    assert (row["new_categories"], row["vanished_categories"], row["verdict"]) == ("Alone", "Partner", "drifted")


def test_a_reference_is_plain_data():
    reference = describe(people(500, 1))
    assert read_reference(reference.document()) == reference


def test_a_value_that_never_varies_has_one_bin():
    frame = people(50, 1).assign(complain=0)
    reference = describe(frame)
    assert reference.edges["complain"] == ()
    assert measure(reference, nw.from_native(frame))["complain"]["psi"] == 0
