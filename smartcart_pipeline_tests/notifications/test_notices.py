"""Messages say what happened, where, and what to do; a good night in three lines, and no customer's value in any."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smartcart_pipeline.notifications import notices
from smartcart_pipeline.notifications.notices import Night, say_why, tell_night
from smartcart_pipeline.notifications.receivers import ABOUT, UNASKED
from smartcart_pipeline.storage.home import Home

HOME = Home(Path("/srv/smartcart"))
AT = datetime(2026, 11, 26, 2, 3, tzinfo=UTC)
RUN = "1a2b3c4d-0000"
DULL = Night(
    number=12,
    export="customers-0412.csv",
    as_of="2014-06-29",
    delivered=2_240,
    customers=2_236,
    segments=4,
    version="v1",
    challenger="v12",
    promoted=False,
    verdict="Held: there is no reason to change the segments.",
    reasons="",
    against="relabelled_customers",
    drifted={},
)
PROMOTED = replace(
    DULL, version="v12", promoted=True, verdict="Tonight's fit is promoted: …", reasons="silhouette_gain"
)
HELD = replace(DULL, reasons="silhouette_gain", verdict="Held: the silhouette would be better, but …")
DRIFTED = replace(DULL, drifted={"income": 0.3, "age": 0.41})


def test_a_good_night_in_three_lines():
    told = tell_night(DULL, DULL, ABOUT, RUN, AT, HOME)
    assert (told.key, told.kind) == (RUN, "success")
    assert told.title == "SmartCart: night 12 published, 2,236 customers in 4 segments"
    assert told.body.splitlines() == [
        "customers-0412.csv, as of 2014-06-29: 2,236 of 2,240 customers in 4 segments, 4 set aside.",
        "Model in force: v1. Held: there is no reason to change the segments.",
        "Report: /srv/smartcart/report.html (run 1a2b3c4d, 2026-11-26 02:03 UTC)",
    ]


@pytest.mark.parametrize(
    ("night", "before", "about", "kind"),
    [
        (DULL, DULL, UNASKED, ""),
        (PROMOTED, DULL, UNASKED, "promotion"),
        (PROMOTED, None, UNASKED, ""),
        (PROMOTED, None, ABOUT, "success"),
        (PROMOTED, DULL, {"success"}, "success"),
        (HELD, DULL, UNASKED, "held"),
        (HELD, HELD, UNASKED, ""),
        (HELD, replace(HELD, against="stability"), UNASKED, "held"),
        (HELD, PROMOTED, UNASKED, "held"),
        (DRIFTED, DULL, UNASKED, "drift"),
        (DRIFTED, DRIFTED, UNASKED, ""),
        (DRIFTED, replace(DRIFTED, drifted={"income": 0.26}), UNASKED, "drift"),
        (replace(DRIFTED, drifted={"age": 0.4}), DRIFTED, UNASKED, ""),
        (replace(HELD, drifted={"age": 0.4}), DULL, {"drift"}, "drift"),
    ],
)
def test_a_night_is_told_by_its_most_urgent_news_and_what_was_so_before_is_none(
    night: Night, before: Night | None, about: frozenset[str], kind: str
):
    assert tell_night(night, before, about, RUN, AT, HOME).kind == kind


def test_all_that_is_new_stands_in_one_message():
    told = tell_night(replace(PROMOTED, drifted=DRIFTED.drifted), DULL, UNASKED, RUN, AT, HOME)
    assert told.title == "SmartCart: night 12 puts model v12 in force, 2,236 customers in 4 segments"
    assert "Model in force: v12. Tonight's fit is promoted" in told.body
    assert "To go back: smartcart model promote VERSION --reason WHY --home /srv/smartcart" in told.body
    assert "by their index: age (0.41), income (0.30)." in told.body


def test_a_held_challenger_is_told_with_how_to_have_it():
    told = tell_night(HELD, DULL, UNASKED, RUN, AT, HOME)
    assert told.title == "SmartCart: night 12 published, challenger v12 held"
    assert HELD.verdict in told.body
    assert "smartcart model promote v12 --reason WHY" in told.body


def test_a_refused_export_is_told_without_its_values():
    why = f"""{HOME.incoming}/x.csv: this is none. The first line reads: 'Ann "A" Miller'. Line 2: Income is "Ann's"."""
    told = notices.tell_refusal(HOME.incoming / "x.csv", why, None, AT, HOME)
    assert told.kind == "refused_export"
    assert told.title == "SmartCart: export x.csv refused"
    assert told.body.splitlines()[0] == "this is none. The first line reads: …. Line 2: Income is …."
    assert f"Where it is now, with its reason in full: {HOME.refused}" in told.body
    elsewhere = notices.tell_refusal(Path("/tmp/x.csv"), why, RUN, AT, HOME)  # noqa: S108  (nothing is there)
    assert "Where it is now" not in elsewhere.body
    assert elsewhere.key == RUN


def test_a_name_of_several_lines_makes_no_second_line():
    told = notices.tell_refusal(HOME.incoming / "x\r\nBcc: all@example.com\r\n.csv", "empty", None, AT, HOME)
    assert told.title == "SmartCart: export x Bcc: all@example.com .csv refused"


@pytest.mark.parametrize(
    ("kind", "said", "told"),
    [
        ("ConversionException", "Could not convert 'Ann'", "ConversionException: what it says stands in"),
        ("ValueError", "Ann", "ValueError: what it says stands in Dagster's records only."),
        ("OSError", "OSError: [Errno 28] No space left: '/srv/x'\n", "OSError: [Errno 28] No space left: '/srv/x'"),
        ("OutOfMemoryException", "could not allocate 2 MB", "could not allocate 2 MB"),
        ("Failure", "Give the pipeline's user a's 'Ann'", "Give the pipeline's user a's …"),
        ("HomeBusyError", "/srv: another run is under way", "/srv: another run is under way"),
    ],
)
def test_why_a_run_failed_is_told_where_it_can_hold_no_value(kind: str, said: str, told: str):
    assert say_why(kind, said).startswith(told)


def test_too_many_bad_rows_are_told_by_kind():
    told = notices.say_rejected(0.5, 0.05, {"missing_date": 2, "unknown_category": 150}, "/srv/rejected.parquet")
    assert told == (
        "50.0% of its rows are rejected (limit 5.0%): unknown_category 150, missing_date 2. Correct the export and "
        "deliver it again, or raise max_rejected_share. All refused rows with their reasons: /srv/rejected.parquet"
    )


def test_a_blocked_night_names_every_check():
    found = {("features", "schema"): "3 rows: age < 0", ("cleaned", "schema"): "1 rows: income is null"}
    told = notices.tell_blocked(found, RUN, AT, HOME)
    assert told.title == "SmartCart: night stopped by check schema of cleaned and 1 other"
    assert "Check schema of features: 3 rows: age < 0" in told.body
    assert notices.UNCHANGED in told.body


def test_a_late_night_says_whether_an_export_came(tmp_path: Path):
    home, published = Home(tmp_path), datetime.now(UTC) - timedelta(hours=40)
    after = timedelta(hours=30)
    nothing = notices.tell_late(published, 11, after, None, home)
    assert nothing.title == f"SmartCart: no night since {published:%Y-%m-%d %H:%M} UTC"
    assert f"Night 11 was published at {published:%Y-%m-%d %H:%M} UTC" in nothing.body
    assert "a night is late after 30 hours" in nothing.body
    assert f"No export lies in {home.incoming}." in nothing.body
    home.incoming.mkdir()
    export = home.incoming / "x.csv"
    export.write_text("")
    assert "x.csv arrived at" in notices.tell_late(published, 11, after, export, home).body
    older = notices.tell_late(datetime.now(UTC) + timedelta(hours=1), None, after, export, home)
    assert "No export has arrived since: the newest in" in older.body
    again = notices.tell_again(AT, 12, published, home)
    assert again.title == "SmartCart: night 12 has come, at 2026-11-26 02:03 UTC"
