"""What holds of every night that was published, whichever table it is of: each finding is a sentence."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb

from smartcart_pipeline.declaration.declaration import Declaration, read_declaration
from smartcart_pipeline.declaration.tables import RECORDS, declare_tables
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.warehouse import open_warehouse

# What a number is that is none.
NO_NUMBER = re.compile(r"\b(?:nan|inf|infinity|None|NaN)\b|\{")
EXPLAINED = 5


def find_faults(home: Home) -> list[str]:
    """All that is wrong with what a home has published.

    Args:
        home: The home, after a night.

    Returns:
        Sentences; none where everything is as it should be.
    """
    declaration = read_declaration(home.root)
    with open_warehouse(home.warehouse) as warehouse:
        return [
            *_gaps(warehouse, declaration),
            *_placed_otherwise(warehouse),
            *_pulls(warehouse),
            *_rules(warehouse),
            *_profiles(warehouse),
        ]


def ask(connection: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """All rows of an answer."""
    return connection.execute(query, parameters).fetchall()


def _gaps(warehouse: duckdb.DuckDBPyConnection, declaration: Declaration) -> Iterator[str]:
    """What is missing where something must be, and numbers that are none."""
    declared = {**declare_tables(declaration), **RECORDS}
    types = ask(
        warehouse,
        "SELECT table_name, column_name, data_type FROM duckdb_columns() SEMI JOIN duckdb_tables() USING (table_name)",
    )
    for table, column, kind in types:
        known = next((each for each in declared[table].columns if each.name == column), None)
        if known and not known.nullable:
            [(missing,)] = ask(warehouse, f'SELECT count(*) FROM {table} WHERE "{column}" IS NULL')
            if missing:
                yield f"{table}.{column} is missing {missing} times"
        if kind in ("DOUBLE", "FLOAT"):
            [(endless,)] = ask(warehouse, f'SELECT count(*) FROM {table} WHERE NOT isfinite("{column}")')
            if endless:
                yield f"{table}.{column} is no number {endless} times"


def _placed_otherwise(warehouse: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Customers whom the macro does not put where the run did."""
    [(everyone,)] = ask(warehouse, "SELECT count(*) FROM clusters")
    [(placed, otherwise)] = ask(
        warehouse,
        "SELECT count(*), count(*) FILTER (a.segment_id IS DISTINCT FROM c.raw_segment_id) "
        "FROM assign_segment(cleaned) AS a JOIN clusters AS c USING (customer_id)",
    )
    if (placed, otherwise) != (everyone, 0):
        yield f"the macro placed {placed} of {everyone} customers, {otherwise} of them otherwise than the run"


def _pulls(warehouse: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Explanations that do not add up to how much farther the runner-up is."""
    found = ask(
        warehouse,
        "SELECT customer_id, (SELECT sum(lead) FROM explain_segment(a.customer_id)), "
        "pow(distance + margin, 2) - pow(distance, 2) FROM assign_segment(cleaned) AS a SEMI JOIN "
        f"(FROM clusters ORDER BY margin, customer_id LIMIT {EXPLAINED}) AS c USING (customer_id)",
    )
    for customer, pulls, squares in found:
        # The square of what is far away has fewer places behind the point.
        if pulls is None or abs(pulls - squares) > 1e-9 * (1 + abs(squares)) * 100:
            yield f"{customer!r} is pulled by {pulls}, and the runner-up is farther by {squares}"


def _rules(warehouse: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Rules that agree with the segments otherwise than they say."""
    [(agreement, everyone)] = ask(
        warehouse, "SELECT any_value(agreement), (SELECT count(*) FROM features) FROM segment_rules"
    )
    [(agreed,)] = ask(
        warehouse, "SELECT count(*) FROM segment_by_rules(features) JOIN clusters USING (customer_id, segment_id)"
    )
    if agreement is None or agreed != round(agreement * everyone):
        yield f"rules agree for {agreed} of {everyone} customers, and say {agreement}"


def _profiles(warehouse: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Shares that are no whole, names that stand twice, and texts of what is no number."""
    told = ask(warehouse, "SELECT share, persona, description FROM profiles")
    if abs(sum(share for share, _, _ in told) - 1) > 1e-9:
        yield f"shares of segments add up to {sum(share for share, _, _ in told)}"
    if repeated := [persona for persona, times in Counter(persona for _, persona, _ in told).items() if times > 1]:
        yield f"several segments are called {repeated}"
    # What stands in braces or is called None comes from the code; only where the export has no such values.
    for _, persona, description in told:
        if found := NO_NUMBER.search(f"{persona} {description}"):
            yield f"{found[0]!r} stands in: {persona}: {description}"
