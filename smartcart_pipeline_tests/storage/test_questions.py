"""A question is one SELECT within the warehouse, and its answer is written so that nobody takes a value for another."""

import io
import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet

from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.storage import questions
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import publish
from smartcart_pipeline.storage.questions import WRITERS, ask, write_text
from smartcart_pipeline_tests.publishing import contents, night, write_lake


@pytest.fixture
def publication(home: Home, engine: DuckDBEngine) -> Path:
    return night(home, "a", 45.0, engine).path


def answered(home: Home, publication: Path, query: str, name: str = "json") -> str:
    written = io.BytesIO()
    with ask(home, publication, query, name) as answer:
        WRITERS.get(name, write_text)(answer.rows, written)
    return written.getvalue().decode()


def written(name: str, *batches: pa.RecordBatch) -> bytes:
    file = io.BytesIO()
    WRITERS.get(name, write_text)(pa.RecordBatchReader.from_batches(batches[0].schema, batches), file)
    return file.getvalue()


@pytest.mark.parametrize("query", ["SELECT mean FROM scaler", "FROM scaler SELECT mean", "SELECT 45.0::DOUBLE AS mean"])
def test_one_select_is_answered(home: Home, publication: Path, query: str):
    assert json.loads(answered(home, publication, query)) == [{"mean": 45.0}]


@pytest.mark.parametrize("query", ["DESCRIBE scaler", "SHOW TABLES", "SUMMARIZE scaler"])
def test_so_are_the_ways_to_look_around(home: Home, publication: Path, query: str):
    assert json.loads(answered(home, publication, query))


@pytest.mark.parametrize(
    "query", ["", "SELECT 1; SELECT 2", "DROP TABLE scaler", "COPY scaler TO 'x.csv'", "SET threads = 1"]
)
def test_nothing_else_is(home: Home, publication: Path, query: str):
    with pytest.raises(CallError, match="The warehouse is for reading: give one SELECT"):
        answered(home, publication, query)


@pytest.mark.parametrize(
    ("name", "nearest"), [("scalar", " Nearest: scaler."), ("SCALAR", " Nearest: scaler."), ("xyzzy", "")]
)
def test_an_unknown_table_is_told_with_the_nearest(home: Home, publication: Path, name: str, nearest: str):
    with pytest.raises(CallError) as told:
        answered(home, publication, f"FROM {name}")
    assert str(told.value) == f'There is no table {name}.{nearest} All of them: smartcart sql "SHOW TABLES".'


def test_nothing_outside_the_warehouse_can_be_read(home: Home, publication: Path, tmp_path: Path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(CallError, match="reaches outside the warehouse"):
        answered(home, publication, f"FROM '{tmp_path / 'secret.csv'}'")


def test_large_tables_are_read_from_the_lake(home: Home, engine: DuckDBEngine):
    files = write_lake(home, "a", 45.0, engine)
    path = publish(engine, contents("a", files, copied_rows=0), home, kept=7).path
    assert json.loads(answered(home, path, "SELECT mean FROM scaler")) == [{"mean": 45.0}]
    files["scaler"].unlink()
    with pytest.raises(CallError, match="is a file of the lake, and that is not where it was"):
        answered(home, path, "SELECT mean FROM scaler")


def test_what_a_query_gets_wrong_is_told_as_duckdb_does(home: Home, publication: Path):
    with pytest.raises(CallError, match='Referenced column "nothing" not found'):
        answered(home, publication, "SELECT nothing FROM scaler")


def test_an_answer_knows_which_columns_are_numbers(home: Home, publication: Path):
    query = "SELECT 1::TINYINT, 1::UBIGINT, 1.5::DECIMAL(3, 1), 1.5::FLOAT, 'x', DATE '2014-06-29', true, [1]"
    with ask(home, publication, query, "table") as answer:
        assert answer.is_number == [True, True, True, True, False, False, False, False]
        # For a table, everything is a text.
        assert {str(kind) for kind in answer.rows.schema.types} == {"string"}


def test_an_answer_comes_in_batches(home: Home, publication: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(questions, "BATCH_ROWS", 2_048)
    with ask(home, publication, "FROM range(5_000)", "parquet") as answer:
        assert [batch.num_rows for batch in answer.rows] == [2_048, 2_048, 904]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("DATE '2014-06-29'", ("date32[day]", "date32[day]", "string")),
        ("INTERVAL 1 DAY", ("string", "string", "string")),
        ("'ab'::BLOB", ("binary", "string", "string")),
        ("[DATE '2014-06-29']", ("list<l: date32[day]>", "list<l: date32[day]>", "list<l: string>")),
        ("{'a': INTERVAL 1 DAY, 'b': 1}", ("struct<a: string, b: int32>",) * 3),
        ("MAP {'a': INTERVAL 1 DAY}", ("map<string, string>",) * 3),
        ("[INTERVAL 1 DAY, INTERVAL 2 DAY]::INTERVAL[2]", ("fixed_size_list<: string>[2]",) * 3),
    ],
)
def test_what_a_file_has_no_type_for_is_written_in_words(
    home: Home, publication: Path, value: str, kept: tuple[str, str, str]
):
    found = []
    for name in ("parquet", "json", "csv"):
        with ask(home, publication, f"SELECT {value} AS value", name) as answer:
            found.append(str(answer.rows.schema.types[0]).replace(" ('value')", ""))
    assert tuple(found) == kept


def test_columns_of_one_name_are_all_answered(home: Home, publication: Path):
    assert answered(home, publication, "SELECT 1 AS a, 2 AS a", "csv") == '"a","a"\n1,2\n'


def test_a_spreadsheet_takes_no_text_for_a_formula():
    formulas = ("=1", "=1+1", "+A1", "+1+1", "-A1", "-1-1", "-1 ", "-1\n", "--1", "+", "-", "@x", "\tx", "\rx")
    # Neither is a number with a sign, as an id may be.
    others = ("a=1", "+1", "-1", "+49151123", "-1,234.50")
    texts = pa.array([*formulas, *others, None, ""])
    table = written("csv", pa.record_batch({"=name": texts, "n": pa.array([-1.5] * len(texts))}))
    first, *lines = table.decode().split("\n", 1)
    assert first == '"\'=name","n"'
    for text in (*(f"'{formula}" for formula in formulas), *others):
        assert f'"{text}",-1.5\n' in lines[0]
    assert "\n,-1.5\n" in lines[0]


@pytest.mark.parametrize(("name", "shown"), [("+1+1", "'+1+1"), ("-A1", "'-A1"), ("@x", "'@x"), ("-1", "-1")])
def test_nor_does_it_take_the_name_of_a_column_for_one(name: str, shown: str):
    assert written("csv", pa.record_batch({name: pa.array([1])})).decode() == f'"{shown}"\n1\n'


def test_decimals_and_nested_values_stand_in_a_spreadsheet_as_text():
    batch = pa.record_batch(
        {
            "money": pa.array([Decimal("-1.50"), None]),
            "list": pa.array([[1, 2], None]),
            "blob": pa.array([b"=", None]),
        }
    )
    assert written("csv", batch).decode().splitlines() == [
        '"money","list","blob"',
        '"-1.50","[1, 2]","""b\'=\'"""',
        ",,",
    ]


def test_json_is_an_array_of_objects_one_a_line():
    batch = pa.record_batch({"a": pa.array([1, None]), "b": pa.array(["ä", "\n"])})
    assert written("json", batch, batch).decode().splitlines() == [
        "[",
        '{"a": 1, "b": "ä"},',
        '{"a": null, "b": "\\n"},',
        '{"a": 1, "b": "ä"},',
        '{"a": null, "b": "\\n"}',
        "]",
    ]
    assert written("json", batch.slice(0, 0)) == b"[]\n"


def test_json_knows_no_infinity_and_no_dates():
    batch = pa.record_batch(
        {
            "number": pa.array([float("nan"), float("inf"), 1.5]),
            "decimal": pa.array([Decimal("2.0"), Decimal("2.5"), None]),
            "nested": pa.array([{"a": [1.0]}, {"a": [float("nan")]}, None]),
            "day": pa.array([0, 1, None], pa.date32()),
        }
    )
    assert json.loads(written("json", batch)) == [
        {"number": None, "decimal": 2, "nested": {"a": [1.0]}, "day": "1970-01-01"},
        {"number": None, "decimal": 2.5, "nested": {"a": [None]}, "day": "1970-01-02"},
        {"number": 1.5, "decimal": None, "nested": None, "day": None},
    ]


def test_parquet_keeps_types_and_values():
    batch = pa.record_batch({"a": pa.array([1, None], pa.int8()), "b": pa.array([[1], None])})
    table = parquet.read_table(io.BytesIO(written("parquet", batch, batch)))
    assert table.schema.types == batch.schema.types
    assert table.to_pylist() == [{"a": 1, "b": [1]}, {"a": None, "b": None}] * 2


def test_text_is_lines_of_columns():
    batch = pa.record_batch({"a": pa.array(["x\ty", None]), "b": pa.array(["1\r\n2", "3"])})
    assert written("text", batch, batch) == b"a\tb\nx y\t1 2\n\t3\nx y\t1 2\n\t3\n"


def test_a_question_leaves_the_publication_free(home: Home, publication: Path):
    with suppress(EOFError), ask(home, publication, "FROM range(200_000)", "json") as answer:
        assert next(answer.rows).num_rows == questions.BATCH_ROWS
        raise EOFError
    with duckdb.connect(str(publication), read_only=True) as connection:
        assert connection.execute("SELECT mean FROM model.scaler").fetchall() == [(45.0,)]
