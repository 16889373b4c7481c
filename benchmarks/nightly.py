"""The whole command on an export of the real one's size, against the notebook of the same steps.

Two nights: the first in a new home, and the second in a home that has had its first, the same one each time. We store
what people and later nights read, check it, trace its lineage and publish a warehouse; the notebook does none of it.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import compare, report, run

SAMPLE = Path(__file__).parents[1] / "data" / "smartcart_customers.csv"
NIGHTS = ("2014-06-29", "2014-06-30")
# How many times as long as the notebook a night may take.
LIMIT = 1.5


def main(pairs: int = 7) -> None:
    """Compare and print.

    Args:
        pairs: Counted runs of each.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        home, after_first = folder / "home", folder / "after-first"
        smartcart = [sys.executable, "-m", "smartcart_pipeline.cli.main"]
        first, second = (
            [*smartcart, "run", "--input", str(SAMPLE), "--home", str(home), "--as-of", day] for day in NIGHTS
        )
        peer = [sys.executable, "-m", "benchmarks.notebook", str(SAMPLE), str(folder / "plots")]

        def begin() -> None:
            shutil.rmtree(home, ignore_errors=True)

        def restore() -> None:
            begin()
            copy(after_first, home)

        title = "smartcart run, 2,240 customers, {} night, against the notebook"
        report(title.format("first"), *compare(first, peer, pairs, begin), limit=LIMIT)
        begin()
        run(first)
        copy(home, after_first)
        report(title.format("second"), *compare(second, peer, pairs, restore), limit=LIMIT)
        help_text, dagster = [*smartcart, "--help"], [sys.executable, "-c", "import dagster"]
        report("smartcart --help, against importing dagster", *compare(help_text, dagster, pairs), limit=0.5)


def copy(home: Path, to: Path) -> None:
    """Copy a home as it is: owners, modes, times and links."""
    subprocess.run(["/bin/cp", "-a", str(home), str(to)], check=True)


if __name__ == "__main__":
    main()
