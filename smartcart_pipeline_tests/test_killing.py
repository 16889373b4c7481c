"""Runs that are killed at random moments, in stages of all kinds, leave everything whole, and the next needs no help.

Some thirty kills here; `python -m benchmarks.kills` has one in each stage, and goes on while there is time.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smartcart_pipeline.orchestration.definitions import defs
from smartcart_pipeline_tests.conftest import SAMPLE

pytestmark = pytest.mark.night

# In memory, because it is the killing that is tried here and not the disk.
MEMORY = Path("/dev/shm")  # noqa: S108


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


def kill(plan: str, folder: Path) -> list[dict[str, Any]]:
    """Kill runs over a small export; what was found after each."""
    export = folder / "export.csv"
    export.write_text("".join(SAMPLE.read_text().splitlines(keepends=True)[:301]))
    done = subprocess.run(
        [sys.executable, "-m", "smartcart_pipeline_tests.killing", plan, folder / "home", export, "0", "1"],
        capture_output=True,
        text=True,
        check=False,
        # Counting the lines that are run would make every run half as long again.
        env={name: value for name, value in os.environ.items() if "COV" not in name} | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert [run for run in runs if run["faults"]] == []
    return runs


@pytest.mark.timeout(1_200)
def test_a_kill_in_every_second_stage_of_later_nights_leaves_everything_whole(fast_folder: Path) -> None:
    *runs, last = kill("later", fast_folder)
    assert last["stage"] == "whole run"
    killed = Counter(run["stage"] for run in runs if run["killed"])
    # A stage may have ended before it was killed; nearly all kills find a run that is still going.
    assert killed.total() >= 0.9 * len(runs)
    steps = {node.name for node in defs.resolve_job_def("nightly_refresh").nodes}
    assert len(killed.keys() & steps) >= len(steps) // 2
    assert killed["warehouse"] >= 2


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(("plan", "begins_with"), [("first", "begin"), ("promoting", "promotion_decisions_and_4_more")])
def test_the_night_after_a_kill_of_this_one_finds_its_way(fast_folder: Path, plan: str, begins_with: str) -> None:
    runs = kill(plan, fast_folder)
    stages = [run["stage"] for run in runs]
    assert stages[0] == begins_with
    assert {"promotion_decisions_and_4_more", "segment_model", "warehouse", "report"} <= set(stages)
    assert sum(run["killed"] for run in runs) >= 0.9 * len(runs)
