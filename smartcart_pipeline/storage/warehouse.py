"""The warehouse: one DuckDB file of all that a run made, built from the lake's files.

What goes into the file is a short list, `BUILT`, of functions that each add one kind of thing: tables, records of the
run, views. How a finished file becomes the published one is told in `publications`.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from smartcart_pipeline.declaration.declaration import Declaration, read_declared
from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.declaration.tables import RECORDS, SCHEMAS, Table, declare_tables
from smartcart_pipeline.declaration.views import View
from smartcart_pipeline.engines.duckdb import DuckDBEngine, insert_rows
from smartcart_pipeline.engines.macros import SCORED_FROM, create_macros
from smartcart_pipeline.engines.sql import identifier, literal, parquet, see_all, unquoted
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.storage.odd_paths import building_place

# Written so that DuckDB 1.5, which most tools carry today, can open it too.
STORAGE_VERSION = "v1.5.0"
# The index of a key takes as much room as the table, and time to build: larger tables are created without their keys.
KEYED_ROWS = 100_000
# Bytes that DuckDB writes at once. Of small tables, the large blocks that are its default would be nearly empty.
SMALL_BLOCK, LARGE_BLOCK = 16_384, 262_144


@dataclass(frozen=True)
class Publication:
    """What a warehouse says of itself, in its table `publication`.

    Attributes:
        run_id: The run that published it.
        as_of_date: The day that everything is counted to.
        as_of_found: How that day was found; None where an earlier version found it.
        export_name: The export's file name.
        export_hash: SHA-256 of the export's bytes.
        recipe: The recipe of the model in force.
        fitted_recipe: That of tonight's fit: the one asked for.
        code_version: Hash of the pipeline's code.
        declaration: Digest of the contract and the recipe.
        declared: Both, as JSON.
        model_version: Version of the segment model in force.
        published_at: When it was built, UTC without a zone.
    """

    run_id: str
    as_of_date: date
    as_of_found: str | None
    export_name: str
    export_hash: str
    recipe: str
    fitted_recipe: str
    code_version: str
    declaration: str
    declared: str
    model_version: str
    published_at: datetime


@dataclass(frozen=True)
class Contents:
    """What a warehouse is built from.

    Attributes:
        publication: What it says of itself.
        declaration: What its tables hold.
        views: Its views, by name; each reads tables and those before it.
        files: The Parquet file of each table.
        lineage: Rows of its table `lineage`.
        column_lineage: Rows of its table `column_lineage`.
        copied_rows: A file of more rows is not copied: the warehouse has a view of it.
        checks: Rows of its table `checks`.
    """

    publication: Publication
    declaration: Declaration
    views: Mapping[str, View]
    files: Mapping[str, Path]
    lineage: Rows
    column_lineage: Rows
    copied_rows: int
    checks: Rows = field(default_factory=list)


def now() -> datetime:
    """The time of day as the warehouse's tables hold it.

    Returns:
        UTC, without a zone.
    """
    return datetime.now(UTC).replace(tzinfo=None)


def build(engine: DuckDBEngine, contents: Contents, path: Path) -> None:
    """Build a warehouse, whole and closed.

    Args:
        engine: What builds it.
        contents: What goes into it.
        path: The file; there must be none of that name.
    """
    with building_place(path) as place:
        _build(engine, contents, place)


def _build(engine: DuckDBEngine, contents: Contents, path: Path) -> None:
    # A cursor of its own does not see the temporary views by which the run reads the lake under the same names.
    connection = engine.connection.cursor()
    customers = _count(connection, parquet(contents.files["raw_customers"])) if "raw_customers" in contents.files else 0
    block = SMALL_BLOCK if customers <= KEYED_ROWS else LARGE_BLOCK
    connection.execute(
        f"ATTACH {literal(str(path))} AS building (STORAGE_VERSION '{STORAGE_VERSION}', BLOCK_SIZE {block})"
    )
    # Tables have no order of rows to keep, and keeping it has DuckDB write large ones twice.
    connection.execute("SET preserve_insertion_order = false; USE building")
    try:
        # In one go: each statement by itself would wait for the disk.
        connection.execute("BEGIN")
        for schema in SCHEMAS[1:]:
            connection.execute(f"CREATE SCHEMA {schema}")
        see_all(connection, "building")
        for add in BUILT:
            add(connection, contents)
        connection.execute("COMMIT; CHECKPOINT building")
    except Exception:
        # A commit that the disk had no room for has ended the transaction already.
        with suppress(duckdb.TransactionException):
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("USE memory; RESET preserve_insertion_order")
        connection.execute("DETACH building")
        connection.close()


def runs_in(paths: Iterable[Path]) -> set[str]:
    """The runs whose files some warehouses need.

    Args:
        paths: Finished warehouses.

    Returns:
        Their ids.
    """
    found: set[str] = set()
    for path in paths:
        with open_warehouse(path) as connection:
            found |= {run for (run,) in connection.execute("SELECT DISTINCT run_id FROM lineage").fetchall()}
    return found


def open_warehouse(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a finished warehouse to read it.

    Args:
        path: The file.

    Returns:
        A connection that finds all tables by their plain names, whatever version has published them.
    """
    connection = duckdb.connect(str(path), read_only=True)
    [(database,)] = connection.execute("SELECT current_database()").fetchall()
    see_all(connection, database)
    return connection


def declaration_of(connection: duckdb.DuckDBPyConnection, path: Path) -> Declaration:
    """What the night of a warehouse went by.

    Args:
        connection: From `open_warehouse`.
        path: The file.

    Returns:
        The declaration.

    Raises:
        HomeError: If the warehouse does not say.
    """
    try:
        [(declared,)] = connection.execute("SELECT declared FROM publication").fetchall()
    except duckdb.Error as error:
        raise HomeError(
            f"{path}: the warehouse does not say what it was made by ({unquoted(error)}). Publish one: smartcart run."
        ) from None
    return read_declared(json.loads(declared), str(path))


def files_behind_views(path: Path) -> list[Path]:
    """The files of the lake that a warehouse has views of, because their tables were too large to copy.

    Args:
        path: A finished warehouse.

    Returns:
        A file each, or a folder of files.
    """
    with open_warehouse(path) as connection:
        views = connection.execute("SELECT sql FROM duckdb_views() WHERE NOT internal").fetchall()
    found = (re.search(r"read_parquet\('((?:[^']|'')+)'", sql) for (sql,) in views)
    sources = [Path(match[1].replace("''", "'")) for match in found if match]
    files = [source.parent if source.name == "*.parquet" else source for source in sources]
    return [Path(re.sub(r"\[([*?\[])\]", r"\1", str(file))) for file in files]  # as `file_literal` wrote them


def add_tables(connection: Any, contents: Contents) -> None:
    """The tables of the lake: copied, or as views where they are large."""
    tables = declare_tables(contents.declaration)
    for name, file in contents.files.items():
        source = parquet(file)
        rows = _count(connection, source)
        if rows <= contents.copied_rows:
            _create(connection, tables[name], _delivered_types(connection, source), is_keyed=rows <= KEYED_ROWS)
            connection.execute(f"INSERT INTO {_placed(tables[name])} FROM {source}")
            _comment(connection, "TABLE", tables[name])
        else:
            connection.execute(f"CREATE VIEW {_placed(tables[name])} AS SELECT * FROM {source}")
            _comment(connection, "VIEW", tables[name])


def add_records(connection: Any, contents: Contents) -> None:
    """What the run says of itself: `publication`, `lineage`, `column_lineage` and `checks`."""
    counts = {name: _count(connection, identifier(name)) for name in contents.files}
    rows = {
        "publication": [vars(contents.publication) | {"row_counts": counts}],
        "lineage": contents.lineage,
        "column_lineage": contents.column_lineage,
        "checks": contents.checks,
    }
    for name, table in RECORDS.items():
        _create(connection, table, {column.name: column.type for column in table.columns})
        insert_rows(connection, f"INSERT INTO {_placed(table)}", rows[name], table)
        _comment(connection, "TABLE", table)


def add_views(connection: Any, contents: Contents) -> None:
    """The declared views, each over what stands before it."""
    for name, view in contents.views.items():
        connection.execute(f"CREATE VIEW {identifier(name)} AS {view.sql}")
        _comment(connection, "VIEW", view)


def add_macros(connection: Any, contents: Contents) -> None:
    """The model and the rules, as macros."""
    if contents.files.keys() >= SCORED_FROM:
        create_macros(connection)


# What is built into the file, in this order. Names are plain: the file being built is the connection's own database.
BUILT: tuple[Callable[[Any, Contents], None], ...] = (add_tables, add_records, add_views, add_macros)


def _count(connection: Any, source: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0])


def _placed(declared: Table | View) -> str:
    """The name of a table or view with its schema, as SQL."""
    return f"{declared.schema}.{identifier(declared.name)}"


def _delivered_types(connection: Any, source: str) -> dict[str, str]:
    """The columns of a file with their types, further ones of the export too."""
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}


def _create(connection: Any, table: Table, types: Mapping[str, str], is_keyed: bool = True) -> None:
    """Create a table with what its declaration says of nulls and of its key."""
    required = {column.name for column in table.columns if not column.nullable}
    columns = [f"{identifier(name)} {kind}{' NOT NULL' if name in required else ''}" for name, kind in types.items()]
    if is_keyed and required.issuperset(table.key):
        columns.append(f"PRIMARY KEY ({', '.join(map(identifier, table.key))})")
    connection.execute(f"CREATE TABLE {_placed(table)} ({', '.join(columns)})")


def _comment(connection: Any, kind: str, declared: Table | View) -> None:
    """Put the declared descriptions where analysts see them."""
    target, text = _placed(declared), f"{declared.description} One row is {declared.grain}."
    found = {row[0] for row in connection.execute(f"DESCRIBE {target}").fetchall()}
    comments = [f"COMMENT ON {kind} {target} IS {literal(text)}"] + [
        f"COMMENT ON COLUMN {target}.{identifier(column.name)} IS {literal(column.description)}"
        for column in declared.columns
        if column.name in found
    ]
    connection.execute("; ".join(comments))
