"""Large exports: the whole command against the notebook, how time and memory grow, and where the time goes.

python -m benchmarks.scale [--pairs N] [--largest MILLIONS]

Writes `docs/profile.md`, the profile of the runs over one and ten million customers.
"""

import argparse
import math
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import Run, report, run
from smartcart_pipeline.storage.home import Home

MILLION = 1_000_000
# Customers, and how many times faster than the notebook the run is to be.
TARGETS = {MILLION: 2.5, 10 * MILLION: 4.0}
PEAK_MEGABYTES = {MILLION: 1_500, 10 * MILLION: 1_500}
# Steps that are there for analysts and for the report: of a run's time they are to take this share at most.
READ_BY_PEOPLE = (
    "illustrating",
    "check_category_spending",
    "segment_model",
    "check_segment_model",
    "segment_rules",
    "check_segment_rules",
    "warehouse",
    "report",
)
SHARE = 0.15
PROFILE = Path(__file__).parents[1] / "docs" / "profile.md"


def smartcart(*arguments: str) -> list[str]:
    """The command, as a process of its own."""
    return [sys.executable, "-m", "smartcart_pipeline.cli", *arguments]


def export(folder: Path, customers: int) -> Path:
    """Generate an export once."""
    path = folder / f"{customers}.parquet"
    if not path.exists():
        run(smartcart("generate", "--customers", str(customers), "--output", str(path)))
    return path


def home_of(folder: Path, customers: int) -> Path:
    """Where the run over so many customers goes."""
    return folder / f"home-{customers}"


def segment(file: Path, home: Path, *options: str) -> Run:
    """Run over an export, in a new home: like the notebook, it knows of no night before."""
    shutil.rmtree(home, ignore_errors=True)
    return run(smartcart("run", "--input", str(file), "--home", str(home), *options))


def compare_with_notebook(folder: Path, customers: int, pairs: int) -> None:
    """Run both in turn and print how many times faster the pipeline is."""
    file = export(folder, customers)
    peer = [sys.executable, "-m", "benchmarks.notebook", str(file), str(folder / "plots")]
    finished = [(segment(file, home_of(folder, customers)), run(peer)) for _ in range(pairs)]
    runs, peers = [pair[0] for pair in finished], [pair[1] for pair in finished]
    title = f"smartcart run, {customers:,} customers, against the notebook"
    faster = 1 / report(title, runs, peers)
    peak = max(one.peak_megabytes for one in runs)
    met = "met" if faster >= TARGETS[customers] else "MISSED"
    within = "met" if peak <= PEAK_MEGABYTES[customers] else "MISSED"
    print(f"  {faster:.2f} times faster, to be at least {TARGETS[customers]}: {met}")
    print(f"  {peak:,.0f} MB peak, to be at most {PEAK_MEGABYTES[customers]:,}: {within}")


def measure_growth(folder: Path, largest: int) -> dict[int, Run]:
    """Run over ever more customers and print how time grows."""
    sizes = [size for size in (MILLION, 3 * MILLION, 10 * MILLION, 30 * MILLION, 100 * MILLION) if size <= largest]
    runs = {}
    print("\nHow time and memory grow")
    for size in sizes:
        runs[size] = segment(export(folder, size), home_of(folder, size))
        print(f"  {size:>11,}: {runs[size].seconds:7.1f} s, {runs[size].peak_megabytes:6,.0f} MB peak", flush=True)
        if size > 10 * MILLION:
            export(folder, size).unlink()
    measured = [(math.log(size), math.log(one.seconds)) for size, one in runs.items() if size <= 30 * MILLION]
    slope = statistics.linear_regression(*zip(*measured, strict=True)).slope
    met = "met" if slope <= 1.05 else "MISSED"
    print(f"  slope of log time over log customers: {slope:.2f}, to be at most 1.05: {met}")
    return runs


def profile(folder: Path, runs: dict[int, Run]) -> str:
    """Where the seconds and the bytes of runs go, as a page.

    Args:
        folder: The benchmark's folder.
        runs: What runs over so many customers took.

    Returns:
        Markdown.
    """
    lines = ["# Where large runs spend their time", ""]
    lines += ["Written by `make bench ARGS=scale`. Times differ from machine to machine; the shares hardly do.", ""]
    lines += ["## How it grows", "", "| customers | seconds | MB at the peak |", "|---:|---:|---:|"]
    lines += [f"| {size:,} | {one.seconds:.1f} | {one.peak_megabytes:,.0f} |" for size, one in runs.items()]
    for customers in sorted(TARGETS, reverse=True):
        lines += ["", *profile_run(folder, customers, runs[customers])]
    return "\n".join(lines) + "\n"


def profile_run(folder: Path, customers: int, finished: Run) -> list[str]:
    """Where the seconds and the bytes of the last run over so many customers go, as lines of Markdown."""
    import dagster as dg  # noqa: PLC0415

    from smartcart_pipeline.night import open_records  # noqa: PLC0415

    with open_records(Home(home_of(folder, customers))) as instance:
        [last] = instance.get_runs(limit=1)
        steps = sorted(instance.get_run_step_stats(last.run_id), key=lambda step: step.start_time)
        records = instance.get_records_for_run(last.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    written = {}
    for record in records:
        event = record.event_log_entry.get_dagster_event()
        metadata = event.step_materialization_data.materialization.metadata
        size = metadata["bytes"].value if "bytes" in metadata else 0
        written[event.step_key] = written.get(event.step_key, 0) + size
    lines = [
        f"## {customers:,} customers",
        "",
        f"`smartcart run` over generated customers (Parquet): {finished.seconds:.1f} s wall,",
        f"{finished.cpu_seconds:.1f} s of processor time on two cores, {finished.peak_megabytes:,.0f} MB peak.",
        "",
        "| step | seconds | share | MB written |",
        "|---|---:|---:|---:|",
    ]
    in_steps = for_people = 0.0
    for step in steps:
        seconds = step.end_time - step.start_time
        in_steps += seconds
        for_people += seconds * (step.step_key in READ_BY_PEOPLE)
        megabytes = f"{written[step.step_key] / 1e6:,.1f}" if step.step_key in written else ""
        lines.append(f"| `{step.step_key}` | {seconds:.1f} | {seconds / finished.seconds:.0%} | {megabytes} |")
    rest = finished.seconds - in_steps
    lines.append(f"| starting, between steps, ending | {rest:.1f} | {rest / finished.seconds:.0%} | |")
    lines.append(f"| **all** | **{finished.seconds:.1f}** | | **{sum(written.values()) / 1e6:,.1f}** |")
    share = for_people / finished.seconds
    met = "met" if share <= SHARE else "MISSED"
    lines += ["", f"`{'`, `'.join(READ_BY_PEOPLE)}`,", "which make what analysts and marketing read, take "]
    lines[-1] += f"{share:.1%} of the run, to be at most {SHARE:.0%}: {met}."
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Compare, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3, help="runs of each, of ours and of the notebook")
    parser.add_argument("--largest", type=int, default=30, help="millions of customers to grow to")
    parser.add_argument("--folder", type=Path, help="where exports and homes go (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        for customers in TARGETS:
            compare_with_notebook(folder, customers, chosen.pairs)
        runs = measure_growth(folder, chosen.largest * MILLION)
        PROFILE.write_text(profile(folder, runs), encoding="utf-8")


if __name__ == "__main__":
    main()
