"""Files of a home that are damaged: named with the way out, mended where that is possible, never a traceback."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyarrow import parquet

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.storage import damage
from smartcart_pipeline.storage.damage import require_records, require_sound
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.models import read_record
from smartcart_pipeline.storage.publications import kept_publications
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.forked import smartcart
from smartcart_pipeline_tests.golden import undeclared


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from smartcart_pipeline_tests.conftest import SAMPLE

    path = tmp_path_factory.mktemp("export") / "small.csv"
    path.write_text("".join(SAMPLE.read_text().splitlines(keepends=True)[:301]))
    return path


@pytest.fixture(scope="module")
def two_nights(whole_night: None, tmp_path_factory: pytest.TempPathFactory, export: Path) -> Home:
    home = Home(tmp_path_factory.mktemp("nights") / "home")
    for day in ("2015-01-01", "2015-01-02"):
        done = smartcart("run", "--input", export, "--home", home.root, "--as-of", day, "--json")
        assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def home(two_nights: Home, tmp_path: Path) -> Home:
    """A copy to be damaged."""
    shutil.copytree(two_nights.root, tmp_path / "home")
    return Home(tmp_path / "home")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])


def garble(path: Path) -> None:
    path.write_bytes(bytes(range(1, 256)) * 40)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def night(home: Home, export: Path, day: str = "2015-01-03") -> subprocess.CompletedProcess[str]:
    return smartcart("run", "--input", export, "--home", home.root, "--as-of", day, "--json")


def segments(home: Home) -> list[tuple[object, ...]]:
    with open_warehouse(home.warehouse) as warehouse:
        return warehouse.execute("SELECT customer_id, segment_id FROM clusters ORDER BY 1").fetchall()


def newest(home: Home, table: str) -> Path:
    return max((home.lake / table).glob("[0-9]*.parquet"))


RECORDS = {
    "runs": lambda home: home.dagster / "history" / "runs.db",
    "index": lambda home: home.dagster / "history" / "runs" / "index.db",
    "schedules": lambda home: home.dagster / "schedules" / "schedules.db",
    "a run": lambda home: next((home.dagster / "history" / "runs").glob("*-*.db")),
}


@pytest.mark.parametrize("damage", [cut, garble])
@pytest.mark.parametrize("which", RECORDS)
def test_damaged_records_are_named_with_the_way_out(
    two_nights: Home, tmp_path: Path, which: str, damage: Callable[[Path], None]
):
    home = Home(tmp_path / "home")
    shutil.copytree(two_nights.dagster, home.dagster)
    require_records(home)
    path = RECORDS[which](home)
    damage(path)
    with pytest.raises(HomeError) as caught:
        require_records(home)
    assert str(caught.value).startswith(f"{path}: damaged.")
    assert f"delete the folder {home.dagster}" in str(caught.value)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("which", "damage"), [("runs", garble), ("index", cut), ("schedules", garble)])
def test_without_its_records_a_home_goes_on_as_it_was(
    home: Home, export: Path, which: str, damage: Callable[[Path], None]
):
    before, nights = segments(home), kept_publications(home)
    damage(RECORDS[which](home))
    (home.dagster / ".migrated").write_bytes(b"\xff\xfe")
    for command in (["run", "--input", export], ["setup"], ["dev", "--port", "1"], ["warehouse", "rollback"]):
        told = smartcart(*command, "--home", home.root)
        assert told.returncode in (1, 2), command
        assert "Traceback" not in told.stderr
        assert f"delete the folder {home.dagster}" in told.stderr, command
    for command in (["report"], ["sql", "FROM publication"], ["model", "list"], ["model", "replay"]):
        done = smartcart(*command, "--home", home.root)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(home.dagster)
    done = night(home, export)
    assert done.returncode == 0, done.stderr
    assert segments(home) == before
    assert len(kept_publications(home)) == len(nights) + 1
    with open_warehouse(home.warehouse) as warehouse:
        assert warehouse.execute("SELECT max(night), count(*) FROM nights").fetchall() == [(3, 3)]
        assert warehouse.execute("SELECT count(*) FROM lineage WHERE finished IS NULL").fetchall() == [(0,)]
    assert smartcart("model", "replay", "--home", home.root).returncode == 0


@pytest.mark.timeout(600)
def test_records_without_a_byte_are_made_anew(home: Home, export: Path):
    for find in RECORDS.values():
        empty(find(home))
    done = night(home, export)
    assert done.returncode == 0, done.stderr
    require_sound(home)


@pytest.mark.timeout(600)
def test_tables_of_the_last_night_are_put_back_from_its_publication(home: Home, two_nights: Home, export: Path):
    cut(newest(home, "segment_membership"))
    garble(newest(home, "features"))
    empty(newest(home, "nights"))
    newest(home, "promotion_decisions").unlink()
    # A file of another table.
    shutil.copyfile(newest(home, "loadings"), newest(home, "clusters"))
    told = smartcart("model", "replay", "--home", home.root)
    assert told.returncode in (1, 2)
    assert "Traceback" not in told.stderr
    assert str(newest(home, "segment_membership")) in told.stderr
    assert "smartcart run" in told.stderr
    damaged = {name: newest(home, name) for name in ("segment_membership", "features", "nights", "clusters")}
    done = night(home, export)
    assert done.returncode == 0, done.stderr
    for name, path in damaged.items():
        one, other = f"FROM '{path}'", f"FROM '{two_nights.lake / name / path.name}'"
        assert duckdb.sql(f"({one} EXCEPT ALL {other}) UNION ALL ({other} EXCEPT ALL {one})").fetchall() == [], name
    with open_warehouse(home.warehouse) as warehouse:
        assert warehouse.execute("SELECT max(night), count(*) FROM nights").fetchall() == [(3, 3)]
        assert warehouse.execute("SELECT count(DISTINCT night) FROM promotion_decisions").fetchall() == [(3,)]
    assert smartcart("model", "replay", "--home", home.root).returncode == 0
    require_sound(home)


def seal(path: Path, document: dict[str, Any]) -> str:
    """Write a document as the home keeps it."""
    kept = {key: value for key, value in document.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(kept | {"sha256": digest}))
    return digest


def forget_declarations(home: Home) -> None:
    """Make the records of a home those of a version that knew SmartCart's export only."""
    record = json.loads((home.models / "champion.json").read_text())
    for path in home.models.glob("v*/model.json"):
        record["digests"][path.parent.name] = seal(path, json.loads(undeclared(path.read_text())))
    for known in record["nights"]:
        del known["declaration"]
    seal(home.models / "champion.json", record)


def test_a_home_of_an_earlier_version_with_fewer_tables_and_columns_goes_on(home: Home, export: Path):
    publication = kept_publications(home)[0]
    publication.chmod(0o600)
    lacking = {"history.nights": "replaces_night", "model.contested_models": "compared_night"}
    with duckdb.connect(str(publication)) as connection:
        for table, column in lacking.items():
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
            path = newest(home, table.partition(".")[2])
            parquet.write_table(parquet.read_table(path).drop_columns(column), path)
        connection.execute("DROP TABLE model.plotted_customers")
    shutil.rmtree(home.lake / "plotted_customers")
    shutil.copy2(publication, home.warehouse)
    forget_declarations(home)
    done = night(home, export)
    assert done.returncode == 0, done.stderr
    assert smartcart("model", "replay", "--home", home.root).returncode == 0
    assert smartcart("model", "show", "v1", "--home", home.root).returncode == 0
    with open_warehouse(home.warehouse) as warehouse:
        assert warehouse.execute("SELECT night, replaces_night FROM nights ORDER BY 1").fetchall() == [
            (1, None),
            (2, None),
            (3, None),
        ]


def test_a_night_that_has_published_does_not_fail_over_old_records(home: Home, export: Path):
    first, _ = (night.run_id for night in read_record(home).nights)
    old = home.dagster / "history" / "runs" / f"{first}.db"
    old.unlink()
    old.mkdir()
    home.settings.write_text("settings:\n  kept_records: 1\n")
    done = night(home, export)
    assert done.returncode == 0, done.stderr
    assert old.is_dir()


def test_what_stands_in_the_place_of_a_table_is_named(home: Home, export: Path):
    shutil.rmtree(home.lake / "features")
    (home.lake / "features").write_text("in the way")
    done = night(home, export)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        f"smartcart: {home.lake / 'features'}: stands where the table features should. Move it away: smartcart run."
    )


@pytest.mark.timeout(600)
def test_a_table_that_cannot_be_put_back_stops_the_night_and_is_named(home: Home, export: Path):
    before = home.warehouse.read_bytes()
    damaged = newest(home, "clusters")
    cut(damaged)
    kept_publications(home)[0].unlink()
    done = night(home, export)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert str(damaged) in done.stderr
    assert "Put the lake back from a backup" in done.stderr
    assert home.warehouse.read_bytes() == before


@pytest.mark.parametrize("damage", [cut, garble, empty])
def test_a_damaged_publication_is_named_and_another_can_be_had(home: Home, damage: Callable[[Path], None]):
    damaged, other = kept_publications(home)
    damaged.chmod(0o644)
    damage(damaged)
    for command in (["report"], ["sql", "FROM publication"], ["warehouse", "list"], ["score", "x.csv"]):
        told = smartcart(*command, "--home", home.root)
        assert told.returncode in (1, 2)
        assert "Traceback" not in told.stderr
        if command[0] != "score":
            assert str(damaged) in told.stderr, command
    damaged.unlink()
    rolled = smartcart("warehouse", "rollback", other.stem.split("_")[1][:8], "--home", home.root)
    assert rolled.returncode == 0, rolled.stderr
    asked = smartcart("sql", "SELECT run_id FROM publication", "--home", home.root, "--format", "json")
    assert json.loads(asked.stdout) == [{"run_id": other.stem.split("_")[1]}]


def test_a_table_is_not_looked_for_in_a_publication_that_is_damaged(tmp_path: Path):
    home = Home(tmp_path / "home")
    home.publications.mkdir(parents=True)
    (home.publications / "20140629T000000000000Z_run-1.duckdb").write_bytes(b"no database" * 1_000)
    assert damage._publication_with(home, "cleaned", "run-1") is None


@pytest.mark.parametrize(
    ("number", "told"),
    [(1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2 and 1 more"), (5, "0, 1, 2 and 2 more"), (9, "0, 1, 2 and 6 more")],
)
def test_of_many_files_three_are_named(number: int, told: str):
    assert damage._list([Path(str(n)) for n in range(number)]) == told
