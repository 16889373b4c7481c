"""A condition is one boolean expression about one customer, and nothing else."""

import duckdb
import pytest

from smartcart_pipeline.audiences.conditions import columns_of, find_faults, normalise

COLUMNS = {
    "customer_id": "BIGINT",
    "segment_id": "VARCHAR",
    "recency": "SMALLINT",
    "total_spending": "INTEGER",
    "accepts mail": "VARCHAR",
    "valid_from": "DATE",
    "as_of_date": "DATE",
}
# With how many of the three customers below hold it.
GOOD = {
    "segment_id = 'S01' AND recency > 60": 1,
    "customer_360.recency BETWEEN 1 AND 5 OR segment_membership.valid_from > as_of_date - 30": 1,
    "lower(segment_id) IN ('s01', 's02')": 3,
    "segment_id LIKE 'S%' AND NOT coalesce(recency, 0) = 0": 2,
    "CASE WHEN recency > 3 THEN true ELSE false END": 2,
    "valid_from >= DATE '2014-06-01'": 1,
    "date_diff('day', valid_from, as_of_date) > 100": 2,
    "RECENCY::DOUBLE / 3 > 1.5 -- a third": 1,
    "regexp_matches(segment_id, 'S0[12]')": 3,
    "list_contains(['S01'], segment_id)": 2,
    "\"accepts mail\" = 'yes'": 1,
    "total_spending % 2 = 1 OR total_spending + 1 > 10 * 2": 2,
    "recency IS NULL": 1,
    "nullif(recency, 4) IS NULL": 2,
}
BAD = {
    "": "is empty",
    "recency": "is SMALLINT, neither true nor false",
    "recency >": "is no SQL expression",
    "true) OR (true": "is no SQL expression",
    "1 = 1; DROP TABLE customer_360": "is more than one expression",
    "DROP TABLE customer_360": "which is no part of a condition",
    "SET threads = 1": "which is no part of a condition",
    "recency > (SELECT 1)": "a subquery",
    "EXISTS (SELECT 1)": "a subquery",
    "segment_id IN (SELECT 'S01')": "a subquery",
    "recency > max(recency)": "an aggregate",
    "row_number() OVER () = 1": "a window",
    "recency > ?": "a parameter",
    "recency > $1": "a parameter",
    "current_date > valid_from": "the time of day",
    "today() > valid_from": "the time of day",
    "now() > valid_from": "",
    "age(valid_from) > INTERVAL 1 YEAR": "age() is no function of a condition",
    "version() = 'v'": "version() is no function of a condition",
    "recency +": "is no SQL expression",
    "COLUMNS('is_.*')": "COLUMNS",
    "session_user = 'x'": "which is no part of a condition",
    "(" * 3000 + "true" + ")" * 3000: "is nested too deeply",
    "random() < 0.5": "random() is no function of a condition",
    "uuid()::VARCHAR = segment_id": "uuid() is no function of a condition",
    "getenv('HOME') = 'x'": "getenv() is no function of a condition",
    "read_text('/etc/passwd') IS NOT NULL": "read_text() is no function of a condition",
    "nextval('x') > 1": "nextval() is no function of a condition",
    "recencyy > 3": "there is no column 'recencyy' (nearest: recency)",
    "others.recency > 3": "'others' is no table of a condition",
    "secret.customer_360.recency > 3": "is no table of a condition",
    "segment_id > DATE '2014-01-01' - recency": "",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_good_one_is_taken_and_means_the_same_once_it_is_quoted(text: str):
    assert find_faults(text, COLUMNS) == []
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE people AS SELECT * FROM (VALUES "
            "(1, 'S01', 70::SMALLINT, 5, 'yes', DATE '2013-01-01', DATE '2014-06-29'), "
            "(2, 'S02', 4::SMALLINT, 20, 'no', DATE '2014-06-10', DATE '2014-06-29'), "
            "(3, 'S01', NULL::SMALLINT, 8, NULL, DATE '2013-06-01', DATE '2014-06-29')) "
            f"AS people({names})"
        )
        [(held,)] = connection.execute(f"SELECT count(*) FROM people WHERE {normalise(text)}").fetchall()
    assert held == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_what_is_more_or_less_is_refused_by_name(text: str):
    faults = find_faults(text, COLUMNS)
    assert faults
    assert BAD[text] in faults[0]


def test_the_columns_that_are_read_are_told():
    assert columns_of("Recency > 3 AND customer_360.segment_id = 'S01' OR recency < 1") == ["recency", "segment_id"]
