"""A publication breaks no reader, no reader and no session breaks a publication, and what is kept stays readable."""

import stat
from pathlib import Path

import duckdb
import pytest

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import kept_publications, publish, published, run_of
from smartcart_pipeline_tests.publishing import contents, means, night


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_publication_is_kept_and_its_copy_is_what_analysts_open(home: Home, engine: DuckDBEngine):
    done = night(home, "a", 45.0, engine)
    assert means(home.warehouse) == means(done.path) == [45.0]
    assert kept_publications(home) == [done.path]
    assert published(home) == done.path
    assert run_of(done.path) == "a"
    assert (done.set_aside, done.pruned) == (None, ())


def test_the_next_night_replaces_it_and_leaves_nothing_else(home: Home, engine: DuckDBEngine):
    first = night(home, "a", 45.0, engine)
    second = night(home, "b", 46.0, engine)
    assert means(home.warehouse) == [46.0]
    assert means(first.path) == [45.0]
    assert kept_publications(home) == [second.path, first.path]
    assert names(home.root) == ["lake", "publications", "warehouse.duckdb"]
    assert names(home.publications) == [first.path.name, second.path.name]


def test_both_files_are_read_only(home: Home, engine: DuckDBEngine):
    done = night(home, "a", 45.0, engine)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home.warehouse, done.path)} == {0o444}


def test_a_publication_that_fails_leaves_the_old_one_as_it_was(home: Home, engine: DuckDBEngine):
    first = night(home, "a", 45.0, engine)
    before = home.warehouse.read_bytes()
    with pytest.raises(duckdb.Error):
        publish(engine, contents("b", {"scaler": home.root / "gone_b.parquet"}), home, kept=7)
    assert home.warehouse.read_bytes() == before
    assert names(home.publications) == [first.path.name]
    night(home, "c", 47.0, engine)
    assert means(home.warehouse) == [47.0]
