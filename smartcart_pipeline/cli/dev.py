"""The Dagster UI with its daemon on this machine: one at a time for a home, and gone as soon as it is told to go.

`serve` watches over `dagster dev`, which starts the web server, the daemon and the code servers. All of them are one
process group, so that none is left behind; and they hang on a pipe, so that they end even if `serve` is killed.
"""

import fcntl
import json
import logging
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TextIO

import dagster as dg

from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.orchestration.night import open_records, prepare_home
from smartcart_pipeline.storage.damage import require_records
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.odd_paths import plain_name

HOST = "127.0.0.1"
POLL_SECONDS = 0.1
# How long the services may take to end by themselves, and a run to record that it was broken off.
GRACE_SECONDS = 20.0
ENDS_OF_RUNS = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(home: Home, port: int, say: Callable[[str], object]) -> None:
    """Serve the UI of a home, with schedule and sensors, until this process is told to end.

    Args:
        home: The home.
        port: Where the UI answers, on loopback.
        say: Told where the UI is going to be.

    Raises:
        CallError: If the home has a UI already, or something else answers on the port.
        HomeError: If the home cannot be written, or its records are damaged.
        RuntimeError: If the services end by themselves.
    """
    if not home.dagster.is_dir():
        # No home is made in vain.
        _require_free(port)
    prepare_home(home)
    require_records(home)
    with _alone(home, port) as lock, _ending() as told:
        _require_free(port)
        _begin_retries(home)
        say(f"The UI opens on http://{HOST}:{port} (stop it with Ctrl-C).")
        environment = os.environ | {"SMARTCART_HOME": str(home.root), "DAGSTER_HOME": plain_name(home.dagster)}
        # The services hold the lock as well: were this process killed, it would lie until they have ended.
        services = subprocess.Popen(  # noqa: S603  (this very program)
            [sys.executable, "-m", "smartcart_pipeline.cli.dev", str(port)],
            env=environment,
            stdin=subprocess.PIPE,
            process_group=0,
            pass_fds=[lock.fileno()],
        )
        try:
            while not told and services.poll() is None:
                time.sleep(POLL_SECONDS)
        finally:
            _end(services, told)
    if not told:
        _require_free(port)
        raise RuntimeError("The UI ended by itself; why stands above. Start it again: smartcart dev.")


@contextmanager
def _alone(home: Home, port: int) -> Iterator[TextIO]:
    """Hold the home's only UI."""
    with (home.dagster / ".dev.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = json.loads(lock.read() or "{}")
            raise CallError(
                f"{home.root}: the UI of this home is there already, on http://{HOST}:{holder.get('port', '…')} "
                f"(process {holder.get('pid', '…')}). Open that, or end it first: kill {holder.get('pid', '…')}. "
                "For the UI of another home: --home, with another --port."
            ) from None
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "port": port}))
        lock.flush()
        yield lock


def _begin_retries(home: Home) -> None:
    """Tell a daemon that is new to this home to retry no run of before; by itself it would do so with warnings."""
    keys = {f"EVENT_LOG_CONSUMER_CURSOR-{kind.value}" for kind in ENDS_OF_RUNS}
    with open_records(home) as instance:
        if unset := keys - instance.daemon_cursor_storage.get_cursor_values(keys).keys():
            newest = str(instance.event_log_storage.get_maximum_record_id() or 0)
            instance.daemon_cursor_storage.set_cursor_values(dict.fromkeys(unset, newest))


@contextmanager
def _ending() -> Iterator[list[int]]:
    """Note signals to end, also where a script that started this one in the background had them ignored."""
    told: list[int] = []
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        # Whoever says nohup wants no end at log-out.
        if number != signal.SIGHUP or handler is not signal.SIG_IGN:
            signal.signal(number, lambda heard, _: told.append(heard))
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _require_free(port: int) -> None:
    with socket.socket() as trial:
        # As the web server does: what an ended one has left of its connections is in nobody's way.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except PermissionError:
            raise CallError(
                f"Port {port} of {HOST} is not for this user to open. Choose one from 1024: --port {port + 3000}."
            ) from None
        except OSError:
            raise CallError(
                f"Port {port} of {HOST} is in use{_listener(port)}. End what answers there, or choose another port: "
                f"--port {port + 1 if port < 65_535 else 3000}."
            ) from None


def _listener(port: int) -> str:
    """Which process listens on a port, where the system tells."""
    listening, address = "0A", f":{port:04X}"
    try:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
        sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(address) and row[3] == listening}
        for process in Path("/proc").glob("[0-9]*"):
            if sockets & _open_files(process):
                command = (process / "cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")
                return f" by process {process.name} ({shorten(command, 80, placeholder=' …')})"
    except OSError:
        pass
    return ""


def _open_files(process: Path) -> set[str]:
    try:
        return {str(file.readlink()) for file in (process / "fd").iterdir()}
    except OSError:
        return set()


def _end(services: "subprocess.Popen[bytes]", told: list[int]) -> None:
    """End all services: let go of the pipe, and kill what has not ended in time. A second signal is impatience."""
    patience = len(told) + 1
    if services.stdin:
        services.stdin.close()
    deadline = time.monotonic() + GRACE_SECONDS
    while _is_there(services) and time.monotonic() < deadline and len(told) < patience:
        if services.returncode == -signal.SIGKILL:
            # Somebody has killed the one that would have ended the others.
            break
        time.sleep(POLL_SECONDS)
    if _is_there(services):
        os.killpg(services.pid, signal.SIGKILL)
    services.wait()


def _is_there(services: "subprocess.Popen[bytes]") -> bool:
    """Whether any process of the group is left; the group keeps its number for as long as one is."""
    services.poll()
    try:
        os.killpg(services.pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Be `dagster dev`, for as long as the process at the other end of standard input lives."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What nobody who starts the UI can do anything about: which command of Dagster's this is, and that a clone of this
    # project, as the current folder, holds the file that is copied into every home.
    warnings.filterwarnings("ignore", message="Function `dev_command` is superseded")
    logging.getLogger("dagster").addFilter(
        lambda record: not str(record.msg).startswith("Found a dagster instance configuration value")
    )
    sys.argv[1:] = ["dev", "-h", HOST, "-p", sys.argv[1], "-m", "smartcart_pipeline.definitions"]
    try:
        runpy.run_module("dagster", run_name="__main__", alter_sys=True)
    finally:
        # Code servers would stay until the run that is under way has ended.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
