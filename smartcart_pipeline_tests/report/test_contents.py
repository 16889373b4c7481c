"""The page has what the declaration gives it something to say about, in the declaration's words, and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest

from smartcart_pipeline.report import rendering
from smartcart_pipeline.report.contents import SECTIONS, put_together
from smartcart_pipeline.report.rendering import render
from smartcart_pipeline_tests.report.bikes import declare_bikes, find_bikes

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


def sections_of(page: str) -> list[str]:
    """The sections, each of which stands in the list of contents too."""
    found = re.findall(r'<section id="(\w+)"', page)
    assert re.findall(r'<li><a href="#(\w+)">[^<]+</a></li>', page) == found
    return found


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page[page.index("<body>") :]))


def test_a_table_of_which_nothing_is_declared_has_no_section_for_it() -> None:
    page = page_of({}, {}, {})
    assert set(SECTIONS) - set(sections_of(page)) == {"buying", "outcomes", "do", "rules"}
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
    ticks = re.findall(r'<text class="tick"[^>]*>([^<]+)</text>', page[: page.index('id="like"')])
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
    assert '<a href="#outcomes">Renewed</a>' in page
    assert '<h2 id="h-outcomes">How many renewed</h2>' in page
    assert "Renewed did not help to define the segments." in page


def test_every_outcome_is_shown() -> None:
    page = page_of({}, ALIKE, ALIKE, outcomes=OUTCOMES)
    assert '<a href="#outcomes">Outcomes</a>' in page
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
    assert ("buying", "Where they buy") in shown["contents"]
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
    assert ("buying", "What rides is made of") in shown["contents"]
    assert shown["parts"]["title"] == "Parts of rides"
    assert [row["label"] for row in shown["parts"]["rows"]] == ["Kilometres in town", "VIP tours"]
    assert str(shown["parts"]["rows"][0]["figures"][0][1]) == "0.4"


def test_ten_segments_of_large_numbers_fit_a_phone(browser: Any, tmp_path: Path) -> None:
    segments = [{"mean_rides": 123_456.0 * number, "persona": "Averyveryverylongword " * 4} for number in range(10)]
    (tmp_path / "page.html").write_text(page_of({"mean_rides": 500_000.0}, *segments))
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    # No number runs into its neighbour.
    too_wide = "all => all.filter(it => it.scrollWidth > it.clientWidth).map(it => it.textContent)"
    assert page.eval_on_selector_all("#like td", too_wide) == []
    context.close()
