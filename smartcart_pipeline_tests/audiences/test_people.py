"""What conditions see of a customer is what the warehouse's views say, from no more tables than are asked for."""

from datetime import date
from typing import Any

import duckdb
import pytest

from smartcart_pipeline.audiences.people import know_people
from smartcart_pipeline_tests.declared import BEHAVIOURAL, VIEWS
from smartcart_pipeline_tests.publishing import create_empty, put

AS_OF = date(2014, 6, 29)
READ = ("cleaned", "features", "clusters", "profiles", "segment_membership", "audience_stays", "audiences")


@pytest.fixture(scope="module")
def warehouse():
    """Sixty customers of two segments."""
    with duckdb.connect() as connection:
        create_empty(connection, (*READ, "nights"))
        for number in range(60):
            segment = f"S0{1 + number % 2}"
            of_features = {"total_spending": number * 10 % 97, "recency": number * 7 % 60}
            of_features["customer_tenure_days"] = number * 13 % 500
            put(connection, "cleaned", customer_id=number)
            put(connection, "features", customer_id=number, **of_features)
            put(connection, "clusters", customer_id=number, segment_id=segment)
            if number != 59:
                stay = {"segment_id": segment, "valid_from": AS_OF, "valid_to": None, "model_version": "v3"}
                put(connection, "segment_membership", customer_id=number, **stay)
        for segment in ("S01", "S02"):
            put(connection, "profiles", segment_id=segment, persona=f"Persona of {segment}")
        yield connection


PEOPLE = know_people(BEHAVIOURAL, (), AS_OF)


def ask(warehouse: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return warehouse.execute(f"FROM ({query}) ORDER BY customer_id").fetchall()


def test_all_of_it_is_what_the_view_says_and_more(warehouse: duckdb.DuckDBPyConnection):
    described = {row[0]: row[1] for row in warehouse.execute(f"DESCRIBE {PEOPLE.select(PEOPLE.types)}").fetchall()}
    assert described == PEOPLE.types
    shown = [column.name for column in VIEWS["customer_360"].columns]
    assert list(PEOPLE.types)[: len(shown)] == shown
    assert ask(warehouse, PEOPLE.select(shown)) == ask(warehouse, "FROM customer_360")


@pytest.mark.parametrize("view", ["high_value_customers", "at_risk_customers"])
def test_flags_are_those_of_the_views(warehouse: duckdb.DuckDBPyConnection, view: str):
    flagged = {row[0] for row in ask(warehouse, PEOPLE.select([f"is_{view.removesuffix('_customers')}"])) if row[1]}
    expected = {row[0] for row in ask(warehouse, f"SELECT customer_id FROM {view}")}
    assert flagged == expected
    assert 0 < len(expected) < 60


@pytest.mark.parametrize("name", PEOPLE.types)
def test_a_column_alone_is_what_it_is_among_all(warehouse: duckdb.DuckDBPyConnection, name: str):
    place = 0 if name == "customer_id" else 1
    alone = [row[place] for row in ask(warehouse, PEOPLE.select([name]))]
    among_all = [row[list(PEOPLE.types).index(name)] for row in ask(warehouse, PEOPLE.select(PEOPLE.types))]
    assert alone == among_all


def test_no_table_is_read_that_nobody_asks_for():
    assert " clusters" not in PEOPLE.select(["income"])
    assert "JOIN" not in PEOPLE.select(["segment_id"])
    assert "cleaned" not in PEOPLE.select(["is_at_risk", "is_high_value", "confidence"])


def test_who_is_in_no_segment_since_any_night_is_there_all_the_same(warehouse: duckdb.DuckDBPyConnection):
    since = dict(ask(warehouse, PEOPLE.select(["valid_from"])))
    assert since == dict.fromkeys(range(59), AS_OF) | {59: None}
