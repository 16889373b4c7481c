"""scikit-learn, SciPy, kneed, matplotlib and sqlglot in a process of their own, which imports them beside the night.

To import them takes as long as all else that a night of a few thousand customers does. What is fitted, drawn or traced
there is handed over as arrays, rows and texts, and comes back as such. The process ends when the one that began it
does, however that is.
"""

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Every table waits until it has been traced. Fits and pictures are made beside, so that it does not wait for those too.
TRACING = "smartcart_pipeline.engines.lineage"
# What verbs of a module use, in the order in which a night asks for them. Others are answered when all is imported.
LIBRARIES = {
    TRACING: ("sqlglot.optimizer.qualify", "sqlglot.optimizer.scope"),
    "smartcart_pipeline.segmentation.components": (),
    "smartcart_pipeline.segmentation.selection": (
        "sklearn.cluster",
        "sklearn.metrics",
        "threadpoolctl",
        "scipy.spatial.distance",
        "kneed",
    ),
    "smartcart_pipeline.segmentation.structure": (),
    "smartcart_pipeline.report.plots": ("matplotlib.backends.backend_agg", "matplotlib.figure"),
    "smartcart_pipeline.segmentation.clustering": (),
    "smartcart_pipeline.segmentation.rules": ("sklearn.tree",),
    "smartcart_pipeline.segmentation.drift": ("scipy.stats", "scipy.optimize"),
}
SLOWEST = "sklearn.cluster"
# How the note begins that an error brings from there.
TRACEBACK = "Traceback (most recent call last):"


class _Process:
    """The other process, which answers two at a time: who traces, and who fits and draws."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        pipes = [Pipe() for _ in range(2)]
        theirs = [their.fileno() for _, their in pipes]
        process = subprocess.Popen(  # noqa: S603  (ourselves)
            [sys.executable, "-m", __name__, *map(str, theirs)], pass_fds=theirs, stdin=subprocess.DEVNULL
        )
        for _, their in pipes:
            their.close()
        self._fitting, self._tracing = (_Lane(ours, process) for ours, _ in pipes)

    def ask(self, call: "partial[Any]") -> Future[Any]:
        return (self._tracing if call.func.__module__ == TRACING else self._fitting).ask(call)


class _Lane:
    """What has been asked, and has not been answered yet; the answers come in the same order."""

    def __init__(self, pipe: Connection, process: "subprocess.Popen[bytes]") -> None:
        self._asked: deque[Future[Any]] = deque()
        self._has_ended = False
        self._lock = threading.Lock()
        self._pipe, self._process = pipe, process
        # Answers are taken as they come: were each side to wait until the other reads, both would wait for ever.
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, call: "partial[Any]") -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            self._asked.append(future)
            with suppress(BrokenPipeError):
                self._pipe.send(call.func.__module__)
                self._pipe.send(call)
            if self._has_ended:
                self._give_up()
        return future

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                has_failed, answer = self._receive()
                future = self._asked.popleft()
                if has_failed:
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        self._process.wait()
        with self._lock:
            self._has_ended = True
            self._give_up()

    def _receive(self) -> tuple[bool, Any]:
        try:
            return self._pipe.recv()  # type: ignore[no-any-return]
        except (EOFError, OSError):
            raise
        except Exception as error:
            # An error that cannot be read here must not leave who asked waiting for ever.
            return True, error

    def _give_up(self) -> None:
        while self._asked:
            ended = f"The process that fits and draws has ended ({self._process.returncode}): perhaps memory ran out."
            self._asked.popleft().set_exception(RuntimeError(ended))


_process: _Process | None = None


def begin() -> None:
    """Begin to import the libraries, unless that has been done, by this process or by one of its own."""
    global _process  # noqa: PLW0603  (one for a process, whoever asks first)
    if SLOWEST not in sys.modules and (_process is None or _process.owner != os.getpid()):
        _process = _Process()


def start(verb: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> "Future[T]":
    """Have something fitted or drawn, and go on meanwhile.

    Args:
        verb: A function of a module, which needs nothing but its arguments.
        *arguments: Arrays, rows and the like.
        **named: The same, by name.

    Returns:
        What will be its result, or raise what it raises.
    """
    begin()
    asked = partial(verb, *arguments, **named)
    if _process is not None and _process.owner == os.getpid():
        return _process.ask(asked)
    done: Future[T] = Future()
    try:
        done.set_result(asked())
    except Exception as error:
        done.set_exception(error)
    return done


def call(verb: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Have something fitted or drawn, and wait for it; arguments as for `start`, result and errors as the verb's."""
    return start(verb, *arguments, **named).result()


def _serve(pipes: Sequence[Connection]) -> None:
    """Answer what each pipe asks, until the other side is gone."""
    # Ctrl-C is for the other side to understand.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    imported = {module: threading.Event() for module in LIBRARIES}
    threading.Thread(target=_import, args=[imported], daemon=True).start()
    answering = [threading.Thread(target=_answer_all, args=[pipe, imported]) for pipe in pipes]
    for thread in answering:
        thread.start()
    for thread in answering:
        thread.join()


def _answer_all(pipe: Connection, imported: Mapping[str, threading.Event]) -> None:
    """Answer one question after the other, each as soon as what it needs is there."""
    last = list(imported)[-1]
    with suppress(EOFError, OSError):
        while True:
            # Two threads that import the same may find half of it, so the verb itself is not read before.
            imported.get(pipe.recv(), imported[last]).wait()
            pipe.send(_answer(pipe.recv()))


def _import(imported: Mapping[str, threading.Event]) -> None:
    for module, is_imported in imported.items():
        for name in (module, *LIBRARIES[module]):
            # What cannot be imported is told by the verb that needs it.
            with suppress(Exception):
                import_module(name)
        is_imported.set()


def _answer(asked: "partial[Any]") -> tuple[bool, Any]:
    """Whether it failed, and what it gave or raised."""
    try:
        return False, asked()
    except Exception as error:
        error.add_note(traceback.format_exc())
        return True, error


if __name__ == "__main__":
    _serve([Connection(int(number)) for number in sys.argv[1:]])
