"""A publication breaks no reader, no reader and no session breaks a publication, and what is kept stays readable."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from smartcart_pipeline.declaration.errors import CallError, HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.publications import (
    Published,
    kept_publications,
    prune,
    publish,
    published,
    read_personas,
    roll_back,
    run_of,
    tell_strange,
)
from smartcart_pipeline.storage.run_lock import HomeBusyError
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.declared import BEHAVIOURAL, TABLES
from smartcart_pipeline_tests.publishing import FEW, contents, means, night, page, some_row, write_lake


def back(home: Home, run: str | None = None) -> Published:
    done = roll_back(home, run, page(home))
    assert home.report.read_text() == run_of(done.path)
    return done


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_publication_is_kept_and_its_copy_is_what_analysts_open(home: Home, engine: DuckDBEngine):
    done = night(home, "a", 45.0, engine)
    assert means(home.warehouse) == means(done.path) == [45.0]
    assert kept_publications(home) == [done.path]
    assert published(home) == done.path
    assert run_of(done.path) == "a"
    assert (done.set_aside, done.pruned) == (None, ())


def test_the_next_night_replaces_it_and_leaves_nothing_else(home: Home, engine: DuckDBEngine):
    first = night(home, "a", 45.0, engine)
    second = night(home, "b", 46.0, engine)
    assert means(home.warehouse) == [46.0]
    assert means(first.path) == [45.0]
    assert kept_publications(home) == [second.path, first.path]
    assert names(home.root) == ["lake", "publications", "warehouse.duckdb"]
    assert names(home.publications) == [first.path.name, second.path.name]


def test_both_files_are_read_only(home: Home, engine: DuckDBEngine):
    done = night(home, "a", 45.0, engine)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home.warehouse, done.path)} == {0o400}


def test_a_publication_that_fails_leaves_the_old_one_as_it_was(home: Home, engine: DuckDBEngine):
    first = night(home, "a", 45.0, engine)
    before = home.warehouse.read_bytes()
    with pytest.raises(duckdb.Error):
        publish(engine, contents("b", {"scaler": home.root / "gone_b.parquet"}), home, kept=7)
    assert home.warehouse.read_bytes() == before
    assert names(home.publications) == [first.path.name]
    night(home, "c", 47.0, engine)
    assert means(home.warehouse) == [47.0]


# Readers and sessions of others

READER = """
import sys, duckdb
held = duckdb.connect(sys.argv[1], read_only=True) if sys.argv[2] == "holds" else None
print("ready", flush=True)
for line in sys.stdin:
    connection = held or duckdb.connect(sys.argv[1], read_only=True)
    [(run_id, mean)] = connection.sql("SELECT run_id, mean FROM audit.publication, model.scaler").fetchall()
    [(customers,)] = connection.sql("SELECT count(*) FROM customer_360").fetchall()
    runs = connection.sql("SELECT DISTINCT run_id FROM audit.lineage").fetchall()
    assert (runs, customers) == ([(run_id,)], 1), (runs, customers)
    if held is None:
        connection.close()
    print(run_id, mean, flush=True)
"""


def python(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(process: subprocess.Popen[str], line: str = "") -> str:
    assert process.stdin
    assert process.stdout
    print(line, file=process.stdin, flush=True)
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> int:
    assert process.stdin
    process.communicate(timeout=60)
    return process.returncode


def test_readers_of_other_processes_live_through_twenty_publications_in_a_row(home: Home, engine: DuckDBEngine):
    night(home, "a", 0.0, engine)
    files = write_lake(home, "b", 0.0, engine)
    readers = [python(READER, home.warehouse, kind) for kind in ("holds", "connects anew", "connects anew")]
    for reader in readers:
        assert reader.stdout
        assert reader.stdout.readline() == "ready\n"
    lake = Lake(home.lake, "b", engine, BEHAVIOURAL)
    for number in range(1, 21):
        lake.write("scaler", Fitted([some_row(TABLES["scaler"]) | {"mean": float(number)}]))
        publish(engine, contents("b", files | {"scaler": lake.path("scaler")}), home, kept=3)
        assert [tell(reader) for reader in readers] == ["a 0.0", f"b {number}.0", f"b {number}.0"]
    assert [end(reader) for reader in readers] == [0, 0, 0]
    assert len(kept_publications(home)) == 3


SESSION = """
import sys, duckdb
session = duckdb.connect(sys.argv[1])
session.execute("CREATE TABLE mine AS SELECT 'precious' AS words")
print("written", flush=True)
for line in sys.stdin:
    if line.startswith("write"):
        session.execute("INSERT INTO mine VALUES ('written after the swap')")
        print("written", flush=True)
    else:
        import os
        os._exit(9)  # as a killed process does: nothing is tidied up
session.close()
"""


@pytest.mark.parametrize("ends", ["left behind", "open during the swap", "closed before", "closed after"])
def test_a_read_write_session_spoils_nothing_and_loses_nothing(home: Home, engine: DuckDBEngine, ends: str):
    """A session of somebody whom the mode does not keep out: root, or the owner after a chmod."""
    first = night(home, "a", 45.0, engine)
    home.warehouse.chmod(0o644)
    session = python(SESSION, home.warehouse)
    assert session.stdout
    assert session.stdout.readline() == "written\n"
    wrote = ["precious"]
    if ends == "left behind":
        tell(session, "die")
        assert end(session) == 9
        assert home.warehouse.with_name("warehouse.duckdb.wal").exists()
    elif ends == "closed before":
        end(session)
        assert not home.warehouse.with_name("warehouse.duckdb.wal").exists()

    done = night(home, "b", 46.0, engine)
    assert means(home.warehouse) == [46.0]
    assert names(home.root) == ["lake", "publications", "set-aside", "warehouse.duckdb"]
    if ends in ("open during the swap", "closed after"):
        assert tell(session, "write") == "written"
        wrote.append("written after the swap")
    if ends == "open during the swap":
        tell(session, "die")
        assert end(session) == 9
    elif ends == "closed after":
        end(session)
    assert means(home.warehouse) == [46.0]

    assert done.set_aside
    with open_warehouse(done.set_aside) as connection:
        assert [row[0] for row in connection.sql("SELECT words FROM mine").fetchall()] == wrote
        assert connection.sql("SELECT mean FROM model.scaler").fetchall() == [(45.0,)]
    # What is kept is as it was built, and the next night finds nothing to set aside.
    assert means(first.path) == [45.0]
    with open_warehouse(first.path) as connection:
        assert "mine" not in {row[0] for row in connection.sql("SHOW TABLES").fetchall()}
    assert night(home, "c", 47.0, engine).set_aside is None


def test_the_mode_keeps_ordinary_users_sessions_out(home: Home, engine: DuckDBEngine):
    night(home, "a", 45.0, engine)
    home.warehouse.chmod(0o444)
    for folder in (home.root, *home.root.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    program = f"""
import os, duckdb
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    duckdb.connect({str(home.warehouse)!r})
except duckdb.Error as error:
    print("refused" if "Permission denied" in str(error) else error)
print(duckdb.connect({str(home.warehouse)!r}, read_only=True).sql("SELECT mean FROM model.scaler").fetchall())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["refused", "[(45.0,)]"], done.stderr


# What is kept


def test_the_last_publications_stay_with_the_files_they_need(home: Home, engine: DuckDBEngine):
    for number in range(6):
        night(home, f"run{number}", float(number), engine, kept=3)
    kept = kept_publications(home)
    assert [run_of(path) for path in kept] == ["run5", "run4", "run3"]
    assert [means(path) for path in kept] == [[5.0], [4.0], [3.0]]
    for name in FEW:
        assert [run_of(file) for file in sorted((home.lake / name).iterdir())] == ["run3", "run4", "run5"]


def test_a_table_that_a_later_run_took_over_stays_as_long_as_it_is_needed(home: Home, engine: DuckDBEngine):
    files = write_lake(home, "old", 1.0, engine)
    publish(engine, contents("old", files, copied_rows=0), home, kept=1)
    lake = Lake(home.lake, "new", engine, BEHAVIOURAL)
    lake.write("scaler", Fitted([some_row(TABLES["scaler"]) | {"mean": 2.0}]))
    later = {name: lake.path(name) for name in FEW}
    assert {run_of(file) for file in later.values()} == {"old", "new"}
    publish(engine, contents("new", later, copied_rows=0), home, kept=1)
    with open_warehouse(home.warehouse) as connection:
        for name in FEW:
            assert connection.sql(f"SELECT count(*) FROM {name}").fetchall() == [(1,)]


def test_the_published_one_stays_however_old_it_is(home: Home, engine: DuckDBEngine):
    for number in range(4):
        night(home, f"run{number}", float(number), engine)
    back(home, "run0")
    shown = published(home)
    assert shown is not None
    prune(home, 2, shown)
    assert [run_of(path) for path in kept_publications(home)] == ["run3", "run2", "run0"]
    assert (published(home), means(home.warehouse)) == (shown, [0.0])
    # With the files of the lake that it needs.
    assert [run_of(file) for file in sorted((home.lake / "scaler").iterdir())] == ["run0", "run2", "run3"]


def test_the_newest_file_of_a_table_stays_although_no_publication_needs_it(home: Home, engine: DuckDBEngine):
    files = write_lake(home, "a", 1.0, engine)
    write_lake(home, "failed", 2.0, engine)
    publish(engine, contents("a", files), home, kept=1)
    assert {run_of(file) for file in (home.lake / "scaler").iterdir()} == {"a", "failed"}
    write_lake(home, "failed_again", 3.0, engine)
    publish(engine, contents("a", files), home, kept=1)
    assert {run_of(file) for file in (home.lake / "scaler").iterdir()} == {"a", "failed_again"}


def test_personas_are_those_of_the_newest_publication_of_a_model(home: Home, engine: DuckDBEngine):
    assert read_personas(home, "m") is None
    night(home, "a", 45.0, engine)
    [profile] = [some_row(TABLES["profiles"])]
    assert read_personas(home, "m") == {profile["segment_id"]: profile["persona"]}
    assert read_personas(home, "l") is None
    assert read_personas(home, "n") is None


def test_where_the_clock_goes_back_the_last_night_is_still_the_newest(home: Home, engine: DuckDBEngine):
    future = night(home, "a", 1.0, engine)
    for file in (future.path, *home.lake.glob("*/*_a.parquet")):
        file.rename(file.with_name(f"20991231T235959999999Z_{file.name.split('_', 1)[1]}"))
    for run, mean in (("b", 2.0), ("c", 3.0)):
        night(home, run, mean, engine, kept=2)
        assert means(home.warehouse) == [mean]
    assert [run_of(path) for path in kept_publications(home)] == ["c", "b"]
    assert {run_of(path) for path in home.lake.glob("*/*.parquet")} == {"c", "b"}
    assert run_of(Lake(home.lake, "another", engine, BEHAVIOURAL).path("scaler")) == "c"
    assert run_of(back(home).path) == "b"


def test_a_rollback_whose_page_fails_changes_nothing(home: Home, engine: DuckDBEngine):
    night(home, "a", 1.0, engine)
    night(home, "b", 2.0, engine)

    def fail(_: Path) -> Path:
        raise HomeError("published by an earlier version")

    with pytest.raises(HomeError, match="earlier version"):
        roll_back(home, None, fail)
    assert means(home.warehouse) == [2.0]


def test_a_rollback_publishes_an_earlier_night_and_the_next_night_goes_on(home: Home, engine: DuckDBEngine):
    for number in range(4):
        night(home, f"run{number}", float(number), engine)
    assert run_of(back(home).path) == "run2"
    assert means(home.warehouse) == [2.0]
    assert run_of(back(home).path) == "run1"
    assert run_of(back(home, "run3").path) == "run3"
    assert means(home.warehouse) == [3.0]
    with pytest.raises(CallError, match="Several kept runs begin with run: run3, run2"):
        back(home, "run")
    with pytest.raises(CallError, match="No publication of run x is kept: run3, run2"):
        back(home, "x")
    back(home, "run0")
    with pytest.raises(CallError, match="Nothing older than run run0 is kept"):
        back(home)
    done = night(home, "run4", 4.0, engine)
    assert (means(home.warehouse), done.set_aside) == ([4.0], None)


def test_a_rollback_puts_right_what_a_session_left(home: Home, engine: DuckDBEngine):
    night(home, "a", 45.0, engine)
    log = home.warehouse.with_name("warehouse.duckdb.wal")
    home.warehouse.chmod(0o644)
    session = python(SESSION, home.warehouse)
    tell(session, "die")
    end(session)
    written = log.read_bytes()
    night(home, "b", 46.0, engine)
    log.write_bytes(written)  # as a session of the night before does when it goes on writing under the old name
    with pytest.raises(duckdb.Error, match="WAL does not match"):
        means(home.warehouse)
    said = tell_strange(home)
    assert said
    assert "smartcart warehouse rollback b." in said
    done = back(home, "b")
    assert means(home.warehouse) == [46.0]
    assert tell_strange(home) is None
    assert done.set_aside
    assert done.set_aside.with_name(f"{done.set_aside.name}.wal").read_bytes() == written


def test_no_rollback_while_a_run_is_under_way(home: Home, engine: DuckDBEngine):
    night(home, "a", 45.0, engine)
    night(home, "b", 46.0, engine)
    holder = python(
        "import sys; from pathlib import Path; from smartcart_pipeline.storage.home import Home\n"
        "from smartcart_pipeline.storage.run_lock import hold\n"
        f"with hold(Home(Path({str(home.root)!r})), 0, print):\n    print('held', flush=True); sys.stdin.read()\n"
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(HomeBusyError, match="a run is under way"):
        back(home)
    assert end(holder) == 0
    assert run_of(back(home).path) == "a"
