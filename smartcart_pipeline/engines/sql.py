"""Names, values and files, put into SQL as it wants them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from smartcart_pipeline.declaration.tables import SCHEMAS

if TYPE_CHECKING:
    import duckdb

YES, NO = ("true", "yes", "t", "y", "on"), ("false", "no", "f", "n", "off")
# Yes and no are 1 and 0.
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "BOOLEAN")


def identifier(name: str) -> str:
    """A name, quoted for SQL.

    Args:
        name: Any text.

    Returns:
        The quoted identifier.
    """
    return '"' + name.replace('"', '""') + '"'


def unquoted(error: "duckdb.Error") -> str:
    """What DuckDB says of an error, up to where it begins to quote: that may be a value of a customer.

    Args:
        error: The error.

    Returns:
        Its first words.
    """
    return re.split("[\"']", str(error).splitlines()[0])[0].strip()


def literal(text: str) -> str:
    """A text, quoted for SQL where a parameter cannot be bound.

    Args:
        text: Any text.

    Returns:
        The quoted literal.
    """
    return "'" + text.replace("'", "''") + "'"


def boolean(value: str) -> str:
    """The expression that reads yes or no, in the words and numbers that exports have for them.

    Args:
        value: An expression of any type.

    Returns:
        An expression (BOOLEAN), null where it is neither.
    """
    said = {"true": (*YES, "1", "1.0"), "false": (*NO, "0", "0.0")}
    # Word by word: a list this long is made a join, after which DuckDB writes rows in any order.
    cases = " ".join(f"WHEN {literal(word)} THEN {meant}" for meant, words in said.items() for word in words)
    return f"CASE lower(trim(CAST({value} AS VARCHAR))) {cases} END"


def see_all(connection: "duckdb.DuckDBPyConnection", database: str) -> None:
    """Have the tables of a warehouse found by their plain names, in whatever schema they stand.

    Args:
        connection: A connection to it.
        database: What the connection calls it.
    """
    known = connection.execute("SELECT schema_name FROM duckdb_schemas() WHERE database_name = ?", [database])
    # Earlier versions had the first schema only.
    found = {name for (name,) in known.fetchall()}
    path = ",".join(f"{identifier(database)}.{schema}" for schema in SCHEMAS if schema in found)
    connection.execute(f"SET search_path = {literal(path)}")


def file_literal(path: Path) -> str:
    """A path, quoted for a reader of DuckDB, which would take some letters for a pattern.

    Args:
        path: A file.

    Returns:
        The quoted pattern, which stands for this path only.
    """
    return literal(re.sub(r"[*?\[]", r"[\g<0>]", str(path)))


def parquet(path: Path) -> str:
    """A Parquet file as a source of rows.

    Args:
        path: The file; or, where a cluster wrote it, a folder of files.

    Returns:
        SQL that may follow FROM.
    """
    files = f"{file_literal(path)[:-1]}/*.parquet'" if path.is_dir() else file_literal(path)
    # A folder `year=2026` on the way would become a column.
    return f"read_parquet({files}, hive_partitioning = false)"
