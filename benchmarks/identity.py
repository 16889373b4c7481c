"""How steady segments are over simulated nights, and what keeping their identity costs a run.

python -m benchmarks.identity [--nights N] [--customers N] [--seeds N] [--millions N]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import run
from smartcart_pipeline.cli.simulate import POLICIES, play
from smartcart_pipeline.orchestration.night import open_records
from smartcart_pipeline.storage.home import Home

# Shares of known customers, nights and moves that the pipeline is to reach.
WORST_RELABELLED, NIGHTS_TO_FIND, CAUSES_RIGHT = 0.001, 3, 0.95
# A night that is held against the night before and its model may take so many times as long as a first night.
LONGER = 1.15
# Seconds that a step must take longer for it to be told.
TOLD = 0.2


def judge(nights: int, customers: int, seed: int) -> None:
    """Play all worlds once and hold them against the targets."""
    print(f"\n{nights} simulated nights from {customers:,} customers, seed {seed}")
    rows = play(nights, customers, seed)
    for row in rows:
        found = row["nights_to_find"]
        told = "" if row["world"] != "sudden" else f", group found after {'never' if found is None else found} nights"
        told += "" if row["changed_moved"] is None else f", {row['changed_moved']:.1%} of the changed moved"
        told += "" if row["causes_right"] is None else f", {row['causes_right']:.1%} of {row['moves']} causes right"
        print(
            f"  {row['world']:<10}{POLICIES[row['policy']]:<24}relabelled {row['mean_relabelled']:.3%} a night, "
            f"{row['worst_relabelled']:.3%} on the worst{told}"
        )
    ours = {row["world"]: row for row in rows if row["policy"] == "identity"}
    found = ours["sudden"]["nights_to_find"]
    met = {
        "worst night of the unchanged world": ours["unchanged"]["worst_relabelled"] <= WORST_RELABELLED,
        "nights to find the new group": found is not None and found <= NIGHTS_TO_FIND,
        "causes right": all((row["causes_right"] or 1) >= CAUSES_RIGHT for row in ours.values()),
    }
    print("  " + ", ".join(f"{name}: {'met' if holds else 'MISSED'}" for name, holds in met.items()))


def measure_cost(customers: int, folder: Path) -> None:
    """Run two nights over many customers, and say how much longer the second takes and where.

    The first night has no model to be held against and no night before: a run without identity takes as long.
    """
    smartcart = [sys.executable, "-m", "smartcart_pipeline.cli.main"]
    export, home = folder / "export.parquet", folder / "home"
    run([*smartcart, "generate", "--customers", str(customers), "--output", str(export)])
    first, second = (
        run([*smartcart, "run", "--input", str(export), "--home", str(home), "--as-of", day])
        for day in ("2014-06-29", "2014-06-30")
    )
    with open_records(Home(home)) as instance:
        later, before = (
            {step.step_key: step.end_time - step.start_time for step in instance.get_run_step_stats(night.run_id)}
            for night in instance.get_runs(limit=2)
        )
    print(f"\nTwo nights over {customers:,} customers")
    for name, night in (("first", first), ("second", second)):
        print(
            f"  {name:<8}{night.seconds:7.1f} s wall,{night.cpu_seconds:7.1f} s processor, "
            f"{night.peak_megabytes:,.0f} MB peak"
        )
    longer = {step: seconds - before.get(step, 0.0) for step, seconds in later.items()}
    for step, seconds in sorted(longer.items(), key=lambda each: -each[1]):
        if seconds >= TOLD:
            print(f"  {step:<24}{seconds:+6.1f} s")
    ratio = second.seconds / first.seconds
    met = "met" if ratio <= LONGER else "MISSED"
    print(f"  the second takes {ratio:.2f} times as long as the first, to be at most {LONGER}: {met}")


def main(arguments: list[str] | None = None) -> None:
    """Play, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=90, help="simulated nights")
    parser.add_argument("--customers", type=int, default=2_000, help="customers on the first simulated night")
    parser.add_argument("--seeds", type=int, default=1, help="how many simulations")
    parser.add_argument(
        "--millions", type=float, default=10, help="millions of customers to measure the cost with; or 0"
    )
    chosen = parser.parse_args(arguments)
    for seed in range(1, chosen.seeds + 1):
        judge(chosen.nights, chosen.customers, seed)
    if chosen.millions:
        with tempfile.TemporaryDirectory() as folder:
            measure_cost(round(chosen.millions * 1_000_000), Path(folder))


if __name__ == "__main__":
    main()
