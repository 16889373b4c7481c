"""When the job runs by itself: every night, and as soon as a new export arrives."""

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from smartcart_pipeline.campaigns.outcomes import DIGITS, digest_of, find_files, kept_files
from smartcart_pipeline.declaration.declaration import Declaration, read_declaration
from smartcart_pipeline.declaration.errors import CallError, ExportError, FaultError, HomeError
from smartcart_pipeline.declaration.files import DeclarationError
from smartcart_pipeline.declaration.recipe import NEWEST
from smartcart_pipeline.exports.as_of import day_of_delivery, stated_day
from smartcart_pipeline.exports.inspecting import hash_content, inspect_export
from smartcart_pipeline.notifications import notices, outbox
from smartcart_pipeline.notifications.receivers import notify_of
from smartcart_pipeline.orchestration.checks import CAN_BE_USED
from smartcart_pipeline.orchestration.faults import AT_FAULT
from smartcart_pipeline.orchestration.settings import Settings, read_home
from smartcart_pipeline.report.rendering import mend_report
from smartcart_pipeline.storage.arrivals import arrivals, find_export, kind_of, tell_left_alone
from smartcart_pipeline.storage.home import Home, require_space
from smartcart_pipeline.storage.models import is_asked, read_record, read_version
from smartcart_pipeline.storage.publications import kept_publications, published, run_of, tell_strange
from smartcart_pipeline.storage.run_lock import HomeBusyError, try_to_hold

NIGHTLY = "0 2 * * *"
SENSOR_SECONDS = 30

# Marks a run of the command: it is recorded only while its process holds the home.
BY_COMMAND = "smartcart/by_command"
# Where Dagster notes at a run of the daemon which code server started it.
LAUNCHED_BY, SERVER_SECONDS = ".dagster/grpc_info", 5.0
UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

# What the package's code is written in: Python, and the page of the report.
SOURCES = {".py", ".jinja", ".css", ".js"}

FAULTS: dict[str, type[FaultError]] = {kind.whose: kind for kind in (ExportError, CallError, HomeError)}

# The tag of a run that says which export, code and settings it was made from.
FINGERPRINT = "smartcart/fingerprint"
# The tags of a run that say which content it is over, and, of one that the sensor asked for, which delivery of it.
CONTENT, DELIVERY = "smartcart/content", "smartcart/delivery"
# What the sensor asked for by, before there were these tags.
RUN_KEY = "dagster/run_key"
# What failed by the home's fault is tried again once, then after a pause that doubles from the first to the second.
FIRST_PAUSE, LONGEST_PAUSE = 60, 3_600
# Settings on which no result depends; the content of the export counts, not its path.
NUMBERLESS = {"input", "kept_publications", "kept_records", "wait_seconds"}
# What is in the digest that `find_rules` gives.
DECLARED = {"recipe", "as_of"}

nightly_refresh = dg.define_asset_job(
    "nightly_refresh",
    selection=dg.AssetSelection.all(),
    description="Segments the newest export, checks every table and publishes the warehouse.",
    executor_def=dg.in_process_executor,
)


def run_config(settings: dict[str, Any], engine: dict[str, Any] | None = None) -> dict[str, Any]:
    """Configuration of a run.

    Args:
        settings: Fields of `Settings`.
        engine: Configuration of the engine; None leaves that of the home.

    Returns:
        What Dagster takes as run configuration.
    """
    resources: dict[str, Any] = {"settings": {"config": settings}}
    if engine is not None:
        resources["engine"] = {"config": engine}
    return {"resources": resources}


def fingerprint(content_hash: str, settings: dict[str, Any], declared: str, day: date | None = None) -> str:
    """What a run's result depends on, as a short text: the export's content, the code, declaration and settings.

    Args:
        content_hash: SHA-256 of the export.
        settings: Fields of `Settings` that are set. A default counts as not set, and so does what changes no number.
        declared: From `find_rules`.
        day: From `day_of`, where the as-of day is no matter of the content.

    Returns:
        Sixteen hexadecimal digits.
    """
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    chosen = {
        key: v for key, v in settings.items() if key not in NUMBERLESS | DECLARED and v not in (None, defaults.get(key))
    }
    parts = [
        content_hash,
        package_version(),
        declared,
        json.dumps(chosen, sort_keys=True),
        *([str(day)] if day else []),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def day_of(export: Path, rule: str) -> date | None:
    """The as-of day that a rule takes from a file itself: the same content of another day is another night.

    Args:
        export: The file.
        rule: From `find_rules`.

    Returns:
        The day; None where the content tells it.

    Raises:
        FaultError: As `stated_day`.
    """
    return stated_day(rule, export, day_of_delivery(export))


def find_rules(home: Home, settings: dict[str, Any]) -> tuple[str, str]:
    """What runs of a home go by.

    Args:
        home: The home.
        settings: Fields of `Settings` that are set.

    Returns:
        The digest of the declaration, or why it cannot be read (the run says so), with the rule that finds the as-of
        day; and that rule.
    """
    try:
        declaration = read_declaration(home.root, settings.get("recipe"))
    except FaultError as error:
        return str(error), settings.get("as_of") or NEWEST
    return rules_of(home, declaration, settings)


def rules_of(home: Home, declaration: Declaration, settings: dict[str, Any]) -> tuple[str, str]:
    """What runs that go by a declaration go by.

    Args:
        home: The home, whose audiences and outcomes count, too.
        declaration: The declaration.
        settings: Fields of `Settings` that are set.

    Returns:
        As `find_rules`.
    """
    rule = settings.get("as_of") or declaration.recipe.as_of
    return " ".join([declaration.digest, rule, *_beside(home)]), rule


def _beside(home: Home) -> Iterator[str]:
    """What a home says of audiences, and the outcomes that it has or is about to have; nothing of most homes."""
    with suppress(OSError):
        yield hash_content(home.audiences_file)
    # By content, so that what a run takes in is the same before it and afterwards.
    found = {digest_of(path) for path in kept_files(home)}
    for path in find_files(home):
        # One that may not be read, or has just gone, is told by the run.
        with suppress(OSError):
            found.add(_hash_known(path, path.stat().st_size, path.stat().st_mtime_ns)[:DIGITS])
    yield from sorted(found)


@lru_cache(maxsize=1_000)
def _hash_known(path: Path, size: int, modified: int) -> str:  # noqa: ARG001  (a file that has neither changed is the same)
    return hash_content(path)


def marks(content_hash: str, settings: dict[str, Any], declared: str, day: date | None = None) -> dict[str, str]:
    """The tags by which runs over an export are found again.

    Args:
        content_hash: SHA-256 of the export.
        settings: Fields of `Settings` that are set.
        declared: From `find_rules`.
        day: From `day_of`; the same content of another day is another night.

    Returns:
        Tags.
    """
    return {CONTENT: _content(content_hash, day), FINGERPRINT: fingerprint(content_hash, settings, declared, day)}


def _content(content_hash: str | None, day: date | None) -> str:
    return f"{content_hash} {day}" if day else str(content_hash)


def package_version() -> str:
    """A hash of all the code of this package.

    Returns:
        Sixteen hexadecimal digits.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    code = (path for path in root.rglob("*") if path.suffix in SOURCES)
    for path in sorted(code):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def settings_of(run: dg.DagsterRun) -> dict[str, Any]:
    """The settings that a run was given.

    Args:
        run: The run.

    Returns:
        Fields of `Settings`.
    """
    configured: Any = run.run_config
    settings: dict[str, Any] = configured.get("resources", {}).get("settings", {}).get("config", {})
    return settings


def fail_abandoned(instance: dg.DagsterInstance) -> None:
    """Record runs whose process died as failed: as long as they count as under way, no other starts.

    Args:
        instance: Where runs are recorded. The home of the runs must be held: none of the command's can be alive.
    """
    for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)):
        if BY_COMMAND in run.tags or _has_lost_its_server(run):
            instance.report_run_failed(run, "The process of this run died before it had ended.")


def _has_lost_its_server(run: dg.DagsterRun) -> bool:
    """Whether the code server that started a run, and would tell of its end, is gone: killed, or before a reboot."""
    told = json.loads(run.tags.get(LAUNCHED_BY, "{}"))
    if not told:
        return False
    by_path = told.get("socket")
    with socket.socket(socket.AF_UNIX if by_path else socket.AF_INET) as line:
        line.settimeout(SERVER_SECONDS)
        try:
            line.connect(by_path or (told["host"], told["port"]))
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
    return False


def unblock(instance: dg.DagsterInstance, home: Home) -> None:
    """Record abandoned runs as failed and mend the report, unless a run is under way; the daemon looks all the time.

    Args:
        instance: Where runs are recorded.
        home: The home.
    """
    with try_to_hold(home) as held:
        if held:
            fail_abandoned(instance)
    mend_report(home)


@dg.schedule(
    job=nightly_refresh,
    cron_schedule=NIGHTLY,
    execution_timezone=os.environ.get("SMARTCART_TIMEZONE") or "UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night at 02:00 (time zone: SMARTCART_TIMEZONE). Skips an export that has not changed.",
)
def nightly(context: dg.ScheduleEvaluationContext, home: dg.ResourceParam[Home]) -> Any:
    unblock(context.instance, home)
    settings = read_home(home)["settings"]
    try:
        export = find_export(home)
        declared, rule = find_rules(home, settings)
        day = day_of(export, rule)
    except (CallError, ExportError) as error:
        return dg.SkipReason(str(error))
    if export.parent == home.incoming and 0 <= time.time() - export.stat().st_mtime < SENSOR_SECONDS:
        return dg.SkipReason(f"{export.name} is still arriving; it will be segmented as soon as it is complete.")
    tags = marks(hash_content(export), settings, declared, day)
    if any(map(is_under_way, runs_over(context.instance, tags[CONTENT]))):
        return dg.SkipReason(f"{export.name} is being segmented already.")
    last = context.instance.get_runs(
        dg.RunsFilter(job_name=nightly_refresh.name, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1
    )
    # What somebody has written into is published anew.
    shown = published(home) if tell_strange(home) is None else None
    if last and last[0].tags.get(FINGERPRINT) == tags[FINGERPRINT] and shown and not is_asked(home):
        return dg.SkipReason(_tell_unchanged(export, last[0].run_id, shown, kept_publications(home)[0]))
    return dg.RunRequest(run_config=run_config(settings | {"input": str(export)}), tags=tags)


def _tell_unchanged(export: Path, run_id: str, shown: Path, newest: Path) -> str:
    """That there is nothing to run, and what is published."""
    same = (
        f"{export.name} has not changed since run {run_id[:8]}, nor have the code, the declaration and the settings: "
    )
    if shown == newest:
        return f"{same}what is published is up to date."
    return (
        f"{same}but what is published is rolled back to run {run_of(shown)[:8]}, and stays so until one of them "
        f"changes. To publish the newest again: smartcart warehouse rollback {run_of(newest)[:8]}."
    )


@dg.sensor(
    job=nightly_refresh,
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs the job for each complete file in <home>/incoming whose content has not been published.",
)
def new_export(context: dg.SensorEvaluationContext, home: dg.ResourceParam[Home]) -> Any:
    unblock(context.instance, home)
    home.incoming.mkdir(parents=True, exist_ok=True)
    settings = read_home(home)["settings"]
    declared, rule = find_rules(home, settings)
    seen: dict[str, Any] = json.loads(context.cursor or "{}")
    now: dict[str, Any] = {}
    requests: dict[str, dg.RunRequest] = {}
    accepted, refused = [], []
    notes = tell_left_alone(home)
    published_before = _published_contents(home)
    # The newest is run last, so that it is what stays published.
    for path in sorted(arrivals(home), key=lambda path: (path.stat().st_mtime_ns, path.name)):
        found = path.stat()
        # A file that is moved away and back is dropped anew, and its time of change tells.
        state = [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
        known = seen.get(path.name, {})
        now[path.name] = known if known.get("state") == state else {"state": state}
        if known.get("state") != state:
            # New, or still being written: look again at the next tick.
            notes.append(f"{path.name} arrived; waiting until it has stopped growing")
            continue
        if known.get("published"):
            continue
        try:
            export = (
                None
                if "hash" in known
                else inspect_export(path, read_declaration(home.root, settings.get("recipe")).contract)
            )
            day = day_of(path, rule)
        except ExportError as error:
            notes.append(f"{path.name} refused: {error}")
            refused.append(refuse(path, str(error), set_aside(home, path, str(error))))
            note_refusal(home, path, str(error))
            del now[path.name]
            continue
        except FaultError as error:
            # Gone since, or not to be read by this user: nothing is wrong with what is in it.
            notes.append(f"{path.name} waits: {error}")
            continue
        if export:
            known |= {"hash": export.content_hash, "rows": export.rows}
            accepted.append(accept(path, export.rows))
        tags = marks(known["hash"], settings, declared, day)
        if tags[CONTENT] in requests:
            notes.append(f"{path.name} holds the same as another")
            continue
        step = _next_step(context.instance, home, settings, path, known, tags, published_before)
        if isinstance(step, dg.RunRequest):
            requests[tags[CONTENT]] = step
        elif step:
            notes.append(step)
        else:
            known["published"] = True
    reason = None if requests else dg.SkipReason("; ".join(notes) or f"Nothing new in {home.incoming}.")
    # What was refused is told last, so that it is what the check shows until the next good export.
    return dg.SensorResult(
        run_requests=[*requests.values()], skip_reason=reason, cursor=json.dumps(now), asset_events=accepted + refused
    )


def _published_contents(home: Home) -> set[str]:
    try:
        nights = [night for night in read_record(home).nights if night.content_hash]
    except HomeError:
        # What the runs say must do; a run over what is new says what is wrong with the home.
        return set()
    return {_content(night.content_hash, day) for night in nights for day in (None, night.as_of_date)}


def _next_step(
    instance: dg.DagsterInstance,
    home: Home,
    settings: dict[str, Any],
    path: Path,
    known: dict[str, Any],
    tags: dict[str, str],
    published_before: set[str],
) -> dg.RunRequest | str | None:
    """What is to be done with a complete export: a run, or what it waits for; None once its content is published."""
    content = tags[CONTENT]
    runs = runs_over(instance, content)
    if any(map(is_under_way, runs)):
        return f"{path.name} is being segmented"
    if content in published_before or any(run.status is dg.DagsterRunStatus.SUCCESS for run in runs):
        return None
    delivered = json.dumps([path.name, known["state"], tags[FINGERPRINT]])
    delivery = hashlib.sha256(delivered.encode()).hexdigest()[:16]
    tried = [run for run in runs if run.tags.get(DELIVERY) == delivery]
    if tried and (reason := _reason_to_wait(instance, home, settings, known["rows"], tried)):
        return f"{path.name} waits: {reason}"
    return dg.RunRequest(
        # Dagster starts no second run for a run key.
        run_key=f"{delivery} after {tried[0].run_id}" if tried else delivery,
        run_config=run_config(settings | {"input": str(path)}),
        tags=tags | {DELIVERY: delivery},
    )


def _reason_to_wait(
    instance: dg.DagsterInstance, home: Home, settings: dict[str, Any], rows: int, tried: Sequence[dg.DagsterRun]
) -> str | None:
    """Why a delivery that was tried in vain is not tried again now; None if it is."""
    last = tried[0]
    fault = find_fault(instance, last.run_id)
    if not isinstance(fault, HomeError):
        return (
            f"run {last.run_id[:8]} over it came to nothing ({last.status.value.lower()}). Drop it again to have it "
            "run again; a change of code, declaration or settings does, too"
        )
    try:
        record = read_record(home)
        if record.last:
            read_version(home, record, record.last.version)
        require_space(home, rows, Settings(**settings).copied_rows)
    except FaultError as error:
        return f"{error} It is run when that is mended"
    ended = instance.get_run_record_by_id(last.run_id)
    pause = min(FIRST_PAUSE * 2 ** (len(tried) - 2), LONGEST_PAUSE) if len(tried) > 1 else 0
    if ended and time.time() < (ended.end_time or 0) + pause:
        return f"{fault} It is tried again {pause:,} s after run {last.run_id[:8]}"
    return None


def runs_over(instance: dg.DagsterInstance, content: str) -> list[dg.DagsterRun]:
    """The runs over a content.

    Args:
        instance: Where runs are recorded.
        content: The tag `CONTENT`.

    Returns:
        The runs, the newest first; those that an earlier version asked for at the end.
    """
    return [run for tag in (CONTENT, RUN_KEY) for run in instance.get_runs(dg.RunsFilter(tags={tag: content}))]


def is_under_way(run: dg.DagsterRun) -> bool:
    """Whether a run is not at its end, or will be tried again by Dagster itself.

    Args:
        run: The run.

    Returns:
        Whether it is.
    """
    return not run.is_finished or run.is_complete_and_waiting_to_retry


@dg.run_failure_sensor(
    monitored_jobs=[nightly_refresh],
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sets an export aside, with the reason, when the run over it failed through the export's fault.",
)
def refused_export(context: dg.RunFailureSensorContext, home: dg.ResourceParam[Home]) -> None:
    export = Path(settings_of(context.dagster_run).get("input", ""))
    fault = find_fault(context.instance, context.dagster_run.run_id)
    if not isinstance(fault, ExportError) or kind_of(export) or not export.is_file():
        return
    # What was delivered anew since, or failed under somebody's own settings, may well be good.
    settings = read_home(home)["settings"]
    declared, rule = find_rules(home, settings)
    try:
        mark = fingerprint(hash_content(export), settings, declared, day_of(export, rule))
    except ExportError:  # a pattern that was set since, and that its name does not match
        return
    if context.dagster_run.tags.get(FINGERPRINT) == mark:
        now = set_aside(home, export, str(fault)) if export.parent == home.incoming else export
        context.instance.report_runless_asset_event(refuse(export, str(fault), now))
        context.log.info(f"{export} refused: {fault}")


def accept(export: Path, rows: int) -> dg.AssetCheckEvaluation:
    """The check of `raw_customers` passed: the sensor found that a file is an export.

    Args:
        export: The file.
        rows: How many customers it holds.

    Returns:
        The evaluation.
    """
    return _evaluate(True, f"{export.name} is an export: about {rows:,} rows.", {"export": export.name, "rows": rows})


def refuse(export: Path, reason: str, now: Path) -> dg.AssetCheckEvaluation:
    """The check of `raw_customers` failed: an export cannot be used.

    Args:
        export: The file, as it was delivered.
        reason: Why not.
        now: Where it is now.

    Returns:
        The evaluation.
    """
    metadata = {"export": export.name, "reason": reason, "set_aside": dg.MetadataValue.path(now)}
    return _evaluate(False, f"{export.name} cannot be used: {reason}", metadata)


def _evaluate(passed: bool, description: str, metadata: dict[str, Any]) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("raw_customers"),
        check_name=CAN_BE_USED,
        passed=passed,
        metadata=metadata,
        severity=dg.AssetCheckSeverity.ERROR,
        description=description,
        blocking=True,
    )


def set_aside(home: Home, export: Path, reason: str) -> Path:
    """Move an export that cannot be used out of the way; nothing of it is lost.

    Args:
        home: The home.
        export: The file.
        reason: Why it cannot be used.

    Returns:
        Where it is now; a file beside it, named `….reason.txt`, holds the reason.
    """
    home.refused.mkdir(parents=True, exist_ok=True)
    target = home.refused / export.name
    number = 1
    while target.exists():
        number += 1
        target = home.refused / f"{export.stem}-{number}{export.suffix}"
    export.rename(target)
    target.with_name(f"{target.name}.reason.txt").write_text(f"{reason}\n", encoding="utf-8")
    return target


def note_refusal(home: Home, export: Path, reason: str) -> None:
    """Put it into the outbox that an export was refused which never came to a run.

    Args:
        home: The home.
        export: Where the file was.
        reason: Why it cannot be used.
    """
    notify = notify_of(home)
    if notify and "refused_export" in notify.about:
        # The file lies aside with its reason, whether somebody can be told or not.
        with suppress(OSError):
            outbox.put(home, notices.tell_refusal(export, reason, None, datetime.now(UTC), home))


def find_fault(instance: dg.DagsterInstance, run_id: str) -> FaultError | None:
    """Why a run failed, where that was not the pipeline's fault.

    Args:
        instance: Where the run is recorded.
        run_id: The run.

    Returns:
        What was wrong with the export, the call or the home; None if the fault lies elsewhere.
    """
    types = {
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.RUN_FAILURE,
    }
    for record in instance.get_records_for_run(run_id, of_type=types).records:
        event = record.event_log_entry.get_dagster_event()
        fault = None
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            fault = failure and _fault(failure.metadata, failure.description)
        elif event.is_failure:
            # A run that died has no error of its own.
            fault = _cause(getattr(event.event_specific_data, "error", None))
        elif not event.asset_check_evaluation_data.passed:
            check = event.asset_check_evaluation_data
            fault = _fault(check.metadata, check.description)
        if fault:
            return fault
    return None


def _fault(metadata: Mapping[str, Any], message: str | None) -> FaultError | None:
    whose = metadata.get(AT_FAULT)
    return FAULTS[whose.value](message) if whose else None


def _cause(error: Any) -> FaultError | None:
    """Whose fault it is that a run could not even begin: what its resources raise is in no step."""
    kinds = {kind.__name__: kind for kind in (HomeError, HomeBusyError, DeclarationError)}
    while error is not None:
        if error.cls_name in kinds or error.cls_name == CallError.__name__:
            told = error.message.partition(": ")[2].strip()
            return CallError(told) if error.cls_name == CallError.__name__ else HomeError(told)
        error = error.cause
    return None
