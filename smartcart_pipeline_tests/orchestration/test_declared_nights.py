"""Nights of homes with a contract and a recipe of their own: other ids, other features, and files that are wrong."""

import copy
import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
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


def change(home: Home, edit: Callable[[Any, Any], None]) -> None:
    """Change the contract and the recipe of a home, as a person would."""
    said = {name: yaml.safe_load((home.root / name).read_text()) for name in ("contract.yaml", "recipe.yaml")}
    edit(*said.values())
    for name, changed in said.items():
        (home.root / name).write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")


def other_words_and_limits(_: Any, recipe: Any) -> None:
    recipe["features"]["age"]["words"]["label"] = "How old"
    recipe["clean"]["limits"][2]["maximum"] = 80


def without_a_feature(_: Any, recipe: Any) -> None:
    del recipe["features"]["log_of_income"]


def made_and_weighed_otherwise(_: Any, recipe: Any) -> None:
    recipe["features"]["spending_per_visit"] = {"ratio": ["mnt_wines", "num_web_visits_month"]}
    recipe["features"]["age"]["weight"] = 2


def five_segments(_: Any, recipe: Any) -> None:
    recipe["segments"] = 5


# The criteria by which tonight's fit is in force, and why, where it is.
CHANGES: tuple[tuple[Callable[[Any, Any], None] | None, str], ...] = (
    (other_words_and_limits, ""),
    (without_a_feature, "it no longer sees log_of_income"),
    (None, ""),
    (made_and_weighed_otherwise, "spending_per_visit is made otherwise; age weighs otherwise"),
    (five_segments, "there shall be 5 segments"),
    (None, ""),
)


@pytest.fixture(scope="module")
def changed_nights(
    exports: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, list[dict[str, Any]]]:
    """A night by another declaration each, over exports of which a later one has a column more."""
    home = declare(tmp_path_factory.mktemp("changed"))
    outcomes = [run_job(home, {"input": str(exports[0])}, quiet=True)]
    wider = exports[2].with_name("wider.csv")
    pd.read_csv(exports[2], dtype=str, keep_default_na=False).assign(**{"Home town": "Oslo"}).to_csv(wider, index=False)
    for day, (edit, _) in enumerate(CHANGES, start=1):
        if edit:
            change(home, edit)
        export = wider if day >= 3 else exports[2]
        outcomes.append(run_job(home, {"input": str(export), "as_of": f"2014-07-{10 + day}"}, quiet=True))
    return home, outcomes


def test_other_features_or_weights_promote_and_nothing_else_does(changed_nights: tuple[Home, list[dict[str, Any]]]):
    home, _ = changed_nights
    told = ask(home, "SELECT night, criterion, verdict FROM promotion_decisions WHERE is_promoted ORDER BY night")
    since = {3: "v1", 5: "v3", 6: "v5"}
    assert told[1:] == [
        (night, "declaration", f"Promoted: the recipe has changed since {since[night]}: {why}.")
        for night, (_, why) in enumerate(CHANGES, start=2)
        if why
    ]
    # The model in force cannot be held against what it does not see.
    drifted = ask(home, "SELECT DISTINCT night FROM feature_drift ORDER BY night")
    assert drifted == [(2,), (4,), (7,)]


def test_segments_keep_their_ids_through_other_declarations(changed_nights: tuple[Home, list[dict[str, Any]]]):
    home, _ = changed_nights
    gone_on = "SELECT count(*) FROM segment_events WHERE night = {} AND event = 'continued' AND share_of_old > 0.5"
    before = dict(ask(home, "SELECT night, segments FROM nights ORDER BY night"))
    assert [before[night] for night in (6, 7)] == [5, 5]
    for night in (3, 5, 6):
        [(kept,)] = ask(home, gone_on.format(night))
        assert kept >= min(before[night], before[night - 1]) - 1, night
    # Who moved with the new model is told, though the old one cannot be asked any more.
    causes = dict(ask(home, "SELECT cause, sum(customers) FROM segment_migration WHERE night = 3 GROUP BY ALL"))
    assert causes["stayed"] > 0.5 * sum(causes.values())
    assert ask(home, "SELECT count(*) FROM segment_moves WHERE new_model_moves IS NOT NULL") == [(0,)]


def test_nights_of_other_declarations_are_replayed(
    changed_nights: tuple[Home, list[dict[str, Any]]], tmp_path: Path, engine: DuckDBEngine
):
    replayed = replay_history(changed_nights[0], tmp_path, engine, band=0.25)
    assert (replayed.nights, replayed.other) == (7, ())


def test_macros_agree_after_other_declarations(changed_nights: tuple[Home, list[dict[str, Any]]]):
    for path in kept_publications(changed_nights[0]):
        with open_warehouse(path) as warehouse:
            assert warehouse.sql(
                "SELECT count(*) FROM assign_segment(cleaned) AS a JOIN clusters AS c USING (customer_id) "
                "WHERE a.segment_id IS DISTINCT FROM c.raw_segment_id"
            ).fetchall() == [(0,)], path


def test_a_column_that_no_feature_reads_is_carried_along_with_a_note(
    changed_nights: tuple[Home, list[dict[str, Any]]],
):
    home, outcomes = changed_nights
    notes = [[note for note in outcome["warnings"] if note.startswith("New in this export")] for outcome in outcomes]
    told = ["New in this export, carried along, and read by no feature: home_town."]
    assert notes == [[], [], [], told, [], [], []]
    for table in ("raw_customers", "cleaned", "customer_360"):
        assert ask(home, f"SELECT DISTINCT home_town FROM {table}") == [("Oslo",)]
    assert ask(
        home,
        "SELECT upstream_table, upstream_column FROM column_lineage "
        "WHERE (table_name, column_name) = ('cleaned', 'home_town')",
    ) == [("raw_customers", "home_town")]


def another_type_of_key(contract: Any, _: Any) -> None:
    contract["schema"][0]["properties"][0].update(logicalType="integer")


def another_key(contract: Any, _: Any) -> None:
    contract["schema"][0]["properties"][0].update(name="account")


def no_key(contract: Any, _: Any) -> None:
    contract["schema"][0]["properties"][0].pop("primaryKey")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (another_type_of_key, "told apart by address, a whole number up to"),
        (another_key, "told apart by account, a text, and the model in force, v1, knows them by address, a text."),
        (no_key, "told apart by the number of their row, and the model in force, v1, knows them by address, a text."),
    ],
)
def test_another_key_is_another_base(
    two_nights: Home, exports: tuple[Path, Path, Path], tmp_path: Path, edit: Callable[[Any, Any], None], told: str
):
    home = Home(tmp_path / "home")
    shutil.copytree(two_nights.root, home.root, symlinks=True)
    before = home.warehouse.read_bytes()
    change(home, edit)
    export = SAMPLE if edit is another_type_of_key else exports[2]
    done = smartcart("run", "--home", home.root, "--input", export, "--as-of", "2014-07-05")
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Another key is another base: name another home with --home." in done.stderr
    assert "Traceback" not in done.stderr
    assert home.warehouse.read_bytes() == before


def test_a_column_that_vanished_stops_the_run_with_its_name(
    two_nights: Home, exports: tuple[Path, Path, Path], tmp_path: Path
):
    narrower = tmp_path / "narrower.csv"
    pd.read_csv(exports[2], dtype=str, keep_default_na=False).drop(columns="Recency").to_csv(narrower, index=False)
    before = two_nights.warehouse.read_bytes()
    done = smartcart("run", "--home", two_nights.root, "--input", narrower)
    assert done.returncode == 2, done.stderr
    assert "1 of the 22 expected columns is missing: Recency." in done.stderr
    assert two_nights.warehouse.read_bytes() == before


def numbered(contract: Any, recipe: Any) -> None:
    no_key(contract, recipe)
    contract["schema"][0]["properties"][0]["required"] = True


def test_rows_without_a_key_are_numbered_and_nobody_is_followed(
    exports: tuple[Path, Path, Path], tmp_path: Path, engine: DuckDBEngine
):
    home = declare(tmp_path / "home")
    change(home, numbered)
    for export in (exports[0], exports[2]):
        run_job(home, {"input": str(export)}, quiet=True)
    assert ask(home, "SELECT model_version, is_promoted FROM nights ORDER BY night") == [("v1", True), ("v1", False)]
    assert ask(home, "SELECT min(customer_id), count(DISTINCT customer_id) = count(*) FROM clusters") == [(1, True)]
    assert ask(home, "SELECT count(*) FROM clusters WHERE previous_segment_id IS NOT NULL") == [(0,)]
    assert ask(home, "SELECT count(*) FROM segment_migration") == [(0,)]
    # Each night begins a history of its own.
    stays = ask(home, "SELECT DISTINCT valid_from, valid_to FROM segment_membership")
    assert stays == [(ask(home, "SELECT as_of_date FROM publication")[0][0], None)]
    assert ask(home, "SELECT address FROM customer_360 WHERE customer_id = 1")[0][0].endswith("@shop.example")
    (tmp_path / "again").mkdir()
    replayed = replay_history(home, tmp_path / "again", engine, band=0.25)
    assert (replayed.nights, replayed.other) == (2, ())
    # Another recipe cannot go on with ids of people that nobody knows any more.
    change(home, without_a_feature)
    run_job(home, {"input": str(exports[2]), "as_of": "2014-07-20"}, quiet=True)
    events = ask(home, "SELECT event, count(*) FROM segment_events WHERE night = 3 GROUP BY ALL ORDER BY ALL")
    assert dict(events).keys() == {"born", "retired"}


def test_a_column_that_came_under_a_synonym_is_told_by_it(tmp_path: Path):
    contract = yaml.safe_load((SHIPPED / "contract.yaml").read_text(encoding="utf-8"))
    [recency] = [part for part in contract["schema"][0]["properties"] if part["name"] == "recency"]
    recency["synonyms"] = [{"synonym": "Days ago", "source": "the new till"}]
    home = Home(tmp_path / "home")
    home.root.mkdir()
    (home.root / "contract.yaml").write_text(yaml.safe_dump(contract, sort_keys=False), encoding="utf-8")
    frame = pd.read_csv(SAMPLE, dtype=str, keep_default_na=False).rename(columns={"Recency": "Days ago"})
    frame.loc[4:6, "Days ago"] = ["soon", "-3", ""]
    frame.to_csv(tmp_path / "export.csv", index=False)
    run_job(home, {"input": str(tmp_path / "export.csv")}, quiet=True)
    rejected = "SELECT detail FROM rejected_customers WHERE line_number IN (6, 7, 8) ORDER BY line_number"
    assert ask(home, rejected) == [
        ("Days ago is 'soon': expected a whole number up to 32,767",),
        ("Days ago is -3: expected 0 or more",),
        ("Days ago is missing",),
    ]
    scored = smartcart("score", tmp_path / "export.csv", "--home", home.root, "--output", tmp_path / "scores.csv")
    assert scored.returncode == 0, scored.stderr
    assert (
        "Days ago is not a number: line 6, written like 'xxxx'. Days ago is below 0: line 7. Days ago is missing: line "
        in scored.stderr
    )
    with open_records(home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("raw_customers"))
    assert event
    assert event.asset_materialization
    assert event.asset_materialization.metadata["synonyms"].value == {"Recency": "Days ago"}


def test_what_was_read_by_sight_is_told_in_a_note(tmp_path: Path):
    home = Home(tmp_path / "home")
    home.root.mkdir()
    frame = pd.read_csv(SAMPLE, dtype=str, keep_default_na=False)
    frame.loc[4, "Recency"] = "soon"
    frame["Marital_Status"] = frame["Marital_Status"].str.lower()
    frame["Response"] = frame["Response"].map({"1": "yes", "0": "no"})
    frame.rename(columns={"Recency": "re-cency", "ID": "Id"}).to_csv(tmp_path / "export.csv", index=False)
    run_job(home, {"input": str(tmp_path / "export.csv")}, quiet=True)
    assert ask(home, "SELECT detail FROM rejected_customers WHERE line_number = 6") == [
        ("re-cency is 'soon': expected a whole number up to 32,767",),
    ]
    with open_records(home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("raw_customers"))
    assert event
    assert event.asset_materialization
    metadata = event.asset_materialization.metadata
    assert metadata["synonyms"].value == {"ID": "Id", "Recency": "re-cency"}
    assert metadata["categories_by_sight"].value["Marital_Status"]["married"] == "Married"
    note = str(metadata["note"].value)
    assert note.startswith("Read by sight: 'Id' for ID, 're-cency' for Recency. Read by sight in Marital_Status: '")
    scored = smartcart("score", tmp_path / "export.csv", "--home", home.root, "--output", tmp_path / "scores.csv")
    assert scored.returncode == 0, scored.stderr
    assert "\nNote: Read by sight: 'Id' for ID, 're-cency' for Recency.\nNote: Read by sight in " in scored.stderr
    assert "re-cency is not a number: line 6, written like 'xxxx'." in scored.stderr


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


def test_ids_with_letters_need_no_contract_of_their_own(two_nights: Home, tmp_path: Path):
    """What the sample's customers are called makes no difference, neither on a first night nor on the next."""
    home = Home(tmp_path / "home")
    frame = pd.read_csv(SAMPLE, dtype=str, keep_default_na=False)
    frame.assign(ID="C-" + frame["ID"]).to_csv(tmp_path / "export.csv", index=False)
    first = run_job(home, {"input": str(tmp_path / "export.csv"), "as_of": "2014-07-01"}, quiet=True)
    assert [segment["customers"] for segment in first["segments"]] == [375, 611, 439, 811]
    assert ask(home, "SELECT min(customer_id), typeof(min(customer_id)) FROM customer_360") == [("C-1001", "VARCHAR")]
    # Numbers are texts there, and nobody is found again.
    frame.assign(ID=[f"C-{number}" if place else number for place, number in enumerate(frame["ID"])]).to_csv(
        tmp_path / "export.csv", index=False
    )
    second = run_job(home, {"input": str(tmp_path / "export.csv"), "as_of": "2014-07-02"}, quiet=True)
    assert [segment["customers"] for segment in second["segments"]] == [375, 611, 439, 811]
    assert ask(home, "SELECT count(*) FROM history.segment_membership WHERE valid_to IS NOT NULL") == [(1,)]
    scored = smartcart("score", tmp_path / "export.csv", "--home", home.root, "--output", tmp_path / "scores.csv")
    assert scored.returncode == 0, scored.stderr
    assert pd.read_csv(tmp_path / "scores.csv")["customer_id"].str.startswith("C-").sum() == 2_235
