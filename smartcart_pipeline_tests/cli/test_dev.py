"""`smartcart dev` is alone on its home and its port, says nothing in vain, and ends when told to: all of it, always."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from smartcart_pipeline.orchestration.automation import fail_abandoned
from smartcart_pipeline.orchestration.night import open_records, prepare_home
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.run_lock import hold
from smartcart_pipeline_tests.conftest import SAMPLE
from smartcart_pipeline_tests.terminal import start

COMMAND = [sys.executable, "-m", "smartcart_pipeline.cli.main", "dev"]
# What only a machine that hangs would overrun.
PATIENCE = 150

pytestmark = [pytest.mark.night, pytest.mark.timeout(600)]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("SMARTCART", "DAGSTER"))}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return value


def answers(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def family(pid: int) -> set[int]:
    """The services that a `smartcart dev` started, all of one process group, without those that are dead already."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = path.read_text().rsplit(")", 1)
        except OSError:
            continue
        state, parent, group, *_ = rest.split()
        stats[int(name.split()[0])] = (state, int(parent), int(group))
    groups = {group for _, parent, group in stats.values() if parent == pid and group != os.getpgid(pid)}
    return {number for number, (state, _, group) in stats.items() if group in groups and state != "Z"}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@dataclass(frozen=True)
class Dev:
    """A `smartcart dev` that serves."""

    home: Home
    port: int
    pid: int
    log: Path

    def services(self) -> set[int]:
        """Proxy and code server, web server, daemon and who watches over them: five, and a run."""
        found = family(self.pid)
        assert len(found) >= 5
        return found

    def kill(self) -> None:
        for pid in {self.pid} | family(self.pid) if alive(self.pid) else ():
            os.kill(pid, signal.SIGKILL)

    def is_up(self) -> bool:
        assert alive(self.pid), self.log.read_text()
        return answers(self.port) and "SensorDaemon" in self.log.read_text()


@pytest.fixture(scope="module")
def in_background(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """Started by a script without a terminal, which leaves it behind with SIGINT ignored, in a clone's folder."""
    folder = tmp_path_factory.mktemp("background")
    home, port, log = Home(folder / "home"), free_port(), folder / "log"
    script = '"$@" >"$LOG" 2>&1 & echo $!'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, "--home", home.root, "--port", str(port)],
        env=environment() | {"LOG": str(log)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,
    )
    dev = Dev(home, port, int(done.stdout), log)
    try:
        wait_for(dev.is_up)
        yield dev
    finally:
        dev.kill()


def refusal(home: Path, port: int) -> str:
    done = subprocess.run(
        [*COMMAND, "--home", home, "--port", str(port)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    [message] = done.stderr.splitlines()
    return message


def test_a_second_one_on_the_same_home_is_refused_whatever_the_port(in_background: Dev) -> None:
    told = (
        f"smartcart: {in_background.home.root}: the UI of this home is there already, on "
        f"http://127.0.0.1:{in_background.port} (process {in_background.pid}). Open that, or end it first: "
        f"kill {in_background.pid}. For the UI of another home: --home, with another --port."
    )
    assert refusal(in_background.home.root, free_port()) == told
    assert refusal(in_background.home.root, in_background.port) == told


def test_a_port_of_another_home_is_refused_and_no_home_is_made(in_background: Dev, tmp_path: Path) -> None:
    message = refusal(tmp_path / "home", in_background.port)
    assert message.startswith(f"smartcart: Port {in_background.port} of 127.0.0.1 is in use by process ")
    assert "-m dagster_webserver --port" in message
    assert f"or choose another port: --port {in_background.port + 1}." in message
    assert list(tmp_path.iterdir()) == []


def test_a_port_of_another_program_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:  # noqa: S104  (to be found on any address)
        port = other.getsockname()[1]
        assert f"Port {port} of 127.0.0.1 is in use by process {os.getpid()} (" in refusal(tmp_path, port)


def test_nothing_is_warned_of_that_nobody_can_mend(in_background: Dev) -> None:
    told = in_background.log.read_text()
    assert told.startswith(f"The UI opens on http://127.0.0.1:{in_background.port} (stop it with Ctrl-C).\n")
    assert "Serving dagster-webserver" in told
    assert [line for line in told.splitlines() if "warn" in line.lower()] == []


def test_an_interrupt_ends_everything_although_the_script_had_it_ignored(in_background: Dev) -> None:
    services = in_background.services()
    os.kill(in_background.pid, signal.SIGINT)
    wait_for(lambda: not any(map(alive, {in_background.pid} | services)))
    assert not answers(in_background.port)
    assert "Traceback" not in in_background.log.read_text()


# With a run under way


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home that is held, so that the run which lies in the daemon's queue is under way for as long as we like."""
    folder = tmp_path_factory.mktemp("waiting")
    home = Home(folder / "home")
    prepare_home(home)
    configured = folder / "config.yaml"
    configured.write_text(json.dumps({"resources": {"settings": {"config": {"input": str(SAMPLE)}}}}))
    job = ["-m", "smartcart_pipeline.definitions", "-j", "nightly_refresh"]
    subprocess.run(
        [sys.executable, "-m", "dagster", "job", "launch", *job, "-c", configured],
        env=environment() | {"DAGSTER_HOME": str(home.dagster), "SMARTCART_HOME": str(home.root)},
        check=True,
        capture_output=True,
    )
    with hold(home, 0, print):
        yield home


@pytest.fixture
def on_a_terminal(waiting: Home, tmp_path: Path) -> Iterator[tuple[Dev, int]]:
    """Started in the foreground of a terminal, and that terminal."""
    port, log = free_port(), tmp_path / "log"
    arguments = ["--home", str(waiting.root), "--port", str(port)]
    process, terminal = start([*COMMAND, *arguments], environment(), log=log)
    dev = Dev(waiting, port, process.pid, log)
    try:
        wait_for(dev.is_up)
        yield dev, terminal
    finally:
        dev.kill()
        os.close(terminal)
        process.wait(timeout=PATIENCE)


def newest_run(home: Home, status: dg.DagsterRunStatus) -> dg.DagsterRun | None:
    with open_records(home) as instance:
        [run] = instance.get_runs(limit=1)
        return run if run.status is status else None


def test_ctrl_c_ends_everything_and_the_run_under_way_is_recorded_for_the_next(
    on_a_terminal: tuple[Dev, int],
) -> None:
    dev, terminal = on_a_terminal
    run = wait_for(lambda: newest_run(dev.home, dg.DagsterRunStatus.STARTED))
    services = dev.services()
    os.write(terminal, b"\x03")
    wait_for(lambda: not any(map(alive, {dev.pid} | services)))
    ended = newest_run(dev.home, dg.DagsterRunStatus.FAILURE)
    assert ended
    assert (ended.run_id, ended.tags["dagster/will_retry"]) == (run.run_id, "true")


def test_where_it_is_killed_its_services_end_as_well(on_a_terminal: tuple[Dev, int]) -> None:
    dev, _ = on_a_terminal
    run = wait_for(lambda: newest_run(dev.home, dg.DagsterRunStatus.STARTED))
    assert run.tags["dagster/retry_number"] == "1"
    services = dev.services()
    os.kill(dev.pid, signal.SIGKILL)
    wait_for(lambda: not any(map(alive, services)))
    ended = newest_run(dev.home, dg.DagsterRunStatus.FAILURE)
    assert ended
    assert ended.run_id == run.run_id


def test_where_all_are_killed_at_once_their_run_is_in_nobodys_way(on_a_terminal: tuple[Dev, int]) -> None:
    dev, _ = on_a_terminal
    run = wait_for(lambda: newest_run(dev.home, dg.DagsterRunStatus.STARTED))
    services = dev.services()
    dev.kill()
    wait_for(lambda: not any(map(alive, services)))
    assert newest_run(dev.home, dg.DagsterRunStatus.STARTED) == run
    with open_records(dev.home) as instance:
        fail_abandoned(instance)
        ended = instance.get_run_by_id(run.run_id)
        assert ended
        assert ended.status is dg.DagsterRunStatus.FAILURE
