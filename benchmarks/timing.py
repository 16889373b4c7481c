"""Whole processes, timed in pairs: the machine may drift, the ratio of neighbours does not."""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One finished process.

    Attributes:
        seconds: Wall time.
        cpu_seconds: Processor time of the process and its children.
        peak_megabytes: Largest resident size, by the operating system's count.
    """

    seconds: float
    cpu_seconds: float
    peak_megabytes: float


def run(command: list[str], **environment: str) -> Run:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        **environment: Variables to set for it.

    Returns:
        What it took.

    Raises:
        RuntimeError: If it fails.
    """
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | environment)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors.decode()[-2000:]}")
    peak = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak)


def compare(ours: list[str], peers: list[str], pairs: int) -> tuple[list[Run], list[Run]]:
    """Run two commands in turn, after one uncounted run of each.

    Args:
        ours: Our command.
        peers: The peer's.
        pairs: How many counted runs of each.

    Returns:
        The runs of each.
    """
    run(ours)
    run(peers)
    finished = [(run(ours), run(peers)) for _ in range(pairs)]
    return [pair[0] for pair in finished], [pair[1] for pair in finished]


def report(title: str, ours: list[Run], peers: list[Run], limit: float | None = None) -> float:
    """Print medians and the median of the pairs' ratios.

    Args:
        title: What was compared.
        ours: Our runs.
        peers: The peer's, in pairs with ours.
        limit: The ratio to stay under, if there is one.

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
        print(f"  {name}: {seconds:7.2f} s wall, {cpu:7.2f} s processor, {peak:7.0f} MB peak (medians)")
    verdict = "" if limit is None else f", to stay under {limit}: {'met' if ratio <= limit else 'MISSED'}"
    print(f"  ratio ours/peer: {ratio:.2f} (from {min(ratios):.2f} to {max(ratios):.2f}){verdict}")
    return ratio
