"""Through drt a receiver comes to have the list, whatever it refused and however often it was told."""

import json
import os
import random
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from smartcart_pipeline.audiences.drt import BATCH_ROWS, LISTED_URL, PROFILE, REMOVED_URL, TOKEN, write_project
from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.audiences.test_deliveries import PLAIN, Night, customer, hand_out
from smartcart_pipeline_tests.receiving import port_of, serving

AUDIENCE = replace(PLAIN, columns=("customer_id", "persona", "spending", "consents"))
SECRET = "not-to-be-written"  # noqa: S105
# A name that SQL, patterns of files, drt's own templates and its variables would each take for something else.
ODD = "it's {{ odd }} ${HOME} [a]*?"


class Receiver(ThreadingHTTPServer):
    """A mail tool: keeps who is on its list, and takes no more than `takes` requests until it is well again."""

    def __init__(self) -> None:
        self.listed: dict[str, dict[str, Any]] = {}
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.takes: int | None = None
        # Set once the first request has come; it is answered when the other is set.
        self.reached, self.answering = threading.Event(), threading.Event()
        self.answering.set()
        super().__init__(("127.0.0.1", 0), _Request)

    def take(self, path: str, message: dict[str, Any]) -> None:
        if path == "/listed":
            self.listed |= {one["customer_id"]: one for one in message["customers"]}
        else:
            for number in message["customer_ids"]:
                self.listed.pop(number, None)

    def is_told(self, which: str) -> list[str]:
        """The ids that it was told of, in their order."""
        messages = [message for path, message in self.told if path == f"/{which}"]
        return [
            one["customer_id"] if isinstance(one, dict) else one
            for message in messages
            for one in message.get("customers", message.get("customer_ids"))
        ]


class _Request(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.reached.set()
        self.server.answering.wait(60)
        status = 200
        if self.headers["Authorization"] != f"Bearer {SECRET}":
            status = 401
        elif self.server.takes == 0:
            status = 500
        else:
            self.server.takes = None if self.server.takes is None else self.server.takes - 1
            self.server.told.append((self.path, message))
            self.server.take(self.path, message)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (http.server's name)
        """Say nothing."""


@dataclass
class Team:
    """A data team: its home, its project and its environment."""

    drt: Path
    home: Home
    project: Path
    receiver: Receiver
    env: dict[str, str]

    def deliver(self, night: Night) -> None:
        hand_out(self.home, night, AUDIENCE)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen([self.drt, *arguments], cwd=self.project, env=self.env, **said)

    def run(self, expected: int = 0, *, takes: int | None = None) -> str:
        """`drt run`, with a receiver that takes so many requests; what it said."""
        self.receiver.takes = takes
        self.receiver.told.clear()
        running = self.start("run")
        said, _ = running.communicate(timeout=120)
        assert running.returncode == expected, said
        return said

    def change(self, **options: Any) -> None:
        """Set options of both syncs, as a team may."""
        for path in (self.project / "syncs").glob("*.yml"):
            sync = yaml.safe_load(path.read_text())
            sync["sync"] |= options
            path.write_text(yaml.safe_dump(sync))

    def written(self) -> str:
        """All that stands in the files of the project, drt's own among them."""
        return "\n".join(path.read_text() for path in self.project.rglob("*") if path.is_file())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serving(Receiver()) as server:
        yield server
        server.answering.set()


@pytest.fixture(scope="module")
def user(drt: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user to whom drt is known."""
    env = {"HOME": str(tmp_path_factory.mktemp("user")), "PATH": os.environ["PATH"], "DO_NOT_TRACK": "1"}
    # As the guide has it.
    add = [drt, "profile", "add", PROFILE]
    subprocess.run(add, env=env, input="duckdb\n:memory:\n", text=True, capture_output=True, check=True, timeout=60)
    return env


@pytest.fixture
def team(drt: Path, user: dict[str, str], tmp_path: Path, receiver: Receiver) -> Team:
    home, project = Home(tmp_path / ODD), tmp_path / "project"
    write_project(project, home.root, AUDIENCE)
    address = f"http://127.0.0.1:{port_of(receiver)}"
    told = {LISTED_URL: f"{address}/listed", REMOVED_URL: f"{address}/removed", TOKEN: SECRET}
    return Team(drt, home, project, receiver, user | told)


@pytest.fixture
def small(team: Team) -> Team:
    """A team that sends few at a time, and does not wait long."""
    team.change(
        batch_size=2, retry={"max_attempts": 2, "initial_backoff": 0.01}, rate_limit={"requests_per_second": 99}
    )
    return team


def as_sent(night: Night) -> dict[str, dict[str, Any]]:
    """The list of a night as a receiver has it: texts."""
    return {
        str(number): {
            "customer_id": str(number),
            "persona": each["persona"],
            "spending": str(each["spending"]),
            "consents": str(each["consents"]).lower(),
        }
        for number, each in night.items()
    }


def people(*numbers: int, **values: Any) -> Night:
    return {number: customer(**values) for number in numbers}


PERSONAS = (
    *("Good", "=1+1", "+49 30", "-x", "@home", "\tnear", "'quoted'", "a < b & c", "000123", "", None),
    'Ünïcode, "so"\nin two lines',
)


def test_additions_changes_and_removals_arrive_with_their_values(team: Team):
    first = people(*range(10_000_000, 10_000_000 + BATCH_ROWS))
    for number, persona in enumerate(PERSONAS, start=1):
        first |= people(number, persona=persona)
    team.deliver(first)
    said = team.run()
    assert team.receiver.listed == as_sent(first)
    assert [len(message["customers"]) for _, message in team.receiver.told] == [BATCH_ROWS, len(first) - BATCH_ROWS]
    second = first | people(2, spending=6) | people(30)
    del second[3], second[4]
    team.deliver(second)
    said += team.run()
    assert team.receiver.listed == as_sent(second)
    assert team.receiver.told[0] == ("/removed", {"audience": AUDIENCE.name, "customer_ids": ["3", "4"]})
    assert team.receiver.is_told("listed") == ["2", "30"]
    said += team.run()
    assert team.receiver.told == []
    for text in (said, team.written()):
        assert not any(secret in text for secret in ("Ünïcode", "@home", "10000007", SECRET))


# It breaks down among removals, or among the others.
@pytest.mark.parametrize("takes", [1, 3])
def test_a_receiver_that_fails_half_way_has_the_list_after_the_next_run(small: Team, takes: int):
    small.deliver(people(*range(70000001, 70000008)))
    small.run()
    night = people(*range(70000004, 70000008), spending=6) | people(70000008)
    small.deliver(night)
    said = small.run(expected=1, takes=takes)
    assert small.receiver.listed != as_sent(night)
    assert not re.search(r"7000000\d", said + small.written())
    small.run()
    assert small.receiver.listed == as_sent(night)
    small.run()
    assert small.receiver.told == []


def test_of_several_deliveries_a_customer_is_told_of_once(small: Team):
    nights = [
        people(1, 2, 3, 4),
        people(1, 4),
        people(1, 2, 4, spending=6),
        people(1, 2, 5, spending=6),
        people(1, 2, spending=6),
    ]
    small.deliver(nights[0])
    small.run()
    for night in nights[1:]:
        small.deliver(night)
    small.run()
    assert small.receiver.listed == as_sent(nights[-1])
    assert small.receiver.is_told("removed") == ["3", "4", "5"]
    # 2 had been removed, and was added again.
    assert small.receiver.is_told("listed") == ["1", "2"]


def test_a_customer_who_comes_and_goes_is_where_the_last_delivery_has_them(small: Team):
    for night in (people(1, 2), people(1), people(1, 2, spending=6), people(1)):
        small.deliver(night)
        small.run()
        assert small.receiver.listed == as_sent(night)


def test_whatever_is_refused_the_list_is_right_in_the_end(small: Team):
    chance = random.Random(7)
    for _ in range(2):
        for _ in range(chance.randint(1, 3)):
            night = people(*chance.sample(range(12), 7), spending=chance.randint(0, 2))
            small.deliver(night)
        small.run(expected=1, takes=chance.randint(0, 2))
    small.run()
    assert small.receiver.listed == as_sent(night)


def test_drt_can_be_stopped_in_the_middle(small: Team):
    night = people(*range(1, 8))
    small.deliver(night)
    small.receiver.answering.clear()
    running = small.start("run")
    assert small.receiver.reached.wait(60)
    running.send_signal(signal.SIGTERM)
    # It finishes the request that is under way, and sends no other.
    small.receiver.answering.set()
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGTERM, said
    assert small.receiver.is_told("listed") == ["1", "2"]
    small.run()
    assert small.receiver.is_told("listed") == ["3", "4", "5", "6", "7"]
    assert small.receiver.listed == as_sent(night)


def test_where_it_is_forgotten_what_was_sent_all_is_sent_anew(small: Team):
    for night in (people(1, 2), people(1)):
        small.deliver(night)
    small.run()
    small.receiver.listed = as_sent(people(2))
    (small.project / ".drt" / "watermarks.json").unlink()
    (small.project / ".drt" / "state.json").unlink()
    small.run()
    assert small.receiver.listed == as_sent(people(1))


def test_other_columns_are_sent_from_a_new_project_that_knows_what_the_old_one_sent(small: Team):
    narrow = small.project.with_name("narrow")
    shown = replace(AUDIENCE, columns=("customer_id",))
    write_project(narrow, small.home.root, shown)
    hand_out(small.home, people(1, 2, 3), shown)
    replace(small, project=narrow).run()
    assert small.receiver.listed == {number: {"customer_id": number} for number in ("1", "2", "3")}
    small.deliver(people(1, 2))
    (narrow / ".drt").rename(small.project / ".drt")
    small.run()
    assert small.receiver.listed == as_sent(people(1, 2))
    assert small.receiver.is_told("removed") == ["3"]


def test_drt_finds_nothing_wrong_with_the_project(team: Team):
    checking = team.start("validate")
    said, _ = checking.communicate(timeout=60)
    assert checking.returncode == 0, said


def test_a_project_holds_no_customer_and_no_secret(tmp_path: Path):
    home = Home(tmp_path / "home")
    hand_out(home, people(987_654), AUDIENCE)
    written = write_project(tmp_path / "new" / "project", home.root, AUDIENCE)
    assert sorted(written) == sorted(path for path in (tmp_path / "new").rglob("*") if path.is_file())
    text = "\n".join(path.read_text() for path in written)
    assert "987654" not in text
    assert f"token_env: {TOKEN}" in text
    assert "url: ${" + LISTED_URL + "}" in text


def test_a_folder_in_use_is_left_alone(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(CallError, match="there is something already"):
            write_project(folder, tmp_path / "home", AUDIENCE)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
