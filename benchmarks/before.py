"""What changes cost: nights, and the reading of exports, by this tree in pairs with an earlier one.

python -m benchmarks.before [--commit COMMIT] [--export FILE] [--large MILLIONS] [--folder FOLDER] [--pairs N]

The earlier tree is checked out beside this one, and runs with the same Python and libraries. Each night and each
reading is a process of its own; first nights are in new homes, second ones follow them.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.scale import MILLION, export
from benchmarks.timing import Run, report, run

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "smartcart_customers.csv"
# The last tree without verdicts on segments, without fences, and without columns that are settled by evidence.
COMMIT = "904344d"
NIGHTS = {"first": "2014-07-01", "second": "2014-07-02"}
# How many times as long as before a night of a few thousand may take, one of millions, and the reading of a file.
SMALL, LARGE, READING = 1.10, 1.03, 1.03
# Customers of the files that are read: typed Parquet, and plain text, which takes longer.
PARQUET, TEXT = 5 * MILLION, 2 * MILLION

Measured = dict[str, Run]


@contextmanager
def check_out(commit: str) -> Iterator[Path]:
    """An earlier tree, in a folder that goes when it has been used."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def start(tree: Path, *arguments: str) -> Run:
    """Run Python with the code of a tree, whatever folder it is started in."""
    return run([sys.executable, *arguments], PYTHONPATH=str(tree), PYTHONSAFEPATH="1")


def spend_nights(file: Path, home: Path, tree: Path) -> Measured:
    """Two nights of a new home."""
    shutil.rmtree(home, ignore_errors=True)
    command = ("-m", "smartcart_pipeline.cli.main", "run", "--input", str(file), "--home", str(home))
    return {name: start(tree, *command, "--as-of", day) for name, day in NIGHTS.items()}


def read(file: Path, tree: Path) -> Measured:
    """Read an export and store it."""
    return {"reading": start(tree, str(ROOT / "benchmarks" / "reading.py"), str(file))}


def compare(
    title: str, trees: tuple[Path, Path], pairs: int, measure: Callable[[Path], Measured], limit: float
) -> None:
    """Measure both trees in turn, each as often first, and print how many times as long as before this one takes.

    Args:
        title: What is measured; `{}` stands for the part of it.
        trees: This one and the earlier one.
        pairs: How often each is measured.
        measure: Does it with a tree.
        limit: How many times as long it may take.
    """
    finished: tuple[list[Measured], list[Measured]] = ([], [])
    for turn in range(pairs):
        for which in (0, 1) if turn % 2 else (1, 0):
            finished[which].append(measure(trees[which]))
    for part in finished[0][0]:
        ours, before = ([each[part] for each in runs] for runs in finished)
        report(title.format(part), ours, before, limit=limit)
        processor = statistics.median(
            one.cpu_seconds / other.cpu_seconds for one, other in zip(ours, before, strict=True)
        )
        print(f"  processor: {processor:.2f} times as long, {'met' if processor <= limit else 'MISSED'}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Compare and print.

    Args:
        arguments: Command line; None for the process's own.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", default=COMMIT, help="the earlier tree")
    parser.add_argument("--export", type=Path, default=SAMPLE, help="the export of nights of a few thousand customers")
    parser.add_argument("--large", type=int, default=10, help="millions of customers of long nights; 0 for none")
    parser.add_argument("--folder", type=Path, help="where exports and homes go (default: a temporary folder)")
    parser.add_argument(
        "--pairs", type=int, default=5, help="short nights of each; long ones are 2 fewer, readings 2 more"
    )
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary, check_out(chosen.commit) as earlier:
        folder = chosen.folder or Path(temporary)
        pairs, against = chosen.pairs, f"against {chosen.commit}"
        weigh = partial(compare, trees=(ROOT, earlier))
        home = folder / "home"
        title = f"smartcart run over {chosen.export.name}, {{}} night, {against}"
        weigh(title, pairs=pairs, measure=partial(spend_nights, chosen.export, home), limit=SMALL)
        for customers, kind in ((PARQUET, "parquet"), (TEXT, "csv")):
            file = export(folder, customers, kind)
            title = f"{{}} of {customers:,} customers, {kind}, {against}"
            weigh(title, pairs=pairs + 2, measure=partial(read, file), limit=READING)
        if chosen.large:
            file = export(folder, chosen.large * MILLION)
            title = f"smartcart run, {chosen.large * MILLION:,} customers, {{}} night, {against}"
            weigh(title, pairs=max(pairs - 2, 1), measure=partial(spend_nights, file, home), limit=LARGE)


if __name__ == "__main__":
    main()
