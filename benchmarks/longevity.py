"""Whether a home of many nights is as quick as a new one: small nights, one a day, and what they leave.

python -m benchmarks.longevity [--nights N] [--customers N] [--kept N]
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from smartcart_pipeline.orchestration.definitions import build_defs
from smartcart_pipeline.orchestration.night import run_job
from smartcart_pipeline.smartcart.sample import write_sample
from smartcart_pipeline.storage.home import Home

FIRST_DAY = date(2015, 1, 1)
# Nights that are compared at both ends, and nights in a line of the table.
ENDS, TOLD = 10, 10
# So much slower may the last nights be than the first: what is more is a trend.
SLOWER = 1.1


@dataclass(frozen=True)
class Night:
    """What a night took, and what the home held after it.

    Attributes:
        seconds: Wall time.
        cpu_seconds: Processor time.
        peak_megabytes: Largest resident size.
        records: Bytes of `dagster/`.
        home: Bytes of the whole home.
    """

    seconds: float
    cpu_seconds: float
    peak_megabytes: float
    records: int
    home: int


def play_night(home: Home, export: Path, day: date) -> Night:
    """Run one night in a process of its own, which finds everything imported."""
    started = time.monotonic()
    child = os.fork()
    if not child:
        code = 1
        try:
            run_job(home, {"input": str(export), "as_of": day.isoformat()}, quiet=True)
            code = 0
        finally:
            os._exit(code)
    _, status, usage = os.wait4(child, 0)
    assert status == 0, f"the night of {day} failed"
    return Night(
        time.monotonic() - started,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
        size_of(home.dagster),
        size_of(home.root),
    )


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def tell(numbers: range, nights: list[Night]) -> str:
    """A line about some nights: medians, and sizes after the last of them."""
    cpu, wall, peak = (
        statistics.median(getattr(night, name) for night in nights)
        for name in ("cpu_seconds", "seconds", "peak_megabytes")
    )
    last = nights[-1]
    return (
        f"  {numbers[0]:>4} to {numbers[-1]:<4}{cpu:>8.2f} s{wall:>9.2f} s{peak:>8.0f} MB"
        f"{last.records / 1e6:>10.1f} MB{last.home / 1e6:>10.1f} MB"
    )


def main(arguments: list[str] | None = None) -> None:
    """Play the nights and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=120, help="nights to play")
    parser.add_argument("--customers", type=int, default=300, help="customers of each")
    parser.add_argument("--kept", type=int, default=30, help="the setting kept_records")
    chosen = parser.parse_args(arguments)
    build_defs(Home(Path()))
    with tempfile.TemporaryDirectory() as folder:
        home, export = Home(Path(folder) / "home"), Path(folder) / "export.csv"
        write_sample(export, chosen.customers, 1)
        home.root.mkdir()
        home.settings.write_text(f"settings:\n  kept_records: {chosen.kept}\n", encoding="utf-8")
        print(f"{chosen.nights} nights of {chosen.customers} customers, the last {chosen.kept} in Dagster's records")
        print("  nights       processor      wall       peak   dagster/      home", flush=True)
        nights: list[Night] = []
        for number in range(1, chosen.nights + 1):
            nights.append(play_night(home, export, FIRST_DAY + timedelta(days=number)))
            if number % TOLD == 0:
                print(tell(range(number - TOLD + 1, number + 1), nights[-TOLD:]), flush=True)
    # The very first night has nothing to be compared with, and makes the records.
    first, last = nights[1 : ENDS + 1], nights[-ENDS:]
    slower = statistics.median(n.cpu_seconds for n in last) / statistics.median(n.cpu_seconds for n in first)
    met = "met" if slower <= SLOWER else "MISSED"
    print(f"  processor time of the last {ENDS} nights against the first: {slower:.2f}, at most {SLOWER}: {met}")


if __name__ == "__main__":
    main()
