"""Views say what they are declared to say, at the edges of their rules too."""

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from scipy.stats import binomtest

from smartcart_pipeline.declaration.tables import declare_tables
from smartcart_pipeline.declaration.views import declare_views
from smartcart_pipeline_tests.declared import VIEWS
from smartcart_pipeline_tests.publishing import create_empty, put, some_row
from smartcart_pipeline_tests.report.bikes import declare_bikes

READ = (
    *("cleaned", "features", "clusters", "profiles", "audiences"),
    *("audience_stays", "segment_membership", "nights"),
)


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables that views read, empty, with all views."""
    with duckdb.connect() as connection:
        create_empty(connection, READ)
        yield connection


def put_customer(warehouse: duckdb.DuckDBPyConnection, number: int, segment: str = "S01", **values: Any) -> None:
    of_cluster = {name: values.pop(name) for name in ("distance", "margin") if name in values}
    for name in ("cleaned", "features"):
        put(warehouse, name, customer_id=number, **(values if name == "features" else {}))
    put(warehouse, "clusters", customer_id=number, segment_id=segment, **of_cluster)


def ask(warehouse: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return warehouse.execute(query).fetchall()


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_the_columns_that_it_declares(warehouse: duckdb.DuckDBPyConnection, name: str):
    found = [(row[0], row[1]) for row in ask(warehouse, f"DESCRIBE {name}")]
    assert found == [(column.name, column.type) for column in VIEWS[name].columns]


@pytest.mark.parametrize(
    ("distance", "margin", "confidence"),
    [(1.0, 1.0, 0.5), (3.0, 1.0, 0.25), (0.0, 2.0, 1.0), (2.0, 0.0, 0.0), (0, 0, 0)],
)
def test_confidence_is_the_share_of_the_margin(
    warehouse: duckdb.DuckDBPyConnection, distance: float, margin: float, confidence: float
):
    put(warehouse, "profiles", segment_id="S01", persona="Someone")
    put_customer(warehouse, 7, distance=distance, margin=margin)
    assert ask(warehouse, "SELECT customer_id, persona, confidence FROM customer_360") == [(7, "Someone", confidence)]


def test_where_there_is_one_segment_nobody_is_sure(warehouse: duckdb.DuckDBPyConnection):
    put(warehouse, "profiles", segment_id="S01")
    put_customer(warehouse, 7, distance=1.0, margin=None)
    assert ask(warehouse, "SELECT confidence FROM customer_360") == [(0.0,)]


def test_segments_are_summed_up_with_their_share_of_all_spending(warehouse: duckdb.DuckDBPyConnection):
    for segment, customers, spending in (("S01", 300, 10.0), ("S02", 100, 90.0)):
        put(warehouse, "profiles", segment_id=segment, customers=customers, mean_total_spending=spending)
    query = "SELECT segment_id, spending_share FROM segment_summary ORDER BY 1"
    assert ask(warehouse, query) == [("S01", 0.25), ("S02", 0.75)]
    warehouse.execute("UPDATE profiles SET mean_total_spending = 0")
    assert ask(warehouse, query) == [("S01", 0.0), ("S02", 0.0)]


def test_high_value_is_who_spends_at_least_as_the_eightieth_of_a_hundred(warehouse: duckdb.DuckDBPyConnection):
    put(warehouse, "profiles", segment_id="S01")
    for number in range(1, 11):
        put_customer(warehouse, number, total_spending=number * 10)
    assert ask(warehouse, "SELECT customer_id FROM high_value_customers ORDER BY 1") == [(8,), (9,), (10,)]


def test_at_risk_is_who_is_quieter_than_usual_in_the_segment_and_no_newcomer(warehouse: duckdb.DuckDBPyConnection):
    for segment in ("S01", "S02"):
        put(warehouse, "profiles", segment_id=segment)
    # In S01 the usual recency is 30 and the usual tenure 200 days.
    for number, (recency, tenure) in enumerate([(10, 100), (20, 200), (30, 300), (31, 200)], start=1):
        put_customer(warehouse, number, recency=recency, customer_tenure_days=tenure)
    # In S02 nobody is quieter than usual but a newcomer.
    for number, (recency, tenure) in enumerate([(50, 300), (50, 300), (50, 300), (90, 299)], start=5):
        put_customer(warehouse, number, "S02", recency=recency, customer_tenure_days=tenure)
    query = "SELECT customer_id, usual_recency, usual_tenure_days FROM at_risk_customers"
    assert ask(warehouse, query) == [(4, 30, 200)]


@pytest.mark.parametrize(("responses", "customers"), [(0, 10), (1, 10), (150, 1_000), (10, 10), (1, 1)])
def test_the_interval_of_a_rate_is_wilsons(warehouse: duckdb.DuckDBPyConnection, responses: int, customers: int):
    put(warehouse, "profiles", segment_id="S01", customers=customers, response_rate=responses / customers)
    [(counted, low, high)] = ask(warehouse, "SELECT responses, rate_low, rate_high FROM segment_response")
    expected = binomtest(responses, customers).proportion_ci(method="wilson")
    assert counted == responses
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low < high <= 1


def test_several_outcomes_have_a_row_a_segment_each():
    outcomes = {"renewed": {"flag": "renewed"}, "wrote_review": {"flag": "wrote_review", "rate": "reviews"}}
    declaration = declare_bikes(outcomes=outcomes)
    profiles, view = declare_tables(declaration)["profiles"], declare_views(declaration)["segment_response"]
    with duckdb.connect() as connection:
        columns = ", ".join(f'"{column.name}" {column.type}' for column in profiles.columns)
        connection.execute(f"CREATE TABLE profiles ({columns})")
        for segment, renewed, reviews in (("S01", 0.3, 0.0), ("S02", 0.1, 1.0)):
            row = some_row(profiles) | {"segment_id": segment, "customers": 10}
            row |= {"renewed_rate": renewed, "reviews": reviews}
            marks = ", ".join("?" for _ in row)
            connection.execute(f"INSERT INTO profiles ({', '.join(row)}) VALUES ({marks})", list(row.values()))
        connection.execute(f"CREATE VIEW segment_response AS {view.sql}")
        found = [(row[0], row[1]) for row in ask(connection, "DESCRIBE segment_response")]
        assert found == [(column.name, column.type) for column in view.columns]
        rows = ask(connection, "SELECT outcome, segment_id, responses, rate_low, rate_high FROM segment_response")
    assert {row[:3] for row in rows} == {
        ("renewed", "S01", 3),
        ("renewed", "S02", 1),
        ("wrote_review", "S01", 0),
        ("wrote_review", "S02", 10),
    }
    for _, _, responses, low, high in rows:
        expected = binomtest(responses, 10).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_where_nothing_is_declared_no_view_speaks_of_it():
    assert list(declare_views(declare_bikes())) == ["customer_360", "audience_members", "segment_summary", "dates"]
    worth = declare_views(declare_bikes(business={"worth": "rides"}, report={"summary": ["rides"]}))
    told = [worth["segment_summary"].description, worth["high_value_customers"].description]
    assert all("rides" in said and "spend" not in said for said in told)
