"""What is set is what is used, and a fault is told as whose it is."""

import errno
import os
from dataclasses import replace
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from smartcart_pipeline.declaration.declaration import RECIPE_FILE, SHIPPED, Declaration
from smartcart_pipeline.declaration.errors import CallError, ExportError, FaultError, HomeError
from smartcart_pipeline.orchestration.definitions import build_defs
from smartcart_pipeline.orchestration.faults import AT_FAULT, naming_the_fault
from smartcart_pipeline.orchestration.resources import declaration
from smartcart_pipeline.orchestration.settings import Settings, read_home
from smartcart_pipeline.segmentation.gate import Gate
from smartcart_pipeline.segmentation.hysteresis import Hysteresis
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.declared import BEHAVIOURAL, REFERENCE

# A value of its own for everything that a home may set, none of them the default.
OWN: dict[str, Any] = {
    "as_of": "delivered",
    "recipe": "reference",
    "max_rejected_share": 0.5,
    "seed": 43,
    "sample_customers": 9_000,
    "ward_customers": 2_000,
    "comparison_customers": 2_500,
    "refit": "never",
    "min_drifted_features": 0.31,
    "min_silhouette_gain": 0.32,
    "min_unexplained_customers": 0.33,
    "min_stability": 0.34,
    "max_silhouette_loss": 0.35,
    "min_segment_share": 0.36,
    "max_relabelled_customers": 0.37,
    "require_structure": "reproducible",
    "segments": 5,
    "max_sensitive_association": 0.38,
    "block_sensitive": True,
    "band": 0.75,
    "band_nights": 3,
    "copied_rows": 1_000,
    "kept_publications": 5,
    "kept_records": 50,
    "wait_seconds": 60,
}


def test_every_setting_reaches_what_it_is_for():
    settings = Settings(**OWN)
    assert settings.gate == Gate(
        refit="never",
        drifted_features=0.31,
        silhouette_gain=0.32,
        unexplained_customers=0.33,
        stability=0.34,
        silhouette_loss=0.35,
        segment_share=0.36,
        relabelled_customers=0.37,
        structure="reproducible",
    )
    assert settings.hysteresis == Hysteresis(band=0.75, nights=3)


def declared(home: Home, settings: Settings) -> Declaration:
    """What a run goes by."""
    with dg.build_init_resource_context(resources={"home": home, "settings": settings}) as context:
        found: Declaration = declaration(context)
    return found


def maxima(found: Declaration) -> dict[str, float]:
    return {limit.on: limit.maximum for limit in found.recipe.limits if limit.maximum is not None}


def test_the_recipe_that_is_set_is_what_a_run_goes_by(home: Home):
    found = declared(home, Settings(recipe="reference"))
    assert found == REFERENCE
    assert found.digest == REFERENCE.digest
    assert declared(home, Settings()) == BEHAVIOURAL


def test_the_number_of_segments_that_is_set_stands_in_the_place_of_the_recipes(home: Home):
    found = declared(home, Settings(**OWN))
    assert found == replace(REFERENCE, recipe=replace(REFERENCE.recipe, segments=5))
    # What is kept of a night says so, too.
    assert found.recipe.source["segments"] == 5
    assert found.digest != REFERENCE.digest


def test_the_limits_of_a_homes_own_recipe_are_what_its_runs_go_by(home: Home):
    assert maxima(declared(home, Settings())) == {"age": 90, "income": 600_000}
    shipped = (SHIPPED / "behavioural.yaml").read_text()
    assert (shipped.count("maximum: 90\n"), shipped.count("maximum: 600000\n")) == (1, 1)
    home.root.mkdir()
    own = shipped.replace("maximum: 90\n", "maximum: 80\n").replace("maximum: 600000\n", "maximum: 500000\n")
    (home.root / RECIPE_FILE).write_text(own)
    assert maxima(declared(home, Settings())) == {"age": 80, "income": 500_000}
    # What is asked for by name is had all the same.
    assert maxima(declared(home, Settings(recipe="behavioural"))) == {"age": 90, "income": 600_000}


def test_what_is_not_set_is_as_the_gate_has_it():
    assert Settings().gate == Gate()
    assert Settings().hysteresis == Hysteresis()


def test_what_a_home_sets_is_the_default_of_its_runs(home: Home):
    default = Settings()
    assert set(OWN) | {"input"} == set(Settings.model_fields)
    assert [name for name, value in OWN.items() if value == getattr(default, name)] == []
    home.root.mkdir()
    home.settings.write_text(yaml.safe_dump({"settings": OWN}))
    assert read_home(home)["settings"] == OWN
    schema: Any = build_defs(home).resolve_job_def("nightly_refresh").run_config_schema
    resources = schema.config_type.fields["resources"].config_type.fields
    fields = resources["settings"].config_type.fields["config"].config_type.fields
    # Dagster takes no other default for a choice. Runs that a command, the schedule or a sensor starts name it.
    choices = {"refit", "require_structure"}
    shown = {name: field.default_value for name, field in fields.items() if name not in {"input", *choices}}
    assert shown == {name: value for name, value in OWN.items() if name not in choices}


@pytest.mark.parametrize(
    ("setting", "good", "bad"),
    [
        ("max_rejected_share", 1, 1.01),
        ("sample_customers", 100, 99),
        ("ward_customers", 100, 99),
        ("comparison_customers", 100, 99),
        ("min_drifted_features", 1, 1.01),
        ("min_silhouette_gain", 0, -0.01),
        ("min_unexplained_customers", 1, 1.01),
        ("min_stability", 1, 1.01),
        ("max_silhouette_loss", 0, -0.01),
        ("min_segment_share", 1, 1.01),
        ("max_relabelled_customers", 1, 1.01),
        ("segments", 2, 1),
        ("segments", 20, 21),
        ("max_sensitive_association", 1, 1.01),
        ("band", 0, -0.01),
        ("band_nights", 120, 121),
        ("band_nights", 1, 0),
        ("copied_rows", 0, -1),
        ("kept_publications", 1, 0),
        ("kept_records", 1, 0),
        ("wait_seconds", 0, -1),
    ],
)
def test_a_setting_is_taken_up_to_its_limit(home: Home, setting: str, good: float, bad: float):
    home.root.mkdir()
    home.settings.write_text(yaml.safe_dump({"settings": {setting: good}}))
    assert read_home(home)["settings"] == {setting: good}
    home.settings.write_text(yaml.safe_dump({"settings": {setting: bad}}))
    with pytest.raises(HomeError, match=rf"settings\.yaml: {setting} is {bad}: .*\. Correct the file\."):
        read_home(home)


@pytest.mark.parametrize("kind", [ExportError, CallError, HomeError])
def test_a_fault_ends_a_run_with_its_message_and_whose_it_is(kind: type[FaultError]):
    with pytest.raises(dg.Failure) as failed, naming_the_fault():
        raise kind("what was wrong")
    assert (failed.value.description, failed.value.allow_retries) == ("what was wrong", False)
    assert failed.value.metadata[AT_FAULT].value == kind.whose


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_what_a_disk_says_is_the_homes_fault(number: int):
    told = os.strerror(number)
    for error in (OSError(number, told), duckdb.IOException(f"Could not write: {told}")):
        with (
            pytest.raises(dg.Failure, match=r"The home cannot be written \(.*\)\. Make room") as failed,
            naming_the_fault(),
        ):
            raise error
        assert failed.value.metadata[AT_FAULT].value == HomeError.whose


def test_an_error_of_the_pipeline_is_not_hidden():
    with pytest.raises(FileNotFoundError), naming_the_fault():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with pytest.raises(ZeroDivisionError), naming_the_fault():
        raise ZeroDivisionError
    with pytest.raises(dg.Failure, match="DuckDB: ") as failed, naming_the_fault():
        duckdb.sql("SELECT nothing")
    assert AT_FAULT not in failed.value.metadata
