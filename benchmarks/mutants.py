"""Mutants: small faults put into the code one at a time, and whether the fast tests find them.

Cosmic-ray proposes them: another operator, a number one higher, a condition turned round, a loop that never runs. Each
of a seeded sample goes into a copy of the package, never into the working tree, and the tests of its module run, then
all other fast tests, up to the first that fails. Of a fault inside a function only those tests run that reach it, and
in the end the test files of the module as a whole; the first run, without a fault, records who reaches what. Passed
over in drawing is what cannot change what a program does: mutants of type annotations (`X | None`), and what is no
Python.

python -m benchmarks.mutants [--mutants 150] [--seed 0] [--without-spark]
"""

import argparse
import ast
import difflib
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE, TESTS = Path("smartcart_pipeline"), Path("smartcart_pipeline_tests")
ROOMS = ("segmentation", "storage", "engines", "exports")
GOAL = 0.95
AT_ONCE = 2
# What the fast tests need: they build no wheel, and start no cluster.
COPIED = (PACKAGE, TESTS, *map(Path, ("data/smartcart_customers.csv", "docs", "pyproject.toml", "dagster.yaml")))
# Modules that are tested under another's name.
TESTED_IN = {
    "csv_text": ("inspecting", "bounded_exports", "around_the_rows"),
    "header": ("inspecting", "around_the_rows"),
    "inspecting": ("inspecting", "bounded_exports", "around_the_rows"),
    "nameless": ("around_the_rows",),
    "reading": ("reading_duckdb", "spark"),
    "reading_duckdb": ("reading_duckdb", "bounded_exports", "around_the_rows"),
    "reading_spark": ("spark",),
    "server_records": ("record_server",),
    "transcoding": ("around_the_rows",),
    "workbook_cells": ("workbook", "around_the_rows"),
}
# These start clusters, servers and whole nights, so they run for mutants of their own module only.
SLOW = ("access", "apart", "damage", "macros", "odd_paths", "record_server", "run_lock", "run_records", "spark")
SPARK_MODULES = ("spark", "reading_spark")
# A test that waits for what never comes has found its mutant.
LONGEST_TEST = 300
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        module: The file, from the repository's root.
        operator: Cosmic-ray's name of what is done.
        line: Where, from 1.
        original: The whole file, as it is.
        source: The same with the fault in it.
        before: The lines that differ, as they are.
        after: The same lines with the fault.
    """

    module: Path
    operator: str
    line: int
    original: str
    source: str
    before: str
    after: str

    def __str__(self) -> str:
        told = [f"- {line}" for line in self.before.splitlines()] + [f"+ {line}" for line in self.after.splitlines()]
        return "\n    ".join([f"{self.module}:{self.line} {self.operator.removeprefix('core/')}", *told])


@dataclass(frozen=True)
class Tried:
    """What became of a mutant.

    Attributes:
        mutant: The mutant.
        found_by: The first test that failed, or what else gave it away; empty where nothing did.
        seconds: How long that took.
    """

    mutant: Mutant
    found_by: str
    seconds: float


def main(arguments: list[str] | None = None) -> int:
    """Draw mutants, try them, and print what the tests did not find.

    Returns:
        0 where the goal was met.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=150, help="how many to try")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws others")
    parser.add_argument("--without-spark", action="store_true", help="leave out the Spark engine, whose tests are slow")
    chosen = parser.parse_args(arguments)
    drawn, left_out, proposed = draw(chosen.mutants, chosen.seed, has_spark() and not chosen.without_spark)
    print(
        f"{proposed:,} mutants proposed; {len(drawn)} drawn with seed {chosen.seed}, {left_out} passed over in drawing"
    )
    for room in ROOMS:
        print(f"  {room}: {sum(mutant.module.parent.name == room for mutant in drawn)}")
    tried = try_all(drawn)
    equivalent = read_equivalent()
    survivors = [each for each in tried if not each.found_by]
    excused = [each for each in survivors if _key(each.mutant) in equivalent]
    print(f"\n{len(survivors) - len(excused)} mutants that no test found:")
    for each in survivors:
        if each not in excused:
            print(f"  {each.mutant}")
    print(f"\n{len(excused)} that nobody could find, as the code does the same with them:")
    for each in excused:
        print(f"  {each.mutant}\n    {equivalent[_key(each.mutant)]}")
    found = len(tried) - len(survivors)
    share = found / max(len(tried) - len(excused), 1)
    print(f"\nfound: {found} of {len(tried)} ({found / max(len(tried), 1):.1%})")
    print(
        f"of those that can be found: {found} of {len(tried) - len(excused)} ({share:.1%}), to be at least {GOAL:.0%}: "
        f"{'met' if share >= GOAL else 'MISSED'}"
    )
    return int(share < GOAL)


def draw(number: int, seed: int, spark: bool) -> tuple[list[Mutant], int, int]:
    """Draw mutants from all that cosmic-ray's operators propose.

    Args:
        number: How many.
        seed: Of the draw.
        spark: Whether to draw from the Spark engine too.

    Returns:
        The mutants in the order they were drawn in; how many were drawn and passed over because they cannot change
        what a program does; how many were proposed.
    """
    from cosmic_ray.mutating import mutate_code  # noqa: PLC0415  (only the extra `bench` installs it)
    from cosmic_ray.plugins import get_operator  # noqa: PLC0415

    places = list(propose(spark))
    random.Random(seed).shuffle(places)  # noqa: S311
    drawn: list[Mutant] = []
    left_out = 0
    for module, operator, occurrence, line in places:
        if len(drawn) == number:
            break
        source = (REPOSITORY / module).read_text(encoding="utf-8")
        mutated = mutate_code(source, get_operator(operator)(), occurrence)
        if mutated is not None and changes_behaviour(source, mutated):
            drawn.append(Mutant(module, operator, line, source, mutated, *_difference(source, mutated)))
        else:
            left_out += 1
    return drawn, left_out, len(places)


def propose(spark: bool) -> Iterator[tuple[Path, str, int, int]]:
    """Every mutant there is: module, operator, which of the operator's places in it, and the line.

    Args:
        spark: Whether those of the Spark engine are among them.

    Yields:
        Them, always in the same order.
    """
    from cosmic_ray.ast import ast_nodes, get_ast  # noqa: PLC0415
    from cosmic_ray.plugins import get_operator, operator_names  # noqa: PLC0415

    operators = [(name, get_operator(name)) for name in sorted(operator_names())]
    # Operators with arguments stand for names of one's own choice.
    chosen = [(name, kind()) for name, kind in operators if not kind.arguments()]
    for room in ROOMS:
        for path in sorted((REPOSITORY / PACKAGE / room).glob("*.py")):
            module = path.relative_to(REPOSITORY)
            if path.stem in SPARK_MODULES and not spark:
                continue
            nodes = list(ast_nodes(get_ast(path.read_text(encoding="utf-8"))))
            for name, operator in chosen:
                places = (start for node in nodes for start, _ in operator.mutation_positions(node))
                for occurrence, (line, _) in enumerate(places):
                    yield module, name, occurrence, line


def has_spark() -> bool:
    """Whether the Spark engine can run here."""
    return shutil.which("java") is not None and find_spec("pyspark") is not None


def changes_behaviour(source: str, mutated: str) -> bool:
    """Whether a mutant differs from the code in more than annotations, and is Python.

    Args:
        source: The code.
        mutated: The mutant.

    Returns:
        Whether tests could tell them apart.
    """
    try:
        return _without_annotations(mutated) != _without_annotations(source)
    except SyntaxError:
        return False


class _Annotations(ast.NodeTransformer):
    """Takes the annotations away; those of fields stay as a mark, because a class may list its fields."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        node.annotation = ast.Constant(None)
        self.generic_visit(node)
        return node


def _without_annotations(source: str) -> str:
    return ast.dump(_Annotations().visit(ast.parse(source)))


def _difference(source: str, mutated: str) -> tuple[str, str]:
    lines = [line for line in difflib.ndiff(source.splitlines(), mutated.splitlines()) if line[0] in "+-"]
    before, after = ("\n".join(line[2:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return before, after


def _key(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.module.relative_to(PACKAGE).as_posix(), mutant.before, mutant.after


def read_equivalent() -> dict[tuple[str, str, str], str]:
    """Mutants that are no fault, by file and by what the lines say, and why they are none."""
    listed = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["equivalent"]
    return {(each["file"], each["before"].strip(), each["after"].strip()): each["reason"] for each in listed}


def try_all(mutants: Sequence[Mutant]) -> list[Tried]:
    """Try mutants, two at a time, each pair of hands with a copy of its own.

    Args:
        mutants: The mutants.

    Returns:
        What became of each, in their order.

    Raises:
        RuntimeError: If the tests fail without any mutant.
    """
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        made = [Copy(Path(folder) / str(number)) for number in range(AT_ONCE)]
        copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        started = time.monotonic()
        root = made[0].root
        tests = sorted({*fast_tests(root), *(test for mutant in mutants for test in own_tests(root, mutant.module))})
        if fault := made[0].record(tests):
            raise RuntimeError(f"The tests fail without any mutant: {fault}")
        took = time.monotonic() - started
        print(f"without a mutant all tests of {len(tests)} files pass ({took:.0f} s)", flush=True)
        reached = Reached(root)
        for copy in made:
            copies.put(copy)

        def attempt(mutant: Mutant) -> Tried:
            copy, started = copies.get(), time.monotonic()
            try:
                # Even the slowest of tests that find nothing are through by then.
                found = copy.attempt(mutant, reached.order(mutant), 2 * AT_ONCE * took + 60)
            finally:
                copies.put(copy)
            done = Tried(mutant, found, time.monotonic() - started)
            print(f"{done.seconds:5.0f} s  {done.found_by or 'NOT FOUND':<60.60}  {mutant}", flush=True)
            return done

        with ThreadPoolExecutor(AT_ONCE) as hands:
            return list(hands.map(attempt, mutants))


def own_tests(root: Path, module: Path) -> list[str]:
    """The test files of a module.

    Args:
        root: Of the copy.
        module: From there.

    Returns:
        Paths from there.
    """
    names = TESTED_IN.get(module.stem, (module.stem,))
    paths = [TESTS / room / f"test_{name}.py" for name in names for room in ROOMS]
    return [str(path) for path in paths if (root / path).is_file()]


def fast_tests(root: Path) -> list[str]:
    """All fast test files.

    Args:
        root: Of the copy.

    Returns:
        Paths from there.
    """
    paths = (path for room in ROOMS for path in sorted((root / TESTS / room).glob("test_*.py")))
    return [str(path.relative_to(root)) for path in paths if path.stem.removeprefix("test_") not in SLOW]


class Reached:
    """Which tests reach which function, as the first run has recorded it.

    Args:
        root: Of the copy that it ran in.
    """

    def __init__(self, root: Path) -> None:  # noqa: D107
        from coverage import CoverageData  # noqa: PLC0415

        self.root = root
        self.data = CoverageData(str(root / ".coverage"))
        self.data.read()

    def order(self, mutant: Mutant) -> list[list[str]]:
        """The tests for a mutant, as runs one after the other.

        Args:
            mutant: The mutant.

        Returns:
            Runs of test files and tests: those of the module first.
        """
        own = own_tests(self.root, mutant.module)
        others = [test for test in fast_tests(self.root) if test not in own]
        body = enclosing_body(mutant.original, mutant.line)
        if body is None:
            return [run for run in (own, others) if run]
        by_line = self.data.contexts_by_lineno(str(self.root / mutant.module))
        reaching = {context.partition("|")[0].partition("[")[0] for line in body for context in by_line.get(line, ())}
        tests = sorted(test for test in reaching if "::" in test)
        mine = [test for test in tests if test.partition("::")[0] in own]
        return [run for run in (mine, [test for test in tests if test not in mine], own) if run]


def enclosing_body(source: str, line: int) -> range | None:
    """The lines of the body of the innermost function that a line is in.

    Args:
        source: A module.
        line: From 1.

    Returns:
        The lines; None where the line runs at import.
    """
    bodies = [
        range(node.body[0].lineno, (node.end_lineno or 0) + 1)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    ]
    around = [body for body in bodies if line in body]
    return min(around, key=len) if around else None


class Copy:
    """A copy of the package and its tests, to be spoilt.

    Args:
        root: The folder that it becomes.
    """

    def __init__(self, root: Path) -> None:  # noqa: D107
        self.root = root
        for path in COPIED:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (REPOSITORY / path).is_dir() else shutil.copy2
            copy(REPOSITORY / path, root / path)
        # Byte code by the text it is made from: by size and second, a mutant might run as another one.
        checked = ("-m", "compileall", "-q", "-f", "--invalidation-mode", "checked-hash", str(PACKAGE))
        subprocess.run([sys.executable, *checked], cwd=root, check=True)

    def record(self, tests: Sequence[str]) -> str:
        """Run tests without a mutant, and record which of them reach what.

        Args:
            tests: Their files.

        Returns:
            As `run`.
        """
        cover = ("--cov", "--cov-context=test", "--cov-report=", "--cov-fail-under=0")
        return self.run([f"--numprocesses={AT_ONCE}", "--dist=loadfile", "--timeout=1800", *cover, *tests], 7_200)

    def attempt(self, mutant: Mutant, runs: Sequence[Sequence[str]], limit: float) -> str:
        """Put a mutant in, run tests up to the first that fails, and take it out.

        Args:
            mutant: The mutant.
            runs: Tests, as `Reached.order` gives them.
            limit: Seconds of one run after which the mutant counts as found.

        Returns:
            What found it; empty where nothing did.
        """
        path = self.root / mutant.module
        whole = path.read_bytes()
        path.write_text(mutant.source, encoding="utf-8")
        try:
            return next(filter(None, (self.run(tests, limit) for tests in runs)), "")
        finally:
            path.write_bytes(whole)

    def run(self, tests: Sequence[str], limit: float) -> str:
        """Run tests up to the first that fails.

        Args:
            tests: Files and tests, after pytest's options.
            limit: Seconds they may take.

        Returns:
            The test that failed, or what else went wrong; empty where all passed.
        """
        options: tuple[str, ...] = (
            "-q",
            "-x",
            "--no-header",
            "--tb=no",
            "-p",
            "no:cacheprovider",
            f"--timeout={LONGEST_TEST}",
        )
        own_folder = self.root / "t"
        own_folder.mkdir(exist_ok=True)
        # Short, because tests put sockets there.
        options += (f"--basetemp={own_folder / 'p'}",)
        environment = os.environ | {"PYTHONPATH": str(self.root), "TMPDIR": str(own_folder)}
        with tempfile.TemporaryFile() as told:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, *tests],
                cwd=self.root,
                env=environment,
                stdout=told,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                ended = process.wait(limit)
            except subprocess.TimeoutExpired:
                ended = None
            # What the tests have started and not ended must not outlive them.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            told.seek(0)
            lines = told.read().decode(errors="replace").splitlines()
        shutil.rmtree(own_folder, ignore_errors=True)
        if ended == 0:
            return ""
        if ended is None:
            return "time-out"
        failed = (line.split(" - ")[0].partition(" ")[2] for line in lines if line.startswith(("FAILED ", "ERROR ")))
        return next(failed, f"pytest ended with {ended}")


if __name__ == "__main__":
    sys.exit(main())
