"""The as-of day is a fact of the file: its newest join date, the day it was delivered, or what its name says."""

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from smartcart_pipeline.declaration.errors import CallError, ExportError, HomeError
from smartcart_pipeline.exports.as_of import Found, day_of_delivery, find_day, require_rule, stated_day
from smartcart_pipeline.orchestration.settings import read_home
from smartcart_pipeline.storage.home import Home

JOINED = date(2014, 6, 29)
LATER = date(2014, 7, 2)
PATTERN = "customers-%Y%m%d.csv"
NAMED = Path("incoming/customers-20140701.csv")


@pytest.mark.parametrize(
    ("rule", "delivered_on", "found"),
    [
        ("newest", LATER, Found(JOINED, "the newest join date")),
        ("delivered", LATER, Found(LATER, "the day of delivery")),
        ("delivered", JOINED, Found(JOINED, "the day of delivery")),
        (PATTERN, LATER, Found(date(2014, 7, 1), f"the file's name, by {PATTERN}")),
        ("2013-01-31", LATER, Found(date(2013, 1, 31), "as asked for")),
    ],
)
def test_each_rule_finds_its_day_and_says_how(rule: str, delivered_on: date, found: Found):
    assert find_day(rule, NAMED, delivered_on, JOINED) == found


def test_the_newest_day_is_called_what_it_is():
    found = [find_day(rule, NAMED, date(2014, 6, 28), JOINED, "day of “Last stay”") for rule in ("newest", "delivered")]
    assert found[0].how == "the newest day of “Last stay”"
    assert found[1].how == "the newest day of “Last stay”, which is after the day of delivery"
    assert "before its newest day of “Last stay”, 2014-06-29" in found[1].note


def test_a_delivery_is_never_counted_to_a_day_before_its_newest_join_date():
    found = find_day("delivered", NAMED, date(2014, 6, 28), JOINED)
    assert found.day == JOINED
    assert "delivered on 2014-06-28, before its newest join date, 2014-06-29" in found.note


@pytest.mark.parametrize(
    ("pattern", "name", "day"),
    [
        (PATTERN, "CUSTOMERS-20140701.CSV", date(2014, 7, 1)),
        ("%d.%m.%y export.xlsx", "01.07.14 export.xlsx", date(2014, 7, 1)),
        ("crm_%Y-%m-%dT%H%M%S.csv.gz", "crm_2014-07-01T023000.csv.gz", date(2014, 7, 1)),
        ("%Y%j.parquet", "2014182.parquet", date(2014, 7, 1)),
        ("100%%-%Y%m%d.csv", "100%-20140701.csv", date(2014, 7, 1)),
    ],
)
def test_a_pattern_is_read_as_strptime_reads_it(pattern: str, name: str, day: date):
    require_rule(pattern)
    assert stated_day(pattern, Path("some/folder") / name, LATER) == day


@pytest.mark.parametrize("name", ["customers-2014071.csv.bak", "customers-20140231.csv", "customers.csv", "x.csv"])
def test_a_name_that_does_not_match_is_told_with_the_pattern(name: str):
    with pytest.raises(ExportError) as refused:
        stated_day(PATTERN, Path("incoming") / name, LATER)
    assert f"incoming/{name}: the name does not match {PATTERN}" in str(refused.value)
    assert "A name that matches is customers-20140629.csv." in str(refused.value)


@pytest.mark.parametrize(
    "pattern",
    ["customers-%Y%m.csv", "%m%d.csv", "customers-%Q.csv", "%", "%Y-%m-%d/customers.csv", "%%Y%%m%%d", "%y%d.csv"],
)
def test_a_pattern_that_tells_no_whole_date_is_refused(pattern: str):
    with pytest.raises(CallError, match="is no pattern that tells a date"):
        require_rule(pattern)


@pytest.mark.parametrize("rule", ["newst", "Delivered", "", "2014-02-30", "20140701.csv"])
def test_what_is_neither_a_rule_nor_a_date_is_refused(rule: str):
    with pytest.raises(CallError, match=r"is not a date\. Write it as YYYY-MM-DD\. Or give a rule: newest, delivered"):
        require_rule(rule)


@pytest.mark.parametrize(
    ("zone", "day"),
    [(None, 1), ("UTC", 1), ("", 1), ("Pacific/Auckland", 2), ("America/Los_Angeles", 1), ("Asia/Tokyo", 2)],
)
def test_the_day_of_delivery_is_that_of_the_homes_time_zone(
    zone: str | None, day: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("SMARTCART_TIMEZONE", raising=False)
    if zone is not None:
        monkeypatch.setenv("SMARTCART_TIMEZONE", zone)
    export = tmp_path / "export.csv"
    export.touch()
    late = datetime(2014, 7, 1, 20, 30, tzinfo=UTC).timestamp()
    os.utime(export, (late, late))
    assert day_of_delivery(export) == date(2014, 7, day)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../etc/passwd", "Europe"])
def test_a_time_zone_that_there_is_not_is_named(zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SMARTCART_TIMEZONE", zone)
    with pytest.raises(HomeError, match=f"SMARTCART_TIMEZONE is '{zone}': there is no such time zone"):
        day_of_delivery(tmp_path)


@pytest.mark.parametrize("rule", ["newest", "delivered", PATTERN])
def test_a_home_may_set_a_rule_for_all_its_runs(rule: str, home: Home):
    home.root.mkdir()
    home.settings.write_text(f"settings:\n  as_of: {rule}\n")
    assert read_home(home)["settings"] == {"as_of": rule}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2014-07-01", "as_of is 2014-07-01. A date would be the day of every night"),
        ("'2014-07-01'", "as_of is 2014-07-01. A date would be the day of every night"),
        ("newst", "as_of is 'newst', expected newest, delivered, or a pattern"),
        ("7", "as_of is '7', expected newest, delivered, or a pattern"),
        ("'%Y.csv'", "as_of '%Y.csv' is no pattern that tells a date"),
    ],
)
def test_a_home_sets_no_date_and_no_other_word(text: str, told: str, home: Home):
    home.root.mkdir()
    home.settings.write_text(f"settings:\n  as_of: {text}\n")
    with pytest.raises(HomeError) as refused:
        read_home(home)
    assert str(refused.value).startswith(f"{home.settings}: {told}")
