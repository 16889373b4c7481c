"""How far segments follow what is sensitive: a whole attribute, and each of its categories in each segment."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, chi2_contingency

from smartcart_pipeline.declaration.recipe import AsIs, Flag
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.drivers import cramers_v
from smartcart_pipeline.segmentation.sensitive import (
    Z_SQUARED,
    associate_sensitive,
    bound_ratio,
    find_followed,
    label_bands,
    tell_followed,
)
from smartcart_pipeline_tests.segmentation.test_drivers import TARIFF, count, recipe_of

SEGMENTS = {0: "S02", 1: "S01"}


def associate(values: Any, clusters: Any, verb: Any) -> Rows:
    recipe = recipe_of(sensitive=["x"], x=verb)
    return associate_sensitive(count(pd.DataFrame({"x": values}), clusters), SEGMENTS, recipe)


def categories_of(values: Any) -> dict[str, int]:
    """The categories of a number, and how many customers are in each."""
    found: dict[str, int] = {}
    for row in associate(values, np.arange(len(values)) % 2, AsIs("x")):
        found[row["category"]] = found.get(row["category"], 0) + row["customers"]
    return found


def against_others(own: int, size: int, others: int, other_size: int) -> list[float]:
    """Bounds of the ratio to everybody else, from those of the ratio to everybody."""
    share = size / (size + other_size)
    bounds = bound_ratio(own, size, own + others, size + other_size)
    return [at * (1 - share) / (1 - share * at) for at in bounds]


def test_a_category_is_held_against_all_customers():
    rows = associate(["Plus"] * 30 + ["Basic"] * 10 + ["Plus"] * 10 + ["Basic"] * 30, [0] * 40 + [1] * 40, TARIFF)
    assert [(row["category"], row["segment_id"], row["customers"]) for row in rows] == [
        ("Basic", "S01", 30),
        ("Basic", "S02", 10),
        ("Plus", "S01", 10),
        ("Plus", "S02", 30),
    ]
    assert [(row["share"], row["base_share"], row["ratio"]) for row in rows[:2]] == [(0.75, 0.5, 1.5), (0.25, 0.5, 0.5)]
    # Half of all customers are in a segment, so that a ratio r to everybody is r / (2 - r) to everybody else.
    low, high = against_others(30, 40, 10, 40)
    assert (rows[0]["ratio_low"], rows[0]["ratio_high"]) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))
    assert {row["association"] for row in rows} == {cramers_v(np.array([[30, 10], [10, 30]]))}


def test_attributes_stand_in_the_order_of_the_recipe_and_groups_in_theirs():
    frame = pd.DataFrame({"tariff": ["Star", "Basic", "Plus", "Basic"], "owns": [1, 0, 1, 1], "rides": [2, 10, 2, 10]})
    recipe = recipe_of(sensitive=["owns", "tariff", "rides"], tariff=TARIFF, rides=AsIs("rides"), owns=Flag("owns"))
    rows = associate_sensitive(count(frame, [0, 0, 1, 1]), SEGMENTS, recipe)
    assert list(dict.fromkeys((row["attribute"], row["category"]) for row in rows)) == [
        *(("owns", category) for category in ("no", "yes")),
        *(("tariff", category) for category in ("Basic", "Plus", "Star")),
        *(("rides", category) for category in ("2", "10")),
    ]
    assert [row["segment_id"] for row in rows] == ["S01", "S02"] * 7
    assert all(row["ratio_low"] <= row["ratio"] <= row["ratio_high"] for row in rows)
    nobody = next(row for row in rows if (row["category"], row["segment_id"]) == ("Star", "S01"))
    assert (nobody["customers"], nobody["ratio"], nobody["ratio_low"]) == (0, 0.0, 0.0)
    assert 0 < nobody["ratio_high"] < 2


def test_a_recipe_without_anything_sensitive_has_no_rows():
    frame = pd.DataFrame({"x": [1, 2]})
    assert associate_sensitive(count(frame, [0, 1]), SEGMENTS, recipe_of(x=AsIs("x"))) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (range(1, 101), {"up to 25": 25, "26 to 50": 25, "51 to 75": 25, "76 and more": 25}),
        ([2, 1, 0, 0, 5, 9], {"0": 2, "1": 1, "2": 1, "5": 1, "9": 1}),
        ([1.5, 2.0, 1000.25], {"1.5": 1, "2.0": 1, "1,000.2": 1}),
        # Most have nothing: the first two quartiles are one and the same.
        ([0] * 60 + [*range(1, 41)], {"0": 60, "1 to 15": 15, "16 and more": 25}),
        # Most have most: it stands for itself.
        ([*range(10)] + [10] * 90, {"up to 9": 10, "10": 90}),
        ([7] * 40 + [8] * 40 + [9, 10, 11, 12, 13], {"7": 40, "8": 40, "9 and more": 5}),
        ([*range(-4, 4)], {"up to -3": 2, "-2 to -1": 2, "0 to 1": 2, "2 and more": 2}),
        (
            [1000.5, 1100, 1234.5, 1300, 2000, 2001.5, 3000, 4000],
            {"up to 1,100.0": 2, "above 1,100.0 up to 1,300.0": 2, "above 1,300.0 up to 2,001.5": 2}
            | {"above 2,001.5": 2},
        ),
        (
            np.arange(8) / 1000 + 2,
            {"up to 2.001": 2, "above 2.001 up to 2.003": 2, "above 2.003 up to 2.005": 2} | {"above 2.005": 2},
        ),
    ],
)
def test_numbers_are_cut_at_the_quartiles(values: Any, expected: dict[str, int]):
    assert categories_of(values) == expected


@given(st.lists(st.integers(-40, 40), min_size=7, max_size=60), st.sampled_from([1.0, 0.25, 0.001]))
@settings(max_examples=60, deadline=None)
def test_every_customer_is_in_one_band_and_no_band_is_empty(values: list[int], step: float):
    numbers = np.array(values) * step
    found = categories_of(numbers)
    assert sum(found.values()) == len(values)
    assert all(found.values())
    if len(set(values)) > 6:
        assert 2 <= len(found) <= 4
        quartile = np.quantile(numbers, 0.25, method="inverted_cdf")
        if quartile < numbers.max():
            assert next(iter(found.values())) == (numbers <= quartile).sum()
    else:
        assert len(found) == len(set(values))


def test_bands_of_a_single_number_are_labelled_by_it():
    assert label_bands(np.array([3.0, 4.0, 6.0]), 3.0, 7.0, is_whole=True) == ["3", "4", "5 to 6", "7"]


def test_the_interval_is_koopmans():
    # The example of his paper: 36 of 40 beside 16 of 80.
    assert against_others(36, 40, 16, 80) == pytest.approx([2.94, 7.15], abs=0.005)


@given(st.integers(1, 60), st.integers(1, 400), st.data())
@settings(max_examples=150, deadline=None)
def test_the_interval_holds_the_ratio_is_finite_and_agrees_with_the_chi_square_test(
    size: int, other_size: int, data: st.DataObject
):
    own, others = data.draw(st.integers(0, size)), data.draw(st.integers(0, other_size))
    if own + others == 0:
        return
    having, customers = own + others, size + other_size
    ratio = (own / size) / (having / customers)
    low, high = bound_ratio(own, size, having, customers)
    assert 0 <= low <= ratio * (1 + 1e-12)
    assert ratio * (1 - 1e-12) <= high <= customers / size
    assert (low == 0) == (own == 0)
    assert high > 0
    if having < customers:
        table = [[own, size - own], [others, other_size - others]]
        statistic = chi2_contingency(table, correction=False).statistic
        if not math.isclose(statistic, Z_SQUARED, rel_tol=1e-6):
            assert (low > 1 or high < 1) == (statistic > Z_SQUARED)


@pytest.mark.parametrize(("own", "size", "others", "other_size"), [(3, 10, 5, 90), (0, 25, 4, 60), (9, 9, 1, 70)])
def test_bounds_are_where_the_score_test_of_the_likeliest_shares_turns(
    own: int, size: int, others: int, other_size: int
):
    def statistic(risk: float) -> float:
        def unlikely(share: float) -> float:
            return -float(binom.logpmf(own, size, min(risk * share, 1.0)) + binom.logpmf(others, other_size, share))

        share = minimize_scalar(unlikely, bounds=(0, min(1, 1 / risk)), method="bounded", options={"xatol": 1e-13}).x
        variance = risk * share * (1 - risk * share) / size + risk**2 * share * (1 - share) / other_size
        return float((own / size - risk * others / other_size) ** 2 / variance)

    for bound in against_others(own, size, others, other_size):
        if bound > 0:
            assert statistic(bound) == pytest.approx(Z_SQUARED, rel=1e-4)


def test_edges_of_the_interval():
    assert bound_ratio(0, 10, 5, 100)[0] == 0.0
    assert 0 < bound_ratio(0, 10, 5, 100)[1] < 10
    # All who have it are in the segment: nothing can be more frequent.
    assert bound_ratio(5, 10, 5, 100)[1] == 10.0
    assert 1 < bound_ratio(5, 10, 5, 100)[0] < 10
    assert bound_ratio(7, 7, 7, 7) == bound_ratio(3, 7, 3, 7) == (1.0, 1.0)
    low, high = bound_ratio(20_000, 30_000_000, 50_000, 100_000_000)
    assert 1.3 < low < 4 / 3 < high < 1.37


def test_the_interval_keeps_what_it_promises():
    """Of many draws, about 95 % of the intervals hold the true ratio."""
    random = np.random.default_rng(3)
    size, other_size, share, other_share = 40, 160, 0.3, 0.15
    true = share / (share * 0.2 + other_share * 0.8)
    draws = zip(random.binomial(size, share, 2_000), random.binomial(other_size, other_share, 2_000), strict=True)
    held = [
        low <= true <= high
        for low, high in (
            bound_ratio(int(own), size, int(own + others), size + other_size) for own, others in draws if own + others
        )
    ]
    assert 0.935 < np.mean(held) < 0.965


ROWS = [{"attribute": name, "association": strength} for name, strength in (("a", 0.2), ("b", 0.5), ("c", 0.3))]


def test_what_is_followed_is_above_the_limit_and_the_strongest_comes_first():
    assert find_followed(ROWS * 2, 0.25) == {"b": 0.5, "c": 0.3}
    assert list(find_followed(ROWS, 0.1)) == ["b", "c", "a"]
    assert find_followed(ROWS, 0.5) == {}


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (0.1, "The segments follow what is sensitive, by an association above 0.1: b (0.50), c (0.30) and a (0.20)."),
        (0.25, "The segments follow what is sensitive, by an association above 0.25: b (0.50) and c (0.30)."),
        (0.4, "The segments follow what is sensitive, by an association above 0.4: b (0.50)."),
        (0.6, "The segments follow no sensitive attribute (no association above 0.6)."),
    ],
)
def test_what_is_followed_is_told_in_words(limit: float, told: str):
    assert tell_followed(find_followed(ROWS, limit), limit) == told
