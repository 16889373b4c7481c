"""The code location is what it is meant to be: its assets, what each depends on and says of itself, and its wiring."""

import importlib.util
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
import yaml

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.orchestration.assets import (
    audiences,
    campaigns,
    contest,
    history,
    ingest,
    model,
    prepare,
    publish,
    report,
    segments,
    source_version,
)
from smartcart_pipeline.orchestration.checks import checks_of
from smartcart_pipeline.orchestration.definitions import build_defs, defs
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.declared import TABLES

REPOSITORY = Path(__file__).parents[2]

PROMOTED_FROM = {
    "cleaning_figures",
    "features",
    "scaler",
    "loadings",
    "pca_components",
    "sampled_customers",
    "k_selection",
}
CLUSTERED_FROM = {
    "cleaning_figures",
    "contested_models",
    "fitted_centroids",
    "features",
    "sampled_customers",
    "scaler",
    "loadings",
}
MIGRATED_FROM = {
    "cleaning_figures",
    "contested_models",
    "promotion_decisions",
    "clusters",
    "profiles",
    "segment_membership",
    "segment_moves",
}
PROFILED_FROM = {
    "centroids",
    "cleaned",
    "cleaning_figures",
    "clusters",
    "contested_models",
    "features",
    "plotted_customers",
    "sampled_customers",
}
CHOSEN_FROM = {"cleaned", "cleaning_figures", "clusters", "features", "profiles", "segment_membership"}
MEASURED_FROM = {"audience_stays", "audiences", "deliveries"}
ILLUSTRATED_FROM = {"clusters", "centroids", "sampled_customers", "cleaned"}

# Each asset: its group, and the assets it depends on.
ASSETS: dict[str, tuple[str, set[str]]] = {
    "declared_columns": ("ingest", set()),
    "declared_features": ("ingest", set()),
    "raw_customers": ("ingest", {"declared_columns", "declared_features"}),
    "cleaned": ("prepare", {"raw_customers"}),
    "rejected_customers": ("prepare", {"raw_customers"}),
    "cleaning_figures": ("prepare", {"raw_customers"}),
    "features": ("prepare", {"cleaned"}),
    "scaled": ("prepare", {"features", "cleaning_figures"}),
    "scaler": ("prepare_internals", {"features", "cleaning_figures"}),
    "correlations": ("prepare_internals", {"features", "cleaning_figures"}),
    "pca_components": ("model", {"scaled", "correlations"}),
    "loadings": ("model_internals", {"scaled", "correlations"}),
    "sampled_customers": ("model_internals", {"features", "pca_components", "scaler"}),
    "k_selection": ("model", {"features", "pca_components", "scaler"}),
    "contested_models": ("model_internals", PROMOTED_FROM),
    "fitted_centroids": ("model_internals", PROMOTED_FROM),
    "promotion_decisions": ("model", PROMOTED_FROM),
    "feature_drift": ("model", PROMOTED_FROM),
    "segment_events": ("model", PROMOTED_FROM),
    "clusters": ("segments", CLUSTERED_FROM),
    "centroids": ("segments", CLUSTERED_FROM),
    "algorithm_comparison": ("segments", CLUSTERED_FROM),
    "plotted_customers": ("segments", ILLUSTRATED_FROM),
    "category_spending": ("segments", ILLUSTRATED_FROM),
    "profiles": ("segments", PROFILED_FROM),
    "segment_drivers": ("segments", PROFILED_FROM),
    "segment_pairs": ("segments", PROFILED_FROM),
    "sensitive_association": ("segments", PROFILED_FROM),
    "structure": ("segments", PROFILED_FROM),
    "segment_recovery": ("segments", PROFILED_FROM),
    "segment_membership": ("history", {"cleaning_figures", "contested_models", "clusters"}),
    "segment_moves": ("history", {"features", "contested_models", "clusters"}),
    "segment_migration": ("history", MIGRATED_FROM),
    "nights": ("history", MIGRATED_FROM),
    "segment_days": ("history", MIGRATED_FROM),
    "segment_model": ("segments", {"cleaning_figures", "contested_models", "profiles"}),
    "segment_rules": ("segments", {"features", "sampled_customers", "segment_model"}),
    "audiences": ("audiences", CHOSEN_FROM),
    "audience_segments": ("audiences", CHOSEN_FROM),
    "audience_overlaps": ("audiences", CHOSEN_FROM),
    "audience_stays": ("audiences", CHOSEN_FROM),
    "audience_changes": ("audiences", CHOSEN_FROM),
    "deliveries": ("audiences", CHOSEN_FROM),
    "outcomes": ("audiences", MEASURED_FROM),
    "rejected_outcomes": ("audiences", MEASURED_FROM),
    "campaign_results": ("audiences", MEASURED_FROM),
    "warehouse": ("publish", set(publish.LAST)),
    "audience_lists": ("audiences", {"warehouse"}),
    "report": ("publish", {"warehouse"}),
}

TOLD_BY = ("reading", "wording", "changes", "charts", "contents", "drawing", "first_screen", "made", "outcomes")

# The steps that make the tables.
STEPS = {
    "declared_columns_and_declared_features",
    "raw_customers",
    "cleaned_and_2_more",
    "features",
    "scaled_and_2_more",
    "pca_components_and_loadings",
    "k_selection_and_sampled_customers",
    "promotion_decisions_and_4_more",
    "clusters_and_2_more",
    "category_spending_and_plotted_customers",
    "profiles_and_5_more",
    "segment_membership",
    "segment_moves",
    "segment_migration_and_2_more",
    "segment_model",
    "segment_rules",
    "audiences_and_5_more",
    "campaign_results_and_2_more",
}
# What is made of the publication: no tables.
PUBLISHED = {"warehouse": {"duckdb"}, "audience_lists": {"csv"}, "report": {"html"}}
SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_definitions_load_with_exactly_the_declared_assets() -> None:
    dg.Definitions.validate_loadable(defs)
    assert set(SPECS) == set(ASSETS)


def test_every_table_of_the_lake_is_an_asset_and_every_other_asset_is_published() -> None:
    assert set(ASSETS) == {*TABLES, *PUBLISHED}


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_depends_on_exactly_what_it_reads(name: str) -> None:
    assert {dependency.asset_key.to_user_string() for dependency in SPECS[name].deps} == ASSETS[name][1]


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_says_who_it_is(name: str) -> None:
    spec = SPECS[name]
    assert spec.group_name == ASSETS[name][0]
    assert spec.owners == ["team:data-engineering"]
    assert spec.kinds == PUBLISHED.get(name, {"python", "duckdb", "parquet"})
    assert spec.code_version
    assert spec.description
    if name in TABLES:
        assert spec.description == f"{TABLES[name].description} One row is {TABLES[name].grain}."


def test_profiles_alone_must_be_fresh_every_night() -> None:
    [(name, policy)] = [(name, spec.freshness_policy) for name, spec in SPECS.items() if spec.freshness_policy]
    assert name == "profiles"
    assert policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=30), warn_window=timedelta(hours=26))


def test_every_table_has_a_blocking_schema_check_and_all_checks_are_there() -> None:
    graph = defs.resolve_asset_graph()
    found = {
        (key.asset_key.to_user_string(), key.name): graph.get_check_spec(key).blocking for key in graph.asset_check_keys
    }
    assert found == {(check.table, check.name): check.blocking for check in checks_of(tuple(TABLES))}
    assert {table for (table, name), blocking in found.items() if name == "schema" and blocking} == set(TABLES)


def test_no_table_is_read_and_nothing_published_before_its_blocking_checks_passed() -> None:
    """The step that makes a table judges it; where a blocking check fails, so does the step, and nothing reads it."""
    judged_by = {
        (key.asset_key.to_user_string(), key.name): made.op.name
        for made in defs.assets or ()
        for key in made.check_keys  # type: ignore[union-attr]
    }
    made_by = {
        key.to_user_string(): made.op.name
        for made in defs.assets or ()
        for key in made.keys  # type: ignore[union-attr]
    }
    assert judged_by == {(check.table, check.name): made_by[check.table] for check in checks_of(tuple(TABLES))}
    assert {made_by[name] for name in TABLES} == STEPS


def test_whatever_stops_keeps_the_publication_from_starting() -> None:
    """Every step leads to one that the publication waits for, though it waits for the last ones only."""
    made_by = {key: made.op.name for made in defs.assets or () for key in made.keys}  # type: ignore[union-attr]
    reads: dict[str, set[str]] = {}
    for made in defs.assets or ():
        deps = {dep.asset_key for spec in made.specs for dep in spec.deps}  # type: ignore[union-attr]
        reads.setdefault(made.op.name, set()).update(made_by[key] for key in deps)  # type: ignore[union-attr]
    before, found = {"warehouse"}, {"warehouse"}
    while before := {step for later in before for step in reads[later]} - found:
        found |= before
    assert found == {*STEPS, "warehouse"}


def evaluated(table: str, *, passed: bool = True, severity: str = "ERROR") -> list[dg.AssetCheckEvaluation]:
    """What the checks of a table have found."""
    return [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(check.table),
            check_name=check.name,
            passed=passed,
            metadata={},
            severity=dg.AssetCheckSeverity[severity],
            description="12 customers are in no segment",
            blocking=check.blocking,
        )
        for check in checks_of((table,))
    ]


def test_nothing_is_published_that_a_check_has_stopped_or_never_seen() -> None:
    publish.require_passed([*evaluated("profiles"), *evaluated("clusters")], ["profiles"])
    publish.require_passed(evaluated("profiles", passed=False, severity="WARN"), ["profiles"])
    with pytest.raises(dg.Failure, match="profiles, schema: 12 customers are in no segment"):
        publish.require_passed(evaluated("profiles", passed=False), [])
    # A step that fails after it has written a table judges none.
    with pytest.raises(dg.Failure, match="segment_drivers, schema: its step failed before it was judged"):
        publish.require_passed(evaluated("profiles"), ["profiles", "segment_drivers"])


def test_one_job_runs_everything_in_one_process() -> None:
    jobs = {job.name: job for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}
    assert set(jobs) == {"nightly_refresh"}
    assert {key.to_user_string() for key in jobs["nightly_refresh"].asset_layer.selected_asset_keys} == set(ASSETS)
    steps = {node.name for node in jobs["nightly_refresh"].nodes}
    assert steps == {*STEPS, *PUBLISHED}
    assert jobs["nightly_refresh"].executor_def is dg.in_process_executor
    assert defs.executor is dg.in_process_executor


def test_schedule_and_sensors_are_on_from_the_start() -> None:
    repository = defs.get_repository_def()
    [schedule] = repository.schedule_defs
    assert (schedule.name, schedule.job_name) == ("nightly", "nightly_refresh")
    assert schedule.cron_schedule == "0 2 * * *"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    assert sensors.keys() == {"new_export", "refused_export", "notifications"}
    assert {sensor.default_status for sensor in sensors.values()} == {dg.DefaultSensorStatus.RUNNING}
    assert [target.job_name for target in sensors["new_export"].targets] == ["nightly_refresh"]


def test_resources_are_wired_and_can_be_swapped(home: Home, engine: DuckDBEngine) -> None:
    assert set(build_defs(home).resources or {}) == {
        "home",
        "settings",
        "declaration",
        "engine",
        "lake",
        "io_manager",
    }
    swapped = build_defs(home, engine=engine)
    assert (swapped.resources or {})["engine"] is engine
    assert (swapped.resources or {})["home"] == home
    dg.Definitions.validate_loadable(swapped)


def test_the_settings_of_a_run_are_documented_with_their_defaults() -> None:
    [resources] = [
        field
        for name, field in defs.resolve_job_def("nightly_refresh").run_config_schema.config_type.fields.items()  # type: ignore[union-attr]
        if name == "resources"
    ]
    fields: dict[str, Any] = resources.config_type.fields["settings"].config_type.fields["config"].config_type.fields
    assert {name: field.default_value for name, field in fields.items()} == {
        "input": None,
        "as_of": None,
        "recipe": None,
        "max_rejected_share": 0.05,
        "seed": 42,
        "sample_customers": 10_000,
        "ward_customers": 3_000,
        "comparison_customers": 3_000,
        "refit": "auto",
        "min_drifted_features": 0.25,
        "min_silhouette_gain": 0.02,
        "min_unexplained_customers": 0.03,
        "min_stability": 0.9,
        "max_silhouette_loss": 0.02,
        "min_segment_share": 0.02,
        "max_relabelled_customers": 0.05,
        "require_structure": "constructed",
        "segments": None,
        "max_sensitive_association": 0.3,
        "block_sensitive": False,
        "band": 0.25,
        "band_nights": 7,
        "copied_rows": 500_000,
        "kept_publications": 7,
        "kept_records": 90,
        "wait_seconds": 3_600,
    }
    assert all(field.description for field in fields.values())


# Code versions


def load(path: Path, source: str) -> ModuleType:
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_code_version_is_of_the_source_of_all_modules(tmp_path: Path) -> None:
    verb = load(tmp_path / "verb.py", "def double(x):\n    return 2 * x\n")
    same = load(tmp_path / "same.py", "def double(x):\n    return 2 * x\n")
    changed = load(tmp_path / "changed.py", "def double(x):\n    return x + x\n")
    versions = [source_version(*modules) for modules in ([verb], [same], [changed], [verb, changed])]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3
    assert all(len(version) == 12 for version in versions)


@pytest.mark.parametrize(
    ("name", "module", "verbs"),
    [
        (
            "raw_customers",
            ingest,
            [
                *("as_of", "contract", "csv_text", "dates", "header", "ids", "inspecting", "matching", "numerals"),
                *("reading_duckdb", "transcoding"),
            ],
        ),
        ("cleaned", prepare, ["as_of", "contract", "cleaning"]),
        ("features", prepare, ["contract", "feature_verbs"]),
        ("scaled", prepare, ["recipes", "scaling"]),
        ("pca_components", model, ["components"]),
        ("sampled_customers", model, ["sampling"]),
        ("k_selection", model, ["sampling", "selection", "noise"]),
        ("clusters", segments, ["sampling", "clustering", "comparison", "hysteresis", "model"]),
        ("segment_membership", history, ["stays"]),
        ("promotion_decisions", contest, ["contest", "clustering", "drift", "identity", "gate"]),
        ("profiles", segments, ["profiling", "personas"]),
        ("segment_drivers", segments, ["profiling", "drivers"]),
        ("sensitive_association", segments, ["profiling", "drivers", "sensitive"]),
        ("structure", segments, ["noise", "selection", "structure"]),
        ("plotted_customers", segments, ["sampling"]),
        ("category_spending", segments, ["spending"]),
        ("audiences", audiences, ["choosing", "conditions", "counting", "groups", "people", "reading"]),
        ("campaign_results", campaigns, ["results", "evidence"]),
        ("audience_lists", audiences, ["deliveries", "opening"]),
        ("warehouse", publish, ["publications", "building", "provenance", "tables", "views", "macros"]),
        ("report", report, [*TOLD_BY, "rendering", "results", "scatter", "segment", "sensitive"]),
    ],
)
def test_code_version_of_an_asset_is_that_of_the_verbs_it_calls(
    name: str, module: ModuleType, verbs: list[str]
) -> None:
    assert SPECS[name].code_version == source_version(*(getattr(module, verb) for verb in verbs))


# Files that Dagster reads


def test_the_workspace_names_a_module_that_holds_the_definitions(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", REPOSITORY / "workspace.yaml"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "smartcart_pipeline.definitions" in found.stderr + found.stdout
    assert "All code locations passed validation" in found.stderr + found.stdout


def test_dagster_yaml_is_valid_and_says_what_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (REPOSITORY / "dagster.yaml").read_text(encoding="utf-8")
    (tmp_path / "dagster.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 2
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert instance.run_monitoring_enabled
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1  # type: ignore[union-attr]
    assert yaml.safe_load(text)["retention"]["schedule"] == {"purge_after_days": 90}
