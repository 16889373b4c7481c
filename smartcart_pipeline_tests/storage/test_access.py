"""Who may read what in a home: its owner everything, a group what it is let in to, and nobody else anything."""

import grp
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from stat import S_IMODE

import pytest

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.orchestration.night import prepare_home
from smartcart_pipeline.smartcart.sample import write_sample
from smartcart_pipeline.storage.access import read_access, settle_access
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import kept_publications, run_of
from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.conftest import REPOSITORY
from smartcart_pipeline_tests.publishing import night as publish_night

Done = subprocess.CompletedProcess[str]

# Two of the groups that every Debian knows and nobody here is in.
READERS, DELIVERERS = "games", "news"
STRANGER = 65_534
QUESTION = "SELECT count(*) AS customers FROM customer_360"
SMARTCART = ("-m", "smartcart_pipeline.cli.main")
USUAL = {name: value for name, value in os.environ.items() if not name.startswith(("SMARTCART", "DAGSTER", "PYTHON"))}


def smartcart(*arguments: object) -> Done:
    """The command, under the usual umask."""
    return forked.smartcart(*arguments, env=USUAL, umask=0o022)


@pytest.fixture(scope="module")
def as_stranger() -> Callable[..., Done]:
    """Runs Python as somebody who is nobody, but for being a member of a group."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    # The environment's own Python may lie where only root may go: another of its version runs its modules, too.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    environment = USUAL | {"PYTHONPATH": f"{REPOSITORY}:{sysconfig.get_path('purelib')}", "HOME": "/"}

    def run(*arguments: object, group: str = "nogroup", python: str = sys.executable) -> Done:
        return subprocess.run(
            [python, *map(str, arguments)],
            env=environment,
            user=STRANGER,
            group=grp.getgrnam(group).gr_gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    for python in (sys.executable, f"/usr/bin/{version}"):
        with suppress(OSError):
            if run("-c", "import duckdb, smartcart_pipeline", python=python).returncode == 0:
                return partial(run, python=python)
    pytest.skip("nobody but root may run a Python with the modules here")


def open_to_others(root: Path) -> list[str]:
    """What of a folder somebody else could read, write or go into, from the outside in."""
    if S_IMODE(root.stat().st_mode) & 0o007 == 0:
        return []
    found = [str(root)]
    for path in root.iterdir():
        if path.is_dir():
            found += open_to_others(path)
        elif S_IMODE(path.stat().st_mode) & 0o007:
            found.append(str(path))
    return found


def modes(home: Home, *paths: Path) -> dict[str, str]:
    return {str(path.relative_to(home.root)): f"{S_IMODE(path.stat().st_mode):o}" for path in paths}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "export.csv"
    write_sample(path, 300, 1)
    return path


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that everybody may go into: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="smartcart-access-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def night(whole_night: None, open_folder: Path, export: Path) -> Home:
    """A night with large tables as views, and readers."""
    home = Home(open_folder / "home")
    home.root.mkdir()
    home.settings.write_text(f"access:\n  readers: {READERS}\nsettings:\n  copied_rows: 100\n")
    done = smartcart("run", "--input", export, "--home", home.root, "--json")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="module")
def closed(whole_night: None, open_folder: Path, export: Path) -> Home:
    home = Home(open_folder / "closed")
    done = smartcart("run", "--input", export, "--home", home.root, "--json")
    assert done.returncode == 0, done.stderr
    return home


def test_all_that_a_run_makes_is_its_owners(closed: Home) -> None:
    every = [closed.root, *closed.root.rglob("*")]
    assert [str(path) for path in every if S_IMODE(path.stat().st_mode) & 0o077] == []
    assert modes(closed, closed.warehouse, closed.report, *kept_publications(closed)) == {
        "warehouse.duckdb": "400",
        "report.html": "600",
        f"publications/{kept_publications(closed)[0].name}": "400",
    }


def test_files_that_commands_write_are_their_owners(closed: Home, export: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    header, first, *rest = export.read_text().splitlines()
    bad.write_text("\n".join([header, first.replace(",", ",x", 1), *rest]) + "\n")
    answers, scores = tmp_path / "answers.csv", tmp_path / "scores.csv"
    for command in (
        ("sql", QUESTION, "--format", "csv", "--output", answers),
        ("score", bad, "--output", scores),
        ("report",),
        ("setup",),
    ):
        done = smartcart(*command, "--home", closed.root)
        assert done.returncode == 0, done.stderr
    written = (answers, scores, tmp_path / "scores.csv.rejected.csv", closed.report)
    assert {f"{S_IMODE(path.stat().st_mode):o}" for path in written} == {"600"}


def test_what_the_code_server_and_its_runs_write_is_its_owners() -> None:
    loading = "import os, smartcart_pipeline.definitions; print(f'{os.umask(0):o}')"
    done = subprocess.run(
        [sys.executable, "-c", loading], env=USUAL, umask=0o022, capture_output=True, text=True, check=True
    )
    assert done.stdout == "77\n"


def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path, engine: DuckDBEngine) -> None:
    home = Home(tmp_path / "home")
    publish_night(home, "a", 1.0, engine)
    for folder in (home.incoming, home.refused, home.models, home.dagster, home.set_aside, home.spill):
        folder.mkdir(exist_ok=True)
        (folder / "customers").write_text("x")
    home.report.write_text("x")
    for path in (home.root, *home.root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o444 if path.suffix == ".duckdb" else 0o644)
    assert open_to_others(home.root)
    prepare_home(home)
    assert open_to_others(home.root) == []
    assert modes(home, home.root, home.lake, home.incoming, home.warehouse, home.report) == {
        ".": "700",
        "lake": "700",
        "incoming": "700",
        "warehouse.duckdb": "400",
        "report.html": "600",
    }


def test_a_folder_that_holds_other_things_keeps_its_mode_and_what_lies_in_it_is_closed(tmp_path: Path) -> None:
    (tmp_path / "something_else").mkdir()
    (tmp_path / "something_else").chmod(0o755)
    tmp_path.chmod(0o755)
    prepare_home(Home(tmp_path))
    assert S_IMODE(tmp_path.stat().st_mode) == 0o755
    found = {path.name: S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert found == {"something_else": 0o755, "lake": 0o700, "dagster": 0o700, "incoming": 0o700}


def test_an_incoming_that_is_a_link_keeps_its_mode(tmp_path: Path) -> None:
    home, drop = Home(tmp_path / "home"), tmp_path / "drop"
    home.root.mkdir()
    drop.mkdir()
    drop.chmod(0o775)
    home.incoming.symlink_to(drop)
    prepare_home(home)
    assert S_IMODE(drop.stat().st_mode) == 0o775


def test_a_group_that_is_not_known_is_told_with_its_setting(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settings.write_text("access:\n  readers: nobody-knows-them\n")
    told = f"{home.settings}: readers is 'nobody-knows-them', but this machine knows no such group. See: getent group."
    with pytest.raises(HomeError, match=r"^.*$") as raised:
        read_access(home)
    assert str(raised.value) == told
    done = smartcart("run", "--home", home.root, "--input", REPOSITORY / "data" / "smartcart_customers.csv")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"smartcart: {told}\n")


def test_readers_read_the_warehouse_with_its_large_tables_and_the_report(
    night: Home, as_stranger: Callable[..., Done]
) -> None:
    reading = (
        "import duckdb, sys\n"
        "with duckdb.connect(sys.argv[1], read_only=True) as warehouse:\n"
        f"    print(warehouse.sql({QUESTION!r}).fetchall(), open(sys.argv[2]).read()[:15])\n"
    )
    done = as_stranger("-c", reading, night.warehouse, night.report, group=READERS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("<!doctype html>\n")
    asked = as_stranger(*SMARTCART, "sql", QUESTION, "--home", night.root, "--format", "csv", group=READERS)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert modes(night, night.root, night.warehouse, night.report, night.publications, night.lake, night.dagster) == {
        ".": "710",
        "warehouse.duckdb": "440",
        "report.html": "640",
        "publications": "700",
        "lake": "710",
        "dagster": "700",
    }
    assert open_to_others(night.root) == []


def test_readers_read_nothing_else_and_write_nothing(night: Home, as_stranger: Callable[..., Done]) -> None:
    trying = (
        "import os, sys\n"
        "for path in sys.argv[1:]:\n"
        "    for way, flags in (('read', os.O_RDONLY), ('write', os.O_RDWR)):\n"
        "        try:\n"
        "            os.open(path, flags)\n"
        "            print(way, path)\n"
        "        except OSError:\n"
        "            pass\n"
    )
    every = [night.root, *(path for path in night.root.rglob("*") if "lake" not in path.parts)]
    done = as_stranger("-c", trying, *every, group=READERS)
    assert sorted(done.stdout.splitlines()) == [f"read {night.report}", f"read {night.warehouse}"]


def test_others_read_nothing_and_are_told_so(night: Home, closed: Home, as_stranger: Callable[..., Done]) -> None:
    for home in (night, closed):
        for command in (("sql", QUESTION), ("warehouse", "list"), ("model", "list"), ("run",), ("report",), ("setup",)):
            done = as_stranger(*SMARTCART, *command, "--home", home.root)
            assert done.returncode == 2, (command, done)
            assert "Traceback" not in done.stderr, (command, done)
            assert done.stdout == ""


def test_a_rollback_lets_the_readers_in(night: Home, export: Path, as_stranger: Callable[..., Done]) -> None:
    second = smartcart("run", "--input", export, "--home", night.root, "--json")
    assert second.returncode == 0, second.stderr
    done = smartcart("warehouse", "rollback", "--home", night.root)
    assert done.returncode == 0, done.stderr
    asked = as_stranger(
        *(*SMARTCART, "sql", f"SELECT run_id, ({QUESTION}) FROM publication", "--format", "csv"),
        *("--home", night.root),
        group=READERS,
    )
    assert asked.returncode == 0, asked.stderr
    assert run_of(kept_publications(night)[1]) in asked.stdout
    assert modes(night, night.warehouse, night.report) == {"warehouse.duckdb": "440", "report.html": "640"}


def test_deliverers_drop_exports_and_read_nothing_else(open_folder: Path, as_stranger: Callable[..., Done]) -> None:
    home = Home(open_folder / "drop")
    home.root.mkdir()
    home.settings.write_text(f"access:\n  readers: {READERS}\n  deliverers: {DELIVERERS}\n")
    prepare_home(home)
    dropping = "import sys; open(sys.argv[1], 'w').write('x'); print(open(sys.argv[1]).read())"
    assert as_stranger("-c", dropping, home.incoming / "export.csv", group=DELIVERERS).returncode == 0
    assert as_stranger("-c", dropping, home.incoming / "other.csv", group=READERS).returncode == 1
    assert as_stranger("-c", "import os, sys; os.listdir(sys.argv[1])", home.dagster, group=DELIVERERS).returncode == 1
    assert modes(home, home.root, home.incoming, home.lake) == {".": "711", "incoming": "1770", "lake": "710"}
    home.settings.write_text("")
    settle_access(home)
    assert modes(home, home.root, home.incoming, home.lake) == {".": "700", "incoming": "700", "lake": "700"}
