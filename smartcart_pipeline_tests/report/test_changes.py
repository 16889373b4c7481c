"""What changed is said as it was: the same segments or not, what became of each, and how many moved and why."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from smartcart_pipeline.declaration.tables import PROMOTION_DECISIONS, SEGMENT_EVENTS
from smartcart_pipeline.report.changes import (
    CAUSE_WORDS,
    CRITERIA,
    EVENTS,
    ROLES,
    SAME_DAY,
    tell_changes,
    tell_drift,
    tell_events,
    tell_flows,
    tell_night,
    tell_replaced,
)
from smartcart_pipeline.report.rendering import render
from smartcart_pipeline.segmentation.gate import Evidence, Gate, decide_promotion
from smartcart_pipeline.segmentation.migration import CAUSES
from smartcart_pipeline_tests.report.test_rendering import some_findings
from smartcart_pipeline_tests.report.test_wording import findings, text

SINCE = date(2014, 6, 28)


def flow(
    start: str | None, end: str | None, cause: str | None, customers: int, period: str = "night"
) -> dict[str, Any]:
    row = {"from_segment_id": start, "to_segment_id": end, "cause": cause, "customers": customers}
    return row | {"period": period, "since": SINCE}


def event(segment: str, kind: str, **told: Any) -> dict[str, Any]:
    known = {"other_segment_id": None, "shared_customers": 0, "share_of_old": None, "share_of_new": None}
    return known | {"segment_id": segment, "event": kind} | told


def after(promoted: bool, version: str, events: list[dict[str, Any]]) -> Any:
    """A night after one whose model was v1."""
    told = findings({}, {})
    night = told.night | {"is_promoted": promoted, "model_version": version}
    return replace(told, night=night, before=told.night | {"model_version": "v1"}, events=events)


@pytest.mark.parametrize(
    ("promoted", "version", "kinds", "said"),
    [
        (False, "v1", [], "The segments are the same as the night before: their model, v1, has not changed."),
        (True, "v2", ["continued"], "The segments are the same, but v2 is their new model."),
        (True, "v2", ["continued", "born"], "The segments have changed: v2 is their new model."),
        (False, "v2", [], "The segments are those of the model in force, v2; the night before, they were those of v1."),
    ],
)
def test_whether_the_segments_are_the_same_is_said(promoted: bool, version: str, kinds: list[str], said: str) -> None:
    assert tell_night(after(promoted, version, [event("S01", kind) for kind in kinds])) == said


def replacing(version: str) -> Any:
    """The same, where the night takes the place of the other."""
    told = after(False, version, [])
    return replace(told, night=told.night | {"night": 5, "replaces_night": 3})


def test_a_night_that_takes_anothers_place_is_told_against_it() -> None:
    same = "The segments are the same as when the same day was published before: their model, v1, has not changed."
    assert tell_night(replacing("v1")) == same
    assert tell_night(replacing("v2")) == (
        "The segments are those of the model in force, v2; when the same day was published before, they were those of "
        "v1."
    )
    assert tell_replaced(replacing("v1")) == (
        "Tonight takes the place of night 3: both are counted to 2014-06-29, and their exports differ. What changed is "
        "told against it."
    )
    assert tell_replaced(after(False, "v1", [])) == ""
    flows = [flow("S01", "S01", "stayed", 50), flow("S01", "S01", "stayed", 40, "month")]
    for told, title in ((replacing("v1"), SAME_DAY), (after(False, "v1", []), "Since the night before")):
        titles = [period.title for period in tell_changes(replace(told, flows=flows))["periods"]]
        assert titles == [title, "Since a month ago"]


def test_the_first_night_has_one_sentence_and_no_picture() -> None:
    page = render(some_findings())
    assert page.count("so there is nothing to compare with yet") == 1
    changed = page[page.index('<section id="changed"') : page.index('id="more"')]
    assert "<svg" not in changed
    assert "<table" not in changed
    first = replace(findings({}, {}), events=[event("S01", "born")])
    assert tell_changes(first)["events"] == []


def test_what_became_of_each_segment_is_told() -> None:
    said = tell_events(
        [
            event("S01", "continued", share_of_old=0.97),
            event("S02", "continued", share_of_old=0.81),
            event("S03", "merged", other_segment_id="S01", shared_customers=60, share_of_old=0.6),
            event("S04", "retired"),
            event("S05", "split", other_segment_id="S02", shared_customers=1_200, share_of_old=0.19),
            event("S06", "born"),
        ]
    )
    assert list(map(text, said)) == [
        "S01 and S02 continue: the new model leaves at least 81% of the known customers where they were.",
        "S03 is no more: it was merged into S01, with 60% of its customers.",
        "S04 is no more: its customers went to several segments.",
        "S05 is new, split from S02: 1,200 customers, 19% of S02, are in it.",
        "S06 is new: most of its customers were in none before, or in several.",
    ]
    [alone] = tell_events([event("S02", "continued", share_of_old=0.5)])
    assert text(alone) == "S02 continues: the new model leaves 50% of the known customers where they were."


def test_there_are_words_for_every_event_cause_and_criterion() -> None:
    [kinds] = [column.categories for column in SEGMENT_EVENTS.columns if column.name == "event"]
    assert {*EVENTS, "continued"} == set(kinds)
    assert {*CAUSE_WORDS, "stayed", "arrived", "left"} == set(CAUSES)
    [roles] = [column.categories for column in PROMOTION_DECISIONS.columns if column.name == "role"]
    assert set(ROLES) == set(roles)
    asked: dict[str, str] = {}
    for adds in (False, True):
        for share in (0.0, 1.0):
            evidence = Evidence(share, share, share, share, share, share, adds_segment=adds, is_newest=bool(share))
            for row in decide_promotion(evidence, Gate()).criteria:
                side = "at least" if row["passed"] == (row["value"] >= row["limit"]) else "at most"
                assert CRITERIA[row["criterion"]][2] == side
                asked[row["criterion"]] = side
    assert set(CRITERIA) == {*asked, "first_model", "declaration", "person"}


def test_moves_are_told_by_cause_and_not_where_the_cause_is_unknown() -> None:
    rest = [flow("S01", "S01", "stayed", 1_000), flow(None, "S01", "arrived", 3), flow("S02", None, "left", 2)]
    several = [*rest, flow("S01", "S02", "customer", 5), flow("S02", "S01", "model", 4)]
    ends = " 3 arrived, 2 left."
    begins = "1,000 customers stayed in their segment. "
    assert text(tell_flows("night", several)) == (
        f"{begins}9 moved to another: 5 because they live or buy differently now, 4 because the model is another one."
        + ends
    )
    assert text(tell_flows("night", [*rest, several[3]])) == (
        f"{begins}5 moved to another, all because they live or buy differently now.{ends}"
    )
    assert text(tell_flows("month", [*rest, flow("S01", "S02", None, 7)])) == f"{begins}7 moved to another.{ends}"
    assert text(tell_flows("night", rest)) == f"{begins}0 moved to another.{ends}"


def test_a_flow_of_several_causes_is_one_band_that_tells_them() -> None:
    flows = [flow("S01", "S02", "customer", 5), flow("S01", "S02", "model", 4), flow("S01", "S01", "stayed", 50)]
    [period] = tell_changes(replace(after(False, "v1", []), flows=flows))["periods"]
    assert [(it.written, it.told) for it in period.flows] == [
        ("50 stayed", "50 stayed in S01"),
        (
            "9 to S02",
            "9 moved from S01 to S02: 5 because they live or buy differently now, 4 because the model is another one",
        ),
    ]
    assert [[str(it) for it in row] for row in period.matrix] == [["50", "9"]]
    assert [(place.label, str(place.figure)) for place in period.after] == [("S01", "50"), ("S02", "9")]


def test_drift_is_summed_up_by_verdict() -> None:
    row = {"model_version": "v1", "psi": 0.3, "effect": 0.2, "new_categories": "", "vanished_categories": ""}
    steady = row | {"feature": "age", "verdict": "steady"}
    drifted = row | {"feature": "income", "verdict": "drifted", "new_categories": "<b>", "vanished_categories": "x"}
    noticed = row | {"feature": "recency", "verdict": "noticeable"}
    held = "Against the customers that v1 was fitted on, "
    assert tell_drift([steady]) == f"{held}none of 1 features has drifted."
    assert tell_drift([drifted, noticed, steady]) == (
        f"{held}1 of 3 features drifted much (income) and 1 of 3 features drifted noticeably (recency)."
    )
    assert "fitted on tonight's customers" in tell_drift([])
    page = render(replace(some_findings(), drift=[drifted]))
    assert "new: &lt;b&gt;; vanished: x" in page
