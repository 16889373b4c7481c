"""Whoever the settings name is told, within a stated time; what is wrong with them is told without their secrets."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smartcart_pipeline.declaration.errors import FaultError
from smartcart_pipeline.notifications import receivers
from smartcart_pipeline.notifications.outbox import Message
from smartcart_pipeline.notifications.receivers import ABOUT, Receiver, notify_of, send
from smartcart_pipeline.orchestration.settings import read_home
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.receiving import Mail, Web, port_of, serving

SECRET = "s3cr3t/w:rd@here"  # noqa: S105  (of nobody)
MESSAGE = Message("key", "failure", "SmartCart: a title", "First line.\nSecond line.", datetime.now(UTC))


def settings(home: Home, text: str) -> Home:
    home.root.mkdir(parents=True, exist_ok=True)
    home.settings.write_text(text)
    return home


def address(text: str) -> Receiver:
    return Receiver("address 1", text)


# What the settings say


@pytest.mark.parametrize("text", ["", "notify: {}\n", "notify:\n  about: [late]\n", "notify:\n  to: []\n"])
def test_where_nobody_is_named_nobody_is_told(home: Home, text: str):
    assert notify_of(settings(home, text)) is None


def test_receivers_are_named_by_where_they_stand(home: Home):
    settings(
        home,
        'notify:\n  to: ["mailto://u:p@example.com", "${TEAM}", "slack://A1/B2/C3"]\n'
        "  command: [/usr/local/bin/tell, --title]\n  late_after_hours: 100\n",
    )
    found = notify_of(home)
    assert found is not None
    assert [one.name for one in found.receivers] == [
        "address 1 (mailto)",
        "address 2 (${TEAM})",
        "address 3 (slack)",
        "command (tell)",
    ]
    assert found.about == set(ABOUT) - {"success"}
    assert found.late_after == timedelta(hours=100)
    assert len({one.key for one in found.receivers}) == 4
    assert "example.com" not in repr(found)


def test_what_else_is_wrong_in_the_settings_keeps_nobody_from_being_told(home: Home):
    settings(home, 'settings:\n  sed: 1\nnotify:\n  to: ["json://localhost/x"]\n')
    assert notify_of(home) is not None
    with pytest.raises(FaultError, match="Did you mean seed"):
        read_home(home)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("notify: json://u:SECRET@h\n", "the section notify holds 'json://…'"),
        ("notify:\n  two: []\n", "two is no setting of notify. Did you mean to?"),
        ("notify:\n  json://u:SECRET@h: x\n", "json://… is no setting of notify."),
        ("notify:\n  to: json://u:SECRET@h\n", "notify: to is no list."),
        ("notify:\n  to: [{json: SECRET}]\n", "notify: to: entry 1 is no text."),
        ("notify:\n  to: ['json://h', 'SECRET']\n", "notify: to: entry 2 is no address"),
        ("notify:\n  to: ['json://h']\n  about: failure\n", "notify: about is no list"),
        ("notify:\n  to: ['json://h']\n  about: [failures]\n", "failures is no kind of message"),
        ("notify:\n  to: ['json://h']\n  about: [failures]\n", "Did you mean failure?"),
        ("notify:\n  command: tell SECRET\n", "notify: command is no list of texts"),
        ("notify:\n  command: [tell, {SECRET: 1}]\n", "notify: command is no list of texts"),
        ("notify:\n  to: ['json://h']\n  late_after_hours: soon\n", "notify: late_after_hours is no number"),
        ("notify:\n  to: ['json://h']\n  late_after_hours: .nan\n", "notify: late_after_hours is no number"),
        ("notify:\n  to: ['json://u:SECRET@h'\n", "cannot be read: while parsing a flow sequence"),
        ("- json://u:SECRET@h\n", "holds ['json://…'], expected sections"),
    ],
)
def test_what_cannot_be_set_is_told_without_what_may_be_secret(home: Home, text: str, told: str):
    settings(home, text)
    with pytest.raises(FaultError) as caught:
        read_home(home)
    assert told in str(caught.value)
    assert str(home.settings) in str(caught.value)
    assert "SECRET" not in str(caught.value)


# Addresses


def test_a_web_hook_gets_title_body_and_how_urgent_it_is():
    with serving(Web()) as web:
        assert send(address(f"json://127.0.0.1:{port_of(web)}/hook"), MESSAGE) is None
    [(path, posted)] = web.posted
    assert path == "/hook"
    assert (posted["title"], posted["message"], posted["type"]) == (MESSAGE.title, MESSAGE.body, "failure")


def test_a_mail_arrives_with_the_password_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    with serving(Mail(SECRET)) as mail:
        to = f"mailto://robot:${{SMTP_PASSWORD}}@127.0.0.1:{port_of(mail)}?from=robot@example.com&to=team@example.com"
        assert send(address(to), MESSAGE) is None
    [(recipients, content)] = mail.delivered
    assert recipients == ["team@example.com"]
    assert content["subject"] == MESSAGE.title
    text = content.get_body(("plain", "html")).get_content()
    assert "First line." in text
    assert "Second line." in text
    assert SECRET not in str(content)


def test_an_address_may_be_a_whole_variable(monkeypatch: pytest.MonkeyPatch):
    with serving(Web()) as web:
        monkeypatch.setenv("TEAM", f"json://127.0.0.1:{port_of(web)}/a/b?+Who=me")
        assert send(address("${TEAM}"), MESSAGE) is None
    assert [path for path, _ in web.posted] == ["/a/b"]


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None):
    monkeypatch.setenv("NOT_SET", value or "")
    if value is None:
        monkeypatch.delenv("NOT_SET")
    assert send(address("json://u:${NOT_SET}@h"), MESSAGE) == "the variable NOT_SET is not set in the environment"


def test_no_secret_stands_in_why_a_message_did_not_arrive(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOKEN", SECRET)
    with serving(Web()) as web, serving(Mail("another")) as mail:
        web.status = 403
        hook = (
            f"json://robot:{SECRET.replace('/', '%2F').replace('@', '%40')}@127.0.0.1:{port_of(web)}/T0KEN/${{TOKEN}}"
        )
        mailto = f"mailto://robot:${{TOKEN}}@127.0.0.1:{port_of(mail)}?from=robot@example.com&to=team@example.com"
        told = [send(address(one), MESSAGE) for one in (hook, mailto)]
    told += [send(address(one), MESSAGE) for one in (hook, mailto, "slack://T0KEN/${TOKEN}", "jsn://T0KEN", "T0KEN")]
    assert told == [
        "Failed to send JSON POST notification: error=403.",
        'Connection error while submitting email to "127.0.0.1" (535)',
        "A Connection error occurred sending JSON notification to 127.0.0.1. (Connection refused)",
        'Connection error while submitting email to "127.0.0.1" (Connection refused)',
        "apprise cannot use this address: An invalid Slack (third) Token (…) was specified.",
        "apprise knows no service jsn. Did you mean json?",
        "this is no address: one begins like mailto:// or json://",
    ]


def test_a_receiver_that_never_answers_is_left_after_its_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(receivers, "SECONDS", 2)
    with serving(Web()) as web:
        web.status = None
        assert send(address(f"json://127.0.0.1:{port_of(web)}/?rto=100"), MESSAGE) == "no answer within 2 s"


# A command


def command(*parts: str) -> Receiver:
    return Receiver("command", command=parts)


def test_a_command_gets_the_title_as_its_last_argument_and_the_body_on_standard_input(tmp_path: Path):
    written = tmp_path / "told"
    title = "SmartCart: $(reboot); `id` 'x"
    message = Message("key", "late", title, MESSAGE.body, MESSAGE.at)
    program = f'printf "%s|%s|" "$1" "$2" > {written}; cat >> {written}'
    assert send(command("/bin/sh", "-c", program, "tell", "--title"), message) is None
    assert written.read_text() == f"--title|{title}|{MESSAGE.body}"


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (("/bin/sh", "-c", "echo no line >&2; exit 3"), "no line"),
        (("/bin/sh", "-c", "exit 3"), "it ended with code 3"),
        (("/no/such/command",), "it cannot be started: No such file or directory"),
    ],
)
def test_a_command_that_fails_says_why(parts: tuple[str, ...], told: str):
    assert send(command(*parts), MESSAGE) == told


def test_a_command_need_not_read_and_may_leave_something_running(tmp_path: Path):
    started = time.monotonic()
    assert send(command("/bin/sh", "-c", "setsid sleep 60 & exit 0"), MESSAGE) is None
    assert time.monotonic() - started < receivers.SECONDS


def test_a_command_that_hangs_is_ended_with_what_it_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(receivers, "SECONDS", 1)
    pid = tmp_path / "pid"
    told = send(command("/bin/sh", "-c", f"sleep 60 & echo $! > {pid}; wait"), MESSAGE)
    assert told == "no answer within 1 s"
    status = Path(f"/proc/{pid.read_text().strip()}/status")
    while status.exists() and "zombie" not in status.read_text():
        time.sleep(0.01)


def test_the_address_stands_in_no_list_of_processes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(receivers, "SECONDS", 3)
    with serving(Web()) as web, ThreadPoolExecutor(1) as threads:
        web.status = None
        sent = threads.submit(send, address(f"json://127.0.0.1:{port_of(web)}/T0KEN?rto=100"), MESSAGE)
        shown = b""
        while not sent.done():
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    shown += process.read_bytes()
        assert sent.result() == "no answer within 3 s"
    assert b"sending.py" in shown
    assert b"T0KEN" not in shown
