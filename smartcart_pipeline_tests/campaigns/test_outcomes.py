"""Files of outcomes are taken in once, with what is wrong with each row."""

import stat
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from smartcart_pipeline.campaigns.outcomes import find_files, outcomes_contract, select_taken, take_in
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.declared import BEHAVIOURAL

KEY = BEHAVIOURAL.contract.key
GOOD = "campaign,customer_id,day,converted,amount\nwine,1,2014-07-03,yes,12.50\nwine,2,2014-07-04,no,\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def take(engine: DuckDBEngine, home: Home, text: str, name: str = "outcomes.csv"):
    path = home.root / name
    path.write_text(text)
    return take_in(engine, home, path, KEY)


def rows(engine: DuckDBEngine, home: Home, columns: str = "campaign, customer_id, day::VARCHAR, converted, amount"):
    query = f"SELECT {columns} FROM ({select_taken(home, KEY)}) ORDER BY taken, line_number"
    return engine.connection.execute(query).fetchall()


def test_a_file_is_taken_in_once_whatever_it_is_called(engine: DuckDBEngine, home: Home):
    first = take(engine, home, GOOD)
    assert (first.rows, first.refused, first.is_new) == (2, 0, True)
    assert rows(engine, home) == [("wine", 1, "2014-07-03", True, 12.5), ("wine", 2, "2014-07-04", False, None)]
    again = take(engine, home, GOOD, "again.csv")
    assert (again.rows, again.is_new) == (2, False)
    assert len(rows(engine, home)) == 2
    take(engine, home, GOOD.replace("12.50", "13"), "more.csv")
    assert rows(engine, home, "taken, file_name") == [*[(0, "outcomes.csv")] * 2, *[(1, "more.csv")] * 2]


def test_nothing_at_all_is_no_row(engine: DuckDBEngine, home: Home):
    assert rows(engine, home) == []


def test_files_are_the_owners_alone(engine: DuckDBEngine, home: Home):
    take(engine, home, GOOD)
    [kept] = home.outcomes.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.outcomes.stat().st_mode) == 0o700


def test_what_is_wrong_with_a_row_is_told(engine: DuckDBEngine, home: Home):
    wrong = (
        GOOD
        + "wine,x,2014-07-03,yes,1\n,3,2014-07-03,yes,1\nwine,4,,yes,1\n"
        + "wine,5,2014-07-03,maybe,1\nwine,6,2014-07-03,yes,1e200\n"
    )
    taken = take(engine, home, wrong)
    assert (taken.rows, taken.refused) == (2, 5)
    assert "converted is not yes or no: line 7" in taken.causes
    told = {line: (reason, detail) for line, reason, detail in rows(engine, home, "line_number, reason, detail")}
    assert told[2] == told[3] == (None, None)
    assert told[4][0] == told[7][0] == "unreadable_value"
    assert told[5] == ("missing_value", "campaign is missing")
    assert told[8][0] == "out_of_range"
    assert told[6] == ("missing_value", "day is missing")


@pytest.mark.parametrize(
    "header",
    ["audience,ID,date,converted,amount", "Campaign,customer,Day,Converted,Amount", "day,amount,converted,campaign,id"],
)
def test_headers_may_be_called_and_ordered_otherwise(engine: DuckDBEngine, home: Home, header: str):
    values = {"audience": "wine", "id": "1", "customer": "1", "date": "2014-07-03", "day": "2014-07-03"}
    values |= {"campaign": "wine", "converted": "1", "amount": "3"}
    take(engine, home, f"{header}\n{','.join(values[name.lower()] for name in header.split(','))}\n")
    assert rows(engine, home) == [("wine", 1, "2014-07-03", True, 3.0)]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "campaign,customer_id,day,converted\nwine,1,2014-07-03,1\n"])
def test_a_file_that_cannot_be_read_leaves_nothing(engine: DuckDBEngine, home: Home, text: str):
    with pytest.raises(ExportError, match=r"outcomes\.csv: "):
        take(engine, home, text)
    assert not list(home.outcomes.glob("*"))


def test_ids_that_are_texts_stay_texts(engine: DuckDBEngine, home: Home):
    key = replace(KEY, type="VARCHAR", minimum=None)
    path = home.root / "outcomes.csv"
    path.write_text(GOOD.replace(",1,", ",007,"))
    take_in(engine, home, path, key)
    found = engine.connection.execute(f"SELECT customer_id FROM ({select_taken(home, key)}) ORDER BY ALL").fetchall()
    assert found == [("007",), ("2",)]
    assert outcomes_contract(key).by_name["customer"].type == "VARCHAR"


def test_a_workbook_and_parquet_are_read_as_well(engine: DuckDBEngine, home: Home):
    table = pd.DataFrame(
        {"campaign": ["wine"], "customer_id": [1], "day": ["2014-07-03"], "converted": [True], "amount": [2.5]}
    )
    table.to_excel(home.root / "outcomes.xlsx", index=False)
    table.assign(amount=3.5).to_parquet(home.root / "outcomes.parquet")
    for name in ("outcomes.xlsx", "outcomes.parquet"):
        assert take_in(engine, home, home.root / name, KEY).rows == 1
    assert [row[-1] for row in rows(engine, home)] == [2.5, 3.5]


def test_only_files_that_are_whole_are_found(home: Home):
    assert find_files(home) == []
    folder = home.incoming / "outcomes"
    folder.mkdir(parents=True)
    for name in ("b.csv", "a.csv", ".hidden.csv", "c.csv.part"):
        (folder / name).touch()
    (folder / "link.csv").symlink_to(Path("/etc/passwd"))
    (folder / "folder").mkdir()
    assert [path.name for path in find_files(home)] == ["a.csv", "b.csv"]
