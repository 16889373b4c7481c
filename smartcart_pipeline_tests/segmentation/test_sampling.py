import hashlib

import narwhals as nw
import pandas as pd
import pytest

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.segmentation.sampling import sample_customers, sample_places
from smartcart_pipeline.smartcart.simulation import Memory
from smartcart_pipeline_tests.conftest import Frames, to_pandas

CUSTOMERS = pd.DataFrame({"customer_id": range(0, 10_000, 5), "value": range(2_000)})


def draw(frame: pd.DataFrame, as_frame: Frames, customers: int, seed: int = 1) -> list[int]:
    return to_pandas(sample_customers(Memory(), as_frame(frame), customers, seed))["customer_id"].tolist()


def test_the_same_seed_draws_the_same_customers_in_order_of_their_ids(as_frame: Frames):
    drawn = draw(CUSTOMERS, as_frame, 100)
    assert len(set(drawn)) == 100
    assert drawn == sorted(drawn)
    assert drawn == draw(CUSTOMERS.sample(frac=1, random_state=0), as_frame, 100)
    assert drawn != draw(CUSTOMERS, as_frame, 100, seed=2)
    # Written down, so that every engine and version draws the same.
    assert drawn[:6] == [45, 120, 200, 425, 450, 505]


def test_a_smaller_sample_is_part_of_a_larger_one(as_frame: Frames):
    assert set(draw(CUSTOMERS, as_frame, 50)) < set(draw(CUSTOMERS, as_frame, 100))


def test_all_are_kept_where_there_are_no_more(as_frame: Frames):
    assert draw(CUSTOMERS, as_frame, 5_000) == CUSTOMERS["customer_id"].tolist()


def test_the_draw_is_even(as_frame: Frames):
    drawn = draw(CUSTOMERS, as_frame, 1_000)
    thirds = pd.cut(pd.Series(drawn), [-1, 3_333, 6_666, 10_000]).value_counts()
    assert thirds.to_numpy() == pytest.approx(333, abs=60)


def test_ids_as_large_as_they_come_do_not_overflow(as_frame: Frames):
    frame = pd.DataFrame({"customer_id": [2**63 - 1, 2**62, 0]})
    assert draw(frame, as_frame, 3) == [0, 2**62, 2**63 - 1]


def test_a_sample_with_places_has_the_columns_of_both(as_frame: Frames):
    points = pd.DataFrame({"customer_id": CUSTOMERS["customer_id"][::-1], "pc1": CUSTOMERS["value"][::-1] * 2.0})
    drawn = to_pandas(sample_places(Memory(), as_frame(CUSTOMERS), as_frame(points), 100, 1))
    assert drawn["customer_id"].tolist() == draw(CUSTOMERS, as_frame, 100)
    assert drawn.columns.tolist() == ["customer_id", "value", "pc1"]
    assert (drawn["pc1"] == drawn["value"] * 2).all()


def test_texts_are_drawn_by_a_number_that_every_engine_reckons_alike(engine: DuckDBEngine):
    ids = [f"{number}@shop.example" for number in range(500)]
    frame = nw.from_native(engine.connection.from_df(pd.DataFrame({"customer_id": ids})))
    numbered = to_pandas(engine.number_ids(frame)).set_index("customer_id")["id_number"]
    # 60 bits of the MD5, as anybody can compute them.
    assert numbered.to_dict() == {
        one: int(hashlib.md5(one.encode(), usedforsecurity=False).hexdigest()[:15], 16) for one in ids
    }
    drawn = to_pandas(sample_customers(engine, frame, 100, 1))["customer_id"].tolist()
    assert drawn == sorted(drawn)
    assert len(set(drawn)) == 100
    shuffled = nw.from_native(engine.connection.from_df(pd.DataFrame({"customer_id": ids[::-1]})))
    assert to_pandas(sample_customers(engine, shuffled, 100, 1))["customer_id"].tolist() == drawn
    assert to_pandas(sample_customers(engine, frame, 100, 2))["customer_id"].tolist() != drawn
