"""Putting customers into segments: the warehouse's macro, `smartcart score`, and scikit-learn, with one model.

python -m benchmarks.scoring [--customers N] [--rounds N]

Each round runs all of them, one after the other, so that a machine that drifts does so for all; ratios are medians of
the rounds' own. The model is that of a run over the shipped sample. The macro and the command also hold each row to
the contract and the limits, which the peer does not; what they give is checked to be the same. The peer's features are
engineered in pandas, and that is part of its time, as it is of ours.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from benchmarks.nightly import SAMPLE
from benchmarks.timing import run
from smartcart_pipeline.segmentation.model import SegmentModel, read_model
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.declared import AMOUNTS, CONTRACT

CUSTOMERS = 1_000_000
ROUNDS = 5

# What the recipe says of categories, as somebody would write it down.
PARTNERED, UNDERGRADUATE, GRADUATE = ("Married", "Together"), ("Basic", "2n Cycle"), ("Graduation",)

MACRO = "macro, customers in a table"
PREDICT = "Pipeline.predict, customers in a pandas frame"
MACRO_FILE = "macro, customers in the Parquet file"
PREDICT_FILE = "Pipeline.predict, reading the Parquet file"
MACRO_FULL = "macro with all its columns, customers in a table"
PREDICT_FULL = "Pipeline.transform for the same columns, in a pandas frame"
COMMAND = "smartcart score with all its columns, the whole process"
STARTING = "smartcart score of ten customers (start-up)"


def smartcart(*arguments: object) -> list[str]:
    """The command, as a process of its own."""
    return [sys.executable, "-m", "smartcart_pipeline.cli.main", *map(str, arguments)]


def build_peer(model: SegmentModel):
    """The same model as scikit-learn's own estimators."""
    from sklearn.cluster import KMeans  # noqa: PLC0415
    from sklearn.decomposition import PCA  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    scaler, pca, kmeans = StandardScaler(), PCA(3), KMeans(len(model.segment_ids), n_init=1, max_iter=1)
    names = model.features.names
    pipeline = make_pipeline(scaler, pca, kmeans)
    # Fitted to anything, so that every attribute is there; then given the model's numbers.
    pipeline.fit(np.random.default_rng(0).normal(size=(100, len(names))))
    scaler.mean_, scaler.scale_ = np.array(model.scaler.mean), np.array(model.scaler.scale)
    pca.mean_, pca.components_ = np.zeros(len(names)), model.components.loadings
    kmeans.cluster_centers_ = model.centroids
    return pipeline


def engineer(customers: pd.DataFrame, model: SegmentModel) -> np.ndarray:
    """The features, as somebody would write them with pandas."""
    as_of = pd.Timestamp(model.as_of_date)
    levels = {**dict.fromkeys(UNDERGRADUATE, "undergraduate"), **dict.fromkeys(GRADUATE, "graduate")}
    features = customers.assign(
        income=customers["income"].fillna(model.medians["income"]),
        age=as_of.year - customers["year_birth"],
        customer_tenure_days=(as_of - customers["dt_customer"]).dt.days,
        total_spending=customers[list(AMOUNTS)].sum(axis=1),
        total_children=customers["kidhome"] + customers["teenhome"],
    )
    partner = customers["marital_status"].isin(PARTNERED)
    education = customers["education"].map(levels).fillna("postgraduate")
    features["living_with_partner"], features["living_with_alone"] = partner, ~partner
    for level in ("graduate", "postgraduate", "undergraduate"):
        features[f"education_{level}"] = education == level
    return features[list(model.features.names)].to_numpy(np.float64)


def predict(customers: pd.DataFrame, pipeline, model: SegmentModel) -> np.ndarray:
    """`Pipeline.predict`: the segment of each."""
    segments: np.ndarray = np.array(model.segment_ids)[pipeline.predict(engineer(customers, model))]
    return segments


def predict_in_full(customers: pd.DataFrame, pipeline, model: SegmentModel) -> pd.DataFrame:
    """What the macro gives: also the personas, the distances and the runner-up, by `Pipeline.transform`."""
    distances = pipeline.transform(engineer(customers, model))
    nearest = np.argsort(distances, axis=1)[:, :2]
    own, other = np.take_along_axis(distances, nearest, axis=1).T
    segments, personas = np.array(model.segment_ids), np.array(model.personas)
    return pd.DataFrame(
        {
            "customer_id": customers["customer_id"],
            "segment_id": segments[nearest[:, 0]],
            "persona": personas[nearest[:, 0]],
            "distance": own,
            "runner_up_segment_id": segments[nearest[:, 1]],
            "runner_up_persona": personas[nearest[:, 1]],
            "margin": other - own,
        }
    )


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main(arguments: list[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), chosen.customers, chosen.rounds)


def compare(folder: Path, customers: int, rounds: int) -> None:
    """Score the same customers in every way, and print how many a second each does."""
    home, export = folder / "home", folder / "export.parquet"
    run(smartcart("run", "--input", SAMPLE, "--home", home))
    run(smartcart("generate", "--customers", customers, "--output", export, "--seed", 7))
    connection = open_warehouse(home / "warehouse.duckdb")
    [(document,)] = connection.execute("SELECT document FROM segment_model").fetchall()
    model = read_model(json.loads(document))
    pipeline = build_peer(model)

    headers = ", ".join(f'"{column.header}" AS {column.name}' for column in CONTRACT)
    source = f"SELECT {headers} FROM read_parquet('{export}')"
    connection.execute(f"CREATE TEMP TABLE customers AS {source}")
    connection.execute(f"CREATE TEMP VIEW delivered AS {source}")
    frame = connection.execute("FROM customers").df()
    scores = folder / "scores.parquet"

    def macro(columns: str, relation: str) -> float:
        query = f"CREATE OR REPLACE TEMP TABLE placed AS SELECT {columns} FROM assign_segment({relation})"
        return timed(lambda: connection.execute(query))

    def from_file() -> np.ndarray:
        read = pd.read_parquet(export).rename(columns={column.header: column.name for column in CONTRACT})
        return predict(read.astype({"dt_customer": "datetime64[us]"}), pipeline, model)

    command = smartcart("score", export, "--home", home, "--output", scores)
    few = folder / "few.parquet"
    run(smartcart("generate", "--customers", 10, "--output", few))
    starting = smartcart("score", few, "--home", home, "--output", folder / "few-scores.parquet")
    # Each of ours beside its peer.
    ways: dict[str, Callable[[], float]] = {
        MACRO: lambda: macro("customer_id, segment_id", "customers"),
        PREDICT: lambda: timed(lambda: predict(frame, pipeline, model)),
        MACRO_FILE: lambda: macro("customer_id, segment_id", "delivered"),
        PREDICT_FILE: lambda: timed(from_file),
        COMMAND: lambda: run(command).seconds,
        STARTING: lambda: run(starting).seconds,
        PREDICT_FULL: lambda: timed(lambda: predict_in_full(frame, pipeline, model)),
        MACRO_FULL: lambda: macro("*", "customers"),
    }
    for way in ways.values():
        way()
    agree(connection, frame, pipeline, model, scores)
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            measured[name].append(way())
    connection.close()
    show(measured, customers)


def agree(connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame, pipeline, model, scores: Path) -> None:
    """Whoever disagrees with the others has not scored."""
    macro = connection.execute("FROM placed").df().set_index("customer_id")
    peer = predict_in_full(frame, pipeline, model).set_index("customer_id")
    command = pd.read_parquet(scores).set_index("customer_id")
    placed = macro[macro["segment_id"].notna()]
    assert len(placed) == len(command)
    for name in ("segment_id", "persona", "runner_up_segment_id"):
        assert (placed[name] == command.loc[placed.index, name]).all()
        # The peer knows no limits: it puts outliers into segments too.
        assert (placed[name] == peer.loc[placed.index, name]).all()
    assert np.allclose(placed["margin"], peer.loc[placed.index, "margin"], rtol=0, atol=1e-6)


def show(measured: dict[str, list[float]], customers: int) -> None:
    """Print medians, customers a second, and the ratios of neighbours."""
    print(f"\nScoring {customers:,} customers ({len(measured[MACRO])} rounds, medians)")
    for name, seconds in measured.items():
        median = statistics.median(seconds)
        rate = "" if name == STARTING else f"{customers / median:>12,.0f} customers a second"
        print(f"  {name:<58}{median:7.2f} s{rate}")
    net = [all_of_it - start for all_of_it, start in zip(measured[COMMAND], measured[STARTING], strict=True)]
    rate = f"{customers / statistics.median(net):>12,.0f} customers a second"
    print(f"  {'smartcart score, net of start-up':<58}{statistics.median(net):7.2f} s{rate}")
    for ours, peer in ((MACRO, PREDICT), (MACRO_FILE, PREDICT_FILE), (MACRO_FULL, PREDICT_FULL), (MACRO_FILE, COMMAND)):
        ratios = [b / a for a, b in zip(measured[ours], measured[peer], strict=True)]
        met = "met" if statistics.median(ratios) > 1 else "MISSED"
        print(
            f"  {ours}: {statistics.median(ratios):.2f} times as fast as {peer} "
            f"(from {min(ratios):.2f} to {max(ratios):.2f}), to be faster: {met}"
        )


if __name__ == "__main__":
    main()
