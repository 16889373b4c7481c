"""Commands in the foreground of a terminal, as people start them."""

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

# The terminal becomes the one whose Ctrl-C reaches the command.
CONTROLLED = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


def start(
    command: list[str], environment: dict[str, str], columns: int = 80, log: Path | None = None
) -> tuple["subprocess.Popen[bytes]", int]:
    """Start a command on a terminal of so many columns; returns its process, and the end that people are at.

    What it says goes to the terminal, or to a file where nobody is going to read along.
    """
    people, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, columns))
    said = terminal if log is None else os.open(log, os.O_WRONLY | os.O_CREAT)
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLED, *command],
        env=environment | {"TERM": "xterm"},
        stdin=terminal,
        stdout=said,
        stderr=said,
        start_new_session=True,
    )
    for opened in {terminal, said}:
        os.close(opened)
    return process, people


def watch(command: list[str], environment: dict[str, str], columns: int = 80) -> tuple[int, str]:
    """Run a command on a terminal; returns its exit code and all that it showed."""
    process, people = start(command, environment, columns)
    shown = b""
    try:
        while seen := os.read(people, 65_536):
            shown += seen
    except OSError:
        # So ends a terminal that nobody writes to any more.
        pass
    finally:
        os.close(people)
    return process.wait(timeout=60), shown.decode().replace("\r\n", "\n")
