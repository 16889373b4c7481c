"""Whatever nights come, fail, are rolled back or played again: all changes in their order give the list."""

import csv
import json
import shutil
import stat
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartcart_pipeline.audiences.audience import Audience, Audiences
from smartcart_pipeline.audiences.choosing import choose
from smartcart_pipeline.audiences.deliveries import (
    CHANGES,
    CURRENT,
    DOCUMENT,
    HANDED,
    LIST,
    Delivery,
    audience_folder,
    deliver,
    handed_out,
    read_deliveries,
    tidy,
)
from smartcart_pipeline.audiences.groups import bucket_of
from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.audiences.shown import people_of

RUN = ("run-1", date(2014, 6, 29))
AT = "2026-11-27T02:00:00"
Customer = dict[str, Any]
# Everybody of a night, by id.
Night = dict[int, Customer]
PLAIN = Audience("everybody", columns=("customer_id", "segment_id", "spending"))


def customer(segment: str = "S01", spending: int = 5, consents: bool = True, persona: str = "Good") -> Customer:
    return {"segment_id": segment, "persona": persona, "spending": spending, "consents": consents}


def show(night: Night) -> duckdb.DuckDBPyConnection:
    """A warehouse of one night."""
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE people (customer_id BIGINT, segment_id VARCHAR, persona VARCHAR, spending INT, consents BOOLEAN)"
    )
    rows = [[number, *each.values()] for number, each in night.items()]
    if rows:
        connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?)", rows)
    return connection


def hand_out(home: Home, night: Night, audience: Audience, salt: str = "s") -> Delivery:
    with show(night) as connection:
        chosen = choose(connection, people_of(connection, "people"), Audiences((audience,), salt), "spending")
        return deliver(home, chosen, audience, RUN, AT)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def place(home: Home, delivery: Delivery) -> Path:
    return audience_folder(home, delivery.audience) / f"{delivery.number:06}"


@dataclass
class OtherSide:
    """A tool that was given nothing but changes."""

    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    def apply(self, path: Path) -> None:
        for row in read(path):
            change, number = row.pop("change"), row["customer_id"]
            assert (number in self.rows) == (change != "added")
            if change == "removed":
                assert set(row.values()) <= {number, ""}
                del self.rows[number]
            else:
                assert self.rows.get(number) != row
                self.rows[number] = row

    @property
    def listed(self) -> list[dict[str, str]]:
        return sorted(self.rows.values(), key=lambda row: int(row["customer_id"]))


NIGHTS = st.dictionaries(
    st.integers(1, 12),
    st.builds(
        customer,
        segment=st.sampled_from(["S01", "S02"]),
        spending=st.integers(0, 3),
        consents=st.booleans(),
        persona=st.sampled_from(["Good", 'Ünïcode, "quoted"\nof two lines', "=1+1"]),
    ),
    max_size=10,
)
AUDIENCES = st.builds(
    Audience,
    name=st.just("everybody"),
    where=st.sampled_from(["", "segment_id = 'S01'", "spending > 1"]),
    columns=st.sampled_from(
        [
            ("customer_id",),
            ("customer_id", "spending"),
            ("customer_id", "persona"),
            ("customer_id", "spending", "persona"),
        ]
    ),
    consent=st.sampled_from(["", "consents"]),
    limit=st.sampled_from([None, 2]),
    holdout=st.sampled_from([0.0, 0.3]),
)
# A night is published; an earlier one again; a delivery is made, or is killed; the audience is defined anew.
EVENTS = st.lists(
    st.one_of(
        NIGHTS.map(lambda night: ("night", night)),
        st.integers(0, 5).map(lambda back: ("rollback", back)),
        st.just(("deliver", None)),
        st.just(("killed", None)),
        AUDIENCES.map(lambda audience: ("defined", audience)),
    ),
    max_size=14,
)


@given(events=EVENTS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_changes_in_their_order_give_the_list(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, Any]]
):
    home, other, audience = Home(tmp_path_factory.mktemp("home")), OtherSide(), PLAIN
    nights: list[Night] = [{}]
    shown: Night = {}
    for event, given_with in [*events, ("deliver", None)]:
        if event == "night":
            nights.append(given_with)
            shown = given_with
        elif event == "rollback":
            shown = nights[-1 - min(given_with, len(nights) - 1)]
        elif event == "defined":
            audience = given_with
        elif event == "killed":
            leave_half_done(home)
        else:
            done = hand_out(home, shown, audience)
            other.apply(place(home, done) / CHANGES)
            listed = read(place(home, done) / LIST)
            assert other.listed == listed
            assert done.rows == len(listed)
            assert {int(row["customer_id"]) for row in listed} == expected(shown, audience)
    numbers = [each.number for each in read_deliveries(home, audience.name)]
    assert numbers == list(range(1, len(numbers) + 1))


def expected(night: Night, audience: Audience) -> set[int]:
    """Who is to be addressed, reckoned another way."""
    holds = {
        "": lambda _: True,
        "segment_id = 'S01'": lambda each: each["segment_id"] == "S01",
        "spending > 1": lambda each: each["spending"] > 1,
    }[audience.where]
    claimed = [number for number, each in night.items() if holds(each) and (not audience.consent or each["consents"])]
    claimed.sort(key=lambda number: (-night[number]["spending"], number))
    kept = claimed[: audience.limit]
    return {number for number in kept if bucket_of("s", audience.name, number) >= audience.holdout * 10_000}


def leave_half_done(home: Home) -> None:
    """What a delivery leaves that was killed before its end."""
    number = len(read_deliveries(home, PLAIN.name)) + 1
    folder = audience_folder(home, PLAIN.name) / f".{number:06}.writing"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIST).write_text("customer_id\n1\n2")


def test_what_is_handed_out_is_the_owners_alone(tmp_path: Path):
    home = Home(tmp_path)
    folder = place(home, hand_out(home, {1: customer()}, PLAIN))
    assert {path.name for path in folder.iterdir()} == {LIST, CHANGES, DOCUMENT, HANDED}
    for path in (folder, folder.parent, *folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_the_document_says_what_was_handed_out(tmp_path: Path):
    home = Home(tmp_path)
    hand_out(home, {1: customer(), 2: customer(), 3: customer()}, PLAIN)
    done = hand_out(home, {2: customer(), 3: customer(spending=6), 4: customer()}, PLAIN)
    assert (done.number, done.rows, done.added, done.changed, done.removed) == (2, 3, 1, 1, 1)
    assert (done.run_id, done.as_of_date, done.delivered_at) == ("run-1", "2014-06-29", AT)
    assert read_deliveries(home, PLAIN.name)[-1] == done
    again = hand_out(home, {4: customer(), 3: customer(spending=6), 2: customer()}, PLAIN)
    assert again.digest == done.digest
    assert (again.added, again.changed, again.removed) == (0, 0, 0)
    assert (place(home, again) / CHANGES).read_text().count("\n") == 1
    assert again.version == replace(PLAIN, description="other words", cost=3).version
    assert again.version != replace(PLAIN, where="spending > 3").version


def test_a_formula_is_none_in_the_list(tmp_path: Path):
    home = Home(tmp_path)
    audience = replace(PLAIN, columns=("customer_id", "persona"))
    done = hand_out(home, {1: customer(persona="=cmd|' /C calc'!A0")}, audience)
    for name in (LIST, CHANGES):
        [row] = read(place(home, done) / name)
        assert not row["persona"].startswith("=")


def test_what_the_other_side_has_is_not_guessed(tmp_path: Path):
    home = Home(tmp_path)
    done = hand_out(home, {1: customer()}, PLAIN)
    (place(home, done) / HANDED).unlink()
    with pytest.raises(HomeError, match="what was handed out last is missing"):
        hand_out(home, {1: customer()}, PLAIN)
    (place(home, done) / DOCUMENT).write_text("{")
    with pytest.raises(HomeError, match=r"delivery\.json: cannot be read"):
        read_deliveries(home, PLAIN.name)


def test_only_the_newest_list_is_kept_for_counting(tmp_path: Path):
    home = Home(tmp_path)
    first, second = (hand_out(home, {1: customer()}, PLAIN) for _ in range(2))
    assert not (place(home, first) / HANDED).exists()
    assert handed_out(home, [first, second]) == place(home, second) / HANDED
    assert json.loads((place(home, first) / DOCUMENT).read_text())["number"] == 1


def test_another_type_or_the_gap_of_a_removed_folder_stops_nothing(tmp_path: Path):
    home = Home(tmp_path)
    first = hand_out(home, {1: customer(), 2: customer()}, PLAIN)
    hand_out(home, {1: customer(), 2: customer()}, PLAIN)
    shutil.rmtree(place(home, first))
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE people AS SELECT '1' AS customer_id, 'S01' AS segment_id, 'Good' AS persona, "
            "'5.0' AS spending, true AS consents"
        )
        chosen = choose(connection, people_of(connection, "people"), Audiences((PLAIN,), "s"), None)
        third = deliver(home, chosen, PLAIN, RUN, AT)
    assert (third.number, third.changed, third.removed) == (3, 1, 1)
    changed = {row["customer_id"]: (row["change"], row["spending"]) for row in read(place(home, third) / CHANGES)}
    assert changed == {"1": ("changed", "5.0"), "2": ("removed", "")}


def test_what_a_kill_left_unshown_is_shown(tmp_path: Path):
    home = Home(tmp_path)
    first, second = (hand_out(home, {1: customer()}, PLAIN) for _ in range(2))
    link = audience_folder(home, PLAIN.name) / CURRENT
    link.unlink()
    link.symlink_to(place(home, first).name)
    (place(home, first) / LIST).write_text("left")
    tidy(home, [first, second])
    assert link.resolve() == place(home, second)
    assert not (place(home, first) / LIST).exists()
