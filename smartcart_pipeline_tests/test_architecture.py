"""Who may import whom, and that the verbs stay pure."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "smartcart_pipeline"

# From left to right; nothing imports to the right of itself. Places of one rank may use each other.
RANKS = (
    ("apart", "contract", "lineage", "progress", "sending"),
    ("segmentation",),
    ("tables", "views", "sample", "drawing", "plots"),
    ("contest",),
    ("engines", "storage", "settings_file"),
    ("as_of", "receivers", "notices"),
    ("resources", "provenance", "scoring", "report", "simulation", "screen"),
    ("assets", "checks", "automation", "notifications"),
    ("definitions",),
    ("night", "replay"),
    ("cli", "dev", "warehouse_commands", "model_commands", "notify_commands", "simulation_commands"),
)
RANK = {place: number for number, places in enumerate(RANKS) for place in places}
IMPURE = {"dagster", "duckdb", "pyspark", "os", "pathlib", "time", "random", "shutil", "subprocess", "tempfile"}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports_of(path: Path) -> set[str]:
    """Full names of what a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def place_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_to_its_right(path: Path):
    ours = {name.split(".")[1] for name in imports_of(path) if name.startswith("smartcart_pipeline.")}
    assert {place for place in ours if RANK[place] > RANK[place_of(path)]} == set()


def test_every_place_has_a_rank():
    assert {place_of(path) for path in MODULES} == set(RANK)


@pytest.mark.parametrize("path", sorted((PACKAGE / "segmentation").glob("*.py")), ids=lambda path: path.stem)
def test_the_verbs_know_no_engine_no_file_and_no_clock(path: Path):
    assert {name.split(".")[0] for name in imports_of(path)} & IMPURE == set()
    calls = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert calls & {"now", "today", "utcnow"} == set()
