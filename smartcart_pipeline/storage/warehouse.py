"""The warehouse: one DuckDB file that is built beside the published one and swapped in whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from smartcart_pipeline.engines.duckdb import DuckDBEngine, identifier, literal
from smartcart_pipeline.engines.duckdb_macros import create_macros
from smartcart_pipeline.storage.home import put_in_place
from smartcart_pipeline.tables import TABLES

# Written so that DuckDB 1.5, which most tools carry today, can open it too.
STORAGE_VERSION = "v1.5.0"
READ_ONLY = 0o444


@dataclass(frozen=True)
class Publication:
    """What a warehouse says of itself, in its table `publication`.

    Attributes:
        run_id: The run that published it.
        as_of_date: The day that age and tenure are counted to.
        export_name: The export's file name.
        export_hash: SHA-256 of the export's bytes.
        recipe: The recipe of the model.
    """

    run_id: str
    as_of_date: date
    export_name: str
    export_hash: str
    recipe: str


def publish(
    engine: DuckDBEngine, files: Mapping[str, Path], publication: Publication, warehouse: Path, copied_rows: int
) -> None:
    """Build a warehouse from files of the lake and put it in place of the published one.

    Readers that hold the old file keep it until they connect again. A `.wal` that somebody's read-write session left
    beside the old file would keep the new one from opening, so it is set aside under another name, not deleted.

    Args:
        engine: What builds it.
        files: The Parquet file of each table.
        publication: What the warehouse says of itself.
        warehouse: Where it is published.
        copied_rows: A file of more rows is not copied: the warehouse has a view of it.
    """
    building = warehouse.with_name(f".{warehouse.name}.{publication.run_id}.building")
    building.unlink(missing_ok=True)
    try:
        _build(engine, files, publication, building, copied_rows)
        building.chmod(READ_ONLY)
        left_behind = warehouse.with_name(f"{warehouse.name}.wal")
        if left_behind.exists():
            left_behind.rename(warehouse.with_name(f"{warehouse.name}.wal.set-aside-{publication.run_id}"))
        put_in_place(building, warehouse)
    finally:
        building.unlink(missing_ok=True)
        building.with_name(f"{building.name}.wal").unlink(missing_ok=True)


def _build(
    engine: DuckDBEngine, files: Mapping[str, Path], publication: Publication, path: Path, copied_rows: int
) -> None:
    connection = engine.connection
    connection.execute(f"ATTACH {literal(str(path))} AS building (STORAGE_VERSION '{STORAGE_VERSION}')")
    # Tables have no order of rows to keep, and keeping it has DuckDB write large ones twice.
    connection.execute("SET preserve_insertion_order = false")
    try:
        for name, file in files.items():
            target = f"building.{identifier(name)}"
            # A table is one file, or a folder of files where a cluster wrote it.
            parts = file / "*.parquet" if file.is_dir() else file
            source = f"read_parquet({literal(str(parts))})"
            rows = connection.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0]
            kind = "TABLE" if rows <= copied_rows else "VIEW"
            connection.execute(f"CREATE {kind} {target} AS SELECT * FROM {source}")
            _comment(engine, name, target, kind)
        connection.execute(
            "CREATE TABLE building.publication AS SELECT ? AS run_id, ? AS as_of_date, "
            "? AS published_at, ? AS export_name, ? AS export_hash, ? AS recipe",
            [
                publication.run_id,
                publication.as_of_date,
                datetime.now(UTC).replace(tzinfo=None),
                publication.export_name,
                publication.export_hash,
                publication.recipe,
            ],
        )
        connection.execute("COMMENT ON TABLE building.publication IS 'One row: the run that published this warehouse.'")
        connection.execute("USE building")
        create_macros(connection)
        connection.execute("CHECKPOINT building")
    finally:
        connection.execute("RESET preserve_insertion_order")
        connection.execute("USE memory")
        connection.execute("DETACH building")


def _comment(engine: DuckDBEngine, name: str, target: str, kind: str) -> None:
    """Put the declared descriptions where analysts see them."""
    table = TABLES[name]
    engine.connection.execute(
        f"COMMENT ON {kind} {target} IS {literal(f'{table.description} One row is {table.grain}.')}"
    )
    found = {row[0] for row in engine.connection.execute(f"DESCRIBE {target}").fetchall()}
    for column in table.columns:
        if column.name in found:
            engine.connection.execute(
                f"COMMENT ON COLUMN {target}.{identifier(column.name)} IS {literal(column.description)}"
            )
