"""What describes a customer follows from the cleaned row alone, on every kind of frame."""

from dataclasses import replace
from datetime import date
from typing import Any

import narwhals as nw
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.recipe import AsIs, Difference, Feature, Flag, Log, Ratio, Sum, Verb
from smartcart_pipeline.segmentation.features import describe_customers, make_features
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


def declared(**features: dict[str, Any]) -> Declaration:
    """The shipped declaration with other features."""
    parts = {name: Feature(name, verb=of["verb"], words=WORDS, step=of.get("step")) for name, of in features.items()}
    return replace(BEHAVIOURAL, recipe=replace(BEHAVIOURAL.recipe, features=tuple(parts.values())))


WORDS = BEHAVIOURAL.recipe.by_name["age"].words


def described(as_frame: Frames, declaration: Declaration, *changes: Row) -> list[Row]:
    cleaned = [CLEANED | {"customer_id": number} | change for number, change in enumerate(changes, start=1)]
    frame = pa.Table.from_pylist(cleaned, schema=CLEANED_SCHEMA).to_pandas(types_mapper=pd.ArrowDtype)
    return rows(describe_customers(as_frame(frame), declaration).sort("customer_id"))


@pytest.mark.parametrize(
    ("verb", "step", "values"),
    [
        (Ratio("recency", "teenhome"), None, [5.0, 0.0, 2.5]),
        (Ratio("recency", "teenhome"), 2, [6.0, 0.0, 2.0]),
        (Difference("teenhome", "recency"), None, [-8.0, -10.0, -3.0]),
        (Log("recency"), 1 / 4096, [9_822 / 4096, 9_822 / 4096, 7_339 / 4096]),
        (Sum(("recency", "teenhome")), None, [12, 10, 7]),
        (Flag("complain"), None, [0, 1, 0]),
        (AsIs("recency"), None, [10, 10, 5]),
    ],
    ids=["ratio", "ratio in twos", "difference", "log", "sum", "flag", "as it is"],
)
def test_verbs_make_what_they_say(as_frame: Frames, verb: Verb, step: float | None, values: list[float]):
    declaration = declared(made={"verb": verb, "step": step})
    found = described(
        as_frame,
        declaration,
        {"recency": 10, "teenhome": 2, "complain": 0},
        {"recency": 10, "teenhome": 0, "complain": 1},
        {"recency": 5, "teenhome": 2, "complain": 0},
    )
    assert [row["made"] for row in found] == values


def test_a_feature_reads_those_before_it_and_of_its_own_name_the_column(as_frame: Frames):
    declaration = declared(
        income={"verb": Log("income"), "step": 0.5},
        more={"verb": Sum(("income", "recency"))},
    )
    [row] = described(as_frame, declaration, {"income": 58_138.5, "recency": 58})
    assert (row["income"], row["more"]) == (11.0, 69.0)


def test_the_greatest_numbers_of_a_type_can_be_added_where_no_contract_has_judged_them(as_frame: Frames):
    largest = dict.fromkeys(AMOUNTS, 2**31 - 1)
    cleaned = pa.Table.from_pylist([CLEANED | largest], schema=CLEANED_SCHEMA).to_pandas(types_mapper=pd.ArrowDtype)
    made = make_features(BEHAVIOURAL, nw.col("as_of_date"), of_any_number=True)["total_spending"].alias("total")
    [row] = rows(as_frame(cleaned).select(made))
    assert row["total"] == 6 * (2**31 - 1)
