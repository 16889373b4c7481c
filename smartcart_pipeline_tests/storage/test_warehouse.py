import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.warehouse import Publication, publish

ROWS = [{"feature": "age", "mean": 45.0, "scale": 11.0}]


def publication(run_id: str) -> Publication:
    return Publication(run_id, date(2014, 6, 29), "export.csv", "0" * 64, "behavioural")


def night(root: Path, run_id: str, mean: float, engine: DuckDBEngine) -> Path:
    """Publish a small warehouse of one table."""
    lake = Lake(root / "lake", run_id, engine)
    lake.write("scaler", Fitted([ROWS[0] | {"mean": mean}]))
    warehouse = root / "warehouse.duckdb"
    publish(engine, {"scaler": lake.path("scaler")}, publication(run_id), warehouse, copied_rows=10)
    return warehouse


def means(warehouse: Path) -> list[float]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return [row[0] for row in connection.sql("SELECT mean FROM scaler").fetchall()]


def test_a_publication_holds_its_tables_and_says_what_it_is(tmp_path: Path, engine: DuckDBEngine):
    warehouse = night(tmp_path, "a", 45.0, engine)
    assert means(warehouse) == [45.0]
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        row = connection.sql("SELECT run_id, as_of_date, export_name, export_hash, recipe FROM publication").fetchall()
        comments = connection.sql("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'scaler'")
        assert row == [("a", date(2014, 6, 29), "export.csv", "0" * 64, "behavioural")]
        assert dict(comments.fetchall())["mean"] == "Mean of the feature, in its own unit."


def test_the_next_night_replaces_it_and_leaves_nothing_else(tmp_path: Path, engine: DuckDBEngine):
    night(tmp_path, "a", 45.0, engine)
    warehouse = night(tmp_path, "b", 46.0, engine)
    query = "SELECT mean FROM scaler"
    script = f"import duckdb; print(duckdb.connect({str(warehouse)!r}, read_only=True).sql({query!r}).fetchall())"
    reader = [sys.executable, "-c", script]
    assert subprocess.run(reader, capture_output=True, text=True, check=True).stdout.strip() == "[(46.0,)]"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "warehouse.duckdb"]


def test_a_reader_in_another_process_keeps_what_it_opened(tmp_path: Path, engine: DuckDBEngine):
    warehouse = night(tmp_path, "a", 45.0, engine)
    script = (
        "import duckdb, sys\n"
        f"connection = duckdb.connect({str(warehouse)!r}, read_only=True)\n"
        "for line in sys.stdin:\n"
        "    print(connection.sql('SELECT mean FROM scaler').fetchall(), flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        print(file=reader.stdin, flush=True)
        before = reader.stdout.readline()
        night(tmp_path, "b", 46.0, engine)
        print(file=reader.stdin, flush=True)
        after = reader.stdout.readline()
        reader.stdin.close()
    assert before == after == "[(45.0,)]\n"


def test_a_wal_left_behind_is_set_aside_and_does_not_spoil_the_new_warehouse(tmp_path: Path, engine: DuckDBEngine):
    warehouse = night(tmp_path, "a", 45.0, engine)
    left = tmp_path / "warehouse.duckdb.wal"
    left.write_bytes(b"what an analyst wrote")
    night(tmp_path, "b", 46.0, engine)
    assert means(warehouse) == [46.0]
    assert (tmp_path / "warehouse.duckdb.wal.set-aside-b").read_bytes() == b"what an analyst wrote"


def test_the_published_file_is_read_only(tmp_path: Path, engine: DuckDBEngine):
    assert stat.S_IMODE(night(tmp_path, "a", 45.0, engine).stat().st_mode) == 0o444


def test_a_publication_that_fails_leaves_the_old_one_as_it_was(tmp_path: Path, engine: DuckDBEngine):
    warehouse = night(tmp_path, "a", 45.0, engine)
    before = warehouse.read_bytes()
    with pytest.raises(duckdb.Error):
        publish(engine, {"scaler": tmp_path / "no such file.parquet"}, publication("b"), warehouse, copied_rows=10)
    assert warehouse.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "warehouse.duckdb"]
    assert means(night(tmp_path, "c", 47.0, engine)) == [47.0]


def test_a_large_table_is_a_view_of_the_runs_own_file(tmp_path: Path, engine: DuckDBEngine):
    lake = Lake(tmp_path / "lake", "a", engine)
    lake.write("scaler", Fitted([ROWS[0], ROWS[0] | {"feature": "income"}]))
    lake.write("correlations", Fitted([{"feature": "age", "other_feature": "age", "correlation": 1.0}]))
    files = {name: lake.path(name) for name in ("scaler", "correlations")}
    publish(engine, files, publication("a"), tmp_path / "warehouse.duckdb", copied_rows=1)
    Lake(tmp_path / "lake", "b", engine).write("scaler", Fitted([ROWS[0] | {"mean": 1.0}]))  # a later run's

    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
        kinds = connection.sql("SELECT table_name, table_type FROM information_schema.tables ORDER BY ALL").fetchall()
        assert kinds == [("correlations", "BASE TABLE"), ("publication", "BASE TABLE"), ("scaler", "VIEW")]
        assert connection.sql("SELECT feature, mean FROM scaler ORDER BY feature").fetchall() == [
            ("age", 45.0),
            ("income", 45.0),
        ]
        [(comment,)] = connection.sql("SELECT comment FROM duckdb_views() WHERE view_name = 'scaler'").fetchall()
        assert comment.startswith("What standardising subtracts and divides by.")
        comments = connection.sql("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'scaler'")
        assert dict(comments.fetchall())["mean"] == "Mean of the feature, in its own unit."
