"""Whatever an export holds, reading it takes no more memory than is set, and line numbers stay right."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.csv_text import CHUNK, MAX_LINE_BYTES
from smartcart_pipeline.exports.inspecting import MAX_FURTHER, inspect_export, tell_left_out
from smartcart_pipeline.exports.reading_duckdb import read_export
from smartcart_pipeline_tests.declared import BEHAVIOURAL, NAMES
from smartcart_pipeline_tests.exports.test_reading_duckdb import DELIVERED, HEADERS

# What DuckDB may use below, and what Python with all that is imported takes beside it.
LIMIT_MB, BESIDE_MB = 300, 250

HEADER = (",".join(HEADERS) + "\n").encode()
ROW = (",".join(DELIVERED.values()) + "\n").encode()

# Reads an export into a Parquet file in a process of its own, and says what came of it and what it took.
READ = """
import json, re, resource, sys
from pathlib import Path
from smartcart_pipeline.declaration.declaration import shipped_declaration
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.tables import declare_raw
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading_duckdb import read_export
path, limit, contract = Path(sys.argv[1]), sys.argv[2], shipped_declaration().contract
engine = DuckDBEngine(limit, path.parent / "spill")
said = {}
try:
    frame, _ = read_export(engine, inspect_export(path, contract))
    said["rows"] = engine.write(frame, declare_raw(contract), path.parent / "kept.parquet").rows
except ExportError as error:
    said["refused"] = str(error)
# The peak of this very program: what the system tells of a process begins with that of the one that started it.
own = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
said["mb"] = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
print(json.dumps(said))
"""


def read_apart(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", READ, path, f"{LIMIT_MB}MB"],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said.pop("mb") < LIMIT_MB + BESIDE_MB
    return said


def put(path: Path, pieces: Iterable[bytes]) -> Path:
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as file:
        file.writelines(pieces)
    return path


def kept_lines(path: Path) -> list[int]:
    lines: list[int] = parquet.read_table(path.parent / "kept.parquet")["line_number"].to_pylist()
    return lines


def test_half_a_million_blank_lines_take_no_memory_and_count_as_lines(tmp_path: Path):
    path = put(tmp_path / "export.csv", [HEADER, ROW, b"\n" * 500_000, ROW, b"\n", ROW])
    assert read_apart(path) == {"rows": 3}
    assert sorted(kept_lines(path)) == [2, 500_003, 500_005]


def test_every_row_has_its_number_where_every_second_line_is_blank(tmp_path: Path):
    path = put(tmp_path / "export.csv.gz", [HEADER, (b"\n" + ROW) * 200_000])
    assert read_apart(path) == {"rows": 200_000}
    assert sorted(kept_lines(path)) == list(range(3, 400_003, 2))


def test_blank_lines_count_as_lines_where_carriage_returns_end_them(engine: DuckDBEngine, tmp_path: Path):
    path = put(tmp_path / "export.csv", [(HEADER + b"\n" + ROW + ROW[:-1] + b",9\n\n" + ROW).replace(b"\n", b"\r")])
    frame, _ = read_export(engine, inspect_export(path, BEHAVIOURAL.contract))
    rows = engine.rows(frame.sort("line_number"))
    assert [(row["line_number"], row["customer_id"]) for row in rows] == [(3, 5524), (4, None), (6, 5524)]


@pytest.mark.parametrize("piece", [b"\n" * CHUNK, b"\r\n" * CHUNK, ROW * 10_000], ids=["blank", "crlf", "same"])
def test_a_compressed_text_out_of_all_proportion_is_refused(tmp_path: Path, piece: bytes):
    """As long as it can be told without unfolding it all."""
    path = put(tmp_path / "export.csv.gz", [HEADER, ROW, *([piece] * (80_000_000 // len(piece)))])
    assert read_apart(path)["refused"] == (
        f"{path}: the compressed file of {path.stat().st_size:,} bytes holds more than 64,000,000 bytes of text, as no "
        "export of customers does: most of it is one and the same again and again, like blank lines. "
        "Deliver the export without them, or not compressed."
    )


@pytest.mark.parametrize("letter", [b"a", b'"', b",", b"\0"])
@pytest.mark.parametrize("name", ["export.csv", "export.csv.gz"])
def test_a_line_without_end_is_refused(tmp_path: Path, letter: bytes, name: str):
    path = put(tmp_path / name, [HEADER, ROW, *([letter * CHUNK] * (MAX_LINE_BYTES // CHUNK + 3))])
    assert read_apart(path)["refused"] == (
        f"{path}: line 3 is longer than 32,000,000 bytes: this is no text with a line for each customer. "
        "Deliver the export again."
    )


@pytest.mark.parametrize(
    ("lines", "faulty"),
    [
        ([ROW[:-1] + b",7" * 900_000 + b"\n"], "1, the first of them line 3"),
        ([ROW[:-1] + b",7" * 1_500 + b"\n"] * 300, "300, the first of them line 3"),
        ([b'"x" y' + ROW] * 300_000, "300,000, the first of them line 3"),
    ],
    ids=["one", "some", "many"],
)
def test_more_malformed_lines_than_can_be_set_down_are_refused(tmp_path: Path, lines: list[bytes], faulty: str):
    path = put(tmp_path / "export.csv", [HEADER, ROW, *lines, ROW])
    assert read_apart(path)["refused"] == (
        f"{path}: too much of it cannot be put into columns to set it all down. Lines with more values than the header "
        f"or a quotation mark in the wrong place: {faulty}. Correct the export and deliver it again."
    )


def test_malformed_lines_among_blank_ones_have_their_numbers(tmp_path: Path):
    path = put(tmp_path / "export.csv", [HEADER, (b"\n" + ROW[:-1] + b",7\n\n\n" + ROW) * 20_000])
    assert read_apart(path) == {"rows": 40_000}
    assert sorted(kept_lines(path)) == sorted([*range(3, 100_002, 5), *range(6, 100_002, 5)])


# Columns


def wide_csv(path: Path, columns: int) -> Path:
    further = [f"x{number}" for number in range(columns)]
    header, row = ",".join([*further, *HEADERS]), ",".join(["1"] * columns + list(DELIVERED.values()))
    return put(path, [f"{header}\n".encode(), f"{row}\n".encode() * 500])


def wide_parquet(path: Path, columns: int) -> Path:
    further = {f"x{number}": pa.array(range(500)) for number in range(columns)}
    texts = {header: pa.array([DELIVERED[header]] * 500) for header in HEADERS}
    parquet.write_table(pa.table(further | texts), path)
    return path


@pytest.mark.parametrize("write", [wide_csv, wide_parquet])
def test_of_ten_thousand_further_columns_the_first_are_carried_along(tmp_path: Path, write: Any):
    path = write(tmp_path / "export", 10_000)
    assert read_apart(path) == {"rows": 500}
    kept = parquet.read_schema(tmp_path / "kept.parquet").names
    assert kept == ["line_number", *NAMES, "unreadable", *(f"x{n}" for n in range(MAX_FURTHER))]
    assert tell_left_out(inspect_export(path, BEHAVIOURAL.contract)) == (
        "export has 10,000 columns beyond the contract: the first 200 are carried along, 9,800 are left out "
        "(x200, x201, x202, …)."
    )


@pytest.mark.parametrize(("number", "told"), [(1, "(x200)"), (3, "(x200, x201, x202)"), (4, "(x200, x201, x202, …)")])
def test_three_columns_that_are_left_out_are_named(tmp_path: Path, number: int, told: str):
    export = inspect_export(wide_parquet(tmp_path / "export", MAX_FURTHER + number), BEHAVIOURAL.contract)
    assert tell_left_out(export).endswith(f" {number} are left out {told}.")


def test_line_breaks_in_a_column_that_is_left_out_are_no_lost_lines(engine: DuckDBEngine, tmp_path: Path):
    further = [f"x{number}" for number in range(MAX_FURTHER)]
    header = ",".join([*HEADERS, *further, "Note"])
    row = ROW.decode().strip() + "," * MAX_FURTHER
    path = put(tmp_path / "export.csv", [f'{header}\n{row},"a\n\nb"\n\n{row},c\n'.encode()])
    frame, _ = read_export(engine, inspect_export(path, BEHAVIOURAL.contract))
    assert [row["line_number"] for row in engine.rows(frame.sort("line_number"))] == [2, 4]


def test_a_header_without_end_is_refused(tmp_path: Path):
    path = wide_csv(tmp_path / "export.csv", 1)
    path.write_bytes(HEADER[:-1] + b",x" * 1_000_000 + b"\n" + ROW)
    assert read_apart(path)["refused"] == (
        f"{path}: the header is longer than 1,048,576 bytes. Deliver the columns of the contract, and few others."
    )
