"""Profiles follow from counts of values, and equal what pandas makes of the customers themselves."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from smartcart_pipeline.declaration.recipe import share_name
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.segmentation.profiling import (
    join_members,
    merge_counts,
    name_sources,
    profile_segments,
    summarise_customers,
)
from smartcart_pipeline_tests.conftest import Frames, to_pandas
from smartcart_pipeline_tests.declared import BEHAVIOURAL, TABLES

RECIPE = BEHAVIOURAL.recipe

CENTROIDS = [{"segment_id": "S02", "kmeans_cluster": 1}, {"segment_id": "S01", "kmeans_cluster": 0}]
FEATURES = pd.DataFrame(
    {
        "customer_id": [1, 2, 3],
        **{name: [1, 2, 6] for name in RECIPE.measured},
        "income": [10.0, 20.0, 60.0],
        "living_with": ["Partner", "Alone", "Partner"],
        "education": ["Graduate", "Graduate", "Undergraduate"],
        "complain": [0, 1, 0],
        "response": [1, 1, 0],
    }
)
CLUSTERS = pd.DataFrame({"customer_id": [3, 2, 1], "segment_id": ["S02", "S01", "S01"], "kmeans_cluster": [1, 0, 0]})


def count(engine: DuckDBEngine, features: pd.DataFrame, clusters: pd.DataFrame) -> dict:
    frames = (engine.frame(pa.Table.from_pandas(frame)) for frame in (clusters, features))
    return engine.count_values(join_members(*frames, CENTROIDS, RECIPE), "kmeans_cluster", RECIPE.counted)


def test_a_profile_summarises_the_segments_members(engine: DuckDBEngine):
    first, second = profile_segments(count(engine, FEATURES, CLUSTERS), CENTROIDS, RECIPE)
    assert (first["segment_id"], second["segment_id"]) == ("S01", "S02")
    assert (first["customers"], second["customers"]) == (2, 1)
    assert (first["mean_income"], second["mean_income"]) == (15.0, 60.0)
    assert (first["median_age"], second["median_age"]) == (1.5, 6.0)
    assert (first["share_living_with_partner"], second["share_living_with_partner"]) == (0.5, 1.0)
    assert (first["share_education_undergraduate"], second["share_education_undergraduate"]) == (0.0, 1.0)
    assert (first["response_rate"], second["response_rate"]) == (1.0, 0.0)
    assert (first["complaint_rate"], second["complaint_rate"]) == (0.5, 0.0)


def test_the_whole_base_is_summarised_alike(engine: DuckDBEngine):
    base = summarise_customers(merge_counts(count(engine, FEATURES, CLUSTERS)), RECIPE)
    assert (base["customers"], base["mean_age"], base["median_income"]) == (3, 3.0, 20.0)
    assert base["share_education_graduate"] == 2 / 3


@pytest.mark.parametrize("seed", range(3))
def test_counts_say_what_the_customers_themselves_do(engine: DuckDBEngine, seed: int):
    random = np.random.default_rng(seed)
    size = 501 + seed
    features = pd.DataFrame(
        {"customer_id": range(size)} | {name: random.integers(0, 40, size) for name in RECIPE.measured}
    )
    features["income"] = random.integers(0, 200, size) / 2
    features["complain"], features["response"] = random.integers(0, 2, (2, size))
    features["living_with"] = random.choice(["Partner", "Alone"], size)
    features["education"] = random.choice(["Graduate", "Postgraduate", "Undergraduate"], size)
    clusters = pd.DataFrame({"customer_id": range(size), "kmeans_cluster": random.integers(0, 2, size)})
    clusters["segment_id"] = "S0" + (clusters["kmeans_cluster"] + 1).astype(str)
    members = features.assign(segment_id=clusters["segment_id"]).groupby("segment_id")

    for row in profile_segments(count(engine, features, clusters), CENTROIDS, RECIPE):
        own = members.get_group(row["segment_id"])
        assert row["customers"] == len(own)
        for name in RECIPE.measured:
            assert row[f"mean_{name}"] == pytest.approx(own[name].mean())
            assert row[f"median_{name}"] == own[name].median()
        assert row[share_name("education", "Graduate")] == (own["education"] == "Graduate").mean()


def test_every_figure_has_a_source_and_every_source_a_figure(as_frame: Frames):
    sources = to_pandas(name_sources(join_members(as_frame(CLUSTERS), as_frame(FEATURES), CENTROIDS, RECIPE), RECIPE))
    told = {"persona", "description", "customers", "share"}
    assert set(sources.columns) == set(TABLES["profiles"].names) - told


def test_a_profile_of_a_run_holds_the_declared_columns(engine: DuckDBEngine, sample: Path):
    row = profile_segments(count(engine, FEATURES, CLUSTERS), CENTROIDS, RECIPE)[0]
    assert set(row) == set(TABLES["profiles"].names) - {"persona", "description", "share"}
