"""The whole command on an export of the real one's size, against the notebook of the same steps.

We store thirteen tables, check them, trace their lineage and publish a warehouse; the notebook does none of it.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.timing import compare, report

SAMPLE = Path(__file__).parents[1] / "data" / "smartcart_customers.csv"


def main(pairs: int = 7) -> None:
    """Compare and print.

    Args:
        pairs: Counted runs of each.
    """
    with tempfile.TemporaryDirectory() as folder:
        ours = [
            sys.executable,
            "-m",
            "smartcart_pipeline.cli",
            "run",
            "--input",
            str(SAMPLE),
            "--home",
            f"{folder}/home",
        ]
        peer = [sys.executable, "-m", "benchmarks.notebook", str(SAMPLE), f"{folder}/plots"]
        report("smartcart run, 2,240 customers, against the notebook", *compare(ours, peer, pairs), limit=1.5)
        help_text = [sys.executable, "-m", "smartcart_pipeline.cli", "--help"]
        dagster = [sys.executable, "-c", "import dagster"]
        report("smartcart --help, against importing dagster", *compare(help_text, dagster, pairs), limit=0.5)


if __name__ == "__main__":
    main()
