"""One run at a time in a home: a lock that dies with its process, and an end to what a killed run left half done."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from smartcart_pipeline.storage.access import settle_access
from smartcart_pipeline.storage.home import Home, remove, unwritable

POLL_SECONDS = 0.2
# A lock that is held for less than this is no run, only a look at whether there is one.
SAY_AFTER_SECONDS = 1.0

# Homes that this process holds: a run of the command holds its home before it has an engine that would.
_held: set[Path] = set()


class HomeBusyError(RuntimeError):
    """Another run holds the home, and has for longer than this one was told to wait."""


@contextmanager
def hold(home: Home, wait_seconds: float, say: Callable[[str], object]) -> Iterator[None]:
    """Hold a home for a run, after whoever holds it now; then clear what killed runs left half done.

    Args:
        home: The home.
        wait_seconds: How long to wait at most.
        say: Told once that there is something to wait for.

    Yields:
        Once the home is held. It is let go at the end, or when the process dies.

    Raises:
        HomeBusyError: If it is still held by another after that time.
    """
    if home.root in _held:
        yield
        return
    home.root.mkdir(parents=True, exist_ok=True)
    with home.run_lock.open("a+", encoding="utf-8") as lock:
        _wait(home, lock, wait_seconds, say)
        _held.add(home.root)
        try:
            _sign(lock)
            sweep(home)
            settle_access(home)
            yield
        finally:
            _held.discard(home.root)


@contextmanager
def try_to_hold(home: Home) -> Iterator[bool]:
    """Hold a home for a moment, if nobody else does.

    Args:
        home: The home.

    Yields:
        Whether it is held; nobody can be at work in a home that is not there.

    Raises:
        HomeError: If the home cannot be written.
    """
    try:
        lock = home.run_lock.open("a+", encoding="utf-8")
    except FileNotFoundError:
        yield True
        return
    except OSError as error:
        raise unwritable(home, error) from None
    with lock:
        yield home.root not in _held and _taken(lock)


def sweep(home: Home) -> None:
    """Remove what killed runs left half done; call it only while holding the home.

    Args:
        home: The home.
    """
    for path in (
        *home.publications.glob(".*"),
        *home.root.glob(f".{home.warehouse.name}.*"),
        *home.root.glob(".*.writing"),
        *home.lake.glob("*/.*.writing"),
        *home.models.glob(".*.writing"),
        *home.audiences.glob("*/.*.writing"),
        *home.outcomes.glob(".*.writing"),
        home.spill,
    ):
        remove(path)


def _taken(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(home: Home, lock: TextIO, wait_seconds: float, say: Callable[[str], object]) -> None:
    started, said = time.monotonic(), False
    while not _taken(lock):
        waited = time.monotonic() - started
        if waited >= wait_seconds:
            raise HomeBusyError(
                f"{home.root}: another run is under way{_holder(lock)} and has not ended within {wait_seconds:g} s. "
                "Try again when it has, or wait longer: --wait, or the setting wait_seconds."
            )
        if waited >= SAY_AFTER_SECONDS and not said:
            say(f"Another run is under way in {home.root}{_holder(lock)}: waiting, at most {wait_seconds:g} s.")
            said = True
        time.sleep(POLL_SECONDS)


def _sign(lock: TextIO) -> None:
    """Say in the lock who holds it, for those who wait."""
    lock.truncate(0)
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    json.dump({"pid": os.getpid(), "host": os.uname().nodename, "since": since}, lock)
    lock.flush()


def _holder(lock: TextIO) -> str:
    lock.seek(0)
    try:
        holder = json.load(lock)
    except ValueError:
        return ""
    return f" (process {holder['pid']} on {holder['host']}, since {holder['since']} UTC)"
