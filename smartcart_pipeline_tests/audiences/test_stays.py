"""Whatever nights come, in whatever order of their dates: for each day the history says what was published for it."""

from datetime import date, timedelta

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from smartcart_pipeline.audiences.audience import Audience, Audiences
from smartcart_pipeline.audiences.changes import find_changes
from smartcart_pipeline.audiences.choosing import Chosen, choose
from smartcart_pipeline.audiences.groups import bucket_of
from smartcart_pipeline.audiences.stays import add_night
from smartcart_pipeline_tests.audiences.shown import people_of

FIRST = date(2014, 7, 1)
LISTED = (
    Audience("mail", consent="mail", holdout=0.4),
    Audience("many", where="spending > 1"),
    Audience("S01", where="segment_id = 'S01'", is_segment=True),
)
# A night: customers with segment, spending and consent.
NIGHTS = st.dictionaries(
    st.integers(1, 9), st.tuples(st.sampled_from(["S01", "S02"]), st.integers(0, 3), st.booleans()), max_size=8
)
Night = dict[int, tuple[str, int, bool]]
Members = set[tuple[str, int, str]]


def show(connection: duckdb.DuckDBPyConnection, night: Night, *listed: Audience) -> Chosen:
    connection.execute(
        "CREATE OR REPLACE TABLE people (customer_id BIGINT, segment_id VARCHAR, spending INT, mail BOOLEAN)"
    )
    if night:
        connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", [(key, *row) for key, row in night.items()])
    return choose(connection, people_of(connection, "people"), Audiences(listed or LISTED, "s", 0.1), "spending")


def members_of(chosen: Chosen) -> Members:
    found: Members = set()
    for each in chosen.audiences.listed:
        if not each.is_segment:
            rows = chosen.connection.execute(chosen.members(each)).fetchall()
            found |= {(name, customer, group) for name, customer, group, *_ in rows}
    return found


@given(st.lists(st.tuples(st.integers(0, 4), NIGHTS), min_size=1, max_size=7))
def test_each_day_has_who_was_published_for_it(nights: list[tuple[int, Night]]):
    published: dict[date, Members] = {}
    with duckdb.connect() as connection:
        for number, (offset, night) in enumerate(nights):
            as_of, chosen = FIRST + timedelta(offset), show(connection, night)
            later = min((day for day in published if day > as_of), default=None)
            added = add_night(chosen, "stays" if number else None, as_of, later, as_of in published)
            connection.execute(f"CREATE OR REPLACE TABLE following AS {added}")
            connection.execute("CREATE OR REPLACE TABLE stays AS FROM following")
            published[as_of] = members_of(chosen)
            for day, expected in published.items():
                found = connection.execute(
                    "SELECT audience, customer_id, member_group FROM stays "
                    "WHERE valid_from <= $1 AND (valid_to IS NULL OR $1 < valid_to)",
                    [day],
                ).fetchall()
                assert len(found) == len(set(found))
                assert set(found) == expected
            [(repeated,)] = connection.execute(
                "SELECT count(*) FROM (SELECT 1 FROM stays GROUP BY audience, customer_id, valid_from "
                "HAVING count(*) > 1)"
            ).fetchall()
            assert repeated == 0


def test_who_enters_and_leaves_is_told_with_the_reason():
    before: Night = {
        1: ("S01", 3, True),  # will change segment
        2: ("S02", 3, True),  # will spend less
        3: ("S01", 3, True),  # will take back the consent
        4: ("S01", 3, True),  # will be gone
        5: ("S01", 3, False),  # will consent
        6: ("S01", 2, True),  # will be pushed out by who is worth more
        7: ("S02", 0, True),  # will spend more
    }
    tonight: Night = {
        1: ("S02", 3, True),
        2: ("S02", 0, True),
        3: ("S01", 3, False),
        5: ("S01", 3, True),
        6: ("S01", 1, True),
        7: ("S02", 3, True),
        8: ("S01", 3, True),  # is new
    }
    listed = (
        Audience("first", where="segment_id = 'S01'", consent="mail"),
        Audience("rich", where="spending > 1"),
        Audience("best", limit=4),
        Audience("other", where="spending > 2"),
    )
    with duckdb.connect() as connection:
        begun = add_night(show(connection, before, *listed), None, FIRST, None, is_repeated=False)
        connection.execute(f"CREATE TABLE earlier AS {begun}")
        connection.execute("CREATE TABLE consents AS SELECT customer_id, mail AS was FROM people")
        as_of = FIRST + timedelta(1)
        redefined = (*listed[:3], Audience("other", where="spending > 1"))
        chosen = show(connection, tonight, *redefined)
        connection.execute(f"CREATE TABLE stays AS {add_night(chosen, 'earlier', as_of, None, is_repeated=False)}")
        connection.execute(
            "CREATE TABLE clusters (customer_id BIGINT, segment_id VARCHAR, previous_segment_id VARCHAR)"
        )
        rows = [(key, row[0], before[key][0] if key in before else None) for key, row in tonight.items()]
        connection.executemany("INSERT INTO clusters VALUES (?, ?, ?)", rows)
        rules = {each.name: each.rule for each in listed} | {"forgotten": listed[0].rule}
        query = find_changes(chosen, "stays", as_of, rules, {"mail": "consents"})
        found = {(name, key): (change, reason) for name, key, change, reason in connection.execute(query).fetchall()}
    assert {key: told for (name, key), told in found.items() if name == "first"} == {
        1: ("left", "segment"),
        3: ("left", "consent"),
        4: ("left", "gone"),
        5: ("entered", "consent"),
        8: ("entered", "new"),
    }
    assert {key: told for (name, key), told in found.items() if name == "rich"} == {
        2: ("left", "rule"),
        4: ("left", "gone"),
        6: ("left", "rule"),
        7: ("entered", "rule"),
        8: ("entered", "new"),
    }
    assert found["best", 2] == ("left", "priority")
    assert {told for (name, _), told in found.items() if name == "other"} >= {("left", "gone")}
    assert found["other", 2] == ("left", "definition")


def test_another_share_of_held_out_moves_customers_between_groups_and_nobody_else():
    everybody: Night = dict.fromkeys(range(1, 60), ("S01", 1, True))
    few, many = Audience("a", holdout=0.1), Audience("a", holdout=0.3)
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TABLE earlier AS {add_night(show(connection, everybody, few), None, FIRST, None, False)}"
        )
        as_of = FIRST + timedelta(1)
        chosen = show(connection, everybody, many)
        connection.execute(f"CREATE TABLE stays AS {add_night(chosen, 'earlier', as_of, None, False)}")
        connection.execute(
            "CREATE TABLE clusters AS SELECT customer_id, segment_id, segment_id AS previous_segment_id FROM people"
        )
        query = find_changes(chosen, "stays", as_of, {"a": few.rule}, {})
        changed = connection.execute(query).fetchall()
        held = dict(
            connection.execute(
                "SELECT member_group, count(*) FROM stays WHERE valid_to IS NULL GROUP BY member_group"
            ).fetchall()
        )
    assert {(change, reason) for _, _, change, reason in changed} == {("regrouped", "holdout")}
    assert len(changed) == held["held_out"] - sum(1 for key in everybody if held_before(key))


def held_before(customer: int) -> bool:
    return bucket_of("s", "*", customer) >= 1_000 and bucket_of("s", "a", customer) < 1_000
