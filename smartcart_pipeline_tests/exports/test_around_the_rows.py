"""What stands around the rows of an export costs no customer: titles, blank rows, repeated headers, odd texts."""

import gzip
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartcart_pipeline.declaration.errors import ExportError, HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.csv_text import CHUNK
from smartcart_pipeline.exports.inspecting import Export, inspect_export, inspect_unknown, tell_skipped
from smartcart_pipeline.exports.reading_duckdb import read_export
from smartcart_pipeline.exports.surveying import survey_export
from smartcart_pipeline_tests.declared import BEHAVIOURAL
from smartcart_pipeline_tests.exports.test_bounded_exports import put, read_apart
from smartcart_pipeline_tests.exports.test_reading_duckdb import (
    DELIVERED,
    HEADERS,
    NOTHING,
    READ,
    cells,
    customer,
    put_workbook,
    values,
)

HEADER, ROW, WIDE = ",".join(HEADERS), values(customer()), values(customer()) + ",9"
REPEATED = NOTHING | {"unreadable": "The line repeats the header"}


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDBEngine]:
    """One for all: what it read before must not show in what it reads next."""
    engine = DuckDBEngine()
    yield engine
    engine.close()


def put_text(path: Path, *lines: str, end: str = "\n", encoding: str = "utf-8") -> Path:
    content = "".join(line + end for line in lines).encode(encoding)
    return put(path, [content])


def inspect(path: Path) -> Export:
    return inspect_export(path, BEHAVIOURAL.contract)


def read(engine: DuckDBEngine, path: Path) -> list[dict[str, Any]]:
    frame, _ = read_export(engine, inspect(path))
    return engine.rows(frame.sort("line_number"))


def read_lines(engine: DuckDBEngine, path: Path) -> list[tuple[int, int | None]]:
    return [(row["line_number"], row["customer_id"]) for row in read(engine, path)]


def refusal(engine: DuckDBEngine, path: Path) -> str:
    with pytest.raises(ExportError) as error:
        read(engine, path)
    return str(error.value).removeprefix(f"{path}: ")


# Above the header


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("told", ["sep={}", "SEP={}", '"sep={}"', "\ufeffsep={}", "sep={},,,"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_line_that_tells_the_separator_is_no_header(
    engine: DuckDBEngine, tmp_path: Path, delimiter: str, told: str, end: str
):
    lines = [told.format(delimiter), delimiter.join(HEADERS), values(customer(), delimiter)]
    path = put_text(tmp_path / "export.csv", *lines, end=end)
    assert (inspect(path).delimiter, inspect(path).headers, inspect(path).skipped) == (delimiter, HEADERS, 1)
    assert read(engine, path) == [READ | {"line_number": 3}]


def test_the_separator_that_is_told_goes_before_what_the_headers_say(tmp_path: Path):
    path = put_text(tmp_path / "export.csv", "sep=|", "|".join([*HEADERS, ",".join(HEADERS)]), "1")
    assert inspect(path).delimiter == "|"
    assert inspect_unknown(put_text(tmp_path / "other.csv", "sep=;", "a,b,c;d", "1,2,3;4")).headers == ("a,b,c", "d")


TITLES = {
    "title": ["Customer export"],
    "padded": ["Customer export;;", "Created by CRM;;"],
    "blank": ["", "", ""],
    "separators": [",,,,,", '"","",""'],
    "title and blank": ["Customers of ACME, 2024", "", '"As of","2024-01-01"', ""],
    "letter": ['Screens of 5" and more', ""],
    "open quote": ['Customers, "all of them', ""],
    "over two lines": ['"Customers', 'of ACME"'],
    "words of the header": ["ID: the number of the customer", "ID,Income"],
    "separator": ["sep=,", "Customer export", ""],
    "many": [f"Remark {number}" for number in range(19)],
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["export.csv", "export.csv.gz"])
@pytest.mark.parametrize("above", TITLES.values(), ids=TITLES)
def test_what_stands_above_the_header_is_no_customer(
    engine: DuckDBEngine, tmp_path: Path, above: list[str], name: str, end: str
):
    skipped = len(above)
    path = put_text(tmp_path / name, *above, HEADER, ROW, "", WIDE, ROW, end=end)
    export = inspect(path)
    assert (export.skipped, export.headers, export.rows) == (skipped, HEADERS, 4)
    assert read_lines(engine, path) == [(skipped + 2, 5524), (skipped + 4, None), (skipped + 5, 5524)]


def test_what_stands_above_the_header_is_told(tmp_path: Path):
    one = inspect(put_text(tmp_path / "one.csv", "Customers", HEADER, ROW))
    assert tell_skipped(one) == "The first line of one.csv stands above the header and is no customer."
    three = inspect(put_text(tmp_path / "three.csv", "Customers", "by CRM", "", HEADER, ROW))
    assert tell_skipped(three) == "The first 3 lines of three.csv stand above the header and are no customers."


def test_a_header_far_below_is_none(tmp_path: Path):
    path = put_text(tmp_path / "export.csv", *["Remark"] * 20, HEADER, ROW)
    with pytest.raises(ExportError, match=r"none of the 22 expected columns is there\. Its first line has 1 column\. "):
        inspect(path)


def test_a_header_that_lacks_a_column_stays_the_header(engine: DuckDBEngine, tmp_path: Path):
    path = put_text(tmp_path / "export.csv", HEADER.replace("Income", "Zip"), ROW, ROW)
    assert refusal(engine, path).startswith("1 of the 22 expected columns is missing: Income. ")


def test_of_a_header_below_a_title_what_is_missing_is_told(engine: DuckDBEngine, tmp_path: Path):
    path = put_text(tmp_path / "export.csv", "Customers", HEADER.replace("Income", "Incomes"), ROW)
    assert refusal(engine, path).startswith("1 of the 22 expected columns is missing: Income (nearest name found: 'Inc")


def test_a_header_without_end_below_a_title_is_refused(tmp_path: Path):
    path = put(tmp_path / "export.csv", [f"Customers\n{HEADER}".encode(), b",x" * 1_000_000, b"\n"])
    with pytest.raises(ExportError, match="the header is longer than 1,048,576 bytes"):
        inspect(path)


@pytest.mark.parametrize("opening", ['"x', 'y,"x'])
def test_a_quotation_mark_that_is_never_closed_is_found_below_a_title(
    engine: DuckDBEngine, tmp_path: Path, opening: str
):
    path = put_text(tmp_path / "export.csv", "Customers", "", HEADER, "", ROW, opening, ROW, ROW)
    assert refusal(engine, path).startswith("a quotation mark opens near line 6 and is never closed")


TABLE = ["id,name,income", "1,Ann,10", "2,Bob,20", "3,Cid,30"]


@pytest.mark.parametrize(
    ("above", "skipped"),
    [
        ([], 0),
        (["sep=,"], 1),
        (["", "", ",,"], 3),
        (["sep=,", ""], 2),
        (["Customers"], 1),
        (["", "Customers", "by CRM", ""], 4),
        (["Customers,,"], 1),
        (["Customers; all of them"], 1),
    ],
)
def test_of_an_unknown_table_what_is_evidently_no_header_is_skipped(
    engine: DuckDBEngine, tmp_path: Path, above: list[str], skipped: int
):
    export = inspect_unknown(put_text(tmp_path / "export.csv", *above, *TABLE))
    assert (export.skipped, export.headers, export.delimiter) == (skipped, ("id", "name", "income"), ",")
    assert survey_export(engine, export).rows == 3


@pytest.mark.parametrize(
    "lines",
    [
        ["address", "Street 1,1010 Vienna", "Street 2,1020 Vienna", "Street 3,1030 Vienna"],
        ["a,b,c", "x,1,1,1", "y,2,2,2", "z,3,3,3"],
        ["id;income;rate", "1;2,5;3,5", "2;4,5;5,5", "3;6,5;7,5"],
        ["name", "Ann", "Bob", "Cid"],
    ],
)
def test_of_an_unknown_table_the_first_line_is_the_header_where_nothing_else_is_evident(
    tmp_path: Path, lines: list[str]
):
    export = inspect_unknown(put_text(tmp_path / "export.csv", *lines))
    assert (export.skipped, ",".join(export.headers).replace(";", ",")) == (0, lines[0].replace(";", ","))


# Rows without values


BLANK_ROWS = {
    "separators": "," * 21,
    "spaces": " , ,  " + "," * 19,
    "quotes": ",".join(['""'] * 22),
    "too few": ",,",
    "too many": "," * 40,
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("blank", BLANK_ROWS.values(), ids=BLANK_ROWS)
def test_rows_of_separators_only_are_no_customers_but_count_as_lines(
    engine: DuckDBEngine, tmp_path: Path, blank: str, end: str
):
    path = put_text(tmp_path / "export.csv", HEADER, blank, ROW, "", blank, WIDE, blank, ROW, blank, blank, end=end)
    assert read_lines(engine, path) == [(3, 5524), (6, None), (8, 5524)]


def test_a_row_with_any_value_is_a_row(engine: DuckDBEngine, tmp_path: Path):
    path = put_text(tmp_path / "export.csv", HEADER + ",Note", "," * 22 + "x", "NA" + "," * 22, ROW)
    assert read_lines(engine, path) == [(2, None), (3, None), (4, 5524)]


def test_a_file_of_rows_without_values_holds_no_customers(engine: DuckDBEngine, tmp_path: Path):
    path = put_text(tmp_path / "export.csv", HEADER, *["," * 21] * 3)
    assert refusal(engine, path) == "the file holds a header but no customers. Deliver the export again."


def test_rows_without_values_are_kept_where_columns_are_left_out(engine: DuckDBEngine, tmp_path: Path):
    """The value may be in a column that nobody reads."""
    further = [f"x{number}" for number in range(201)]
    path = put_text(tmp_path / "export.csv", ",".join([*HEADERS, *further]), "," * 222 + "x", ROW)
    assert read_lines(engine, path) == [(2, None), (3, 5524)]


def test_rows_without_values_are_left_out_of_a_survey(engine: DuckDBEngine, tmp_path: Path):
    path = put_text(tmp_path / "export.csv", *TABLE, ",,", "4,,", ",,")
    assert survey_export(engine, inspect_unknown(path)).rows == 4


LINES = {
    "good": ROW + ",a",
    "wide": WIDE + ",7,8",
    "broken": ROW + ',"a\nb"',
    "blank": "",
    "bare": "," * 22,
    "header": HEADER + ",Note",
}


@given(
    above=st.lists(st.sampled_from(["", "Customers", '"As of","today"', ",,,", '5"', 'a "b, "c']), max_size=4),
    lines=st.lists(st.sampled_from(list(LINES)), max_size=12),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1, max_size=4),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]),
)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_row_is_lost_or_counted_twice(
    engine: DuckDBEngine, tmp_path: Path, above: list[str], lines: list[str], ends: list[str], encoding: str
):
    texts = [*above, LINES["header"], LINES["good"], *(LINES[line] for line in lines)]
    content = "".join(text + ends[number % len(ends)] for number, text in enumerate(texts))
    path = put(tmp_path / "export.csv", [content.encode(encoding)])
    first = len(above) + 2
    # A blank line between a carriage return and a line feed is none: both end one line.
    numbers = [1 + len(content_before(texts, ends, place)) for place in range(len(above) + 1, len(texts))]
    told = {"wide": None, "header": None}
    expected = [
        (number, told.get(line, 5524))
        for number, line in zip(numbers, ["good", *lines], strict=True)
        if line not in ("blank", "bare")
    ]
    assert numbers[0] <= first
    assert read_lines(engine, path) == expected


def content_before(texts: list[str], ends: list[str], place: int) -> list[str]:
    """The lines above a place, a value with line breaks counted as one."""
    before = "".join(text.replace("\n", "") + ends[number % len(ends)] for number, text in enumerate(texts[:place]))
    return before.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]


# Rows that are no customers


@pytest.mark.parametrize("repeated", [HEADER, "\ufeff" + HEADER, ",".join(f'" {header} "' for header in HEADERS)])
def test_a_header_further_down_is_refused_as_one(engine: DuckDBEngine, tmp_path: Path, repeated: str):
    path = put_text(tmp_path / "export.csv", HEADER, ROW, repeated, ROW, "," * 21, WIDE)
    rows = read(engine, path)
    assert rows[:3] == [READ, REPEATED | {"line_number": 3}, READ | {"line_number": 4}]
    assert [row["line_number"] for row in rows] == [2, 3, 4, 6]


def test_a_row_that_repeats_only_some_headers_is_told_value_by_value(engine: DuckDBEngine, tmp_path: Path):
    path = put_text(tmp_path / "export.csv", HEADER, ROW, values(customer(ID="ID")))
    assert read(engine, path)[1]["unreadable"].startswith("ID is 'ID': expected a whole number")


def test_a_row_of_totals_is_unreadable(engine: DuckDBEngine, tmp_path: Path):
    totals = values(dict.fromkeys(HEADERS, "") | {"ID": "Total", "MntWines": "680816"})
    path = put_text(tmp_path / "export.csv", HEADER, ROW, totals, "", "2 rows")
    assert [(row["line_number"], row["unreadable"]) for row in read(engine, path)] == [
        (2, None),
        (3, "ID is 'Total': expected a whole number up to 9,223,372,036,854,775,807"),
        (5, "ID is '2 rows': expected a whole number up to 9,223,372,036,854,775,807"),
    ]


# Texts


@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_utf_16_is_read(engine: DuckDBEngine, tmp_path: Path, codec: str, mark: str, end: str):
    lines = [f"{mark}{HEADER},Größe,Note", f"{ROW},1,Zoë €", "", f'{ROW},2,"Ω😀"']
    path = put_text(tmp_path / "export.csv", *lines, end=end, encoding=codec)
    assert (inspect(path).format, inspect(path).headers[-2]) == ("CSV, comma, utf-16", "Größe")
    assert [(row["line_number"], row["note"]) for row in read(engine, path)] == [(2, "Zoë €"), (4, "Ω😀")]


@pytest.mark.parametrize(("row", "said"), [(3, "line 3"), (40_000, "line 40,000")])
def test_bytes_that_are_no_utf_16_are_told_with_their_line(engine: DuckDBEngine, tmp_path: Path, row: int, said: str):
    content = f"\ufeff{HEADER}\n".encode("utf-16-le") + f"{ROW}\n".encode("utf-16-le") * (row - 2)
    path = put(tmp_path / "export.csv", [content, b"\x00\xdc", f"{ROW}\n".encode("utf-16-le")])
    assert refusal(engine, path) == (
        f"{said} holds bytes that are no letter in UTF-16. Save it as UTF-8 and deliver it again."
    )


def test_utf_16_that_is_cut_within_a_letter_is_told(engine: DuckDBEngine, tmp_path: Path):
    path = put(tmp_path / "export.csv", [f"\ufeff{HEADER}\n{ROW}\n".encode("utf-16-le"), b"1"])
    assert refusal(engine, path).startswith("line 3 holds bytes that are no letter in UTF-16.")


@pytest.mark.parametrize("name", ["export.csv", "export.csv.gz"])
def test_windows_1252_is_read(engine: DuckDBEngine, tmp_path: Path, name: str):
    notes = ["Málaga – “Sur” €", "O’Brien", "Žižek"]  # noqa: RUF001
    path = put_text(tmp_path / name, f"{HEADER},Note €", *(f"{ROW},{note}" for note in notes), encoding="windows-1252")
    assert inspect(path).format == "CSV, comma, windows-1252" + (", gzip" if path.suffix == ".gz" else "")
    assert inspect(path).headers[-1] == "Note €"
    assert [row["note"] for row in read(engine, path)] == notes


@pytest.mark.parametrize("byte", [0x81, 0x8D, 0x8F, 0x90, 0x9D])
def test_a_byte_that_windows_1252_does_not_know_is_told_with_its_line(engine: DuckDBEngine, tmp_path: Path, byte: int):
    path = put(tmp_path / "export.csv", [f"{HEADER},Note\n{ROW},€\n{ROW},".encode("cp1252"), bytes([byte]), b"\n"])
    assert refusal(engine, path) == (
        "the text is neither UTF-8 nor Latin-1, and line 3 holds bytes that are no letter in Windows-1252. "
        "Save it as UTF-8 and deliver it again."
    )


def test_utf_8_that_is_damaged_is_not_taken_for_windows_1252(engine: DuckDBEngine, tmp_path: Path):
    path = put(tmp_path / "export.csv", [f"{HEADER},Note\n{ROW},O’Brien\n{ROW},".encode(), b"\x92s\n"])  # noqa: RUF001
    assert refusal(engine, path) == (
        "line 3 holds bytes that are no letter in UTF-8, as those of the letters before it are: the text is damaged, "
        "or put together from several. Save it as UTF-8 and deliver it again."
    )


def test_utf_32_is_refused(engine: DuckDBEngine, tmp_path: Path):
    path = put_text(tmp_path / "export.csv", HEADER, ROW, encoding="utf-32")
    assert refusal(engine, path) == "the text is UTF-32. Save it as UTF-8 and deliver it again."


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """No file may grow larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_there_is_no_room_for_a_copy_that_is_no_fault_of_the_export(tmp_path: Path):
    path = put_text(tmp_path / "export.csv", HEADER, *[ROW] * 5_000, encoding="utf-16")
    with no_room(100_000), pytest.raises(HomeError) as error:
        inspect(path)
    assert str(error.value) == f"{tempfile.gettempdir()}: cannot be written (File too large). Make room there."


# Line ends


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252"])
@pytest.mark.parametrize("name", ["export.csv", "export.csv.gz"])
@pytest.mark.parametrize(
    "ends", [("\n", "\r\n"), ("\r\n", "\n"), ("\r", "\n"), ("\n", "\r"), ("\r\n", "\r"), ("\r", "\n", "\r\n")]
)
def test_lines_that_end_in_different_ways_are_read(
    engine: DuckDBEngine, tmp_path: Path, ends: tuple[str, ...], name: str, encoding: str
):
    note = "€" if encoding == "cp1252" else "Zoë"
    lines = [f"{HEADER},Note", f"{ROW},{note}", f"{ROW},{note}", ",,,", f"{WIDE},1", f"{ROW},{note}", ROW]
    content = "".join(line + ends[number % len(ends)] for number, line in enumerate(lines))
    path = put(tmp_path / name, [content.encode(encoding)])
    assert inspect(path).rows == 6
    assert [(row["line_number"], row["note"]) for row in read(engine, path)] == [
        (2, note),
        (3, note),
        (5, None),
        (6, note),
        (7, None),
    ]


def test_line_breaks_within_values_are_no_reason_for_a_copy(engine: DuckDBEngine, tmp_path: Path):
    lines = [f"{HEADER},Note", f'{ROW},"a\nb"', f'{ROW},"a\rb"', f'{ROW},"a\r\nb"']
    path = put_text(tmp_path / "export.csv", *lines, end="\r\n")
    with no_room(0):
        assert [row["note"] for row in read(engine, path)] == ["a\nb", "a\rb", "a\r\nb"]


def test_a_line_end_across_two_pieces_of_the_file_is_one(engine: DuckDBEngine, tmp_path: Path):
    start = f"{HEADER},Note\r\n{ROW},".encode()
    letters = b"x" * (CHUNK - 1 - len(start))
    path = put(tmp_path / "export.csv", [start, letters, b"\r\n", f"{ROW},y\r\n".encode()])
    assert inspect(path).rows == 2
    path = put(path, [start, letters, b"\r\n", f"{ROW},y\n".encode()])
    assert read_lines(engine, path) == [(2, 5524), (3, 5524)]


# Workbooks


@pytest.mark.parametrize(
    "above",
    [
        [["Customer export"], ["Created", date(2024, 1, 1)], []],
        [[], []],
        [["ID", "Income", "and so on"]],
    ],
)
def test_what_stands_above_the_header_of_a_sheet_is_no_customer(
    engine: DuckDBEngine, tmp_path: Path, above: list[list[Any]]
):
    first, *further = [*above, list(HEADERS)]
    rows = [*further, cells(customer()), [], [" ", ""], cells(customer()), list(HEADERS)]
    path = put_workbook(tmp_path / "export.xlsx", *rows, headers=tuple(first))
    skipped = len(above)
    assert (inspect(path).skipped, inspect(path).rows) == (skipped, 5)
    assert read(engine, path) == [
        READ | {"line_number": skipped + 2},
        READ | {"line_number": skipped + 5},
        REPEATED | {"line_number": skipped + 6},
    ]


@pytest.mark.parametrize(
    ("above", "skipped"), [([], 0), ([[]], 1), ([["Customers"], []], 2), ([["Customers", "2024"]], 0)]
)
def test_of_an_unknown_sheet_what_is_evidently_no_header_is_skipped(
    engine: DuckDBEngine, tmp_path: Path, above: list[list[Any]], skipped: int
):
    first, *rows = [*above, *(line.split(",") for line in TABLE)]
    export = inspect_unknown(put_workbook(tmp_path / "export.xlsx", *rows, headers=tuple(first)))
    assert export.skipped == skipped
    if skipped == len(above):
        assert (export.headers, survey_export(engine, export).rows) == (("id", "name", "income"), 3)


def days(*cells_of: object) -> list[list[Any]]:
    return [[day if header == "Dt_Customer" else cell for header, cell in DELIVERED.items()] for day in cells_of]


@pytest.mark.parametrize("text", ["24-09-2012", "24/9/2012", "24.09.12", "9/24/2012 10:30"])
def test_dates_of_a_sheet_some_of_which_stayed_texts_are_refused(engine: DuckDBEngine, tmp_path: Path, text: str):
    title = [["Customers", *[None] * 6, date(2024, 1, 1)], list(HEADERS)]
    path = put_workbook(tmp_path / "export.xlsx", *title[1:], *days(date(2012, 9, 4), date(2012, 9, 5), text, None),
                        headers=tuple(title[0]))  # fmt: skip
    assert refusal(engine, path) == (
        "column Dt_Customer holds 2 dates and 1 texts (the first in line 5). A spreadsheet turns what fits its own "
        "order of day and month into dates and leaves the rest as text, so day and month of these dates may be "
        "swapped. Export the customers again as CSV or Parquet, or make that column text before they are put into the "
        "workbook, and deliver that."
    )


@pytest.mark.parametrize("all_days", [(date(2012, 9, 4), "2012-09-05", "unknown"), ("24-09-2012", "23-09-2012")])
def test_dates_of_a_sheet_that_are_all_of_one_kind_are_read(
    engine: DuckDBEngine, tmp_path: Path, all_days: tuple[object, ...]
):
    path = put_workbook(tmp_path / "export.xlsx", *days(*all_days))
    assert [row["dt_customer"] is None for row in read(engine, path)] == [day == "unknown" for day in all_days]


# Bounds


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-8"])
def test_a_compressed_text_of_nothing_but_zeros_is_refused(tmp_path: Path, codec: str):
    path = put(tmp_path / "export.csv.gz", [f"\ufeff{HEADER}\n{ROW}\n".encode(codec), *[bytes(CHUNK)] * 300])
    said = read_apart(path)["refused"]
    assert "is longer than 32,000,000 bytes" in said or "bytes of text, as no export of customers does" in said


def test_a_compressed_text_in_utf_16_out_of_all_proportion_is_refused(tmp_path: Path):
    path = put(tmp_path / "export.csv.gz", [f"\ufeff{HEADER}\n".encode("utf-16-le"), *[b"\n\0" * (CHUNK // 2)] * 80])
    assert "holds more than 64,000,000 bytes of text" in read_apart(path)["refused"]


def test_a_large_text_in_utf_16_takes_no_memory(tmp_path: Path):
    rows = f"{ROW}\r\n".encode("utf-16-le") * 10_000
    path = put(tmp_path / "export.csv", [f"\ufeff{HEADER}\r\n".encode("utf-16-le"), *[rows] * 40])
    assert read_apart(path) == {"rows": 400_000}


def test_a_sheet_of_all_columns_there_are_is_read_or_refused(tmp_path: Path):
    path, made = tmp_path / "export.xlsx", openpyxl.Workbook()
    further = 16_384 - len(HEADERS)
    made.active.append([*HEADERS, *(f"x{number}" for number in range(further))])
    made.active.append([*cells(customer()), *[1] * further])
    made.save(path)
    assert read_apart(path) == {"rows": 1}


def test_a_sheet_with_a_first_line_without_end_is_refused(engine: DuckDBEngine, tmp_path: Path):
    path = put_workbook(tmp_path / "export.xlsx", cells(customer()), headers=(*HEADERS, *["x" * 30_000] * 40))
    assert refusal(engine, path) == (
        "the first line is longer than 1,048,576 characters. Deliver the columns of the contract, and few others."
    )


def test_zipped_and_plain_texts_are_copied_alike(engine: DuckDBEngine, tmp_path: Path):
    content = f"{HEADER}\n{ROW}\n".encode("utf-16")
    plain, zipped = tmp_path / "plain.csv", tmp_path / "zipped.csv"
    plain.write_bytes(content)
    zipped.write_bytes(gzip.compress(content))
    assert read(engine, plain) == read(engine, zipped) == [READ]
