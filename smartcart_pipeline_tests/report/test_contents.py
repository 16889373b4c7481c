"""The page has what the declaration gives it something to say about, in the declaration's words, and nothing else."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smartcart_pipeline.report import rendering
from smartcart_pipeline.report.contents import DATA_SCIENCE, MORE, put_together, tell_fenced
from smartcart_pipeline.report.rendering import render
from smartcart_pipeline_tests.report.bikes import declare_bikes, find_bikes
from smartcart_pipeline_tests.report.first_night import structure_row

CATEGORIES_ONLY = {
    "features": {"tariff": {"regroup": "tariff", "into": {"VIP pass": ["VIP pass"]}, "otherwise": "Day"}},
    "report": {"told": ["tariff_vip_pass"]},
}
OUTCOMES = {
    "renewed": {"flag": "renewed", "share": "renewed"},
    "wrote_review": {"flag": "wrote_review", "share": "wrote a review", "words": {"label": "Reviews"}},
}
ALIKE = {"outcomes": {"renewed": (0.5, 0.45, 0.55), "wrote_review": (0.5, 0.45, 0.55)}}


@pytest.fixture(autouse=True)
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "COMPILED", tmp_path / "page.pyc")


def page_of(base: dict[str, Any], *segments: dict[str, Any], **recipe: Any) -> str:
    return render(find_bikes(declare_bikes(**recipe), base, *segments))


# What stands before the details, and has its place in the menu.
FIRST = ["start", "segments", "against", "sizes", "outcomes", "changed", "campaigns"]
SECTIONS = [*FIRST, *MORE, *DATA_SCIENCE]


def sections_of(page: str) -> list[str]:
    """The sections; those of the details stand in its lists of contents, and every link leads somewhere."""
    found = re.findall(r'<section id="(\w+)"', page)
    assert found == [name for name in SECTIONS if name in found]
    links = re.findall(r'<li><a href="#(\w+)">[^<]+</a></li>', page)
    menu = links[: links.index("more") + 1]
    assert links[len(menu) :] == [name for name in found if name not in FIRST]
    assert set(menu) <= {*found, "more"}
    return found


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page[page.index("<body>") :]))


def test_a_table_of_which_nothing_is_declared_has_no_section_for_it() -> None:
    page = page_of({}, {}, {})
    assert set(SECTIONS) - set(sections_of(page)) == {
        "buying",
        "outcomes",
        "do",
        "rules",
        "sensitive",
        "moves",
        "campaigns",
    }
    # No word of what the business could have spoken of.
    for word in ("spend", "worth", "campaign", "purchase", "income", "how they buy", "at_risk", "what to do"):
        assert word not in text_of(page)
    assert page.count('<th scope="col">Segment</th><th scope="col">Customers</th></tr>') == 1
    assert "<tbody>\n</tbody>" not in page


def test_without_two_numbers_there_is_no_picture_of_them() -> None:
    page = page_of({}, {"share_tariff_vip_pass": 0.9}, {"share_tariff_vip_pass": 0.1}, **CATEGORIES_ONLY)
    assert "against" not in sections_of(page)
    assert "do" in sections_of(page)


def test_two_numbers_are_drawn_by_their_names_and_as_finely_as_they_are() -> None:
    page = page_of({}, {}, {})
    assert "Distance km against rides" in page
    ticks = re.findall(r'<text class="tick"[^>]*>([^<]+)</text>', page[: page.index('id="sizes"')])
    assert len(ticks) == len(set(ticks[: len(ticks) // 2])) * 2
    assert "alike in rides, distance km, late share and 2 other things" in page


def test_worth_is_told_by_its_name() -> None:
    worth = {"business": {"worth": "rides"}}
    told = text_of(page_of({}, {"mean_rides": 0.9}, {"mean_rides": 0.1}, **worth))
    assert "and how much of all rides comes from it" in told
    assert "Share of customers and share of rides by segment" in told
    assert "Treat them like the average customer. 50% of customers, 50% of all rides." in told


@pytest.mark.parametrize(("first", "second"), [(-0.1, 0.9), (0.0, 0.0)])
def test_of_what_is_owed_or_nothing_nobody_has_a_share(first: float, second: float) -> None:
    worth = {"business": {"worth": "rides"}}
    told = text_of(page_of({}, {"mean_rides": first}, {"mean_rides": second}, **worth))
    assert "of all rides" not in told
    assert "share of rides" not in told


def test_one_outcome_is_called_by_its_name() -> None:
    page = page_of({}, ALIKE, ALIKE, outcomes={"renewed": OUTCOMES["renewed"]})
    assert '<h2 id="h-outcomes">How many renewed</h2>' in page
    assert "Renewed did not help to define the segments." in page


def test_every_outcome_is_shown() -> None:
    page = page_of({}, ALIKE, ALIKE, outcomes=OUTCOMES)
    assert '<h2 id="h-outcomes">Outcomes</h2>' in page
    assert re.findall(r"<h3>(\w+)</h3>", page[page.index('id="outcomes"') :]) == ["Renewed", "Reviews"]
    for outcome in OUTCOMES:
        for segment in ("S01", "S02"):
            assert f'data-source="responses.rate_low[{segment},{outcome}]"' in page
    assert "Share of customers who wrote a review, with a 95% interval; <data" in page


def test_what_customers_have_in_common_is_said_as_the_recipe_says_it() -> None:
    told = {"report": {"told": ["rides"], "alike": "how and why they ride"}}
    assert "alike in how and why they ride." in page_of({}, {}, {}, **told)


def test_channels_without_a_composition_have_a_table_of_their_own() -> None:
    found = find_bikes(declare_bikes(business={"channels": {"rides": ["the app", "by the app"]}}), {}, {}, {})
    rows = [{"segment_id": segment, "rides": 1.0} for segment in ("S01", "S02", None)]
    shown = put_together(type(found)(**(vars(found) | {"channels": rows})))
    assert ("buying", "Where they buy") in shown["more"]
    assert [row["label"] for row in shown["channels"]] == ["By the app"]
    assert shown["parts"] is None


def test_a_composition_without_channels_is_called_by_what_it_makes_up() -> None:
    parts = {"distance_km": "kilometres in town", "late_share": "VIP tours"}
    business = {"composition": {"of": "rides", "parts": parts}}
    found = find_bikes(declare_bikes(business=business), {}, {}, {})
    rows = [
        {"segment_id": segment, "category": part, "mean_spending": 0.4, "share_of_spending": 0.5}
        for segment in ("S01", "S02", None)
        for part in parts.values()
    ]
    shown = put_together(type(found)(**(vars(found) | {"categories": rows})))
    assert ("buying", "What rides is made of") in shown["more"]
    assert shown["parts"]["title"] == "Parts of rides"
    assert [row["label"] for row in shown["parts"]["rows"]] == ["Kilometres in town", "VIP tours"]
    assert str(shown["parts"]["rows"][0]["figures"][0][1]) == "0.4"


FENCED = {"fences": 3, "features": {name: {"column": name} for name in ("rides", "distance_km", "late_share")}}
UNFENCED = {"lower": None, "upper": None, "beyond": 0}


def fences_of(least: float | None = 0, **told: dict[str, Any]) -> list[str]:
    """What is said of values beyond fences: those of numbers that are told, of which none can be less than `least`."""
    features = FENCED["features"] | {"log_rides": {"log": "rides"}}
    declaration = declare_bikes(fences=3, features=features, report={"told": ["rides"]})
    columns = tuple(replace(column, minimum=least) for column in declaration.contract.columns)
    found = find_bikes(replace(declaration, contract=replace(declaration.contract, columns=columns)), {}, {}, {})
    figures = {
        f"{name}_{figure}": value
        for name in declaration.recipe.fenced
        for figure, value in (UNFENCED | told.get(name, {})).items()
    }
    return ["".join(map(str, sentence)) for sentence in tell_fenced(replace(found, cleaning=figures))]


def test_what_lies_beyond_a_fence_is_told_with_what_it_counts_as() -> None:
    assert fences_of() == []
    assert fences_of(rides={"lower": -7.0, "upper": 1_234.0, "beyond": 0}) == []
    assert fences_of(rides={"lower": -7.0, "upper": 1_234.0, "beyond": 5_678}) == [
        "Rides: 5,678 customers have more than 1,234, and count with 1,234 in tonight's fit."
    ]
    assert fences_of(late_share={"lower": -0.2, "upper": 0.625, "beyond": 1}) == [
        "Late share: 1 customer has more than 0.6, and counts with 0.6 in tonight's fit."
    ]


@pytest.mark.parametrize(("least", "lower"), [(None, -7.0), (0, 2.0)])
def test_both_fences_are_told_where_values_may_lie_beyond_either(least: float | None, lower: float) -> None:
    told = fences_of(least, rides={"lower": lower, "upper": 12.5, "beyond": 2})
    nearer = "and count with the nearer of the two in tonight's fit."
    assert told == [f"Rides: 2 customers have less than {lower:.0f} or more than 12.5, {nearer}"]


def test_the_fence_of_a_logarithm_is_told_as_the_number() -> None:
    [told] = fences_of(log_rides={"lower": math.log1p(2.25), "upper": math.log1p(99.5), "beyond": 2})
    assert told.startswith("Rides: 2 customers have less than 2.2 or more than 99.5, and count with the nearer")


def test_the_doubts_about_k_have_a_table_of_their_own() -> None:
    page = page_of({}, {}, {})
    heads = re.findall(r"<thead><tr>(.+)</tr></thead>", page[page.index('<section id="k"') :])[:2]
    first, second = (re.findall(r"<th[^>]*>([^<]+)</th>", head) for head in heads)
    assert first[-2:] == ["Elbow", "Why"]
    assert second == ["k", "Silhouette", "Shuffled", "Prediction strength", "Recovery"]
    assert 'data-source="k_selection.elbow_share[2]">33%<' in page


def test_few_customers_are_told_where_segments_are_believed_and_where_data_are_judged() -> None:
    told = "customers are few to find segments among: 200 or more are better."
    assert told not in text_of(page_of({}, {}, {}))
    assert text_of(page_of({"customers": 120}, {}, {})).count(f"120 {told}") == 2


def test_another_recipe_is_told_with_the_command_that_tries_it() -> None:
    found = find_bikes(declare_bikes(), {}, {}, {})
    rows = [structure_row("bikes", verdict="constructed"), structure_row("other", is_in_force=False)]
    told = text_of(render(replace(found, structure=rows)))
    assert (
        "The recipe other would do better. To try it, run smartcart run --recipe other, or write recipe: other" in told
    )
    assert "Another recipe" not in text_of(render(found))


def test_ten_segments_of_large_numbers_fit_a_phone(browser: Any, tmp_path: Path) -> None:
    segments = [{"mean_rides": 123_456.0 * number, "persona": "Averyveryverylongword " * 4} for number in range(10)]
    found = find_bikes(declare_bikes(), {"mean_rides": 500_000.0}, *segments)
    shares = {"share": 0.9, "base_share": 0.9, "ratio": 11.55, "ratio_low": 11.44, "ratio_high": 11.66}
    rows = [
        {"segment_id": f"S{number:02d}", "attribute": "tariff", "category": "VIP pass", "association": 0.5} | shares
        for number in range(1, 11)
    ]
    (tmp_path / "page.html").write_text(render(replace(found, sensitive=rows)))
    context = browser.new_context()
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    # No number runs into its neighbour.
    too_wide = "all => all.filter(it => it.scrollWidth > it.clientWidth).map(it => it.textContent)"
    for width in (390, 1_280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.eval_on_selector_all("#like td, #sensitive td, #made td", too_wide) == []
    context.close()
