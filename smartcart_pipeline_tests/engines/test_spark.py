"""The same answers from Spark, on a real cluster of a master and two workers, although one of them dies."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from smartcart_pipeline.declaration.declaration import read_declaration
from smartcart_pipeline.declaration.tables import RECORDS
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading import read_export
from smartcart_pipeline.orchestration.night import open_records
from smartcart_pipeline.orchestration.replay import replay_history
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.smartcart.sample import write_sample
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.conftest import REAL, SAMPLE
from smartcart_pipeline_tests.declared import BEHAVIOURAL, TABLES
from smartcart_pipeline_tests.declaring import draft
from smartcart_pipeline_tests.foreign_tables import deliver
from smartcart_pipeline_tests.spark_cluster import Cluster, missing_for_spark, running_cluster

if TYPE_CHECKING:
    from smartcart_pipeline.engines.spark import SparkEngine

LACKING = missing_for_spark()
pytestmark = [pytest.mark.night, pytest.mark.skipif(LACKING is not None, reason=str(LACKING)), pytest.mark.timeout(600)]

# Settings as an administrator makes them: Java that lives a minute is not worth compiling for.
CONF = Path(__file__).with_name("spark_conf")
BRIEFLY = os.environ | {"SPARK_CONF_DIR": str(CONF)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as up:
        yield up


@pytest.fixture(scope="module")
def spark(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SparkEngine]":
    """One session for all tests that ask the engine itself: to begin one takes ten seconds."""
    from smartcart_pipeline.engines.spark import SparkEngine

    engine = SparkEngine(cluster.url, log=tmp_path_factory.mktemp("spark") / "spark.log")
    yield engine
    engine.close()


def command(export: Path, root: Path, cluster: Cluster | None = None, *options: str) -> list[str]:
    """A night's run: on the cluster, or with DuckDB."""
    run = [
        sys.executable,
        "-m",
        "smartcart_pipeline.cli.main",
        "run",
        "--input",
        str(export),
        "--home",
        str(root),
        "--json",
    ]
    run += options
    return [*run, "--engine", "spark", "--master", cluster.url] if cluster else run


def segment(export: Path, root: Path, cluster: Cluster | None = None, *options: str) -> Home:
    """A night in a process of its own."""
    finished = subprocess.run(
        command(export, root, cluster, *options), check=False, capture_output=True, text=True, env=BRIEFLY
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert json.loads(finished.stdout)["segments"]
    return Home(root)


def read(home: Home, table: str) -> pd.DataFrame:
    """A table of the lake as the newest night wrote it, in the order of its key."""
    path = max((home.lake / table).glob("[0-9]*.parquet"))
    source = path / "*.parquet" if path.is_dir() else path
    keys = ", ".join(TABLES[table].key)
    return duckdb.sql(f"SELECT * FROM read_parquet('{source}') ORDER BY {keys}").df()


def agreement(one: Home, other: Home) -> float:
    """Adjusted Rand index between the segments of two homes; of two that spend alike, either may be the first."""
    from sklearn.metrics import adjusted_rand_score

    segments = [read(home, "clusters")["segment_id"] for home in (one, other)]
    return float(adjusted_rand_score(*segments))


def types(home: Home, table: str) -> list[tuple[str, str]]:
    [path] = (home.lake / table).glob("[0-9]*.parquet")
    source = path / "*.parquet" if path.is_dir() else path
    return [(row[0], str(row[1])) for row in duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{source}')").fetchall()]


@pytest.fixture(scope="module")
def nights(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Home]:
    """Two homes after a night over one export, the real one where it is at hand: DuckDB's and the cluster's.

    Of the cluster's two workers one is killed while features are written: all that is compared has survived that.
    """
    export = REAL if REAL.is_file() else SAMPLE
    root = tmp_path_factory.mktemp("nights")
    local, spark = segment(export, root / "duckdb"), Home(root / "spark")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    run = subprocess.Popen(command(export, spark.root, cluster), env=BRIEFLY, **pipes)
    deadline = time.monotonic() + 300
    while not list((spark.lake / "features").glob(".*.writing")):
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cluster.kill_worker(0)
    _, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors.decode()[-3000:]
    return local, spark


@pytest.mark.parametrize("table", TABLES)
def test_the_lake_has_the_same_columns_of_the_same_types(nights: tuple[Home, Home], table: str):
    local, spark = nights
    assert types(spark, table) == types(local, table)


@pytest.mark.parametrize("table", ["raw_customers", "rejected_customers", "cleaned", "features", "scaled", "scaler"])
def test_what_is_prepared_is_the_same(nights: tuple[Home, Home], table: str):
    local, spark = (read(home, table) for home in nights)
    pd.testing.assert_frame_equal(spark, local, rtol=0, atol=1e-9)


def test_loadings_are_the_same_with_their_signs(nights: tuple[Home, Home]):
    local, spark = (read(home, "loadings") for home in nights)
    pd.testing.assert_frame_equal(spark, local, rtol=0, atol=1e-6)
    correlations = [read(home, "correlations") for home in nights]
    pd.testing.assert_frame_equal(*correlations, rtol=0, atol=1e-9)


def test_k_and_segments_are_the_same(nights: tuple[Home, Home]):
    local, spark = (read(home, "k_selection") for home in nights)
    assert spark["k"][spark["is_selected"]].tolist() == local["k"][local["is_selected"]].tolist() == [4]
    mine, theirs = (read(home, "clusters") for home in nights)
    assert agreement(*nights) >= 0.999
    assert (mine["segment_id"] == theirs["segment_id"]).mean() >= 0.999
    assert (mine["agglomerative_cluster"] == theirs["agglomerative_cluster"]).mean() >= 0.999
    personas = [read(home, "profiles")["persona"].tolist() for home in nights]
    assert personas[0] == personas[1]


def test_the_warehouse_is_published_as_ever(nights: tuple[Home, Home]):
    answers = []
    for home in nights:
        with open_warehouse(home.warehouse) as warehouse:
            found = {row[0] for row in warehouse.sql("SELECT table_name FROM duckdb_tables()").fetchall()}
            assert found == {*TABLES, *RECORDS}
            answers.append(warehouse.sql("SELECT count(*), sum(income) FROM features").fetchall())
    assert answers[0] == answers[1]


def test_a_second_night_knows_the_first(nights: tuple[Home, Home], cluster: Cluster, tmp_path: Path):
    local, spark = (Home(tmp_path / home.root.name) for home in nights)
    for before, home in zip(nights, (local, spark), strict=True):
        shutil.copytree(before.root, home.root)
    export = REAL if REAL.is_file() else SAMPLE
    later = ("--as-of", "2014-07-01")
    segment(export, local.root, None, *later)
    segment(export, spark.root, cluster, *later)

    pd.testing.assert_frame_equal(read(spark, "features"), read(local, "features"), rtol=0, atol=1e-9)
    assert agreement(local, spark) >= 0.999
    for home in (local, spark):
        clusters = read(home, "clusters")
        assert (clusters["previous_segment_id"] == clusters["segment_id"]).all()
        assert read(home, "nights")["model_version"].tolist() == ["v1", "v1"]
        stays = read(home, "segment_membership")
        assert len(stays) == len(clusters)
        assert stays["valid_to"].isna().all()
        (tmp_path / "replay" / home.root.name).mkdir(parents=True)
        played = replay_history(home, tmp_path / "replay" / home.root.name, DuckDBEngine(), Settings().band)
        assert (played.nights, played.other) == (2, ())
    decisions = [read(home, "promotion_decisions") for home in (local, spark)]
    pd.testing.assert_frame_equal(*decisions, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["hotel_guests", "marketplace_sellers"])
def test_another_companys_customers_are_segmented_alike(cluster: Cluster, tmp_path: Path, name: str):
    """A CSV and a Parquet file, with texts for ids, days, categories, outcomes and logarithms."""
    export = deliver(name, tmp_path, 800, seed=7)
    local, spark = homes = (Home(tmp_path / "duckdb"), Home(tmp_path / "spark"))
    for home, where in zip(homes, (None, cluster), strict=True):
        draft(home, export)
        segment(export, home.root, where)
    # What is carried along is a text, and each engine has its own way of writing a number.
    declared = list(read_declaration(local.root).contract.names)
    cleaned = [read(home, "cleaned")[declared] for home in homes]
    pd.testing.assert_frame_equal(*cleaned, rtol=0, atol=1e-9)
    for table in ("features", "scaled"):
        pd.testing.assert_frame_equal(read(spark, table), read(local, table), rtol=0, atol=1e-9)
    mine, theirs = (read(home, "clusters") for home in homes)
    assert (mine["segment_id"] == theirs["segment_id"]).mean() >= 0.999
    assert agreement(*homes) >= 0.999
    personas = [read(home, "profiles")["persona"].tolist() for home in homes]
    assert personas[0] == personas[1]


def dirty(path: Path) -> Path:
    """A typed Parquet file with what a typed file can have wrong."""
    write_sample(path, 500, seed=1)
    table = parquet.read_table(path)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    columns["Income"][:4] = [float("nan"), float("inf"), -1.0, 12.5]
    columns["MntWines"] = [float(value) for value in columns["MntWines"]]
    columns["MntWines"][4:7] = [float("nan"), 3e9, 7.5]
    columns["Kidhome"] = [float(value) for value in columns["Kidhome"]]
    columns["Kidhome"][7:9] = [0.5, 1e9]
    columns["Education"][9:12] = ["  PhD ", "n/a", "Doctor"]
    columns["Education"][15:18] = ["phd", "2N_CYCLE", "#N/A"]
    columns["ID"][12] = columns["ID"][13]
    columns["Recency"][14] = None
    columns["Tier Name"] = list(range(500))
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("synonym", [None, "Einkommen im Jahr"])
def test_a_typed_file_is_read_by_the_executors_as_duckdb_reads_it(
    spark: "SparkEngine", engine: DuckDBEngine, tmp_path: Path, synonym: str | None
):
    path, contract = dirty(tmp_path / "dirty.parquet"), BEHAVIOURAL.contract
    if synonym:
        table = parquet.read_table(path)
        parquet.write_table(table.rename_columns({"Income": synonym}), path)
        columns = (replace(one, synonyms=(synonym,)) if one.name == "income" else one for one in contract.columns)
        contract = replace(contract, columns=tuple(columns))
    export = inspect_export(path, contract)
    expected, dates = read_export(engine, export)
    found, also = read_export(spark, export)
    mine, theirs = (
        one.fetch(frame).sort_by("line_number").to_pydict() for one, frame in ((engine, expected), (spark, found))
    )
    assert dates == also
    told = "Read by sight in Education: '2N_CYCLE' for 2n Cycle, 'phd' for PhD."
    assert also.categories["education"].evidence == told
    assert list(theirs) == list(mine)
    # What cannot be read is told in each engine's own way of writing a number.
    unreadable = [[text is not None for text in frame.pop("unreadable")] for frame in (mine, theirs)]
    assert unreadable[0] == unreadable[1]
    assert any(unreadable[0])
    assert theirs == mine


def test_repeats_and_values_are_counted_alike(spark: "SparkEngine", engine: DuckDBEngine):
    rows = [
        {"cluster": number % 2, "age": number % 5, "education": ["PhD", "Master"][number % 3 == 0], "note": note}
        for number, note in enumerate(["a", None, "a", "b", None, "a", "a"] * 30)
    ]
    answers = []
    for one in (engine, spark):
        frame = one.frame(pa.Table.from_pylist(rows))
        counts = one.count_values(frame, "cluster", ["age", "education"])
        answers.append(
            {
                (cluster_number, column, value): count
                for cluster_number, columns in counts.items()
                for column, (values, numbers) in columns.items()
                for value, count in zip(values.tolist(), numbers.tolist(), strict=True)
            }
            | {"repeats": one.count_repeats(frame, ["cluster", "age", "note"])}
        )
    assert answers[0] == answers[1]


def test_a_fingerprint_is_of_the_customers_and_not_of_their_order(spark: "SparkEngine"):
    rows = [{"customer_id": 2**62 + number, "segment_id": f"S0{number % 3}"} for number in range(50)]
    moved = [*rows[1:], {"customer_id": 2**62, "segment_id": "S01"}]
    kept, turned, other, fewer = (
        {group: spark.fingerprint(spark.frame(each), group) for group in (None, "segment_id")}
        for each in (rows, rows[::-1], moved, rows[1:])
    )
    assert kept == turned
    assert [(row["customers"], int(row["ids"])) for row in kept[None]] == [(50, sum(range(2**62, 2**62 + 50)))]
    assert kept[None] == other[None] != fewer[None]
    assert kept["segment_id"] != other["segment_id"]


def test_lineage_is_the_same(nights: tuple[Home, Home]):
    import dagster as dg

    told = []
    for home in nights:
        with open_records(home) as instance:
            [run] = instance.get_runs(limit=1)
            records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
            events = [record.event_log_entry.get_dagster_event() for record in records.records]
            made = [event.step_materialization_data.materialization for event in events]
            told.append(
                {
                    one.asset_key.to_user_string(): {
                        column: sorted((dep.asset_key.to_user_string(), dep.column_name) for dep in deps)
                        for column, deps in one.metadata["dagster/column_lineage"].value.deps_by_column.items()
                    }
                    for one in made
                    if "dagster/column_lineage" in one.metadata
                }
            )
    assert set(told[0]) == set(TABLES)
    assert told[0] == told[1]
