"""Whole processes, timed in pairs: the machine may drift, the ratio of neighbours does not."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Seconds between two looks at the memory of what runs. A peak is kept by the system, so that few looks miss little.
BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Run:
    """One finished process.

    Attributes:
        seconds: Wall time.
        cpu_seconds: Processor time of the process and its children.
        peak_megabytes: Largest resident size, in millions of bytes: the peaks of the process and of all that it
            started, added, as if all had their peaks at once and shared nothing.
        processes: How many that were; those of a moment are left out.
    """

    seconds: float
    cpu_seconds: float
    peak_megabytes: float
    processes: int = 1


def run(command: list[str], **environment: str) -> Run:
    """Run a command to its end, once all that was written before is on the disk.

    Args:
        command: Program and arguments.
        **environment: Variables to set for it.

    Returns:
        What it took.

    Raises:
        RuntimeError: If it fails.
    """
    os.sync()
    looks: dict[int, list[int]] = {}
    ended = threading.Event()
    with tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=os.environ | environment)
        watching = threading.Thread(target=watch_memory, args=(process.pid, looks, ended))
        watching.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - started
        finally:
            ended.set()
            watching.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            told = errors.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {told}")
    # Until a new process runs its program, it shows the memory of the one that starts it. So what is seen last counts,
    # and nothing that is seen but once.
    peaks = [seen[-1] for number, seen in looks.items() if number == process.pid or len(seen) > 1]
    # Where there is no /proc, only the process's own peak is known, and no less than that of this process.
    peak = sum(peaks) or usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak / 1e6, max(len(peaks), 1))


def watch_memory(root: int, looks: dict[int, list[int]], ended: threading.Event) -> None:
    """Note the peaks of a process and of all below it, until it has ended.

    `ru_maxrss` would not do: it begins with the size of the process that starts another, however small that one is.

    Args:
        root: The process.
        looks: Where the peaks of each go, in bytes, one a look, by process id.
        ended: Set when there is nothing more to see.
    """
    while not ended.is_set():
        for process in find_processes(root):
            if peak := read_peak(process):
                looks.setdefault(process, []).append(peak)
        ended.wait(BETWEEN_LOOKS)


def find_processes(root: int) -> Iterator[int]:
    """A process and all below it that are there."""
    yield root
    try:
        tasks = list(Path(f"/proc/{root}/task").iterdir())
        children = [(task / "children").read_text() for task in tasks]
    except OSError:  # It has ended, or one of its threads has: the next look will tell.
        return
    for child in " ".join(children).split():
        yield from find_processes(int(child))


def read_peak(process: int) -> int:
    """The largest resident size of a process so far, in bytes; 0 where it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def compare(
    ours: list[str], peers: list[str], pairs: int, prepare: Callable[[], None] = lambda: None
) -> tuple[list[Run], list[Run]]:
    """Run two commands in turn, after one uncounted run of each.

    Args:
        ours: Our command.
        peers: The peer's.
        pairs: How many counted runs of each.
        prepare: What is to be done before each of our runs; it does not count.

    Returns:
        The runs of each.
    """

    def run_pair() -> tuple[Run, Run]:
        prepare()
        return run(ours), run(peers)

    run_pair()
    finished = [run_pair() for _ in range(pairs)]
    return [pair[0] for pair in finished], [pair[1] for pair in finished]


def report(title: str, ours: list[Run], peers: list[Run], limit: float | None = None) -> float:
    """Print medians and the median of the pairs' ratios.

    Args:
        title: What was compared.
        ours: Our runs.
        peers: The peer's, in pairs with ours.
        limit: The largest ratio that is wanted, if there is one.

    Returns:
        The ratio of wall times, ours to the peer's.
    """
    ratios = [one.seconds / other.seconds for one, other in zip(ours, peers, strict=True)]
    ratio = statistics.median(ratios)
    print(f"\n{title} ({len(ratios)} pairs)")
    for name, runs in (("ours", ours), ("peer", peers)):
        seconds, cpu, peak = (
            statistics.median(values)
            for values in zip(*((r.seconds, r.cpu_seconds, r.peak_megabytes) for r in runs), strict=True)
        )
        processes = max(one.processes for one in runs)
        of = "" if processes == 1 else f", the peaks of {processes} processes added"
        print(f"  {name}: {seconds:7.2f} s wall, {cpu:7.2f} s processor, {peak:7.0f} MB peak (medians{of})")
    verdict = "" if limit is None else f", to be at most {limit}: {'met' if ratio <= limit else 'MISSED'}"
    print(f"  ratio ours/peer: {ratio:.2f} (from {min(ratios):.2f} to {max(ratios):.2f}){verdict}", flush=True)
    return ratio
