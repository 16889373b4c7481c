"""When the job runs by itself: every night, and as soon as a new export arrives."""

import hashlib
import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from smartcart_pipeline import notices
from smartcart_pipeline.as_of import NEWEST, day_of_delivery, stated_day
from smartcart_pipeline.contract import CallError, ExportError, FaultError, HomeError
from smartcart_pipeline.receivers import notify_of
from smartcart_pipeline.report.rendering import mend_report
from smartcart_pipeline.resources import AT_FAULT, Settings, read_home
from smartcart_pipeline.storage import outbox
from smartcart_pipeline.storage.exports import arrivals, find_export, hash_content, inspect_export
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.models import is_asked
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
# Settings on which no result depends; the content of the export counts, not its path.
NUMBERLESS = {"input", "kept_publications", "kept_records", "wait_seconds"}

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


def fingerprint(content_hash: str, settings: dict[str, Any], day: date | None = None) -> str:
    """What a run's result depends on, as a short text: the export's content, the code and the settings.

    Args:
        content_hash: SHA-256 of the export.
        settings: Fields of `Settings` that are set. A default counts as not set, and so does what changes no number.
        day: From `day_of`, where the as-of day is no matter of the content.

    Returns:
        Sixteen hexadecimal digits.
    """
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    chosen = {key: v for key, v in settings.items() if key not in NUMBERLESS and v not in (None, defaults.get(key))}
    parts = [content_hash, package_version(), json.dumps(chosen, sort_keys=True), *([str(day)] if day else [])]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def day_of(export: Path, settings: dict[str, Any]) -> date | None:
    """The as-of day that settings take from a file itself: the same content of another day is another night.

    Args:
        export: The file.
        settings: Fields of `Settings` that are set.

    Returns:
        The day; None where the content tells it.

    Raises:
        FaultError: As `stated_day`.
    """
    return stated_day(settings.get("as_of", NEWEST), export, day_of_delivery(export))


def package_version() -> str:
    """A hash of all the code of this package.

    Returns:
        Sixteen hexadecimal digits.
    """
    root = Path(__file__).parent
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
    """Do that, and mend the report, unless a run is under way now; the daemon looks every half a minute.

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
        day = day_of(export, settings)
    except (CallError, ExportError) as error:
        return dg.SkipReason(str(error))
    if export.parent == home.incoming and 0 <= time.time() - export.stat().st_mtime < SENSOR_SECONDS:
        return dg.SkipReason(f"{export.name} is still arriving; it will be segmented as soon as it is complete.")
    mark = fingerprint(hash_content(export), settings, day)
    last = context.instance.get_runs(
        dg.RunsFilter(job_name=nightly_refresh.name, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1
    )
    # What somebody has written into is published anew.
    shown = published(home) if tell_strange(home) is None else None
    if last and last[0].tags.get(FINGERPRINT) == mark and shown and not is_asked(home):
        newest = kept_publications(home)[0]
        return dg.SkipReason(
            f"{export.name} has not changed since run {last[0].run_id[:8]}, nor have the code and the settings: "
            + (
                "what is published is up to date."
                if shown == newest
                else f"but what is published is rolled back to run {run_of(shown)[:8]}, and stays so until one of them "
                f"changes. To publish the newest again: smartcart warehouse rollback {run_of(newest)[:8]}."
            )
        )
    return dg.RunRequest(run_config=run_config(settings | {"input": str(export)}), tags={FINGERPRINT: mark})


@dg.sensor(
    job=nightly_refresh,
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs the job for each new file in <home>/incoming, once for each content, when it is complete.",
)
def new_export(context: dg.SensorEvaluationContext, home: dg.ResourceParam[Home]) -> Any:
    unblock(context.instance, home)
    home.incoming.mkdir(parents=True, exist_ok=True)
    settings = read_home(home)["settings"]
    seen: dict[str, Any] = json.loads(context.cursor or "{}")
    now: dict[str, Any] = {}
    requests, notes = [], []
    # The newest is run last, so that it is what stays published.
    for path in sorted(arrivals(home), key=lambda path: (path.stat().st_mtime_ns, path.name)):
        state = [path.stat().st_size, path.stat().st_mtime_ns]
        before = seen.get(path.name, {})
        if before.get("state") != state:
            # New, or still being written: look again at the next tick.
            now[path.name] = {"state": state}
            notes.append(f"{path.name} arrived; waiting until it has stopped growing")
            continue
        if "hash" in before:
            now[path.name] = before
            continue
        try:
            content_hash = inspect_export(path).content_hash
            day = day_of(path, settings)
        except ExportError as error:
            notes.append(f"{path.name} refused: {error}")
            set_aside(home, path, str(error))
            note_refusal(home, path, str(error))
            continue
        now[path.name] = {"state": state, "hash": content_hash}
        requests.append(
            dg.RunRequest(
                run_key=f"{content_hash} {day}" if day else content_hash,
                run_config=run_config(settings | {"input": str(path)}),
                tags={FINGERPRINT: fingerprint(content_hash, settings, day)},
            )
        )
    reason = None if requests else dg.SkipReason("; ".join(notes) or f"Nothing new in {home.incoming}.")
    return dg.SensorResult(run_requests=requests, skip_reason=reason, cursor=json.dumps(now))


@dg.run_failure_sensor(
    monitored_jobs=[nightly_refresh],
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sets an export aside, with the reason, when the run over it failed through the export's fault.",
)
def refused_export(context: dg.RunFailureSensorContext, home: dg.ResourceParam[Home]) -> None:
    export = Path(settings_of(context.dagster_run).get("input", ""))
    fault = find_fault(context.instance, context.dagster_run.run_id)
    if not isinstance(fault, ExportError) or export.parent != home.incoming or not export.is_file():
        return
    # What was delivered anew since, or failed under somebody's own settings, may well be good.
    settings = read_home(home)["settings"]
    try:
        mark = fingerprint(hash_content(export), settings, day_of(export, settings))
    except ExportError:  # a pattern that was set since, and that its name does not match
        return
    if context.dagster_run.tags.get(FINGERPRINT) == mark:
        set_aside(home, export, str(fault))
        context.log.info(f"{export} set aside: {fault}")


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
    """The home's fault where a run could not even begin: what its resources raise is in no step."""
    while error is not None:
        if error.cls_name in (HomeError.__name__, HomeBusyError.__name__):
            return HomeError(error.message.partition(": ")[2].strip())
        error = error.cause
    return None
