"""Who is in which audience: conditions, consent, priorities and limits, together and one after the other."""

from datetime import date

import duckdb
import pytest

from smartcart_pipeline.audiences.audience import Audience, Audiences
from smartcart_pipeline.audiences.choosing import choose_members, describe_people
from smartcart_pipeline.audiences.groups import bucket_of

PEOPLE = [
    # id, segment, spending, mail, since when
    (1, "S01", 900, "yes", date(2014, 1, 1)),
    (2, "S01", 700, "no", date(2014, 6, 20)),
    (3, "S02", 700, "yes", date(2014, 6, 20)),
    (4, "S02", 100, None, date(2013, 1, 1)),
    (5, "S02", 800, "1", None),
]


@pytest.fixture
def connection():
    with duckdb.connect() as made:
        made.execute(
            "CREATE TABLE customer_360 (customer_id BIGINT, segment_id VARCHAR, spending INT, mail VARCHAR); "
            "CREATE TABLE segment_membership (customer_id BIGINT, segment_id VARCHAR, valid_from DATE, valid_to DATE, "
            "model_version VARCHAR); CREATE TABLE publication AS SELECT DATE '2014-06-29' AS as_of_date"
        )
        made.executemany("INSERT INTO customer_360 VALUES (?, ?, ?, ?)", [row[:4] for row in PEOPLE])
        stays = [(row[0], row[1], row[4], "v1") for row in PEOPLE if row[4]]
        made.executemany("INSERT INTO segment_membership VALUES (?, ?, ?, NULL, ?)", stays)
        # An earlier stay of the first one, that has ended.
        made.execute("INSERT INTO segment_membership VALUES (1, 'S02', '2013-01-01', '2014-01-01', 'v1')")
        yield made


def members(connection: duckdb.DuckDBPyConnection, *listed: Audience, control: float = 0) -> dict[str, list[int]]:
    table = choose_members(connection, Audiences(listed, "s", control), "spending")
    found: dict[str, list[int]] = {each.name: [] for each in listed}
    for name, customer in connection.execute(f"SELECT audience, customer_id FROM {table} ORDER BY ALL").fetchall():
        found[name].append(customer)
    return found


def test_each_customer_stands_there_once_with_the_stay_of_now(connection: duckdb.DuckDBPyConnection):
    assert describe_people(connection) == {
        "customer_id": "BIGINT",
        "segment_id": "VARCHAR",
        "spending": "INTEGER",
        "mail": "VARCHAR",
        "valid_from": "DATE",
        "model_version": "VARCHAR",
        "as_of_date": "DATE",
    }
    found = members(connection, Audience("all"), Audience("new", where="valid_from > as_of_date - 30"))
    assert found == {"all": [1, 2, 3, 4, 5], "new": [2, 3]}


def test_nobody_is_addressed_who_has_not_said_yes(connection: duckdb.DuckDBPyConnection):
    assert members(connection, Audience("all", consent="mail")) == {"all": [1, 3, 5]}


def test_an_exclusive_audience_leaves_its_customers_to_no_other(connection: duckdb.DuckDBPyConnection):
    first = Audience("first", where="spending >= 700", consent="mail", is_exclusive=True)
    second = Audience("second", where="segment_id = 'S02'", is_exclusive=True)
    rest, beside = Audience("rest", is_exclusive=True), Audience("beside")
    assert members(connection, first, second, rest, beside) == {
        "first": [1, 3, 5],
        "second": [4],
        "rest": [2],
        "beside": [1, 2, 3, 4, 5],
    }


def test_a_limit_takes_those_worth_most_and_leaves_the_others_to_the_next(connection: duckdb.DuckDBPyConnection):
    few = Audience("few", limit=2, is_exclusive=True)
    assert members(connection, few, Audience("next", is_exclusive=True)) == {"few": [1, 5], "next": [2, 3, 4]}
    # Of those who are worth the same, the smaller id.
    assert members(connection, Audience("three", limit=3)) == {"three": [1, 2, 5]}


def test_who_is_held_out_depends_on_nothing_but_the_name_and_the_id(connection: duckdb.DuckDBPyConnection):
    def groups(*listed: Audience, control: float = 0.3) -> dict[tuple[str, int], str]:
        table = choose_members(connection, Audiences(listed, "s", control), None)
        rows = connection.execute(f"SELECT audience, customer_id, member_group FROM {table}").fetchall()
        return {(name, customer): group for name, customer, group in rows}

    def expected(name: str, customer: int) -> str:
        if bucket_of("s", "*", customer) < 3_000:
            return "control"
        return "held_out" if bucket_of("s", name, customer) < 4_000 else "treated"

    found = groups(Audience("a", holdout=0.4), Audience("b", holdout=0.4))
    assert found == {(name, row[0]): expected(name, row[0]) for name in "ab" for row in PEOPLE}
    again = groups(Audience("a", where="spending > 1", holdout=0.4, limit=5))
    assert again == {key: group for key, group in found.items() if key[0] == "a"}
