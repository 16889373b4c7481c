"""Large exports: the whole command against what a user would write, how time and memory grow, and where the time goes.

python -m benchmarks.scale [--pairs N] [--notebook] [--largest MILLIONS]

Runs are first nights in new homes, from typed Parquet. The peers: a polars script that stores the same six tables of
customers, and the pandas notebook, which stores none. Writes `docs/profile.md`, the profile of the runs over one and
ten million customers.
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
# Customers, how many times as long as the polars script the run may take, and how many times faster than the notebook
# it is to be.
POLARS = {MILLION: 1.2, 10 * MILLION: 1.0}
NOTEBOOK = {MILLION: 2.5, 10 * MILLION: 4.0}
# Customers, and the largest peak a run over so many may have.
PEAK_MEGABYTES = {10 * MILLION: 1_300, 30 * MILLION: 2_000}
SLOPE = 1.05
# Steps that are there for analysts and for the report: of a run's time they are to take this share at most.
READ_BY_PEOPLE = (
    "category_spending_and_plotted_customers",
    "segment_model",
    "segment_rules",
    "warehouse",
    "report",
)
SHARE = 0.15
PROFILE = Path(__file__).parents[1] / "docs" / "profile.md"


def smartcart(*arguments: str) -> list[str]:
    """The command, as a process of its own."""
    return [sys.executable, "-m", "smartcart_pipeline.cli.main", *arguments]


def export(folder: Path, customers: int, kind: str = "parquet") -> Path:
    """Generate an export once."""
    path = folder / f"{customers}.{kind}"
    if not path.exists():
        run(smartcart("generate", "--customers", str(customers), "--output", str(path)))
    return path


def home_of(folder: Path, customers: int) -> Path:
    """Where the run over so many customers goes."""
    return folder / f"home-{customers}"


def segment(file: Path, home: Path, *options: str) -> Run:
    """Run over an export, in a new home: like the peers, it knows of no night before."""
    shutil.rmtree(home, ignore_errors=True)
    return run(smartcart("run", "--input", str(file), "--home", str(home), *options))


def run_peer(name: str, file: Path, folder: Path) -> Run:
    """Run a script over an export, into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    return run([sys.executable, "-m", f"benchmarks.{name}", str(file), str(folder)])


def compare_with_peers(folder: Path, customers: int, pairs: int, notebook: bool) -> None:
    """Run all in turn, and print how long each takes."""
    file = export(folder, customers)
    ours, scripts, notebooks = [], [], []
    for _ in range(pairs):
        ours.append(segment(file, home_of(folder, customers)))
        scripts.append(run_peer("polars_script", file, folder / "tables"))
        if notebook:
            notebooks.append(run_peer("notebook", file, folder / "plots"))
    title = f"smartcart run, {customers:,} customers, against the {{}}"
    report(title.format("polars script"), ours, scripts, limit=POLARS[customers])
    tell_peak(customers, max(one.peak_megabytes for one in ours))
    if notebook:
        faster, wanted = 1 / report(title.format("notebook"), ours, notebooks), NOTEBOOK[customers]
        print(f"  {faster:.2f} times faster, to be at least {wanted}: {'met' if faster >= wanted else 'MISSED'}")


def tell_peak(customers: int, peak: float) -> None:
    """Print whether a run stayed within its memory, where there is a limit."""
    if limit := PEAK_MEGABYTES.get(customers):
        print(f"  {peak:,.0f} MB peak of ours, to be at most {limit:,}: {'met' if peak <= limit else 'MISSED'}")


def measure_growth(folder: Path, largest: int) -> dict[int, Run]:
    """Run over ever more customers and print how time grows."""
    sizes = [size for size in (MILLION, 3 * MILLION, 10 * MILLION, 30 * MILLION, 100 * MILLION) if size <= largest]
    runs = {}
    print("\nHow time and memory grow")
    for size in sizes:
        runs[size] = segment(export(folder, size), home_of(folder, size))
        print(f"  {size:>11,}: {runs[size].seconds:7.1f} s, {runs[size].peak_megabytes:6,.0f} MB peak", flush=True)
        tell_peak(size, runs[size].peak_megabytes)
        if size > 10 * MILLION:
            export(folder, size).unlink()
    measured = [(math.log(size), math.log(one.seconds)) for size, one in runs.items() if size <= 30 * MILLION]
    if len(measured) > 1:
        slope = statistics.linear_regression(*zip(*measured, strict=True)).slope
        met = "met" if slope <= SLOPE else "MISSED"
        print(f"  slope of log time over log customers: {slope:.2f}, to be at most {SLOPE}: {met}")
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
    for customers in sorted(POLARS, reverse=True):
        lines += ["", *profile_run(folder, customers, runs[customers])]
    return "\n".join(lines) + "\n"


def profile_run(folder: Path, customers: int, finished: Run) -> list[str]:
    """Where the seconds and the bytes of the last run over so many customers go, as lines of Markdown."""
    import dagster as dg  # noqa: PLC0415

    from smartcart_pipeline.orchestration.night import open_records  # noqa: PLC0415

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
    parser.add_argument("--pairs", type=int, default=3, help="runs of each, of ours and of the peers")
    parser.add_argument("--notebook", action="store_true", help="run the notebook over ten million customers, too")
    parser.add_argument(
        "--largest", type=int, default=30, help="millions of customers to grow to; below 10 no profile is written"
    )
    parser.add_argument("--folder", type=Path, help="where exports and homes go (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    largest = chosen.largest * MILLION
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        sizes = [customers for customers in POLARS if customers <= largest]
        for customers in sizes:
            compare_with_peers(folder, customers, chosen.pairs, chosen.notebook or customers == MILLION)
        runs = measure_growth(folder, largest)
        if sizes == list(POLARS):
            PROFILE.write_text(profile(folder, runs), encoding="utf-8")


if __name__ == "__main__":
    main()
