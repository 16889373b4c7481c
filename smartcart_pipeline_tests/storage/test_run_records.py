"""Dagster's records are complete and correct although their connections stay open."""

import multiprocessing
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from smartcart_pipeline.orchestration.night import open_records, prepare_home
from smartcart_pipeline.storage import run_records
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.run_records import OpenEventLog, forget_old_runs

TURNS = 25


@dg.asset
def counted(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"run": context.run.run_id})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DAGSTER_HOME", "")
    place = Home(tmp_path / "home")
    prepare_home(place)
    return place


def _materialise(home: Home, turns: int) -> None:
    with open_records(home) as instance:
        for _ in range(turns):
            assert dg.materialize([counted], instance=instance).success


def test_dagsters_own_storage_reads_what_was_written(home: Home, tmp_path: Path):
    _materialise(home, 2)
    # The same files under a configuration that names no storage are those of Dagster's default.
    plain = tmp_path / "plain"
    shutil.copytree(home.dagster, plain)
    settings = yaml.safe_load((plain / "dagster.yaml").read_text(encoding="utf-8"))
    del settings["storage"]
    (plain / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with open_records(home) as ours, dg.DagsterInstance.from_config(str(plain)) as theirs:
        assert isinstance(ours.event_log_storage, OpenEventLog)
        assert not isinstance(theirs.event_log_storage, OpenEventLog)
        [*runs] = ours.get_runs()
        assert len(runs) == 2
        for run in runs:
            events = [record.get_dagster_event() for record in ours.all_logs(run.run_id)]
            assert len(events) > 5
            assert [record.get_dagster_event() for record in theirs.all_logs(run.run_id)] == events
        newest = theirs.get_latest_materialization_event(dg.AssetKey("counted"))
        assert newest is not None
        assert newest.run_id == runs[0].run_id


def test_two_processes_write_at_once(home: Home):
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_materialise, args=(home, TURNS)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    with open_records(home) as instance:
        assert len(instance.get_runs()) == 2 * TURNS
        written = instance.fetch_materializations(dg.AssetKey("counted"), limit=1_000).records
        assert len(written) == 2 * TURNS


def test_a_run_that_was_deleted_leaves_no_connection_behind(home: Home):
    with open_records(home) as instance:
        run = dg.materialize([counted], instance=instance).dagster_run
        instance.delete_run(run.run_id)
        assert not instance.all_logs(run.run_id)
        assert dg.materialize([counted], instance=instance).success


def test_few_connections_are_open_at_a_time(home: Home):
    with open_records(home) as instance:
        for _ in range(3):
            dg.materialize([counted], instance=instance)
        log = instance.event_log_storage
        assert isinstance(log, OpenEventLog)
        assert len(log._engines) == 2
    assert not log._engines


@dg.asset_check(asset="counted")
def is_counted() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"long": "x" * 500_000})


@dg.asset
def made_once() -> dg.MaterializeResult:
    return dg.MaterializeResult()


NIGHTLY = dg.Definitions(
    assets=[counted, made_once],
    asset_checks=[is_counted],
    jobs=[dg.define_asset_job("nightly", dg.AssetSelection.assets("counted"))],
).resolve_job_def("nightly")


def _night(instance: dg.DagsterInstance) -> str:
    return NIGHTLY.execute_in_process(instance=instance).run_id


def test_old_runs_are_forgotten_with_all_they_left_and_what_is_needed_stays(home: Home):
    with open_records(home) as instance:
        alone = dg.materialize([made_once], instance=instance).run_id
        runs = [_night(instance) for _ in range(20)]
        queued = instance.create_run_for_job(NIGHTLY).run_id
        old = [runs.pop(0), *(runs.pop(0) for _ in range(16))]
        freshness = dg.AssetObservation("counted", metadata={"long": "y" * 1_000})
        for _ in range(3):
            instance.report_runless_asset_event(freshness)
        index = home.dagster / "history" / "runs" / "index.db"
        size = index.stat().st_size
        assert forget_old_runs(instance, "nightly", 3) == len(old)
        assert forget_old_runs(instance, "nightly", 3) == 0
        assert {run.run_id for run in instance.get_runs()} == {*runs, alone, queued}
        assert {path.stem for path in index.parent.glob("[0-9a-f]*.db")} - {"index"} >= {*runs, alone}
        assert not {path.stem for path in index.parent.glob("[0-9a-f]*.db")} & set(old)
        known = {record.asset_entry.asset_key.path[-1]: record.asset_entry for record in instance.get_asset_records()}
        assert known["made_once"].last_materialization.run_id == alone
        assert known["counted"].last_materialization.run_id == runs[-1]
        assert all(instance.all_logs(run) for run in (*runs, alone))
        assert len(instance.fetch_observations(dg.AssetKey("counted"), limit=10).records) == 3
    with sqlite3.connect(index) as connection:
        for table in ("event_logs", "asset_check_executions"):
            [(left,)] = connection.execute(
                f"SELECT count(*) FROM {table} WHERE run_id IN ({', '.join('?' * len(old))})", old
            ).fetchall()
            assert left == 0, table
    assert index.stat().st_size < size / 2


def test_fewer_nights_than_are_kept_forget_nothing(home: Home):
    with open_records(home) as instance:
        runs = {_night(instance) for _ in range(3)}
        assert forget_old_runs(instance, "nightly", 4) == 0
        assert {run.run_id for run in instance.get_runs()} == runs


def test_of_old_events_without_a_run_the_newest_of_each_kind_stays(home: Home):
    with open_records(home) as instance:
        for key in ("counted", "made_once"):
            for number in range(3):
                instance.report_runless_asset_event(dg.AssetObservation(key, metadata={"number": number}))
        later = datetime.now(UTC) + timedelta(seconds=1)
        while datetime.now(UTC) < later:
            pass
        _night(instance)
        _night(instance)
        forget_old_runs(instance, "nightly", 1)
        for key in ("counted", "made_once"):
            [left] = instance.fetch_observations(dg.AssetKey(key), limit=10).records
            observation = left.asset_observation
            assert observation is not None
            assert observation.metadata["number"].value == 2


def test_somebody_who_reads_is_not_disturbed_and_does_not_disturb(home: Home):
    with open_records(home) as instance:
        runs = [_night(instance) for _ in range(20)]
        index = home.dagster / "history" / "runs" / "index.db"
        with sqlite3.connect(index, isolation_level=None) as reader:
            reader.execute("BEGIN")
            [(seen,)] = reader.execute("SELECT count(*) FROM event_logs").fetchall()
            assert forget_old_runs(instance, "nightly", 1) == 19
            assert reader.execute("SELECT count(*) FROM event_logs").fetchall() == [(seen,)]
            reader.execute("COMMIT")
        assert [run.run_id for run in instance.get_runs()] == runs[-1:]
        assert _night(instance)


@pytest.mark.parametrize(("kept", "is_written_anew"), [(40, True), (60, False)])
def test_a_file_is_written_anew_where_most_of_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int, is_written_anew: bool
):
    path = tmp_path / "events.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE events (id INTEGER, body BLOB)")
        connection.executemany("INSERT INTO events VALUES (?, ?)", [(n, bytes(40_000)) for n in range(100)])
        connection.execute("DELETE FROM events WHERE id >= ?", [kept])
    size = path.stat().st_size
    # So few bytes are not worth it.
    run_records._write_anew(path)
    assert path.stat().st_size == size
    monkeypatch.setattr(run_records, "WORTH_WRITING_ANEW", 0)
    run_records._write_anew(path)
    assert (path.stat().st_size < size) == is_written_anew
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchall() == [(kept,)]
