"""What tests share: an engine, a home, a small export, the real one where it is at hand, and a browser."""

import gc
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import hypothesis
import narwhals as nw
import pandas as pd
import pytest

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests import nights

REPOSITORY = Path(__file__).parents[1]
SAMPLE = REPOSITORY / "data" / "smartcart_customers.csv"
REAL = REPOSITORY.parent / "shared" / "data" / "smartcart_customers.csv"

NIGHT = "night"

Frames = Callable[[pd.DataFrame], Any]

# Begun in this order, for a process works through what belongs together alone: Spark and browsers wait for much.
LONGEST = (
    "test_spark.py",
    "test_foreign_nights.py",
    "test_killing.py",
    "test_identity_nights.py",
    "test_ui.py",
    "test_dev.py",
    "test_adversity.py",
    "test_automation.py",
    "cli/test_main.py",
    "test_telling.py",
    "test_golden.py",
    "test_odd_paths.py",
    "test_damage.py",
    "test_record_server.py",
    "test_access.py",
    "cli/test_warehouse.py",
    "test_macros.py",
    "test_page.py",
)
# Files whose tests share nothing that was dear to make: several processes may work through one.
SHARING_NOTHING = ("test_killing.py", "test_golden.py")

# Set where all is installed that a test could need (see .ci/run): a test is then skipped for one of these only.
EXPECT_ALL = "SMARTCART_EXPECT_ALL"
SKIPPED_ALL_THE_SAME = (
    # The machine's and the user's, which no installation changes.
    "only root",
    "nobody but root",
    "root may read everything",
    "no file system can be mounted here",
    "nothing can be remounted here",
    "the bits were recorded with AVX2",
    "Python is told to write no byte code",
    # Not the project's to ship.
    "the real export is not at",
)

# What is slow is for the benchmarks to find: an example that met a busy machine is no fault.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Hold what is held of all tests."""
    config.addinivalue_line(
        "markers", f"{NIGHT}: runs or simulates at least one whole night, so `make check` leaves it out"
    )
    nights.watch()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs whole nights, and begin with what takes longest."""
    for item in items:
        if "whole_night" in getattr(item, "fixturenames", ()):
            item.add_marker(NIGHT)
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    return next((number for number, file in enumerate(LONGEST) if item.path.match(file)), len(LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file together, whose tests share fixtures, but for those that share nothing dear."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return nodeid if file.endswith(SHARING_NOTHING) else file

    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Let the collector of garbage leave alone what lasts, as the command does: nights make many objects that do."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def pytest_unconfigure() -> None:
    """Let it look at everything once more, or libraries complain of what is left."""
    gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    nights.expect(item.get_closest_marker(NIGHT) is not None)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let nothing be skipped unnoticed where all that tests need was installed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get(EXPECT_ALL):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(allowed in reason for allowed in SKIPPED_ALL_THE_SAME):
            report.outcome, report.longrepr = "failed", f"{EXPECT_ALL} is set, and this was skipped. {reason}"
    return report


@pytest.fixture(scope="session")
def whole_night() -> None:
    """Asked for by what runs a whole night: `make check` leaves out all that depends on it."""


@pytest.fixture
def engine() -> Iterator[DuckDBEngine]:
    engine = DuckDBEngine()
    yield engine
    engine.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def sample() -> Path:
    """The shipped export: 2,240 invented customers."""
    return SAMPLE


@pytest.fixture(scope="session")
def real_export() -> Path:
    """The real export, which is not the project's to ship."""
    if not REAL.is_file():
        pytest.skip(f"the real export is not at {REAL.relative_to(REPOSITORY.parent)}")
    return REAL


def _of_others(name: str) -> Path:
    path = REPOSITORY / ".venv-others" / "bin" / name
    if not path.exists():
        pytest.skip(f"tools of others are not at {path.relative_to(REPOSITORY)}: make test sets them up")
    return path


@pytest.fixture(scope="session")
def older_duckdb() -> Path:
    """A Python with DuckDB 1.5, which most tools carry today."""
    return _of_others("python")


@pytest.fixture(scope="session")
def datacontract() -> Path:
    """The program of datacontract-cli, which drafts and checks contracts of the same standard."""
    return _of_others("datacontract")


@pytest.fixture(scope="session")
def drt() -> Path:
    """The program of drt-core, which sends rows to other tools."""
    return _of_others("drt")


@pytest.fixture(params=["pandas", "duckdb"])
def as_frame(request: pytest.FixtureRequest, engine: DuckDBEngine) -> Frames:
    """Turns a pandas frame into a narwhals frame, of each kind that the verbs work on."""

    def convert(frame: pd.DataFrame) -> Any:
        if request.param == "pandas":
            return nw.from_native(frame)
        return nw.from_native(engine.connection.from_df(frame))

    return convert


@contextmanager
def running_browser() -> Iterator[Any]:
    """Debian's Chromium, without a display: WebGL by software, and nothing that calls out by itself."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    drawing = ["--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=["--headless", "--no-sandbox", "--disable-quic", *quiet, *drawing]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for all tests of a file. No night can be run in this process while it is there."""
    with running_browser() as started:
        yield started


def to_pandas(frame: Any) -> pd.DataFrame:
    """A narwhals frame of either kind as pandas."""
    native = nw.to_native(frame)
    return native.df() if isinstance(native, duckdb.DuckDBPyRelation) else native
