"""Pictures take their words from the recipe, and have room for them."""

import io

import pytest
from PIL import Image

from smartcart_pipeline.report.plots import _tick, plot_shown, plot_sizes
from smartcart_pipeline_tests.report.bikes import declare_bikes

LONG = "Low-value, more with a very long name of a tariff, more with another one"


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.1 + 0.2, "0.3"), (0.0025, "0.0025"), (20_000, "20,000"), (1_500_000, "1.5M"), (-2e9, "-2,000M"), (0, "0")],
)
def test_a_tick_is_as_fine_as_it_must_be_and_no_longer(value: float, written: str) -> None:
    assert _tick(value) == written


@pytest.mark.parametrize("least", [0.0, -1.0])
def test_two_numbers_are_drawn_under_their_names_however_uneven(least: float) -> None:
    features = {"log_rides": {"log": "rides"}, "distance_km": {"column": "distance_km"}}
    recipe = declare_bikes(
        features=features, described={"rides": {"column": "rides"}}, report={"told": ["log_rides", "distance_km"]}
    ).recipe
    assert recipe.shown == ("rides", "distance_km")
    assert [recipe.is_uneven(name) for name in recipe.shown] == [True, False]
    profiles = [{"segment_id": f"S0{number}", "persona": LONG} for number in (1, 2)]
    rows = [{"segment_id": "S01", "rides": rides, "distance_km": 0.01} for rides in (least, 5.0, 4e9)]
    plot = plot_shown(rows, profiles, recipe)
    assert plot.caption == "Distance km against rides, by segment"
    assert plot.png.startswith(b"\x89PNG")


def test_long_names_leave_room_for_the_bars() -> None:
    profiles = [
        {"segment_id": f"S0{number}", "persona": persona, "customers": 1_000, "share": 0.5}
        for number, persona in ((1, LONG), (2, "Short"))
    ]
    long, short = (Image.open(io.BytesIO(plot_sizes(some).png)).width for some in (profiles, profiles[1:]))
    assert long > short == 800


@pytest.mark.parametrize("persona", ["Fee of $5 to $x^{10} more often", "年龄 \U0001301d more often"])
def test_names_are_no_formulas_and_may_be_in_any_script(persona: str) -> None:
    profile = {"segment_id": "S01", "persona": persona, "customers": 1_000, "share": 1.0}
    assert plot_sizes([profile]).png.startswith(b"\x89PNG")
