"""The command does what it says, tells people what was wrong, and never harms what was published before."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pytest

from smartcart_pipeline.declaration.errors import ExportError, FaultError
from smartcart_pipeline.orchestration.automation import run_config
from smartcart_pipeline.orchestration.definitions import build_defs
from smartcart_pipeline.orchestration.io_manager import NOTE
from smartcart_pipeline.orchestration.night import open_records, prepare_home, run_job
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.declared import CONTRACT, TABLES
from smartcart_pipeline_tests.terminal import watch

SAMPLE = Path(__file__).parents[2] / "data" / "smartcart_customers.csv"
DATES = "%d-%m-%Y"

REPEATS = (
    "SELECT sum(n - 1)::INT FROM (SELECT count(*) AS n FROM raw_customers "
    f"GROUP BY {', '.join(column.name for column in CONTRACT if column.name != 'customer_id')})"
)

Change = Callable[[pd.DataFrame], pd.DataFrame]


def smartcart(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as people do."""
    return forked.smartcart(*arguments, env=forked.usual_environment() | {"COLUMNS": "120"} | settings)


def ask(home: Home, query: str) -> list[tuple[Any, ...]]:
    with open_warehouse(home.warehouse) as warehouse:
        return warehouse.sql(query).fetchall()


def published(home: Home) -> tuple[bytes, int]:
    return home.warehouse.read_bytes(), home.warehouse.stat().st_mtime_ns


def delivered() -> pd.DataFrame:
    """The sample as text, value for value."""
    return pd.read_csv(SAMPLE, dtype=str, keep_default_na=False)


@dataclass(frozen=True)
class First:
    """A run of the command over the sample, in a home that was not there before."""

    home: Home
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def first(whole_night: None, tmp_path_factory: pytest.TempPathFactory) -> First:
    home = Home(tmp_path_factory.mktemp("first") / "home")
    return First(home, smartcart("run", "--input", SAMPLE, "--home", home.root))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in this process points these at its home: put them back afterwards."""
    for name in ("DAGSTER_HOME", "SMARTCART_HOME"):
        monkeypatch.setenv(name, "")


# What works


def test_a_run_prints_its_segments_and_where_everything_is(first: First) -> None:
    assert first.done.returncode == 0, first.done.stderr
    lines = first.done.stdout.splitlines()
    assert lines[0].rstrip() == "2,236 customers in 4 segments"
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [row[0] for row in rows] == ["S01", "S02", "S03", "S04"]
    assert rows == [
        [segment, persona, f"{size:,}", f"{share:.1%}", f"{income:,.0f}", f"{spending:,.0f}"]
        for segment, persona, size, share, income, spending in ask(
            first.home,
            "SELECT segment_id, persona, customers, share, mean_income, mean_total_spending FROM profiles ORDER BY 1",
        )
    ]
    assert "Note: 182 rows repeat another but for their id; they are kept." in lines
    paths = {"Report": first.home.report, "Warehouse": first.home.warehouse, "Lake": first.home.lake}
    assert lines[-3:] == [f"{name:<10} {path}" for name, path in paths.items()]


def test_the_report_is_made_anew_from_what_is_published(first: First) -> None:
    before = first.home.report.read_bytes()
    first.home.report.unlink()
    done = smartcart("report", "--home", first.home.root)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{first.home.report}\n", "")
    assert first.home.report.read_bytes() == before


def test_the_report_opens_in_the_browser_where_there_is_one(
    first: First, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    done = smartcart("report", "--home", first.home.root, "--open")
    assert done.returncode == 0
    assert f"Its address is {first.home.report.as_uri()}" in done.stderr
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 > {opened}\n")
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    done = smartcart("report", "--home", first.home.root, "--open")
    assert (done.returncode, done.stderr) == (0, "")
    assert opened.read_text() == f"{first.home.report.as_uri()}\n"


def test_without_a_publication_there_is_no_report(tmp_path: Path) -> None:
    done = smartcart("report", "--home", tmp_path)
    assert done.returncode == 2
    told = f"smartcart: {tmp_path}/warehouse.duckdb: nothing has been published yet. Run `smartcart run` first.\n"
    assert done.stderr == told


@pytest.mark.night
def test_a_report_that_cannot_be_written_fails_the_run_and_leaves_what_was_published(home: Home) -> None:
    home.report.mkdir(parents=True)
    (home.report / "in the way").touch()
    done = smartcart("run", "--input", SAMPLE, "--home", home.root)
    assert done.returncode == 1
    assert "the run failed in step report" in done.stderr
    assert "The warehouse of this run is published." in done.stderr
    assert "Traceback" not in done.stderr
    assert ask(home, "SELECT count(*) FROM clusters") == [(2236,)]
    again = smartcart("report", "--home", home.root)
    assert again.returncode == 2
    assert f"{home.report}: cannot be written (" in again.stderr


def test_progress_goes_to_standard_error_with_the_rows_of_each_table(first: First) -> None:
    shown = {line.split()[0]: line.split()[1] for line in first.done.stderr.splitlines()}
    assert list(shown)[-2:] == ["audience_lists", "report"]
    assert shown.keys() == {*TABLES, "warehouse", "audience_lists", "report"}
    assert {name: shown[name] for name in TABLES} == {
        name: f"{ask(first.home, f'SELECT count(*) FROM {name}')[0][0]:,}" for name in TABLES
    }


def test_the_run_is_the_nightly_job_and_recorded_like_any_other(first: First) -> None:
    with open_records(first.home) as instance:
        run = instance.get_runs()[-1]
        assert (run.job_name, run.status) == ("nightly_refresh", dg.DagsterRunStatus.SUCCESS)
        assert run.run_config["resources"]["settings"]["config"]["input"] == str(SAMPLE)


def test_a_generated_export_runs_with_every_option_and_answers_in_json(first: First, tmp_path: Path) -> None:
    export = tmp_path / "made.csv"
    made = smartcart("generate", "--customers", 400, "--seed", 3, "--output", export)
    assert (made.returncode, made.stdout, made.stderr) == (0, f"400 customers written to {export}\n", "")
    assert len(pd.read_csv(export)) == 400

    home = Home(tmp_path / "home")
    options = ("--input", export, "--home", home.root, "--recipe", "reference", "--as-of", "2015-01-31", "--json")
    done = smartcart("run", *options)
    assert (done.returncode, done.stderr) == (0, "")
    outcome = json.loads(done.stdout)
    [[run_id, as_of, recipe, export_name]] = ask(
        home, "SELECT run_id, as_of_date::VARCHAR, recipe, export_name FROM publication"
    )
    assert outcome.pop("seconds") > 0
    columns = "segment_id, persona, customers, share, mean_income, mean_total_spending, description"
    assert outcome.pop("segments") == [
        dict(zip(columns.split(", "), row, strict=True))
        for row in ask(home, f"SELECT {columns} FROM profiles ORDER BY 1")
    ]
    ours, drivers = outcome.pop("structure")[0], outcome.pop("drivers")
    assert [(ours["recipe"], ours["is_in_force"], ours["verdict"], ours["beyond_noise"])] == ask(
        home, "SELECT recipe, is_in_force, verdict, beyond_noise FROM structure WHERE is_in_force"
    )
    assert [tuple(row.values()) for row in drivers] == ask(home, "FROM segment_drivers ORDER BY rank")
    # What checks warn of comes first, and then what steps say.
    warned = ask(home, "SELECT found FROM checks WHERE NOT passed")
    notes = outcome.pop("warnings")
    assert set(notes[: len(warned)]) == {found for (found,) in warned}
    assert notes[0] == f"{ask(home, REPEATS)[0][0]} rows repeat another but for their id; they are kept."
    assert [note.split(":")[0] for note in notes[len(warned) :]] == [f"The segments are {ours['verdict']}"]
    assert outcome == {
        "run_id": run_id,
        "export": export_name,
        "as_of_date": as_of,
        "as_of_found": "as asked for",
        "recipe": recipe,
        "customers": ask(home, "SELECT count(*) FROM clusters")[0][0],
        "figures": {"mean_income": "Mean income", "mean_total_spending": "Mean spending"},
        "paths": {"report": str(home.report), "warehouse": str(home.warehouse), "lake": str(home.lake)},
    }
    assert (recipe, as_of, export_name) == ("reference", "2015-01-31", "made.csv")
    assert "response" in {name for (name,) in ask(home, "SELECT feature FROM scaler")}


def test_help_begins_with_what_people_begin_with() -> None:
    done = smartcart("-h")
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ") and line[2] != " "]
    assert listed[listed.index("run") :][:5] == ["run", "report", "sql", "score", "dev"]
    assert "Show a model: how it came to be, and its segments." in smartcart("model", "show", "-h").stdout


def test_the_version_is_that_of_the_package() -> None:
    done = smartcart("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"smartcart {version('smartcart-pipeline')}\n", "")


def test_a_shell_completes_commands_and_options() -> None:
    command = Path(sys.executable).with_name("smartcart")
    for words, completed in (("smartcart wa", ["warehouse"]), ("smartcart model show --js", ["--json"])):
        asked = {"_SMARTCART_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run([command], env=os.environ | asked, capture_output=True, text=True, check=False)
        assert done.stdout.split() == completed


def test_a_model_is_shown_with_the_personas_of_its_segments(first: First) -> None:
    done = smartcart("model", "show", "--home", first.home.root)
    found = [[cell.strip() for cell in line.split("│")[1:3]] for line in done.stdout.splitlines() if "│" in line]
    assert found == [list(row) for row in ask(first.home, "SELECT segment_id, persona FROM profiles ORDER BY 1")]
    document = json.loads(smartcart("model", "show", "--home", first.home.root, "--json").stdout)
    assert document["personas"] == dict(found)


@pytest.mark.night
def test_on_a_terminal_a_refused_export_leaves_its_own_message_only(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad_rows(delivered()).to_csv(bad, index=False)
    command = [
        sys.executable,
        "-m",
        "smartcart_pipeline.cli.main",
        "run",
        "--input",
        str(bad),
        "--home",
        str(tmp_path / "home"),
    ]
    code, screen = watch(command, {name: text for name, text in os.environ.items() if name != "COLUMNS"})
    assert code == 2
    assert "smartcart: 6 of 100 rows rejected" in screen
    assert "Dependencies for step" not in screen
    assert "executed" not in screen


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["generate", "--help"], ["run", "--nonsense"]])
def test_help_and_mistakes_answer_before_anything_heavy_is_imported(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "smartcart_pipeline.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (2 if "--nonsense" in arguments else 0)
    assert "Usage:" in done.stdout + done.stderr
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "typer" in imported
    heavy = {"dagster", "duckdb", "sklearn", "scipy", "matplotlib", "pandas", "pyarrow", "numpy", "narwhals", "sqlglot"}
    assert not {name.split(".")[0] for name in imported} & heavy


# Formats


def as_bytes(text: str, **changes: Any) -> bytes:
    customers = delivered()
    if city := changes.pop("city", None):
        customers["City"] = city
    return customers.to_csv(index=False, **changes).encode(text)


def write_parquet(path: Path) -> None:
    pd.read_csv(SAMPLE, parse_dates=["Dt_Customer"], date_format=DATES).to_parquet(path, index=False)


def write_workbook(path: Path) -> None:
    with path.open("wb") as file:
        pd.read_csv(SAMPLE).to_excel(file, index=False)


FORMATS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "semicolons and gzip": (
        "export.csv",
        "CSV, semicolon, utf-8, gzip",
        lambda path: path.write_bytes(gzip.compress(as_bytes("utf-8", sep=";"))),
    ),
    "Latin-1": ("export.csv", "CSV, comma, latin-1", lambda path: path.write_bytes(as_bytes("latin-1", city="Málaga"))),
    "a title, and UTF-16": (
        "export.csv",
        "CSV, comma, utf-16",
        lambda path: path.write_bytes(b"\xff\xfe" + "Customers\n\n".encode("utf-16-le") + as_bytes("utf-16-le")),
    ),
    "Parquet": ("export.dat", "Parquet", write_parquet),
    "Excel workbook": ("export.csv", "Excel workbook", write_workbook),
}


def read_as(home: Home) -> tuple[str, str]:
    """The format that the newest export was found to have, and what was noted of it."""
    with open_records(home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("raw_customers"))
    assert event
    assert event.asset_materialization
    told = event.asset_materialization.metadata
    return str(told["format"].value), str(told[NOTE].value) if NOTE in told else ""


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("name", "known_as", "write"), FORMATS.values(), ids=FORMATS)
def test_every_format_gives_the_same_customers(
    first: First, home: Home, tmp_path: Path, name: str, known_as: str, write: Callable[[Path], object]
) -> None:
    write(tmp_path / name)
    prepare_home(home)
    os.environ["SMARTCART_HOME"] = str(home.root)
    with open_records(home) as instance:
        made = (
            build_defs(home)
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey("raw_customers")],
                run_config=run_config({"input": str(tmp_path / name)}),
            )
        )
    assert made.success
    note = "The first 2 lines of export.csv stand above the header and are no customers."
    assert read_as(home) == (known_as, note if "utf-16" in known_as else "")
    columns = ", ".join(column.name for column in CONTRACT)
    known, found = (
        duckdb.sql(f"SELECT {columns} FROM '{place.lake}/raw_customers/*.parquet' ORDER BY customer_id").fetchall()
        for place in (first.home, home)
    )
    assert found == known


@pytest.mark.usefixtures("here")
def test_a_workbook_gives_the_same_segments(first: First, home: Home, tmp_path: Path) -> None:
    write_workbook(tmp_path / "export.csv")
    outcome = run_job(home, {"input": str(tmp_path / "export.csv"), "recipe": "behavioural"}, quiet=True)
    assert ask(home, "SELECT run_id FROM publication") == [(outcome["run_id"],)]
    clusters = "FROM clusters ORDER BY customer_id"
    assert ask(home, clusters) == ask(first.home, clusters)


# What does not work, and what is said about it


def bad_rows(customers: pd.DataFrame) -> pd.DataFrame:
    customers = customers.head(100).copy()
    customers.loc[:3, "Education"] = "Doctor"
    customers.loc[4:5, "Income"] = "a lot"
    return customers


def in_both_orders(customers: pd.DataFrame) -> pd.DataFrame:
    dates = pd.to_datetime(customers["Dt_Customer"], format=DATES)
    day_first = dates.dt.strftime(DATES)
    return customers.assign(Dt_Customer=day_first.where(customers.index % 2 == 0, dates.dt.strftime("%m-%d-%Y")))


def all_alike(customers: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([customers.head(1)] * 50).assign(ID=range(50))


BAD_EXPORTS: dict[str, tuple[Change, list[str]]] = {
    "no customers": (lambda customers: customers.head(0), ["{path}: the file holds a header but no customers"]),
    "no good row": (
        lambda customers: customers.head(50).assign(Education="Doctor"),
        [
            "Not one row of the export holds a customer as the contract expects. Education is none of ",
            "Basic, 2n Cycle, Graduation, Master, PhD: 50 rows, the first on line 2. Correct",
        ],
    ),
    "missing column": (
        lambda customers: customers.rename(columns={"Income": "Yearly_Incom"}).drop(columns="Kidhome"),
        ["{path}: 2 of the 22 expected columns are missing", "Kidhome", "deliver the export again"],
    ),
    "misspelt column": (
        lambda customers: customers.rename(columns={"MntWines": "MntWine"}),
        ["1 of the 22 expected columns is missing: MntWines (nearest name found: 'MntWine')"],
    ),
    "repeated column": (
        lambda customers: pd.concat([customers, customers[["Income"]]], axis=1),
        ["{path}: column Income stands 2 times in the header"],
    ),
    "too many rejected": (
        bad_rows,
        [
            "6 of 100 rows rejected (6.0%; limit 5.0%). Education is none of Basic, 2n Cycle, Graduation, Master, PhD",
            "Correct the export and deliver it again",
            "All refused rows with their reasons: ",
        ],
    ),
    "too few customers": (
        lambda customers: customers.head(8),
        [
            "Only 8 customers are left after cleaning",
            "at least 30 are needed",
            "Deliver a larger export",
        ],
    ),
    "two customers": (lambda customers: customers.head(2), ["Only 2 customers are left after cleaning"]),
    "no differences": (all_alike, ["The customers of this export do not differ in any feature", "Deliver an export"]),
    "no incomes": (lambda customers: customers.assign(Income=""), ["Income is missing in every row"]),
    "dates in both orders": (
        in_both_orders,
        ["{path}: the dates in column Dt_Customer are written in two ways", "Deliver them all in one way"],
    ),
    "no dates": (
        lambda customers: customers.assign(Dt_Customer="soon"),
        ["{path}: no value of column Dt_Customer can be read as a date: see line 2"],
    ),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("change", "said"), BAD_EXPORTS.values(), ids=BAD_EXPORTS)
def test_a_bad_export_is_named_with_what_to_do_and_harms_nothing(
    first: First, tmp_path: Path, change: Change, said: list[str]
) -> None:
    before = published(first.home)
    path = tmp_path / "bad.csv"
    change(delivered()).to_csv(path, index=False)
    with pytest.raises(ExportError) as refused:
        run_job(first.home, {"input": str(path), "recipe": "behavioural"}, quiet=True)
    for words in said:
        assert words.format(path=path) in str(refused.value)
    assert published(first.home) == before


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "{path}: the file is empty. Deliver the export again."),
        (b"\x00\x01\x02" * 100, "{path}: this is no customer export"),
        (b"PAR1" + b"x" * 100, "{path}: the Parquet file is damaged"),
        (b"PK\x03\x04" + b"x" * 100, "{path}: the Excel workbook cannot be opened"),
        (gzip.compress(SAMPLE.read_bytes())[:5_000], "{path}: the compressed file is damaged or cut off"),
        ("ID,Income\n1,2\n".encode("utf-32"), "{path}: the text is UTF-32. Save it as UTF-8 and deliver it again."),
    ],
    ids=["empty", "binary", "cut Parquet", "cut workbook", "cut gzip", "UTF-32"],
)
def test_a_file_that_is_no_export_is_named_with_what_to_do(
    first: First, tmp_path: Path, content: bytes, said: str
) -> None:
    before = published(first.home)
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(ExportError) as refused:
        run_job(first.home, {"input": str(path), "recipe": "behavioural"}, quiet=True)
    assert str(refused.value).startswith(said.format(path=path))
    assert published(first.home) == before


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"as_of": "31-12-2014"}, "--as-of '31-12-2014' is not a date. Write it as YYYY-MM-DD."),
        ({"as_of": "2014-02-30"}, "--as-of '2014-02-30' is not a date. Write it as YYYY-MM-DD."),
        (
            {"as_of": "1990-01-01"},
            "2,240 of 2,240 rows rejected (100.0%; limit 5.0%). Dt_Customer: joined after the as-of date: 2,240 rows",
        ),
        ({"recipe": "best"}, "--recipe 'best' is not known: expected one of behavioural, balanced, reference."),
        ({"input": "nowhere.csv"}, "nowhere.csv: no such file. Name the customer export with --input"),
        ({"input": ""}, "There is no export: put one into "),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(map(str, *value.items())),
)
def test_a_bad_call_is_named_with_what_to_do(first: First, settings: dict[str, str], said: str) -> None:
    before = published(first.home)
    with pytest.raises(FaultError) as refused:
        run_job(first.home, {"input": str(SAMPLE), "recipe": "behavioural"} | settings, quiet=True)
    assert said in str(refused.value)
    assert published(first.home) == before


# Exit codes, through the command itself


def test_a_home_below_a_file_is_the_calls_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = smartcart("run", "--input", SAMPLE, "--home", tmp_path / "file" / "home")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"smartcart: {tmp_path / 'file' / 'home'}: the home cannot be written (Not a directory). "
        "Give the pipeline's user the right to, or name another folder with --home.\n"
    )


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["plain", "json"])
def test_a_bad_export_exits_with_2_and_one_message(first: First, tmp_path: Path, flags: list[str]) -> None:
    before = published(first.home)
    bad = tmp_path / "bad.csv"
    bad_rows(delivered()).to_csv(bad, index=False)
    done = smartcart("run", "--input", bad, "--home", first.home.root, *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("smartcart: 6 of 100 rows rejected (6.0%; limit 5.0%). ")
    shown = [line.split()[0] for line in done.stderr.splitlines()[:-1]]
    begun = ["declared_columns", "declared_features", "raw_customers"]
    assert shown == ([] if flags else [*begun, "cleaned", "rejected_customers", "cleaning_figures"])
    assert published(first.home) == before


def test_a_fault_of_our_own_exits_with_1_and_harms_nothing(first: First, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(first.home.root, home.root)
    # A library that a step needs is broken.
    (tmp_path / "kneed.py").write_text("raise RuntimeError('this library is broken')")
    before = published(home)
    # Forked, the command would have the library that works.
    done = subprocess.run(
        [sys.executable, "-m", "smartcart_pipeline.cli.main", "run", "--input", SAMPLE, "--home", home.root],
        env=forked.usual_environment() | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith(
        "smartcart: the run failed in step k_selection_and_sampled_customers: "
    )
    assert "this library is broken" in done.stderr
    assert "What was published before is unchanged. Details: `smartcart dev`, run " in done.stderr
    assert "Traceback" not in done.stderr
    assert published(home) == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("made.xlsx", "cannot write customers to {path}: the name must end in .csv or .parquet."),
        ("nowhere/made.csv", "{path}: cannot be written (No such file or directory). Name a file in a folder that is "),
    ],
)
def test_what_cannot_be_generated_exits_with_2(tmp_path: Path, name: str, said: str) -> None:
    done = smartcart("generate", "--customers", 5, "--output", tmp_path / name)
    assert (done.returncode, done.stdout) == (2, "")
    [message] = done.stderr.splitlines()
    assert message.startswith("smartcart: " + said.format(path=tmp_path / name))
    assert not list(tmp_path.iterdir())
