"""Segments by day: sizes and moves are those of the stays, whatever nights came, and what was kept stays."""

from datetime import date, timedelta
from typing import Any

import narwhals as nw
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.days import KEPT, count_changes, describe_tonight, tell_days
from smartcart_pipeline_tests.declared import RECIPES
from smartcart_pipeline_tests.report.bikes import declare_bikes

FIRST = date(2014, 7, 1)
# Where each of a few customers was on each of a few days; None for nowhere.
PLACES = st.lists(
    st.lists(st.sampled_from(["S01", "S02", None]), min_size=5, max_size=5), min_size=1, max_size=5
).filter(lambda days: all(any(day) for day in days))


def day(number: int) -> date:
    return FIRST + timedelta(days=3 * number)


def stays_of(places: list[list[str | None]]) -> pd.DataFrame:
    """The history of customers who were published in these places, one list a day."""
    rows = []
    for customer, where in enumerate(zip(*places, strict=True)):
        begun = 0
        for number in range(1, len(where) + 1):
            if number == len(where) or where[number] != where[begun]:
                end = None if number == len(where) else day(number)
                if where[begun]:
                    rows.append((customer, where[begun], day(begun), end))
                begun = number
    frame = pd.DataFrame(rows, columns=["customer_id", "segment_id", "valid_from", "valid_to"])
    return frame.astype({"valid_from": "date32[pyarrow]", "valid_to": "date32[pyarrow]"})


def changes_of(places: list[list[str | None]]) -> Rows:
    counted = nw.to_native(count_changes(nw.from_native(stays_of(places))))
    return [{str(key): value for key, value in row.items()} for row in counted.to_dict("records")]


def known(places: list[list[str | None]], **kept: Any) -> Rows:
    row = {"segment_id": "S01"} | dict.fromkeys(KEPT) | kept
    return [row | {"day": day(number)} for number in range(len(places))]


@given(places=PLACES)
def test_every_day_is_told_as_it_was(places: list[list[str | None]]) -> None:
    told = {(row["day"], row["segment_id"]): row for row in tell_days(changes_of(places), map(day, range(5)), [])}
    for number, where in enumerate(places):
        before = places[number - 1] if number else [None] * len(where)
        for segment in ("S01", "S02"):
            here = {customer for customer, place in enumerate(where) if place == segment}
            there = {customer for customer, place in enumerate(before) if place == segment}
            row = told.get((day(number), segment))
            if row is None:
                assert not here
                assert not there
                continue
            assert row["customers"] == len(here)
            assert row["share"] == pytest.approx(len(here) / sum(place is not None for place in where))
            assert (row["customers_entered"], row["customers_left"]) == (len(here - there), len(there - here))


def test_a_segment_that_ends_is_told_once_more_and_then_never() -> None:
    places: list[list[str | None]] = [["S01", "S02"], ["S01", "S01"], ["S01", "S01"]]
    told = [
        (row["day"], row["segment_id"], row["customers"])
        for row in tell_days(changes_of(places), map(day, range(3)), [])
    ]
    assert told == [
        (day(0), "S01", 1),
        (day(0), "S02", 1),
        (day(1), "S01", 2),
        (day(1), "S02", 0),
        (day(2), "S01", 2),
    ]


def test_changes_count_on_days_that_are_not_told() -> None:
    places: list[list[str | None]] = [["S01", "S01"], ["S02", "S01"], ["S02", "S02"]]
    told = tell_days(changes_of(places), [day(2)], [])
    assert [(row["day"], row["segment_id"], row["customers"]) for row in told] == [
        (day(2), "S01", 0),
        (day(2), "S02", 2),
    ]


def test_what_is_known_on_a_night_alone_is_kept() -> None:
    places: list[list[str | None]] = [["S01"], ["S01"]]
    said = [
        *known(places, persona="Early", spending=1.0),
        known(places[1:], persona="Late", spending=2.0)[0] | {"day": day(1)},
    ]
    told = tell_days(changes_of(places), [day(0), day(1), day(1)], said)
    assert [(row["persona"], row["spending"], row["outcome"]) for row in told] == [
        ("Early", 1.0, None),
        ("Late", 2.0, None),
    ]


def test_a_night_says_what_its_customers_are_worth_and_how_many_answered() -> None:
    profile = {
        "segment_id": "S01",
        "persona": "Affluent",
        "customers": 20,
        "mean_total_spending": 5.5,
        "response_rate": 0.15,
    }
    assert describe_tonight([profile], RECIPES["behavioural"]) == [
        {
            "segment_id": "S01",
            "persona": "Affluent",
            "spending": 110.0,
            "outcome": "response",
            "responses": 3,
            "outcome_rate": 0.15,
        }
    ]


def test_of_what_the_recipe_does_not_speak_nothing_is_said() -> None:
    profile = {"segment_id": "S01", "persona": "Riders", "customers": 20}
    [row] = describe_tonight([profile], declare_bikes().recipe)
    assert {name for name, value in row.items() if value is None} == set(KEPT) - {"persona"}
