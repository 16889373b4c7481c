"""The record of a home: which night a night is compared with, and records that an earlier version wrote."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from smartcart_pipeline.declaration.errors import CallError, HomeError
from smartcart_pipeline.segmentation.contest import Champion
from smartcart_pipeline.segmentation.drift import Reference
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.models import (
    PublishedNight,
    Record,
    ask_for,
    champion_document,
    commit_record,
    describe_models,
    is_asked,
    prepare_record,
    read_champion,
    read_record,
    read_request,
    read_version,
    version_before,
)
from smartcart_pipeline_tests.segmentation.test_model import random_model

DAY = date(2014, 6, 29)


def night(number: int, day: int, content: str | None) -> PublishedNight:
    return PublishedNight(number, f"run-{number}", DAY + timedelta(day), "v1", number == 1, "why", content)


def record(*nights: tuple[int, str | None]) -> Record:
    """The record of nights, each by its day and the content of its export."""
    return Record(tuple(night(number, day, content) for number, (day, content) in enumerate(nights, start=1)))


@pytest.mark.parametrize(
    ("before", "tonight", "compared"),
    [
        ([], (0, "A"), None),
        # A later day: the night before, whatever its content, and what was published last for its day.
        ([(0, "A")], (1, "A"), 1),
        ([(0, "A"), (0, "B")], (1, "C"), 2),
        ([(0, "A"), (1, "B"), (0, "C")], (2, "D"), 2),
        # Another export for a day that was published: what it takes the place of.
        ([(0, "A")], (0, "B"), 1),
        ([(0, "A"), (1, "B")], (1, "C"), 2),
        ([(0, "A"), (0, "B")], (0, "C"), 2),
        ([(0, "A"), (0, "B")], (0, "A"), 2),
        # The same export again has changed nothing: what its first run was compared with.
        ([(0, "A")], (0, "A"), None),
        ([(0, "A"), (1, "B")], (1, "B"), 1),
        ([(0, "A"), (0, "B")], (0, "B"), 1),
        ([(0, "A"), (0, "B"), (0, "B")], (0, "B"), 1),
        ([(0, "A"), (0, "B"), (0, "A"), (0, "A")], (0, "A"), 2),
        # A night that comes late, also one that takes another's place.
        ([(0, "A"), (2, "B")], (1, "C"), 1),
        ([(1, "A"), (2, "B")], (0, "C"), None),
        ([(0, "A"), (1, "B"), (2, "C")], (1, "D"), 2),
        ([(0, "A"), (1, "B"), (2, "C"), (1, "D")], (1, "D"), 2),
        # What an earlier version recorded without its content counts as the same.
        ([(0, None)], (0, "A"), None),
        ([(0, None), (1, None)], (1, "A"), 1),
        ([(0, None), (1, None), (1, "A")], (1, "A"), 1),
        ([(0, None), (1, None), (1, "A")], (1, "B"), 3),
        ([(0, None), (1, None)], (1, None), 1),
    ],
)
def test_a_night_is_compared_with_what_it_replaces_or_the_night_before(
    before: list[tuple[int, str | None]], tonight: tuple[int, str | None], compared: int | None
):
    known = record(*before)
    found = known.compared_with(DAY + timedelta(tonight[0]), tonight[1])
    assert (found and found.night) == compared
    assert known.numbered(compared) == found


def publish(home: Home, number: int, content: str | None) -> None:
    model = Champion(f"v{number}", random_model(1), Reference(1, {}, {}, {}), 2.0, "fitted")
    commit_record(home, prepare_record(home, read_record(home), night(number, number, content), model, 4))


def test_the_content_of_a_nights_export_is_recorded(home: Home):
    home.models.mkdir(parents=True)
    publish(home, 1, "A")
    assert read_record(home).nights == (night(1, 1, "A"),)


def test_a_record_of_an_earlier_version_is_read_and_gone_on_with(home: Home):
    home.models.mkdir(parents=True)
    publish(home, 1, "A")
    path: Path = home.models / "champion.json"
    known = json.loads(path.read_text())
    for each in known["nights"]:
        del each["content_hash"]
    # As that version sealed it.
    from smartcart_pipeline.storage.models import _digest

    del known["sha256"]
    path.write_text(json.dumps(known | {"sha256": _digest(known)}))
    assert read_record(home).nights == (night(1, 1, None),)
    publish(home, 2, "B")
    assert read_record(home).nights == (night(1, 1, None), night(2, 2, "B"))


def test_after_a_day_comes_what_was_published_last_for_the_first_later_day():
    known = record((0, "A"), (2, "B"), (3, "C"), (2, "D"))
    found = {day: known.after(DAY + timedelta(day)) for day in (-1, 0, 1, 2, 3)}
    assert {day: night and night.night for day, night in found.items()} == {-1: 1, 0: 4, 1: 4, 2: 3, 3: None}
    assert [known.is_newest(DAY + timedelta(day)) for day in (2, 3)] == [False, True]


def test_before_a_day_comes_what_was_published_last_for_the_latest_earlier_day():
    known = record((0, "A"), (2, "B"), (3, "C"), (2, "D"))
    found = {day: known.before(DAY + timedelta(day)) for day in (0, 1, 2, 3, 4)}
    assert {day: night and night.night for day, night in found.items()} == {0: None, 1: 1, 2: 1, 3: 4, 4: 3}
    assert [known.is_published(DAY + timedelta(day)) for day in (1, 2)] == [False, True]


def test_a_record_knows_which_model_is_in_force_and_since_when():
    assert (Record().last, Record().since) == (None, None)
    nights = [
        PublishedNight(number, f"run-{number}", DAY + timedelta(number), version, promoted, "why")
        for number, (version, promoted) in enumerate([("v1", True), ("v1", False), ("v3", True), ("v3", False)], 1)
    ]
    known = Record(tuple(nights), digests=(("v1", "a"), ("v2", "b"), ("v3", "c"), ("v4", "d")))
    assert (known.last, known.since) == (nights[3], nights[2])
    assert [known.was_in_force(version) for version in ("v1", "v2", "v3")] == [True, False, True]
    assert version_before(known) == "v1"
    assert [
        (row["version"], row["made_for"], row["since"], row["until"], row["nights"], row["is_in_force"])
        for row in describe_models(known)
    ] == [
        ("v4", DAY + timedelta(4), None, None, 0, False),
        ("v3", DAY + timedelta(3), DAY + timedelta(3), DAY + timedelta(4), 2, True),
        ("v2", DAY + timedelta(2), None, None, 0, False),
        ("v1", DAY + timedelta(1), DAY + timedelta(1), DAY + timedelta(2), 2, False),
    ]


def test_models_are_listed_by_their_number():
    nights = tuple(PublishedNight(n, f"run-{n}", DAY + timedelta(n), "v1", n == 1, "why") for n in range(1, 11))
    known = Record(nights, digests=(("v1", "a"), ("v10", "b"), ("v9", "c")))
    assert [row["version"] for row in describe_models(known)] == ["v10", "v9", "v1"]


@pytest.mark.parametrize("since", [1, 2, 3])
def test_back_goes_to_the_model_before_the_one_that_is_in_force(since: int):
    nights = (
        PublishedNight(number, f"run-{number}", DAY + timedelta(number), version, True, "why")
        for number, version in enumerate(["v1", "v2", "v3", "v2", "v5", *["v6"] * since], start=1)
    )
    assert version_before(Record(tuple(nights))) == "v5"


@pytest.mark.parametrize("part", ["version", "origin", "far", "model", "reference"])
def test_a_document_that_lacks_a_part_is_told(part: str):
    document = champion_document(Champion("v1", random_model(1), Reference(1, {}, {}, {}), 2.0, "fitted"))
    assert read_champion(document).version == "v1"
    del document[part]
    with pytest.raises(HomeError, match=f"The document of a model lacks '{part}'"):
        read_champion(document)


def test_with_one_model_there_is_nothing_to_go_back_to():
    with pytest.raises(CallError, match="No other model was ever in force"):
        version_before(record((0, "A"), (1, "B")))


def test_a_model_is_read_as_it_was_kept_and_no_other_is(home: Home):
    home.models.mkdir(parents=True)
    publish(home, 1, "A")
    publish(home, 2, "B")
    known = read_record(home)
    kept = read_version(home, known, "v2")
    assert (kept.version, kept.far, kept.origin) == ("v2", 2.0, "fitted")
    assert kept.model.document() == random_model(1).document()
    with pytest.raises(CallError, match=r"There is no model v3\. Known: v1, v2\."):
        read_version(home, known, "v3")
    # Each in the other's place is whole, but not what was written for it.
    first, second = (home.models / version / "model.json" for version in ("v1", "v2"))
    first.rename(home.models / "kept")
    second.rename(first)
    (home.models / "kept").rename(second)
    for version in ("v1", "v2"):
        with pytest.raises(HomeError, match=f"not the document that was written for {version}"):
            read_version(home, known, version)
    (home.models / "v2" / "model.json").unlink()
    with pytest.raises(HomeError, match="the document of the model v2 is missing"):
        read_version(home, known, "v2")


def test_what_was_changed_by_hand_is_refused(home: Home):
    home.models.mkdir(parents=True)
    publish(home, 1, "A")
    path = home.models / "champion.json"
    path.write_text(path.read_text().replace('"named": 4', '"named": 5'))
    with pytest.raises(HomeError, match="the file is damaged or was changed"):
        read_record(home)
    assert is_asked(home)
    path.write_text("[]")
    with pytest.raises(HomeError, match="no document of this pipeline"):
        read_record(home)


def test_what_a_person_asked_for_stands_in_the_record_until_a_night_has_done_it(home: Home):
    home.models.mkdir(parents=True)
    publish(home, 1, "A")
    publish(home, 2, "B")
    assert not is_asked(home)
    assert read_request(home, read_record(home)) is None
    with pytest.raises(CallError, match="--reason is empty"):
        ask_for(home, "v2", " ")
    with pytest.raises(CallError, match="v1 is in force already"):
        ask_for(home, "v1", "why not")
    assert ask_for(home, "v2", " why not ") == "v2"
    assert is_asked(home)
    asked = read_request(home, read_record(home))
    assert asked is not None
    assert (asked.champion.version, asked.keeps_ids, asked.reason) == ("v2", False, "why not")
    publish(home, 3, "C")
    assert not is_asked(home)


def test_a_pending_record_counts_if_its_run_has_published(home: Home):
    home.models.mkdir(parents=True)
    home.publications.mkdir()
    model = Champion("v1", random_model(1), Reference(1, {}, {}, {}), 2.0, "fitted")
    prepare_record(home, Record(), night(1, 1, "A"), model, 4)
    # Who only reads leaves what a run may have laid there a moment ago.
    assert read_record(home) == Record()
    assert list(home.models.glob(".champion.*.pending"))
    assert read_record(home, recover=True) == Record()
    assert not list(home.models.glob(".champion.*.pending"))
    prepare_record(home, Record(), night(1, 1, "A"), model, 4)
    (home.publications / "20140629T000000000000Z_run-1.duckdb").touch()
    assert read_record(home, recover=True).nights == (night(1, 1, "A"),)


def test_a_missing_record_is_told_where_a_later_night_has_left_its_model(home: Home):
    home.models.mkdir(parents=True)
    assert read_record(home) == Record()
    publish(home, 1, "A")
    (home.models / "champion.json").unlink()
    # The first model alone proves nothing: its night may have died before it published.
    assert read_record(home) == Record()
    publish(home, 2, "B")
    (home.models / "champion.json").unlink()
    with pytest.raises(HomeError, match="the record of the model in force is missing"):
        read_record(home)
