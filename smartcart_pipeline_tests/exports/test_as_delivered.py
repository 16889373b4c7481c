"""Files as companies deliver them, made from the sample: each has one thing that people do, and the same rows."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading import read_export, tell_defaults
from smartcart_pipeline_tests.declared import BEHAVIOURAL

ROWS = 400
Table = pd.DataFrame
Text = Callable[[Table], str | bytes]


@pytest.fixture
def customers(sample: Path) -> Table:
    """The first customers of the sample, word for word."""
    return pd.read_csv(sample, dtype=str, keep_default_na=False).head(ROWS)


def days(table: Table) -> "pd.Series[pd.Timestamp]":
    return pd.to_datetime(table.Dt_Customer, format="%d-%m-%Y")


def dated(form: str) -> Callable[[Table], Table]:
    return lambda table: table.assign(Dt_Customer=days(table).dt.strftime(form))


def money(write: Callable[[float], str]) -> Callable[[Table], Table]:
    """Amounts as a company writes them; what is missing stays so."""

    def change(table: Table) -> Table:
        names = ["Income", *(name for name in table if name.startswith("Mnt"))]
        return table.assign(**{name: [write(float(text)) if text else "" for text in table[name]] for name in names})

    return change


def written(
    change: Callable[[Table], Table] = lambda table: table, delimiter: str = ",", encoding: str = "utf-8"
) -> Text:
    return lambda table: change(table).to_csv(index=False, sep=delimiter, lineterminator="\n").encode(encoding)


def texts(table: Table, delimiter: str = ",", end: str = "\n", header: bool = True) -> str:
    return table.to_csv(index=False, sep=delimiter, lineterminator=end, header=header)


def uneven(table: Table) -> str:
    return texts(table.head(150), end="\r\n") + texts(table.iloc[150:], header=False)


SAME: dict[str, Text] = {
    "decimal commas": written(money(lambda number: f"{number:.2f}".replace(".", ",")), ";"),
    "thousands with commas": written(money(lambda number: f"{number:,.0f}")),
    "thousands with points": written(money(lambda number: f"{number:,.2f}".translate(str.maketrans(",.", ".,"))), ";"),
    "dollars": written(money(lambda number: f"${number:,.2f} ")),
    "spaces that break no line": written(money(lambda number: f"{number:,.0f}".replace(",", "\u00a0"))),
    "month first": written(dated("%m/%d/%Y")),
    "names of months": written(dated("%d-%b-%Y")),
    "years of two digits": written(dated("%d/%m/%y")),
    "days of a spreadsheet": written(
        lambda table: table.assign(Dt_Customer=(days(table) - pd.Timestamp("1899-12-30")).dt.days.astype(str))
    ),
    "true and false": written(
        lambda table: table.assign(
            Complain=table.Complain.map({"0": "False", "1": "True"}),
            Response=table.Response.map({"0": "no", "1": "yes"}),
        )
    ),
    "categories in other letters": written(
        lambda table: table.assign(
            Marital_Status=table.Marital_Status.str.lower(), Education=table.Education.str.upper()
        )
    ),
    "headers by sight": written(lambda table: table.rename(columns=lambda name: name.replace("_", " ").title())),
    "a line that tells the separator": lambda table: f"sep=;\n{texts(table, ';')}",
    "lines above the header": lambda table: f"Customer export;;\nCreated by CRM;;\n\n{texts(table, ';')}",
    "rows of separators only": lambda table: texts(table) + ("," * (len(table.columns) - 1) + "\n") * 50,
    "UTF-16": written(delimiter="\t", encoding="utf-16"),
    "Windows-1252": written(lambda table: table.assign(City="Málaga – “Sur” €"), ";", "cp1252"),  # noqa: RUF001
    "line ends of two kinds": uneven,
}


def put(folder: Path, content: str | bytes) -> Path:
    path = folder / "export.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows by the contract, and what was taken for granted."""
    engine = DuckDBEngine()
    export = inspect_export(path, BEHAVIOURAL.contract)
    frame, readings = read_export(engine, export)
    rows = engine.rows(frame.select(*BEHAVIOURAL.contract.names, "unreadable").sort("customer_id"))
    engine.close()
    return rows, tell_defaults(export, readings)


@pytest.mark.parametrize("name", SAME)
def test_the_rows_are_the_same(customers: Table, tmp_path: Path, name: str):
    assert read(put(tmp_path, SAME[name](customers))) == read(put(tmp_path, texts(customers)))


def test_what_a_spreadsheet_puts_for_missing_is_missing(customers: Table, tmp_path: Path):
    income = customers.Income.where(customers.index % 50 != 0, "#N/A")
    rows, _ = read(put(tmp_path, texts(customers.assign(Income=income))))
    assert [row["unreadable"] for row in rows] == [None] * ROWS
    assert sum(row["income"] is None for row in rows) == income.isin(["", "#N/A"]).sum()


def test_an_order_that_nothing_proves_is_told(customers: Table, tmp_path: Path):
    early = customers[days(customers).dt.day <= 12]
    rows, told = read(put(tmp_path, texts(dated("%d/%m/%Y")(early))))
    assert rows == read(put(tmp_path, texts(early)))[0]
    assert len(told) == 1
    assert "nothing in the file rules out month-first. Should they be month first, say so in the contract" in told[0]


REFUSED: dict[str, tuple[Callable[[Table], Table], str]] = {
    "thousands or not": (
        lambda table: table.assign(
            Income=[f"{float(text):,.0f}".replace(",", ".") if text else "" for text in table.Income]
        ),
        r"nothing says whether '[0-9.]+' in column Income .*customProperties",
    ),
    "both orders": (
        lambda table: table.assign(
            Dt_Customer=days(table)
            .dt.strftime("%m/%d/%Y")
            .where(days(table).dt.day > 12, days(table).dt.strftime("%d/%m/%Y"))
        ),
        "the orders of day and month are mixed in column Dt_Customer",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_stops_the_run(customers: Table, tmp_path: Path, name: str):
    change, told = REFUSED[name]
    with pytest.raises(ExportError, match=told):
        read(put(tmp_path, texts(change(customers))))


def test_all_that_is_wrong_with_a_file_is_told_at_once(customers: Table, tmp_path: Path):
    ambiguous, mixed = (REFUSED[name][0] for name in ("thousands or not", "both orders"))
    path = put(tmp_path, texts(mixed(ambiguous(customers))))
    with pytest.raises(ExportError) as raised:
        read(path)
    said = str(raised.value)
    assert said.count(str(path)) == 1
    for _, told in REFUSED.values():
        assert re.search(told, said)


def test_each_column_whose_numbers_nobody_can_read_is_named(customers: Table, tmp_path: Path):
    change, _ = REFUSED["thousands or not"]
    table = change(customers).assign(MntWines="1,234")
    with pytest.raises(ExportError, match=r"in column Income .* in column MntWines "):
        read(put(tmp_path, texts(table, ";")))
