"""What is recorded, printed or shown names line, column and kind; customers' values stand in the tables only."""

import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from smartcart_pipeline.orchestration.automation import new_export
from smartcart_pipeline.orchestration.night import open_records, prepare_home
from smartcart_pipeline.smartcart.sample import write_sample
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.declared import CONTRACT

pytestmark = pytest.mark.night

USUAL = {name: value for name, value in os.environ.items() if not name.startswith(("SMARTCART", "DAGSTER"))}
HEADERS = [column.header for column in CONTRACT]

# What no column takes, one a line; numbers that one column does not take; and what is taken as it is.
WORDS = {header: f"SECRET_{header}_SECRET" for header in HEADERS}
NUMBERS = {"Income": 98_765_432, "Year_Birth": 31_801, "MntWines": 987_654_321, "Kidhome": -31_313, "ID": -918_273}
GOOD = {"Income": 543_217, "ID": 918_273_645, "MntWines": 91_827}
NAME, LONG_LINE = "SECRETNAME", "SECRETLINE"
BAD = [*WORDS.values(), *map(str, NUMBERS.values()), LONG_LINE]


def with_secrets(path: Path) -> Path:
    write_sample(path, 700, 1)
    rows = pd.read_csv(path, dtype=str).assign(Full_Name=[f"{NAME}{number}" for number in range(700)])
    for number, (header, secret) in enumerate([*WORDS.items(), *NUMBERS.items()]):
        rows.loc[number, header] = str(secret)
    for number, (header, secret) in enumerate(GOOD.items(), start=100):
        rows.loc[number, header] = str(secret)
    rows.to_csv(path, index=False)
    header, first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, f"{first},{LONG_LINE},1,2", first, *rest]) + "\n")
    return path


def smartcart(*arguments: object) -> subprocess.CompletedProcess[str]:
    return forked.smartcart(*arguments, env=USUAL)


def records(home: Home) -> str:
    """All that Dagster keeps of a home, as one text."""
    texts = []
    for path in home.dagster.rglob("*"):
        if path.is_file() and path.read_bytes().startswith(b"SQLite"):
            with sqlite3.connect(path) as connection:
                texts += connection.iterdump()
        elif path.is_file():
            texts.append(path.read_bytes().decode(errors="replace"))
    return "\n".join(texts)


def found_in(text: str, secrets: list[str]) -> list[str]:
    # A number is none where it is a part of another, of a time of day for example.
    return [secret for secret in secrets if re.search(rf"(?<![\w.]){secret}" if secret[-1].isdigit() else secret, text)]


ALL = [*BAD, *map(str, GOOD.values()), NAME]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("privacy") / "home")


@pytest.fixture(scope="module")
def export(home: Home) -> Path:
    return with_secrets(home.root.with_name("export.csv"))


@pytest.fixture(scope="module")
def night(home: Home, export: Path) -> subprocess.CompletedProcess[str]:
    done = smartcart("run", "--input", export, "--home", home.root)
    assert done.returncode == 0, done.stderr
    return done


def test_rejected_values_stand_in_the_table_of_them(night: object, home: Home) -> None:
    with open_warehouse(home.warehouse) as warehouse:
        [(told,)] = warehouse.sql("SELECT string_agg(detail, ' ') FROM rejected_customers").fetchall()
    assert found_in(told, BAD) == BAD


def test_a_night_records_prints_and_shows_none_of_them(
    night: subprocess.CompletedProcess[str], home: Home, export: Path
) -> None:
    assert found_in(night.stdout + night.stderr, ALL) == []
    assert found_in(records(home), ALL) == []
    # Short numbers stand in the page by chance.
    assert found_in(home.report.read_text(), [*(secret for secret in BAD if len(secret) > 7), NAME]) == []
    assert "The line has more values than the header: line 2" in home.report.read_text()
    with open_warehouse(home.warehouse) as warehouse:
        [(checked,)] = warehouse.sql("SELECT string_agg(found, ' ') FROM checks").fetchall()
    assert found_in(checked, ALL) == []


def test_nor_does_the_outcome_as_json(night: object, home: Home, export: Path) -> None:
    done = smartcart("run", "--input", export, "--home", home.root, "--json")
    assert json.loads(done.stdout)["customers"] > 600
    assert found_in(done.stdout + done.stderr, ALL) == []


def test_scoring_tells_lines_and_columns_and_keeps_the_values_in_its_file(
    night: object, home: Home, export: Path, tmp_path: Path
) -> None:
    done = smartcart("score", export, "--home", home.root, "--output", tmp_path / "scores.csv")
    assert done.returncode == 0, done.stderr
    assert (
        "The line has more values than the header: line 2. ID is not a number: line 3, written like 'xxx" in done.stderr
    )
    assert found_in(done.stdout + done.stderr, ALL) == []
    kept = (tmp_path / "scores.csv.rejected.csv").read_text()
    assert found_in(kept, BAD) == BAD


def too_many(path: Path) -> None:
    with_secrets(path)
    path.write_text("\n".join(path.read_text().splitlines()[:60]) + "\n")


def no_good_line(path: Path) -> None:
    with_secrets(path)
    path.write_text("\n".join(path.read_text().splitlines()[:20]) + "\n")


def no_dates(path: Path) -> None:
    with_secrets(path)
    pd.read_csv(path, dtype=str, skiprows=[1]).assign(Dt_Customer=WORDS["Dt_Customer"]).to_csv(path, index=False)


def no_header(path: Path) -> None:
    with_secrets(path)
    path.write_text("\n".join(path.read_text().splitlines()[2:]) + "\n")


def an_open_quote(path: Path) -> None:
    with_secrets(path)
    path.write_text(f'{path.read_text()}"{NAME}')


def text_of_no_encoding(path: Path) -> None:
    """A Parquet file that says that its texts are UTF-8, and is wrong."""
    import pyarrow as pa
    from pyarrow import parquet

    with_secrets(path)
    rows = pd.read_csv(path, skiprows=[1]).iloc[200:400]
    table = pa.Table.from_pandas(rows, preserve_index=False)
    wrong = pa.array([NAME.encode() + b"\xff"] * len(rows), pa.binary()).view(pa.string())
    table = table.set_column(table.schema.get_field_index("Full_Name"), "Full_Name", wrong)
    parquet.write_table(table, path)


FAULTY: list[tuple[Callable[[Path], None], str]] = [
    (too_many, "The line has more values than the header: line 2. ID is not a number: line 3, written like 'xxx"),
    (no_good_line, "The line has more values than the header: line 2."),
    (no_dates, "no value of column Dt_Customer can be read as a date: see line 2."),
    (no_header, "expected columns"),
    (an_open_quote, "a quotation mark opens near line"),
    (text_of_no_encoding, "Invalid string encoding"),
]


@pytest.mark.parametrize(("make", "told"), FAULTY, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_wrong_with_an_export_is_told_without_its_values(
    tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    home = Home(tmp_path / "home")
    export = tmp_path / "export.csv"
    make(export)
    done = smartcart("run", "--input", export, "--home", home.root)
    assert done.returncode == 2, done
    assert told in done.stderr
    assert found_in(done.stdout + done.stderr, ALL) == []
    assert found_in(records(home), ALL) == []


def test_what_is_refused_at_once_is_told_without_its_values(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    prepare_home(home)
    no_header(home.incoming / "export.csv")
    with open_records(home) as instance:
        cursor = None
        for _ in range(2):
            with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"home": home}) as context:
                ticked = new_export.evaluate_tick(context)
            cursor = ticked.cursor
    [reason] = home.refused.glob("*.reason.txt")
    assert "expected columns" in reason.read_text()
    assert found_in(reason.read_text() + str(ticked.skip_message), ALL) == []
