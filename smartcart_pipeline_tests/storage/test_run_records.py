"""Dagster's records are complete and correct although their connections stay open."""

import multiprocessing
import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml

from smartcart_pipeline.night import open_records, prepare_home
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.run_records import OpenEventLog

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
