"""A segment looks the same whatever others there are, and flows lie beside each other, as wide as they are many."""

import io
from collections import Counter, defaultdict
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcart_pipeline.report import plots
from smartcart_pipeline.report.charts import SHAPES
from smartcart_pipeline.report.drawing import THIN, Flows, Pair, lay_out_flows, look_of
from smartcart_pipeline.report.plots import COLOURS, plot_flows, plot_sizes
from smartcart_pipeline.segmentation.identity import name_segment, number_segment

WIDTH, ROOM, GAP = 220, 24, 16
IDS = st.integers(1, 14).map(name_segment) | st.none()
FLOWS = st.dictionaries(st.tuples(IDS, IDS).filter(any), st.integers(1, 10_000_000), min_size=1, max_size=60)


def lay_out(flows: dict[Pair, int], labelled: int = 12) -> Flows:
    return lay_out_flows(flows, WIDTH, ROOM, GAP, labelled)


def test_a_segment_keeps_its_look_and_shares_it_with_none_that_lives_beside_it() -> None:
    ids = [name_segment(number) for number in range(1, 101)]
    assert [number_segment(name) for name in ids] == list(range(1, 101))
    assert len({look_of(name) for name in ids}) == 100
    looks = [look_of(name) for name in ids]
    assert {look.colour for look in looks} == {look.shape for look in looks} == set(range(len(SHAPES)))
    # The first ten differ in both.
    assert len({look.colour for look in looks[:10]}) == len({look.shape for look in looks[:10]}) == 10


def test_there_is_a_colour_and_a_marker_for_every_look() -> None:
    assert len(set(COLOURS)) == len(set(plots.MARKERS)) == len(SHAPES)


@given(FLOWS, st.integers(0, 20))
def test_bands_do_not_overlap_and_stay_in_their_block(flows: dict[Pair, int], labelled: int) -> None:
    laid = lay_out(flows, labelled)
    for side, blocks in (("left", laid.before), ("right", laid.after)):
        spans = sorted(
            (getattr(band, side) - band.width / 2, getattr(band, side) + band.width / 2) for band in laid.bands
        )
        assert all(end <= start + 1e-6 for (_, end), (start, _) in pairwise(spans))
        for block in blocks:
            mine = [b for b in laid.bands if (b.start if side == "left" else b.end) == block.segment]
            assert block.customers == sum(band.customers for band in mine)
            for band in mine:
                assert block.top - 1e-6 <= getattr(band, side) - band.width / 2
                assert getattr(band, side) + band.width / 2 <= block.top + block.height + 1e-6


@given(FLOWS)
def test_widths_add_up_and_are_as_the_customers_are(flows: dict[Pair, int]) -> None:
    laid = lay_out(flows)
    assert sum(band.width for band in laid.bands) == pytest.approx(WIDTH)
    assert {(band.start, band.end): band.customers for band in laid.bands} == flows
    per_customer = {round(band.width / band.customers * sum(flows.values()), 6) for band in laid.bands}
    assert per_customer == {WIDTH}


@given(FLOWS)
def test_both_sides_are_as_high_as_the_whole_with_blocks_apart(flows: dict[Pair, int]) -> None:
    laid = lay_out(flows)
    for blocks in (laid.before, laid.after):
        assert blocks[0].top == 0
        assert blocks[-1].top + blocks[-1].height <= laid.height + 1e-6
        assert all(below.top - above.top - above.height >= GAP - 1e-6 for above, below in pairwise(blocks))
        assert all(block.height >= 2 * ROOM for block in blocks)


@given(FLOWS)
def test_numbers_have_room_and_the_largest_moves_have_them(flows: dict[Pair, int]) -> None:
    laid = lay_out(flows, labelled=3)
    starts: dict[str | None, list[float]] = defaultdict(list)
    for band in laid.bands:
        if band.is_labelled:
            starts[band.start].append(band.left)
    for places in starts.values():
        assert all(below - above >= ROOM - 1e-6 for above, below in pairwise(sorted(places)))
    moved = [band for band in laid.bands if not band.stays]
    told = [band.customers for band in moved if band.is_labelled]
    assert len(told) == min(3, len(moved))
    assert sorted(told) == sorted(band.customers for band in moved)[-3:]
    assert all(band.is_labelled for band in laid.bands if band.stays)


def test_segments_stand_in_order_of_their_number_and_nobody_last() -> None:
    laid = lay_out({("S100", "S02"): 5, ("S11", "S11"): 7, (None, "S02"): 1, ("S02", None): 2})
    assert [block.segment for block in laid.before] == ["S02", "S11", "S100", None]
    assert [block.segment for block in laid.after] == ["S02", "S11", None]
    assert laid.bands[0].stays
    assert THIN < ROOM


def pixels(png: bytes) -> Counter[str]:
    """How many pixels of each colour a picture has."""
    from PIL import Image

    values = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
    colours, counts = np.unique(values, axis=0, return_counts=True)
    return Counter({"#{:02X}{:02X}{:02X}".format(*c): int(n) for c, n in zip(colours, counts, strict=True)})


def test_a_plot_colours_a_segment_by_its_id() -> None:
    profiles = [{"segment_id": segment, "persona": "some", "customers": 10, "share": 0.5} for segment in ("S02", "S04")]
    drawn = pixels(plot_sizes(profiles).png)
    assert min(drawn[COLOURS[1]], drawn[COLOURS[3]]) > 1_000
    assert drawn[COLOURS[0]] == drawn[COLOURS[2]] == 0


def test_flows_are_drawn_in_the_colours_of_their_segments() -> None:
    flow = {"since": date(2014, 7, 1), "cause": None, "to_segment_id": "S03"}
    rows = [flow | {"from_segment_id": segment, "customers": 90} for segment in ("S03", "S05", None)]
    plot = plot_flows([*rows, rows[1] | {"cause": "model"}])
    drawn = pixels(plot.png)
    assert min(drawn[COLOURS[2]], drawn[COLOURS[4]]) > 100
    assert drawn[COLOURS[1]] == 0
    assert plot.caption.endswith("since 2014-07-01")
