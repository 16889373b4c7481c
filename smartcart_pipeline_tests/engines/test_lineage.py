"""Column lineage follows every form of SQL that the verbs become, and says of the real tables what is true of them."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.lineage import Columns, merge_sources, trace_columns, trace_tables
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading_duckdb import read_export
from smartcart_pipeline.segmentation import (
    cleaning,
    clustering,
    components,
    features,
    hysteresis,
    personas,
    profiling,
    scaling,
)
from smartcart_pipeline.segmentation.model import SegmentModel, assign_model
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline_tests.declared import AMOUNTS, BEHAVIOURAL, TABLES

SCHEMAS = {"t": ("a", "b", "c"), "u": ("a", "d")}
RECIPE = BEHAVIOURAL.recipe


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("SELECT a AS x FROM t", {"x": ["t.a"]}, id="renamed"),
        pytest.param("SELECT a FROM t AS other", {"a": ["t.a"]}, id="renamed table"),
        pytest.param("SELECT a + b * 2 AS x, c FROM t", {"x": ["t.a", "t.b"], "c": ["t.c"]}, id="expression"),
        pytest.param("SELECT CASE WHEN a > 0 THEN b END AS x FROM t", {"x": ["t.a", "t.b"]}, id="case"),
        pytest.param("SELECT 1 AS x FROM t", {"x": []}, id="constant"),
        pytest.param("SELECT a FROM t WHERE b > 0", {"a": ["t.a"]}, id="filter is no source"),
        pytest.param("SELECT max(a) AS x FROM t GROUP BY b", {"x": ["t.a"]}, id="aggregate"),
        pytest.param(
            "SELECT sum(a) OVER (PARTITION BY b ORDER BY c) AS x FROM t", {"x": ["t.a", "t.b", "t.c"]}, id="window"
        ),
        pytest.param("SELECT * FROM t", {"a": ["t.a"], "b": ["t.b"], "c": ["t.c"]}, id="star"),
        pytest.param("SELECT * EXCLUDE (b) FROM t", {"a": ["t.a"], "c": ["t.c"]}, id="star with exclusion"),
        pytest.param(
            "WITH first AS (SELECT a + b AS x FROM t), second AS (SELECT x * x AS y FROM first) SELECT y FROM second",
            {"y": ["t.a", "t.b"]},
            id="common table expressions",
        ),
        pytest.param(
            "WITH t AS (SELECT d AS a FROM u) SELECT a FROM t", {"a": ["u.d"]}, id="expression that hides a table"
        ),
        pytest.param("SELECT x FROM (SELECT a - c AS x FROM t) AS inner_t", {"x": ["t.a", "t.c"]}, id="subquery"),
        pytest.param(
            "SELECT t.b, u.d FROM t JOIN u ON t.a = u.a", {"b": ["t.b"], "d": ["u.d"]}, id="join key is no source"
        ),
        pytest.param("SELECT b, d FROM t LEFT JOIN u USING (a)", {"b": ["t.b"], "d": ["u.d"]}, id="unqualified join"),
        pytest.param(
            "SELECT l.b + r.b AS x FROM t AS l, t AS r WHERE l.a = r.c", {"x": ["t.b"]}, id="table joined to itself"
        ),
        pytest.param("SELECT a FROM t UNION ALL SELECT d FROM u", {"a": ["t.a", "u.d"]}, id="union"),
        pytest.param(
            "SELECT x FROM (SELECT a AS x FROM t UNION SELECT d FROM u UNION SELECT c FROM t) AS both",
            {"x": ["t.a", "t.c", "u.d"]},
            id="union of three in a subquery",
        ),
        pytest.param(
            "SELECT a - (SELECT min(d) FROM u) AS x FROM t", {"x": ["t.a", "u.d"]}, id="subquery in an expression"
        ),
        pytest.param(
            "SELECT a - (SELECT min(a) FROM u) AS x FROM t",
            {"x": ["t.a", "u.a"]},
            id="subquery in an expression, of a column with the same name",
        ),
        pytest.param(
            "SELECT (SELECT min(y) FROM (SELECT d AS y FROM u) AS inner_u) AS x FROM t",
            {"x": ["u.d"]},
            id="subquery in a subquery in an expression",
        ),
        pytest.param(
            "SELECT (SELECT max(u.d) + t.b FROM u WHERE u.a = t.a) AS x FROM t",
            {"x": ["t.b", "u.d"]},
            id="subquery in an expression that sees the table around it",
        ),
        pytest.param("SELECT a, z FROM t, (SELECT 1 AS z) AS one", {"a": ["t.a"], "z": []}, id="beside a constant"),
        pytest.param("SELECT x FROM read_csv('x.csv') AS r(x)", {"x": []}, id="file that is no table"),
    ],
)
def test_every_column_is_traced_to_what_its_values_come_from(query: str, expected: dict[str, list[str]]) -> None:
    traced = trace_columns(query, SCHEMAS)
    assert {name: [".".join(source) for source in sources] for name, sources in traced.items()} == expected
    assert list(traced) == list(expected)


def test_a_query_reads_the_tables_that_it_names_and_none_that_it_makes_itself() -> None:
    query = "WITH few AS (SELECT a FROM t), unread AS (SELECT 1) SELECT few.a FROM few JOIN u ON u.a = few.a"
    assert trace_tables(query) == ["t", "u"]


def test_a_fit_has_seen_all_sources_of_all_its_queries() -> None:
    traces: list[Columns] = [{"x": [("t", "b"), ("t", "a")], "y": []}, {"z": [("u", "d"), ("t", "a")]}]
    assert merge_sources(traces) == [("t", "a"), ("t", "b"), ("u", "d")]


@pytest.fixture(scope="module")
def real_lineage(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Columns]:
    """Lineage of each table, as the lake tells it of frames made by the verbs from the shipped sample."""
    engine = DuckDBEngine()
    lake = Lake(tmp_path_factory.mktemp("lake"), "run", engine, BEHAVIOURAL)
    traced = {}

    def keep(name: str, content: object) -> object:
        traced[name] = lake.write(name, content).lineage  # type: ignore[arg-type]
        return lake.read(name)

    sample = Path(__file__).parents[2] / "data" / "smartcart_customers.csv"
    raw = keep("raw_customers", read_export(engine, inspect_export(sample, BEHAVIOURAL.contract))[0])
    contract = BEHAVIOURAL.contract
    judged = cleaning.judge_customers(raw, cleaning.find_repeats(raw, contract), contract)
    as_of, medians = date(2014, 6, 29), {"income": 50_000.0}
    cleaned = keep("cleaned", cleaning.clean_customers(judged, as_of, medians, BEHAVIOURAL).sort("customer_id"))
    keep("rejected_customers", cleaning.reject_customers(judged, as_of, BEHAVIOURAL).sort("line_number"))
    described = keep("features", features.describe_customers(cleaned, BEHAVIOURAL))
    encoded = scaling.encode_features(described, RECIPE)
    seen = engine.sum_moments(encoded, RECIPE.names)
    scaler = scaling.fit_scaler(seen)
    scaled = keep("scaled", scaling.standardise(encoded, scaler))
    keep("scaler", Fitted(scaler.rows(), [encoded.select(*RECIPE.names)]))
    rows = scaling.correlation_rows(scaling.correlate(seen), RECIPE.names)
    correlations = keep("correlations", Fitted(rows, [encoded.select(*RECIPE.names)]))
    fitted = components.fit_components(scaling.correlate(seen), RECIPE.names)
    keep("pca_components", components.project(scaled, fitted))
    keep("loadings", Fitted(fitted.rows(), [correlations.select("correlation")]))
    centres = np.array([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]])
    in_force = SegmentModel(BEHAVIOURAL, as_of, medians, scaler, fitted, centres, ("S01", "S02"), ("one", "other"))
    placed = assign_model(described, in_force).with_columns(agglomerative_cluster="kmeans_cluster")
    placed = hysteresis.settle_segments(placed, None, in_force.segment_ids, hysteresis.Hysteresis())
    clusters = keep("clusters", placed.select(*TABLES["clusters"].names).sort("customer_id"))
    centroids = clustering.centroid_rows(centres, ("S01", "S02"))
    members = profiling.join_members(clusters, described, centroids, RECIPE)
    counts = engine.count_values(members, "kmeans_cluster", RECIPE.counted)
    profiles = profiling.profile_segments(counts, centroids, RECIPE)
    base = profiling.summarise_customers(profiling.merge_counts(counts), RECIPE)
    keep(
        "profiles",
        Fitted(
            personas.name_segments(profiles, base, dict.fromkeys(RECIPE.names, 1.0), RECIPE),
            [profiling.name_sources(members, RECIPE)],
        ),
    )
    engine.close()
    return traced


def sources(table: str, *columns: str) -> set[tuple[str, str]]:
    return {(table, column) for column in columns}


SCALED = sources("scaled", *RECIPE.names)
FEATURES = sources("features", *{feature.source for feature in RECIPE.encoded})


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("cleaned.customer_id", sources("raw_customers", "customer_id")),
        ("cleaned.income", sources("raw_customers", "income")),
        ("cleaned.income_imputed", sources("raw_customers", "income")),
        ("cleaned.as_of_date", set()),
        ("rejected_customers.line_number", sources("raw_customers", "line_number")),
        ("features.total_spending", sources("cleaned", *AMOUNTS)),
        ("features.age", sources("cleaned", "year_birth", "as_of_date")),
        ("features.customer_tenure_days", sources("cleaned", "dt_customer", "as_of_date")),
        ("features.total_children", sources("cleaned", "kidhome", "teenhome")),
        ("features.living_with", sources("cleaned", "marital_status")),
        ("features.education", sources("cleaned", "education")),
        ("features.income", sources("cleaned", "income")),
        ("scaled.total_spending", sources("features", "total_spending")),
        ("scaled.education_graduate", sources("features", "education")),
        ("scaler.mean", sources("features", *{feature.source for feature in RECIPE.encoded})),
        ("pca_components.pc1", SCALED),
        ("pca_components.pc3", SCALED),
        ("correlations.correlation", sources("features", *{feature.source for feature in RECIPE.encoded})),
        ("loadings.loading", sources("correlations", "correlation")),
        ("clusters.customer_id", sources("features", "customer_id")),
        ("clusters.segment_id", FEATURES),
        ("clusters.distance", FEATURES),
        ("profiles.segment_id", sources("clusters", "segment_id")),
        ("profiles.mean_income", sources("features", "income")),
        ("profiles.share_living_with_partner", sources("features", "living_with")),
        ("profiles.response_rate", sources("features", "response")),
    ],
)
def test_lineage_of_the_real_tables_is_exact(
    real_lineage: dict[str, Columns], column: str, expected: set[tuple[str, str]]
) -> None:
    table, name = column.split(".")
    assert set(real_lineage[table][name]) == expected


def test_a_persona_comes_from_everything_its_profile_does(real_lineage: dict[str, Columns]) -> None:
    profiles = real_lineage["profiles"]
    assert set(profiles["persona"]) == {source for name, found in profiles.items() for source in found}
    assert ("features", "income") in profiles["persona"]


@pytest.mark.parametrize("table", ["raw_customers", "cleaned", "features", "scaled", "pca_components", "clusters"])
def test_every_column_that_is_written_has_a_lineage(real_lineage: dict[str, Columns], table: str) -> None:
    assert tuple(real_lineage[table]) == TABLES[table].names


def test_raw_customers_come_from_the_export_alone(real_lineage: dict[str, Columns]) -> None:
    assert set(map(tuple, real_lineage["raw_customers"].values())) == {()}
