"""Who is in which audience: conditions, consent, priorities and limits, together and one after the other."""

from collections import Counter
from dataclasses import replace

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from smartcart_pipeline.audiences.audience import Audience, Audiences
from smartcart_pipeline.audiences.choosing import Chosen, choose
from smartcart_pipeline.audiences.counting import count_audiences, count_overlaps, count_segments, ratio_p_value
from smartcart_pipeline.audiences.groups import bucket_of
from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline_tests.audiences.shown import people_of

PEOPLE = [
    # id, segment, spending, mail
    (1, "S01", 900, "yes"),
    (2, "S01", 700, "no"),
    (3, "S02", 700, "yes"),
    (4, "S02", 100, None),
    (5, "S02", 800, "1"),
]


@pytest.fixture
def connection():
    with duckdb.connect() as made:
        made.execute("CREATE TABLE people (customer_id BIGINT, segment_id VARCHAR, spending INT, mail VARCHAR)")
        made.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", PEOPLE)
        yield made


def chosen(connection: duckdb.DuckDBPyConnection, *listed: Audience, control: float = 0) -> Chosen:
    return choose(connection, people_of(connection, "people"), Audiences(listed, "s", control), "spending")


def members(connection: duckdb.DuckDBPyConnection, *listed: Audience, control: float = 0) -> dict[str, list[int]]:
    found = chosen(connection, *listed, control=control)
    return {each.name: [row[1] for row in rows(found, each)] for each in listed}


def rows(found: Chosen, audience: Audience) -> list[tuple[str, int, str, str]]:
    """Audience, customer, group and segment."""
    return found.connection.execute(f"{found.members(audience, ('segment_id',))} ORDER BY customer_id").fetchall()


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
        found = chosen(connection, *listed, control=control)
        return {(name, customer): group for each in listed for name, customer, group, _ in rows(found, each)}

    def expected(name: str, customer: int) -> str:
        if bucket_of("s", "*", customer) < 3_000:
            return "control"
        return "held_out" if bucket_of("s", name, customer) < 4_000 else "treated"

    found = groups(Audience("a", holdout=0.4), Audience("b", holdout=0.4))
    assert found == {(name, row[0]): expected(name, row[0]) for name in "ab" for row in PEOPLE}
    again = groups(Audience("a", where="spending > 1", holdout=0.4, limit=5))
    assert again == {key: group for key, group in found.items() if key[0] == "a"}


def test_sizes_segments_and_overlaps_are_those_of_the_members(connection: duckdb.DuckDBPyConnection):
    listed = (Audience("a", where="spending >= 700", holdout=0.5), Audience("b", where="segment_id = 'S02'"))
    found = chosen(connection, *listed, control=0.2)
    expected = Counter((name, segment, group) for each in listed for name, _, group, segment in rows(found, each))
    segments = count_segments(found)
    assert {
        (row["audience"], row["segment_id"], group): row[group]
        for row in segments
        for group in ("treated", "held_out", "control")
        if row[group]
    } == expected
    assert count_overlaps(found) == [{"audience": "a", "other_audience": "b", "customers": 2}]
    counted = {row["audience"]: (row["customers"], row["shared"]) for row in count_audiences(found, segments)}
    assert counted == {"a": (4, 2), "b": (3, 2)}


def test_a_share_of_held_out_that_chance_does_not_give_is_told():
    as_declared = {"treated": 900, "held_out": 100}
    assert ratio_p_value(as_declared, 0.1) == 1
    others = {"treated": 950, "held_out": 50}
    expected = chisquare([50, 950], [100, 900]).pvalue
    assert ratio_p_value(others, 0.1) == pytest.approx(expected, rel=1e-9)
    assert ratio_p_value(others, 0) is None


@given(
    st.lists(
        st.builds(
            Audience,
            name=st.just(""),
            where=st.sampled_from(["", "spending >= 700", "segment_id = 'S02'", "customer_id % 2 = 0"]),
            consent=st.sampled_from(["", "mail"]),
            is_exclusive=st.booleans(),
            limit=st.sampled_from([None, 1, 2, 4]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_claims_are_settled_as_one_would_by_hand(drawn: list[Audience]):
    listed = [replace(each, name=f"a{number}") for number, each in enumerate(drawn)]
    held = {
        "": bool,
        "spending >= 700": lambda row: row[2] >= 700,
        "segment_id = 'S02'": lambda row: row[1] == "S02",
        "customer_id % 2 = 0": lambda row: row[0] % 2 == 0,
    }
    taken: set[int] = set()
    expected = {}
    for each in listed:
        wanted = [row for row in PEOPLE if held[each.where](row) and (not each.consent or row[3] in ("yes", "1"))]
        if each.is_exclusive:
            wanted = [row for row in wanted if row[0] not in taken]
        wanted = sorted(wanted, key=lambda row: (-row[2], row[0]))[: each.limit]
        expected[each.name] = sorted(row[0] for row in wanted)
        if each.is_exclusive:
            taken |= set(expected[each.name])
    with duckdb.connect() as made:
        made.execute("CREATE TABLE people (customer_id BIGINT, segment_id VARCHAR, spending INT, mail VARCHAR)")
        made.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", PEOPLE)
        assert members(made, *listed) == expected


def test_a_condition_that_some_value_breaks_is_told_by_its_audience(connection: duckdb.DuckDBPyConnection):
    with pytest.raises(HomeError, match=r"audiences\.yaml, bad: where has no answer .*Conversion Error") as raised:
        chosen(connection, Audience("good"), Audience("bad", where="CAST(mail AS INTEGER) > 3"))
    assert "yes" not in str(raised.value)


def test_many_exclusive_audiences_take_no_longer_than_many_others(connection: duckdb.DuckDBPyConnection):
    listed = [
        Audience(f"a{number}", where=f"customer_id % 97 = {number}", is_exclusive=True, limit=3 if number % 2 else None)
        for number in range(60)
    ]
    # Every one that claims nobody is passed over by the last, which has all who are left.
    assert members(connection, *listed, Audience("rest", is_exclusive=True))["rest"] == []
    assert members(connection, *listed)["a5"] == [5]


def test_consent_that_the_recipe_filled_in_is_none(connection: duckdb.DuckDBPyConnection):
    connection.execute("CREATE TABLE filled AS SELECT *, customer_id = 3 AS mail_imputed FROM people")
    found = choose(
        connection, people_of(connection, "filled"), Audiences((Audience("all", consent="mail"),), "s"), None
    )
    assert [row[1] for row in rows(found, found.audiences.listed[0])] == [1, 5]
