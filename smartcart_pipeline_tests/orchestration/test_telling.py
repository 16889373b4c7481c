"""Somebody is told: of every way in which a run can end, once, whoever ran it; and nobody's secret is told."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from smartcart_pipeline.declaration.errors import FaultError, HomeError
from smartcart_pipeline.notifications import outbox, receivers
from smartcart_pipeline.orchestration.automation import BY_COMMAND, new_export
from smartcart_pipeline.orchestration.definitions import build_defs
from smartcart_pipeline.orchestration.night import open_records, run_job
from smartcart_pipeline.orchestration.telling import TOLD, notifications
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.conftest import SAMPLE
from smartcart_pipeline_tests.receiving import Mail, Web, port_of, serving

PASSWORD = "P4SSW0RD-of-nobody"  # noqa: S105
SECRETS = (PASSWORD, "T0KEN-of-nobody")
NAME = "SECRETNAME0"


def export(tmp_path: Path, rows: slice = slice(0, 300), **columns: Any) -> Path:
    path = tmp_path / f"customers-{rows.start}.csv"
    pd.read_csv(SAMPLE)[rows].assign(**columns).to_csv(path, index=False)
    return path


def settle(home: Home, web: Web, about: str | None = None, late: float = 30, more: str = "") -> None:
    told = f"  about: [{about}]\n" if about else ""
    home.settings.write_text(
        f'notify:\n  to: ["json://127.0.0.1:{port_of(web)}/${{TOKEN}}"]\n  late_after_hours: {late:f}\n{told}{more}'
    )


@pytest.fixture(scope="module", autouse=True)
def _secrets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKEN", SECRETS[1])
        patch.setenv("SMTP_PASSWORD", PASSWORD)
        yield


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web()) as web:
        yield web


@pytest.fixture(scope="module")
def told_home(
    whole_night: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, list[tuple[str, str]], list[Any]]:
    """A home that has published three nights, and what was told of them by web hook and by mail."""
    home = Home(tmp_path_factory.mktemp("told") / "home")
    home.root.mkdir()
    files = tmp_path_factory.mktemp("exports")
    with serving(Web()) as web, serving(Mail(PASSWORD)) as mail, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home.dagster))
        patch.setenv("SMARTCART_HOME", str(home.root))
        mailto = (
            f"mailto://robot:${{SMTP_PASSWORD}}@127.0.0.1:{port_of(mail)}?from=robot@example.com&to=team@example.com"
        )
        home.settings.write_text(
            f'notify:\n  to: ["{mailto}", "json://127.0.0.1:{port_of(web)}/${{TOKEN}}"]\n'
            "  about: [success, promotion, held, drift]\n"
        )
        run_job(home, {"input": str(export(files))}, quiet=True)
        run_job(
            home, {"input": str(export(files, slice(300, 600))), "as_of": "2015-01-01", "refit": "always"}, quiet=True
        )
        held = {"as_of": "2015-01-02", "min_drifted_features": 0.0, "min_stability": 1.0}
        run_job(home, {"input": str(export(files, slice(600, 900))), **held}, quiet=True)
        posted = [(message["title"], message["message"]) for _, message in web.posted]
        return home, posted, mail.delivered


@pytest.fixture
def home(told_home: tuple[Home, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of that home, to do with as a test likes."""
    copy = Home(tmp_path / "home")
    shutil.copytree(told_home[0].root, copy.root)
    monkeypatch.setenv("DAGSTER_HOME", str(copy.dagster))
    monkeypatch.setenv("SMARTCART_HOME", str(copy.root))
    return copy


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with open_records(home) as instance:
        yield instance


def look(instance: dg.DagsterInstance, home: Home) -> str:
    """One tick of the sensor."""
    with dg.build_sensor_context(instance=instance, resources={"home": home}) as context:
        return notifications.evaluate_tick(context).skip_message


def begin(instance: dg.DagsterInstance, home: Home, **tags: str) -> dg.DagsterRun:
    job = build_defs(home).resolve_job_def("nightly_refresh")
    return instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)


def assert_nowhere(secrets: tuple[str, ...], root: Path) -> None:
    files = [path for path in root.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path


# Nights


def test_nights_are_told_by_every_address(told_home: tuple[Home, list[tuple[str, str]], list[Any]]):
    home, posted, mails = told_home
    titles = [title for title, _ in posted]
    assert titles[0] == "SmartCart: night 1 published, 300 customers in 4 segments"
    assert titles[1].startswith("SmartCart: night 2 puts model v2 in force, 299 customers in ")
    assert titles[2] == "SmartCart: night 3 published, challenger v3 held"
    assert [content["subject"] for _, content in mails] == titles
    first, second, third = (body for _, body in posted)
    assert (
        first.splitlines()[0] == "customers-0.csv, as of 2014-06-29: 300 of 300 customers in 4 segments, 0 set aside."
    )
    assert first.splitlines()[1] == "Model in force: v1. Promoted: it is the first model of this home."
    assert first.splitlines()[2].startswith(f"Report: {home.report} (run ")
    assert len(first.splitlines()) == 3
    assert "every night's fit is promoted" in second
    assert "Held: 0" in third or "Held: " in third
    assert "its stability is" in third
    assert not outbox.waiting(home)


def test_no_secret_stands_in_the_home(told_home: tuple[Home, Any, Any]):
    assert_nowhere(SECRETS, told_home[0].root)


def test_what_was_told_is_not_told_again(instance: dg.DagsterInstance, home: Home, web: Web):
    settle(home, web, "success, promotion, held")
    assert all(run.tags[TOLD] == run.run_id for run in instance.get_runs())
    assert look(instance, home) == "Everybody has been told."
    assert web.posted == []


def test_a_run_that_is_made_from_one_that_was_told_is_told(instance: dg.DagsterInstance, home: Home, web: Web):
    settle(home, web)
    run = begin(instance, home, **instance.get_runs(limit=1)[0].tags)
    instance.report_run_failed(run, "The machine went down.")
    instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    look(instance, home)
    assert web.titles == ["SmartCart: the run failed"]


# Exports


def test_an_export_that_a_run_refuses_is_told_by_kind_of_fault(home: Home, web: Web, tmp_path: Path):
    settle(home, web)
    bad = export(tmp_path, Education=[NAME, "PhD"] * 150)
    with pytest.raises(FaultError, match="150 of 300 rows rejected"):
        run_job(home, {"input": str(bad)}, quiet=True)
    [(_, message)] = web.posted
    assert message["title"] == "SmartCart: export customers-0.csv refused"
    assert message["message"].startswith("50.0% of its rows are rejected (limit 5.0%): unknown_category 150. ")
    assert NAME not in str(message)


def test_an_export_that_never_came_to_a_run_is_told(instance: dg.DagsterInstance, home: Home, web: Web):
    settle(home, web)
    home.incoming.mkdir(exist_ok=True)
    (home.incoming / "bad.csv").write_text(f"{NAME},b\n1,2\n")
    cursor = None
    for _ in range(2):
        with dg.build_sensor_context(instance=instance, resources={"home": home}, cursor=cursor) as context:
            cursor = new_export.evaluate_tick(context).cursor
    assert (home.refused / "bad.csv").is_file()
    look(instance, home)
    look(instance, home)
    [(_, message)] = web.posted
    assert message["title"] == "SmartCart: export bad.csv refused"
    assert f"Where it is now, with its reason in full: {home.refused}" in message["message"]
    assert NAME not in str(message)


# Failures


def test_a_run_that_fails_is_told_once_by_whoever_sees_it_first(
    instance: dg.DagsterInstance, home: Home, web: Web, tmp_path: Path
):
    settle(home, web)
    shutil.rmtree(home.lake / "scaled")
    (home.lake / "scaled").write_text("in the way")
    with pytest.raises(HomeError):
        run_job(home, {"input": str(export(tmp_path))}, quiet=True)
    look(instance, home)
    [(_, message)] = web.posted
    assert message["title"] == "SmartCart: the run failed in step raw_customers"
    assert "stands where the table scaled should" in message["message"]
    assert "What was published before is unchanged." in message["message"]
    assert f"smartcart dev --home {home.root}" in message["message"]


def test_a_run_of_the_command_that_died_is_told_by_who_finds_it(instance: dg.DagsterInstance, home: Home, web: Web):
    settle(home, web)
    begin(instance, home, **{BY_COMMAND: "true", "dagster/max_retries": "0"})
    look(instance, home)
    assert web.posted == []
    with dg.build_sensor_context(instance=instance, resources={"home": home}) as context:
        new_export.evaluate_tick(context)
    look(instance, home)
    [(_, message)] = web.posted
    assert message["title"] == "SmartCart: the run failed"
    assert message["message"].startswith("The process of this run died before it had ended.")


def test_a_run_that_is_tried_again_is_not_told_yet(instance: dg.DagsterInstance, home: Home, web: Web):
    settle(home, web)
    run = begin(instance, home)
    instance.report_run_failed(run, "The worker went away.")
    assert instance.get_run_by_id(run.run_id).tags["dagster/will_retry"] == "true"  # type: ignore[union-attr]
    look(instance, home)
    assert web.posted == []


def test_a_check_that_stops_a_night_is_told_with_its_finding(instance: dg.DagsterInstance, home: Home, web: Web):
    settle(home, web)
    run = begin(instance, home, **{"dagster/max_retries": "0"})
    found = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("features"),
        check_name="schema",
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description="3 rows: age < 0",
        metadata={"rows": 300},
        blocking=True,
    )
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    event = dg.DagsterEvent(kind.value, "nightly_refresh", event_specific_data=found)
    instance.report_dagster_event(event, run.run_id)
    instance.report_run_failed(run)
    look(instance, home)
    [(_, message)] = web.posted
    assert message["title"] == "SmartCart: night stopped by check schema of features"
    assert message["message"].startswith("Check schema of features: 3 rows: age < 0\n")


def test_a_command_that_cannot_begin_is_told_where_nobody_watches(home: Home, web: Web, tmp_path: Path):
    settle(home, web)
    with pytest.raises(FaultError):
        run_job(home, {"input": str(export(tmp_path)), "recipe": "secret"}, quiet=True)
    assert web.titles == ["SmartCart: the run could not begin"]


# Late nights


def test_a_night_that_does_not_come_is_told_once_and_so_is_the_next(instance: dg.DagsterInstance, home: Home, web: Web):
    settle(home, web, late=0.000001)
    look(instance, home)
    look(instance, home)
    assert len(web.titles) == 1
    assert web.titles[0].startswith("SmartCart: no night since ")
    settle(home, web)
    look(instance, home)
    look(instance, home)
    assert len(web.titles) == 1
    instance.report_runless_asset_event(dg.AssetMaterialization("warehouse", metadata={"night": 4}))
    look(instance, home)
    look(instance, home)
    assert len(web.titles) == 2
    assert web.titles[1].startswith("SmartCart: night 4 has come, at ")


# Receivers that are down


def test_a_receiver_that_is_down_fails_no_night_and_is_told_later(
    instance: dg.DagsterInstance, home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    with serving(Web()) as web:
        settle(home, web, "success")
        port = port_of(web)
    outcome = run_job(home, {"input": str(export(tmp_path)), "as_of": "2015-01-04"}, quiet=True)
    assert outcome["customers"] == 300
    said = capfd.readouterr().err
    assert "Not told yet: address 1 (json) did not take 'SmartCart: night 4 published" in said
    assert "(Connection refused). It is tried again, for 3 days." in said
    assert look(instance, home) == "1 message waits for somebody."
    assert_nowhere(SECRETS, home.root)
    assert not [secret for secret in SECRETS if secret in said]
    [(path, waits)] = outbox.waiting(home).items()
    assert waits is not None
    path.unlink()
    outbox.put(home, outbox.Message(**vars(waits) | {"tried": waits.at - timedelta(hours=2)}))
    with serving(Web(port)) as web:
        assert look(instance, home) == "Everybody has been told."
        assert web.titles == [waits.title]


def test_a_receiver_that_hangs_holds_a_night_for_its_time_only(
    home: Home, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(receivers, "SECONDS", 1)
    web.status = None
    settle(home, web, more='  command: ["/bin/sh", "-c", "exec sleep 60"]\n')
    with pytest.raises(FaultError):
        run_job(home, {"input": str(tmp_path / "none.csv")}, quiet=True)
    assert capfd.readouterr().err.count("no answer within 1 s") == 2


def test_a_home_where_nothing_can_be_recorded_still_tells(home: Home, web: Web, tmp_path: Path):
    settle(home, web)
    shutil.rmtree(home.outbox)
    home.outbox.write_text("in the way")
    (home.dagster / "history" / "runs.db").write_bytes(b"garbage" * 1_000)
    (home.dagster / "history" / "runs" / "index.db").write_bytes(b"garbage" * 1_000)
    with pytest.raises(Exception, match=r"."):
        run_job(home, {"input": str(tmp_path / "none.csv")}, quiet=True)
    assert len(web.titles) == 1


# Without the section, and with a wrong one


def test_where_nobody_is_named_nothing_is_done(instance: dg.DagsterInstance, home: Home):
    home.settings.unlink()
    shutil.rmtree(home.outbox)
    begun = begin(instance, home)
    instance.report_run_failed(begun)
    assert look(instance, home) == f"Nobody is to be told: {home.settings} has no section notify."
    assert not home.outbox.exists()


def test_what_ended_before_anybody_was_named_is_no_news(instance: dg.DagsterInstance, home: Home, web: Web):
    shutil.rmtree(home.outbox)
    run = begin(instance, home, **{"dagster/max_retries": "0"})
    instance.report_run_failed(run)
    time.sleep(0.01)
    settle(home, web)
    look(instance, home)
    assert web.posted == []


# The commands


def smartcart(home: Home, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return forked.smartcart(*arguments, "--home", home.root, env=os.environ | variables)


def test_the_settings_can_be_tried(tmp_path: Path, web: Web):
    home = Home(tmp_path)
    settle(home, web, more='  command: ["/no/such/command"]\n')
    found = smartcart(home, "notify", "test")
    assert found.returncode == 1
    assert found.stdout.splitlines() == [
        "address 1 (json): arrived",
        "command (command): did not arrive: it cannot be started: No such file or directory",
    ]
    settle(home, web)
    assert smartcart(home, "notify", "test").returncode == 0
    assert web.titles == ["SmartCart: a test message"] * 2
    unset = smartcart(home, "notify", "test", TOKEN="")
    assert unset.returncode == 1
    assert unset.stdout == "address 1 (json): did not arrive: the variable TOKEN is not set in the environment\n"


@pytest.mark.parametrize("command", ["test", "send"])
def test_where_nobody_is_named_the_commands_say_so(tmp_path: Path, command: str):
    found = smartcart(Home(tmp_path), "notify", command)
    assert found.returncode == 2
    assert "nobody is named who is to be told" in found.stderr
    assert "Traceback" not in found.stderr


def test_without_a_daemon_the_command_does_what_the_sensor_does(home: Home, web: Web):
    with open_records(home) as instance:
        begin(instance, home, **{BY_COMMAND: "true", "dagster/max_retries": "0"})
    settle(home, web, late=0.000001)
    found = smartcart(home, "notify", "send")
    assert (found.returncode, found.stdout, found.stderr) == (0, "Everybody has been told.\n", "")
    assert web.titles[0] == "SmartCart: the run failed"
    assert web.titles[1].startswith("SmartCart: no night since ")
