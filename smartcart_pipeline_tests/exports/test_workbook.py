"""A workbook is read by a process of its own, so that whatever it holds ends only that."""

import resource
import zipfile
from pathlib import Path

import openpyxl
import pytest

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports import workbook
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading_duckdb import read_export
from smartcart_pipeline_tests.declared import BEHAVIOURAL
from smartcart_pipeline_tests.exports.test_reading_duckdb import HEADERS, cells, customer
from smartcart_pipeline_tests.forked import smartcart

TOO_MUCH = (
    "reading the Excel workbook takes more than 3 GB of memory or 300 seconds, or ends at once (its process ended by "
    "{}). A stray cell far below or beside the customers may be why. Copy the customers alone into a new workbook, or "
    "save them as CSV, and deliver that."
)


def put(path: Path, **further: str) -> Path:
    made = openpyxl.Workbook()
    made.active.append(HEADERS)
    made.active.append(cells(customer()))
    for place, text in further.items():
        made.active[place] = text
    made.save(path)
    return path


def swap_sheet(path: Path, pieces: list[bytes]) -> Path:
    """Put another XML in the place of the first sheet's."""
    with zipfile.ZipFile(path) as file:
        kept = {name: file.read(name) for name in file.namelist() if name != "xl/worksheets/sheet1.xml"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in kept.items():
            file.writestr(name, content)
        with file.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            for piece in pieces:
                sheet.write(piece)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ExportError) as error:
        inspect_export(path, BEHAVIOURAL.contract)
    return str(error.value).removeprefix(f"{path}: ")


def test_a_stray_cell_in_the_last_corner_is_refused(tmp_path: Path):
    assert refusal(put(tmp_path / "export.xlsx", XFD1048576="x")) == TOO_MUCH.format("SIGABRT")


@pytest.mark.night
def test_the_command_refuses_it_and_publishes_nothing(tmp_path: Path):
    path, home = put(tmp_path / "export.xlsx", XFD1048576="x"), tmp_path / "home"
    done = smartcart("run", "--input", path, "--home", home)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"smartcart: {path}: {TOO_MUCH.format('SIGABRT')}" in done.stderr.replace("\n", " ")
    assert not (home / "warehouse.duckdb").exists()


def test_a_stray_cell_that_is_not_far_is_no_harm(engine: DuckDBEngine, tmp_path: Path):
    path = put(tmp_path / "export.xlsx", Z5000="x")
    export = inspect_export(path, BEHAVIOURAL.contract)
    assert export.rows == 4999
    frame, _ = read_export(engine, export)
    assert [row["line_number"] for row in engine.rows(frame.sort("line_number"))] == [2, 5000]


def test_a_sheet_that_unfolds_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workbook, "MEMORY_BYTES", 300_000_000)
    start = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1"'
    )
    path = swap_sheet(put(tmp_path / "export.xlsx"), [start, b' t="str"><v>', *([b"0" * (1 << 20)] * 400)])
    assert refusal(path).startswith("reading the Excel workbook takes more than 0 GB of memory or 300 seconds")


def test_a_workbook_that_takes_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workbook, "SECONDS", 1)
    start = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    path = swap_sheet(put(tmp_path / "export.xlsx"), [start, *([b'<row r="1"></row>' * 100_000] * 600)])
    assert refusal(path).startswith("reading the Excel workbook takes more than 3 GB of memory or 1 seconds")


def test_styled_rows_without_values_are_no_rows(tmp_path: Path):
    path = put(tmp_path / "export.xlsx")
    with zipfile.ZipFile(path) as file:
        sheet = file.read("xl/worksheets/sheet1.xml")
    styled = b"".join(b'<row r="%d"><c r="A%d" s="0"/></row>' % (row, row) for row in range(3, 1_000_000))
    path = swap_sheet(path, [sheet.replace(b"</sheetData>", styled + b"</sheetData>")])
    assert inspect_export(path, BEHAVIOURAL.contract).rows == 1


def test_this_process_takes_nothing_of_what_its_cells_take(tmp_path: Path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = put(tmp_path / "export.xlsx", Z1000000="x")
    assert inspect_export(path, BEHAVIOURAL.contract).rows == 999_999
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 50


@pytest.mark.parametrize(
    ("code", "said"),
    [(-9, "its process ended by SIGKILL"), (-11, "its process ended by SIGSEGV"), (3, "its process ended with 3")],
)
def test_how_the_process_ended_is_said(code: int, said: str):
    assert workbook._say_end(code) == said
