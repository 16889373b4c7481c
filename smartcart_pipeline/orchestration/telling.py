"""Telling people what became of the nights: what is new in Dagster's records goes to the outbox, from there to them.

Every way in which a run can end leaves a record: runs of the schedule, of the sensors, of the UI and of the command,
and those that died and were found. So there is one place that looks, in the records, and a run that has been told of is
marked there. The command looks when its run has ended, the sensor every half a minute.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import RunRecord

from smartcart_pipeline.declaration.errors import ExportError, FaultError, HomeError
from smartcart_pipeline.notifications import notices, outbox
from smartcart_pipeline.notifications.notices import Night
from smartcart_pipeline.notifications.outbox import Message
from smartcart_pipeline.notifications.receivers import Notify, notify_of, send
from smartcart_pipeline.orchestration.automation import (
    BY_COMMAND,
    SENSOR_SECONDS,
    find_fault,
    nightly_refresh,
    settings_of,
)
from smartcart_pipeline.orchestration.faults import has_stopped
from smartcart_pipeline.segmentation.drift import DRIFTED
from smartcart_pipeline.storage.arrivals import arrivals
from smartcart_pipeline.storage.home import Home

# Marks a run that has been told of, by its own id: a run that is made from it takes the other marks along.
TOLD = "smartcart/told"
WILL_RETRY = "dagster/will_retry"
# Dagster records a failure first, and a moment later whether it will try again.
SETTLED_SECONDS = 60
JOB = nightly_refresh.name
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]

Say = Callable[[str], object]


@contextmanager
def telling(home: Home, open_records: Callable[[], Any], say: Say, watched: bool) -> Iterator[None]:
    """Tell what a run of the command comes to, once it has ended; nothing happens where nobody is to be told.

    Args:
        home: The home.
        open_records: Opens Dagster's records.
        say: Told what did not arrive.
        watched: Whether somebody sees what the command says: then a run that could not begin is no news.

    Yields:
        For the run.
    """
    try:
        notify = notify_of(home)
    except HomeError:
        # The run itself says so.
        notify = None
    if notify is None:
        yield
        return
    began, since = datetime.now(UTC), outbox.began(home)
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
        raise
    finally:
        teller = Teller(home, notify, say)
        with teller.whatever_comes():
            if _tell_recorded(teller, open_records, began, since) or watched:
                failure = None
            if failure is not None:
                teller.note(notices.tell_unstarted(failure, datetime.now(UTC), home))
            teller.deliver(at_once=True)


def _tell_recorded(teller: "Teller", open_records: Callable[[], Any], began: datetime, since: datetime) -> bool:
    """Note what is new in Dagster's records; returns whether a run of the command is among it."""
    if not (teller.home.dagster / "dagster.yaml").is_file():
        return False
    with teller.whatever_comes(), open_records() as instance:
        teller.note_ended_runs(instance, since)
        mine = dg.RunsFilter(job_name=JOB, statuses=ENDED, tags={BY_COMMAND: "true"}, created_after=began)
        return bool(instance.get_runs(mine, limit=1))
    return False


@dataclass
class Teller:
    """Notes what is new, and brings it to those who are to be told.

    Attributes:
        home: The home.
        notify: Who is told of what.
        say: Told what did not arrive.
        unwritten: Messages that could not be written into the outbox.
    """

    home: Home
    notify: Notify
    say: Say
    unwritten: list[Message] = field(default_factory=list)

    @contextmanager
    def whatever_comes(self) -> Iterator[None]:
        """Go on after any error: a run is what it is, whether somebody can be told of it or not."""
        try:
            yield
        # A full disk, damaged records: they are what has to be told.
        except Exception as error:
            self.say(f"Not everything could be told of what became of the run ({type(error).__name__}).")

    def note(self, message: Message) -> None:
        """Put a message into the outbox, if news of its kind are wanted."""
        if message.kind in self.notify.about:
            try:
                outbox.put(self.home, message)
            except OSError:
                self.unwritten.append(message)

    def deliver(self, at_once: bool = False) -> int:
        """Bring what waits to everybody who does not have it.

        Args:
            at_once: Whether to try again what is not due yet.

        Returns:
            How many messages still wait for somebody.
        """
        senders = {receiver.key: (receiver.name, partial(send, receiver)) for receiver in self.notify.receivers}
        outbox.deliver(self.home, senders, self.say, at_once, self.unwritten)
        return len(outbox.waiting(self.home))

    def note_ended_runs(self, instance: dg.DagsterInstance, since: datetime) -> None:
        """Note the runs that have ended and nobody has been told of, the oldest first.

        Args:
            instance: Where runs are recorded.
            since: What ended before is no news.
        """
        earliest = max(since, datetime.now(UTC) - outbox.GIVEN_UP_AFTER)
        ended = dg.RunsFilter(job_name=JOB, statuses=ENDED, updated_after=earliest)
        with outbox.alone(self.home, "telling") as held:
            for record in reversed(instance.get_run_records(ended)) if held else ():
                run = record.dagster_run
                if run.tags.get(TOLD) != run.run_id and _is_settled(instance, record):
                    message = _read_run(instance, record, self.notify, self.home)
                    if message:
                        self.note(message)
                    instance.add_run_tags(run.run_id, {TOLD: run.run_id})

    def note_freshness(self, instance: dg.DagsterInstance) -> None:
        """Note once that a night has not come, and once that one has come again.

        Args:
            instance: Where runs are recorded.
        """
        last = instance.get_latest_materialization_event(dg.AssetKey("warehouse"))
        if last is None or last.asset_materialization is None:
            return
        published = datetime.fromtimestamp(last.timestamp, UTC)
        night = last.asset_materialization.metadata.get("night")
        number = int(str(night.value)) if night else None
        with outbox.alone(self.home, "telling") as held:
            if not held:
                return
            told = outbox.recall(self.home, "late")
            if datetime.now(UTC) - published > self.notify.late_after:
                if told != published:
                    newest = max(arrivals(self.home), key=lambda path: path.stat().st_mtime, default=None)
                    self.note(notices.tell_late(published, number, self.notify.late_after, newest, self.home))
                    outbox.remember(self.home, "late", published)
            elif told not in (None, published):
                self.note(notices.tell_again(published, number, told, self.home))
                outbox.forget(self.home, "late")


def look_around(instance: dg.DagsterInstance, home: Home, notify: Notify, say: Say, at_once: bool = False) -> int:
    """Tell what is new: runs that have ended, a night that is late; and try again what has not arrived.

    Args:
        instance: Where runs are recorded.
        home: The home.
        notify: Who is told of what.
        say: Told what did not arrive.
        at_once: Whether to try again what is not due yet.

    Returns:
        How many messages still wait for somebody.
    """
    teller = Teller(home, notify, say)
    teller.note_ended_runs(instance, outbox.began(home))
    teller.note_freshness(instance)
    return teller.deliver(at_once)


def _is_settled(instance: dg.DagsterInstance, record: RunRecord) -> bool:
    """Whether it stays as it is: a run that Dagster tries again is told of when it has succeeded, or is given up."""
    run = record.dagster_run
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return True
    will_retry = run.tags.get(WILL_RETRY)
    if will_retry is None and instance.run_retries_enabled:
        return time.time() - (record.end_time or 0.0) > SETTLED_SECONDS
    return will_retry != "true"


@dataclass(frozen=True)
class Events:
    """What Dagster recorded of a run that people may want to know.

    Attributes:
        made: For each table and file that was made, what was said of it.
        checks: What each check found, by its table and name.
        failed: The steps that failed, with their errors: kind and text.
        ended: What Dagster said of a run that failed as a whole.
    """

    made: dict[str, dict[str, Any]]
    checks: dict[tuple[str, str], dg.AssetCheckEvaluation]
    failed: list[tuple[str, str, str]]
    ended: str


def read_events(instance: dg.DagsterInstance, run_id: str) -> Events:
    """Read what Dagster recorded of a run.

    Args:
        instance: Where runs are recorded.
        run_id: The run.

    Returns:
        Its events.
    """
    kinds = dg.DagsterEventType
    types = {kinds.ASSET_MATERIALIZATION, kinds.ASSET_CHECK_EVALUATION, kinds.STEP_FAILURE, kinds.RUN_FAILURE}
    events = Events({}, {}, [], "")
    ended = ""
    for record in instance.get_records_for_run(run_id, of_type=types).records:
        event = record.event_log_entry.get_dagster_event()
        if event.is_step_failure:
            events.failed.append((event.step_key or "", *_error(event.step_failure_data)))
        elif event.event_type is kinds.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            events.checks[check.asset_key.path[-1], check.check_name] = check
        elif event.event_type is kinds.ASSET_MATERIALIZATION:
            made = event.step_materialization_data.materialization
            events.made[made.asset_key.path[-1]] = {key: value.value for key, value in made.metadata.items()}
        else:
            ended = event.message or ""
    return Events(events.made, events.checks, events.failed, ended)


def _error(data: Any) -> tuple[str, str]:
    """The kind of the error that made a step fail, and what it says."""
    if data.user_failure_data and data.user_failure_data.description:
        return "Failure", data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return (error.cls_name or "Error", error.message) if error else ("Error", "")


def _read_run(instance: dg.DagsterInstance, record: RunRecord, notify: Notify, home: Home) -> Message | None:
    run = record.dagster_run
    at = datetime.fromtimestamp(record.end_time or time.time(), UTC)
    events = read_events(instance, run.run_id)
    if run.status is dg.DagsterRunStatus.FAILURE:
        return _tell_failed(run, events, find_fault(instance, run.run_id), at, home)
    night = _night(events)
    if night is None:
        return None
    done = dg.RunsFilter(job_name=JOB, statuses=[dg.DagsterRunStatus.SUCCESS])
    earlier = instance.get_run_records(done, limit=1, cursor=run.run_id)
    before = _night(read_events(instance, earlier[0].dagster_run.run_id)) if earlier else None
    return notices.tell_night(night, before, notify.about, run.run_id, at, home)


def _night(events: Events) -> Night | None:
    """What a run published, as far as it is recorded; None if it published nothing."""
    if "warehouse" not in events.made:
        return None
    warehouse, contest = events.made["warehouse"], events.made.get("promotion_decisions", {})
    drift = events.checks.get(("feature_drift", "no_drift"))
    indexes = {name: value.value for name, value in drift.metadata.items()} if drift else {}

    def rows(table: str) -> int:
        return int(events.made.get(table, {}).get("dagster/row_count") or 0)

    return Night(
        number=int(warehouse.get("night", 0)),
        export=str(warehouse["export"]),
        as_of=str(warehouse["as_of_date"]),
        delivered=rows("raw_customers"),
        customers=rows("clusters"),
        segments=rows("profiles"),
        version=str(warehouse["model_version"]),
        challenger=str(contest.get("challenger", "")),
        promoted=bool(contest.get("promoted", False)),
        verdict=str(contest.get("why", "")),
        reasons=str(contest.get("reasons", "")),
        against=str(contest.get("against", "")),
        drifted={name: float(psi) for name, psi in indexes.items() if isinstance(psi, float) and psi >= DRIFTED},
    )


def _tell_failed(run: dg.DagsterRun, events: Events, fault: FaultError | None, at: datetime, home: Home) -> Message:
    export = Path(settings_of(run).get("input") or events.made.get("raw_customers", {}).get("export") or "export")
    broken = {name: check for name, check in events.checks.items() if has_stopped(check)}
    if isinstance(fault, ExportError):
        rejected = broken.get(("cleaned", "few_rejected"))
        why = _say_rejected(rejected, events) if rejected else str(fault)
        return notices.tell_refusal(export, why, run.run_id, at, home)
    if broken and fault is None:
        found = {name: check.description or "" for name, check in broken.items()}
        return notices.tell_blocked(found, run.run_id, at, home)
    step, kind, said = events.failed[0] if events.failed else (None, "RunError", events.ended)
    why = notices.say_why("RunError", str(fault)) if fault else notices.say_why(kind, said)
    return notices.tell_failure(step, why, "warehouse" in events.made, run.run_id, at, home)


def _say_rejected(check: dg.AssetCheckEvaluation, events: Events) -> str:
    """What the check says, without its examples."""
    found: dict[str, Any] = {name: value.value for name, value in check.metadata.items()}
    reasons = {name: rows for name, rows in found.items() if type(rows) is int}
    path = events.made.get("rejected_customers", {}).get("path")
    return notices.say_rejected(found["share"], found["limit"], reasons, path)


@dg.sensor(
    name="notifications",
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells whom the home's settings name (notify) what became of the nights, and tries again who was down.",
)
def notifications(context: dg.SensorEvaluationContext, home: dg.ResourceParam[Home]) -> dg.SkipReason:
    """The sensor."""
    notify = notify_of(home)
    if notify is None:
        return dg.SkipReason(f"Nobody is to be told: {home.settings} has no section notify.")
    said: list[str] = []
    waiting = look_around(context.instance, home, notify, said.append)
    for line in said:
        context.log.warning(line)
    # What the sensor logs is kept nowhere; why it started nothing is.
    return dg.SkipReason(" ".join([outbox.tell_waiting(waiting), *said]))
