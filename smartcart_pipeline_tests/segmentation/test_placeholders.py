"""An odd value that stands apart is told; what is ordinary never is."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.placeholders import find_placeholders, tell_placeholder


def find(values: Any) -> Rows:
    different, customers = np.unique(np.asarray(values, dtype=float), return_counts=True)
    return find_placeholders({"x": (different, customers)})


def beside(value: float, others: Any, share: float) -> np.ndarray:
    """Others, and so many more customers that a share of all has the value."""
    more = round(len(others) * share / (1 - share))
    return np.append(np.asarray(others, dtype=float), [value] * more)


BALANCES = np.random.default_rng(0).normal(50_000, 9_000, 900).round(2)
YEARS = np.random.default_rng(1).integers(1945, 2004, 900)
DAYS = np.random.default_rng(2).integers(0, 100, 900)


@pytest.mark.parametrize(
    ("value", "others"),
    [
        (0, BALANCES),
        (1, BALANCES),
        (-1, BALANCES),
        (999_999, BALANCES),
        (1900, YEARS),
        (9999, YEARS),
        (999, DAYS),
        (-99, DAYS),
    ],
)
def test_an_odd_value_or_an_end_that_lies_apart_is_told(value: float, others: Any):
    found = find(beside(value, others, 0.2))
    assert found == [{"column": "x", "value": value, "customers": 225, "share": 0.2}]


@pytest.mark.parametrize(("share", "is_told"), [(0.09, False), (0.10, False), (0.11, True), (0.25, True), (0.3, False)])
def test_a_zero_of_few_or_of_very_many_is_not_told(share: float, is_told: bool):
    assert bool(find(beside(0, BALANCES, share))) == is_told


def test_any_other_value_may_be_of_most():
    [row] = find(beside(999, DAYS, 0.9))
    assert (row["value"], row["share"]) == (999, pytest.approx(0.9))


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0] * 50,
        [0] * 50 + [1] * 10,
        # A code of nine values.
        beside(0, [*range(1000, 1008)] * 9, 0.2),
        # A repeat among few customers.
        [0, 0, *range(5_000, 5_012)],
        # Zeros of counts, and of spending.
        beside(0, np.random.default_rng(3).poisson(4, 900), 0.2),
        beside(0, np.random.default_rng(4).lognormal(3, 1.2, 900).round(), 0.2),
        beside(0, [1, 2, 5, 17, 30, 31, 80, 200, 450, 451, 900], 0.2),
        beside(0, [1, 2, 5, 17, 30, 31, 80, 200, 450, 451, 900], 0.6),
        # The year of a campaign, the top of a scale, a limit.
        beside(1945, YEARS, 0.2),
        beside(99, DAYS, 0.2),
        np.minimum(BALANCES, 55_000),
        # A usual value in the middle, and the lowest fee, which lies apart as fees do.
        beside(50_000, BALANCES, 0.3),
        beside(9.99, np.linspace(30, 100, 300), 0.3),
        # No salary that month: the lowest lie a tenth of the range away.
        beside(0, np.linspace(400, 4_000, 300), 0.2),
        # Odd, but within reach of the others; and apart, but of one among few customers.
        beside(0, BALANCES - 30_000, 0.2),
        [999_999, *BALANCES],
        # Nobody knows what is usual where nearly all others are alike.
        beside(999, [*[5] * 2_000, *range(9)], 0.2),
    ],
)
def test_what_is_ordinary_is_not_told(values: Any):
    assert find(values) == []


@given(st.integers(0, 10_000), st.floats(0.05, 0.6), st.sampled_from([0.5, 1.0, 1.5]), st.integers(40, 1_500))
@settings(max_examples=100, deadline=None)
def test_spending_of_which_some_have_none_stays_silent(seed: int, share: float, spread: float, customers: int):
    spending = np.random.default_rng(seed).lognormal(4, spread, customers).round()
    if spread > 0.5 or share > 0.26:
        assert find(beside(0, spending, share)) == []


@given(st.integers(0, 10_000), st.integers(20, 800), st.sampled_from(["uniform", "normal", "exponential", "poisson"]))
@settings(max_examples=100, deadline=None)
def test_no_ordinary_column_is_told(seed: int, customers: int, shape: str):
    drawn = getattr(np.random.default_rng(seed), shape)(size=customers)
    assert find((drawn * 40).round()) == []
    assert find((drawn * 5).round()) == []


def test_there_is_one_row_a_column_and_what_is_no_number_is_left_out():
    values = np.append(BALANCES, [-1, 0, np.nan, np.inf])
    customers = np.append(np.ones(len(BALANCES), dtype=int), [150, 200, 5_000, 1])
    assert find_placeholders({"a": (BALANCES, customers[:900]), "b": (values, customers)}) == [], "two hide each other"
    far = np.append(values, 999_999)
    [row] = find_placeholders({"a": (BALANCES, customers[:900]), "c": (far, np.append(customers, 300))})
    assert row == {"column": "c", "value": 999_999, "customers": 300, "share": 300 / 1_550}


def test_a_value_may_stand_in_several_places():
    values, customers = np.append(BALANCES, [0.0, 0.0]), np.append(np.ones(len(BALANCES), dtype=int), [60, 60])
    [row] = find_placeholders({"x": (values, customers)})
    assert row["customers"] == 120


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0"), (-1.0, "-1"), (999_999.0, "999999"), (0.5, "0.5"), (-9.25, "-9.25")],
)
def test_a_placeholder_is_told_with_what_to_declare(value: float, told: str):
    row = {"column": "balance", "value": value, "customers": 1_412, "share": 0.184}
    assert tell_placeholder(row, "Balance") == (
        f"Balance is {told} for 1,412 customers (18.4%), apart from all others: probably a placeholder for unknown. "
        f"If so, declare it in the recipe, under clean: `unknown: {{balance: [{told}]}}`."
    )


def test_what_is_to_be_declared_is_yaml():
    import yaml

    told = tell_placeholder({"column": "balance", "value": -1.0, "customers": 9, "share": 0.2}, "Balance")
    assert yaml.safe_load(told.split("`")[1]) == {"unknown": {"balance": [-1]}}
