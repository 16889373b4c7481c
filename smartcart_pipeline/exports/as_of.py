"""The as-of day: which day everything is counted to, and how it is found.

It is a date, or a rule that finds one for every export: `newest`, its newest join date; `delivered`, the day of the
file's modification time; or a pattern of the file's name, as `strptime` takes it. All of them are facts of the file: no
rule asks what day it is now.
"""

import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from smartcart_pipeline.declaration.errors import CallError, ExportError, HomeError
from smartcart_pipeline.declaration.recipe import DELIVERED, NEWEST

RULES = f"{NEWEST}, {DELIVERED}, or a pattern of the file's name such as customers-%Y%m%d.csv"

YEAR = re.compile("%[YyGxc]")
# Two days, and a time, that no pattern confuses unless it leaves out a part of the date.
TRIED = (datetime(2014, 6, 29, 11, 58, 37, tzinfo=UTC), datetime(1999, 12, 3, 23, 4, 5, tzinfo=UTC))


@dataclass(frozen=True)
class Found:
    """The as-of day of an export.

    Attributes:
        day: The day.
        how: How it was found, in words.
        note: What people should know of that; empty if nothing.
    """

    day: date
    how: str
    note: str = ""


def stated_day(rule: str, export: Path, delivered_on: date) -> date | None:
    """The day that a rule states before anything of an export is read.

    Args:
        rule: The setting `as_of`.
        export: The file.
        delivered_on: From `day_of_delivery`.

    Returns:
        The day; None for `newest`.

    Raises:
        CallError: If the rule is none.
        ExportError: If it is a pattern that the file's name does not match.
    """
    if rule == NEWEST:
        return None
    if rule == DELIVERED:
        return delivered_on
    if not _is_pattern(rule):
        return _read_date(rule)
    _require_pattern(rule)
    try:
        return _match(export.name, rule)
    except ValueError:
        raise ExportError(
            f"{export}: the name does not match {rule}, the pattern that as_of is set to, so it tells no day to count "
            f"to. A name that matches is {TRIED[0].strftime(rule)}. Rename the file, or change as_of."
        ) from None


def find_day(rule: str, export: Path, delivered_on: date, newest: date | None, called: str = "join date") -> Found:
    """The day that an export is counted to.

    A delivery is never counted to a day before its newest one: time zones and copies move the time of a file, and
    no customer is to be refused for that. Who joined after a day that a name or a date states is refused by cleaning.

    Args:
        rule: The setting `as_of`.
        export: The file.
        delivered_on: From `day_of_delivery`.
        newest: Its newest day; None where the recipe names no column of days.
        called: What people call such a day.

    Returns:
        The day, and how it was found.

    Raises:
        FaultError: As `stated_day`; and if nothing tells a day.
    """
    stated = stated_day(rule, export, delivered_on)
    if stated is None:
        if newest is not None:
            return Found(newest, f"the newest {called}")
        raise HomeError(
            "The recipe names no column whose newest date is the day to count to (as_of.newest). Name one there, or "
            f"set as_of in settings.yaml to another rule: {DELIVERED}, or a pattern of the file's name."
        )
    if rule != DELIVERED:
        return Found(stated, f"the file's name, by {rule}" if _is_pattern(rule) else "as asked for")
    if newest is None or stated >= newest:
        return Found(stated, "the day of delivery")
    return Found(
        newest,
        f"the newest {called}, which is after the day of delivery",
        f"{export.name} was delivered on {stated}, before its newest {called}, {newest}: everything is "
        "counted to the latter. A copy may have an older time than its content, and SMARTCART_TIMEZONE says whose days "
        "count.",
    )


def day_of_delivery(export: Path) -> date:
    """The day on which a file was written last, in the home's time zone.

    Args:
        export: The file.

    Returns:
        The day, in the time zone SMARTCART_TIMEZONE; in UTC if that is unset.

    Raises:
        HomeError: If there is no such time zone.
    """
    name = os.environ.get("SMARTCART_TIMEZONE") or "UTC"
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise HomeError(
            f"SMARTCART_TIMEZONE is {name!r}: there is no such time zone. Write it like Europe/Oslo."
        ) from None
    return datetime.fromtimestamp(export.stat().st_mtime, zone).date()


def require_rule(rule: str) -> None:
    """Hold what somebody asks for one run against what there is.

    Args:
        rule: A rule or a date.

    Raises:
        CallError: If it is neither.
    """
    if _is_pattern(rule):
        _require_pattern(rule)
    elif rule not in (NEWEST, DELIVERED):
        _read_date(rule)


def require_lasting(rule: object, path: Path) -> None:
    """Hold what a home sets for all its runs against what there is: a rule, but no date.

    Args:
        rule: What is set.
        path: The file that sets it.

    Raises:
        HomeError: If it is none.
    """
    told = str(rule)
    if isinstance(rule, date) or _is_date(told):
        raise HomeError(
            f"{path}: as_of is {told}. A date would be the day of every night, and each would take the place of the "
            f"one before: give it to one run, with --as-of. What can be set is {RULES}."
        )
    if told not in (NEWEST, DELIVERED) and not _is_pattern(told):
        raise HomeError(f"{path}: as_of is {told!r}, expected {RULES}.")
    try:
        require_rule(told)
    except CallError as error:
        raise HomeError(f"{path}: {error}") from None


def _is_pattern(rule: str) -> bool:
    return "%" in rule


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _read_date(text: str) -> date:
    if not _is_date(text):
        raise CallError(f"--as-of {text!r} is not a date. Write it as YYYY-MM-DD. Or give a rule: {RULES}.")
    return date.fromisoformat(text)


def _match(name: str, pattern: str) -> date:
    return datetime.strptime(name, pattern).replace(tzinfo=UTC).date()


def _require_pattern(pattern: str) -> None:
    """Whether a pattern tells a whole date, by trying it."""
    try:
        told = [_match(day.strftime(pattern), pattern) for day in TRIED if YEAR.search(pattern)]
    except ValueError:
        told = []
    if told != [day.date() for day in TRIED] or "/" in pattern:
        raise CallError(
            f"as_of {pattern!r} is no pattern that tells a date. Write the file's name, without folders, with %Y, %m "
            "and %d in the places of year, month and day: customers-%Y%m%d.csv. A percent sign itself is %%."
        )
