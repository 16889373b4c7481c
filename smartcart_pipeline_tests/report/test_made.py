"""What segments are made of, and how far to believe them, follows from the tables and is said in the recipe's words."""

from dataclasses import replace
from typing import Any

import pytest

from smartcart_pipeline.report.made import tell_few, tell_giveaways, tell_made, tell_verdict
from smartcart_pipeline.report.reading import Findings
from smartcart_pipeline.segmentation.structure import BEYOND_NOISE, GAP, PREDICTED, RECOVERED, Structure
from smartcart_pipeline_tests.report.bikes import declare_bikes, find_bikes
from smartcart_pipeline_tests.report.first_night import driver, pair_row, structure_row
from smartcart_pipeline_tests.report.test_wording import text

FOUND = [{"segment_id": segment, "recovery": 0.9, "is_found_again": True} for segment in ("S01", "S02")]
LOST = [FOUND[0], {"segment_id": "S02", "recovery": 0.5, "is_found_again": False}]

PICKED = "whoever picks a segment picks by it, whatever else goes with it."
NOISE = "data in which nothing goes together would fall into such segments as well"
UNPREDICTED = "one half of the customers does not tell well enough who is together in the other"

# A number and its logarithm, a number that is only described, and one by its logarithm alone.
UNEVEN = {
    "features": {
        "rides": {"column": "rides", "words": {"label": "Rides a year"}},
        "log_rides": {"log": "rides"},
        "log_distance_km": {"log": "distance_km"},
        "owns_helmet": {"flag": "owns_helmet"},
        "tariff": {"regroup": "tariff", "into": {"VIP pass": ["VIP pass"]}, "otherwise": "Day"},
    },
    "described": {"late_share": {"column": "late_share"}},
    "outcomes": {"renewed": {"flag": "renewed"}},
    "report": {"told": ["log_rides"]},
}
ALIKE = {"outcomes": {"renewed": (0.5, 0.45, 0.55)}}


def found(drivers: dict[str, float], pairs: dict[str, float] | None = None, **told: Any) -> Findings:
    """Two segments, whose associations with features are told, the strongest first."""
    declaration = declare_bikes(**UNEVEN)
    findings = find_bikes(declaration, {}, ALIKE, ALIKE)
    return replace(
        findings,
        drivers=[driver(declaration.recipe, name, strength) for name, strength in drivers.items()],
        pairs=[pair_row(declaration.recipe, name, "S01", "S02", strength) for name, strength in (pairs or {}).items()],
        **told,
    )


def shown(drivers: dict[str, float], **told: Any) -> list[tuple[str, str, str, bool]]:
    """Of each feature its label, its share, what it is unseen as, and whether it is told by its logarithm."""
    made = tell_made(found(drivers, **told))
    return [(it.label, str(it.between), it.unseen_as, it.is_logarithm) for it in made["drivers"]]


def test_a_number_and_its_logarithm_are_told_once_by_the_name_of_the_number() -> None:
    assert shown({"log_rides": 0.6, "rides": 0.5}) == [("Rides a year", "60%", "", True)]
    assert shown({"rides": 0.6, "log_rides": 0.5}) == [("Rides a year", "60%", "", False)]
    # Of this one there is no number among the features: its own name says that it is a logarithm.
    assert shown({"log_distance_km": 0.6}) == [("Log distance km", "60%", "", False)]


def test_what_the_model_does_not_see_is_marked_by_what_it_is_instead() -> None:
    told = shown({"late_share": 0.6, "renewed": 0.5, "owns_helmet": 0.2})
    assert told == [
        ("Late share", "60%", "described", False),
        ("Renewed", "25%", "outcome", False),
        ("Owns helmet", "4%", "", False),
    ]


def test_a_number_that_the_model_sees_by_its_logarithm_is_seen() -> None:
    drivers = {"rides": 0.6, "log_rides": 0.5}
    described = found(drivers).drivers
    described[0] |= {"role": "described", "is_seen": False}
    made = tell_made(replace(found(drivers), drivers=described))
    assert [it.unseen_as for it in made["drivers"]] == [""]


def test_of_categories_the_square_is_told_and_v_beside_it() -> None:
    numbers, categories = (tell_made(found({name: 0.5}))["drivers"][0] for name in ("rides", "tariff"))
    assert (numbers.between.value, numbers.association) == (0.5, None)
    assert (categories.between.value, str(categories.association)) == (0.25, "0.50")
    assert (categories.between.source, categories.association.source) == (
        "segment_drivers.between[tariff]",
        "segment_drivers.association[tariff]",
    )


def test_eight_features_are_told_at_most_and_none_of_which_nothing_lies_between() -> None:
    features = {f"rides_{number}": {"column": "rides"} for number in range(12)}
    declaration = declare_bikes(features=features, report={"told": ["rides_0"]})
    drivers = [driver(declaration.recipe, name, 0.9 - place / 20) for place, name in enumerate(features)]
    made = tell_made(replace(find_bikes(declaration, {}, {}, {}), drivers=drivers))
    assert [it.label for it in made["drivers"]] == [f"Rides {number}" for number in range(8)]
    assert shown({"rides": 0.004, "owns_helmet": 0.0}) == [("Rides a year", "0.4%", "", False)]


def test_two_segments_are_told_apart_by_what_does_so_at_all() -> None:
    [pair] = tell_made(found({"renewed": 0.5}, {"tariff": 0.9, "renewed": 0.5, "rides": 0.009}))["pairs"]
    assert pair.segment_ids == ("S01", "S02")
    assert [(it.label, str(it.between), it.unseen_as) for it in pair.drivers] == [
        ("Tariff", "81%", ""),
        ("Renewed", "25%", "outcome"),
    ]
    assert pair.drivers[0].between.source == "segment_pairs.between[S01,S02,tariff]"
    [alike] = tell_made(found({}, {"rides": 0.009}))["pairs"]
    assert alike.drivers == []


@pytest.mark.parametrize(
    ("drivers", "pairs", "said"),
    [
        ({"rides": 0.94}, {"rides": 0.94}, []),
        (
            {"log_rides": 0.97, "rides": 0.96},
            {"log_rides": 0.99},
            [f"Rides a year alone gives the segments away (association 0.97): {PICKED}"],
        ),
        ({"rides": 0.5}, {"tariff": 1.0}, ["Tariff alone tells S01 and S02 apart (association 1.00)."]),
    ],
    ids=["none", "all", "a pair"],
)
def test_a_feature_that_gives_segments_away_is_named(
    drivers: dict[str, float], pairs: dict[str, float], said: list[str]
) -> None:
    assert [text(sentence) for sentence in tell_giveaways(found(drivers, pairs))] == said


def test_of_many_giveaways_three_are_named_and_pairs_are_counted() -> None:
    recipe = declare_bikes(**UNEVEN).recipe
    names = ("tariff", "rides", "owns_helmet", "log_distance_km", "late_share")
    pairs = [pair_row(recipe, name, "S01", "S02", 0.99 - n / 100) for n, name in enumerate(names[:4])]
    pairs += [pair_row(recipe, "tariff", "S01", other, 0.96) for other in ("S03", "S04")]
    said = [text(sentence) for sentence in tell_giveaways(replace(found({}), pairs=pairs))]
    assert said == [
        "Tariff alone tells S01 and S02 apart (association 0.99), and 2 more pairs.",
        "Rides a year alone tells S01 and S02 apart (association 0.98).",
        "Owns helmet alone tells S01 and S02 apart (association 0.97).",
        "1 more feature does so, too.",
    ]


@pytest.mark.parametrize(
    ("told", "recovery", "said"),
    [
        ({"verdict": "natural"}, FOUND, "These segments are natural."),
        ({"verdict": "reproducible", "gap": 0.9}, FOUND, "These segments are reproducible."),
        (
            {"verdict": "constructed", "beyond_noise": 2.9},
            FOUND,
            f"These segments are constructed: {NOISE}.",
        ),
        ({"verdict": "constructed", "on_components": 0.2}, FOUND, f"These segments are constructed: {NOISE}."),
        (
            {"verdict": "constructed", "prediction_strength": 0.79, "recovery": 0.5},
            LOST,
            f"These segments are constructed: {UNPREDICTED} and other samples of the customers do not give S02 again.",
        ),
    ],
    ids=["natural", "reproducible", "noise", "noise on the components", "other samples"],
)
def test_the_verdict_names_every_doubt(told: dict[str, Any], recovery: list[dict[str, Any]], said: str) -> None:
    assert tell_verdict(structure_row("bikes", **told), recovery)[0] == said


def test_each_verdict_has_a_meaning_of_its_own() -> None:
    meanings = [tell_verdict(structure_row("bikes", verdict=each), FOUND)[1] for each in ("natural", "reproducible")]
    meanings.append(tell_verdict(structure_row("bikes", verdict="constructed"), LOST)[1])
    assert len(set(meanings)) == 3
    assert "not groups that were found in it" in meanings[-1]


@pytest.mark.parametrize(
    ("own", "other", "better"),
    [
        ({"verdict": "constructed"}, {"verdict": "reproducible"}, True),
        ({"verdict": "natural", "giveaway": "rides"}, {"verdict": "natural"}, True),
        ({"verdict": "natural", "giveaway": "rides"}, {"verdict": "natural", "giveaway": "log_of_elsewhere"}, False),
        ({"verdict": "reproducible", "giveaway": "rides"}, {"verdict": "constructed"}, False),
    ],
)
def test_another_recipe_stands_beside_and_is_advised_where_it_is_better(
    own: dict[str, Any], other: dict[str, Any], better: bool
) -> None:
    rows = [structure_row("bikes", **own), structure_row("other", is_in_force=False, **other)]
    made = tell_made(found({}, structure=rows))
    assert (made["better"], made["no_better"]) == ((["other"], []) if better else ([], ["other"]))
    assert [(it["name"], it["state"], it["verdict"]) for it in made["recipes"]] == [
        ("bikes", "in force", own["verdict"]),
        ("other", "tried on a sample on 2014-06-29", other["verdict"]),
    ]
    named = {"rides": "Rides a year", None: "none"}
    # Of a feature that only another recipe makes, the page has the name and no words.
    given = [named.get(row.get("giveaway"), row.get("giveaway")) for row in (own, other)]
    assert [it["giveaway"] for it in made["recipes"]] == given


def test_alone_a_recipe_stands_beside_nothing() -> None:
    made = tell_made(found({}))
    assert (len(made["recipes"]), made["better"], made["no_better"]) == (1, [], [])


@pytest.mark.parametrize(
    ("column", "at", "missed"),
    [
        ("beyond_noise", BEYOND_NOISE, BEYOND_NOISE - 1e-6),
        ("on_components", 0.2 + 1e-6, 0.2),
        ("prediction_strength", PREDICTED, PREDICTED - 1e-6),
        ("recovery", RECOVERED, RECOVERED - 1e-6),
        ("gap", GAP, GAP + 1e-6),
    ],
)
def test_each_limit_that_is_marked_is_one_that_the_verdict_goes_by(column: str, at: float, missed: float) -> None:
    marks, verdicts = {}, {}
    for value in (at, missed):
        row = structure_row("bikes", **{column: value})
        figures = tell_made(found({}, structure=[row]))["figures"]
        marks[value] = {it["values"][0]["figure"].source: it["values"][0]["holds"] for it in figures if it["limit"]}
        verdicts[value] = Structure(
            silhouette=row["beyond_noise"],
            null_silhouette=0.0,
            null_deviation=1.0,
            prediction_strength=row["prediction_strength"],
            recovery=(row["recovery"],),
            on_components=row["on_components"],
            null_on_components=row["null_on_components"],
            gap=row["gap"],
            customers=9,
        ).verdict
    assert len(marks[at]) == 5
    assert all(marks[at].values())
    assert [source for source, holds in marks[missed].items() if not holds] == [f"structure.{column}[bikes]"]
    assert verdicts == {at: "natural", missed: "reproducible" if column == "gap" else "constructed"}


@pytest.mark.parametrize(("customers", "is_few"), [(199, True), (200, False)])
def test_few_customers_are_called_few(customers: int, is_few: bool) -> None:
    findings = find_bikes(declare_bikes(), {"customers": customers}, {}, {})
    said = f"{customers} customers are few to find segments among: 200 or more are better."
    assert text(tell_few(findings)) == (said if is_few else "")
