"""A message is delivered to everybody, once, whoever is down meanwhile; and it is given up after a stated time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smartcart_pipeline.notifications import outbox
from smartcart_pipeline.notifications.outbox import Message
from smartcart_pipeline.storage.home import Home

NOW = datetime.now(UTC).replace(microsecond=0)


def message(key: str, ago: timedelta = timedelta(0), tried: timedelta | None = None) -> Message:
    return Message(key, "failure", f"About {key}", "A line.", NOW - ago, (), None if tried is None else NOW - tried)


class Person:
    """Somebody who keeps what is sent to them, and may be down."""

    def __init__(self, down: bool = False) -> None:
        self.has: list[str] = []
        self.tries = 0
        self.down = down

    def take(self, sent: Message) -> str | None:
        self.tries += 1
        if self.down:
            return "nobody is at home"
        self.has.append(sent.key)
        return None


def send(home: Home, people: dict[str, Person], **more: bool | list[Message]) -> list[str]:
    said: list[str] = []
    senders: dict[str, tuple[str, Callable[[Message], str | None]]] = {
        key: (f"person {key}", person.take) for key, person in people.items()
    }
    outbox.deliver(home, senders, said.append, **more)  # type: ignore[arg-type]
    return said


def test_everybody_gets_every_message_in_order_and_nothing_is_left(home: Home):
    for key, minutes in (("b", 1), ("a", 5), ("c", 0)):
        outbox.put(home, message(key, timedelta(minutes=minutes)))
    people = {"x": Person(), "y": Person()}
    assert send(home, people) == []
    assert [person.has for person in people.values()] == [["a", "b", "c"]] * 2
    assert not outbox.waiting(home)
    send(home, people)
    assert people["x"].tries == 3


def test_who_is_down_holds_up_nobody_and_nobody_is_told_twice(home: Home):
    people = {"x": Person(), "y": Person(down=True)}
    outbox.put(home, message("a"))
    outbox.put(home, message("b"))
    [said] = send(home, people)
    assert said == "Not told yet: person y did not take 'About a': nobody is at home. It is tried again, for 3 days."
    assert people["x"].has == ["a", "b"]
    assert people["y"].tries == 1, "who is down is asked once"
    people["y"].down = False
    assert send(home, people) == []
    assert people["y"].has == [], "it is not due yet"
    send(home, people, at_once=True)
    assert [person.has for person in people.values()] == [["a", "b"]] * 2
    assert not outbox.waiting(home)


def test_an_address_that_was_corrected_gets_what_waits(home: Home):
    outbox.put(home, message("a"))
    send(home, {"x": Person(), "mistyped": Person(down=True)})
    people = {"x": Person(), "right": Person()}
    send(home, people, at_once=True)
    assert (people["x"].has, people["right"].has) == ([], ["a"])
    assert not outbox.waiting(home)


def test_a_message_is_done_with_although_somebody_who_got_it_is_told_no_more(home: Home):
    outbox.put(home, message("a"))
    send(home, {"x": Person(), "gone": Person(), "y": Person(down=True)})
    people = {"x": Person(), "y": Person()}
    send(home, people, at_once=True)
    assert (people["x"].has, people["y"].has) == ([], ["a"])
    assert not outbox.waiting(home)


@pytest.mark.parametrize(
    ("ago", "tried", "due"),
    [
        (0, None, True),
        (5, 1, False),
        (40, 35, True),
        (3_600, 600, False),
        (3_600, 1_700, False),
        (3_600, 2_000, True),
        (80_000, 3_500, False),
        (80_000, 3_700, True),
        (10, -50, True),
    ],
)
def test_a_message_is_tried_again_later_each_time(ago: int, tried: int | None, due: bool):
    waits = message("a", timedelta(seconds=ago), None if tried is None else timedelta(seconds=tried))
    assert waits.is_due(NOW) == due


def test_after_three_days_a_message_is_given_up_and_that_is_said(home: Home):
    outbox.put(home, message("old", timedelta(days=3, minutes=1)))
    outbox.put(home, message("young", timedelta(days=2, hours=23)))
    person = Person()
    assert send(home, {"x": person}) == ["Given up after 3 days, as not everybody took it: 'About old'."]
    assert person.has == ["young"]
    assert not outbox.waiting(home)


def test_the_same_message_is_put_once(home: Home):
    for _ in range(2):
        outbox.put(home, message("a"))
    assert len(outbox.waiting(home)) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"key": 1, "at": 2}'])
def test_a_file_that_holds_no_message_is_cleared_away(home: Home, content: bytes):
    outbox.put(home, message("a"))
    damaged = home.outbox / "20260101T000000Z_b.json"
    damaged.write_bytes(content)
    person = Person()
    assert send(home, {"x": person}) == [f"{damaged}: this is no message, and is removed."]
    assert person.has == ["a"]
    assert not outbox.waiting(home)


def test_what_cannot_be_written_is_told_all_the_same(home: Home):
    home.root.mkdir(parents=True)
    home.outbox.write_text("in the way")
    with pytest.raises(OSError):  # noqa: PT011  (which one depends on what is in the way)
        outbox.put(home, message("a"))
    people = {"x": Person(), "y": Person(down=True)}
    [said] = send(home, people, unwritten=[message("a")])
    assert people["x"].has == ["a"]
    assert said.endswith("It could not be kept, and is not tried again.")
    assert outbox.began(home).tzinfo


def test_messages_are_the_owners_alone(home: Home):
    outbox.put(home, message("a"))
    assert home.outbox.stat().st_mode & 0o777 == 0o700


def test_moments_are_noted_and_forgotten(home: Home):
    assert outbox.recall(home, "late") is None
    outbox.remember(home, "late", NOW)
    assert outbox.recall(home, "late") == NOW
    (home.outbox / ".late").write_text("2026-01-01T00:00:00")
    assert outbox.recall(home, "late") is None
    outbox.forget(home, "late")
    outbox.forget(home, "late")
    first = outbox.began(home)
    assert outbox.began(home) == first
    outbox.remember(home, "since", NOW + timedelta(days=400))
    assert outbox.began(home) < NOW + timedelta(days=1), "a clock that was wrong keeps nobody from being told"


# Several processes

PROGRAM = """
import os, pathlib, sys, time
from smartcart_pipeline.notifications import outbox
from smartcart_pipeline.storage.home import Home

home, told = Home(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2])

def take(message):
    with told.open("a") as file:
        file.write(message.key + "\\n")
    time.sleep(float(sys.argv[3]))

outbox.deliver(home, {"x": ("x", take)}, print, at_once=True)
"""


def start(home: Home, told: Path, seconds: float) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(home.root), str(told), str(seconds)])


def test_two_processes_at_once_tell_each_message_once(home: Home, tmp_path: Path):
    keys = [f"m{number:02}" for number in range(20)]
    for key in keys:
        outbox.put(home, message(key))
    told = tmp_path / "told"
    for process in [start(home, told, 0.02) for _ in range(3)]:
        assert process.wait(60) == 0
    assert told.read_text().split() == keys


def test_a_process_that_is_killed_loses_nothing_and_repeats_one_message_at_most(home: Home, tmp_path: Path):
    keys = [f"m{number:02}" for number in range(8)]
    for key in keys:
        outbox.put(home, message(key))
    told = tmp_path / "told"
    process = start(home, told, 0.3)
    while not told.exists() or len(told.read_text().split()) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert start(home, told, 0).wait(60) == 0
    found = told.read_text().split()
    assert sorted(set(found)) == keys
    assert len(found) <= len(keys) + 1
    assert not outbox.waiting(home)
