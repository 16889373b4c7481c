"""A published segment follows the raw one when that is clear, or has been so for some nights."""

from typing import Any

import narwhals as nw
import pandas as pd
import pyarrow as pa

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.segmentation.hysteresis import Hysteresis, settle_segments

RULE = Hysteresis(band=0.2, nights=3)
IN_FORCE = ("S01", "S02", "S03")
Night = dict[int, tuple[str, float]]


def settle(engine: DuckDBEngine, previous: Any, night: Night, rule: Hysteresis = RULE, in_force=IN_FORCE) -> Any:
    rows = [{"customer_id": c, "segment_id": s, "margin": m} for c, (s, m) in night.items()]
    return engine.keep(settle_segments(engine.frame(pa.Table.from_pylist(rows)), previous, in_force, rule))


def published(frame: Any) -> dict[int, str]:
    return {row["customer_id"]: row["segment_id"] for row in nw.to_native(frame).to_arrow_table().to_pylist()}


def play(engine: DuckDBEngine, *nights: tuple[str, float], rule: Hysteresis = RULE) -> list[str]:
    """One customer's published segments, night by night."""
    previous, told = None, []
    for night in nights:
        previous = settle(engine, previous, {1: night}, rule)
        told.append(published(previous)[1])
    return told


def test_the_first_night_publishes_the_raw_segment(engine: DuckDBEngine):
    frame = settle(engine, None, {1: ("S01", 0.01), 2: ("S02", 5.0)})
    assert published(frame) == {1: "S01", 2: "S02"}
    [row, _] = nw.to_native(frame).to_arrow_table().to_pylist()
    assert row == {
        "customer_id": 1,
        "raw_segment_id": "S01",
        "margin": 0.01,
        "segment_id": "S01",
        "nights_pending": 0,
        "previous_segment_id": None,
    }


def test_a_clear_move_counts_at_once(engine: DuckDBEngine):
    assert play(engine, ("S01", 1.0), ("S02", 0.21)) == ["S01", "S02"]


def test_a_move_within_the_band_counts_when_it_has_held(engine: DuckDBEngine):
    near = ("S02", 0.2)
    assert play(engine, ("S01", 1.0), near, near, near) == ["S01", "S01", "S01", "S02"]


def test_to_and_fro_within_the_band_moves_nobody(engine: DuckDBEngine):
    near, back = ("S02", 0.1), ("S01", 0.1)
    assert play(engine, back, near, near, back, near, near, back) == ["S01"] * 7


def test_the_count_begins_anew_with_another_segment(engine: DuckDBEngine):
    one, other = ("S02", 0.1), ("S03", 0.1)
    assert play(engine, ("S01", 1.0), one, one, other, other, other) == ["S01"] * 5 + ["S03"]


def test_a_single_night_suffices_where_that_is_the_rule(engine: DuckDBEngine):
    assert play(engine, ("S01", 1.0), ("S02", 0.0), rule=Hysteresis(0.2, 1)) == ["S01", "S02"]


def test_who_is_new_or_has_no_segment_any_more_gets_the_raw_one(engine: DuckDBEngine):
    first = settle(engine, None, {1: ("S01", 1.0), 2: ("S03", 1.0)})
    again = settle(engine, first, {1: ("S02", 0.1), 2: ("S02", 0.1), 3: ("S02", 0.1)}, in_force=("S01", "S02"))
    assert published(again) == {1: "S01", 2: "S02", 3: "S02"}
    rows = {row["customer_id"]: row for row in nw.to_native(again).to_arrow_table().to_pylist()}
    assert [rows[c]["previous_segment_id"] for c in (1, 2, 3)] == ["S01", "S03", None]
    assert [rows[c]["nights_pending"] for c in (1, 2, 3)] == [1, 0, 0]


def test_pandas_and_duckdb_settle_alike(engine: DuckDBEngine):
    nights = [{c: (f"S0{(c + n * c) % 3 + 1}", (c % 5) / 10) for c in range(40)} for n in range(4)]
    previous = here = None
    for night in nights:
        previous = settle(engine, previous, night)
        frame = pd.DataFrame([{"customer_id": c, "segment_id": s, "margin": m} for c, (s, m) in night.items()])
        here = settle_segments(nw.from_native(frame, eager_only=True), here, IN_FORCE, RULE)
        told = dict(zip(here["customer_id"].to_list(), here["segment_id"].to_list(), strict=True))
        assert told == published(previous)
