"""Running the nightly job in this process, recorded in the home's Dagster instance like any other run of it."""

import fcntl
import io
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from smartcart_pipeline.declaration.declaration import read_declaration
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.sql import identifier
from smartcart_pipeline.exports.as_of import require_rule
from smartcart_pipeline.exports.inspecting import hash_content
from smartcart_pipeline.orchestration.io_manager import NOTE
from smartcart_pipeline.orchestration.progress import CHANNEL, Watcher
from smartcart_pipeline.orchestration.settings import Settings, read_home
from smartcart_pipeline.storage.access import settle_access
from smartcart_pipeline.storage.arrivals import find_export, tell_left_alone
from smartcart_pipeline.storage.damage import naming_damage, require_sound
from smartcart_pipeline.storage.home import Home, unwritable
from smartcart_pipeline.storage.odd_paths import plain_name, require_path
from smartcart_pipeline.storage.publications import readable
from smartcart_pipeline.storage.record_server import POSTGRES, require_server, tell_server
from smartcart_pipeline.storage.run_lock import hold
from smartcart_pipeline.storage.settings_file import read_storage
from smartcart_pipeline.storage.warehouse import open_warehouse

CHECKED = dg.DagsterEventType.ASSET_CHECK_EVALUATION.value


class RunError(RuntimeError):
    """The run failed, and neither the export nor the call nor the home is to blame."""


def prepare_home(home: Home) -> None:
    """Make the folders, and the Dagster instance with its tables up to date.

    Several processes that make an instance at once can break it for good, so only one at a time may try.

    Args:
        home: The home.

    Raises:
        HomeError: If the home cannot be written.
    """
    require_path(home.root)
    storage = read_storage(home)
    try:
        for folder in (home.lake, home.dagster, home.incoming):
            folder.mkdir(parents=True, exist_ok=True)
        settle_access(home)
        with (home.dagster / ".setup.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if storage == "postgres":
                require_server()
            _update(home.dagster / "dagster.yaml", _configure(storage))
            migrated, version = home.dagster / ".migrated", f"{dg.__version__} {storage}".encode()
            if not migrated.is_file() or migrated.read_bytes() != version:
                # What is made now is up to date.
                is_new = storage == "sqlite" and not (home.dagster / "history").exists()
                # Dagster prints what it does; nobody asked.
                with naming_damage(home), redirect_stdout(io.StringIO()), open_records(home) as instance:
                    if not is_new:
                        instance.upgrade()
                _update(migrated, version)
    except OSError as error:
        raise unwritable(home, error) from None


def open_records(home: Home) -> dg.DagsterInstance:
    """Dagster's records of a home, from here on this process's own.

    Args:
        home: The home, prepared.

    Returns:
        The instance, to be closed.
    """
    os.environ["DAGSTER_HOME"] = plain_name(home.dagster)
    return dg.DagsterInstance.get()


def run_job(
    home: Home, settings: dict[str, Any], quiet: bool = False, engine: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Run the nightly job over an export.

    Args:
        home: Where everything goes.
        settings: Fields of `Settings`; None leaves what the home says, else the default.
        quiet: Whether to keep progress to itself.
        engine: Configuration of the engine; None leaves what the home says, else DuckDB.

    Returns:
        What was made: run_id, export, as_of_date, as_of_found, recipe, customers, segments, figures (columns of
        the segments that people look at first, and what they are called), structure (how far to believe the segments:
        a row a recipe), drivers (what they are made of: a row a feature), warnings, paths, seconds.

    Raises:
        FaultError: If the export, the call or the home is at fault.
        RunError: If the run failed for another reason.
        HomeBusyError: If another run did not end within `wait_seconds`.
    """
    from smartcart_pipeline.orchestration.telling import telling  # noqa: PLC0415  (imports what only a run needs)

    with telling(home, partial(open_records, home), _say, watched=sys.stderr.isatty()):
        return _run_job(home, settings, quiet, engine)


def _run_job(home: Home, settings: dict[str, Any], quiet: bool, engine: dict[str, Any] | None) -> dict[str, Any]:
    settings = read_home(home)["settings"] | {name: value for name, value in settings.items() if value is not None}
    if "." in (settings.get("recipe") or ""):
        # Where the run is, another folder may be the current one.
        settings["recipe"] = str(Path(settings["recipe"]).resolve())
    declaration = read_declaration(home.root, settings.get("recipe"), settings.get("segments"))
    require_rule(settings.get("as_of") or declaration.recipe.as_of)
    if not settings.get("input"):
        settings["input"] = str(find_export(home))
        for told in tell_left_alone(home):
            _say(told)
    # Who names a link means what it leads to.
    settings["input"] = str(Path(settings["input"]).resolve())
    prepare_home(home)
    os.environ["SMARTCART_HOME"] = str(home.root)
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    from smartcart_pipeline.orchestration.automation import (  # noqa: PLC0415
        BY_COMMAND,
        day_of,
        fail_abandoned,
        find_fault,
        marks,
        rules_of,
        run_config,
    )
    from smartcart_pipeline.orchestration.definitions import build_defs  # noqa: PLC0415  (with the home as it is now)
    from smartcart_pipeline.report.rendering import mend_report  # noqa: PLC0415

    started = time.monotonic()
    mend_report(home)
    job = build_defs(home).resolve_job_def("nightly_refresh")
    with (
        _telling_of_the_disk(home),
        naming_damage(home),
        hold(home, settings.get("wait_seconds", Settings().wait_seconds), _say),
        open_records(home) as instance,
        _watched(quiet),
    ):
        fail_abandoned(instance)
        path = Path(settings["input"])
        # Nobody but the command itself can start it again.
        tags = {BY_COMMAND: "true", "dagster/max_retries": "0"}
        if path.is_file():
            declared, rule = rules_of(home, declaration, settings)
            tags |= marks(hash_content(path), settings, declared, day_of(path, rule))
        result = job.execute_in_process(
            run_config=run_config(settings, engine) | {"loggers": {"progress": {}}},
            instance=instance,
            raise_on_error=False,
            tags=tags,
        )
        if not result.success:
            if fault := find_fault(instance, result.run_id):
                raise fault
            require_sound(home)
            raise RunError(_why(result))
    return _outcome(home, result, declaration.recipe) | {"seconds": round(time.monotonic() - started, 2)}


@contextmanager
def _telling_of_the_disk(home: Home) -> Iterator[None]:
    """Say in words that neither a file nor Dagster's own records can be written."""
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415  (Dagster has imported it)

    try:
        yield
    except (OSError, OperationalError) as error:
        if isinstance(error, OperationalError) and read_storage(home) == "postgres":
            raise RunError(
                f"The run cannot be recorded: {tell_server(error)}. What was published before is unchanged."
            ) from None
        found = error.strerror if isinstance(error, OSError) else error.orig
        raise RunError(
            f"{home.root}: the run cannot be written or recorded there ({found}). Probably the disk is full: make "
            "room. What was published before is unchanged."
        ) from None


def record_rollback(home: Home, run_id: str, instead_of: str | None) -> None:
    """Record in Dagster, at the asset `warehouse`, that an earlier run's publication was published again.

    Args:
        home: The home.
        run_id: The run whose publication is published now.
        instead_of: The run whose publication was published before, if that is known.
    """
    prepare_home(home)
    facts = {"rolled_back_to": run_id, "instead_of": instead_of or "a file that somebody had changed"}
    with naming_damage(home), open_records(home) as instance:
        instance.report_runless_asset_event(dg.AssetObservation("warehouse", metadata=facts))


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def _configure(storage: str) -> bytes:
    """How Dagster keeps its records: the file as it is in a wheel, else as it is in a clone."""
    package = Path(__file__).parents[1]
    shipped = package / "dagster.yaml"
    shipped = shipped if shipped.is_file() else package.parent / "dagster.yaml"
    if storage == "sqlite":
        return shipped.read_bytes()
    import yaml  # noqa: PLC0415  (nobody else needs it)

    configured = yaml.safe_load(shipped.read_text(encoding="utf-8")) | {"storage": POSTGRES}
    return bytes(yaml.safe_dump(configured).encode())


def _update(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        path.write_bytes(content)


@contextmanager
def _watched(quiet: bool) -> Iterator[None]:
    """Show on standard error what the run is doing."""
    if quiet:
        yield
        return
    from rich.console import Console  # noqa: PLC0415  (only to show progress)

    console = Console(stderr=True, highlight=False)
    started: dict[str, float] = {}
    with console.status("Starting …") as status:

        def notice(event: dg.DagsterEvent) -> None:
            if event.is_step_start:
                started[event.step_key or ""] = time.monotonic()
                status.update(f"{event.step_key} …")
            elif event.is_step_materialization:
                made = event.step_materialization_data.materialization
                rows = made.metadata.get("dagster/row_count")
                size = f"{rows.value:>10,} rows" if rows is not None else " " * 15
                seconds = time.monotonic() - started.get(event.step_key or "", time.monotonic())
                console.print(f"  {made.asset_key.path[-1]:<22}{size}{seconds:>8.1f} s")

        watcher = Watcher(notice, hear=status.update)
        channel = logging.getLogger(CHANNEL)
        channel.addHandler(watcher)
        try:
            yield
        finally:
            channel.removeHandler(watcher)


def _why(result: dg.ExecuteInProcessResult) -> str:
    from smartcart_pipeline.orchestration.faults import has_stopped  # noqa: PLC0415  (a run has imported it)

    published = any(event.is_step_success and event.step_key == "warehouse" for event in result.all_events)
    kept = "The warehouse of this run is published." if published else "What was published before is unchanged."
    stopped = [
        f"check {check.check_name} of {check.asset_key.path[-1]}: {(check.description or '').rstrip('.')}."
        for check in result.get_asset_check_evaluations()
        if has_stopped(check)
    ]
    if stopped:
        return f"the run was stopped by {' '.join(stopped)} {kept} Details: `smartcart dev`, run {result.run_id[:8]}."
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            # What was fitted or drawn apart has its traceback in a note, for the UI.
            message = error.message.partition(apart.TRACEBACK)[0].strip() if error else "unknown error"
            return (
                f"the run failed in step {event.step_key}: {message} "
                f"{kept} Details: `smartcart dev`, run {result.run_id[:8]}."
            )
    return f"the run failed. Details: `smartcart dev`, run {result.run_id[:8]}."


def _outcome(home: Home, result: dg.ExecuteInProcessResult, recipe: Recipe) -> dict[str, Any]:
    figures = {f"mean_{name}": f"Mean {recipe.by_name[name].words.named}" for name in reversed(recipe.shown)}
    columns = ("segment_id", "persona", "customers", "share", *figures, "description")
    with open_warehouse(readable(home)) as warehouse:
        segments = warehouse.sql(
            f"SELECT {', '.join(map(identifier, columns))} FROM profiles ORDER BY segment_id"
        ).to_arrow_table()
        believed, made_of = (
            warehouse.sql(f"SELECT * REPLACE ({cast}) FROM {table} ORDER BY {order}").to_arrow_table().to_pylist()
            for table, cast, order in (
                ("structure", "examined_on::VARCHAR AS examined_on", "is_in_force DESC, recipe"),
                ("segment_drivers", "rank AS rank", "rank"),
            )
        )
        [published] = warehouse.sql(
            "SELECT export_name, as_of_date::VARCHAR, as_of_found, recipe FROM publication"
        ).fetchall()
    evaluations = [
        event.asset_check_evaluation_data for event in result.all_events if event.event_type_value == CHECKED
    ]
    made = result.get_asset_materialization_events()
    said = [event.step_materialization_data.materialization.metadata.get(NOTE) for event in made]
    notes = [str(note.value) for note in said if note is not None]
    segment_rows = segments.to_pylist()
    return {
        "run_id": result.run_id,
        **dict(zip(("export", "as_of_date", "as_of_found", "recipe"), published, strict=True)),
        "customers": sum(segment["customers"] for segment in segment_rows),
        "segments": segment_rows,
        "figures": figures,
        "structure": believed,
        "drivers": made_of,
        "warnings": [check.description for check in evaluations if not check.passed] + notes,
        "paths": {"report": str(home.report), "warehouse": str(home.warehouse), "lake": str(home.lake)},
    }
