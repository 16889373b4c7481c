"""Any legal path is a home, and an export may have any name: nothing in it is taken for a pattern or an address."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading_duckdb import read_export
from smartcart_pipeline.orchestration.night import open_records, prepare_home
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.odd_paths import require_path
from smartcart_pipeline.storage.run_records import OpenEventLog
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.declared import BEHAVIOURAL

# All that some library takes for a pattern, an escape, a separator, an option or an end, at once and each alone.
ALL_AT_ONCE = "-dü*? [x]{1,2}%41#;:@&'\"\n$HOME ~year=2026"
ODD = [
    "dü*?",
    "a%41b",
    "100%25",
    "a#b",
    "two words",
    "it's",
    'a"b',
    "ä ö",
    "a;b",
    "*",
    "[x]",
    "a\nb",
    "-a",
    "year=1",
    "{a,b}",
]


def smartcart(*arguments: object, folder: Path | None = None) -> str:
    done = forked.smartcart(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def small_export(sample: Path, path: Path, customers: int = 300) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(sample.read_text().splitlines(keepends=True)[: customers + 1]))
    return path


@pytest.mark.timeout(600)
@pytest.mark.night
def test_nights_commands_and_the_sensor_work_in_the_oddest_home(sample: Path, tmp_path: Path):
    home = Home(tmp_path / ALL_AT_ONCE / "-home")
    export = small_export(sample, tmp_path / ALL_AT_ONCE / "export*[1]?.csv")
    # What a pattern would find as well.
    small_export(sample, tmp_path / ALL_AT_ONCE / "exportA1B.csv", customers=7)
    place = ["--home", home.root]
    first = json.loads(smartcart("run", "--input", export, *place, "--json"))
    # Tables of more rows than this are views of the lake.
    home.settings.write_text("settings:\n  copied_rows: 100\n")
    second = json.loads(
        smartcart(
            "run", "--input", export.name, "--home=-home", "--as-of", "2015-01-01", "--json", folder=export.parent
        )
    )
    assert (first["customers"], second["customers"]) == (300, 300)
    assert "300" in smartcart("sql", "SELECT count(*) AS n FROM cleaned", *place, "--format", "csv")
    assert len(json.loads(smartcart("warehouse", "list", *place, "--json"))) == 2
    assert "2 nights played again" in smartcart("model", "replay", *place)
    smartcart("warehouse", "rollback", *place)
    smartcart("report", *place)
    scores = tmp_path / "scores*?.csv"
    smartcart("score", export, *place, "--output", scores)
    assert len(scores.read_text().splitlines()) == 301
    _run_by_the_sensor(home, export, tmp_path / "dev.log")
    assert {path.name for path in (tmp_path / ALL_AT_ONCE).iterdir()} == {"-home", "exportA1B.csv", export.name}
    assert {path.name for path in tmp_path.iterdir()} == {ALL_AT_ONCE, "scores*?.csv", "dev.log"}


def _run_by_the_sensor(home: Home, export: Path, log: Path) -> None:
    """Drop a new export, and let schedule, sensor and web server work until it is published."""
    home.incoming.mkdir(exist_ok=True)
    text = export.read_text().splitlines(keepends=True)
    (home.incoming / "new*[1]?.csv").write_text("".join(text[:251]))
    with log.open("w") as said:
        dev = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "smartcart_pipeline.cli.main",
                "dev",
                "--home",
                str(home.root),
                "--port",
                str(free_port()),
            ],
            stdout=said,
            stderr=said,
        )
        try:
            deadline = time.monotonic() + 280
            while len(list(home.publications.glob("*.duckdb"))) < 3 and time.monotonic() < deadline:
                assert dev.poll() is None, log.read_text()
                time.sleep(1)
        finally:
            dev.send_signal(signal.SIGINT)
            dev.wait(60)
    newest = max(home.publications.glob("*.duckdb"))
    with open_warehouse(newest) as connection:
        [(customers,)] = connection.execute("SELECT sum(customers) FROM profiles").fetchall()
    assert customers == 250


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("name", ["dü*?", "a%41b", "100%25", "a#b", "[x]", ALL_AT_ONCE])
def test_records_are_kept_in_the_home_and_nowhere_else(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    home = Home(tmp_path / name)
    prepare_home(home)
    with open_records(home) as instance:
        assert isinstance(instance.event_log_storage, OpenEventLog)
        assert not instance.telemetry_enabled
        assert instance.get_runs() == []
    assert (home.dagster / "history" / "runs.db").is_file()
    assert (home.dagster / "history" / "runs" / "index.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    # A home that was removed and made again is not the one whose descriptor is open.
    shutil.rmtree(home.root)
    prepare_home(home)
    assert (home.dagster / "history" / "runs.db").is_file()


@pytest.mark.parametrize("name", [*ODD, ALL_AT_ONCE])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_export_is_the_file_of_that_name_only(
    kind: str, name: str, sample: Path, tmp_path: Path, engine: DuckDBEngine
):
    path = small_export(sample, tmp_path / name / f"{name}.csv", customers=5)
    for decoy in ("dü12", "x", "a", "b", "export"):
        (tmp_path / name / f"{decoy}.{kind}").write_bytes(b"\0")
    if kind == "parquet":
        table = duckdb.sql(f"FROM read_csv('{small_export(sample, tmp_path / 'plain.csv', customers=5)}')")
        table.write_parquet(str(tmp_path / "plain.parquet"))
        path = path.with_suffix(".parquet")
        shutil.move(tmp_path / "plain.parquet", path)
    frame, _ = read_export(engine, inspect_export(path, BEHAVIOURAL.contract))
    rows = engine.rows(frame)
    assert len(rows) == 5
    assert not {"year", "-year"} & rows[0].keys()


def test_a_path_that_no_library_takes_is_refused_before_anything_is_written(tmp_path: Path):
    deep = tmp_path.joinpath(*["deep" * 20] * 6)
    with pytest.raises(HomeError, match=r"takes \d+ bytes, and SQLite opens no file"):
        prepare_home(Home(deep))
    with pytest.raises(HomeError, match="backslash"):
        prepare_home(Home(tmp_path / "a\\b"))
    with pytest.raises(HomeError, match="not UTF-8"):
        require_path(tmp_path / os.fsdecode(b"\xff"))
    assert list(tmp_path.iterdir()) == []


def test_the_longest_path_that_is_taken_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    root = tmp_path
    while len(str(root)) < 432:
        root /= "x" * min(60, 432 - len(str(root)) - 1)
    assert len(str(root)) == 432
    prepare_home(Home(root))
    import dagster as dg

    with open_records(Home(root)) as instance:

        @dg.asset
        def counted() -> int:
            return 1

        assert dg.materialize([counted], instance=instance, resources={"io_manager": dg.mem_io_manager}).success
