"""Dates are read as they are written, found once for a column; both orders in one column stop the run."""

import calendar
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartcart_pipeline.declaration.contract import DeliveredColumn
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.dates import DateReading, read_date, settle_dates
from smartcart_pipeline.exports.numerals import Delivered

JOINED = DeliveredColumn("joined", "DATE", "", header="Joined")
EXPORT = Path("export.csv")
LATEST = 2026
DAY = date(2014, 6, 29)


def settle(
    engine: DuckDBEngine, texts: list[str | None], column: DeliveredColumn = JOINED
) -> tuple[DateReading, list[date | None]]:
    """How a column of texts is read, and the days."""
    engine.connection.register("texts", pa.table({"line_number": range(2, len(texts) + 2), "joined": texts}))
    engine.connection.execute("CREATE OR REPLACE TEMP VIEW delivered AS SELECT * FROM texts")
    reading = settle_dates(Delivered(engine, EXPORT), column, "joined", LATEST)
    days = engine.connection.execute(f"SELECT {read_date('joined', reading.reading, LATEST)} FROM delivered").fetchall()
    return reading, [day for (day,) in days]


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("29-06-2014", "day-first"),
        ("29/6/2014", "day-first"),
        ("29.06.2014", "day-first"),
        ("29/06/2014 13:05:10 +02:00", "day-first"),
        ("2014-06-29", "ISO"),
        ("2014/06/29", "ISO"),
        ("2014-06-29T13:05:10Z", "ISO"),
        ("06/29/2014", "month-first"),
        ("6/29/2014 1:05 PM", "month-first"),
        ("29/06/14", "day-first, years of two digits"),
        ("06/29/14", "month-first, years of two digits"),
        ("29-Jun-2014", "month names"),
        ("29 June 2014", "month names"),
        ("29. Juni 2014", "month names"),
        ("29 juin 2014", "month names"),
        ("29 de junio de 2014", "month names"),
        ("29-GIU-2014", "month names"),
        ("June 29, 2014", "month names"),
        ("Sun, 29 Jun 2014", "month names"),
        ("29th of June 2014", "month names"),
        ("2014-Jun-29", "month names"),
        ("29-Jun-14", "month names, years of two digits"),
        ("20140629", "compact"),
        ("41819", "days of a spreadsheet"),
        ("41819.5437", "days of a spreadsheet"),
    ],
)
def test_a_date_is_read_in_any_of_the_ways_that_people_write(engine: DuckDBEngine, text: str, reading: str):
    found, days = settle(engine, [text, None])
    assert (found.reading, days) == (reading, [DAY, None])


def test_every_month_is_known_by_its_name(engine: DuckDBEngine):
    _, days = settle(engine, [f"3 {name} 2014" for name in calendar.month_name[1:]])
    assert days == [date(2014, month, 3) for month in range(1, 13)]
    german = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
    assert settle(engine, [f"3. {name} 2014" for name in german.split(" ")])[1] == days


@pytest.mark.parametrize(("text", "day"), [("24/12/26", date(2026, 12, 24)), ("24/12/27", date(1927, 12, 24))])
def test_a_year_of_two_digits_is_none_after_the_delivery(engine: DuckDBEngine, text: str, day: date):
    assert settle(engine, [text])[1] == [day]


def test_where_nothing_says_it_the_day_comes_first_and_is_told(engine: DuckDBEngine):
    found, days = settle(engine, ["04/09/2012", "05/10/2013"])
    assert days == [date(2012, 9, 4), date(2013, 10, 5)]
    assert found == DateReading(
        "day-first",
        "2 of 2 values of Joined read as day-month-year; nothing in the file rules out month-first.",
        is_default=True,
    )


def test_a_declaration_outweighs_the_evidence(engine: DuckDBEngine):
    found, days = settle(engine, ["04/09/2012"], DeliveredColumn("joined", "DATE", "", written="month-first"))
    assert (found.is_default, days) == (False, [date(2012, 4, 9)])
    _, days = settle(engine, ["24/09/2012"], DeliveredColumn("joined", "DATE", "", written="day-first"))
    assert days == [date(2012, 9, 24)]


def test_both_orders_stop_the_run(engine: DuckDBEngine):
    with pytest.raises(ExportError) as raised:
        settle(engine, ["24/09/2012", "25/09/2012", "09/24/2012", "09/25/2012", "09/26/2012"])
    assert str(raised.value) == (
        "export.csv: the dates in column Joined are written in two ways: most read as month-day-year, and 2 only as "
        "day-month-year (line 2: '24/09/2012'). Deliver them all in one way, for example 2012-09-04."
    )


def test_dates_that_a_spreadsheet_turned_stop_the_run(engine: DuckDBEngine):
    # What fits the spreadsheet's order has been turned, and what does not has stayed.
    days = [date(2013, 2, 1) + timedelta(number) for number in range(200)]
    turned = [f"{day:%m/%d/%Y}" if day.day > 12 else f"{day:%d/%m/%Y}" for day in days]
    with pytest.raises(
        ExportError, match="the orders of day and month are mixed in column Joined: some dates can only"
    ):
        settle(engine, turned)
    assert settle(engine, [f"{day:%m/%d/%Y}" for day in days])[1] == days


def test_one_certain_day_does_not_call_all_others_swapped(engine: DuckDBEngine):
    days = [date(2000, 1, 1)] * 28 + [date(2000, 1, 6)] * 2 + [date(2000, 6, 29)]
    assert settle(engine, [f"{day:%d-%m-%Y}" for day in days])[1] == days


def test_a_slip_of_one_value_is_no_second_way(engine: DuckDBEngine):
    _, days = settle(engine, ["24/09/2012", "25/09/2012", "Joined", "09/26/2012", "soon"])
    assert days == [date(2012, 9, 24), date(2012, 9, 25), None, None, None]


def test_where_no_value_is_a_date_the_first_line_is_told(engine: DuckDBEngine):
    with pytest.raises(ExportError, match="no value of column Joined can be read as a date: see line 3"):
        settle(engine, [None, "soon"])


@given(
    st.lists(st.dates(date(1950, 1, 1), date(2026, 12, 31)), min_size=30, max_size=200),
    st.sampled_from(["%d-%m-%Y", "%m/%d/%Y", "%Y-%m-%d", "%d %B %Y", "%Y%m%d", "%d.%m.%y"]),
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_in_one_way_throughout_is_read_so(days: list[date], form: str):
    # A day above 12 of each year, so that the file says what comes first.
    days = [*days, *(date(year, 6, 29) for year in sorted({day.year for day in days}))]
    engine = DuckDBEngine()
    _, read = settle(engine, [day.strftime(form) for day in days])
    engine.close()
    century = [day.replace(year=day.year + 100) if "%y" in form and day.year < 1927 else day for day in days]
    assert read == century
