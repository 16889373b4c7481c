"""Numbers are read as they are written, found once for a column; where nothing says how, nobody guesses."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartcart_pipeline.declaration.contract import NUMBERS_WRITTEN, DeliveredColumn
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.numerals import PLAIN, READINGS, Delivered, NumberReading, read_example, settle_numbers

AMOUNT = DeliveredColumn("amount", "DOUBLE", "", header="Amount")
COUNT = DeliveredColumn("count", "INTEGER", "", header="Count")
EXPORT = Path("export.csv")


def settle(
    engine: DuckDBEngine, delimiter: str = ";", *, declared: DeliveredColumn = AMOUNT, **columns: list[str | None]
) -> tuple[dict[str, NumberReading], dict[str, list[float | None]]]:
    """How columns of texts are read, and the numbers."""
    table = pa.table({"line_number": range(2, len(next(iter(columns.values()))) + 2), **columns})
    engine.connection.register("texts", table)
    engine.connection.execute("CREATE OR REPLACE TEMP VIEW delivered AS SELECT * FROM texts")
    asked = [
        (DeliveredColumn(name, declared.type, "", header=name, written=declared.written), name) for name in columns
    ]
    found = settle_numbers(Delivered(engine, EXPORT), asked, delimiter)
    numbers = {}
    for name, reading in found.items():
        rows = engine.connection.execute(f"SELECT TRY_CAST({reading.number(name)} AS DOUBLE) FROM delivered").fetchall()
        numbers[name] = [number for (number,) in rows]
    return found, numbers


@pytest.mark.parametrize(
    ("texts", "numbers", "example"),
    [
        (["58138.5", "0", "-3", "1e3", None], [58138.5, 0, -3, 1000, None], "1234.5"),
        (["58138,5", "12"], [58138.5, 12], "1234,5"),
        (["58.138,50", "7,00"], [58138.5, 7], "1.234,5"),
        (["58,138.50", "7"], [58138.5, 7], "1,234.5"),
        (["1.234.567", "12"], [1234567, 12], "1.234,5"),
        (["58 138,50", "7,1"], [58138.5, 7.1], "1 234,5"),
        (["58\u00a0138", "1\u202f234"], [58138, 1234], "1 234.5"),
        (["58'138.50", "1\u2019234"], [58138.5, 1234], "1'234.5"),
        (["12,34,567.50", "1,234"], [1234567.5, 1234], "1,234.5"),
        (["$84,835.00", "$5.10"], [84835, 5.1], "1,234.5"),
        (["EUR 12,50", "7,25 €", "€3,00"], [12.5, 7.25, 3], "1234,5"),
        (["-$5.50", "$-5.50", "(5.50)", "5.50-", "\u22125.50"], [-5.5] * 5, "1234.5"),
        (["12.5%", "7 %"], [12.5, 7], "1234.5"),
        (["0.123", "12.345"], [0.123, 12.345], "1234.5"),
        (["12.3", "12.345"], [12.3, 12.345], "1234.5"),
    ],
)
def test_all_values_together_say_how_they_are_written(
    engine: DuckDBEngine, texts: list[str | None], numbers: list[float | None], example: str
):
    found, read = settle(engine, amount=texts)
    assert read == {"amount": numbers}
    assert found["amount"].example == example


def test_plain_numbers_are_left_to_sql(engine: DuckDBEngine):
    found, _ = settle(engine, amount=["1", "2.5", None])
    assert found == {"amount": PLAIN}
    assert PLAIN.number("amount") == "amount"


@pytest.mark.parametrize("text", ["58.138", "58,138"])
def test_three_digits_behind_every_mark_say_nothing(engine: DuckDBEngine, text: str):
    with pytest.raises(ExportError) as raised:
        settle(engine, amount=[text, "12", "7.250".replace(".", text[2])])
    assert str(raised.value).startswith(f"export.csv: nothing says whether {text!r} in column amount (line 2) is 58")
    assert "58138" in str(raised.value)
    assert "numberFormat" in str(raised.value)


@pytest.mark.parametrize(("other", "number"), [(["1,5"], 58138), (["1.5"], 58.138)])
def test_another_column_of_the_file_says_it(engine: DuckDBEngine, other: list[str], number: float):
    _, read = settle(engine, amount=["58.138"], other=other)
    assert read["amount"] == [number]


def test_who_separates_values_by_commas_writes_no_decimals_with_them(engine: DuckDBEngine):
    _, read = settle(engine, ",", amount=["58,138"])
    assert read["amount"] == [58138]
    with pytest.raises(ExportError, match=r"nothing says whether '58\.138'"):
        settle(engine, ",", amount=["58.138"])


def test_a_whole_column_has_no_decimals(engine: DuckDBEngine):
    _, read = settle(engine, declared=COUNT, amount=["58.138", "12"])
    assert read["amount"] == [58138, 12]


@pytest.mark.parametrize(("written", "number"), [("1.234,5", 58138), ("1234.5", 58.138)])
def test_a_declaration_outweighs_the_evidence(engine: DuckDBEngine, written: str, number: float):
    declared = DeliveredColumn("amount", "DOUBLE", "", written=written)
    _, read = settle(engine, declared=declared, amount=["58.138"])
    assert read["amount"] == [number]


def test_every_way_of_writing_can_be_declared():
    assert {reading.example for reading in READINGS} == set(NUMBERS_WRITTEN)
    assert all(read_example(example) in READINGS for example in NUMBERS_WRITTEN)
    assert read_example("12") is None


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["1,50"] * 5 + ["1.234,5"] + ["2.5"] * 4, "written in two ways: 6 of 10 read like 1.234,5, and 4 only like"),
        (["5 €"] * 5 + ["$5"] * 5, "have different signs: 5 with $ (line 7) and 5 with € (line 2)"),
        (["5 %"] * 5 + ["0.05"] * 5, "have different signs: 5 with none (line 7) and 5 with % (line 2)"),
    ],
)
def test_numbers_written_in_two_ways_stop_the_run(engine: DuckDBEngine, texts: list[str], told: str):
    with pytest.raises(ExportError) as raised:
        settle(engine, amount=texts)
    assert told in str(raised.value)


def test_a_slip_of_one_value_is_no_second_way(engine: DuckDBEngine):
    _, read = settle(engine, amount=["1,5", "2,5", "3.5x", "Amount", "4,25"])
    assert read["amount"] == [1.5, 2.5, None, None, 4.25]


@pytest.mark.parametrize("text", ["12 34", "1,2,3", "A12", "1.2.3", "12-13", "--5", "5 USD EUR", "", "€"])
def test_what_is_no_number_is_none_in_any_writing(engine: DuckDBEngine, text: str):
    for reading in READINGS:
        [(found,)] = engine.connection.execute(f"SELECT {reading.number('v')} FROM (SELECT $1 AS v)", [text]).fetchall()
        assert found is None, reading


TEXTS = st.text(st.sampled_from("0019.,' -+()%€$\u00a0\u2019\u2212eEUR"), min_size=1, max_size=9)


@given(st.lists(TEXTS, min_size=1, max_size=20), st.sampled_from(READINGS))
@settings(max_examples=150, deadline=None)
def test_python_reads_a_text_as_sql_does(texts: list[str], reading: NumberReading):
    engine = DuckDBEngine()
    engine.connection.register("texts", pa.table({"v": [text.strip() for text in texts]}))
    found = engine.connection.execute(f"SELECT v, TRY_CAST({reading.number('v')} AS DOUBLE) FROM texts").fetchall()
    engine.close()
    assert [reading.read(text) for text, _ in found] == [number for _, number in found]


def write(number: float, reading: NumberReading) -> str:
    """A number as a reading writes it."""
    whole, _, decimals = f"{abs(number):,.2f}".partition(".")
    return f"{'-' * (number < 0)}{whole.replace(',', reading.grouping)}{reading.decimal}{decimals}"


@given(
    st.lists(st.integers(-(10**9), 10**9).map(lambda cents: cents / 100), min_size=1, max_size=20),
    st.sampled_from(READINGS),
)
@settings(max_examples=100, deadline=None)
def test_what_is_written_in_one_way_throughout_is_read_so(numbers: list[float], reading: NumberReading):
    engine = DuckDBEngine()
    texts = [write(number, reading) for number in numbers]
    _, read = settle(engine, amount=texts)
    engine.close()
    # Two decimals leave no doubt.
    assert read["amount"] == pytest.approx(numbers)
