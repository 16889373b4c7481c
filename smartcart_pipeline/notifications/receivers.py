"""Who is told of what: the section `notify` of a home's settings, and sending a message to one receiver.

A secret in an address is written `${NAME}` and comes from the environment when a message is sent. No address is ever
kept, logged or shown: receivers are named by where they stand in the settings.
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.notifications.outbox import Message
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.settings_file import read_section, require_known

# What can be told, and how urgent it looks where a service shows that.
LEVELS = {
    "failure": "failure",
    "refused_export": "warning",
    "blocked_check": "failure",
    "promotion": "info",
    "held": "warning",
    "drift": "warning",
    "late": "warning",
    "success": "success",
}
ABOUT = tuple(LEVELS)
UNASKED = frozenset(ABOUT) - {"success"}
NAMES = ("to", "command", "about", "late_after_hours")

# A night has been missed when the last one is older than a day and the time a run may take.
LATE_AFTER_HOURS = 30

# A receiver that takes longer is down.
SECONDS = 10
SAID = 300

VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Receiver:
    """Somebody to be told.

    Attributes:
        name: What it is called, without its address.
        address: As the library apprise takes it, with variables for its secrets; empty for a command.
        command: A command and its arguments; empty for an address.
    """

    name: str
    address: str = field(default="", repr=False)
    command: tuple[str, ...] = field(default=(), repr=False)

    @property
    def key(self) -> str:
        """Notes, beside a message, that this receiver has it; too short to find an address by."""
        return hashlib.sha256("\n".join((self.address, *self.command)).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Notify:
    """What a home sets about messages.

    Attributes:
        receivers: Who is told.
        about: Of what, of `ABOUT`.
        late_after: When a night is late.
    """

    receivers: tuple[Receiver, ...]
    about: frozenset[str]
    late_after: timedelta


def notify_of(home: Home) -> Notify | None:
    """What a home sets about messages, whatever else stands in its settings.

    Args:
        home: The home.

    Returns:
        What is set; None where nobody is to be told.

    Raises:
        HomeError: If the file or the section cannot be read.
    """
    return read_notify(home.settings, read_section(home, "notify", NAMES))


def require_notify(home: Home) -> Notify:
    """What a home sets about messages.

    Args:
        home: The home.

    Returns:
        What is set.

    Raises:
        HomeError: If nobody is to be told, or the settings cannot be read.
    """
    found = notify_of(home)
    if found is None:
        raise HomeError(
            f"{home.settings}: nobody is named who is to be told. Write a section notify, with addresses under to: "
            "see docs/guides/notifications.md."
        )
    return found


def read_notify(path: Path, section: Mapping[str, Any]) -> Notify | None:
    """Read the section `notify`.

    Args:
        path: The file it stands in.
        section: What stands there, of `NAMES`.

    Returns:
        What it says, or None where it names nobody.

    Raises:
        HomeError: If something cannot be set so. It says where, and never what stands there: it may be a secret.
    """
    to, command = section.get("to") or [], section.get("command") or []
    if not isinstance(to, list):
        raise HomeError(f"{path}: notify: to is no list. Write each address on a line of its own, after a dash.")
    if not isinstance(command, list) or not all(isinstance(part, str) for part in command):
        raise HomeError(f'{path}: notify: command is no list of texts, such as ["/usr/local/bin/tell", "--title"].')
    receivers = [_read_address(path, number, address) for number, address in enumerate(to, 1)]
    if command:
        receivers.append(Receiver(f"command ({Path(command[0]).name})", command=tuple(command)))
    about = section.get("about", sorted(UNASKED))
    if not isinstance(about, list) or not all(isinstance(kind, str) for kind in about):
        raise HomeError(f"{path}: notify: about is no list of texts. Known are: {', '.join(ABOUT)}.")
    require_known(path, "kind of message, in notify: about", about, ABOUT)
    hours = section.get("late_after_hours", LATE_AFTER_HOURS)
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours < 10_000:
        raise HomeError(f"{path}: notify: late_after_hours is no number of hours above 0.")
    return Notify(tuple(receivers), frozenset(about), timedelta(hours=hours)) if receivers else None


def _read_address(path: Path, number: int, address: Any) -> Receiver:
    if not isinstance(address, str):
        raise HomeError(f"{path}: notify: to: entry {number} is no text. Put the address in quotation marks.")
    schema, separator, _ = address.partition("://")
    whole = VARIABLE.fullmatch(address)
    if not whole and not (separator and re.fullmatch(r"[A-Za-z][\w+.-]*", schema)):
        raise HomeError(
            f"{path}: notify: to: entry {number} is no address: one begins like mailto:// or json://, or is a whole "
            "variable such as ${TEAM_ADDRESS}."
        )
    return Receiver(f"address {number} ({whole[0] if whole else schema})", address)


def send(receiver: Receiver, message: Message) -> str | None:
    """Send a message to one receiver, which has ten seconds to take it.

    Args:
        receiver: Who is told.
        message: What.

    Returns:
        None if it arrived, else why not; no secret stands in it.
    """
    if receiver.command:
        return _run([*receiver.command, message.title], message.body, ())
    unset = [name for name in VARIABLE.findall(receiver.address) if not os.environ.get(name)]
    if unset:
        return f"the variable {unset[0]} is not set in the environment"
    asked = {
        "address": _expand(receiver.address),
        "title": message.title,
        "body": message.body,
        "level": LEVELS.get(message.kind, "info"),
    }
    # As a file, and without its folder on the path: nothing but apprise is imported.
    program = [sys.executable, "-P", str(Path(__file__).with_name("sending.py"))]
    return _run(program, json.dumps(asked), VARIABLE.findall(receiver.address))


def _expand(address: str) -> str:
    """The address with its secrets: one that is a whole variable as it is, within another quoted as a part of it."""
    if whole := VARIABLE.fullmatch(address):
        return os.environ[whole[1]]
    return VARIABLE.sub(lambda found: quote(os.environ[found[1]], safe=""), address)


def _run(command: list[str], text: str, variables: tuple[str, ...] | list[str]) -> str | None:
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(  # noqa: S603  (no shell; what the home's owner has set)
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
            )
        except OSError as error:
            return f"it cannot be started: {error.strerror}"
        try:
            _hand_over(process, text)
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return f"no answer within {SECONDS} s"
        finally:
            # Also what it has started itself.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code == 0:
            return None
        said.seek(max(0, said.seek(0, os.SEEK_END) - SAID))
        reason = " ".join(said.read().decode(errors="replace").split())
    for name in variables:
        for secret in (os.environ[name], quote(os.environ[name], safe="")):
            reason = reason.replace(secret, "…")
    return reason or f"it ended with code {code}"


def _hand_over(process: "subprocess.Popen[bytes]", text: str) -> None:
    """Write to a process's standard input: less than a pipe holds, so that nothing waits for who does not read."""
    stream = process.stdin
    if stream is not None:
        try:
            with stream:
                stream.write(text.encode())
        except BrokenPipeError:
            # It need not read what it does not use.
            return
