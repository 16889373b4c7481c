"""Choosing: which customers are in which audience, by the tables of one night."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smartcart_pipeline.audiences.audience import Audience, Audiences
from smartcart_pipeline.audiences.conditions import normalise
from smartcart_pipeline.audiences.groups import group
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.engines.sql import boolean, identifier, literal

if TYPE_CHECKING:
    import duckdb

# Customers as conditions see them: all that is known of each, since when they are where they are, and tonight's date.
PEOPLE = f"""
WITH stays AS (SELECT {KEY}, valid_from, model_version FROM segment_membership WHERE valid_to IS NULL)
SELECT customer_360.*, stays.valid_from, stays.model_version, publication.as_of_date
FROM customer_360
LEFT JOIN stays USING ({KEY})
CROSS JOIN (SELECT as_of_date FROM publication) AS publication
"""
MEMBERS = "audience_members_now"


def describe_people(connection: "duckdb.DuckDBPyConnection") -> dict[str, str]:
    """The columns of customers, as conditions see them.

    Args:
        connection: One that finds `customer_360`, `segment_membership` and `publication`.

    Returns:
        SQL types by name.
    """
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE {PEOPLE}").fetchall()}


def choose_members(connection: "duckdb.DuckDBPyConnection", audiences: Audiences, worth: str | None) -> str:
    """Put every customer into the audiences that claim them, in a temporary table.

    Args:
        connection: As for `describe_people`.
        audiences: They.
        worth: The column by which customers are worth most, for audiences of a limit; None for the order of ids.

    Returns:
        The name of the table: `audience`, `customer_id`, `segment_id` and `member_group`.
    """
    _find_eligible(connection, audiences.listed, worth)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {MEMBERS} AS "
        f"SELECT '' AS audience, {KEY}, segment_id, '' AS member_group FROM eligible LIMIT 0"
    )
    claimed: list[str] = []
    for number, each in enumerate(audiences.listed):
        free = f"AND {KEY} NOT IN (SELECT {KEY} FROM {MEMBERS} WHERE audience IN ({', '.join(claimed)}))"
        order = "ORDER BY worth DESC NULLS LAST, customer_id" if each.limit else ""
        chosen = (
            f"SELECT {KEY}, segment_id FROM eligible WHERE in_{number} {free if each.is_exclusive and claimed else ''} "
            f"{order} {f'LIMIT {each.limit}' if each.limit else ''}"
        )
        which = group(audiences.salt, each.name, KEY, each.holdout, audiences.control)
        connection.execute(
            f"INSERT INTO {MEMBERS} SELECT {literal(each.name)}, {KEY}, segment_id, {which} FROM ({chosen})"
        )
        if each.is_exclusive:
            claimed.append(literal(each.name))
    return MEMBERS


def _find_eligible(connection: "duckdb.DuckDBPyConnection", listed: Sequence[Audience], worth: str | None) -> None:
    """One pass over all customers: whom which audience would have, if it were the only one."""
    flags = ", ".join(f"coalesce({_claims(each)}, false) AS in_{number}" for number, each in enumerate(listed))
    some = " OR ".join(f"in_{number}" for number in range(len(listed)))
    by = f"CAST({identifier(worth)} AS DOUBLE)" if worth else "0"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE eligible AS SELECT * FROM "
        f"(SELECT {KEY}, segment_id, {by} AS worth, {flags} FROM ({PEOPLE})) WHERE {some}"
    )


def _claims(audience: Audience) -> str:
    parts = [f"({normalise(audience.where)})"] if audience.where else []
    if audience.view:
        parts.append(f"{KEY} IN (SELECT {KEY} FROM {identifier(audience.view)})")
    if audience.consent:
        parts.append(boolean(identifier(audience.consent)))
    return " AND ".join(parts) or "true"
