"""Runs killed at random moments on a real disk, many more than the tests have time for.

python -m benchmarks.kills [--plan later|first|promoting] [--kills N] [--seed N]
"""

import argparse
import collections
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "data" / "smartcart_customers.csv"


def main(arguments: list[str] | None = None) -> None:
    """Kill, look, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", choices=("later", "first", "promoting"), default="later", help="which nights to kill")
    parser.add_argument("--kills", type=int, default=400, help="runs to kill")
    parser.add_argument("--seed", type=int, default=1, help="another seed kills at other moments")
    chosen = parser.parse_args(arguments)
    killed: collections.Counter[str] = collections.Counter()
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "smartcart_pipeline_tests.killing", chosen.plan, f"{folder}/home", str(SAMPLE)]
        with subprocess.Popen(
            [*command, str(chosen.kills), str(chosen.seed)], stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout or ():
                run = json.loads(line)
                killed[run["stage"]] += run["killed"]
                faults += [f"{run['stage']}: {fault}" for fault in run["faults"]]
    met = "met" if not faults and process.returncode == 0 else "MISSED"
    print(f"\n{killed.total()} of {chosen.kills} runs killed while they ran; {len(faults)} faults, to be 0: {met}")
    for stage, number in killed.items():
        print(f"  {stage:<24}{number:>5}")
    for fault in faults:
        print(f"  {fault}")


if __name__ == "__main__":
    main()
