"""A table of another company, of forty columns and ten million customers, beside SmartCart's of as many.

python -m benchmarks.any_table [--customers N] [--pairs N] [--measure-only]

Both are Parquet, and run over as a first night in a new home; the other table by the declaration that `smartcart init`
drafts for it. Then nights are played of all tables of other companies, and of a few hundred that nobody would think of,
which takes half an hour: see `smartcart_pipeline_tests/test_foreign_nights.py` and `test_any_table.py`.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.scale import MILLION, export, segment, smartcart
from benchmarks.timing import Run, run
from smartcart_pipeline_tests.foreign_tables import stream

TABLE = "card_payments"
PEAK_MEGABYTES = 2_000
SUITES = ("smartcart_pipeline_tests/test_foreign_nights.py", "smartcart_pipeline_tests/test_any_table.py")
ALL = {"SMARTCART_TABLES": "all", "SMARTCART_EXAMPLES": "150"}


def draft_and_segment(file: Path, home: Path) -> tuple[Run, Run]:
    """Draft a declaration for a table, and run by it."""
    shutil.rmtree(home, ignore_errors=True)
    drafted = run(smartcart("init", str(file), "--home", str(home)))
    return drafted, run(smartcart("run", "--input", str(file), "--home", str(home)))


def tell(what: str, runs: list[Run]) -> None:
    """Print what runs took: the middle one in time, and the greatest peak."""
    seconds = statistics.median(one.seconds for one in runs)
    peak = max(one.peak_megabytes for one in runs)
    print(f"  {what:<34} {seconds:7.1f} s, {peak:6,.0f} MB peak", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=10 * MILLION, help="customers of each table")
    parser.add_argument("--pairs", type=int, default=1, help="runs of each")
    parser.add_argument("--measure-only", action="store_true", help="play no nights of other tables")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        other = stream(TABLE, folder / f"{TABLE}.parquet", chosen.customers, seed=1)
        ours = export(folder, chosen.customers)
        drafts, others, usual = [], [], []
        for _ in range(chosen.pairs):
            drafted, finished = draft_and_segment(other, folder / "other")
            drafts.append(drafted)
            others.append(finished)
            usual.append(segment(ours, folder / "usual"))
    print(f"{chosen.customers:,} customers, medians of {chosen.pairs}")
    tell(f"smartcart init, {TABLE}", drafts)
    tell(f"smartcart run, {TABLE}", others)
    tell("smartcart run, SmartCart's export", usual)
    ratio = statistics.median(one.seconds / two.seconds for one, two in zip(others, usual, strict=True))
    peak = max(one.peak_megabytes for one in [*drafts, *others])
    met = "met" if peak <= PEAK_MEGABYTES else "MISSED"
    print(f"  {ratio:.2f} times as long; {peak:,.0f} MB peak, to be at most {PEAK_MEGABYTES:,}: {met}", flush=True)
    if not chosen.measure_only:
        subprocess.run([sys.executable, "-m", "pytest", *SUITES], env={**os.environ, **ALL}, check=True)


if __name__ == "__main__":
    main()
