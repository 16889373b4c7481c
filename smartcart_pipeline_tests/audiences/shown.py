"""Customers of one night, as audiences see them, without a night."""

import duckdb

from smartcart_pipeline.audiences.people import People


def people_of(connection: duckdb.DuckDBPyConnection, relation: str) -> People:
    """The customers of a table.

    Args:
        connection: Finds it.
        relation: The table, with a column `customer_id`.

    Returns:
        They.
    """
    types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {relation}").fetchall()}
    return People(types, lambda names: f"SELECT {', '.join(dict.fromkeys(('customer_id', *names)))} FROM {relation}")
