"""Receivers of messages on loopback: a web server and a mail server that are real, and can be rude."""

import base64
import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Web(ThreadingHTTPServer):
    """Takes what is posted to it; `status` is what it answers, and None lets everybody wait."""

    def __init__(self, port: int = 0) -> None:
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.status: int | None = 200
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", port), _Hook)

    @property
    def titles(self) -> list[str]:
        return [message["title"] for _, message in self.posted]


class _Hook(BaseHTTPRequestHandler):
    server: Web

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status is None:
            self.server.closing.wait(60)
            return
        if self.server.status == 200:
            self.server.posted.append((self.path, message))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (http.server's name)
        """Say nothing."""


class Mail(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP as a client needs to log in and deliver; a wrong password is refused."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, password: str) -> None:
        self.password = password
        self.delivered: list[tuple[list[str], Any]] = []
        super().__init__(("127.0.0.1", 0), _Session)


class _Session(socketserver.StreamRequestHandler):
    server: Mail

    def handle(self) -> None:
        self.recipients: list[str] = []
        self.say("220 ready")
        for line in iter(self.rfile.readline, b""):
            word, _, rest = line.decode().strip().partition(" ")
            if word == "QUIT":
                self.say("221 bye")
                return
            getattr(self, f"on_{word.lower()}", self.on_other)(rest)

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def on_ehlo(self, _: str) -> None:
        self.say("250-here")
        self.say("250 AUTH PLAIN")

    def on_auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        right = user == "robot" and password == self.server.password
        self.say("235 welcome" if right else f"535 {user} is not to log in")

    def on_rcpt(self, rest: str) -> None:
        self.recipients += re.findall(r"<(.*?)>", rest)
        self.say("250 ok")

    def on_data(self, _: str) -> None:
        self.say("354 go on")
        lines = iter(self.rfile.readline, b".\r\n")
        content = b"".join(line.removeprefix(b".") if line.startswith(b"..") else line for line in lines)
        self.server.delivered.append((self.recipients, message_from_bytes(content, policy=policy.default)))
        self.say("250 taken")

    def on_other(self, _: str) -> None:
        self.say("250 ok")


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """Serve until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        if isinstance(server, Web):
            server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def port_of(server: Any) -> int:
    return int(server.server_address[1])
