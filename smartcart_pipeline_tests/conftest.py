"""What tests share: an engine, a home, a small export, the real one where it is at hand, and a browser."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import hypothesis
import narwhals as nw
import pandas as pd
import pytest

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage.home import Home

REPOSITORY = Path(__file__).parents[1]
SAMPLE = REPOSITORY / "data" / "smartcart_customers.csv"
REAL = REPOSITORY.parent / "shared" / "data" / "smartcart_customers.csv"

Frames = Callable[[pd.DataFrame], Any]

# The longest first, or one process works alone at the end; pytest-xdist would begin with the files of most tests.
LONGEST = (
    "test_killing.py",
    "test_spark.py",
    "test_identity_nights.py",
    "test_automation.py",
    "test_cli.py",
    "test_notifications.py",
    "test_adversity.py",
    "test_ui.py",
    "test_dev.py",
    "test_odd_paths.py",
    "test_damage.py",
    "test_record_server.py",
)

# What is slow is for the benchmarks to find: an example that met a busy machine is no fault.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


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


@pytest.fixture(scope="session")
def older_duckdb() -> Path:
    """A Python with DuckDB 1.5, which most tools carry today."""
    path = REPOSITORY / ".venv-duckdb15" / "bin" / "python"
    if not path.exists():
        pytest.skip(f"DuckDB 1.5 is not at {path.relative_to(REPOSITORY)}: make test sets it up")
    return path


@pytest.fixture(params=["pandas", "duckdb"])
def as_frame(request: pytest.FixtureRequest, engine: DuckDBEngine) -> Frames:
    """Turns a pandas frame into a narwhals frame, of each kind that the verbs work on."""

    def convert(frame: pd.DataFrame) -> Any:
        if request.param == "pandas":
            return nw.from_native(frame)
        return nw.from_native(engine.connection.from_df(frame))

    return convert


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
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


def to_pandas(frame: Any) -> pd.DataFrame:
    """A narwhals frame of either kind as pandas."""
    native = nw.to_native(frame)
    return native.df() if isinstance(native, duckdb.DuckDBPyRelation) else native
