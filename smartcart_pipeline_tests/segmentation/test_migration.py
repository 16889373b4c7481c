"""Why customers moved: they changed, the model did, or they are as good as between two segments."""

from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pytest

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.segmentation.components import Components
from smartcart_pipeline.segmentation.migration import (
    count_causes,
    count_flows,
    explain_moves,
    find_moves,
    migration_rows,
    simple_flows,
)
from smartcart_pipeline.segmentation.model import SegmentModel
from smartcart_pipeline.segmentation.scaling import Scaler
from smartcart_pipeline_tests.conftest import Frames, to_pandas
from smartcart_pipeline_tests.segmentation.test_model import random_features, random_model

BAND = 1.0


def line_model(*centres: float) -> SegmentModel:
    """A model that sees the age alone: segments lie on a line."""
    model = random_model(1, k=len(centres))
    names = model.features.names
    loadings = np.zeros((3, len(names)))
    loadings[0, names.index("age")] = 1.0
    return replace(
        model,
        scaler=Scaler(names, (0.0,) * len(names), (1.0,) * len(names)),
        components=Components(names, loadings, (1.0, 0.0, 0.0)),
        centroids=np.array([[centre, 0.0, 0.0] for centre in centres]),
        segment_ids=tuple(f"S{number:02d}" for number in range(1, len(centres) + 1)),
    )


def aged(*ages: int) -> pd.DataFrame:
    features = random_features(1, len(ages))
    return features.assign(age=list(ages), customer_id=range(1, len(ages) + 1))


OLD, NEW = line_model(20, 40), line_model(20, 60)


@pytest.mark.parametrize(
    ("before", "now", "old", "new", "margin", "cause"),
    [
        (20, 39, OLD, OLD, 5.0, "customer"),
        (20, 59, OLD, NEW, 5.0, "customer"),
        (38, 38, OLD, NEW, 5.0, "model"),
        (29, 31, OLD, OLD, 0.5, "borderline"),
        (38, 38, OLD, NEW, 1.0, "borderline"),
        (38, 38, OLD, NEW, 1.001, "model"),
    ],
    ids=[
        "changed",
        "changed, and the model too",
        "model alone",
        "within the band",
        "model, within the band",
        "model, just beyond it",
    ],
)
def test_a_cause_says_what_would_have_been_otherwise(
    as_frame: Frames, before: int, now: int, old: SegmentModel, new: SegmentModel, margin: float, cause: str
):
    start = "S01" if before < 30 else "S02"
    moves = pd.DataFrame({"customer_id": [1], "from_segment_id": [start], "to_segment_id": ["S09"], "margin": [margin]})
    explained = explain_moves(as_frame(moves), as_frame(aged(now)), as_frame(aged(before)), old, new, BAND)
    [row] = to_pandas(explained).to_dict("records")
    assert row["cause"] == cause
    leaves = {"S01": "S02", "S02": "S01"}[start]
    assert row["old_model_moves"] == ((leaves == "S02") == (abs(now - 40) < abs(now - 20)))


def test_who_loses_the_segment_itself_is_moved_by_the_model(as_frame: Frames):
    moves = pd.DataFrame({"customer_id": [1], "from_segment_id": ["S02"], "to_segment_id": ["S01"], "margin": [0.1]})
    gone = line_model(30)
    explained = explain_moves(as_frame(moves), as_frame(aged(39)), as_frame(aged(39)), OLD, gone, BAND)
    [row] = to_pandas(explained).to_dict("records")
    assert (row["cause"], row["new_model_moves"]) == ("model", True)


def test_without_the_features_of_the_night_before_the_cause_is_the_same(engine: DuckDBEngine):
    def as_frame(frame: pd.DataFrame) -> Any:
        return nw.from_native(engine.connection.from_df(frame))

    moves = pd.DataFrame({"customer_id": [1], "from_segment_id": ["S01"], "to_segment_id": ["S02"], "margin": [9.0]})
    [row] = to_pandas(explain_moves(as_frame(moves), as_frame(aged(40)), None, OLD, OLD, BAND)).to_dict("records")
    assert row["cause"] == "customer"
    assert pd.isna(row["new_model_moves"])


CLUSTERS = pd.DataFrame(
    {
        "customer_id": [1, 2, 3, 4],
        "segment_id": ["S01", "S02", "S02", "S01"],
        "previous_segment_id": ["S01", "S01", "S02", None],
        "margin": [1.0, 2.0, 3.0, 4.0],
    }
)


def test_moves_are_of_customers_that_were_published_the_night_before(as_frame: Frames):
    [move] = to_pandas(find_moves(as_frame(CLUSTERS))).to_dict("records")
    assert move == {"customer_id": 2, "from_segment_id": "S01", "to_segment_id": "S02", "margin": 2.0}


def rows(frame: Any) -> list[dict[str, Any]]:
    found = to_pandas(frame).to_dict("records")
    return [{name: None if pd.isna(value) else value for name, value in row.items()} for row in found]


def test_flows_add_up_to_the_customers_of_both_nights(as_frame: Frames):
    flows = rows(count_flows(as_frame(CLUSTERS)))
    moved = [{"from_segment_id": "S01", "to_segment_id": "S02", "cause": "customer", "customers": 1}]
    found = migration_rows(flows, moved, {"S01": 5, "S02": 1})
    assert found == [
        {"from_segment_id": None, "to_segment_id": "S01", "cause": "arrived", "customers": 1},
        {"from_segment_id": "S01", "to_segment_id": None, "cause": "left", "customers": 3},
        {"from_segment_id": "S01", "to_segment_id": "S01", "cause": "stayed", "customers": 1},
        {"from_segment_id": "S01", "to_segment_id": "S02", "cause": "customer", "customers": 1},
        {"from_segment_id": "S02", "to_segment_id": "S02", "cause": "stayed", "customers": 1},
    ]


def test_over_a_longer_time_a_move_has_no_cause():
    flows = [
        {"from_segment_id": start, "to_segment_id": end, "customers": 1}
        for start, end in (("S02", "S01"), ("S01", "S01"), (None, "S01"), ("S01", None))
    ]
    told = {(row["from_segment_id"], row["to_segment_id"]): row["cause"] for row in simple_flows(flows)}
    assert told == {
        ("S02", "S01"): None,
        ("S01", "S01"): "stayed",
        (None, "S01"): "arrived",
        ("S01", None): "left",
    }


def test_causes_are_counted_by_flow():
    frame = pd.DataFrame(
        {"from_segment_id": ["S01"] * 3, "to_segment_id": ["S02"] * 3, "cause": ["model", "model", "customer"]}
    )
    counted = {row["cause"]: row["customers"] for row in rows(count_causes(nw.from_native(frame)))}
    assert counted == {"model": 2, "customer": 1}
