"""Fuzzing the reader: exports as companies deliver them, with bytes changed at random, are read or refused in words.

python -m benchmarks.fuzzing [--inputs N] [--seed N]

The files are those of the tests, each with one thing that companies do. Some bytes of one are changed, lost, doubled or
swapped; then it is read as a run reads it. What is neither read nor refused in a sentence, what takes long and what
takes much memory is printed with the number that makes the same bytes again, and ends the benchmark.
"""

import argparse
import gzip
import io
import resource
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from smartcart_pipeline.declaration.declaration import shipped_declaration
from smartcart_pipeline.declaration.errors import FaultError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.ids import settle_key
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading import read_export
from smartcart_pipeline_tests.exports.test_as_delivered import SAME

SAMPLE = Path(__file__).parents[1] / "data" / "smartcart_customers.csv"
ROWS, INPUTS, SEED = 60, 3_000, 1
# A file of sixty rows takes a tenth of a second, and a process that has read any number of them 600 MB.
SECONDS, MEGABYTES = 20, 1_500
# What means something around or within values, each of which may come to stand anywhere.
MEANING = (
    *(mark.encode() for mark in "\",;\t|\n\r\0-%'"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\x80", b"1e999"),
)
READ = "read"


def make_files(rows: int = ROWS) -> dict[str, bytes]:
    """The sample as companies deliver it.

    Args:
        rows: How many customers each file has.

    Returns:
        Contents by what is peculiar about them: texts, compressed ones, Parquet and workbooks.
    """
    table = pd.read_csv(SAMPLE, dtype=str, keep_default_na=False).head(rows)
    made = {name: write(table) for name, write in SAME.items()}
    files = {name: content.encode() if isinstance(content, str) else content for name, content in made.items()}
    plain = files["dollars"]
    typed, book = io.BytesIO(), io.BytesIO()
    pd.read_csv(SAMPLE).head(rows).to_parquet(typed)
    pd.read_csv(SAMPLE).head(rows).to_excel(book, index=False)
    return files | {"gzip": gzip.compress(plain), "Parquet": typed.getvalue(), "workbook": book.getvalue()}


def mutate(content: bytes, random: np.random.Generator) -> bytes:
    """Change some bytes of a file.

    Args:
        content: The file.
        random: Says which, and how.

    Returns:
        Other bytes, as a rule.
    """
    changed = bytearray(content)
    for _ in range(int(random.choice([1, 1, 2, 5, 50]))):
        _change(changed, random)
    return bytes(changed)


def _change(changed: bytearray, random: np.random.Generator) -> None:
    # The beginning says what a file is, so that half of the changes are there.
    upto = max(min(len(changed), 600) if random.random() < 1 / 2 else len(changed), 1)
    place, length = int(random.integers(upto)), int(random.choice([1, 2, 9, 200]))
    piece = bytes(changed[place : place + length])
    match int(random.integers(6)):
        case 0:
            changed[place : place + length] = random.bytes(len(piece))
        case 1:
            changed[place:place] = MEANING[int(random.integers(len(MEANING)))]
        case 2:
            del changed[place : place + length]
        case 3:
            changed[place:place] = piece * int(random.choice([1, 3, 40]))
        case 4:
            other = int(random.integers(len(changed) + 1))
            changed[other : other + length] = piece
        case 5 if random.random() < 1 / 20:
            del changed[place:]


def judge(path: Path) -> str:
    """Read a file as a run does.

    Args:
        path: The file.

    Returns:
        `READ`, or the sentence by which it is refused.

    Raises:
        AssertionError: If rows are numbered in another way than lines are, or the sentence is none.
    """
    engine = DuckDBEngine()
    with closing(engine):
        try:
            contract = settle_key(shipped_declaration(), path, None).contract
            frame, _ = read_export(engine, inspect_export(path, contract))
            rows = engine.rows(frame.select("line_number"))
        except FaultError as refused:
            said = str(refused)
            assert said.startswith(f"{path}: "), said
            assert said.endswith("."), said
            assert "Traceback" not in said, said
            return said
    lines = [row["line_number"] for row in rows]
    assert len(set(lines)) == len(lines)
    assert min(lines, default=2) >= 2
    return READ


def fuzz(folder: Path, files: dict[str, bytes], number: int) -> tuple[str, str, float]:
    """Change one of the files, and read it.

    Args:
        folder: Where it is put.
        files: From `make_files`.
        number: Which file, and which changes: the same number, the same bytes.

    Returns:
        What was peculiar about the file, what came of it, and how many seconds that took.
    """
    random = np.random.default_rng(number)
    name = list(files)[int(random.integers(len(files)))]
    path = folder / "export.csv"
    path.write_bytes(mutate(files[name], random))
    started = time.monotonic()
    came_of_it = judge(path)
    return name, came_of_it, time.monotonic() - started


def main(arguments: list[str] | None = None) -> None:
    """Change files, read them, and print what came of it.

    Args:
        arguments: Command line; None for the process's own.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS, help="how many files")
    parser.add_argument("--seed", type=int, default=SEED, help="other files")
    chosen = parser.parse_args(arguments)
    files, counted, slowest = make_files(), Counter[tuple[str, bool]](), (0.0, 0)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(chosen.seed * 10**6, chosen.seed * 10**6 + chosen.inputs):
            try:
                name, came_of_it, seconds = fuzz(Path(folder), files, number)
            except BaseException:
                sys.stderr.write(f"number {number}\n")
                raise
            counted[name, came_of_it == READ] += 1
            slowest = max(slowest, (seconds, number))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    for name in files:
        print(f"{name:34}{counted[name, True]:6,} read{counted[name, False]:6,} refused")
    print(f"slowest: {slowest[0]:.2f} s (number {slowest[1]}); peak of the process: {peak:,.0f} MB")
    if slowest[0] > SECONDS or peak > MEGABYTES:
        raise SystemExit(f"more than {SECONDS} s for a file, or than {MEGABYTES:,} MB")


if __name__ == "__main__":
    main()
