"""Spark: the same answers as DuckDB over a million customers, what a second worker saves, what a billion would need.

python -m benchmarks.spark [--customers N] [--pairs N] [--larger N]

Writes `docs/profile-spark.md`. The cluster is a real one, a standalone master with one or two workers of one core each.
"""

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from benchmarks.scale import export, segment
from benchmarks.timing import Run
from smartcart_pipeline_tests.declared import TABLES
from smartcart_pipeline_tests.spark_cluster import missing_for_spark, running_cluster

PAGE = Path(__file__).parents[1] / "docs" / "profile-spark.md"
BILLION = 1_000_000_000
# What a night may take, in hours, and how well a large cluster is used: shuffles and stragglers cost the rest.
NIGHT_HOURS, USED = 4, 0.7
# Largest difference allowed between the engines, by table.
TOLERANCES = {"cleaned": 1e-9, "features": 1e-9, "scaled": 1e-9, "loadings": 1e-6}


def files(home: Path, table: str) -> str:
    """What DuckDB reads a table of the newest run from."""
    path = max((home / "lake" / table).glob("[0-9]*.parquet"))
    return f"read_parquet('{path / '*.parquet' if path.is_dir() else path}')"


def differences(local: Path, spark: Path, table: str) -> float:
    """The largest difference of a number, or infinity where rows or texts differ."""
    key, columns = TABLES[table].key, duckdb.sql(f"DESCRIBE SELECT * FROM {files(local, table)}").fetchall()
    numbers = [f"max(abs(mine.{c[0]} - other.{c[0]}))" for c in columns if c[1] in ("DOUBLE", "FLOAT")] or ["0"]
    others = [f"mine.{c[0]} IS DISTINCT FROM other.{c[0]}" for c in columns if c[1] not in ("DOUBLE", "FLOAT")]
    on = " AND ".join(f"mine.{name} = other.{name}" for name in key)
    [(apart, unlike)] = duckdb.sql(
        f"SELECT greatest({', '.join(numbers)}, 0), count(*) FILTER ({' OR '.join(others)}) "
        f"FROM {files(local, table)} AS mine FULL JOIN {files(spark, table)} AS other ON {on}"
    ).fetchall()
    return math.inf if unlike else float(apart)


def compare_answers(local: Path, spark: Path) -> Iterator[str]:
    """Hold two homes against each other, a line of the page for each answer."""
    from sklearn.metrics import adjusted_rand_score  # noqa: PLC0415

    for table, tolerance in TOLERANCES.items():
        apart = differences(local, spark, table)
        yield f"| `{table}`: largest difference | {apart:.1e} | {tolerance:.0e} | {met(apart <= tolerance)} |"
    ks = [
        duckdb.sql(f"SELECT k FROM {files(home, 'k_selection')} WHERE is_selected").fetchall()[0][0]
        for home in (local, spark)
    ]
    yield f"| k | {ks[1]} | {ks[0]} | {met(ks[0] == ks[1])} |"
    labels = duckdb.sql(
        f"SELECT mine.segment_id, other.segment_id AS others FROM {files(local, 'clusters')} AS mine "
        f"JOIN {files(spark, 'clusters')} AS other USING (customer_id)"
    ).fetchnumpy()
    agreement = adjusted_rand_score(labels["segment_id"].astype(str), labels["others"].astype(str))
    yield f"| segments: adjusted Rand index | {agreement:.6f} | 0.999 | {met(agreement >= 0.999)} |"


def met(holds: bool) -> str:
    """What the page says of a limit."""
    return "met" if holds else "MISSED"


@contextmanager
def workers(number: int) -> Iterator[list[str]]:
    """The options of a run on a cluster of so many workers."""
    with running_cluster(workers=number, memory="2g") as cluster:
        yield ["--engine", "spark", "--master", cluster.url]


def time_workers(folder: Path, customers: int, pairs: int) -> tuple[list[Run], list[Run]]:
    """Runs on one worker and on two, in turn."""
    file = export(folder, customers)
    runs: tuple[list[Run], list[Run]] = ([], [])
    for _ in range(pairs):
        for number, of in enumerate(runs, start=1):
            with workers(number) as options:
                of.append(segment(file, folder / f"spark-{customers}-{number}", *options))
                print(f"  {customers:>11,} customers, {number} workers: {of[-1].seconds:6.1f} s", flush=True)
    return runs


def tell_workers(customers: int, runs: tuple[list[Run], list[Run]]) -> str:
    """What a second worker saves, a line of the page."""
    one, two = runs
    medians = [statistics.median(run.seconds for run in of) for of in runs]
    ratio = statistics.median(b.seconds / a.seconds for a, b in zip(one, two, strict=True))
    return f"| {customers:,} | {len(one)} | {medians[0]:.0f} s | {medians[1]:.0f} s | {ratio:.2f} |"


def plan(seconds: dict[int, float]) -> Iterator[str]:
    """What a billion customers need, from two sizes on two cores: a start and a cost for each customer."""
    (few, less), (many, more) = sorted(seconds.items())
    each = 2 * (more - less) / (many - few)
    start = less - each * few / 2
    core_hours = each * BILLION / 3600
    cores = math.ceil(core_hours / NIGHT_HOURS / USED)
    yield f"- A start of {start:.0f} s, and {each * 1e6:.1f} core-seconds for each million customers behind it."
    yield f"- A billion customers: {core_hours:.1f} core-hours. In a night of {NIGHT_HOURS} hours, with {USED:.0%} of"
    yield f"  a cluster's time used, that is {cores} cores. It has been reckoned, not run."


def main(arguments: list[str] | None = None) -> None:
    """Compare, measure, print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--larger", type=int, default=4_000_000, help="a second size, for the cost of a customer")
    parser.add_argument("--pairs", type=int, default=3, help="runs of the smaller size on one worker and on two")
    parser.add_argument("--folder", type=Path, help="where exports and homes go (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    if lacking := missing_for_spark():
        print(f"\nSpark is not measured: {lacking}")
        return
    print("\nSpark, on a cluster of one worker and of two")
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        segment(export(folder, chosen.customers), folder / "duckdb")
        runs = {chosen.customers: time_workers(folder, chosen.customers, chosen.pairs)}
        answers = list(compare_answers(folder / "duckdb", folder / f"spark-{chosen.customers}-2"))
        runs[chosen.larger] = time_workers(folder, chosen.larger, 1)
    lines = [
        "# The same run on Spark",
        "",
        "Written by `make bench ARGS=spark`: a standalone cluster on one machine of two cores, workers of one core",
        f"each, {chosen.customers:,} generated customers.",
        "",
        "| answer | Spark | DuckDB, or the limit | |",
        "|---|---:|---:|---|",
        *answers,
        "",
        "| customers | pairs of runs | one worker | two workers | ratio |",
        "|---:|---:|---:|---:|---:|",
        *(tell_workers(customers, timed) for customers, timed in runs.items()),
        "",
        "The driver does its part on the same two cores, and a start takes as long whatever the workers, so that the",
        "ratio cannot be one half; the more customers, the nearer it comes.",
        "",
        "## A billion customers",
        "",
        "From the runs on two workers:",
        "",
        *plan({customers: statistics.median(run.seconds for run in two) for customers, (_, two) in runs.items()}),
    ]
    print("\n".join(lines))
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
