"""Runs the command in a process of its own, forked from one that has imported what a run imports, and run nothing.

Importing takes longer than most commands do. All that people meet is the same: arguments, environment, working folder,
umask, what is written where, exit code. What is about starting up itself (what is imported and how soon, as which
user, with which settings of libraries) starts a Python anew instead.
"""

import atexit
import functools
import gc
import importlib
import os
import pickle
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from smartcart_pipeline_tests import nights

MODULE = "smartcart_pipeline.cli.main"
IMPORTED = (
    MODULE,
    "smartcart_pipeline.definitions",
    "smartcart_pipeline.orchestration.automation",
    "smartcart_pipeline.orchestration.telling",
    "smartcart_pipeline.report.plots",
    "smartcart_pipeline.report.rendering",
    "dagster_postgres",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.decomposition",
    "sklearn.metrics",
)
UNEXPECTED_NIGHT = 99
# Read when a library is loaded: a fork comes too late for them.
READ_AT_START = ("OMP_", "OPENBLAS_", "PYTHON", "LD_")


def usual_environment() -> dict[str, str]:
    """This process's, without what is said to the command and to Dagster."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SMARTCART", "DAGSTER"))}


def smartcart(*arguments: object, **how: Any) -> "subprocess.CompletedProcess[str]":
    """Run the command as people do; what it wrote is text. See `smartcart_bytes` for the rest."""
    done = smartcart_bytes(*arguments, **how)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def smartcart_bytes(*arguments: object, timeout: float = 200, **how: Any) -> "subprocess.CompletedProcess[bytes]":
    """Run the command as people do, with nothing to read.

    Args:
        arguments: Its arguments.
        timeout: Seconds after which it is killed.
        how: What else `start` takes.

    Returns:
        What it ended with, and what it wrote.
    """
    return start(*arguments, **how).wait(timeout)


def start(
    *arguments: object,
    program: str | None = None,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    umask: int | None = None,
) -> "Started":
    """Start the command, or a program, and go on meanwhile.

    Args:
        arguments: Its arguments.
        program: The text of a program, to be run instead of the command.
        env: Its environment; None is the usual one.
        cwd: Its working folder; None is this process's.
        umask: Its umask; None is this process's.

    Returns:
        What is running.
    """
    env = usual_environment() if env is None else env
    if late := {name for name in env if name.startswith(READ_AT_START) and env[name] != os.environ.get(name)}:
        raise ValueError(f"{', '.join(late)}: start a Python anew")
    words = [str(argument) for argument in arguments]
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  (closed when it has ended)
    told, tell = os.pipe()
    message = pickle.dumps((program, words, env, cwd or Path.cwd(), umask, nights.expected()))
    ready().sendall(len(message).to_bytes(8, "big"))
    socket.send_fds(ready(), [message[:1]], [out.fileno(), err.fileno(), tell])
    ready().sendall(message[1:])
    os.close(tell)
    answers = os.fdopen(told, "rb", buffering=0)
    return Started(["-m", MODULE, *words], int(answers.readline()), answers, out, err)


@dataclass(frozen=True)
class Started:
    """A process that was forked.

    Attributes:
        command: What it runs.
        pid: Its id.
    """

    command: list[str]
    pid: int
    _answers: IO[bytes]
    _out: IO[bytes]
    _err: IO[bytes]

    def kill(self, how: int = signal.SIGKILL) -> None:
        """Send it a signal."""
        os.kill(self.pid, how)

    def wait(self, timeout: float = 200) -> "subprocess.CompletedProcess[bytes]":
        """Wait for its end; after so many seconds it is killed.

        Args:
            timeout: The seconds.

        Returns:
            What it ended with, and what it wrote.

        Raises:
            subprocess.TimeoutExpired: If it had to be killed.
        """
        with self._answers, self._out, self._err:
            ended, _, _ = select.select([self._answers], [], [], timeout)
            if not ended:
                self.kill()
            code = int(self._answers.readline())
            for file in (self._out, self._err):
                file.seek(0)
            done = subprocess.CompletedProcess(self.command, code, self._out.read(), self._err.read())
        if code == UNEXPECTED_NIGHT:
            pytest.fail(nights.FORGOTTEN)
        if not ended:
            raise subprocess.TimeoutExpired(self.command, timeout, done.stdout, done.stderr)
        return done


@functools.cache
def ready() -> socket.socket:
    """The line to the process that is forked; it ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        place = theirs.fileno()
        program = [sys.executable, "-m", __name__, str(place)]
        # From where these tests lie: a test may have gone elsewhere.
        folder = Path(__file__).parents[1]
        process = subprocess.Popen(program, pass_fds=[place], stdin=subprocess.DEVNULL, cwd=folder)
    atexit.register(lambda: (ours.close(), process.wait()))
    return ours


def fork_commands(line: socket.socket) -> None:
    """Fork whenever one is asked for; nobody waits here, so that several can run at once."""
    for name in IMPORTED:
        importlib.import_module(name)
    nights.watch()
    # What was imported stays: nobody need look through it again.
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while size := _read(line, 8):
        first, files, _, _ = socket.recv_fds(line, 1, 3)
        asked = pickle.loads(first + _read(line, int.from_bytes(size, "big") - 1))  # noqa: S301  (from ourselves)
        if not os.fork():
            line.close()
            _wait_for_it(asked, *files)
        for file in files:
            os.close(file)


def _read(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (piece := line.recv(size - len(found))):
        found += piece
    return found


def _wait_for_it(asked: tuple[Any, ...], out: int, err: int, tell: int) -> None:
    """Run the command in a fork, and tell its process and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if not process:
        os.close(tell)
        _run(*asked, out, err)
    with suppress(BrokenPipeError):
        os.write(tell, b"%d\n" % process)
        os.write(tell, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    os._exit(0)


def _run(
    program: str | None,
    arguments: list[str],
    env: dict[str, str],
    folder: Path,
    umask: int | None,
    night: bool,
    out: int,
    err: int,
) -> None:
    """What `python -m` does from here on."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    if umask is not None:
        os.umask(umask)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, 256)
    # As a Python does at its start: text in blocks, and errors at once.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    nights.expect(night)
    code = 1
    try:
        if program is None:
            sys.argv = [MODULE, *arguments]
            del sys.modules[MODULE]
            runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["-c", *arguments]
            exec(program, {"__name__": "__main__"})  # noqa: S102  (a test's own)
            code = 0
    except pytest.fail.Exception:
        code = UNEXPECTED_NIGHT
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    fork_commands(socket.socket(fileno=int(sys.argv[1])))
