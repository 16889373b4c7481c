"""One run at a time holds a home; what a killed one left half done is cleared by the next."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.run_lock import HomeBusyError, hold, try_to_hold

HOLDER = """
import sys
from pathlib import Path
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.run_lock import hold
with hold(Home(Path(sys.argv[1])), 0, print):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(home: Home) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, home.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_another_waits_says_for_whom_and_gives_up(home: Home):
    other, said = holder(home), []
    with pytest.raises(HomeBusyError) as busy, hold(home, 1.5, said.append):
        pass
    who = f"(process {other.pid} on {os.uname().nodename}, since "
    assert len(said) == 1
    assert said[0].startswith(f"Another run is under way in {home.root} {who}")
    assert who in str(busy.value)
    assert "has not ended within 1.5 s. Try again when it has, or wait longer: --wait" in str(busy.value)
    with try_to_hold(home) as held:
        assert not held
    other.communicate()
    with try_to_hold(home) as held:
        assert held


@pytest.mark.parametrize("end", ["ends", "is killed"])
def test_another_goes_on_when_the_first(home: Home, end: str):
    other = holder(home)
    if end == "is killed":
        other.send_signal(signal.SIGKILL)
    else:
        assert other.stdin
        other.stdin.close()
    started = time.monotonic()
    with hold(home, 60, print):
        assert time.monotonic() - started < 30
        with hold(home, 0, print), try_to_hold(home) as held:
            assert not held  # this very process holds it, and may go on to
    other.wait()
    assert other.stdout
    other.stdout.close()
    if end == "ends":
        assert other.returncode == 0
    else:
        assert other.stdin
        other.stdin.close()


def test_what_was_left_half_done_is_cleared_and_nothing_else(home: Home):
    whole = [
        home.warehouse,
        home.publications / "20260101T000000000000Z_a.duckdb",
        home.lake / "scaler" / "20260101T000000000000Z_a.parquet",
        home.set_aside / "20260101T000000000000Z_before_b.duckdb",
        home.set_aside / "20260101T000000000000Z_before_b.duckdb.wal",
        home.incoming / "export.csv",
    ]
    half = [
        home.root / ".warehouse.duckdb.copying",
        home.root / ".report.html.writing",
        home.publications / ".20260102T000000000000Z_b.duckdb.building",
        home.publications / ".20260102T000000000000Z_b.duckdb.building.wal",
        home.lake / "scaler" / ".20260102T000000000000Z_b.parquet.writing",
        home.lake / "clusters" / ".20260102T000000000000Z_b.parquet.writing" / "part-0.parquet",
        home.spill / "duckdb_temp_storage-0.tmp",
    ]
    for path in (*whole, *half):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    with hold(home, 0, print):
        files = {path for path in home.root.rglob("*") if path.is_file()}
        assert files == {*whole, home.run_lock}
        assert not home.spill.exists()


def test_in_a_home_that_is_not_there_nobody_is_at_work(tmp_path: Path):
    with try_to_hold(Home(tmp_path / "nowhere")) as held:
        assert held
    assert not (tmp_path / "nowhere").exists()


def test_a_home_that_cannot_be_written_is_told_from_a_busy_one(home: Home):
    home.run_lock.mkdir(parents=True)  # nobody, not even root, opens a folder to write
    with pytest.raises(HomeError, match="the home cannot be written"), try_to_hold(home):
        pass


def test_nothing_is_said_of_a_short_wait(home: Home):
    other, said = holder(home), []
    with pytest.raises(HomeBusyError, match=r"has not ended within 0\.3 s"), hold(home, 0.3, said.append):
        pass
    assert said == []
    other.communicate()
