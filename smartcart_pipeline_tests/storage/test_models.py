"""The record of a home: which night a night is compared with, and records that an earlier version wrote."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from smartcart_pipeline.segmentation.drift import Reference
from smartcart_pipeline.segmentation.promotion import Champion
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.models import (
    PublishedNight,
    Record,
    commit_record,
    prepare_record,
    read_record,
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
