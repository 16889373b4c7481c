from pathlib import Path

import narwhals as nw
import pytest

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline_tests.declared import BEHAVIOURAL

ROWS = [
    {"feature": "age", "mean": 45.0, "scale": 11.0, "lower": None, "upper": None},
    {"feature": "income", "mean": 5e4, "scale": 2e4, "lower": -1e5, "upper": 2e5},
]


def lake(root: Path, run_id: str, engine: DuckDBEngine) -> Lake:
    return Lake(root, run_id, engine, BEHAVIOURAL)


def test_what_is_written_can_be_read(tmp_path: Path, engine: DuckDBEngine):
    mine = lake(tmp_path, "a", engine)
    stored = mine.write("scaler", Fitted(ROWS))
    assert stored.rows == 2
    assert stored.path.parent == tmp_path / "scaler"
    assert engine.rows(mine.read("scaler")) == ROWS


def test_a_run_reads_its_own_tables_and_the_newest_of_others(tmp_path: Path, engine: DuckDBEngine):
    first, second, third = (lake(tmp_path, run_id, engine) for run_id in "abc")
    first.write("scaler", Fitted(ROWS[:1]))
    second.write("scaler", Fitted(ROWS))
    assert engine.rows(first.read("scaler")) == ROWS[:1]
    assert engine.rows(second.read("scaler")) == ROWS
    assert engine.rows(third.read("scaler")) == ROWS


def test_a_step_that_is_run_again_is_read_in_its_last_version(tmp_path: Path, engine: DuckDBEngine):
    mine = lake(tmp_path, "a", engine)
    mine.write("scaler", Fitted(ROWS))
    mine.write("scaler", Fitted(ROWS[:1]))
    assert engine.rows(mine.read("scaler")) == ROWS[:1]
    assert len(list((tmp_path / "scaler").iterdir())) == 2


def test_a_table_that_was_never_made_is_named(tmp_path: Path, engine: DuckDBEngine):
    with pytest.raises(FileNotFoundError, match="The table scaler has never been made"):
        lake(tmp_path, "a", engine).read("scaler")


def test_types_are_the_declared_ones_even_of_empty_and_null_columns(tmp_path: Path, engine: DuckDBEngine):
    mine = lake(tmp_path, "a", engine)
    mine.write("k_selection", Fitted([]))
    schema = mine.read("k_selection").collect_schema()
    assert (schema["k"], schema["silhouette"], schema["reason"]) == (nw.Int8, nw.Float64, nw.String)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, engine: DuckDBEngine):
    wrong = nw.from_native(
        engine.connection.sql("SELECT 'a' AS feature, 'not a number' AS mean, 1.0 AS scale, 0.0 AS lower, 1.0 AS upper")
    )
    with pytest.raises(Exception, match="not a number"):
        lake(tmp_path, "a", engine).write("scaler", wrong)
    assert list((tmp_path / "scaler").iterdir()) == []


def test_a_column_that_is_missing_fails_the_write(tmp_path: Path, engine: DuckDBEngine):
    wrong = nw.from_native(engine.connection.sql("SELECT 'a' AS feature, 1.0 AS mean"))
    with pytest.raises(Exception, match="scale"):
        lake(tmp_path, "a", engine).write("scaler", wrong)


def test_unfinished_files_of_a_run_that_died_are_not_read(tmp_path: Path, engine: DuckDBEngine):
    mine = lake(tmp_path, "a", engine)
    mine.write("scaler", Fitted(ROWS))
    (tmp_path / "scaler" / ".20990101T000000000000Z_b.parquet.writing").write_bytes(b"PAR1 half a file")
    assert engine.rows(lake(tmp_path, "b", engine).read("scaler")) == ROWS


def test_lineage_of_a_fit_is_what_it_was_fitted_on(tmp_path: Path, engine: DuckDBEngine):
    mine = lake(tmp_path, "a", engine)
    mine.write(
        "pca_components",
        nw.from_native(engine.connection.sql("SELECT 1 AS customer_id, 1.0 AS pc1, 2.0 AS pc2, 3.0 AS pc3")),
    )
    points = mine.read("pca_components")
    stored = mine.write("k_selection", Fitted([], [points.select("pc1", "pc3")]))
    assert stored.lineage["silhouette"] == [("pca_components", "pc1"), ("pca_components", "pc3")]


def test_paths_with_a_quote_are_no_trouble(tmp_path: Path, engine: DuckDBEngine):
    mine = lake(tmp_path / "o'neill", "a", engine)
    mine.write("scaler", Fitted(ROWS))
    assert engine.rows(mine.read("scaler")) == ROWS
