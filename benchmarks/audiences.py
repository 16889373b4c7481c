"""What audiences, their lists and the results of campaigns add to a night.

python -m benchmarks.audiences [--millions N] [--folder FOLDER]

Nights of one home: without a file of audiences, with one, and with outcomes of a campaign. What a night takes beyond
the steps of audiences is what it would take without them.
"""

import argparse
import tempfile
from pathlib import Path

import duckdb

from benchmarks.scale import MILLION, export, smartcart
from benchmarks.timing import run
from smartcart_pipeline.orchestration.night import open_records
from smartcart_pipeline.storage.home import Home

STEPS = ("audiences_and_5_more", "campaign_results_and_2_more", "audience_lists")
# So much longer a night may be for them.
LIMIT = 0.10
DECLARED = """
control: 0.02
audiences:
  - {name: win_back, where: is_at_risk and total_spending > 500, exclusive: true, holdout: 0.2, nightly: true}
  - {name: wine, where: total_spending > 1200 and segment_id = 'S01', exclusive: true, priority: 200, holdout: 0.1}
  - {name: best, where: is_high_value, limit: 100000}
  - {name: newcomers, where: customer_tenure_days < 60, holdout: 0.5}
"""


def spend_night(file: Path, home: Path, day: str) -> tuple[float, dict[str, float]]:
    """A night, and the seconds of each of its steps of audiences."""
    finished = run(smartcart("run", "--input", str(file), "--home", str(home), "--as-of", day))
    with open_records(Home(home)) as instance:
        [last] = instance.get_runs(limit=1)
        steps = {step.step_key: step for step in instance.get_run_step_stats(last.run_id)}
    return finished.seconds, {
        name: (steps[name].end_time or 0) - (steps[name].start_time or 0) for name in STEPS if name in steps
    }


def tell(title: str, seconds: float, steps: dict[str, float]) -> None:
    """Print what they add."""
    theirs = sum(steps.values())
    added = theirs / (seconds - theirs)
    parts = ", ".join(f"{name} {each:.1f} s" for name, each in steps.items())
    met = "met" if added <= LIMIT else "MISSED"
    print(
        f"  {title:28}{seconds:7.1f} s, {added:6.1%} for audiences ({parts}), to be at most {LIMIT:.0%}: {met}",
        flush=True,
    )


def write_outcomes(home: Path, path: Path) -> None:
    """Every tenth of those who are addressed buys, of the others every fifteenth."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute(
            "COPY (SELECT audience AS campaign, customer_id, DATE '2014-07-05' AS day, true AS converted, "
            "hash(customer_id) % 10000 / 100 AS amount FROM audience_members WHERE valid_to IS NULL "
            "AND audience IN ('win_back', 'wine') "
            "AND hash(customer_id, 1) % CASE WHEN member_group = 'treated' THEN 10 ELSE 15 END = 0) "
            f"TO '{path}' (FORMAT parquet)"
        )


def main(arguments: list[str] | None = None) -> None:
    """Spend the nights and print.

    Args:
        arguments: Command line; None for the process's own.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, default=10, help="millions of customers")
    parser.add_argument("--folder", type=Path, help="where export and home go (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        file, home = export(folder, chosen.millions * MILLION), Path(temporary) / "home"
        print(f"\nAudiences of {chosen.millions} million customers")
        tell("first night, no file", *spend_night(file, home, "2014-07-01"))
        tell("second night, no file", *spend_night(file, home, "2014-07-02"))
        (home / "audiences.yaml").write_text(DECLARED, encoding="utf-8")
        tell("third, with four audiences", *spend_night(file, home, "2014-07-03"))
        tell("fourth, with lists again", *spend_night(file, home, "2014-07-04"))
        incoming = home / "incoming" / "outcomes"
        incoming.mkdir(parents=True)
        write_outcomes(home, incoming / "outcomes.parquet")
        tell("fifth, with outcomes", *spend_night(file, home, "2014-07-05"))


if __name__ == "__main__":
    main()
