"""A few customers more or less, or one odd value, decide neither how many segments there are nor who is where."""

from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.steadiness import (
    FIRST_DAY,
    LEFT_OUT,
    MISTAKES,
    MOVED,
    RECIPES,
    Fit,
    count_moved,
    draw_values,
    fit_customers,
    leave_out,
    read_customers,
    replace_value,
)
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.declaration import Declaration, shipped_declaration
from smartcart_pipeline_tests.conftest import SAMPLE

# Says who is left out, or whose value is another. That k stays for nearly all of them is for the benchmark to count.
SEEDS = st.integers(0, 1_000)


@cache
def known(recipe: str) -> tuple[Declaration, pd.DataFrame, Fit]:
    declaration = shipped_declaration(recipe)
    raw = read_customers(SAMPLE, declaration.contract)
    return declaration, raw, fit_customers(raw, declaration)


@given(recipe=st.sampled_from(RECIPES), number=st.integers(1, max(LEFT_OUT)), seed=SEEDS)
@settings(max_examples=5, deadline=None, derandomize=True)
def test_customers_who_are_left_out_leave_as_many_segments(recipe: str, number: int, seed: int):
    declaration, raw, before = known(recipe)
    fewer = leave_out(raw, number, np.random.default_rng(seed))
    assert len(fewer) == len(raw) - number
    assert fit_customers(fewer, declaration).k == before.k


@given(recipe=st.sampled_from(RECIPES), place=st.integers(0, 2 * len(MISTAKES)), seed=SEEDS)
@settings(max_examples=5, deadline=None, derandomize=True)
def test_one_odd_value_moves_next_to_nobody_else(recipe: str, place: int, seed: int):
    declaration, raw, before = known(recipe)
    drawn = draw_values(raw, declaration.contract, np.random.default_rng(seed))
    row, column, value = next(islice(drawn, place, None))
    after = fit_customers(replace_value(raw, row, column, value), declaration)
    assert after.k == before.k
    assert count_moved(before, after, int(raw[KEY][row])) <= MOVED


def test_what_is_fitted_are_the_segments_of_a_night():
    for recipe, sizes in (("behavioural", [375, 439, 611, 811]), ("balanced", [577, 649, 1_010])):
        _, _, fit = known(recipe)
        assert sorted(np.bincount(fit.labels).tolist()) == sizes


def test_values_that_are_drawn_are_such_as_the_contract_allows():
    declaration, raw, _ = known("behavioural")
    drawn = list(islice(draw_values(raw, declaration.contract, np.random.default_rng(1)), 300))
    assert [(column, value) for _, column, value in drawn[: len(MISTAKES)]] == list(MISTAKES)
    assert {column for _, column, _ in drawn} == {*declaration.contract.names} - {KEY}
    for row, name, value in drawn:
        column = declaration.contract.by_name[name]
        assert 0 <= row < len(raw)
        assert not column.categories or value in column.categories
        assert name != "dt_customer" or FIRST_DAY <= value <= raw[name].max().date()
        if column.is_number:
            assert (column.minimum or 0) <= value <= (column.maximum or np.inf)
            assert replace_value(raw, row, name, value).loc[row, name] == value


def fit_of(customers: list[int], labels: list[int]) -> Any:
    found = type("Fitted", (), {"customers": np.array(customers), "labels": np.array(labels), "k": max(labels) + 1})
    return found()


@pytest.mark.parametrize(
    ("after", "besides", "moved"),
    [
        # Other numbers are the same segments.
        ([1, 1, 1, 0, 0, 0], 6, 0.0),
        ([1, 1, 0, 0, 0, 0], 6, 0.2),
        # Who was changed does not count.
        ([1, 1, 1, 0, 0, 1], 6, 0.0),
        # Who is in a segment without match has moved.
        ([0, 0, 2, 1, 1, 1], 6, 0.2),
        ([0, 0, 0, 0, 0, 0], 6, 0.4),
    ],
)
def test_moved_are_those_in_another_segment_once_segments_are_matched(after: list[int], besides: int, moved: float):
    customers = [1, 2, 3, 4, 5, 6]
    before = fit_of(customers, [0, 0, 0, 1, 1, 1])
    assert count_moved(before, fit_of(customers, after), besides) == pytest.approx(moved)
    # Who is in one of the two only, as a limit leaves others out, is compared with nobody.
    assert count_moved(before, fit_of([*customers, 7], [*after, 0]), besides) == pytest.approx(moved)
