"""Whatever table comes, it is segmented or refused in words that help: nothing else ever happens.

Twelve small tables are drawn, always the same. More of them, wide ones too, others every time, by hand:
SMARTCART_EXAMPLES=150 python -m pytest smartcart_pipeline_tests/test_any_table.py
"""

import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, settings

from smartcart_pipeline.declaration.errors import FaultError
from smartcart_pipeline.orchestration.night import prepare_home, run_job
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.declaring import draft
from smartcart_pipeline_tests.soundness import find_faults
from smartcart_pipeline_tests.strategies import DrawnTable, any_table

ASKED = os.environ.get("SMARTCART_EXAMPLES")
EXAMPLES = int(ASKED or 12)
# Wide tables take their time.
MOST_ROWS, MOST_COLUMNS = (400, 70) if ASKED else (200, 16)
SECONDS_EACH = 40


@pytest.fixture(scope="module")
def empty(whole_night: None, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose records are made: to make them takes longer than some of the nights do."""
    home = Home(tmp_path_factory.mktemp("empty") / "home")
    prepare_home(home)
    return home


def segment_or_refuse(table: DrawnTable, empty: Home, folder: Path) -> str:
    """Draft a declaration and run a night; what was said where either was refused."""
    shutil.rmtree(folder, ignore_errors=True)
    home = Home(folder / "home")
    shutil.copytree(empty.root, home.root, symlinks=True)
    try:
        draft(home, export := table.write(folder / "customers.csv"))
        run_job(home, {"input": str(export)}, quiet=True)
    except FaultError as fault:
        return str(fault)
    assert find_faults(home) == []
    assert home.report.stat().st_size > 10_000
    return ""


@pytest.mark.timeout(EXAMPLES * SECONDS_EACH)
@settings(
    max_examples=EXAMPLES,
    derandomize=not ASKED,
    database=None,
    # A table of thousands of cells is neither shrunk nor shown: its shape is told.
    phases=[Phase.generate],
    verbosity=Verbosity.quiet,
    suppress_health_check=list(HealthCheck),
)
@given(table=any_table(max_rows=MOST_ROWS, max_columns=MOST_COLUMNS, alike=True))
def test_any_table_is_segmented_or_refused(table: DrawnTable, empty: Home, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.getbasetemp() / "any"
    try:
        refused = segment_or_refuse(table, empty, folder)
    except Exception as error:
        error.add_note(f"{table!r}, in {folder / 'customers.csv'}")
        raise
    # What is refused is told in sentences that say what to do.
    assert not refused or re.search(r"\. (?:Name|Deliver|Correct|Save|Empty|Set|Give)\b", refused), refused
