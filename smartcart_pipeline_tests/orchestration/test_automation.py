"""The job runs by itself when there is something new to segment, only then, and says why not otherwise."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import openpyxl
import pandas as pd
import pytest
from dagster._core.events import JobFailureData
from dagster._utils.error import SerializableErrorInfo

from smartcart_pipeline.declaration.declaration import SHIPPED
from smartcart_pipeline.declaration.errors import FaultError, HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.orchestration.automation import (
    CONTENT,
    FINGERPRINT,
    RUN_KEY,
    day_of,
    find_fault,
    find_rules,
    fingerprint,
    new_export,
    nightly,
    refused_export,
    settings_of,
)
from smartcart_pipeline.orchestration.checks import CAN_BE_USED
from smartcart_pipeline.orchestration.definitions import build_defs
from smartcart_pipeline.orchestration.night import RunError, prepare_home, run_job
from smartcart_pipeline.smartcart.sample import write_sample
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline.storage.publications import kept_publications, roll_back, run_of
from smartcart_pipeline_tests.declared import BEHAVIOURAL, TABLES
from smartcart_pipeline_tests.publishing import page

PACKAGE = Path(__file__).parents[2] / "smartcart_pipeline"
SAMPLE = PACKAGE.parent / "data" / "smartcart_customers.csv"
CUSTOMERS = 300
CHECK_KEY = dg.AssetCheckKey(dg.AssetKey("raw_customers"), CAN_BE_USED)


def customers() -> pd.DataFrame:
    return pd.read_csv(SAMPLE).head(CUSTOMERS)


def deliver(home: Home, name: str, content: pd.DataFrame | str, seconds_ago: float = 3_600) -> Path:
    """Put an export into the folder of arrivals, finished some time ago."""
    home.incoming.mkdir(parents=True, exist_ok=True)
    path = home.incoming / name
    path.write_text(content if isinstance(content, str) else content.to_csv(index=False))
    when = time.time() - seconds_ago
    os.utime(path, (when, when))
    return path


def half_bad() -> pd.DataFrame:
    return customers().assign(Education=["Doctor", "PhD"] * (CUSTOMERS // 2))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def mark_of(home: Home, content_hash: str, settings: dict[str, Any] | None = None, day: date | None = None) -> str:
    """The fingerprint of a run in a home, over a content and under settings."""
    chosen = settings or {}
    return fingerprint(content_hash, chosen, find_rules(home, chosen)[0], day)


@pytest.fixture(scope="module")
def finished(whole_night: None, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose job has run once, over an export that had arrived."""
    home = Home(tmp_path_factory.mktemp("finished") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home.dagster))
        patch.setenv("SMARTCART_HOME", str(home.root))
        run_job(home, {"input": str(deliver(home, "first.csv", customers())), "recipe": "behavioural"}, quiet=True)
    return home


@pytest.fixture
def night_home(finished: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of that home, to do with as a test likes."""
    home = Home(tmp_path / "night")
    shutil.copytree(finished.root, home.root)
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    monkeypatch.setenv("SMARTCART_HOME", str(home.root))
    return home


@pytest.fixture
def instance(night_home: Home) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture(scope="module")
def empty_records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an instance that has no run yet, with the tables that take Dagster longest."""
    folder = tmp_path_factory.mktemp("records")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        assert not instance.get_runs()
    return folder


@pytest.fixture
def blank(empty_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance that has no run yet."""
    folder = tmp_path_factory.mktemp("blank")
    shutil.copytree(empty_records, folder, dirs_exist_ok=True)
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance


def tick(instance: dg.DagsterInstance, home: Home) -> Any:
    """What the schedule does now: `run_requests` or a `skip_message`."""
    with dg.build_schedule_context(instance=instance, resources={"home": home}) as context:
        return nightly.evaluate_tick(context)


def look(instance: dg.DagsterInstance, home: Home, cursor: str | None = None) -> Any:
    """What the sensor does now: `run_requests` or a `skip_message`, and a `cursor`."""
    with dg.build_sensor_context(instance=instance, resources={"home": home}, cursor=cursor) as context:
        return new_export.evaluate_tick(context)


# The schedule


def test_without_an_export_the_night_is_skipped(blank: dg.DagsterInstance, home: Home) -> None:
    result = tick(blank, home)
    assert not result.run_requests
    assert result.skip_message.startswith(f"There is no export: put one into {home.incoming}")


def test_an_export_that_was_never_run_is_requested_with_a_valid_configuration(
    blank: dg.DagsterInstance, home: Home
) -> None:
    export = deliver(home, "new.csv", customers())
    [request] = tick(blank, home).run_requests
    assert request.run_config == {"resources": {"settings": {"config": {"input": str(export)}}}}
    assert dg.validate_run_config(build_defs(home).resolve_job_def("nightly_refresh"), request.run_config)
    assert request.tags[FINGERPRINT] == mark_of(home, sha256(export))


def test_an_unchanged_export_is_skipped_and_the_skip_says_why(instance: dg.DagsterInstance, night_home: Home) -> None:
    [run] = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.SUCCESS
    result = tick(instance, night_home)
    assert not result.run_requests
    assert result.skip_message == (
        f"first.csv has not changed since run {run.run_id[:8]}, nor have the code, the declaration and the "
        "settings: what is published is up to date."
    )


def test_the_same_content_delivered_again_is_no_news(instance: dg.DagsterInstance, night_home: Home) -> None:
    deliver(night_home, "second.csv", customers(), seconds_ago=60)
    assert "second.csv has not changed" in tick(instance, night_home).skip_message


@pytest.mark.parametrize("name", ["first.csv", "second.csv"])
def test_another_content_is_requested(instance: dg.DagsterInstance, night_home: Home, name: str) -> None:
    export = deliver(night_home, name, customers().head(250), seconds_ago=60)
    [request] = tick(instance, night_home).run_requests
    assert request.run_config["resources"]["settings"]["config"]["input"] == str(export)


def test_a_published_warehouse_that_is_gone_is_made_again(instance: dg.DagsterInstance, night_home: Home) -> None:
    night_home.warehouse.unlink()
    assert tick(instance, night_home).run_requests


def test_a_warehouse_that_is_rolled_back_is_not_called_up_to_date(
    instance: dg.DagsterInstance, night_home: Home
) -> None:
    materialise(instance, night_home, ["warehouse"])
    newest, before = kept_publications(night_home)
    assert "what is published is up to date" in tick(instance, night_home).skip_message
    roll_back(night_home, None, page(night_home))
    result = tick(instance, night_home)
    assert not result.run_requests
    assert result.skip_message.endswith(
        f"but what is published is rolled back to run {run_of(before)[:8]}, and stays so until one of them changes. "
        f"To publish the newest again: smartcart warehouse rollback {run_of(newest)[:8]}."
    )
    deliver(night_home, "first.csv", customers().head(250), seconds_ago=60)
    assert tick(instance, night_home).run_requests


@pytest.mark.parametrize("left", ["a log", "another file"])
def test_what_a_read_write_session_left_is_put_right_by_the_next_night(
    instance: dg.DagsterInstance, night_home: Home, left: str
) -> None:
    if left == "a log":
        night_home.warehouse.with_name("warehouse.duckdb.wal").write_bytes(b"written")
    else:
        night_home.warehouse.chmod(0o644)
        night_home.warehouse.write_bytes(night_home.warehouse.read_bytes() + b"written")
    assert tick(instance, night_home).run_requests


def test_a_run_with_other_settings_is_no_substitute(instance: dg.DagsterInstance, night_home: Home) -> None:
    export = night_home.incoming / "first.csv"
    reference = {"input": str(export), "as_of": None, "recipe": "reference"}
    instance.create_run_for_job(
        build_defs(night_home).resolve_job_def("nightly_refresh"),
        status=dg.DagsterRunStatus.SUCCESS,
        tags={FINGERPRINT: mark_of(night_home, sha256(export), reference)},
    )
    assert tick(instance, night_home).run_requests


def test_a_setting_of_the_home_that_changes_numbers_makes_the_night_run_again(
    instance: dg.DagsterInstance, night_home: Home
) -> None:
    night_home.settings.write_text("settings:\n  kept_publications: 3\n")
    assert tick(instance, night_home).skip_message
    night_home.settings.write_text("settings:\n  sample_customers: 200\n")
    [request] = tick(instance, night_home).run_requests
    assert request.run_config["resources"]["settings"]["config"]["sample_customers"] == 200
    assert dg.validate_run_config(build_defs(night_home).resolve_job_def("nightly_refresh"), request.run_config)
    assert tick(instance, night_home).run_requests[0].tags == request.tags


@pytest.mark.parametrize("name", ["recipe.yaml", "contract.yaml"])
def test_a_declaration_of_the_home_makes_the_night_run_again_if_it_says_something_else(
    instance: dg.DagsterInstance, night_home: Home, name: str
) -> None:
    shipped = (SHIPPED / {"recipe.yaml": "behavioural.yaml"}.get(name, name)).read_text()
    own = night_home.root / name
    own.write_text(f"# Ours, but what it says is the same.\n{shipped}")
    assert "has not changed" in tick(instance, night_home).skip_message
    changed = {"recipe.yaml": ("maximum: 90\n", "maximum: 80\n"), "contract.yaml": ("minimum: 1850", "minimum: 1900")}
    own.write_text(shipped.replace(*changed[name]))
    [request] = tick(instance, night_home).run_requests
    assert dg.validate_run_config(build_defs(night_home).resolve_job_def("nightly_refresh"), request.run_config)
    assert tick(instance, night_home).run_requests[0].tags == request.tags
    own.unlink()
    assert "has not changed" in tick(instance, night_home).skip_message


def test_settings_of_the_home_that_cannot_be_read_fail_the_night(blank: dg.DagsterInstance, home: Home) -> None:
    deliver(home, "new.csv", customers())
    home.settings.write_text("settings:\n  sample_customer: 200\n")
    with pytest.raises(dg.DagsterUserCodeExecutionError) as caught:
        tick(blank, home)
    assert "Did you mean sample_customers?" in str(caught.value.__cause__)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
def test_a_run_that_came_to_nothing_since_changes_nothing(
    instance: dg.DagsterInstance, night_home: Home, status: dg.DagsterRunStatus
) -> None:
    job = build_defs(night_home).resolve_job_def("nightly_refresh")
    instance.create_run_for_job(job, status=status, tags={FINGERPRINT: "another"})
    assert "has not changed" in tick(instance, night_home).skip_message


def test_an_export_that_is_still_being_written_is_left_to_the_sensor(
    instance: dg.DagsterInstance, night_home: Home
) -> None:
    deliver(night_home, "growing.csv", customers().head(10), seconds_ago=1)
    result = tick(instance, night_home)
    assert not result.run_requests
    assert result.skip_message.startswith("growing.csv is still arriving")


def test_changed_code_is_requested(night_home: Home, tmp_path: Path) -> None:
    """On a copy of the package: as it is, the night is skipped; with one line more, it is run."""
    shutil.copytree(PACKAGE, tmp_path / "code" / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    program = """
import json, pathlib, warnings
warnings.simplefilter("ignore")
import dagster as dg
from smartcart_pipeline.orchestration import automation
from smartcart_pipeline.orchestration.definitions import build_defs
from smartcart_pipeline.storage.home import Home

home = Home(pathlib.Path(__import__("os").environ["SMARTCART_HOME"]))
verbs = pathlib.Path(automation.__file__).parents[1] / "segmentation" / "features.py"

def tick():
    with dg.DagsterInstance.get() as instance:
        with dg.build_schedule_context(instance=instance, resources={"home": home}) as context:
            result = automation.nightly.evaluate_tick(context)
    return [result.skip_message, [request.tags for request in result.run_requests]]

before = tick()
verbs.write_text(verbs.read_text() + "# One line more.\\n")
print(json.dumps([str(verbs), before, tick()]))
"""
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "code", capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stderr
    changed, (skipped, nothing), (_, [tags]) = json.loads(found.stdout)
    assert Path(changed).is_relative_to(tmp_path)
    assert "has not changed" in skipped
    assert not nothing
    assert tags[FINGERPRINT] != mark_of(night_home, sha256(night_home.incoming / "first.csv"))


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({"input": "elsewhere.csv"}, True),
        ({"as_of": None, "recipe": "behavioural", "seed": 42}, True),
        ({"as_of": "newest"}, True),
        ({"as_of": "delivered"}, False),
        ({"recipe": "reference"}, False),
        ({"as_of": "2014-06-29"}, False),
        ({"seed": 43}, False),
        ({"max_rejected_share": 0.1}, False),
    ],
)
def test_a_fingerprint_depends_on_settings_but_not_on_defaults_written_out(
    home: Home, settings: dict[str, Any], same: bool
) -> None:
    assert (mark_of(home, "content", settings) == mark_of(home, "content")) == same
    assert mark_of(home, "content", settings) != mark_of(home, "other content", settings)


def set_as_of(home: Home, rule: str) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    home.settings.write_text(f"settings:\n  as_of: {rule}\n")


def deliver_on(home: Home, name: str, day: int) -> Path:
    """An export, always of the same content, delivered on a day of July 2014."""
    export = deliver(home, name, customers())
    noon = datetime(2014, 7, day, 12, tzinfo=UTC).timestamp()
    os.utime(export, (noon, noon))
    return export


@pytest.mark.parametrize(("rule", "runs"), [("newest", False), ("delivered", True)])
def test_the_same_content_of_another_day_is_another_night_where_the_day_of_delivery_counts(
    rule: str, runs: bool, instance: dg.DagsterInstance, night_home: Home
) -> None:
    set_as_of(night_home, rule)
    export = deliver_on(night_home, "first.csv", 1)
    settings = {"input": str(export)}
    [run] = instance.get_runs()
    # As if the night before had been run over it under these settings.
    mark = mark_of(night_home, sha256(export), {"as_of": rule}, day_of(export, rule))
    instance.add_run_tags(run.run_id, {FINGERPRINT: mark})
    assert "has not changed" in tick(instance, night_home).skip_message
    deliver_on(night_home, "first.csv", 2)
    result = tick(instance, night_home)
    assert bool(result.run_requests) == runs
    if runs:
        assert result.run_requests[0].run_config["resources"]["settings"]["config"] == settings | {"as_of": rule}


@pytest.mark.parametrize(("rule", "keys"), [("newest", 1), ("delivered", 2), ("export-%Y%m%d.csv", 2)])
def test_the_sensor_asks_once_for_each_content_and_day(
    rule: str, keys: int, blank: dg.DagsterInstance, home: Home
) -> None:
    set_as_of(home, rule)
    requested, cursor = [], None
    for day in (1, 2):
        deliver_on(home, f"export-2014070{day}.csv", day)
        for _ in range(3):
            result = look(blank, home, cursor)
            requested += result.run_requests
            cursor = result.cursor
            for request in result.run_requests:
                begin(blank, home, request, dg.DagsterRunStatus.SUCCESS)
    assert len(requested) == keys
    assert len({request.run_key for request in requested}) == keys
    assert len({request.tags[FINGERPRINT] for request in requested}) == keys


def test_a_name_that_tells_no_day_is_refused_by_the_sensor_and_skipped_by_the_schedule(
    blank: dg.DagsterInstance, home: Home
) -> None:
    set_as_of(home, "customers-%Y%m%d.csv")
    export = deliver(home, "customers-july.csv", customers())
    said = f"{export}: the name does not match customers-%Y%m%d.csv, the pattern that as_of is set to"
    assert tick(blank, home).skip_message.startswith(said)
    look(blank, home, look(blank, home).cursor)
    assert not export.exists()
    assert (home.refused / "customers-july.csv.reason.txt").read_text().startswith(said)


@pytest.mark.parametrize(("configured", "zone"), [(None, "UTC"), ("Europe/Berlin", "Europe/Berlin")])
def test_the_time_zone_comes_from_the_environment(configured: str | None, zone: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "SMARTCART_TIMEZONE"}
    program = (
        "import warnings; warnings.simplefilter('ignore');"
        "from smartcart_pipeline.orchestration.automation import nightly as n;"
        "print(n.cron_schedule, n.execution_timezone)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | ({"SMARTCART_TIMEZONE": configured} if configured else {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert found.stdout.split() == ["0", "2", "*", "*", "*", zone]


# The sensor


def test_an_empty_folder_is_made_and_nothing_requested(blank: dg.DagsterInstance, tmp_path: Path) -> None:
    empty = Home(tmp_path / "empty")
    result = look(blank, empty)
    assert not result.run_requests
    assert result.skip_message == f"Nothing new in {empty.incoming}."
    assert empty.incoming.is_dir()


def test_a_file_waits_one_tick_and_is_requested_once(blank: dg.DagsterInstance, home: Home) -> None:
    export = deliver(home, "new.csv", customers())
    first = look(blank, home)
    assert not first.run_requests
    assert first.skip_message == "new.csv arrived; waiting until it has stopped growing"
    second = look(blank, home, first.cursor)
    [request] = second.run_requests
    assert request.tags[CONTENT] == sha256(export)
    assert request.run_config == {"resources": {"settings": {"config": {"input": str(export)}}}}
    assert request.tags[FINGERPRINT] == mark_of(home, sha256(export))
    begin(blank, home, request)
    third = look(blank, home, second.cursor)
    assert not third.run_requests
    assert third.skip_message == "new.csv is being segmented"


def test_a_growing_file_waits_until_it_has_stopped(blank: dg.DagsterInstance, home: Home) -> None:
    lines = customers().to_csv(index=False).splitlines(keepends=True)
    cursor = None
    for written in (1, 100, 200, len(lines)):
        deliver(home, "growing.csv", "".join(lines[:written]), seconds_ago=3_600 - written)
        result = look(blank, home, cursor)
        assert not result.run_requests
        cursor = result.cursor
    [request] = look(blank, home, cursor).run_requests
    assert request.tags[CONTENT] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_of_files_with_the_same_content_one_is_requested(blank: dg.DagsterInstance, home: Home) -> None:
    deliver(home, "one.csv", customers())
    deliver(home, "another.csv", customers())
    result = look(blank, home, look(blank, home).cursor)
    [request] = result.run_requests
    begin(blank, home, request)
    again = look(blank, home, result.cursor)
    assert not again.run_requests
    assert again.skip_message.count("is being segmented") == 2


def test_a_new_content_under_an_old_name_is_requested(blank: dg.DagsterInstance, home: Home) -> None:
    deliver(home, "export.csv", customers())
    done = look(blank, home, look(blank, home).cursor)
    export = deliver(home, "export.csv", customers().head(200), seconds_ago=60)
    waiting = look(blank, home, done.cursor)
    assert not waiting.run_requests
    [request] = look(blank, home, waiting.cursor).run_requests
    assert request.tags[CONTENT] == sha256(export) != done.run_requests[0].tags[CONTENT]
    assert request.run_key != done.run_requests[0].run_key


def test_of_files_that_arrive_together_the_newest_is_requested_last(blank: dg.DagsterInstance, home: Home) -> None:
    newest = deliver(home, "a.csv", customers().head(250), seconds_ago=60)
    oldest = deliver(home, "b.csv", customers(), seconds_ago=120)
    result = look(blank, home, look(blank, home).cursor)
    assert [request.tags[CONTENT] for request in result.run_requests] == [sha256(oldest), sha256(newest)]


@pytest.mark.parametrize("name", ["export.csv.part", "export.csv.tmp", "export.PARTIAL", ".hidden.csv"])
def test_what_says_that_it_is_unfinished_is_not_looked_at(blank: dg.DagsterInstance, home: Home, name: str) -> None:
    deliver(home, name, "no export")
    result = look(blank, home, look(blank, home).cursor)
    assert result.skip_message == f"Nothing new in {home.incoming}."
    assert (home.incoming / name).is_file()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the file is empty"),
        ("a,b\n1,2\n", "none of the 22 expected columns is there"),
        (customers().rename(columns={"Income": "Incme"}), "Income (nearest name found: 'Incme')"),
    ],
    ids=["empty", "something else", "misspelt column"],
)
def test_a_bad_file_is_set_aside_with_its_reason(
    blank: dg.DagsterInstance, home: Home, content: pd.DataFrame | str, reason: str
) -> None:
    export = deliver(home, "bad.csv", content)
    before = export.read_bytes()
    first = look(blank, home)
    assert export.is_file()
    result = look(blank, home, first.cursor)
    assert not result.run_requests
    assert "bad.csv refused: " in result.skip_message
    assert reason in result.skip_message
    assert not export.exists()
    assert (home.refused / "bad.csv").read_bytes() == before
    assert reason in (home.refused / "bad.csv.reason.txt").read_text()
    [told] = result.asset_events
    assert (told.asset_key.path, told.check_name, told.passed) == (["raw_customers"], CAN_BE_USED, False)
    assert told.metadata["export"].value == "bad.csv"
    assert reason in told.metadata["reason"].value
    assert told.metadata["set_aside"].value == str(home.refused / "bad.csv")
    assert look(blank, home, result.cursor).skip_message == f"Nothing new in {home.incoming}."


def test_a_bad_file_does_not_hold_up_a_good_one(blank: dg.DagsterInstance, home: Home) -> None:
    deliver(home, "bad.csv", "")
    good = deliver(home, "good.csv", customers())
    result = look(blank, home, look(blank, home).cursor)
    [request] = result.run_requests
    assert request.tags[CONTENT] == sha256(good)
    # What was refused is told last, so that it is what is shown.
    assert [(event.passed, event.metadata["export"].value) for event in result.asset_events] == [
        (True, "good.csv"),
        (False, "bad.csv"),
    ]


def test_a_workbook_that_would_end_its_reader_does_not_hold_up_a_good_export(
    blank: dg.DagsterInstance, home: Home
) -> None:
    bad = deliver(home, "bad.csv", "").rename(home.incoming / "bad.xlsx")
    workbook = openpyxl.Workbook()
    workbook.active.append(list(customers().columns))
    workbook.active["XFD1048576"] = "stray"
    workbook.save(bad)
    good = deliver(home, "good.csv", customers())
    result = look(blank, home, look(blank, home).cursor)
    assert [request.run_config["resources"]["settings"]["config"]["input"] for request in result.run_requests] == [
        str(good)
    ]
    assert "A stray cell" in (home.refused / "bad.xlsx.reason.txt").read_text()
    assert not bad.exists()


def test_two_bad_files_of_one_name_are_both_kept(blank: dg.DagsterInstance, home: Home) -> None:
    for content in ("first\n", "second\n"):
        deliver(home, "bad.csv", content)
        look(blank, home, look(blank, home).cursor)
    assert {path.name: path.read_text() for path in home.refused.glob("*.csv")} == {
        "bad.csv": "first\n",
        "bad-2.csv": "second\n",
    }
    assert len(list(home.refused.glob("*.reason.txt"))) == 2


@pytest.mark.parametrize("made", ["link", "pipe", "folder"])
def test_what_is_no_file_is_left_alone_and_named(blank: dg.DagsterInstance, home: Home, made: str) -> None:
    home.incoming.mkdir(parents=True)
    path = home.incoming / "x.csv"
    {"link": lambda: path.symlink_to("/etc/passwd"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[made]()
    result = look(blank, home, look(blank, home).cursor)
    assert not result.run_requests
    assert "x.csv is a " in result.skip_message
    assert "no file, and is left alone" in result.skip_message
    assert [*home.incoming.iterdir()] == [path]


# How a run can end, and what then becomes of the export it was over


def begin(
    instance: dg.DagsterInstance,
    home: Home,
    request: dg.RunRequest,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
) -> dg.DagsterRun:
    """Record a run as the daemon would, when it has taken a request."""
    tags = request.tags | {RUN_KEY: str(request.run_key)}
    job = build_defs(home).resolve_job_def("nightly_refresh")
    return instance.create_run_for_job(job, status=status, tags=tags, run_config=request.run_config)


def execute(instance: dg.DagsterInstance, home: Home, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """Run what the sensor asked for."""
    job = build_defs(home).resolve_job_def("nightly_refresh")
    tags = request.tags | {RUN_KEY: str(request.run_key)}
    return job.execute_in_process(request.run_config, instance=instance, tags=tags, raise_on_error=False)


def ask(instance: dg.DagsterInstance, home: Home) -> tuple[list[dg.RunRequest], Any]:
    """What a sensor that has no memory asks for, of files that are complete."""
    result = look(instance, home, look(instance, home).cursor)
    return list(result.run_requests or []), result


def ended_by(instance: dg.DagsterInstance, home: Home, request: dg.RunRequest, how: str) -> None:
    status = dg.DagsterRunStatus.STARTED if how == "killed" else dg.DagsterRunStatus(how)
    run = begin(instance, home, request, status)
    if how == "killed":
        # As often as Dagster tries again.
        for _ in range(3):
            instance.report_run_failed(run, "The process died.")
            run = begin(instance, home, request)
        instance.report_run_failed(run, "The process died.")
        for each in instance.get_runs():
            instance.add_run_tags(each.run_id, {"dagster/will_retry": "false"})


@pytest.mark.parametrize("how", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING", "SUCCESS"])
def test_a_content_that_is_under_way_or_published_is_not_run_again_under_any_name(
    blank: dg.DagsterInstance, home: Home, how: str
) -> None:
    deliver(home, "new.csv", customers())
    [request], _ = ask(blank, home)
    ended_by(blank, home, request, how)
    deliver(home, "again.csv", customers())
    assert not ask(blank, home)[0]
    if how != "SUCCESS":
        assert tick(blank, home).skip_message.endswith("is being segmented already.")


@pytest.mark.parametrize("how", ["killed", "CANCELED", "FAILURE"])
def test_a_content_whose_run_came_to_nothing_is_run_when_it_is_dropped_again_and_only_then(
    blank: dg.DagsterInstance, home: Home, how: str
) -> None:
    path = deliver(home, "new.csv", customers())
    [request], result = ask(blank, home)
    ended_by(blank, home, request, how)
    for _ in range(3):
        result = look(blank, home, result.cursor)
        assert not result.run_requests
        assert "came to nothing" in result.skip_message
    path.rename(home.root / "away.csv")
    (home.root / "away.csv").rename(path)
    [again], _ = ask(blank, home)
    assert again.run_key != request.run_key
    path.rename(home.incoming / "other.csv")
    [another], _ = ask(blank, home)
    assert another.tags[CONTENT] == request.tags[CONTENT]
    assert len({request.run_key, again.run_key, another.run_key}) == 3


def test_a_content_that_came_to_nothing_is_run_when_settings_have_changed(
    blank: dg.DagsterInstance, home: Home
) -> None:
    deliver(home, "new.csv", customers())
    [request], _ = ask(blank, home)
    ended_by(blank, home, request, "FAILURE")
    assert not ask(blank, home)[0]
    home.settings.write_text("settings:\n  max_rejected_share: 0.9\n")
    assert [again.tags[CONTENT] for again in ask(blank, home)[0]] == [request.tags[CONTENT]]


def test_what_dagster_will_try_again_itself_is_left_to_it(blank: dg.DagsterInstance, home: Home) -> None:
    path = deliver(home, "new.csv", customers())
    [request], _ = ask(blank, home)
    run = begin(blank, home, request)
    blank.report_run_failed(run, "The process died.")
    blank.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    path.rename(home.incoming / "other.csv")
    assert not ask(blank, home)[0]


def test_a_published_content_is_known_although_dagster_has_forgotten_its_run(
    instance: dg.DagsterInstance, night_home: Home
) -> None:
    for run in instance.get_runs():
        instance.delete_run(run.run_id)
    deliver(night_home, "again.csv", customers())
    assert not ask(instance, night_home)[0]


def test_what_waits_for_a_home_to_be_mended_is_run_unaided(instance: dg.DagsterInstance, night_home: Home) -> None:
    record = night_home.models / "champion.json"
    whole = record.read_bytes()
    record.write_bytes(whole[:100])
    waiting = [deliver(night_home, f"{rows}.csv", customers().head(rows), 3_600 - rows) for rows in (250, 280)]
    requests, result = ask(instance, night_home)
    assert [request.tags[CONTENT] for request in requests] == [sha256(path) for path in waiting]
    for request in requests:
        run = execute(instance, night_home, request)
        fault = find_fault(instance, run.run_id)
        assert isinstance(fault, HomeError)
        assert "champion.json: the file is damaged" in str(fault)
    for _ in range(2):
        result = look(instance, night_home, result.cursor)
        assert not result.run_requests
        assert result.skip_message.count("It is run when that is mended") == 2
    assert all(path.is_file() for path in waiting)

    record.write_bytes(whole)
    result = look(instance, night_home, result.cursor)
    assert [request.tags[CONTENT] for request in result.run_requests] == [sha256(path) for path in waiting]
    # A fault that no look at the home shows: it is tried again, but after a pause.
    for request in result.run_requests:
        run = begin(instance, night_home, request)
        instance.report_run_failed(run, "", JobFailureData(HOME_BUSY, None))
        instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    paused = look(instance, night_home, result.cursor)
    assert not paused.run_requests
    assert paused.skip_message.count("It is tried again 60 s after run") == 2
    # Dropped again, they are new.
    for path in waiting:
        path.rename(night_home.incoming / f"again-{path.name}")
    requests, _ = ask(instance, night_home)
    assert [execute(instance, night_home, request).success for request in requests] == [True, True]
    assert not ask(instance, night_home)[0]


HOME_BUSY = SerializableErrorInfo(
    "dagster._core.errors.DagsterResourceFunctionError: Error executing resource_fn\n",
    [],
    "DagsterResourceFunctionError",
    SerializableErrorInfo("smartcart_pipeline.storage.run_lock.HomeBusyError: home: busy\n", [], "HomeBusyError", None),
)


# Exports that a run refuses


def fail(instance: dg.DagsterInstance, home: Home, export: Path, **settings: Any) -> dg.RunFailureSensorContext:
    """Run the job over an export, see it fail, and tell the failure as Dagster would."""
    with pytest.raises((FaultError, RunError)):
        run_job(home, {"input": str(export), "recipe": "behavioural", **settings}, quiet=True)
    run = instance.get_runs(limit=1)[0]
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert settings_of(run)["input"] == str(export)
    [event] = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    return dg.build_run_status_sensor_context(
        "refused_export",
        dagster_event=event.event_log_entry.get_dagster_event(),
        dagster_instance=instance,
        dagster_run=run,
        resources={"home": home},
    ).for_run_failure()


def test_an_export_with_too_many_bad_rows_is_set_aside(instance: dg.DagsterInstance, night_home: Home) -> None:
    export = deliver(night_home, "bad.csv", half_bad())
    before = export.read_bytes()
    context = fail(instance, night_home, export)
    refused_export(context)
    assert not export.exists()
    assert (night_home.refused / "bad.csv").read_bytes() == before
    reason = (night_home.refused / "bad.csv.reason.txt").read_text()
    assert reason.startswith("150 of 300 rows rejected (50.0%; limit 5.0%). Education is none of ")
    assert ": 150 rows, the first on line 2. Correct the export" in reason
    assert reason.strip() == str(find_fault(instance, context.dagster_run.run_id))
    assert "first.csv has not changed" in tick(instance, night_home).skip_message
    refused_export(context)  # a second time, nothing is left to do
    shown = instance.event_log_storage.get_asset_check_execution_history(CHECK_KEY, limit=5)
    [told] = [record.evaluation for record in shown if record.evaluation and not record.evaluation.passed]
    assert told.metadata["export"].value == "bad.csv"
    assert told.metadata["reason"].value == reason.strip()
    assert told.metadata["set_aside"].value == str(night_home.refused / "bad.csv")
    assert shown[0].evaluation == told


def test_what_is_not_to_blame_is_left_where_it_is(
    instance: dg.DagsterInstance, night_home: Home, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.csv"
    half_bad().to_csv(elsewhere, index=False)
    refused_export(fail(instance, night_home, elsewhere))
    assert elsewhere.is_file()

    good = night_home.incoming / "first.csv"
    refused_export(fail(instance, night_home, good, as_of="1990-01-01"))
    assert good.is_file(), "the call was at fault"

    again = deliver(night_home, "again.csv", half_bad())
    context = fail(instance, night_home, again)
    deliver(night_home, "again.csv", customers())
    refused_export(context)
    assert again.is_file(), "another content has been delivered under the name"

    for spoilt in (night_home.models / "champion.json", night_home.models / "v1" / "model.json"):
        whole = spoilt.read_bytes()
        spoilt.write_bytes(whole[:100])
        context = fail(instance, night_home, good)
        fault = find_fault(instance, context.dagster_run.run_id)
        assert isinstance(fault, HomeError)
        assert str(fault).startswith(f"{spoilt}: the file is damaged")
        refused_export(context)
        assert good.is_file(), "the home was at fault"
        spoilt.write_bytes(whole)

    shutil.rmtree(night_home.lake / "features")
    (night_home.lake / "features").write_text("in the way")
    context = fail(instance, night_home, good)
    assert isinstance(find_fault(instance, context.dagster_run.run_id), HomeError)
    refused_export(context)
    assert good.is_file(), "what stands in the way is not its fault"
    assert not night_home.refused.exists()


# One asset at a time, as from the UI

ALONE = [
    ["declared_columns", "declared_features"],
    ["raw_customers"],
    ["cleaned", "rejected_customers", "cleaning_figures"],
    ["features"],
    ["scaled", "scaler", "correlations"],
    ["pca_components", "loadings"],
    ["sampled_customers", "k_selection"],
    ["contested_models", "fitted_centroids", "promotion_decisions", "feature_drift", "segment_events"],
    ["clusters", "centroids", "algorithm_comparison"],
    ["segment_membership"],
    ["segment_moves"],
    ["segment_migration", "nights", "segment_days"],
    ["plotted_customers", "category_spending"],
    ["profiles", "segment_drivers", "segment_pairs", "sensitive_association", "structure", "segment_recovery"],
    ["segment_model"],
    ["segment_rules"],
    [
        *("audiences", "audience_segments", "audience_overlaps"),
        *("audience_stays", "audience_changes", "deliveries"),
    ],
    ["outcomes", "rejected_outcomes", "campaign_results"],
    ["warehouse"],
    ["audience_lists"],
    ["report"],
]
PUBLISHED = {"warehouse", "audience_lists", "report"}


def materialise(instance: dg.DagsterInstance, home: Home, names: list[str]) -> dg.ExecuteInProcessResult:
    job = build_defs(home).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(name) for name in names])


def test_every_asset_is_tried_alone() -> None:
    assert sorted(name for names in ALONE for name in names) == sorted([*TABLES, *PUBLISHED])


@pytest.mark.parametrize("names", ALONE, ids=lambda names: names[0])
def test_an_asset_can_be_made_alone_after_a_whole_run(
    instance: dg.DagsterInstance, night_home: Home, names: list[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in night_home.lake.rglob("*.parquet")}
    published = night_home.warehouse.stat().st_mtime_ns
    result = materialise(instance, night_home, names)
    made = {event.asset_key.path[-1] for event in result.get_asset_materialization_events() if event.asset_key}
    assert made == set(names)
    checked = result.get_asset_check_evaluations()
    assert {check.asset_key.path[-1] for check in checked} == set(names) - PUBLISHED
    warns = {"no_repeats", "not_one_feature", "nothing_sensitive_followed"}
    assert all(check.passed for check in checked if check.check_name not in warns)
    new = set(night_home.lake.rglob("*.parquet")) - set(before)
    assert {(path.parent.name, path.stem.split("_")[-1]) for path in new} == {
        (name, result.run_id) for name in names if name not in PUBLISHED
    }
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (night_home.warehouse.stat().st_mtime_ns != published) == (names == ["warehouse"])


def test_a_long_table_is_told_with_rows_and_rate_while_it_is_written(
    blank: dg.DagsterInstance, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartcart_pipeline.engines.duckdb.REPORT_SECONDS", 0.02)
    export = home.incoming / "export.parquet"
    export.parent.mkdir(parents=True, exist_ok=True)
    write_sample(export, 300_000, seed=3)
    result = materialise(blank, home, ["raw_customers", "cleaned", "rejected_customers", "cleaning_figures"])
    assert result.success
    said = [record.user_message for record in blank.all_logs(result.run_id) if record.user_message]
    for name in ("raw_customers", "cleaned"):
        assert [line for line in said if line.startswith(f"{name}: of 300,000 rows about ")]
        assert [line for line in said if re.fullmatch(rf"{name}: [\d,]+ rows, [\d,]+ a second", line)]


def test_an_asset_made_alone_reads_the_newest_upstream_table(
    instance: dg.DagsterInstance, night_home: Home, engine: DuckDBEngine
) -> None:
    last = Lake(night_home.lake, "later", engine, BEHAVIOURAL)
    few = engine.fetch(last.read("cleaned").sort("customer_id").head(5))
    last.write("cleaned", engine.frame(few))
    result = materialise(instance, night_home, ["features"])
    [made] = result.get_asset_materialization_events()
    assert made.step_materialization_data.materialization.metadata["dagster/row_count"].value == 5
    ids = engine.rows(Lake(night_home.lake, result.run_id, engine, BEHAVIOURAL).read("features").select("customer_id"))
    assert [row["customer_id"] for row in ids] == few.column("customer_id").to_pylist()


def test_without_a_run_before_the_missing_table_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    prepare_home(home)
    with (
        dg.DagsterInstance.get() as instance,
        pytest.raises(FileNotFoundError, match="The table cleaned has never been made: materialise the asset cleaned"),
    ):
        materialise(instance, home, ["features"])
