"""A disk without room, a home that cannot be written, two runs at once, a run that was killed: nothing is broken."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from smartcart_pipeline.orchestration.automation import new_export
from smartcart_pipeline.orchestration.night import open_records, prepare_home
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import kept_publications, published, run_of
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.conftest import SAMPLE
from smartcart_pipeline_tests.killing import faults, faults_of_record

pytestmark = pytest.mark.night


def environment() -> dict[str, str]:
    return forked.usual_environment() | {"COLUMNS": "120"}


def start(home: Home, *options: object) -> forked.Started:
    return forked.start("run", "--home", home.root, "--json", *options, env=environment())


def communicate(process: forked.Started) -> tuple[int, str, str]:
    done = process.wait(280)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def run(home: Home, *options: object) -> tuple[int, str, str]:
    return communicate(start(home, "--input", SAMPLE, *options))


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """A file system of its own on a folder, where this user may make one."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *arguments, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("night") / "home")
    code, _, err = run(home)
    assert code == 0, err
    return home


@pytest.mark.timeout(600)
def test_a_disk_without_room_fails_the_run_with_a_message_and_breaks_nothing(night: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "small" / "home")
    size = sum(path.stat().st_size for path in night.root.rglob("*") if path.is_file())
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", f"size={size + 40_000_000}", "tmpfs"):
        shutil.copytree(night.root, home.root)
        before = home.warehouse.read_bytes()
        ballast = tmp_path / "small" / "ballast"
        # From a disk that is full at once to one that is full while the warehouse is published.
        for left in (0, 1_500_000, 3_000_000, 6_000_000):
            ballast.unlink(missing_ok=True)
            free = shutil.disk_usage(home.root).free
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, free - left))
            code, out, err = run(home)
            assert code in (1, 2), (left, out, err)
            assert out == ""
            assert "Traceback" not in err
            assert any(words in err for words in ("disk", "space", "room")), err
            assert home.warehouse.read_bytes() == before
            assert faults(home) == []
        ballast.unlink()
        code, out, err = run(home)
        assert code == 0, err
        assert run_of(kept_publications(home)[0]) == json.loads(out)["run_id"]
        assert faults(home) == []


@pytest.mark.timeout(600)
def test_a_first_night_that_a_full_disk_ends_is_followed_by_one_that_works(tmp_path: Path) -> None:
    small = tmp_path / "small"
    home = Home(small / "home")
    # Enough for the tables, and too little for the warehouse.
    with mounted(small, "-t", "tmpfs", "-o", "size=18m", "tmpfs"):
        code, out, err = run(home)
        assert (code, out, "Traceback" in err) == (2, "", False), err
        assert "the home cannot be written" in err.lower()
        assert "No space left on device" in err
        assert list(home.models.glob(".champion.*.pending"))
        assert not home.warehouse.exists()
        subprocess.run(["mount", "-o", "remount,size=400m", small], check=True)
        code, out, err = run(home)
        assert code == 0, err
        assert faults(home) + faults_of_record(home) == []


def test_a_home_that_is_read_only_is_told_and_can_still_be_read(night: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "locked")
    with mounted(home.root, "--bind", str(night.root)):
        done = subprocess.run(["mount", "-o", "remount,ro,bind", home.root], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("nothing can be remounted here")
        code, out, err = run(home)
        assert (code, out) == (2, "")
        assert err == (
            f"smartcart: {home.root}: the home cannot be written (Read-only file system). "
            "Give the pipeline's user the right to, or name another folder with --home.\n"
        )
        for command in (
            ["warehouse", "rollback"],
            ["model", "promote", "v1", "--reason", "better"],
            ["model", "rollback", "--reason", "worse"],
        ):
            refused = forked.smartcart(*command, "--home", home.root, env=environment())
            assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", err)
        question = ("sql", "SELECT run_id FROM publication", "--format", "json")
        asked = forked.smartcart(*question, "--home", home.root, env=environment())
        assert (asked.returncode, asked.stderr) == (0, "")
        assert [row["run_id"] for row in json.loads(asked.stdout)] == [run_of(kept_publications(home)[0])]
    assert faults(night) == []


def test_of_two_runs_that_start_at_the_same_moment_one_waits_and_says_for_whom(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    both = [start(home, "--input", SAMPLE) for _ in range(2)]
    ended = [communicate(process) for process in both]
    assert [code for code, *_ in ended] == [0, 0], [err for *_, err in ended]
    [(_, first, _)] = [one for one in ended if not one[2]]
    [(_, second, said)] = [one for one in ended if one[2]]
    pids = {process.pid for process in both}
    assert said.startswith(f"Another run is under way in {home.root} (process ")
    assert int(said.split("(process ")[1].split()[0]) in pids
    # The one that waited published last.
    assert [run_of(path) for path in kept_publications(home)] == [
        json.loads(second)["run_id"],
        json.loads(first)["run_id"],
    ]
    assert faults(home) == []


def wait_for(found: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.5)
    pytest.fail(f"nothing within {seconds} s")


@pytest.fixture
def killed(night: Home, tmp_path: Path) -> tuple[Home, str]:
    """A home in which a run of the command was killed half way, and that run."""
    home = Home(tmp_path / "killed")
    shutil.copytree(night.root, home.root)
    process = start(home, "--input", SAMPLE)
    with open_records(home) as instance:
        under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        [run] = wait_for(lambda: instance.get_runs(under_way), 120)
        process.kill()
        assert process.wait().returncode == -signal.SIGKILL
        assert [one.run_id for one in instance.get_runs(under_way)] == [run.run_id]
    return home, run.run_id


def test_a_run_that_was_killed_is_recorded_as_failed_by_whoever_looks_next(killed: tuple[Home, str]) -> None:
    home, run_id = killed
    with (
        open_records(home) as instance,
        dg.build_sensor_context(instance=instance, resources={"home": home}) as context,
    ):
        new_export.evaluate_tick(context)
        dead = instance.get_run_by_id(run_id)
        assert dead
        assert dead.status is dg.DagsterRunStatus.FAILURE
        assert [one.run_id for one in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))] == []


def test_a_run_that_is_alive_is_left_alone(night: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "alive")
    shutil.copytree(night.root, home.root)
    process = start(home, "--input", SAMPLE)
    with open_records(home) as instance:
        [run] = wait_for(lambda: instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])), 120)
        with dg.build_sensor_context(instance=instance, resources={"home": home}) as context:
            new_export.evaluate_tick(context)
        code, _, err = communicate(process)
        assert code == 0, err
        ended = instance.get_run_by_id(run.run_id)
        assert ended
        assert ended.status is dg.DagsterRunStatus.SUCCESS


@pytest.mark.timeout(600)
def test_the_daemon_runs_the_next_night_after_a_run_that_was_killed(killed: tuple[Home, str], tmp_path: Path) -> None:
    """Without anybody's help: the dead run would stand in the way of every other, as one at a time may run."""
    home, run_id = killed
    prepare_home(home)
    night = environment() | {"DAGSTER_HOME": str(home.dagster), "SMARTCART_HOME": str(home.root)}
    module = ["-m", "smartcart_pipeline.definitions"]
    configured = tmp_path / "config.yaml"
    configured.write_text(json.dumps({"resources": {"settings": {"config": {"input": str(SAMPLE)}}}}))
    subprocess.run(
        [sys.executable, "-m", "dagster", "job", "launch", *module, "-j", "nightly_refresh", "-c", configured],
        env=night,
        check=True,
        capture_output=True,
    )
    with (tmp_path / "daemon.log").open("w") as log:
        daemon = subprocess.Popen(
            [Path(sys.executable).with_name("dagster-daemon"), "run", *module], env=night, stdout=log, stderr=log
        )
        try:
            with open_records(home) as instance:
                [queued] = [one for one in instance.get_runs(limit=1) if one.run_id != run_id]

                def ended() -> Any:
                    status = instance.get_run_by_id(queued.run_id)
                    return status and status.is_finished and status.status

                assert wait_for(ended, 400) is dg.DagsterRunStatus.SUCCESS
                dead = instance.get_run_by_id(run_id)
                assert dead
                assert dead.status is dg.DagsterRunStatus.FAILURE
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)
    shown = published(home)
    assert shown
    assert run_of(shown) == queued.run_id
    with open_warehouse(home.warehouse) as warehouse:
        assert warehouse.sql("SELECT run_id FROM publication").fetchall() == [(queued.run_id,)]
