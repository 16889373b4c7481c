"""What each segment buys: sums of whole numbers, by segment and product category."""

import narwhals as nw
import pandas as pd
import pytest

from smartcart_pipeline.segmentation.spending import category_rows, join_amounts, sum_amounts
from smartcart_pipeline_tests.conftest import Frames, to_pandas
from smartcart_pipeline_tests.declared import AMOUNTS, CATEGORIES

CLUSTERS = pd.DataFrame(
    {"customer_id": [1, 2, 3, 4], "segment_id": ["S02", "S01", "S02", "S03"], "kmeans_cluster": [3, 2, 1, 0]}
)
# The cluster of a segment in the model in force; what stands in the table of clusters is tonight's fit.
CENTROIDS = [
    {"segment_id": segment, "kmeans_cluster": cluster} for segment, cluster in (("S02", 0), ("S03", 1), ("S01", 2))
]


def cleaned(wine: list[int], fish: list[int]) -> pd.DataFrame:
    amounts = dict.fromkeys(AMOUNTS, 0) | {"mnt_wines": wine, "mnt_fish_products": fish}
    return pd.DataFrame({"customer_id": [4, 3, 2, 1], "income": 1.0} | amounts).astype(dict.fromkeys(AMOUNTS, "int32"))


def test_amounts_are_summed_by_cluster(as_frame: Frames) -> None:
    members = join_amounts(as_frame(CLUSTERS), as_frame(cleaned([0, 30, 5, 10], [0, 0, 15, 20])), CENTROIDS, AMOUNTS)
    summed = to_pandas(sum_amounts(members, AMOUNTS).sort("kmeans_cluster")).astype(int)
    assert summed["kmeans_cluster"].tolist() == [0, 1, 2]
    assert summed["customers"].tolist() == [2, 1, 1]
    assert summed["mnt_wines"].tolist() == [40, 0, 5]
    assert summed["mnt_fish_products"].tolist() == [20, 0, 15]
    assert summed["mnt_fruits"].tolist() == [0, 0, 0]


def test_sums_do_not_overflow_an_amounts_own_type(as_frame: Frames) -> None:
    most = 2**31 - 1
    members = join_amounts(as_frame(CLUSTERS), as_frame(cleaned([0, most, 0, most], [0, 0, 0, 0])), CENTROIDS, AMOUNTS)
    first = to_pandas(sum_amounts(members, AMOUNTS).filter(nw.col("kmeans_cluster") == 0))
    assert int(first["mnt_wines"].iloc[0]) == 2 * most


def test_rows_are_means_and_shares_of_segments_in_order() -> None:
    none = dict.fromkeys(AMOUNTS, 0)
    rows = category_rows(
        [
            none | {"kmeans_cluster": 0, "customers": 3},
            none | {"kmeans_cluster": 1, "customers": 2, "mnt_wines": 30, "mnt_fruits": 10},
        ],
        [{"kmeans_cluster": 0, "segment_id": "S02"}, {"kmeans_cluster": 1, "segment_id": "S01"}],
        CATEGORIES,
    )
    assert [(row["segment_id"], row["category"]) for row in rows] == [
        (segment, category) for segment in ("S01", "S02") for category in CATEGORIES.values()
    ]
    assert (rows[0]["mean_spending"], rows[0]["share_of_spending"]) == (15, 0.75)
    assert sum(row["share_of_spending"] for row in rows[:6]) == pytest.approx(1)
    assert {row["share_of_spending"] for row in rows[6:]} == {0}, "nobody spends anything"
