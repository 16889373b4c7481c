"""What is slow to import works in a process of its own, which answers, fails and ends as people expect."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines import apart
from smartcart_pipeline.segmentation import selection

# Nothing of what it is there for is imported by who asks it.
ASKING = """
import os, sys
import numpy as np
from smartcart_pipeline.engines import apart
from smartcart_pipeline.segmentation import clustering, silhouette
apart.begin()
points = np.random.default_rng(0).normal(size=(400, 3))
first = apart.start(clustering.fit_ward, points, 3)
second = apart.start(clustering.fit_kmeans, points, 3, 1)
print(sorted(set(first.result().tolist())), second.result().shape)
print(apart.call(silhouette.mean_silhouettes, points, [first.result()])[0] > -1)
print([name for name in ("sklearn", "scipy", "matplotlib", "kneed") if name in sys.modules])
"""


def ask(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """One of its own for a test, although others may have imported the libraries into this process: its id."""
    monkeypatch.setattr(apart, "SLOWEST", "nowhere.to.be.found")
    monkeypatch.setattr(apart, "_process", None)
    number = apart.call(os.getpid)
    assert number != os.getpid()
    yield number
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def is_running(number: int) -> bool:
    """Whether a process is there that is more than the memory of one."""
    status = Path(f"/proc/{number}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_who_asks_imports_nothing_of_it() -> None:
    assert ask(ASKING) == "[0, 1, 2] (3, 3)\nTrue\n[]\n"


def test_what_a_verb_raises_is_raised_where_its_result_is_asked_for(process: int) -> None:
    asked = apart.start(selection.evaluate_candidates, np.zeros((30, 3)), 1)
    with pytest.raises(ExportError, match="Only 1 different customers are left") as raised:
        asked.result()
    assert "in evaluate_candidates" in raised.value.__notes__[0]
    assert apart.call(selection.find_elbow, range(1, 6), [100.0, 40.0, 10.0, 8.0, 7.0]) == 3


def test_questions_and_answers_larger_than_a_pipe_holds_pass_each_other(process: int) -> None:
    large = np.arange(1_000_000.0)
    asked = [apart.start(np.negative, large) for _ in range(8)]
    assert all(np.array_equal(one.result(), -large) for one in asked)


def test_a_process_that_is_killed_fails_what_was_asked_of_it_in_words(process: int) -> None:
    asked = apart.start(time.sleep, 60)
    os.kill(process, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"fits and draws has ended \(-9\): perhaps memory ran out"):
        asked.result(timeout=30)
    with pytest.raises(RuntimeError, match="has ended"):
        apart.call(time.sleep, 0)


class UnreadableError(Exception):
    """Written by pickle, but not read again: it asks for more than it kept."""

    def __init__(self, kept: str, lost: str) -> None:  # noqa: ARG002  (not kept on purpose)
        super().__init__(kept)


def fail_unreadably() -> None:
    raise UnreadableError("kept", "lost")


def test_an_error_that_cannot_be_read_here_leaves_nobody_waiting(process: int) -> None:
    with pytest.raises(TypeError, match="lost"):
        apart.start(fail_unreadably).result(timeout=60)
    assert apart.call(os.getpid) == process


def test_where_the_libraries_are_imported_already_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SLOWEST", "numpy")
    monkeypatch.setattr(apart, "_process", None)
    assert apart.call(os.getpid) == os.getpid()
    with pytest.raises(ZeroDivisionError):
        apart.start(divmod, 1, 0).result()


def test_it_ends_with_the_process_that_began_it_also_if_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    program = (
        "import os, time\nfrom smartcart_pipeline.engines import apart\napart.begin()\n"
        f"open({str(told)!r}, 'w').write(str(apart.call(os.getpid)))\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as asking:
        deadline = time.monotonic() + 60
        while not (told.is_file() and told.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        number = int(told.read_text())
        assert is_running(number)
        asking.kill()
    while is_running(number):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ctrl_c_is_for_the_other_side_to_understand(process: int) -> None:
    assert apart.call(os.getpid) == process
    os.kill(process, signal.SIGINT)
    assert apart.call(os.getpid) == process
