"""A small night for tests of the publication: a lake of one small table, published."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from smartcart_pipeline.declaration.tables import Table
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.publications import Published, publish, run_of
from smartcart_pipeline.storage.warehouse import Contents, Publication, now, open_warehouse
from smartcart_pipeline_tests.declared import BEHAVIOURAL, TABLES, VIEWS
from smartcart_pipeline_tests.segmentation.test_model import random_model

# Values of each type for tables whose content does not matter.
ANY = {
    "DATE": date(2014, 6, 29),
    "TIMESTAMP": datetime.fromisoformat("2014-06-29T02:00:00"),
    "VARCHAR": "x",
    "BOOLEAN": True,
    "INTEGER[]": [1],
    "VARCHAR[]": ["x"],
}

# What macros are made from must mean something.
MEANT = {
    "segment_model": {"document": json.dumps(random_model(1).document())},
    "segment_rules": {"case_sql": "CASE WHEN income > 9 THEN 'S01' ELSE 'S02' END"},
}

# The tables that views read, and one more.
FEW = (
    *("scaler", "cleaned", "features", "clusters", "profiles"),
    *("segment_membership", "audience_stays", "audiences", "nights"),
)


def publication(run_id: str) -> Publication:
    return Publication(
        run_id=run_id,
        as_of_date=date(2014, 6, 29),
        as_of_found="the newest join date",
        export_name="export.csv",
        export_hash="0" * 64,
        recipe="behavioural",
        fitted_recipe="behavioural",
        code_version="c",
        declaration=BEHAVIOURAL.digest,
        declared=json.dumps(BEHAVIOURAL.document()),
        model_version="m",
        published_at=now(),
    )


def contents(run_id: str, files: Mapping[str, Path], copied_rows: int = 10) -> Contents:
    lineage: Rows = [{"asset": name, "run_id": run_of(file), "upstream_assets": []} for name, file in files.items()]
    return Contents(publication(run_id), BEHAVIOURAL, VIEWS, files, lineage, [], copied_rows)


def some_row(table: Table) -> dict[str, object]:
    """A row of a table as it is declared, for tests that ask for nothing in particular."""
    values = {
        column.name: column.categories[0] if column.categories else ANY.get(column.type, column.minimum or 0)
        for column in table.columns
    }
    return values | MEANT.get(table.name, {})


def put(connection: duckdb.DuckDBPyConnection, name: str, **values: Any) -> None:
    """Insert a row of a table: the values, and any others."""
    row = some_row(TABLES[name]) | values
    columns, marks = ", ".join(f'"{column}"' for column in row), ", ".join("?" for _ in row)
    connection.execute(f"INSERT INTO {name} ({columns}) VALUES ({marks})", list(row.values()))


def create_empty(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> None:
    """Create tables without rows, in their schemas, with all views over them."""
    connection.execute("CREATE SCHEMA history; SET search_path = 'main,history'")
    for name in names:
        columns = ", ".join(f'"{column.name}" {column.type}' for column in TABLES[name].columns)
        connection.execute(f"CREATE TABLE {TABLES[name].schema}.{name} ({columns})")
    for view in VIEWS.values():
        connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")


def write_lake(
    home: Home, run_id: str, mean: float, engine: DuckDBEngine, tables: Iterable[str] = FEW
) -> dict[str, Path]:
    """A file of each table, of one row; the scaler's mean tells the nights apart."""
    lake = Lake(home.lake, run_id, engine, BEHAVIOURAL)
    for name in tables:
        row = some_row(TABLES[name]) | ({"mean": mean} if name == "scaler" else {})
        lake.write(name, Fitted([row]))
    return {name: lake.path(name) for name in tables}


def night(home: Home, run_id: str, mean: float, engine: DuckDBEngine, kept: int = 7) -> Published:
    """Publish a small warehouse."""
    return publish(engine, contents(run_id, write_lake(home, run_id, mean, engine)), home, kept)


def page(home: Home) -> Callable[[Path], Path]:
    """Lays a page ready that tells which publication it is of."""

    def lay_ready(publication: Path) -> Path:
        written = home.root / ".report.html.writing"
        written.write_text(run_of(publication))
        return written

    return lay_ready


def means(warehouse: Path) -> list[float]:
    with open_warehouse(warehouse) as connection:
        return [row[0] for row in connection.sql("SELECT mean FROM scaler").fetchall()]
