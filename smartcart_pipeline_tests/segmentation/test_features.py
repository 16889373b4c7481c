"""What describes a customer follows from the cleaned row alone, on every kind of frame."""

from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartcart_pipeline.segmentation.features import describe_customers
from smartcart_pipeline_tests.conftest import Frames
from smartcart_pipeline_tests.declared import AMOUNTS, BEHAVIOURAL, BY_NAME, NAMES, TABLES
from smartcart_pipeline_tests.segmentation.test_cleaning import CUSTOMER, SCHEMA, Row, rows

CLEANED = {name: CUSTOMER[name] for name in NAMES} | {"income_imputed": False, "as_of_date": date(2014, 6, 29)}
CLEANED_SCHEMA = pa.schema(
    [*(SCHEMA.field(name) for name in NAMES), ("income_imputed", pa.bool_()), ("as_of_date", pa.date32())]
)


def features(as_frame: Frames, *changes: Row) -> list[Row]:
    cleaned = [CLEANED | {"customer_id": number} | change for number, change in enumerate(changes, start=1)]
    frame = pa.Table.from_pylist(cleaned, schema=CLEANED_SCHEMA).to_pandas(types_mapper=pd.ArrowDtype)
    return rows(describe_customers(as_frame(frame), BEHAVIOURAL).sort("customer_id"))


def test_a_customer_is_described_by_what_is_compared(as_frame: Frames):
    [row] = features(as_frame, {"customer_id": 5524})
    assert row == {
        "customer_id": 5524,
        "age": 57,
        "customer_tenure_days": 663,
        "total_spending": 1614,
        "total_children": 1,
        "living_with": "Alone",
        "education": "Graduate",
        "income": 58_138.5,
        "recency": 58,
        "num_deals_purchases": 3,
        "num_web_purchases": 8,
        "num_catalog_purchases": 10,
        "num_store_purchases": 4,
        "num_web_visits_month": 7,
        "complain": 0,
        "response": 1,
    }
    assert tuple(row) == TABLES["features"].names


def test_the_largest_amounts_of_the_contract_can_be_added(as_frame: Frames):
    largest = {name: int(BY_NAME[name].maximum or 0) for name in AMOUNTS}
    [row] = features(as_frame, largest | {"kidhome": 127, "teenhome": 127})
    assert row["total_spending"] == sum(largest.values()) == 600_000_000
    assert row["total_children"] == 254


@pytest.mark.parametrize(
    ("column", "levels"),
    [
        (
            "education",
            {
                "Basic": "Undergraduate",
                "2n Cycle": "Undergraduate",
                "Graduation": "Graduate",
                "Master": "Postgraduate",
                "PhD": "Postgraduate",
            },
        ),
        (
            "marital_status",
            {
                "Single": "Alone",
                "Together": "Partner",
                "Married": "Partner",
                "Divorced": "Alone",
                "Widow": "Alone",
                "Alone": "Alone",
                "Absurd": "Alone",
                "YOLO": "Alone",
            },
        ),
    ],
)
def test_categories_fall_into_levels(as_frame: Frames, column: str, levels: dict[str, str]):
    described = features(as_frame, *({column: category} for category in levels))
    made = {"education": "education", "marital_status": "living_with"}[column]
    assert [row[made] for row in described] == list(levels.values())


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"kidhome": 100, "teenhome": 100}, "total_children", 200),
        ({"mnt_wines": 1_000_000_000, "mnt_fruits": 1_000_000_000}, "total_spending", 2_000_000_891),
        ({"year_birth": 2014}, "age", 0),
        ({"dt_customer": date(2014, 6, 29)}, "customer_tenure_days", 0),
        ({"as_of_date": date(2015, 1, 1)}, "age", 58),
    ],
)
def test_narrow_numbers_add_up(as_frame: Frames, changes: Row, name: str, value: Any):
    assert features(as_frame, changes)[0][name] == value


DAYS = st.one_of(
    st.dates(date(1900, 1, 1), date(2400, 12, 31)),
    # The days around the end of February and of the year, in leap years and in those that are none.
    st.builds(
        date,
        st.sampled_from([1900, 1999, 2000, 2001, 2004, 2012, 2100, 2400]),
        st.sampled_from([1, 3, 12]),
        st.sampled_from([1, 31]),
    ),
    st.sampled_from([date(2000, 2, 29), date(2012, 2, 29), date(1900, 2, 28), date(2100, 2, 28)]),
)


@given(days=st.lists(st.tuples(DAYS, DAYS), min_size=5, max_size=50))
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tenure_is_what_the_calendar_says(as_frame: Frames, days: list[tuple[date, date]]):
    described = features(as_frame, *({"dt_customer": joined, "as_of_date": as_of} for joined, as_of in days))
    assert [row["customer_tenure_days"] for row in described] == [(as_of - joined).days for joined, as_of in days]
