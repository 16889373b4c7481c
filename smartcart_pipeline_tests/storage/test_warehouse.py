"""A warehouse holds its tables, says what they are, and reads the same whether tables are copied or not."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from smartcart_pipeline.declaration.tables import RECORDS
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage import warehouse
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.warehouse import build, open_warehouse
from smartcart_pipeline_tests.declared import BEHAVIOURAL, TABLES, VIEWS
from smartcart_pipeline_tests.publishing import contents, some_row, write_lake


def make(home: Home, engine: DuckDBEngine, copied_rows: int = 10) -> Path:
    files = write_lake(home, "a", 45.0, engine, TABLES)
    path = home.root / "built.duckdb"
    build(engine, contents("a", files, copied_rows), path)
    return path


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    with open_warehouse(path) as connection:
        return connection.sql(query).fetchall()


@pytest.mark.parametrize(("copied_rows", "kind"), [(1, "BASE TABLE"), (0, "VIEW")], ids=["copied", "in the lake"])
def test_all_that_is_declared_is_there_with_types_and_comments(
    home: Home, engine: DuckDBEngine, copied_rows: int, kind: str
):
    path = make(home, engine, copied_rows)
    kinds = dict(ask(path, "SELECT table_name, table_type FROM information_schema.tables"))
    assert kinds == (dict.fromkeys(TABLES, kind) | dict.fromkeys(RECORDS, "BASE TABLE") | dict.fromkeys(VIEWS, "VIEW"))
    for name, declared in {**TABLES, **RECORDS, **VIEWS}.items():
        found = ask(
            path,
            f"SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = '{name}' "
            "ORDER BY column_index",
        )
        assert found == [(column.name, column.type, column.description) for column in declared.columns]
    comments = dict(
        ask(
            path,
            "SELECT table_name, comment FROM duckdb_tables() UNION ALL "
            "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal",
        )
    )
    assert comments == {
        name: f"{declared.description} One row is {declared.grain}."
        for name, declared in {**TABLES, **RECORDS, **VIEWS}.items()
    }
    for name in VIEWS:
        ask(path, f"FROM {name}")


def test_a_warehouse_has_its_tables_in_schemas_with_their_keys_and_what_must_be_there(home: Home, engine: DuckDBEngine):
    path = make(home, engine)
    declared = {**TABLES, **RECORDS}
    found = ask(path, "SELECT table_name, schema_name FROM duckdb_tables()")
    assert dict(found) == {name: table.schema for name, table in declared.items()}
    required = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT is_nullable AND NOT internal"
    views = {row[0] for row in ask(path, "SELECT view_name FROM duckdb_views() WHERE NOT internal")}
    assert {row for row in ask(path, required) if row[0] not in views} == {
        (name, column.name) for name, table in declared.items() for column in table.columns if not column.nullable
    }
    keyed = "SELECT table_name, constraint_column_names FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY'"
    keys = dict(ask(path, keyed))
    assert {name: tuple(columns) for name, columns in keys.items()} == {
        name: table.key
        for name, table in declared.items()
        if not any(column.nullable for column in table.columns if column.name in table.key)
    }
    # By one who knows nothing of the pipeline, too.
    with duckdb.connect(str(path), read_only=True) as plain:
        for view in views:
            plain.execute(f"FROM {view}").fetchall()
        plain.execute("FROM history.nights").fetchall()


def test_large_tables_are_created_without_the_index_of_a_key(
    home: Home, engine: DuckDBEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(warehouse, "KEYED_ROWS", 0)
    path = make(home, engine)
    keyed = ask(path, "SELECT DISTINCT table_name FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY'")
    assert {row[0] for row in keyed} == set(RECORDS) - {"column_lineage"}


@pytest.mark.parametrize(("rows", "is_keyed"), [(100_000, True), (100_001, False)])
def test_keys_are_declared_up_to_a_hundred_thousand_rows(home: Home, engine: DuckDBEngine, rows: int, is_keyed: bool):
    files = write_lake(home, "a", 45.0, engine, TABLES)
    engine.connection.execute(
        f"COPY (SELECT range AS customer_id, 0.0::DOUBLE AS pc1, 0.0::DOUBLE AS pc2, 0.0::DOUBLE AS pc3 "
        f"FROM range({rows})) TO '{files['pca_components']}' (FORMAT parquet)"
    )
    path = home.root / "keyed.duckdb"
    build(engine, contents("a", files, copied_rows=rows), path)
    keyed = ask(path, "SELECT DISTINCT table_name FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY'")
    assert (("pca_components",) in keyed) == is_keyed


def test_a_warehouse_says_of_itself_which_run_made_it_and_how_many_rows_it_has(home: Home, engine: DuckDBEngine):
    path = make(home, engine)
    [(run_id, export, recipe, counts)] = ask(path, "SELECT run_id, export_name, recipe, row_counts FROM publication")
    assert (run_id, export, recipe) == ("a", "export.csv", "behavioural")
    assert counts == {name: ask(path, f"SELECT count(*) FROM {name}")[0][0] for name in TABLES}


def test_a_table_that_is_a_view_reads_the_runs_own_file(home: Home, engine: DuckDBEngine):
    path = make(home, engine, copied_rows=0)
    later = some_row(TABLES["scaler"]) | {"mean": 1.0}
    Lake(home.lake, "b", engine, BEHAVIOURAL).write("scaler", Fitted([later]))
    assert ask(path, "SELECT mean FROM scaler") == [(45.0,)]


def test_the_engine_can_go_on_after_a_build_and_after_one_that_failed(home: Home, engine: DuckDBEngine):
    engine.scan(write_lake(home, "a", 45.0, engine, TABLES)["scaler"], "scaler")  # a name that the warehouse has, too
    make(home, engine)
    with pytest.raises(duckdb.Error, match="No files found"):
        build(engine, contents("b", {"scaler": home.root / "gone_b.parquet"}), home.root / "other.duckdb")
    assert engine.connection.sql("SELECT mean FROM scaler").fetchall() == [(45.0,)]
    assert engine.connection.sql("SELECT current_setting('preserve_insertion_order')").fetchall() == [(True,)]
    assert engine.connection.sql("SELECT database_name FROM duckdb_databases() WHERE NOT internal").fetchall() == [
        ("memory",)
    ]
