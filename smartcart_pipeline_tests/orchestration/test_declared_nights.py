"""Nights of homes with a contract and a recipe of their own: other ids, other features, and files that are wrong."""

import copy
import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from smartcart_pipeline.declaration.declaration import SHIPPED, read_declaration
from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.orchestration.automation import find_fault, run_config
from smartcart_pipeline.orchestration.definitions import build_defs
from smartcart_pipeline.orchestration.night import open_records, prepare_home, run_job
from smartcart_pipeline.orchestration.replay import replay_history
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import kept_publications
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.conftest import SAMPLE
from smartcart_pipeline_tests.forked import smartcart
from smartcart_pipeline_tests.golden import make_second_export

pytestmark = pytest.mark.night

RECIPE = yaml.safe_load((SHIPPED / "behavioural.yaml").read_text(encoding="utf-8"))


def e_mail(number: str) -> str:
    """An id as companies have them: a text, and no two alike."""
    return f"{hashlib.sha256(number.encode()).hexdigest()[:10]}@shop.example"


def declare(root: Path) -> Home:
    """A home whose customers are known by their addresses, and whose model sees a ratio and a logarithm, too."""
    contract = yaml.safe_load((SHIPPED / "contract.yaml").read_text(encoding="utf-8"))
    key = contract["schema"][0]["properties"][0]
    key |= {"name": "address", "logicalType": "string"}
    del key["physicalType"], key["logicalTypeOptions"]
    recipe = copy.deepcopy(RECIPE)
    recipe["recipe"]["name"] = "ours"
    recipe["features"] |= {
        "spending_per_visit": {"ratio": ["total_spending", "num_web_visits_month"]},
        "log_of_income": {"log": "income"},
    }
    root.mkdir(parents=True, exist_ok=True)
    for name, said in (("contract", contract), ("recipe", recipe)):
        (root / f"{name}.yaml").write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    return Home(root)


def with_addresses(export: Path, path: Path, seed: int | None = None) -> Path:
    """The same export with texts for ids; its rows in another order, if a seed is given."""
    frame = pd.read_csv(export, dtype=str, keep_default_na=False)
    frame["ID"] = frame["ID"].map(e_mail)
    (frame if seed is None else frame.sample(frac=1, random_state=seed)).to_csv(path, index=False)
    return path


def ask(home: Home, query: str) -> list[tuple[Any, ...]]:
    with open_warehouse(home.warehouse) as warehouse:
        return warehouse.sql(query).fetchall()


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The first night's, the same in another order, and the second night's."""
    folder = tmp_path_factory.mktemp("exports")
    make_second_export(SAMPLE, folder / "later.csv")
    return (
        with_addresses(SAMPLE, folder / "first.csv"),
        with_addresses(SAMPLE, folder / "shuffled.csv", seed=3),
        with_addresses(folder / "later.csv", folder / "second.csv"),
    )


@pytest.fixture(scope="module")
def two_nights(exports: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = declare(tmp_path_factory.mktemp("ours"))
    for export in (exports[0], exports[2]):
        run_job(home, {"input": str(export)}, quiet=True)
    return home


def test_customers_known_by_texts_are_segmented_and_followed(two_nights: Home):
    assert ask(two_nights, "SELECT recipe, typeof(customer_id) FROM publication, clusters LIMIT 1") == [
        ("ours", "VARCHAR")
    ]
    assert ask(two_nights, "SELECT count(*), count(DISTINCT customer_id) FROM clusters") == [(2246, 2246)]
    [(known, moved)] = ask(
        two_nights,
        "SELECT count(*), count(*) FILTER (previous_segment_id <> segment_id) FROM clusters "
        "WHERE previous_segment_id IS NOT NULL",
    )
    assert known > 2_100
    assert moved < 0.05 * known
    assert all(
        e_mail("x").endswith(value[0].rpartition("@")[2])
        for value in ask(two_nights, "SELECT customer_id FROM cleaned")
    )


def test_macros_agree_on_every_customer(two_nights: Home):
    assert ask(
        two_nights,
        "SELECT count(*) FROM assign_segment(cleaned) AS a JOIN clusters AS c USING (customer_id) "
        "WHERE a.segment_id IS DISTINCT FROM c.raw_segment_id",
    ) == [(0,)]
    [(customer,)] = ask(two_nights, "SELECT min(customer_id) FROM clusters")
    assert len(ask(two_nights, f"FROM explain_segment('{customer}')")) == 19


def test_the_history_of_texts_is_replayed(two_nights: Home, tmp_path: Path, engine: DuckDBEngine):
    replayed = replay_history(two_nights, tmp_path, engine, band=0.25)
    assert (replayed.nights, replayed.other) == (2, ())


def test_the_order_of_rows_changes_no_bit_of_ratios_and_logarithms(
    exports: tuple[Path, Path, Path], two_nights: Home, tmp_path: Path
):
    other = declare(tmp_path / "shuffled")
    run_job(other, {"input": str(exports[1])}, quiet=True)
    first = kept_publications(two_nights)[-1]
    with open_warehouse(first) as one, open_warehouse(other.warehouse) as more:
        names = [row[0] for row in one.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        of_lines = {"raw_customers", "rejected_customers", "publication", "lineage", "checks", "column_lineage"}
        for name in sorted(set(names) - of_lines):
            asked = f"FROM {name} ORDER BY ALL"
            assert one.execute(asked).fetchall() == more.execute(asked).fetchall(), name
    scale = "SELECT feature, scale FROM scaler WHERE feature IN ('log_of_income', 'spending_per_visit')"
    assert len(ask(other, scale)) == 2


def test_a_file_of_customers_known_by_texts_is_scored(
    two_nights: Home, exports: tuple[Path, Path, Path], tmp_path: Path
):
    done = smartcart("score", exports[1], "--home", two_nights.root, "--output", tmp_path / "scores.csv")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "scores.csv").open(encoding="utf-8") as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 2_236
    assert all(row["customer_id"].endswith("@shop.example") for row in scores)


def test_the_declaration_is_shown_to_readers(two_nights: Home):
    declared = read_declaration(two_nights.root)
    assert (
        ask(two_nights, "SELECT declaration FROM publication UNION ALL SELECT declaration FROM nights")
        == [(declared.digest,)] * 3
    )
    assert ask(two_nights, "SELECT header, type, is_key FROM declared_columns WHERE name = 'customer_id'") == [
        ("ID", "VARCHAR", True)
    ]
    assert ask(two_nights, "SELECT name, verb, reads, step, is_seen FROM declared_features WHERE step IS NOT NULL") == [
        ("spending_per_visit", "ratio", ["total_spending", "num_web_visits_month"], 1 / 4096, True),
        ("log_of_income", "log", ["income"], 1 / 4096, True),
    ]
    [(document,)] = ask(two_nights, "SELECT document FROM segment_model")
    assert json.loads(document)["declaration"] == json.loads(json.dumps(declared.document()))


def another_key(contract: Any, _: Any) -> None:
    contract["schema"][0]["properties"][0].update(logicalType="integer")


def without_a_feature(_: Any, recipe: Any) -> None:
    del recipe["features"]["log_of_income"]


def another_feature_of_a_name(_: Any, recipe: Any) -> None:
    recipe["features"]["log_of_income"] = {"log": "total_spending"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without_a_feature, "The recipe does not make log_of_income as the model in force, v1, sees it."),
        (another_feature_of_a_name, "The recipe does not make log_of_income as the model in force, v1, sees it."),
        (another_key, "knows customers by a text. Another key is another base: name another home with --home."),
    ],
)
def test_a_night_that_the_model_in_force_cannot_judge_is_refused(
    exports: tuple[Path, Path, Path], tmp_path: Path, change: Callable[[Any, Any], None], told: str
):
    home = declare(tmp_path / "home")
    run_job(home, {"input": str(exports[0])}, quiet=True)
    before = home.warehouse.read_bytes()
    said = {name: yaml.safe_load((home.root / name).read_text()) for name in ("contract.yaml", "recipe.yaml")}
    change(*said.values())
    for name, changed in said.items():
        (home.root / name).write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
    export = SAMPLE if change is another_key else exports[2]
    done = smartcart("run", "--home", home.root, "--input", export, "--as-of", "2014-07-05")
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert home.warehouse.read_bytes() == before


def test_definitions_load_with_a_wrong_declaration_and_every_run_says_what_is_wrong(tmp_path: Path):
    home = declare(tmp_path / "home")
    (home.root / "recipe.yaml").write_text("recipe: {name: ours}\n", encoding="utf-8")
    assert build_defs(home).resolve_job_def("nightly_refresh")
    with pytest.raises(HomeError, match=r"recipe\.yaml: recipe\.contract is missing; features is missing"):
        run_job(home, {"input": str(SAMPLE)}, quiet=True)
    done = smartcart("run", "--home", home.root, "--input", SAMPLE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "recipe.contract is missing" in done.stderr
    assert not home.warehouse.exists()
    # As the daemon runs it, without a look before.
    prepare_home(home)
    with open_records(home) as instance:
        ran = (
            build_defs(home)
            .resolve_job_def("nightly_refresh")
            .execute_in_process(run_config=run_config({"input": str(SAMPLE)}), instance=instance, raise_on_error=False)
        )
        fault = find_fault(instance, ran.run_id)
    assert isinstance(fault, HomeError)
    assert str(fault).startswith(f"{home.root / 'recipe.yaml'}: recipe.contract is missing; ")
