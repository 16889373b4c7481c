"""Words follow from numbers: what sets a segment apart, what to do for it, and how sure that is."""

import math
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from smartcart_pipeline.declaration.recipe import share_name
from smartcart_pipeline.report.reading import Findings
from smartcart_pipeline.report.wording import (
    REASONS,
    Figure,
    Sentence,
    advise,
    capitalise,
    compare,
    describe_component,
    measures,
    summarise,
    tell,
    uncapitalise,
)
from smartcart_pipeline_tests.declared import BEHAVIOURAL, CATEGORIES, RECIPES, TABLES
from smartcart_pipeline_tests.report.bikes import declare_bikes, find_bikes
from smartcart_pipeline_tests.report.first_night import first_night

RECIPE = BEHAVIOURAL.recipe
CHANNELS = ("num_web_purchases", "num_catalog_purchases", "num_store_purchases")
MEANS = (
    *(f"mean_{name}" for name in RECIPE.measured),
    *(share_name(category, group) for category, group in RECIPE.shares),
    *RECIPE.rates,
)
EVERYONE = dict.fromkeys(MEANS, 10.0) | {
    "customers": 1_000,
    "share_living_with_partner": 0.6,
    "share_education_postgraduate": 0.4,
    "response_rate": 0.15,
}
SHARES = dict(zip(CHANNELS, (0.3, 0.2, 0.5), strict=True)) | {"num_deals_purchases": 0.2}


# What is told of a segment besides its profile.
TOLD_APART = ("channels", "categories", "response", "reached", "both")


def findings(*segments: dict[str, Any]) -> Findings:
    """Segments that are like everyone but for what is said of each."""
    profiles, channels, categories, responses = [], [], [], []
    reached: dict[tuple[str, str], float] = {}
    both: dict[tuple[str, str], float] = {}
    even = dict.fromkeys(CATEGORIES.values(), 1 / 6)
    for number, told in enumerate([*segments, None], start=1):
        segment = f"S{number:02d}" if told is not None else None
        own = told or {}
        channels.append({"segment_id": segment} | SHARES | own.get("channels", {}))
        categories += [
            {"segment_id": segment, "category": category, "mean_spending": 100 * share, "share_of_spending": share}
            for category, share in (even | own.get("categories", {})).items()
        ]
        if segment is None:
            continue
        size = {"customers": 500, "share": 0.5, "spending_share": 0.5}
        rest = {name: value for name, value in own.items() if name not in TOLD_APART}
        reached |= {(segment, name): own.get("reached", {}).get(name, 0.5) for name in RECIPE.told}
        both[segment, "num_web_visits_month"] = own.get("both", 1.0)
        profiles.append(EVERYONE | size | {"segment_id": segment, "persona": f"persona {number}"} | rest)
        rate, low, high = own.get("response", (0.15, 0.12, 0.18))
        responses.append(
            {"segment_id": segment, "outcome": "response", "rate": rate, "rate_low": low, "rate_high": high}
        )
    return Findings(
        declaration=BEHAVIOURAL,
        counts_outcomes=False,
        publication={"run_id": "r", "as_of_date": date(2014, 6, 29), "recipe": "behavioural"}
        | {"published_at": datetime(2014, 6, 30)},  # noqa: DTZ001
        profiles=profiles,
        base=EVERYONE,
        spread=dict.fromkeys((measure.feature for measure in measures(RECIPE)), 2.0),
        reached=reached,
        both=both,
        channels=channels,
        categories=categories,
        responses=responses,
        rules=[],
        plotted=[],
        candidates=[],
        comparison=[],
        loadings=[],
        imputed={"income": 0},
        **first_night(RECIPE, date(2014, 6, 29), len(segments)),
    )


def text(sentence: Sentence) -> str:
    return "".join(map(str, sentence))


def advice(*segments: dict[str, Any]) -> list[dict[str, str]]:
    return [{it.do: text(it.why) for it in each} for each in advise(findings(*segments)).values()]


def test_the_largest_differences_are_told_first_and_small_ones_not_at_all() -> None:
    found = findings({"mean_income": 13.0, "mean_age": 9.0, "mean_recency": 10.3}, {})
    first, second = (tell(compare(profile, found)) for profile in found.profiles)
    assert [(it.words, it.effect, str(it.value), str(it.base)) for it in first] == [
        ("Earn more", 1.5, "13", "10"),
        ("Are younger", -0.5, "9", "10"),
    ]
    assert second == []
    assert "**S01 persona 1**, 500 customers (50%): earn more, are younger" in summarise(found)
    assert "**S02 persona 2**, 500 customers (50%): like all customers" in summarise(found)


def test_an_index_is_100_where_a_segment_is_like_everyone() -> None:
    found = findings({"mean_income": 15.0}, {})
    indices = {it.measure.feature: str(it.index) for it in compare(found.profiles[0], found)}
    assert (indices["income"], indices["age"]) == ("150", "100")
    nothing = replace(found, base=EVERYONE | {"mean_income": 0.0})
    assert compare(nothing.profiles[0], nothing)[0].index is None


@pytest.mark.parametrize(
    ("response", "do", "why"),
    [
        ((0.25, 0.20, 0.30), "Invite them first to the next campaign", ", against 15.0% of all customers."),
        ((0.05, 0.03, 0.08), "Do not repeat the last campaign with them", ", against 15.0% of all customers."),
        ((0.17, 0.13, 0.21), "Try the next campaign on a sample of them first", "may be like everyone else"),
    ],
)
def test_the_response_is_judged_by_its_interval(response: tuple[float, ...], do: str, why: str) -> None:
    [first, _] = advice({"response": response}, {})
    assert why in first[do]
    assert f"95% interval {response[1]:.1%} to {response[2]:.1%}" in first[do]


@pytest.mark.parametrize(
    ("response", "do"),
    [
        ((0.2, 0.1501, 0.3), "Invite them first to the next campaign"),
        ((0.2, 0.15, 0.3), "Try the next campaign on a sample of them first"),
        ((0.2, 0.1499, 0.3), "Try the next campaign on a sample of them first"),
        ((0.1, 0.05, 0.15), "Try the next campaign on a sample of them first"),
        ((0.1, 0.05, 0.1499), "Do not repeat the last campaign with them"),
    ],
)
def test_the_interval_must_lie_beyond_the_rate_of_all_customers(response: tuple[float, ...], do: str) -> None:
    [first, _] = advice({"response": response}, {})
    assert do in first


@pytest.mark.parametrize(
    ("spending", "do"),
    [
        (0.625, "Look after them first"),
        (0.6249, "Treat them like the average customer"),
        (0.4001, "Treat them like the average customer"),
        (0.4, "Keep what reaching them costs low"),
    ],
)
def test_the_value_of_a_segment_is_judged_at_the_edges(spending: float, do: str) -> None:
    [first, _] = advice({"spending_share": spending}, {})
    assert do in first


@pytest.mark.parametrize(("age", "words"), [(0.2, ["Are older"]), (0.1999, []), (-0.1999, []), (-0.2, ["Are younger"])])
def test_a_fifth_of_a_standard_deviation_is_worth_telling(age: float, words: list[str]) -> None:
    found = findings({"mean_age": age, "reached": {"age": 0.9 if age > 0 else 0.1}}, {})
    found = replace(found, base=found.base | {"mean_age": 0.0}, spread=found.spread | {"age": 1.0})
    told = [it for it in compare(found.profiles[0], found) if it.measure.feature == "age"]
    assert [it.words for it in tell(told)] == words
    said = {it.do for it in advise(found)["S01"]}
    assert ("Choose pictures and words for older readers" in said) == (age >= 0.2)
    assert ("Choose pictures and words for younger readers" in said) == (age <= -0.2)


@pytest.mark.parametrize(
    ("share", "everyone", "do"),
    [
        (1.1, 1.0, "Lead with a discount"),
        (1.0999, 1.0, None),
        (0.9092, 1.0, None),
        (1.0, 1.1, "Do not lead with a discount"),
    ],
)
def test_a_share_that_is_a_tenth_larger_is_worth_acting_on(share: float, everyone: float, do: str | None) -> None:
    found = findings({"channels": {"num_deals_purchases": share}}, {})
    for row in found.channels:
        row["num_deals_purchases"] = share if row["segment_id"] == "S01" else everyone
    said = {it.do for it in advise(found)["S01"] if "discount" in it.do}
    assert said == ({do} if do else set())


@pytest.mark.parametrize(("share", "in_front"), [(1.1, True), (1.0999, False)])
def test_so_is_a_category_and_a_channel(share: float, in_front: bool) -> None:
    found = findings({"categories": {"fish": share}, "channels": {"num_web_purchases": share}}, {})
    for row in found.categories:
        row["share_of_spending"] = share if row["segment_id"] == "S01" and row["category"] == "fish" else 1.0
    for row in found.channels:
        row["num_web_purchases"] = share if row["segment_id"] == "S01" else 1.0
        row["num_store_purchases"] = 2.0
    said = {it.do for it in advise(found)["S01"]}
    assert ("Put fish in front" in said) == in_front
    # Where no channel is marked, it is the one by which they buy most.
    assert ("Reach them through the web site" in said) == in_front
    assert ("Reach them through the stores" in said) != in_front


@pytest.mark.parametrize(
    ("visits", "purchases", "noticed"), [(0.2, -0.2, True), (0.1999, -0.2, False), (0.2, -0.1999, False)]
)
def test_visits_without_purchases_are_noticed_from_a_fifth_on(visits: float, purchases: float, noticed: bool) -> None:
    means = {"mean_num_web_visits_month": visits, "mean_num_web_purchases": purchases}
    found = findings(means, {})
    found = replace(found, base=found.base | dict.fromkeys(means, 0.0), spread=dict.fromkeys(found.spread, 1.0))
    said = {it.do for it in advise(found)["S01"]}
    assert ("Turn their visits to the web site into purchases" in said) == noticed


def test_intervals_that_touch_overlap() -> None:
    do = "Try the next campaign on a sample of them first"
    for low, told in ((0.18, True), (0.1801, False)):
        [first, *_] = advice({"response": (0.15, 0.12, 0.18)}, {"response": (0.19, low, 0.3)})
        assert first[do].endswith("The interval overlaps with that of S02.") == told


def test_an_interval_that_overlaps_with_others_says_so() -> None:
    alike = {"response": (0.14, 0.10, 0.19)}
    [first, second, apart] = advice({}, alike, {"response": (0.4, 0.3, 0.5)})
    do = "Try the next campaign on a sample of them first"
    assert first[do].endswith("The interval overlaps with that of S02.")
    assert second[do].endswith("The interval overlaps with that of S01.")
    assert "overlaps" not in apart["Invite them first to the next campaign"]


def test_each_suggestion_rests_on_the_figures_it_shows() -> None:
    [first, second] = advice(
        {
            "share": 0.2,
            "spending_share": 0.4,
            "channels": {"num_catalog_purchases": 0.4, "num_deals_purchases": 0.05},
            "categories": {"fish": 0.5},
        },
        {"channels": {"num_deals_purchases": 0.5}, "mean_recency": 12.0, "reached": {"recency": 0.75}},
    )
    assert first["Look after them first"] == "20% of customers, 40% of all spending."
    assert first["Reach them through the catalogue"] == (
        "40% of their purchases are made from the catalogue, against 20% for all customers."
    )
    assert "5% of their purchases" in first["Do not lead with a discount"]
    assert first["Put fish in front"] == "50% of their spending goes into fish, against 17% for all customers."
    assert "50% of their purchases" in second["Lead with a discount"]
    assert second["Remind them of you"] == (
        "Bought longer ago: 12 days since the last purchase, against 10 for all customers; 75% of them reach that."
    )
    # No channel marks the second segment: it is reached where it buys most.
    assert "Reach them through the stores" in second


def test_many_visits_and_few_purchases_are_noticed() -> None:
    [first, _] = advice({"mean_num_web_visits_month": 11.0, "mean_num_web_purchases": 8.0, "both": 0.6}, {})
    assert first["Turn their visits to the web site into purchases"] == (
        "Visit the web site more often: 11.0 visits a month, against 10.0 for all customers. "
        "Buy less on the web site: 8.0 purchases, against 10.0. Both hold for 60% of them."
    )


def test_segments_whose_numbers_differ_get_different_advice() -> None:
    marked = {
        "channels": {"num_deals_purchases": 0.6},
        "categories": {"wine": 0.5},
        "mean_total_children": 14.0,
        "mean_age": 10.5,
        "reached": {"total_children": 0.9, "age": 0.9},
    }
    younger = {"mean_age": 9.5, "reached": {"total_children": 0.9, "age": 0.1}}
    first, second = (set(each) for each in advice(marked, marked | younger))
    assert first != second
    assert first - second == {"Choose pictures and words for older readers"}


def test_segments_whose_numbers_are_the_same_get_the_same_advice() -> None:
    first, second = (set(each) for each in advice({}, {}))
    assert first == second


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [(1234.6, ",.0f", "1,235"), (-0.001, ".2f", "0.00"), (0.156, ".0%", "16%"), (1234, ",", "1,234")],
)
def test_a_figure_is_written_for_people(value: float, form: str, shown: str) -> None:
    assert str(Figure(value, form, "somewhere")) == shown


def test_a_component_is_described_by_what_pulls_on_it_most() -> None:
    loadings = {"income": 0.6, "total_spending": 0.5, "num_web_visits_month": -0.4, "age": 0.1, "recency": 0.01}
    rows = [{"feature": feature, "loading": loading} for feature, loading in loadings.items()]
    assert describe_component(rows, RECIPE) == (
        "grows with income, spending, age and days since the last purchase, and falls with visits to the web site"
    )
    assert describe_component(rows[:1], RECIPE) == "grows with income"
    nothing = [row | {"loading": 0.0} for row in rows]
    assert describe_component(nothing, RECIPE) == "tells nobody apart"
    assert describe_component([*rows[:1], *nothing[1:]], RECIPE) == "grows with income"


def test_there_are_words_for_every_feature_and_every_reason() -> None:
    words = {name: RECIPES["reference"].words_of(name).named for name in RECIPES["reference"].names}
    assert words == {
        "age": "age",
        "customer_tenure_days": "time as a customer",
        "total_spending": "spending",
        "total_children": "children at home",
        "income": "income",
        "recency": "days since the last purchase",
        "num_deals_purchases": "purchases with a discount",
        "num_web_purchases": "purchases on the web site",
        "num_catalog_purchases": "purchases from a catalogue",
        "num_store_purchases": "purchases in a store",
        "num_web_visits_month": "visits to the web site",
        "complain": "complaints",
        "response": "the response to the last campaign",
        "living_with_alone": "living alone",
        "living_with_partner": "living with a partner",
        "education_graduate": "a first degree",
        "education_postgraduate": "a master's degree or PhD",
        "education_undergraduate": "no degree",
    }
    [reason] = [column for column in TABLES["rejected_customers"].columns if column.name == "reason"]
    limits = {limit.reason: limit.meaning for limit in RECIPE.limits}
    assert {*REASONS, *limits} == set(reason.categories)
    assert all((REASONS | limits).values())


# What most have


@pytest.mark.parametrize(
    ("children", "reached", "do", "why"),
    [
        (9.0, 0.3, "Show products for households without children", "; 70% of them have fewer than 1."),
        (11.0, 0.7, "Show products for families with children", "; 70% of them have 1 or more."),
    ],
)
def test_a_suggestion_shows_the_share_of_those_whom_it_is_true_of(
    children: float, reached: float, do: str, why: str
) -> None:
    [first, _] = advice({"mean_total_children": children, "reached": {"total_children": reached}}, {})
    assert first[do].endswith(why)


@pytest.mark.parametrize(
    ("children", "reached", "said"),
    [
        # As it was: the mean lies below that of all customers, and 58 % have children.
        (9.0, 0.58, False),
        (9.0, 0.5, False),
        (9.0, 0.4999, True),
        (11.0, 0.5, False),
        (11.0, 0.5001, True),
    ],
)
def test_what_no_majority_has_is_not_said(children: float, reached: float, said: bool) -> None:
    [first, _] = advice({"mean_total_children": children, "reached": {"total_children": reached}}, {})
    assert any("children" in do for do in first) == said


@pytest.mark.parametrize(("share", "said"), [(0.7, True), (0.5001, True), (0.5, False), (0.45, False)])
def test_nor_is_it_said_of_a_group(share: float, said: bool) -> None:
    everyone = EVERYONE | {"share_living_with_partner": 0.1}
    found = findings({"share_living_with_partner": share}, {"share_living_with_partner": 0.1})
    found = replace(found, base=everyone, spread=found.spread | {"living_with_partner": 0.3})
    assert any(it.do == "Speak to couples" for it in advise(found)["S01"]) == said


def test_visits_without_purchases_are_those_of_most() -> None:
    means = {"mean_num_web_visits_month": 12.0, "mean_num_web_purchases": 8.0}
    for share, said in ((0.5, False), (0.5001, True)):
        [first, _] = advice(means | {"both": share}, {})
        assert ("Turn their visits to the web site into purchases" in first) == said


# Of any table


def plain_advice(declaration: Any, base: dict[str, Any], *segments: dict[str, Any]) -> list[dict[str, str]]:
    return [{it.do: text(it.why) for it in each} for each in advise(find_bikes(declaration, base, *segments)).values()]


def test_where_nobody_has_found_words_they_are_made_of_the_features() -> None:
    first = {"mean_rides": 0.9, "owns_helmet_rate": 0.8, "share_tariff_vip_pass": 0.7, "reached": {"rides": 0.6}}
    second = {"mean_rides": 0.1, "owns_helmet_rate": 0.2, "share_tariff_vip_pass": 0.3, "reached": {"rides": 0.4}}
    assert plain_advice(declare_bikes(), {}, first, second) == [
        {
            "Choose words and offers for customers who have more rides": (
                "0.9, against 0.5 for all customers; 60% of them reach that."
            ),
            "Choose words and offers for customers who own a helmet": "80.0%, against 50.0% for all customers.",
            "Choose words and offers for what most have in common: tariff: VIP pass": (
                "70.0%, against 50.0% for all customers."
            ),
        },
        # That few own a helmet does not say who they are.
        {
            "Choose words and offers for customers who have less rides": (
                "0.1, against 0.5 for all customers; 60% of them stay below that."
            ),
        },
    ]


def test_recency_and_tenure_are_spoken_of_in_every_table() -> None:
    declaration = declare_bikes(business={"recency": "rides", "tenure": "distance_km"})
    more = {"mean_rides": 0.9, "mean_distance_km": 0.9, "reached": {"rides": 0.6, "distance_km": 0.6}}
    less = {"mean_rides": 0.1, "mean_distance_km": 0.1, "reached": {"rides": 0.4, "distance_km": 0.4}}
    first, second = plain_advice(declaration, {}, more, less)
    assert set(first) == {"Remind them of you", "Reward their loyalty"}
    assert set(second) == {"Thank them while it is fresh", "Welcome them: many are new"}


def test_every_outcome_is_spoken_of_where_chance_does_not_explain_it() -> None:
    outcomes = {name: {"flag": name, "share": said} for name, said in SAID.items()}
    first = {"outcomes": {"renewed": (0.6, 0.55, 0.65), "wrote_review": (0.4, 0.35, 0.45)}}
    second = {"outcomes": {"renewed": (0.5, 0.45, 0.55), "wrote_review": (0.5, 0.45, 0.55)}}
    one, other = plain_advice(declare_bikes(outcomes=outcomes), {}, first, second)
    assert one == {
        "Find out why more of them renewed": (
            "60.0% renewed (95% interval 55.0% to 65.0%), against 50.0% of all customers. "
            "The interval overlaps with that of S02."
        ),
        "Find out why fewer of them wrote a review": (
            "40.0% wrote a review (95% interval 35.0% to 45.0%), against 50.0% of all customers. "
            "The interval overlaps with that of S02."
        ),
    }
    assert other == {}


SAID = {"renewed": "renewed", "wrote_review": "wrote a review"}


def test_a_logarithm_is_told_as_the_number_that_it_is_of() -> None:
    features = {"log_rides": {"log": "rides"}, "distance_km": {"column": "distance_km"}}
    declaration = declare_bikes(
        features=features,
        described={"rides": {"column": "rides", "words": {"unit": "rides", "decimals": 0}}},
        report={"told": ["log_rides"]},
    )
    found = find_bikes(declaration, {"mean_log_rides": math.log1p(20)}, {"mean_log_rides": math.log1p(100)}, {})
    [it] = compare(found.profiles[0], found)
    assert (it.measure.label, f"{it.value}{it.measure.unit}", str(it.base)) == (
        "Rides, typical",
        "100 rides typically",
        "20",
    )
    assert it.value.source == "typical.log_rides[S01]"
    assert str(it.index) == "500"


@pytest.mark.parametrize(
    ("value", "base", "index"),
    [(1.0, 0.5, "200"), (-0.1, 0.5, None), (0.5, -0.5, None), (0.5, 0.0, None), (0.0, 0.5, "0"), (5.0, 0.5, None)],
)
def test_an_index_is_there_where_a_ratio_says_something(value: float, base: float, index: str | None) -> None:
    found = find_bikes(declare_bikes(), {"mean_rides": base}, {"mean_rides": value}, {})
    shown = compare(found.profiles[0], found)[0].index
    assert (shown and str(shown)) == index


@pytest.mark.parametrize(
    ("value", "base", "shown"),
    [
        (0.02, 0.031, ["0.020", "0.031"]),
        (0.94, 0.8, ["0.9", "0.8"]),
        (0.0, 0.5, ["0.0", "0.5"]),
        (-0.004, -0.006, ["-0.0040", "-0.0060"]),
        (2_345_678.0, 150_000_000.0, ["2.3M", "150M"]),
        (-12_345_678.0, 5.0, ["-12.3M", "5.0"]),
    ],
)
def test_a_number_is_written_as_finely_as_it_is_small(value: float, base: float, shown: list[str]) -> None:
    found = find_bikes(declare_bikes(), {"mean_rides": base}, {"mean_rides": value}, {})
    it = compare(found.profiles[0], found)[0]
    assert [str(it.value), str(it.base)] == shown


def test_headings_and_sentences_keep_what_is_written_large() -> None:
    assert (capitalise("vIP lounge"), capitalise(""), uncapitalise("Earn more")) == ("VIP lounge", "", "earn more")
    assert uncapitalise("VIP lounge") == "VIP lounge"
