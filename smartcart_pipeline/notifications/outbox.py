"""The outbox: messages that are on their way, each a file until every receiver has it or three days have passed.

A message is written before anybody is told, and beside it who has it already: a receiver that is down holds up nobody,
and nobody is told twice because another one was. What can not be written is still told, once.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from smartcart_pipeline.storage.home import Home, put_in_place

GIVEN_UP_AFTER = timedelta(days=3)
# A receiver that is down is asked again after half a minute, then after twice as long each time, up to an hour.
SOONEST, LATEST = timedelta(seconds=30), timedelta(hours=1)
# So long a pass goes on, and another one waits for it.
PASS_SECONDS = 30
POLL_SECONDS = 0.1
# A service may refuse more, and a pipe takes it at once.
BODY = 4_000


@dataclass(frozen=True)
class Message:
    """Something that people are told.

    Attributes:
        key: What it is about: a second message of one key is the same one.
        kind: What sort of news it is.
        title: The subject, one line.
        body: A few lines of plain text.
        at: When it happened.
        arrived: The keys of those who have it.
        tried: When it was last tried.
    """

    key: str
    kind: str
    title: str
    body: str
    at: datetime
    arrived: tuple[str, ...] = ()
    tried: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to try again; by a clock that was set back it is."""
        if self.tried is None:
            return True
        pause = min(max(self.tried - self.at, SOONEST), LATEST)
        return not timedelta(0) <= now - self.tried < pause


def put(home: Home, message: Message) -> None:
    """Write a message down, to be delivered.

    Args:
        home: The home.
        message: The message.

    Raises:
        OSError: If it cannot be written.
    """
    _make(home)
    path = home.outbox / f"{message.at.astimezone(UTC):%Y%m%dT%H%M%SZ}_{message.key}.json"
    if not path.exists():
        _write(path, message)


def waiting(home: Home) -> Mapping[Path, Message | None]:
    """What has not reached everybody yet.

    Args:
        home: The home.

    Returns:
        The messages by file, the oldest first; None for a file that holds none.
    """
    return {path: _read(path) for path in sorted(home.outbox.glob("[0-9]*.json"))}


def tell_waiting(messages: int) -> str:
    """How many messages still wait, for people.

    Args:
        messages: How many.

    Returns:
        A sentence.
    """
    if not messages:
        return "Everybody has been told."
    return "1 message waits for somebody." if messages == 1 else f"{messages} messages wait for somebody."


def deliver(
    home: Home,
    senders: Mapping[str, tuple[str, Callable[[Message], str | None]]],
    say: Callable[[str], object],
    at_once: bool = False,
    unwritten: Iterable[Message] = (),
) -> None:
    """Try to bring every message to everybody who does not have it.

    Receivers are told side by side, each one in order; one that did not take a message is left alone until the next
    time.

    Args:
        home: The home.
        senders: By key, each receiver's name and what sends it a message and says why it did not arrive.
        say: Told of what did not arrive, and of what is given up.
        at_once: Whether to try again what is not due yet.
        unwritten: Messages that could not be written.
    """
    with alone(home, "delivering") as held:
        if not held:
            return
        now = datetime.now(UTC)
        _Pass(_due(home, say, now, at_once) | dict(enumerate(unwritten)), say, now).deliver(senders)


class _Pass:
    """One attempt at all that is due."""

    def __init__(self, messages: Mapping[Path | int, Message], say: Callable[[str], object], now: datetime) -> None:
        self.messages = dict(messages)
        self.say = say
        self.now = now
        self.until = time.monotonic() + PASS_SECONDS
        self.lock = Lock()

    def deliver(self, senders: Mapping[str, tuple[str, Callable[[Message], str | None]]]) -> None:
        if not self.messages or not senders:
            return
        with ThreadPoolExecutor(len(senders)) as threads:
            list(threads.map(lambda key: self._tell(key, *senders[key]), senders))
        for place, message in self.messages.items():
            if isinstance(place, Path):
                if set(senders) <= set(message.arrived):
                    place.unlink(missing_ok=True)
                else:
                    self._note(place, replace(message, tried=self.now))

    def _tell(self, key: str, name: str, send: Callable[[Message], str | None]) -> None:
        for place, message in list(self.messages.items()):
            if key in message.arrived:
                continue
            if time.monotonic() > self.until:
                return
            reason = send(message)
            if reason is not None:
                with self.lock:
                    self.say(f"Not told yet: {name} did not take {message.title!r}: {reason}. {_tell_again(place)}")
                return
            with self.lock:
                known = self.messages[place]
                self.messages[place] = replace(known, arrived=(*known.arrived, key))
                self._note(place, self.messages[place])

    def _note(self, place: Path | int, message: Message) -> None:
        """Note who has a message; on a full disk somebody may be told twice, which is better than never."""
        if isinstance(place, Path):
            try:
                _write(place, message)
            except OSError as error:
                self.say(f"{place}: cannot be written ({error.strerror}).")


def _tell_again(place: Path | int) -> str:
    if isinstance(place, Path):
        return f"It is tried again, for {GIVEN_UP_AFTER.days} days."
    return "It could not be kept, and is not tried again."


def _due(home: Home, say: Callable[[str], object], now: datetime, at_once: bool) -> dict[Path | int, Message]:
    """The messages to try; what is too old, or is none, is cleared away."""
    due: dict[Path | int, Message] = {}
    for path, message in waiting(home).items():
        if message is None:
            say(f"{path}: this is no message, and is removed.")
            path.unlink(missing_ok=True)
        elif now - message.at > GIVEN_UP_AFTER:
            say(f"Given up after {GIVEN_UP_AFTER.days} days, as not everybody took it: {message.title!r}.")
            path.unlink(missing_ok=True)
        elif at_once or message.is_due(now):
            due[path] = message
    return due


@contextmanager
def alone(home: Home, name: str) -> Iterator[bool]:
    """Do something about the outbox while no other process does; where nothing can be written, do it all the same.

    Args:
        home: The home.
        name: What is done.

    Yields:
        Whether nobody else does it, having waited for half a minute at most.
    """
    try:
        _make(home)
        lock = (home.outbox / f".{name}.lock").open("a")
    except OSError:
        yield True
        return
    with lock:
        yield _taken(lock.fileno())


def _taken(descriptor: int) -> bool:
    until = time.monotonic() + PASS_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True


def _make(home: Home) -> None:
    home.outbox.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write(path: Path, message: Message) -> None:
    writing = path.with_name(f".{path.name}.{os.getpid()}.writing")
    document = vars(message) | {"body": message.body[:BODY]}
    try:
        writing.write_text(json.dumps(document, indent=1, default=datetime.isoformat) + "\n", encoding="utf-8")
        put_in_place(writing, path)
    except OSError:
        writing.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Message | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        tried = datetime.fromisoformat(found["tried"]) if found["tried"] else None
        at = datetime.fromisoformat(found["at"])
        message = Message(**found | {"at": at, "tried": tried, "arrived": tuple(found["arrived"])})
        return message if message.at.tzinfo and all(map(str.strip, (message.title, message.key))) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def recall(home: Home, name: str) -> datetime | None:
    """A moment that was noted beside the messages.

    Args:
        home: The home.
        name: What it is about.

    Returns:
        The moment, or None if none was noted.
    """
    try:
        moment = datetime.fromisoformat((home.outbox / f".{name}").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return moment if moment.tzinfo else None


def remember(home: Home, name: str, moment: datetime) -> None:
    """Note a moment beside the messages.

    Args:
        home: The home.
        name: What it is about.
        moment: The moment, in UTC.

    Raises:
        OSError: If it cannot be written.
    """
    _make(home)
    writing = home.outbox / f".{name}.writing"
    writing.write_text(moment.isoformat(), encoding="utf-8")
    put_in_place(writing, home.outbox / f".{name}")


def forget(home: Home, name: str) -> None:
    """Forget such a note.

    Args:
        home: The home.
        name: What it was about.
    """
    (home.outbox / f".{name}").unlink(missing_ok=True)


def began(home: Home) -> datetime:
    """Since when people are told what happens in a home.

    Args:
        home: The home.

    Returns:
        When this was first asked, in UTC.
    """
    known, now = recall(home, "since"), datetime.now(UTC)
    # What lies ahead was noted by a clock that was wrong.
    if known is not None and known <= now:
        return known
    with suppress(OSError):
        remember(home, "since", now)
    return now
