"""Who may import whom: the rooms of the package stand on floors, and the verbs of `segmentation` stay pure."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from smartcart_pipeline.declaration.recipe import Business, share_name
from smartcart_pipeline_tests.declared import BEHAVIOURAL

PACKAGE = Path(__file__).parents[1] / "smartcart_pipeline"

# From the ground up. A room imports from floors below its own, and from no other room of its floor.
FLOORS = (
    ("declaration",),
    ("segmentation",),
    ("engines",),
    ("storage",),
    ("exports",),
    ("audiences", "campaigns"),
    ("notifications", "report", "smartcart"),
    ("orchestration",),
    # Not a room: the module that Dagster loads.
    ("definitions",),
    ("cli",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
IMPURE = {"dagster", "duckdb", "pyspark", "os", "pathlib", "time", "random", "shutil", "subprocess", "tempfile"}

MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from statements(node)


def imports_of(path: Path) -> set[str]:
    """Full names of what a module imports, also inside functions."""
    names: set[str] = set()
    for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules_of(path: Path) -> set[str]:
    """Modules of this package that a module imports."""
    found = {name if name in MODULES else name.rpartition(".")[0] for name in imports_of(path)}
    return found & MODULES.keys()


def room_of(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("module", [module for module in MODULES if "." in module])
def test_a_room_imports_from_lower_floors_only(module: str):
    mine = room_of(module)
    others = {room_of(name) for name in modules_of(MODULES[module]) if "." in name} - {mine}
    assert {room for room in others if FLOOR[room] >= FLOOR[mine]} == set()


def test_every_room_has_a_floor():
    assert {room_of(module) for module in MODULES if "." in module} == set(FLOOR)


def test_no_module_imports_itself_by_way_of_others():
    # An import of a package's own name stands for what its `__init__` holds.
    TopologicalSorter({module: modules_of(path) - {module} for module, path in MODULES.items()}).prepare()


@pytest.mark.parametrize("path", sorted((PACKAGE / "segmentation").glob("*.py")), ids=lambda path: path.stem)
def test_the_verbs_know_no_engine_no_file_and_no_clock(path: Path):
    assert {name.split(".")[0] for name in imports_of(path)} & IMPURE == set()
    calls = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert calls & {"now", "today", "utcnow"} == set()


def words_of_smartcart() -> set[str]:
    """Names of columns, headers, features, categories, groups, parts and channels, and of what profiles measure."""
    contract, recipe = BEHAVIOURAL.contract, BEHAVIOURAL.recipe
    words = {word for column in contract.columns for word in (column.name, column.header, *column.categories)}
    words |= {word for feature in recipe.features for word in (feature.name, *feature.groups)}
    words |= {*recipe.names, *recipe.rates, *(share_name(category, group) for category, group in recipe.shares)}
    words |= {f"{measure}_{name}" for measure in ("mean", "median") for name in recipe.measured}
    words |= {*(recipe.business.composition.parts.values() if recipe.business.composition else ())}
    words |= {word for words_of_channel in recipe.business.channels.values() for word in words_of_channel}
    # The key has its name in every declaration; and roles are called alike in all of them.
    return words - {contract.key.name, contract.key.header, *(role.name for role in fields(Business))}


def said_in(path: Path) -> Iterator[str]:
    """Names and texts of a module, but for what it says to who reads the code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield text
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name


NAMED = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, sorted(words_of_smartcart(), key=len, reverse=True)))})(?!\w)")


@pytest.mark.parametrize("room", sorted(set(FLOOR) - {"smartcart"}))
def test_nothing_outside_its_room_names_a_word_of_smartcart(room: str):
    paths = {path for module, path in MODULES.items() if "." in module and room_of(module) == room}
    found = {f"{path.stem}: {word}" for path in paths for text in said_in(path) for word in NAMED.findall(text)}
    assert found == set()


@pytest.mark.parametrize("room", ["declaration", "segmentation", "report"])
def test_not_even_a_comment_or_the_page_names_a_word_of_smartcart(room: str):
    paths = [path for path in (PACKAGE / room).rglob("*") if path.suffix in (".py", ".jinja", ".css")]
    assert {f"{path.name}: {word}" for path in paths for word in NAMED.findall(path.read_text())} == set()
