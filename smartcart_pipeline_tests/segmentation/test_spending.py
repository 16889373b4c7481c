"""What each segment buys: sums of whole numbers, by segment and product category."""

import narwhals as nw
import pandas as pd
import pytest

from smartcart_pipeline.contract import AMOUNTS
from smartcart_pipeline.segmentation.spending import CATEGORIES, category_rows, join_amounts, sum_amounts
from smartcart_pipeline_tests.conftest import Frames, to_pandas

CLUSTERS = pd.DataFrame({"customer_id": [1, 2, 3, 4], "segment_id": ["S02", "S01", "S02", "S03"], "distance": 0.5})


def cleaned(wine: list[int], fish: list[int]) -> pd.DataFrame:
    amounts = dict.fromkeys(AMOUNTS, 0) | {"mnt_wines": wine, "mnt_fish_products": fish}
    return pd.DataFrame({"customer_id": [4, 3, 2, 1], "income": 1.0} | amounts).astype(dict.fromkeys(AMOUNTS, "int32"))


def test_amounts_and_buyers_are_summed_by_segment(as_frame: Frames) -> None:
    members = join_amounts(as_frame(CLUSTERS), as_frame(cleaned([0, 30, 5, 10], [0, 0, 15, 20])))
    summed = to_pandas(sum_amounts(members).sort("segment_id")).astype(dict.fromkeys(AMOUNTS, int))
    assert summed["segment_id"].tolist() == ["S01", "S02", "S03"]
    assert summed["customers"].tolist() == [1, 2, 1]
    assert summed["mnt_wines"].tolist() == [5, 40, 0]
    assert summed["buyers_mnt_wines"].tolist() == [1, 2, 0]
    assert summed["buyers_mnt_fish_products"].tolist() == [1, 1, 0]


def test_sums_do_not_overflow_an_amounts_own_type(as_frame: Frames) -> None:
    most = 2**31 - 1
    members = join_amounts(as_frame(CLUSTERS), as_frame(cleaned([0, most, 0, most], [0, 0, 0, 0])))
    second = to_pandas(sum_amounts(members).filter(nw.col("segment_id") == "S02"))
    assert int(second["mnt_wines"].iloc[0]) == 2 * most


def test_rows_are_means_and_shares_in_order() -> None:
    none = dict.fromkeys((*AMOUNTS, *(f"buyers_{name}" for name in AMOUNTS)), 0)
    rows = category_rows(
        [
            none | {"segment_id": "S02", "customers": 3},
            none | {"segment_id": "S01", "customers": 2, "mnt_wines": 30, "mnt_fruits": 10, "buyers_mnt_wines": 1},
        ]
    )
    assert [(row["segment_id"], row["category"]) for row in rows] == [
        (segment, category) for segment in ("S01", "S02") for category in CATEGORIES.values()
    ]
    wine = rows[0]
    assert (wine["mean_spending"], wine["share_of_spending"], wine["share_buying"]) == (15, 0.75, 0.5)
    assert sum(row["share_of_spending"] for row in rows[:6]) == pytest.approx(1)
    assert {row["share_of_spending"] for row in rows[6:]} == {0}, "nobody spends anything"
