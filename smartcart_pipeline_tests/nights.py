"""Holds that a test which runs a whole night says so: `make check` leaves those out, so none may slip in unnoticed.

What asks for the fixture `whole_night`, itself or by a fixture, has said so, and so has what is marked `night`.
"""

import re
import sys
from typing import Any

import dagster as dg
import pytest

JOB = "nightly_refresh"
FORGOTTEN = "this runs a whole night: mark the test `night`, or let the fixture that runs it ask for `whole_night`"
# Programs of their own that run nights.
RUNS_NIGHTS = re.compile(
    r"run_job|_tests\.(killing|golden)|dagster-daemon|smartcart_pipeline\.cli (run|dev) .*--(input|home)"
)

_said = True
_watched = False


def expect(said: bool) -> None:
    """From now on nights are expected, or not."""
    global _said  # noqa: PLW0603  (one process runs one test)
    _said = said


def expected() -> bool:
    """Whether the test that is running has said that it runs nights."""
    return _said


def watch() -> None:
    """Fail, from now on, whatever starts a night that nobody said would be run."""
    global _watched  # noqa: PLW0603
    if _watched:
        return
    _watched = True
    execute = dg.JobDefinition.execute_in_process

    def execute_if_expected(job: dg.JobDefinition, *arguments: Any, **named: Any) -> dg.ExecuteInProcessResult:
        # Making one asset alone is no night.
        if job.name == JOB and not _said and not named.get("asset_selection"):
            pytest.fail(FORGOTTEN)
        return execute(job, *arguments, **named)

    dg.JobDefinition.execute_in_process = execute_if_expected

    def hear(event: str, told: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and not _said:
            words = [told[1]] if isinstance(told[1], str | bytes) else told[1]
            if RUNS_NIGHTS.search(" ".join(map(str, words))):
                pytest.fail(FORGOTTEN)

    sys.addaudithook(hear)
