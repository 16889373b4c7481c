"""Whatever an export is written as, its rows are the same; and what cannot be read is kept word for word."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from smartcart_pipeline.declaration.contract import MISSING, Contract
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.matching import look
from smartcart_pipeline.engines.duckdb import BATCH, DuckDBEngine
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading_duckdb import MOST_TEXTS, CategoryReading, DateReading, read_export
from smartcart_pipeline.smartcart.sample import write_sample
from smartcart_pipeline_tests.declared import BEHAVIOURAL, CONTRACT, TABLES

HEADERS = tuple(column.header for column in CONTRACT)
NUMBERS = tuple(column.header for column in CONTRACT if column.type not in ("VARCHAR", "DATE"))

# A customer as delivered, and as it must be read.
DELIVERED = {
    "ID": "5524",
    "Year_Birth": "1957",
    "Education": "Graduation",
    "Marital_Status": "Single",
    "Income": "58138.5",
    "Kidhome": "0",
    "Teenhome": "1",
    "Dt_Customer": "24-09-2012",
    "Recency": "58",
    "MntWines": "635",
    "MntFruits": "88",
    "MntMeatProducts": "546",
    "MntFishProducts": "172",
    "MntSweetProducts": "87",
    "MntGoldProds": "86",
    "NumDealsPurchases": "3",
    "NumWebPurchases": "8",
    "NumCatalogPurchases": "10",
    "NumStorePurchases": "4",
    "NumWebVisitsMonth": "7",
    "Complain": "0",
    "Response": "1",
}
READ = {
    "line_number": 2,
    "customer_id": 5524,
    "year_birth": 1957,
    "education": "Graduation",
    "marital_status": "Single",
    "income": 58138.5,
    "kidhome": 0,
    "teenhome": 1,
    "dt_customer": date(2012, 9, 24),
    "recency": 58,
    "mnt_wines": 635,
    "mnt_fruits": 88,
    "mnt_meat_products": 546,
    "mnt_fish_products": 172,
    "mnt_sweet_products": 87,
    "mnt_gold_prods": 86,
    "num_deals_purchases": 3,
    "num_web_purchases": 8,
    "num_catalog_purchases": 10,
    "num_store_purchases": 4,
    "num_web_visits_month": 7,
    "complain": 0,
    "response": 1,
    "unreadable": None,
}
NOTHING = dict.fromkeys(READ)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDBEngine]:
    """One for all: what it read before must not show in what it reads next."""
    engine = DuckDBEngine()
    yield engine
    engine.close()


def customer(**changes: str) -> Row:
    """A customer as delivered; further columns stand behind the contract's."""
    return DELIVERED | changes


def values(row: Row, delimiter: str = ",") -> str:
    """A line of a CSV, quoted where it must be."""
    return delimiter.join(
        '"' + text.replace('"', '""') + '"' if any(letter in text for letter in f'{delimiter}"\r\n') else text
        for text in row.values()
    )


def put_lines(path: Path, *lines: str, further: tuple[str, ...] = (), end: str = "\n") -> Path:
    path.write_bytes("".join(line + end for line in [",".join((*HEADERS, *further)), *lines]).encode())
    return path


def put_csv(
    path: Path, *rows: Row, delimiter: str = ",", encoding: str = "utf-8", end: str = "\n", zipped: bool = False
) -> Path:
    lines = [delimiter.join(rows[0]), *(values(row, delimiter) for row in rows)]
    content = "".join(line + end for line in lines).encode(encoding)
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


def put_parquet(path: Path, *rows: Row, **types: tuple[list[Any], pa.DataType]) -> Path:
    """Columns of text, except those given as values and a type."""
    columns: dict[str, Any] = {header: pa.array([row[header] for row in rows], pa.string()) for header in rows[0]}
    columns |= {header: pa.array(cells, of) for header, (cells, of) in types.items()}
    parquet.write_table(pa.table(columns), path)
    return path


def put_parquet_numbers(path: Path, *rows: Row, of: pa.DataType) -> Path:
    return put_parquet(
        path, *rows, **{header: ([float(row[header] or "nan") for row in rows], of) for header in NUMBERS}
    )


def put_workbook(path: Path, *rows: list[Any], headers: tuple[str, ...] = HEADERS) -> Path:
    workbook = openpyxl.Workbook()
    for row in [headers, *rows]:
        workbook.active.append(row)
    workbook.save(path)
    return path


def cells(row: Row) -> list[Any]:
    """A row of a workbook, with numbers as numbers."""
    return [float(text) if header in NUMBERS and text else text for header, text in row.items()]


def read(engine: DuckDBEngine, path: Path) -> list[Row]:
    frame, _ = read_export(engine, inspect_export(path, BEHAVIOURAL.contract))
    return engine.rows(frame.sort("line_number"))


def read_dates(engine: DuckDBEngine, path: Path) -> tuple[list[date | None], DateReading]:
    frame, readings = read_export(engine, inspect_export(path, BEHAVIOURAL.contract))
    assert list(readings.dates) == ["dt_customer"]
    return [row["dt_customer"] for row in engine.rows(frame.sort("line_number"))], readings.dates["dt_customer"]


def refusal(engine: DuckDBEngine, path: Path) -> str:
    with pytest.raises(ExportError) as error:
        read_export(engine, inspect_export(path, BEHAVIOURAL.contract))
    return str(error.value).removeprefix(f"{path}: ")


# Formats


FORMATS: dict[str, Callable[..., Path]] = {
    "comma.csv": put_csv,
    "semicolon.csv": lambda path, *rows: put_csv(path, *rows, delimiter=";"),
    "tab.tsv": lambda path, *rows: put_csv(path, *rows, delimiter="\t"),
    "pipe.txt": lambda path, *rows: put_csv(path, *rows, delimiter="|"),
    "mark.csv": lambda path, *rows: put_csv(path, *rows, encoding="utf-8-sig"),
    "utf-16.csv": lambda path, *rows: put_csv(path, *rows, encoding="utf-16", delimiter="\t", end="\r\n"),
    "utf-16-be.csv.gz": lambda path, *rows: put_csv(path, *rows, encoding="utf-16-be", zipped=True),
    "latin-1.csv": lambda path, *rows: put_csv(path, *rows, encoding="latin-1"),
    "crlf.csv": lambda path, *rows: put_csv(path, *rows, end="\r\n"),
    "cr.csv": lambda path, *rows: put_csv(path, *rows, end="\r"),
    "gzip.csv.gz": lambda path, *rows: put_csv(path, *rows, zipped=True),
    "gzip.csv": lambda path, *rows: put_csv(path, *rows, zipped=True, encoding="latin-1", delimiter=";"),
    "it's.csv": put_csv,
    "text.parquet": put_parquet,
    "parquet.csv": put_parquet,
    "double.parquet": lambda path, *rows: put_parquet_numbers(path, *rows, of=pa.float64()),
    "float.parquet": lambda path, *rows: put_parquet_numbers(path, *rows, of=pa.float32()),
    "text.xlsx": lambda path, *rows: put_workbook(path, *(list(row.values()) for row in rows), headers=tuple(rows[0])),
    "numbers.xlsx": lambda path, *rows: put_workbook(path, *map(cells, rows), headers=tuple(rows[0])),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(engine: DuckDBEngine, tmp_path: Path, name: str):
    notes = ["André", 'Zoë said "no", twice; a|b\tc\nand went']
    path = FORMATS[name](
        tmp_path / name, customer(Note=notes[0]), customer(ID="7", Income="", Dt_Customer="04-09-2012", Note=notes[1])
    )
    assert read(engine, path) == [
        READ | {"note": notes[0]},
        READ | {"line_number": 3, "customer_id": 7, "income": None, "dt_customer": date(2012, 9, 4), "note": notes[1]},
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_declared_columns_and_types(engine: DuckDBEngine, tmp_path: Path, name: str):
    path = FORMATS[name](tmp_path / name, customer(Tag="x"))
    frame, _ = read_export(engine, inspect_export(path, BEHAVIOURAL.contract))
    relation = frame.to_native()
    assert dict(zip(relation.columns, map(str, relation.types), strict=True)) == {
        **{column.name: column.type for column in TABLES["raw_customers"].columns},
        "tag": "VARCHAR",
    }


def test_columns_are_found_by_their_header(engine: DuckDBEngine, tmp_path: Path):
    path = put_csv(tmp_path / "export.csv", dict(reversed(DELIVERED.items())))
    assert read(engine, path) == [READ]


@pytest.mark.parametrize("write", [put_csv, put_parquet])
def test_a_column_is_read_and_told_by_the_synonym_that_it_came_under(engine: DuckDBEngine, tmp_path: Path, write):
    synonyms = {"Year_Birth": "Geburtsjahr", "Dt_Customer": "Beitritt"}
    row = {synonyms.get(header, header): value for header, value in customer(Year_Birth="old").items()}
    columns = tuple(replace(one, synonyms=("Alter", synonyms.get(one.header, one.header))) for one in CONTRACT)
    columns = tuple(one if one.header in synonyms else replace(one, synonyms=()) for one in columns)
    contract = replace(BEHAVIOURAL.contract, columns=columns)
    frame, readings = read_export(engine, inspect_export(write(tmp_path / "export", row), contract))
    told = "Geburtsjahr is 'old': expected a whole number up to 32,767"
    [found] = engine.rows(frame)
    assert found == READ | {"year_birth": None, "unreadable": told}
    assert readings.dates["dt_customer"].evidence.startswith("1 of 1 values of Beitritt read as day-month-year; ")


def test_a_latin_1_letter_may_end_the_file(engine: DuckDBEngine, tmp_path: Path):
    path = put_csv(tmp_path / "export.csv", customer(Name="Joe"), customer(Name="André"), encoding="latin-1")
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert [row["name"] for row in read(engine, path)] == ["Joe", "André"]


def test_two_exports_read_by_one_engine_do_not_mix(engine: DuckDBEngine, tmp_path: Path):
    first = put_lines(tmp_path / "first.csv", values(customer()), values(customer()) + ",9")
    second = put_lines(tmp_path / "second.csv", values(customer(ID="7")))
    third = put_parquet(tmp_path / "third.parquet", customer(ID="8"))
    assert [(row["customer_id"], row["line_number"]) for row in read(engine, first)] == [(5524, 2), (None, 3)]
    assert [(row["customer_id"], row["line_number"]) for row in read(engine, second)] == [(7, 2)]
    assert [(row["customer_id"], row["line_number"]) for row in read(engine, third)] == [(8, 2)]


# Further columns


@pytest.mark.parametrize("write", [put_csv, put_parquet])
def test_further_columns_are_carried_as_text_under_names_of_their_own(engine: DuckDBEngine, tmp_path: Path, write):
    further = {
        "Loyalty Tier": " gold ",
        "LoyaltyTier": "007",
        "line_number": "x",
        "Customer ID": "y",
        "c1": "c1",
        "foo 29": "z",
        "foo": "NA",
        "Foo": "upper",
        "malformed": "m",
        "income_delivered": "i",
        "": "unnamed",
    }
    assert read(engine, write(tmp_path / "export", customer(**further))) == [
        READ
        | {
            "loyalty_tier": " gold ",
            "loyalty_tier_2": "007",
            "line_number_value": "x",
            "customer_id_2": "y",
            "column_c1": "c1",
            "foo_29": "z",
            "foo": "NA",
            "foo_2": "upper",
            "malformed_value": "m",
            "income_delivered_value": "i",
            "column_33": "unnamed",
        }
    ]


def test_parquet_columns_of_the_same_name_stay_apart(engine: DuckDBEngine, tmp_path: Path):
    names = ["income", *HEADERS, "Tag", "Tag"]
    texts = ["lower", *DELIVERED.values(), "a", "b"]
    parquet.write_table(pa.table([pa.array([text]) for text in texts], names=names), tmp_path / "export.parquet")
    [row] = read(engine, tmp_path / "export.parquet")
    assert row == READ | {"income_2": "lower", "tag": "a", "tag_2": "b"}


# Dates


@pytest.mark.parametrize(
    ("delivered", "read_as", "reading", "evidence"),
    [
        (
            ["24-09-2012", "4-9-2012"],
            [date(2012, 9, 24), date(2012, 9, 4)],
            "day-first",
            "2 of 2 values of Dt_Customer read as day-month-year; 1 of them cannot be month-first.",
        ),
        (
            ["04/09/2012", "24/09/2012"],
            [date(2012, 9, 4), date(2012, 9, 24)],
            "day-first",
            "2 of 2 values of Dt_Customer read as day-month-year; 1 of them cannot be month-first.",
        ),
        (
            ["24.09.2012 10:30", "24.09.2012T10:30:00.5", ""],
            [date(2012, 9, 24), date(2012, 9, 24), None],
            "day-first",
            "2 of 2 values of Dt_Customer read as day-month-year; 2 of them cannot be month-first.",
        ),
        (
            ["04-09-2012", "05-09-2012"],
            [date(2012, 9, 4), date(2012, 9, 5)],
            "day-first",
            "2 of 2 values of Dt_Customer read as day-month-year; nothing in the file rules out month-first.",
        ),
        (
            ["2012-09-04", "2012-09-24T23:59:59Z", "2012/9/4"],
            [date(2012, 9, 4), date(2012, 9, 24), date(2012, 9, 4)],
            "ISO",
            "3 of 3 values of Dt_Customer read as year-month-day.",
        ),
        (
            ["2012-09-04", "2012-09-05", "24-09-2012"],
            [date(2012, 9, 4), date(2012, 9, 5), None],
            "ISO",
            "2 of 3 values of Dt_Customer read as year-month-day.",
        ),
        (
            ["2012-09-24", "04-09-2012"],
            [None, date(2012, 9, 4)],
            "day-first",
            "1 of 2 values of Dt_Customer read as day-month-year; nothing in the file rules out month-first.",
        ),
        (
            ["24-09-2012", "23-09-2012", "09-24-2012"],
            [date(2012, 9, 24), date(2012, 9, 23), None],
            "day-first",
            "2 of 3 values of Dt_Customer read as day-month-year; 2 of them cannot be month-first.",
        ),
        (
            ["24-09-2012", "09-24-2012", "04-09-2012"],
            [date(2012, 9, 24), None, date(2012, 9, 4)],
            "day-first",
            "2 of 3 values of Dt_Customer read as day-month-year; 1 of them cannot be month-first.",
        ),
        (
            ["09-24-2012", "04-09-2012"],
            [date(2012, 9, 24), date(2012, 4, 9)],
            "month-first",
            "2 of 2 values of Dt_Customer read as month-day-year; 1 of them cannot be day-first.",
        ),
        (
            ["09/24/2012", "9/25/2012", "24/09/2012", ""],
            [date(2012, 9, 24), date(2012, 9, 25), None, None],
            "month-first",
            "2 of 3 values of Dt_Customer read as month-day-year; 2 of them cannot be day-first.",
        ),
        (
            ["NA", ""],
            [None, None],
            "day-first",
            "0 of 0 values of Dt_Customer read as day-month-year; nothing in the file rules out month-first.",
        ),
    ],
)
def test_one_reading_of_dates_is_settled_by_the_values(
    engine: DuckDBEngine,
    tmp_path: Path,
    delivered: list[str],
    read_as: list[date | None],
    reading: str,
    evidence: str,
):
    path = put_csv(tmp_path / "export.csv", *(customer(Dt_Customer=text) for text in delivered))
    is_default = "nothing in the file" in evidence and any(read_as)
    assert read_dates(engine, path) == (read_as, DateReading(reading, evidence, is_default))


@pytest.mark.parametrize(
    ("text", "unreadable"),
    [
        ("32-13-2012", "Dt_Customer is '32-13-2012': expected a date (day-first)"),
        ("30-02-2013", "Dt_Customer is '30-02-2013': expected a date (day-first)"),
        ("24-09-12", "Dt_Customer is '24-09-12': expected a date (day-first)"),
        ("31-12-1899", "Dt_Customer is '31-12-1899': expected a date (day-first)"),
        ("2012-09-24", "Dt_Customer is '2012-09-24': expected a date (day-first)"),
        ("soon", "Dt_Customer is 'soon': expected a date (day-first)"),
        ("01-01-1900", None),
        ("", None),
    ],
)
def test_a_date_that_cannot_be_read_is_kept_word_for_word(
    engine: DuckDBEngine, tmp_path: Path, text: str, unreadable: str | None
):
    path = put_csv(tmp_path / "export.csv", customer(), customer(), customer(Dt_Customer=text))
    assert read(engine, path)[2]["unreadable"] == unreadable


def test_dates_none_of_which_can_be_read_are_refused(engine: DuckDBEngine, tmp_path: Path):
    path = put_csv(tmp_path / "export.csv", customer(Dt_Customer=""), customer(Dt_Customer="soon"))
    assert refusal(engine, path) == (
        "no value of column Dt_Customer can be read as a date: see line 3. "
        "Expected day-month-year (04-09-2012), month-day-year (09/04/2012) or ISO (2012-09-04)."
    )


@pytest.mark.parametrize(
    ("cell", "of"),
    [
        (date(2012, 9, 24), pa.date32()),
        (date(2012, 9, 24), pa.date64()),
        (datetime(2012, 9, 24, 23, 59), pa.timestamp("s")),  # noqa: DTZ001
        (datetime(2012, 9, 24, 23, 59), pa.timestamp("ns")),  # noqa: DTZ001
        (datetime(2012, 9, 24, 23, 59), pa.timestamp("us", tz="UTC")),  # noqa: DTZ001
    ],
)
def test_parquet_dates_are_taken_as_they_are(engine: DuckDBEngine, tmp_path: Path, cell: date, of: pa.DataType):
    engine.connection.execute("SET TimeZone = 'Asia/Tokyo'")  # where it is the 25th already
    path = put_parquet(tmp_path / "export.parquet", customer(), customer(), Dt_Customer=([cell, None], of))
    assert read_dates(engine, path) == (
        [date(2012, 9, 24), None],
        DateReading("ISO", "Dt_Customer is delivered as a date type."),
    )
    assert [row["unreadable"] for row in read(engine, path)] == [None, None]


def test_a_parquet_column_of_no_dates_at_all_is_missing(engine: DuckDBEngine, tmp_path: Path):
    path = put_parquet(tmp_path / "export.parquet", customer(), Dt_Customer=([None], pa.float64()))
    assert read(engine, path) == [READ | {"dt_customer": None}]


def test_date_cells_of_a_workbook_are_dates(engine: DuckDBEngine, tmp_path: Path):
    days = (date(2012, 9, 4), datetime(2012, 9, 24, 10, 30), "2012-09-05", None)  # noqa: DTZ001
    rows = [[day if header == "Dt_Customer" else cell for header, cell in DELIVERED.items()] for day in days]
    assert read_dates(engine, put_workbook(tmp_path / "export.xlsx", *rows)) == (
        [date(2012, 9, 4), date(2012, 9, 24), date(2012, 9, 5), None],
        DateReading("ISO", "3 of 3 values of Dt_Customer read as year-month-day."),
    )


# Values


@pytest.mark.parametrize(
    ("header", "text", "name", "value"),
    [
        ("ID", "9007199254740993", "customer_id", 9_007_199_254_740_993),
        ("ID", "9223372036854775807", "customer_id", 9_223_372_036_854_775_807),
        ("ID", " 007 ", "customer_id", 7),
        ("Year_Birth", "1957.0", "year_birth", 1957),
        ("Kidhome", "2.00", "kidhome", 2),
        ("Kidhome", "127", "kidhome", 127),
        ("Recency", "-1", "recency", -1),
        ("Income", "5.8e4", "income", 58_000.0),
        ("Income", "58138.005", "income", 58138.005),
        ("MntWines", "12.49", "mnt_wines", 12),
        ("MntWines", "12.51", "mnt_wines", 13),
        ("MntWines", "2147483647", "mnt_wines", 2_147_483_647),
        ("Education", " Master ", "education", "Master"),
        ("Education", "2n Cycle", "education", "2n Cycle"),
        ("Marital_Status", "It's complicated", "marital_status", "It's complicated"),
    ],
)
def test_values_are_typed_by_the_contract(
    engine: DuckDBEngine, tmp_path: Path, header: str, text: str, name: str, value: Any
):
    assert read(engine, put_csv(tmp_path / "export.csv", customer(**{header: text}))) == [READ | {name: value}]


@pytest.mark.parametrize(
    ("header", "text", "name", "expected"),
    [
        ("Income", "a lot", "income", "a number"),
        ("Income", "inf", "income", "a number"),
        ("Income", "-Infinity", "income", "a number"),
        ("Income", "1e400", "income", "a number"),
        ("Kidhome", "3.7", "kidhome", "a whole number up to 127"),
        ("Kidhome", "300", "kidhome", "a whole number up to 127"),
        ("Complain", "maybe", "complain", "1 or 0, or yes or no"),
        ("Kidhome", "yes", "kidhome", "a whole number up to 127"),
        ("Kidhome", "--", "kidhome", "a whole number up to 127"),
        ("Income", "-?", "income", "a number"),
        ("Income", "#N/A!", "income", "a number"),
        ("Recency", "32768", "recency", "a whole number up to 32,767"),
        ("MntWines", "3000000000", "mnt_wines", "a number up to 2,147,483,647"),
        ("MntWines", "it's 12", "mnt_wines", "a number up to 2,147,483,647"),
        ("ID", "9223372036854775808", "customer_id", "a whole number up to 9,223,372,036,854,775,807"),
        ("ID", "0x10", "customer_id", "a whole number up to 9,223,372,036,854,775,807"),
        ("ID", "5524.5", "customer_id", "a whole number up to 9,223,372,036,854,775,807"),
    ],
)
def test_what_cannot_be_read_is_kept_word_for_word(
    engine: DuckDBEngine, tmp_path: Path, header: str, text: str, name: str, expected: str
):
    assert read(engine, put_csv(tmp_path / "export.csv", customer(**{header: text}))) == [
        READ | {name: None, "unreadable": f"{header} is '{text}': expected {expected}"}
    ]


def test_all_unreadable_values_of_a_row_are_kept(engine: DuckDBEngine, tmp_path: Path):
    path = put_csv(tmp_path / "export.csv", customer(ID="x", Income="y", Dt_Customer="z"), customer())
    assert read(engine, path)[0] == READ | {
        "customer_id": None,
        "income": None,
        "dt_customer": None,
        "unreadable": "ID is 'x': expected a whole number up to 9,223,372,036,854,775,807; "
        "Income is 'y': expected a number; Dt_Customer is 'z': expected a date (day-first)",
    }


@pytest.mark.parametrize("spelt", [str, str.upper, str.title, lambda word: f"  {word} "])
def test_words_for_nothing_are_missing_values(engine: DuckDBEngine, tmp_path: Path, spelt):
    path = put_csv(tmp_path / "export.csv", *(dict.fromkeys(HEADERS, spelt(word)) for word in MISSING if word))
    assert read(engine, path) == [NOTHING | {"line_number": line} for line in range(2, len(MISSING) + 1)]


@pytest.mark.parametrize("write", [put_csv, put_parquet, lambda path, row: put_workbook(path, [*row.values()])])
@pytest.mark.parametrize("word", ["#N/A", "<NA>", "-", "?", "NaT", "#DIV/0!"])
def test_words_for_nothing_are_missing_in_every_format(engine: DuckDBEngine, tmp_path: Path, word: str, write):
    row = customer(Income=word, Dt_Customer=word, Education=word, Response=word)
    nothing = dict.fromkeys(("income", "dt_customer", "education", "response"))
    assert read(engine, write(tmp_path / "export", row)) == [READ | nothing]


def test_what_only_begins_like_a_word_for_nothing_is_a_value(engine: DuckDBEngine, tmp_path: Path):
    texts = ["-?", "n", "Nanette", "#", "#1", "<", "1.#", "1.#x", "nat.", "@", "north", "?!", "- -", "ñ", "0", "N/A?"]
    path = put_csv(tmp_path / "export.csv", *(customer(Education=text) for text in texts))
    assert [row["education"] for row in read(engine, path)] == texts


# Yes and no


@pytest.mark.parametrize(
    "write", [put_csv, put_parquet, lambda path, *rows: put_workbook(path, *([*row.values()] for row in rows))]
)
def test_yes_and_no_are_1_and_0_where_nothing_else_may_be(engine: DuckDBEngine, tmp_path: Path, write):
    said = dict.fromkeys(("1", "yes", "Y", "TRUE", "t", "On", "1.0", " True "), 1)
    said |= dict.fromkeys(("0", "No", "n", "False", "F", "off", "0.0"), 0)
    rows = read(engine, write(tmp_path / "export", *(customer(Complain=text, Response=text) for text in said)))
    assert [(row["complain"], row["response"], row["unreadable"]) for row in rows] == [
        (meant, meant, None) for meant in said.values()
    ]


@pytest.mark.parametrize("text", ["yes", "Off", "T"])
def test_yes_and_no_are_read_as_such(engine: DuckDBEngine, tmp_path: Path, text: str):
    columns = tuple(replace(one, type="BOOLEAN") if one.header == "Response" else one for one in CONTRACT)
    contract = replace(BEHAVIOURAL.contract, columns=columns)
    path = put_csv(tmp_path / "export.csv", customer(Response=text))
    frame, _ = read_export(engine, inspect_export(path, contract))
    assert engine.rows(frame) == [READ | {"response": text != "Off"}]


@pytest.mark.parametrize(("text", "value"), [("2", 2), ("-1", -1)])
def test_what_is_neither_is_left_to_the_limits_of_the_column(
    engine: DuckDBEngine, tmp_path: Path, text: str, value: int
):
    assert read(engine, put_csv(tmp_path / "export.csv", customer(Complain=text))) == [READ | {"complain": value}]


# Categories by sight


def read_by_sight(engine: DuckDBEngine, path: Path, contract: Contract) -> tuple[list[str | None], dict[str, Any]]:
    """The marital states, and how categories were read."""
    frame, readings = read_export(engine, inspect_export(path, contract))
    return [row["marital_status"] for row in engine.rows(frame.sort("line_number"))], readings.categories


def with_states(*states: str) -> Contract:
    columns = (replace(one, categories=states) if one.header == "Marital_Status" else one for one in CONTRACT)
    return replace(BEHAVIOURAL.contract, columns=tuple(columns))


@pytest.mark.parametrize("name", FORMATS)
def test_categories_are_read_by_sight(engine: DuckDBEngine, tmp_path: Path, name: str):
    states = ["married", "Married", " MARRIED", "divorced", "Divorcé", "NA"]
    rows = [customer(Marital_Status=state, Education="2N-Cycle") for state in states]
    read_states, found = read_by_sight(engine, FORMATS[name](tmp_path / name, *rows), BEHAVIOURAL.contract)
    assert read_states == ["Married", "Married", "Married", "Divorced", "Divorcé", None]
    assert found == {
        "education": CategoryReading("Education", {"2N-Cycle": "2n Cycle"}),
        "marital_status": CategoryReading(
            "Marital_Status", {"MARRIED": "Married", "divorced": "Divorced", "married": "Married"}
        ),
    }
    assert found["marital_status"].evidence == (
        "Read by sight in Marital_Status: 'MARRIED' for Married, 'divorced' for Divorced, 'married' for Married."
    )


def test_categories_as_they_should_be_are_told_nothing_of(engine: DuckDBEngine, tmp_path: Path):
    rows = [customer(Marital_Status=state) for state in ("Married", "Unknown", "")]
    assert read_by_sight(engine, put_csv(tmp_path / "export.csv", *rows), BEHAVIOURAL.contract) == (
        ["Married", "Unknown", None],
        {},
    )


def test_categories_that_look_alike_are_kept_apart(engine: DuckDBEngine, tmp_path: Path):
    states = ["gold", "Gold", "GOLD", "silver"]
    path = put_csv(tmp_path / "export.csv", *(customer(Marital_Status=state) for state in states))
    read_states, found = read_by_sight(engine, path, with_states("Gold", "gold", "Silver"))
    assert read_states == ["gold", "Gold", "GOLD", "Silver"]
    assert found["marital_status"].meant == {"silver": "Silver"}


def test_a_word_for_nothing_that_the_contract_lists_is_a_value(engine: DuckDBEngine, tmp_path: Path):
    path = put_csv(tmp_path / "export.csv", *(customer(Marital_Status=state) for state in ("None", "none", "NA", "-")))
    read_states, _ = read_by_sight(engine, path, with_states("None", "-", "Married"))
    assert read_states == ["None", "None", None, "-"]


@given(
    category=st.text("aB'\"\\\\;$é% ", min_size=1, max_size=8).map(str.strip).filter(str.isascii).filter(look),
    text=st.sampled_from([str.upper, str.lower, lambda text: f"({text})"]),
)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_category_is_called_it_is_quoted(engine: DuckDBEngine, tmp_path: Path, category: str, text):
    path = put_parquet(tmp_path / "export.parquet", customer(Marital_Status=text(category)))
    read_states, _ = read_by_sight(engine, path, with_states(category))
    assert read_states == [category]


def test_the_most_frequent_texts_are_looked_at(engine: DuckDBEngine, tmp_path: Path):
    rows = [customer(Marital_Status=f"{number:06}") for number in range(MOST_TEXTS)]
    path = put_parquet(tmp_path / "export.parquet", *rows, customer(Marital_Status="single"))
    assert read_by_sight(engine, path, BEHAVIOURAL.contract)[1] == {}
    path = put_parquet(tmp_path / "export.parquet", *rows, *[customer(Marital_Status="single")] * 2)
    assert read_by_sight(engine, path, BEHAVIOURAL.contract)[0][-2:] == ["Single", "Single"]


@pytest.mark.parametrize("of", [pa.float64(), pa.float32()])
@pytest.mark.parametrize(
    ("header", "name", "numbers", "typed", "unreadable"),
    [
        ("Income", "income", [1.0, float("nan"), 2.5], [1.0, None, 2.5], [None, None, None]),
        ("Income", "income", [2.5, float("nan"), 2.5], [2.5, None, 2.5], [None, None, None]),
        ("Income", "income", [float("nan")] * 3, [None, None, None], [None, None, None]),
        (
            "Income",
            "income",
            [float("inf"), float("nan"), None],
            [None, None, None],
            ["Income is 'inf': expected a number", None, None],
        ),
        (
            "Kidhome",
            "kidhome",
            [1.0, float("nan"), 3.5],
            [1, None, None],
            [None, None, "Kidhome is '3.5': expected a whole number up to 127"],
        ),
        (
            "MntWines",
            "mnt_wines",
            [1.75, float("nan"), float("-inf")],
            [2, None, None],
            [None, None, "MntWines is '-inf': expected a number up to 2,147,483,647"],
        ),
    ],
)
def test_nan_in_a_parquet_column_is_a_missing_value(
    engine: DuckDBEngine,
    tmp_path: Path,
    of: pa.DataType,
    header: str,
    name: str,
    numbers: list[float | None],
    typed: list[float | None],
    unreadable: list[str | None],
):
    path = put_parquet(tmp_path / "export.parquet", *[customer()] * 3, **{header: (numbers, of)})
    rows = read(engine, path)
    assert [row[name] for row in rows] == typed
    assert [row["unreadable"] for row in rows] == unreadable


@pytest.mark.parametrize(
    ("header", "name", "cell", "of", "value", "unreadable"),
    [
        ("ID", "customer_id", 2**53 + 1, pa.int64(), 9_007_199_254_740_993, None),
        (
            "ID",
            "customer_id",
            2**63,
            pa.uint64(),
            None,
            "ID is '9223372036854775808': expected a whole number up to 9,223,372,036,854,775,807",
        ),
        ("Kidhome", "kidhome", 300, pa.int32(), None, "Kidhome is '300': expected a whole number up to 127"),
        ("Kidhome", "kidhome", Decimal("2.00"), pa.decimal128(5, 2), 2, None),
        ("Income", "income", Decimal("58138.25"), pa.decimal128(12, 2), 58138.25, None),
        ("Income", "income", None, pa.null(), None, None),
        ("Response", "response", True, pa.bool_(), 1, None),
        ("Education", "education", "PhD", pa.dictionary(pa.int8(), pa.string()), "PhD", None),
    ],
)
def test_parquet_types_are_read_as_the_contracts(
    engine: DuckDBEngine,
    tmp_path: Path,
    header: str,
    name: str,
    cell: Any,
    of: pa.DataType,
    value: Any,
    unreadable: str | None,
):
    path = put_parquet(tmp_path / "export.parquet", customer(), **{header: ([cell], of)})
    assert read(engine, path) == [READ | {name: value, "unreadable": unreadable}]


def test_cells_of_a_workbook_are_read_as_the_contracts(engine: DuckDBEngine, tmp_path: Path):
    row = DELIVERED | {
        "Response": True,
        "Income": 58138.5,
        "Kidhome": 1.5,
        "MntWines": 634.75,
        "ID": "9007199254740993",
    }
    assert read(engine, put_workbook(tmp_path / "export.xlsx", list(row.values()))) == [
        READ
        | {
            "customer_id": 9_007_199_254_740_993,
            "kidhome": None,
            "unreadable": "Kidhome is '1.5': expected a whole number up to 127",
        }
    ]


# Lines


WIDE = values(customer(ID="6")) + ",9,8"
SHORT = "7,1957,Graduation"
WIDE_ROW = NOTHING | {"unreadable": f"The line has more values than the header: {WIDE}"}
SHORT_ROW = NOTHING | {"customer_id": 7, "year_birth": 1957, "education": "Graduation"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_with_too_many_or_too_few_values_are_rows(engine: DuckDBEngine, tmp_path: Path, end: str):
    path = put_lines(tmp_path / "export.csv", WIDE, values(customer()), SHORT, WIDE, values(customer()), end=end)
    assert read(engine, path) == [
        WIDE_ROW | {"line_number": 2},
        READ | {"line_number": 3},
        SHORT_ROW | {"line_number": 4},
        WIDE_ROW | {"line_number": 5},
        READ | {"line_number": 6},
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_are_no_customers_but_count_as_lines(engine: DuckDBEngine, tmp_path: Path, end: str):
    path = put_lines(tmp_path / "export.csv", "", values(customer()), "", "", WIDE, SHORT, "", "", end=end)
    assert read(engine, path) == [
        READ | {"line_number": 3},
        WIDE_ROW | {"line_number": 6},
        SHORT_ROW | {"line_number": 7},
    ]


def test_blank_rows_of_a_workbook_are_no_customers_but_count_as_lines(engine: DuckDBEngine, tmp_path: Path):
    path = put_workbook(tmp_path / "export.xlsx", [], cells(customer()), [], cells(customer()), [None], [""])
    assert read(engine, path) == [READ | {"line_number": 3}, READ | {"line_number": 5}]


def test_a_value_with_line_breaks_stands_on_one_line(engine: DuckDBEngine, tmp_path: Path):
    lines = [values(customer()) + ',"a\n\nb"', values(customer()) + ",c", "", WIDE, values(customer()) + ',"\n"']
    rows = read(engine, put_lines(tmp_path / "export.csv", *lines, further=("Note",)))
    assert [(row["line_number"], row["note"]) for row in rows] == [(2, "a\n\nb"), (3, "c"), (5, None), (6, "\n")]


@given(
    lines=st.lists(st.sampled_from(["good", "wide", "short", "broken", "blank"]), min_size=1, max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
)
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_line_is_a_row_with_its_number(
    engine: DuckDBEngine, tmp_path: Path, lines: list[str], end: str, ends: bool
):
    content = {
        "good": values(customer()),
        "wide": WIDE + ",7",
        "short": SHORT,
        "broken": values(customer()) + ',"a\nb"',
        "blank": "",
    }
    path = put_lines(tmp_path / "export.csv", values(customer()), *map(content.get, lines), further=("Note",), end=end)
    if not ends and lines[-1] != "blank":
        path.write_bytes(path.read_bytes().removesuffix(end.encode()))
    expected = [(2, 5524, None)] + [
        (number, {"good": 5524, "broken": 5524, "short": 7}.get(line), "a\nb" if line == "broken" else None)
        for number, line in enumerate(lines, start=3)
        if line != "blank"
    ]
    assert [(row["line_number"], row["customer_id"], row["note"]) for row in read(engine, path)] == expected


def test_a_quotation_mark_inside_a_value_is_a_letter(engine: DuckDBEngine, tmp_path: Path):
    lines = [values(customer()) + ',5" pipe', values(customer()) + ",x"]
    rows = read(engine, put_lines(tmp_path / "export.csv", *lines, further=("Note",)))
    assert [row["note"] for row in rows] == ['5" pipe', "x"]


def test_text_behind_a_closing_quotation_mark_makes_a_line_unreadable(engine: DuckDBEngine, tmp_path: Path):
    lines = [values(customer()) + ',"x" y', values(customer()) + ",z"]
    rows = read(engine, put_lines(tmp_path / "export.csv", *lines, further=("Note",)))
    assert rows == [
        NOTHING
        | {
            "line_number": 2,
            "note": None,
            "unreadable": f"The line has a quotation mark in the wrong place: {lines[0]}",
        },
        READ | {"line_number": 3, "note": "z"},
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "opening",
    [values(customer()) + ',"x', '"' + values(customer()) + ",x"],
)
def test_a_quotation_mark_that_is_never_closed_loses_no_customer_silently(
    engine: DuckDBEngine, tmp_path: Path, opening: str, end: str
):
    good = values(customer()) + ",x"
    path = put_lines(tmp_path / "export.csv", "", good, opening, good, good, further=("Note",), end=end)
    assert refusal(engine, path) == (
        "a quotation mark opens near line 4 and is never closed, so the rest cannot be read. "
        "Close it or take it out, and deliver the export again."
    )


@pytest.mark.parametrize(
    "write",
    [
        put_lines,
        lambda path: put_lines(path, end=""),
        lambda path: put_lines(path, "", "", end="\r\n"),
        put_workbook,
        lambda path: parquet.write_table(pa.table({h: pa.array([], pa.string()) for h in HEADERS}), path) or path,
        lambda path: (
            parquet.write_table(
                pa.table({h: pa.array([], pa.date32() if h == "Dt_Customer" else pa.int64()) for h in HEADERS}), path
            )
            or path
        ),
    ],
)
def test_a_header_without_customers_is_refused(engine: DuckDBEngine, tmp_path: Path, write):
    path = tmp_path / "export"
    write(path)
    assert refusal(engine, path) == "the file holds a header but no customers. Deliver the export again."


def test_what_duckdb_cannot_read_is_the_exports_fault(engine: DuckDBEngine, tmp_path: Path):
    path = put_csv(tmp_path / "export.csv", customer())
    export = inspect_export(path, BEHAVIOURAL.contract)
    path.unlink()
    with pytest.raises(ExportError) as error:
        read_export(engine, export)
    assert str(error.value).startswith(f"{path}: the file cannot be read (IO Error: ")
    assert str(error.value).endswith("). Deliver it again.")
    assert not isinstance(error.value, duckdb.Error)


def test_the_real_export_is_read_without_loss(engine: DuckDBEngine, real_export: Path):
    frame, readings = read_export(engine, inspect_export(real_export, BEHAVIOURAL.contract))
    rows = engine.rows(frame)
    assert len(rows) == 2240
    assert sum(row["income"] is None for row in rows) == 24
    assert [row["line_number"] for row in rows] == list(range(2, 2242))
    assert not any(row["unreadable"] for row in rows)
    evidence = "2,240 of 2,240 values of Dt_Customer read as day-month-year; 1,324 of them cannot be month-first."
    assert readings.dates == {"dt_customer": DateReading("day-first", evidence)}
    assert not readings.categories


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_lines_keep_their_order_however_many_there_are(engine: DuckDBEngine, tmp_path: Path, kind: str):
    export, kept = tmp_path / f"export.{kind}", tmp_path / "kept.parquet"
    write_sample(export, 5 * BATCH, seed=1)
    read, _ = read_export(engine, inspect_export(export, BEHAVIOURAL.contract))
    engine.write(read, TABLES["raw_customers"], kept)
    lines = parquet.read_table(kept, columns=["line_number"])["line_number"].to_numpy()
    assert len(lines) == 5 * BATCH
    assert (lines[1:] > lines[:-1]).all()
