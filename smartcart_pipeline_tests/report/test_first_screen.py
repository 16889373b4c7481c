"""What is said first: who matters most, by what the recipe speaks of, and how the list of a segment is had."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from smartcart_pipeline.report.first_screen import tell_first
from smartcart_pipeline.report.outcomes import find_outcomes
from smartcart_pipeline.report.reading import Findings
from smartcart_pipeline.report.results import tell_campaigns
from smartcart_pipeline.report.scatter import draw_scatter
from smartcart_pipeline.report.segment import find_segments
from smartcart_pipeline.report.wording import Sentence
from smartcart_pipeline_tests.report.bikes import declare_bikes, find_bikes

WORTH = {"business": {"worth": "rides"}}
RENEWED = {"outcomes": {"renewed": {"flag": "renewed", "share": "renewed"}}}
CLEAR, UNCLEAR = (0.8, 0.75, 0.85), (0.5, 0.45, 0.55)


def text(sentence: Sentence) -> str:
    return "".join(map(str, sentence))


def first_of(found: Findings) -> dict[str, Any]:
    told = tell_first(find_segments(found), find_outcomes(found), found)
    return told | {
        "gist": text(told["gist"]),
        "tiles": [(text(it.value), it.label, text(it.note)) for it in told["tiles"]],
        "why": text(told["start"]["why"]),
    }


def bikes(*segments: dict[str, Any], **recipe: Any) -> Findings:
    return find_bikes(declare_bikes(**recipe), {}, *segments)


def test_who_brings_more_than_their_share_is_named_first() -> None:
    rich, poor = {"share": 0.2, "spending_share": 0.6}, {"share": 0.8, "spending_share": 0.4}
    told = first_of(bikes(rich, poor, **WORTH))
    assert told["gist"] == "S01 (persona S01) has 20% of the customers and brings 60% of all rides."
    assert told["start"]["segment"].id == "S01"
    assert told["why"] == "60% of all rides comes from these 20% of the customers."
    assert ("60%", "of it from S01", "persona S01") in told["tiles"]


def test_several_who_do_are_told_together_and_many_by_their_ids() -> None:
    rich, poor = {"share": 0.1, "spending_share": 0.3}, {"share": 0.8, "spending_share": 0.1}
    two = first_of(bikes(rich, poor, rich, **WORTH))["gist"]
    assert two == "S01 (persona S01) and S03 (persona S03) have 20% of the customers and bring 60% of all rides."
    three = first_of(bikes(rich, rich, rich, poor, **WORTH))["gist"]
    assert three == "S01, S02 and S03 have 30% of the customers and bring 90% of all rides."


def test_one_starts_with_who_brings_most_beyond_their_share() -> None:
    large, small = {"share": 0.5, "spending_share": 0.5}, {"share": 0.2, "spending_share": 0.4}
    told = first_of(bikes(large, small, {"share": 0.3, "spending_share": 0.1}, **WORTH))
    assert told["start"]["segment"].id == "S02"
    assert ("50%", "of it from S01", "persona S01") in told["tiles"]


def test_where_a_worth_can_be_owed_the_richest_stand_first() -> None:
    told = first_of(find_bikes(declare_bikes(**WORTH), {"mean_rides": 0.4}, {"mean_rides": -1.0}, {"mean_rides": 1.8}))
    assert told["gist"] == "S02 (persona S02) has the most rides: 1.8 on average, against 0.4 for all customers."
    assert told["start"]["segment"].id == "S02"
    assert told["why"] == "Rides: 1.8 on average, against 0.4 for all customers."


def test_where_few_bring_too_little_those_who_bring_most_are_named() -> None:
    much, little = {"share": 0.85, "spending_share": 0.95}, {"share": 0.15, "spending_share": 0.05}
    told = first_of(bikes(much, little, **WORTH))
    assert told["gist"] == "S01 (persona S01) has 85% of the customers and brings 95% of all rides."


def test_where_rows_are_numbered_nobody_is_said_to_have_moved() -> None:
    found = bikes({}, {})
    contract = replace(found.declaration.contract, key_name="")
    numbered = replace(found, declaration=replace(found.declaration, contract=contract))
    assert [label for _, label, _ in first_of(numbered)["tiles"]] == ["customers", "of them in S01"]


def test_where_all_bring_their_share_nobody_is_named() -> None:
    told = first_of(bikes({}, {}, **WORTH))
    assert told["gist"] == "Each of the 2 segments brings about as much of all rides as it has customers."


def test_an_outcome_is_told_where_it_is_clear_only() -> None:
    clear = first_of(bikes({"outcomes": {"renewed": CLEAR}}, {"outcomes": {"renewed": UNCLEAR}}, **RENEWED))
    assert clear["gist"].endswith("; of S01, 80.0% renewed, against 50.0% of all.")
    assert clear["start"]["segment"].id == "S01"
    assert clear["why"] == "80.0% of them renewed, against 50.0% of all customers."
    unclear = first_of(bikes({"outcomes": {"renewed": UNCLEAR}}, {"outcomes": {"renewed": UNCLEAR}}, **RENEWED))
    assert "renewed" not in unclear["gist"]
    assert ("50.0%", "of all renewed", "no segment clearly more") in unclear["tiles"]


def test_a_few_who_have_an_outcome_by_chance_do_not_hide_those_who_clearly_do() -> None:
    chance, clear = {"outcomes": {"renewed": (0.65, 0.2, 0.9)}}, {"outcomes": {"renewed": (0.6, 0.57, 0.63)}}
    told = first_of(bikes(chance, clear, **RENEWED))
    assert told["gist"].endswith("; of S02, 60.0% renewed, against 50.0% of all.")


def test_of_what_nobody_has_nothing_is_told() -> None:
    nothing = {"outcomes": {"renewed": (0.0, 0.0, 0.01)}}
    told = first_of(find_bikes(declare_bikes(**RENEWED), {"renewed_rate": 0.0}, nothing, nothing))
    assert not [label for _, label, _ in told["tiles"] if "renewed" in label]


def test_without_worth_and_outcome_the_largest_stands_first() -> None:
    told = first_of(bikes({"share": 0.3, "customers": 300}, {"share": 0.7, "customers": 700}))
    assert told["gist"] == "The largest of 2 segments, S02 (persona S02), has 70% of the customers."
    assert told["start"]["segment"].id == "S02"
    assert [label for _, label, _ in told["tiles"]] == ["customers", "of them in S02", "moved to another segment"]


@pytest.mark.parametrize(
    ("each", "shown"), [(0.0012, "1.2"), (1.234, "1,234"), (1_234.0, "1.23M"), (1_234_567.0, "1,234.57M")]
)
def test_a_sum_is_written_in_few_letters(each: float, shown: str) -> None:
    found = find_bikes(declare_bikes(**WORTH), {"mean_rides": each}, {}, {})
    assert first_of(found)["tiles"][1][0] == shown


def test_who_moved_is_told_from_the_second_night_on() -> None:
    found = bikes({}, {})
    assert ("—", "moved to another segment", "told from the next night on") in first_of(found)["tiles"]
    flow = {"period": "night", "from_segment_id": "S01", "to_segment_id": "S02", "since": date(2026, 2, 1)}
    flows = [
        flow | {"cause": cause, "customers": customers}
        for cause, customers in {"stayed": 90, "customer": 4, "borderline": 3, "arrived": 2, "left": 1}.items()
    ]
    later = replace(found, before={"night": 1}, flows=flows)
    assert ("7", "moved to another segment", "since 2026-02-01; 2 arrived, 1 left") in first_of(later)["tiles"]


def test_customers_at_risk_are_told_where_the_recipe_says_what_that_is() -> None:
    assert "at risk" not in [label for _, label, _ in first_of(bikes({}, {}))["tiles"]]
    told = first_of(replace(bikes({}, {}), at_risk=1_234))["tiles"]
    assert ("1,234", "at risk", "quieter than is usual in their segment") in told


def test_a_list_is_had_by_a_command_or_a_query_or_not_at_all() -> None:
    found = bikes({}, {})
    assert [each.listed.how for each in find_segments(found) if each.listed] == [
        f"smartcart audience export {segment} --output {segment}.csv" for segment in ("S01", "S02")
    ]
    own = find_segments(replace(found, audiences={"newsletter"}))[0].listed
    assert own is not None
    asked = "FROM customer_360 WHERE segment_id = 'S01'"
    assert (own.how, own.is_audience) == (f'smartcart sql "{asked}" --format csv --output S01.csv', False)
    contract = replace(found.declaration.contract, key_name="")
    numbered = replace(found, declaration=replace(found.declaration, contract=contract))
    assert [each.listed for each in find_segments(numbered)] == [None, None]


def test_what_was_handed_out_is_told_with_where_it_lies() -> None:
    found = replace(bikes({}, {}), handed_out={"S02"})
    first, second = (each.listed for each in find_segments(found))
    assert first is not None
    assert second is not None
    assert (first.file, second.file) == ("", "audiences/S02/current/list.csv")


def test_a_category_that_parts_customers_has_a_picture_for_each_group() -> None:
    found = bikes({}, {})
    rows = [found.plotted[0] | {"tariff": "VIP pass"}, found.plotted[1] | {"tariff": "Day"}]
    told = draw_scatter(find_segments(found), found)
    assert told is not None
    assert [panel.title for panel in told["panels"]] == [""]
    split = replace(found, split="tariff", plotted=rows)
    told = draw_scatter(find_segments(split), split)
    assert told is not None
    drawn = {panel.title: [bool(path) for path in panel.paths] for panel in told["panels"]}
    assert drawn == {"Tariff: Day": [False, True], "Tariff: VIP pass": [True, False]}


RESULT = {
    "treated": 900,
    "held_out": 100,
    "treated_rate": 0.2,
    "held_out_rate": 0.1,
    "rate_difference": 0.1,
    "rate_low": 0.05,
    "rate_high": 0.15,
    "treated_amount": None,
    "amount_difference": None,
    "amount_low": None,
    "amount_high": None,
    "cost": 450.0,
    "net": None,
    "verdict": "worth_it",
    "found": "Worth it: more of them convert.",
}


def test_a_campaign_is_told_by_segment_and_then_as_a_whole() -> None:
    rows = [RESULT | {"campaign": "spring", "segment_id": segment} for segment in ("S01", "S02", "all")]
    [campaign] = tell_campaigns(replace(bikes({}, {}), campaigns=rows))
    assert (campaign.name, campaign.found, campaign.has_amounts) == ("spring", RESULT["found"], False)
    assert [each.segment_id for each in campaign.results] == ["S01", "S02", "all"]
    assert {each.verdict for each in campaign.results} == {"✓ worth it"}
    figure = campaign.results[0].figures["rate_low"]
    assert (str(figure), figure.source if figure else "") == ("5.0%", "campaign_results.rate_low[spring,S01]")
    assert campaign.results[0].figures["net"] is None
    assert tell_campaigns(bikes({}, {})) == []
