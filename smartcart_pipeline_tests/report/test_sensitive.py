"""Sensitive attributes are shown as they were measured, and marked where chance does not explain what is found."""

from dataclasses import replace
from typing import Any

import pytest

from smartcart_pipeline.report.rendering import render
from smartcart_pipeline.report.sensitive import STRONGEST, tell_sensitive
from smartcart_pipeline_tests.report.bikes import declare_bikes, find_bikes
from smartcart_pipeline_tests.report.test_contents import compiled, sections_of, text_of

__all__ = ["compiled"]

SENSITIVE = {"described": {"sensitive": {"late_share": {"column": "late_share"}, "tariff": {}}}}


def row(segment: str, attribute: str, category: str, **told: Any) -> dict[str, Any]:
    bounds = {"ratio": 1.0, "ratio_low": 0.9, "ratio_high": 1.1}
    same = {"customers": 5, "share": 0.5, "base_share": 0.5, "association": 0.25}
    return {"segment_id": segment, "attribute": attribute, "category": category} | bounds | same | told


def found(**told: Any) -> Any:
    features = {"rides": {"column": "rides"}, "distance_km": {"column": "distance_km"}}
    tariff = {"regroup": "tariff", "into": {"VIP pass": ["VIP pass"]}, "otherwise": "Day", "words": {"label": "Ticket"}}
    recipe = {"features": features | {"tariff": tariff}, "report": {"told": ["rides"]}} | SENSITIVE
    rows = [
        row(segment, attribute, category, **(told if (segment, category) == ("S02", "Day") else {}))
        for attribute, categories in (("late_share", ("up to 9.5", "above 9.5")), ("tariff", ("Day", "VIP pass")))
        for category in categories
        for segment in ("S01", "S02")
    ]
    return replace(find_bikes(declare_bikes(**recipe), {}, {}, {}), sensitive=rows)


def test_attributes_and_their_categories_keep_their_order_and_have_the_recipes_names() -> None:
    late, ticket = tell_sensitive(found())
    assert (late.label, late.is_seen, ticket.label, ticket.is_seen) == ("Late share", False, "Ticket", True)
    # The alphabet would have it the other way round.
    assert [category.name for category in late.categories] == ["up to 9.5", "above 9.5"]
    assert (str(ticket.association), ticket.association.source) == ("0.25", "sensitive_association.association[tariff]")
    day = ticket.categories[0]
    assert (str(day.everyone), day.everyone.source) == ("50%", "sensitive_association.base_share[tariff,Day]")
    assert [it.ratio.source for it in day.ratios] == [
        f"sensitive_association.ratio[{segment},tariff,Day]" for segment in ("S01", "S02")
    ]


@pytest.mark.parametrize(
    ("ratio", "low", "high", "side", "weight"),
    [
        (2.0, 1.5, 3.0, "more", STRONGEST),
        (9.0, 8.0, 9.5, "more", STRONGEST),
        (2**0.5, 1.01, 3.0, "more", STRONGEST / 2),
        (2.0, 1.0, 3.0, "", 0.0),
        (0.5, 0.2, 0.9, "less", STRONGEST),
        (0.0, 0.0, 0.9, "less", STRONGEST),
        (0.0, 0.0, 1.4, "", 0.0),
    ],
)
def test_only_what_chance_does_not_explain_is_marked(
    ratio: float, low: float, high: float, side: str, weight: float
) -> None:
    told = tell_sensitive(found(ratio=ratio, ratio_low=low, ratio_high=high))[1].categories[0].ratios[1]
    assert (told.side, told.weight) == (side, pytest.approx(weight))


def test_few_do_not_show_as_none() -> None:
    told = tell_sensitive(found(share=0.004))[1].categories[0].ratios
    assert [str(it.share) for it in told] == ["50%", "0.4%"]


def test_the_section_stands_late_and_says_what_the_model_sees() -> None:
    page = render(found(ratio=2.0, ratio_low=1.5, ratio_high=3.0))
    sections = sections_of(page)
    assert sections[sections.index("sensitive") + 1] == "quality"
    told = text_of(page)
    assert "Late share (Cramér's V 0.25; the model does not see it)" in told
    assert "Ticket (Cramér's V 0.25; the model sees it)" in told
    assert "▲ 2.00" in told


def test_without_a_sensitive_attribute_there_is_no_section() -> None:
    assert "sensitive" not in sections_of(render(find_bikes(declare_bikes(), {}, {}, {})))
