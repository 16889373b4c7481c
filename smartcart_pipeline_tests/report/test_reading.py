"""Which earlier night the report holds tonight against."""

from datetime import date, timedelta
from typing import Any

import duckdb
import pytest

from smartcart_pipeline.report.reading import _ask_reached, night_before
from smartcart_pipeline_tests.report.bikes import declare_bikes


def row(number: int, day: int, **told: Any) -> dict[str, Any]:
    return {"night": number, "as_of_date": date(2014, 6, 29) + timedelta(day), **told}


@pytest.mark.parametrize(
    ("nights", "before"),
    [
        ([row(1, 0)], None),
        ([row(1, 0), row(2, 1)], 1),
        # Published twice, the later one counts, although another day was published in between.
        ([row(1, 0), row(2, 1), row(3, 0), row(4, 2)], 2),
        ([row(1, 1), row(2, 0), row(3, 1), row(4, 2)], 3),
        ([row(1, 0), row(2, 1), row(3, 1), row(4, 2)], 3),
        # A night that comes late.
        ([row(1, 0), row(2, 2), row(3, 1)], 1),
        ([row(1, 2), row(2, 0)], None),
        # A night that takes the place of another; one that is made again from the same export does not.
        ([row(1, 0), row(2, 1), row(3, 1, replaces_night=2)], 2),
        ([row(1, 0), row(2, 1), row(3, 1, replaces_night=None)], 1),
    ],
)
def test_tonight_is_held_against_what_it_replaces_or_was_published_last_for_the_day_before(
    nights: list[dict[str, Any]], before: int | None
):
    found = night_before(nights[-1], nights)
    assert (found and found["night"]) == before


def test_who_has_much_of_a_number_is_asked_of_all_customers_at_once() -> None:
    more = {"at_least": 3, "more": "Thank them", "but_less": "late_share"}
    features = {name: {"column": name} for name in ("rides", "distance_km", "late_share")}
    features["rides"] |= {"words": {"do": more}}
    recipe = declare_bikes(features=features, report={"told": ["rides", "late_share"]}).recipe
    asked = []
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE features AS FROM (VALUES (1, 2.0, 0.5), (2, 3.0, 0.1), (3, 4.0, 0.9), (4, 3.0, 0.5)) "
            "AS t (customer_id, rides, late_share)"
        )
        connection.execute(
            "CREATE TABLE clusters AS FROM (VALUES (1, 'S01'), (2, 'S01'), (3, 'S01'), (4, 'S02')) "
            "AS t (customer_id, segment_id)"
        )

        def ask(query: str) -> list[dict[str, Any]]:
            asked.append(query)
            answer = connection.execute(query)
            names = [column[0] for column in answer.description]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

        reached, both = _ask_reached(ask, recipe, {"mean_rides": 3.0, "mean_late_share": 0.5})
    assert len(asked) == 1
    assert reached == {
        ("S01", "rides"): pytest.approx(2 / 3),
        ("S01", "late_share"): pytest.approx(2 / 3),
        ("S02", "rides"): 1.0,
        ("S02", "late_share"): 1.0,
    }
    assert both == {("S01", "rides"): pytest.approx(1 / 3), ("S02", "rides"): 0.0}


def test_where_no_number_is_told_nothing_is_asked() -> None:
    told = {"told": ["owns_helmet", "tariff_vip_pass"]}
    assert _ask_reached(pytest.fail, declare_bikes(report=told).recipe, {}) == ({}, {})
