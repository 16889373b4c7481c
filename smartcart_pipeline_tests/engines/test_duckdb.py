"""What the engine does beyond handing frames around: stream, count, keep to its limits and say how far it is."""

from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pytest

from smartcart_pipeline.declaration.tables import LOADINGS, SCALER, SEGMENT_MEMBERSHIP
from smartcart_pipeline.engines.duckdb import BATCH, BITMAP, DuckDBEngine
from smartcart_pipeline.orchestration.checks import judge_schema
from smartcart_pipeline_tests.declared import TABLES

FEATURES = TABLES["features"]


def numbers(engine: DuckDBEngine, rows: int) -> nw.LazyFrame:
    """So many rows that are made as they are read."""
    return nw.from_native(engine.connection.sql(f"SELECT range AS customer_id, range % 7 AS week FROM range({rows})"))


def test_arrays_are_streamed_in_order_and_in_batches(engine: DuckDBEngine):
    batches = list(engine.arrays(numbers(engine, 2 * BATCH + 5), ["week", "customer_id"]))
    assert [batch.shape for batch in batches] == [(BATCH, 2), (BATCH, 2), (5, 2)]
    together = np.concatenate(batches)
    assert together.dtype == np.float64
    assert together[:, 1].tolist() == list(range(2 * BATCH + 5))


def test_moments_are_those_of_all_batches(engine: DuckDBEngine):
    rows = 2 * BATCH + 5
    moments = engine.sum_moments(numbers(engine, rows), ["customer_id"])
    assert (moments.customers, moments.sums[0]) == (rows, rows * (rows - 1) // 2)


def test_values_are_counted_in_each_group(engine: DuckDBEngine):
    rows = [
        {"cluster": 0, "age": 30, "income": 1.5, "education": "Graduate"},
        {"cluster": 0, "age": 30, "income": 2.5, "education": "Graduate"},
        {"cluster": 1, "age": 40, "income": 1.5, "education": "Graduate"},
    ]
    counts = engine.count_values(engine.frame(pa.Table.from_pylist(rows)), "cluster", ["age", "income", "education"])

    def pairs(cluster: int, column: str) -> dict:
        values, customers = counts[cluster][column]
        return dict(zip(values.tolist(), customers.tolist(), strict=True))

    assert {cluster: {column: pairs(cluster, column) for column in counts[cluster]} for cluster in sorted(counts)} == {
        0: {"age": {30.0: 2}, "income": {1.5: 1, 2.5: 1}, "education": {"Graduate": 2}},
        1: {"age": {40.0: 1}, "income": {1.5: 1}, "education": {"Graduate": 1}},
    }


def test_rows_that_repeat_in_some_columns_are_counted(engine: DuckDBEngine):
    rows = [{"id": 1, "a": 1, "b": "x"}, {"id": 2, "a": 1, "b": "x"}, {"id": 3, "a": 1, "b": None}]
    frame = engine.frame(pa.Table.from_pylist(rows))
    assert engine.count_repeats(frame, ["a", "b"]) == 1
    assert engine.count_repeats(frame, ["a"]) == 2
    assert engine.count_repeats(frame, ["id", "a", "b"]) == 0
    assert engine.count_repeats(frame, ["b"]) == 1


@pytest.mark.parametrize("far", [10, BITMAP - 1, BITMAP, 2**62])
def test_whole_numbers_that_repeat_are_counted_however_far_apart_they_lie(engine: DuckDBEngine, far: int):
    numbers = [7, None, 7 + far, 7, None, 7 + far, 7]
    assert engine.count_repeats(engine.frame(pa.Table.from_pylist([{"id": number} for number in numbers])), ["id"]) == 3


def test_nothing_repeats_among_missing_numbers(engine: DuckDBEngine):
    frame = engine.frame(pa.Table.from_pylist([{"id": 1}, {"id": None}, {"id": None}]))
    assert engine.count_repeats(frame, ["id"]) == 0
    assert engine.count_repeats(frame.filter(nw.col("id").is_null()), ["id"]) == 0


CUSTOMERS = [(1, "S01"), (-5, "S01"), (2**62, "S02"), (2**62 + 1, "S02"), (7, None)]


def fingerprint(engine: DuckDBEngine, customers: list[tuple[int, str | None]], group: str | None) -> Any:
    ids, segments = zip(*customers, strict=True)
    table = pa.table({"customer_id": pa.array(ids, pa.int64()), "segment_id": pa.array(segments, pa.string())})
    return engine.fingerprint(engine.frame(table), group)


@pytest.mark.parametrize("group", [None, "segment_id"])
def test_a_fingerprint_does_not_depend_on_the_order_of_customers(engine: DuckDBEngine, group: str | None):
    found = fingerprint(engine, CUSTOMERS, group)
    assert found == fingerprint(engine, CUSTOMERS[::-1], group)
    assert sum(row["customers"] for row in found) == len(CUSTOMERS)
    assert sum(int(row["ids"]) for row in found) == sum(number for number, _ in CUSTOMERS)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(CUSTOMERS[:-1], id="one is lost"),
        pytest.param([*CUSTOMERS, (8, "S01")], id="one is added"),
        pytest.param([*CUSTOMERS[:-1], CUSTOMERS[0]], id="one is doubled instead of another"),
        pytest.param([(0, "S01"), (-4, "S01"), *CUSTOMERS[2:]], id="the sum is the same"),
        pytest.param([(1, "S01"), (1, "S01"), *CUSTOMERS, (-5, None), (-5, None)], id="two are doubled"),
    ],
)
@pytest.mark.parametrize("group", [None, "segment_id"])
def test_another_set_of_customers_has_another_fingerprint(engine: DuckDBEngine, other: list, group: str | None):
    assert fingerprint(engine, other, group) != fingerprint(engine, CUSTOMERS, group)


def test_customers_in_each_others_segments_have_another_fingerprint(engine: DuckDBEngine):
    swapped = [(2**62, "S01"), *CUSTOMERS[1:2], (1, "S02"), *CUSTOMERS[3:]]
    assert fingerprint(engine, swapped, None) == fingerprint(engine, CUSTOMERS, None)
    assert fingerprint(engine, swapped, "segment_id") != fingerprint(engine, CUSTOMERS, "segment_id")


def test_limits_are_set(tmp_path: Path):
    engine = DuckDBEngine("200MB", tmp_path / "spill")
    [(limit, spill)] = engine.connection.execute(
        "SELECT current_setting('memory_limit'), current_setting('temp_directory')"
    ).fetchall()
    engine.close()
    assert limit.startswith("190.7 MiB")
    assert spill == str(tmp_path / "spill")


def test_what_does_not_fit_into_memory_is_spilled_and_swept(tmp_path: Path):
    engine = DuckDBEngine("100MB", tmp_path / "spill")
    frame = numbers(engine, 20_000_000).sort("week", "customer_id", descending=[False, True])
    largest = 0

    def look(share: float) -> None:
        nonlocal largest
        largest = max(largest, sum(path.stat().st_size for path in (tmp_path / "spill").rglob("*") if path.is_file()))

    numbered = {"mean": "customer_id", "scale": "week", "lower": "week", "upper": "week"}
    columns = frame.select(nw.col("week").cast(nw.String).alias("feature"), **numbered)
    assert engine.write(columns, SCALER, tmp_path / "sorted.parquet", look).rows == 20_000_000
    engine.close()
    assert largest > 10_000_000
    assert not list((tmp_path / "spill").rglob("*"))


def test_a_long_write_says_how_far_it_is(tmp_path: Path, engine: DuckDBEngine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("smartcart_pipeline.engines.duckdb.REPORT_SECONDS", 0.02)
    names = [column for column in FEATURES.names if column not in {"customer_id", "living_with", "education"}]
    table = pa.table({"customer_id": np.arange(4_000_000)})
    frame = engine.frame(table).with_columns(
        *[nw.lit(1).alias(name) for name in names], living_with=nw.lit("Alone"), education=nw.lit("Graduate")
    )
    engine.write(frame, FEATURES, tmp_path / "features.parquet")
    shares: list[float] = []
    stored = engine.scan(tmp_path / "features.parquet", "features")
    assert engine.write(stored, FEATURES, tmp_path / "again.parquet", shares.append).rows == 4_000_000
    assert shares == sorted(shares)
    assert len(shares) >= 2
    assert all(0 < share <= 1 for share in shares)


def test_a_text_that_is_no_category_is_missing_from_the_file_so_that_the_check_finds_it(
    engine: DuckDBEngine, tmp_path: Path
):
    loadings = [
        {"component": component, "feature": "age", "loading": 0.5, "explained_variance_ratio": 0.2}
        for component in ("pc1", "pc2", "pc9")
    ]
    written = engine.write(engine.frame(pa.Table.from_pylist(loadings)), LOADINGS, tmp_path / "loadings.parquet")
    kept = engine.scan(tmp_path / "loadings.parquet", "loadings")
    assert [row["component"] for row in engine.rows(kept)] == ["pc1", "pc2", None]
    assert kept.collect_schema()["component"] == nw.String
    verdict = judge_schema(kept, LOADINGS, engine, written)
    assert not verdict.passed
    assert verdict.description == "1 rows: component is null"


def test_a_fingerprint_tells_ids_apart_whose_sum_and_bits_are_the_same(engine: DuckDBEngine):
    one, other = ([(number, "S01") for number in numbers] for numbers in ((1, 6), (2, 5)))
    assert fingerprint(engine, one, None) != fingerprint(engine, other, None)


def test_a_table_that_grows_keeps_its_order_also_after_a_join(engine: DuckDBEngine, tmp_path: Path):
    rows = 6 * BATCH
    stays = nw.from_native(
        engine.connection.sql(
            "SELECT customer_id, 'S01' AS segment_id, DATE '2014-06-29' AS valid_from, NULL::DATE AS valid_to, "
            f"'v1' AS model_version FROM (SELECT range AS customer_id FROM range({rows}) ORDER BY hash(range))"
        )
    )
    begun = tmp_path / "begun.parquet"
    engine.write(stays, SEGMENT_MEMBERSHIP, begun)
    expected = engine.array(engine.scan(begun, "begun"), ["customer_id"])
    few = nw.from_native(engine.connection.sql(f"SELECT range AS customer_id, true AS leaves FROM range({rows // 10})"))
    for number in range(4):
        path = tmp_path / f"{number}.parquet"
        joined = engine.scan(begun, "begun").join(few, on="customer_id", how="left").drop("leaves")
        assert engine.write(joined, SEGMENT_MEMBERSHIP, path).rows == rows
        assert np.array_equal(engine.array(engine.scan(path, "again"), ["customer_id"]), expected)
