"""What people are told, in words: facts go in, a title and a few lines come out. No customer's value stands in them."""

import hashlib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from smartcart_pipeline.notifications.outbox import Message
from smartcart_pipeline.storage.home import Home

# A longer subject is cut off by most who show it.
TITLE = 150

# As Python and SQL quote; an apostrophe within a word opens nothing.
QUOTED = re.compile(r"""(?<!\w)'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")

UNCHANGED = "What was published before is unchanged."


@dataclass(frozen=True)
class Night:
    """A night that has published.

    Attributes:
        number: Its number.
        export: The name of the export.
        as_of: The day that everything was counted to.
        delivered: Rows of the export.
        customers: Customers in segments.
        segments: How many segments.
        version: The model in force.
        challenger: Tonight's fit.
        promoted: Whether it is in force since tonight.
        verdict: Why, or why not.
        reasons: What spoke for it.
        against: What spoke against it.
        drifted: The features that are far from what the model in force was fitted on, with their indexes.
    """

    number: int
    export: str
    as_of: str
    delivered: int
    customers: int
    segments: int
    version: str
    challenger: str
    promoted: bool
    verdict: str
    reasons: str
    against: str
    drifted: dict[str, float]


def tell_night(
    night: Night, before: Night | None, about: Collection[str], key: str, at: datetime, home: Home
) -> Message:
    """Tell of a night that has published.

    Args:
        night: The night.
        before: The one before it, if there is one; what was so then is no news.
        about: The kinds of news that are wanted, `success` among them if every good night is.
        key: The run.
        at: When it ended.
        home: The home.

    Returns:
        One message; its kind is the most urgent of what is wanted of it, or empty where nothing is.
    """
    size = f"{night.customers:,} customers in {night.segments} segments"
    rejected = night.delivered - night.customers
    delivered = f"{night.export}, as of {night.as_of}: {night.customers:,} of {night.delivered:,} customers"
    lines = [f"{delivered} in {night.segments} segments, {rejected:,} set aside."]
    news = [kind for kind in _news(night, before) if kind in about]
    drifted = ", ".join(f"{name} ({psi:.2f})" for name, psi in sorted(night.drifted.items(), key=lambda item: -item[1]))
    titles = {
        "promotion": f"night {night.number} puts model {night.version} in force, {size}",
        "held": f"night {night.number} published, challenger {night.challenger} held",
        "drift": f"night {night.number} published, drift in {_count(len(night.drifted), 'feature')}",
        "success": f"night {night.number} published, {size}",
    }
    lines.append(f"Model in force: {night.version}. {night.verdict}")
    if "promotion" in news:
        lines.append(f"To go back: smartcart model promote VERSION --reason WHY --home {home.root}")
    if "held" in news:
        lines.append(
            f"To have it all the same: smartcart model promote {night.challenger} --reason WHY --home {home.root}"
        )
    if "drift" in news:
        lines.append(f"Far from what that model was fitted on, by their index: {drifted}.")
    if not news and "success" in about:
        news = ["success"]
    kind = news[0] if news else ""
    lines.append(f"Report: {home.report} ({_signed(key, at)})")
    return Message(key, kind, _title(titles.get(kind, "")), "\n".join(lines), at)


def _news(night: Night, before: Night | None) -> list[str]:
    """What is new since the night before, the most urgent first."""
    if before is None:
        return []
    held = not night.promoted and night.reasons
    was_held = not before.promoted and (before.reasons, before.against) == (night.reasons, night.against)
    found = {
        "promotion": night.promoted,
        "held": held and not was_held,
        "drift": set(night.drifted) - set(before.drifted),
    }
    return [kind for kind, is_so in found.items() if is_so]


def tell_failure(step: str | None, why: str, published: bool, key: str, at: datetime, home: Home) -> Message:
    """Tell of a run that failed.

    Args:
        step: Where.
        why: From `say_why`.
        published: Whether it had published before.
        key: The run.
        at: When.
        home: The home.

    Returns:
        The message.
    """
    lines = [
        f"{why}",
        "The warehouse of this run is published." if published else UNCHANGED,
        f"Details: smartcart dev --home {home.root} ({_signed(key, at)})",
    ]
    return Message(key, "failure", _title(f"the run failed{f' in step {step}' if step else ''}"), "\n".join(lines), at)


def tell_unstarted(error: Exception, at: datetime, home: Home) -> Message:
    """Tell of a run of the command that stopped before there was anything to record.

    Args:
        error: Why it stopped.
        at: When.
        home: The home.

    Returns:
        The message.
    """
    kind = "RunError" if type(error).__module__.startswith(__package__) else type(error).__name__
    body = "\n".join([say_why(kind, str(error)), UNCHANGED, f"Home: {home.root} ({_time(at)})"])
    return Message(f"command-{os.getpid()}", "failure", _title("the run could not begin"), body, at)


def tell_refusal(export: Path, why: str, run_id: str | None, at: datetime, home: Home) -> Message:
    """Tell of an export that cannot be used.

    Args:
        export: The file.
        why: The reason, in words.
        run_id: The run that refused it, if it came to one.
        at: When.
        home: The home.

    Returns:
        The message.
    """
    lines = [_without_values(why.removeprefix(f"{export}: ")), UNCHANGED]
    if export.parent == home.incoming:
        lines.append(f"Where it is now, with its reason in full: {home.refused}")
    lines.append(f"Home: {home.root} ({_signed(run_id, at) if run_id else _time(at)})")
    key = run_id or hashlib.sha256(f"{export.name}\n{why}".encode()).hexdigest()[:16]
    return Message(key, "refused_export", _title(f"export {export.name} refused"), "\n".join(lines), at)


def say_rejected(share: float, limit: float, reasons: dict[str, Any], rows: str | None) -> str:
    """Why an export with too many bad rows is refused.

    Args:
        share: Of its rows, that are rejected.
        limit: The share that may be.
        reasons: Rows by reason.
        rows: The file of the rejected rows.

    Returns:
        A few sentences.
    """
    told = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1]))
    where = f" All refused rows with their reasons: {rows}" if rows else ""
    return (
        f"{share:.1%} of its rows are rejected (limit {limit:.1%}): {told}. "
        f"Correct the export and deliver it again, or raise max_rejected_share.{where}"
    )


def tell_blocked(found: dict[tuple[str, str], str], key: str, at: datetime, home: Home) -> Message:
    """Tell of a night that a check has stopped.

    Args:
        found: What each failed check found, by its table and name.
        key: The run.
        at: When.
        home: The home.

    Returns:
        The message.
    """
    lines = [f"Check {name} of {table}: {finding}" for (table, name), finding in sorted(found.items())]
    lines += [UNCHANGED, f"Details: smartcart dev --home {home.root} ({_signed(key, at)})"]
    [(table, name), *others] = sorted(found)
    more = f" and {_count(len(others), 'other')}" if others else ""
    title = _title(f"night stopped by check {name} of {table}{more}")
    return Message(key, "blocked_check", title, "\n".join(lines), at)


def tell_late(published: datetime, number: int | None, after: timedelta, newest: Path | None, home: Home) -> Message:
    """Tell that a night has not come.

    Args:
        published: When the last one was published.
        number: Its number, if that is known.
        after: When a night is late.
        newest: The newest export there is.
        home: The home.

    Returns:
        The message.
    """
    at = datetime.now(UTC)
    which = "The last night" if number is None else f"Night {number}"
    arrived = datetime.fromtimestamp(newest.stat().st_mtime, UTC) if newest else None
    if arrived is None or newest is None:
        why = f"No export lies in {home.incoming}."
    elif arrived <= published:
        why = f"No export has arrived since: the newest in {home.incoming} is {newest.name}, of {_time(arrived)}."
    else:
        why = f"{newest.name} arrived at {_time(arrived)}, and has not been published."
    hours = after.total_seconds() / 3600
    lines = [
        f"{which} was published at {_time(published)}, and none since; a night is late after {hours:g} hours.",
        f"{why} What runs and the schedule say: smartcart dev --home {home.root}",
    ]
    return Message(
        f"late-{published:%Y%m%dT%H%M%S}", "late", _title(f"no night since {_time(published)}"), "\n".join(lines), at
    )


def tell_again(published: datetime, number: int | None, since: datetime, home: Home) -> Message:
    """Tell that a night has come after one was late.

    Args:
        published: When it was.
        number: Its number, if that is known.
        since: When the one before it was.
        home: The home.

    Returns:
        The message.
    """
    which = "A night" if number is None else f"Night {number}"
    lines = [f"It was late: the one before it was published at {_time(since)}.", f"Report: {home.report}"]
    title = _title(f"{which[0].lower()}{which[1:]} has come, at {_time(published)}")
    return Message(f"again-{published:%Y%m%dT%H%M%S}", "late", title, "\n".join(lines), published)


def tell_test(home: Home) -> Message:
    """A message to try receivers with.

    Args:
        home: The home.

    Returns:
        The message.
    """
    at = datetime.now(UTC)
    body = f"Somebody tries who is told of the nights in {home.root} on {os.uname().nodename} ({_time(at)})."
    return Message("test", "success", _title("a test message"), body, at)


# Errors of the system and of an engine that is out of memory hold no value of a customer.
OF_THE_SYSTEM = {
    "OutOfMemoryException",
    "MemoryError",
    "OSError",
    *(kind.__name__ for kind in OSError.__subclasses__()),
}
OUR_OWN = {"ExportError", "CallError", "HomeError", "HomeBusyError", "RunError", "Failure"}


def say_why(kind: str, said: str) -> str:
    """Why a run failed: what the error says where that can hold no customer's value, else only what kind it is.

    Args:
        kind: The name of the error's class.
        said: Its text.

    Returns:
        One line.
    """
    if kind in OF_THE_SYSTEM:
        return " ".join(said.split())
    return _without_values(said) if kind in OUR_OWN else f"{kind}: what it says stands in Dagster's records only."


def _without_values(said: str) -> str:
    """One line, without what stands in quotation marks: it comes from the export."""
    return QUOTED.sub("…", " ".join(said.split()))


def _title(text: str) -> str:
    # A file's name may hold anything, also the end of a line.
    return f"SmartCart: {' '.join(text.split())}"[:TITLE]


def _signed(key: str, at: datetime) -> str:
    return f"run {key[:8]}, {_time(at)}"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
