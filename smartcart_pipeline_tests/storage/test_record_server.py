"""Dagster's records on a real PostgreSQL, and what people read where there is none."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from smartcart_pipeline.orchestration.night import open_records
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.run_records import forget_old_runs
from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.conftest import SAMPLE

PASSWORD = "hush-hush-4711"  # noqa: S105  (of a server that lives as long as the test)
VARIABLE = "SMARTCART_POSTGRES_URL"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server on loopback."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    # It refuses to run as root; Debian's package brings a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="smartcart-postgres-") as name:
        folder, port = Path(name), free_port()
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
        made = [programs[-1] / "initdb", "-D", folder / "data", "-U", "smartcart", "-A", "scram-sha-256"]
        subprocess.run(
            [*made, f"--pwfile={folder / 'password'}"], user=user, cwd=folder, check=True, capture_output=True
        )
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [programs[-1] / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder, "-h", "127.0.0.1"],
                user=user,
                cwd=folder,
                stdout=log,
                stderr=log,
            )
            try:
                while subprocess.run(
                    [programs[-1] / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True, check=False
                ).returncode:
                    assert process.poll() is None, (folder / "log").read_text()
                    time.sleep(0.2)
                yield f"postgresql://smartcart:{PASSWORD}@127.0.0.1:{port}/postgres"
            finally:
                process.terminate()
                process.wait(60)


def smartcart(home: Home, address: str | None, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command, told the address in the environment only."""
    told = {VARIABLE: address} if address else {}
    return forked.smartcart(*arguments, "--home", home.root, env=forked.usual_environment() | told)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path / "home")
    place.root.mkdir()
    place.settings.write_text("storage: postgres\nsettings:\n  kept_records: 2\n")
    return place


@pytest.mark.timeout(600)
@pytest.mark.night
def test_nights_are_recorded_on_the_server_and_old_ones_forgotten(
    server: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    export = tmp_path / "small.csv"
    export.write_text("".join(SAMPLE.read_text().splitlines(keepends=True)[:301]))
    runs = []
    for day in ("2015-01-01", "2015-01-02"):
        done = smartcart(home, server, "run", "--input", export, "--as-of", day, "--json")
        assert done.returncode == 0, done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        runs.append(json.loads(done.stdout)["run_id"])
    assert smartcart(home, server, "warehouse", "rollback").returncode == 0
    assert not list(home.dagster.rglob("*.db"))
    files = [path for path in home.root.rglob("*") if path.is_file()]
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]
    monkeypatch.setenv(VARIABLE, server)
    monkeypatch.setenv("DAGSTER_HOME", "")
    with open_records(home) as instance:
        assert [run.run_id for run in instance.get_runs()] == runs[::-1]
        assert len(instance.all_logs(runs[0])) > 100
        assert forget_old_runs(instance, "nightly_refresh", 1) == 1
        assert [run.run_id for run in instance.get_runs()] == runs[1:]
        assert not instance.all_logs(runs[0])
        newest = instance.get_latest_materialization_event(dg.AssetKey("clusters"))
        assert newest is not None
        assert newest.run_id == runs[1]
        assert len(instance.fetch_observations(dg.AssetKey("warehouse"), limit=5).records) == 1


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (None, f"{VARIABLE} is not set"),
        (f"mysql://me:{PASSWORD}@host/records", f"{VARIABLE} holds no address of PostgreSQL"),
        (f"{PASSWORD}", f"{VARIABLE} holds no address of PostgreSQL"),
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/records", "cannot be used"),
    ],
)
def test_a_server_that_cannot_be_had_is_told_without_a_password(home: Home, address: str | None, told: str):
    done = smartcart(home, address, "setup")
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr


def test_a_wrong_password_is_told_and_not_shown(server: str, home: Home):
    done = smartcart(home, server.replace(PASSWORD, "wrong-4712"), "setup")
    assert done.returncode == 2
    assert "password authentication failed" in done.stderr
    assert "wrong-4712" not in done.stderr


def test_another_storage_is_refused(home: Home):
    home.settings.write_text("storage: oracle\n")
    done = smartcart(home, None, "setup")
    assert done.returncode == 2
    assert "storage is 'oracle', expected sqlite or postgres" in done.stderr
