"""Every row describes a customer or is refused with its reason, on every kind of frame."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartcart_pipeline.declaration.declaration import Declaration, declare
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.cleaning import (
    clean_customers,
    find_causes,
    find_newest,
    find_repeats,
    forget_placeholders,
    judge_customers,
    reject_customers,
    require_customers,
    summarise_accepted,
    tell_causes,
    tell_far_beyond,
)
from smartcart_pipeline_tests.conftest import Frames
from smartcart_pipeline_tests.declared import (
    ARROW,
    BEHAVIOURAL,
    BY_NAME,
    CONTRACT,
    EDUCATIONS,
    MARITAL_STATUSES,
    NAMES,
    TABLES,
)

SCHEMA = pa.schema([(column.name, ARROW[column.type]) for column in TABLES["raw_customers"].columns])

AS_OF = date(2014, 6, 29)
MEDIANS = {"income": 51_381.5}
CUSTOMER = {
    "line_number": 2,
    "customer_id": 5524,
    "year_birth": 1957,
    "education": "Graduation",
    "marital_status": "Single",
    "income": 58_138.5,
    "kidhome": 0,
    "teenhome": 1,
    "dt_customer": date(2012, 9, 4),
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

Row = dict[str, Any]


def customer(**changes: Any) -> Row:
    return CUSTOMER | changes


def raw_frame(*raw: Row) -> pd.DataFrame:
    """Rows as pandas, with types that know integers and dates that are missing."""
    return pa.Table.from_pylist(list(raw), schema=SCHEMA).to_pandas(types_mapper=pd.ArrowDtype)


def rows(frame: Any) -> list[Row]:
    native = nw.to_native(frame)
    if isinstance(native, duckdb.DuckDBPyRelation):
        return native.to_arrow_table().to_pylist()
    return pa.Table.from_pandas(native, preserve_index=False).to_pylist()


def with_maxima(**maxima: float) -> Declaration:
    """The shipped declaration with other greatest values that are left in, by column or feature."""
    recipe = BEHAVIOURAL.recipe
    assert maxima.keys() <= {limit.on for limit in recipe.limits}
    limits = tuple(replace(limit, maximum=maxima.get(limit.on, limit.maximum)) for limit in recipe.limits)
    return replace(BEHAVIOURAL, recipe=replace(recipe, limits=limits))


def judge(raw: Any) -> Any:
    return judge_customers(raw, find_repeats(raw, BEHAVIOURAL.contract), BEHAVIOURAL.contract)


def summarise(judged: Any) -> Row:
    [accepted] = rows(summarise_accepted(judged, "dt_customer", "income"))
    return accepted


def causes_of(judged: Any, declaration: Declaration = BEHAVIOURAL, as_of: date | None = AS_OF) -> list[Row]:
    return find_causes(reject_customers(judged, as_of, declaration), declaration, rows)


def require(judged: Any) -> None:
    accepted = summarise(judged)
    medians = {"income": accepted["median"]}
    require_customers(accepted["customers"], medians, causes_of(judged, as_of=None), BEHAVIOURAL.contract)


def clean(as_frame: Frames, *raw: Row, declaration: Declaration = BEHAVIOURAL) -> list[Row]:
    judged = judge(as_frame(raw_frame(*raw)))
    return rows(clean_customers(judged, AS_OF, MEDIANS, declaration).sort("customer_id"))


def reject(as_frame: Frames, *raw: Row, declaration: Declaration = BEHAVIOURAL) -> list[Row]:
    judged = judge(as_frame(raw_frame(*raw)))
    return rows(reject_customers(judged, AS_OF, declaration).sort("line_number"))


def refusals(as_frame: Frames, *raw: Row, declaration: Declaration = BEHAVIOURAL) -> list[tuple[int, str, str]]:
    rejected = reject(as_frame, *raw, declaration=declaration)
    return [(row["line_number"], row["reason"], row["detail"]) for row in rejected]


@pytest.mark.parametrize(
    ("education", "told"),
    [
        ("Master", None),
        ("Ä" * 8, None),
        ("Ä" * 9, "Education is 'ÄÄÄÄÄÄÄÄÄ': expected 8 characters or fewer"),
        ("PhDs", None),
        ("PhD", "Education is 'PhD': expected 4 characters or more"),
    ],
)
def test_a_text_has_as_many_characters_as_the_contract_allows(as_frame: Frames, education: str, told: str | None):
    bounded = replace(BY_NAME["education"], categories=(), shortest=4, longest=8, nullable=True)
    columns = tuple(bounded if column.name == "education" else column for column in CONTRACT)
    declaration = replace(BEHAVIOURAL, contract=replace(BEHAVIOURAL.contract, columns=columns))
    raw = as_frame(raw_frame(customer(education=education), customer(customer_id=7, education=None)))
    judged = judge_customers(raw, None, declaration.contract)
    refused = rows(reject_customers(judged, AS_OF, declaration))
    assert [(row["reason"], row["detail"]) for row in refused] == ([("out_of_range", told)] if told else [])
    for row in causes_of(judged, declaration):
        assert row["cause"] in ("Education has more than 8 characters", "Education has fewer than 4 characters")


def test_a_good_row_is_cleaned_as_it_is(as_frame: Frames):
    [row] = clean(as_frame, CUSTOMER)
    assert row == {
        **{name: CUSTOMER[name] for name in NAMES},
        "income_imputed": False,
        "as_of_date": AS_OF,
    }
    assert tuple(row) == TABLES["cleaned"].names
    assert reject(as_frame, CUSTOMER) == []


def test_a_refused_row_is_kept_as_it_was(as_frame: Frames):
    refused = customer(education="Doctor", income=None)
    [row] = reject(as_frame, refused)
    assert row == refused | {
        "reason": "unknown_category",
        "detail": "Education is 'Doctor': expected one of Basic, 2n Cycle, Graduation, Master, PhD",
    }
    assert tuple(row) == TABLES["rejected_customers"].names
    assert clean(as_frame, refused) == []


REASONS: list[tuple[Row, str, str]] = [
    (
        {"income": None, "unreadable": "Income is 'a lot': expected a number"},
        "unreadable_value",
        "Income is 'a lot': expected a number",
    ),
    (
        {"customer_id": None, "unreadable": "ID is 'x': expected a whole number"},
        "unreadable_value",
        "ID is 'x': expected a whole number",
    ),
    ({"customer_id": None}, "missing_id", "ID is missing"),
    ({"customer_id": -1}, "out_of_range", "ID is -1: expected 0 or more"),
    (
        {"year_birth": 1849},
        "out_of_range",
        "Year_Birth is 1849: expected 1850 or more; Born in 1849: older than 90 on 2014-06-29",
    ),
    (
        {"year_birth": 2201},
        "out_of_range",
        "Year_Birth is 2201: expected 2200 or less; Year_Birth 2201 lies after the as-of date 2014-06-29",
    ),
    ({"income": -0.5}, "out_of_range", "Income is -0.5: expected 0 or more"),
    ({"recency": -1}, "out_of_range", "Recency is -1: expected 0 or more"),
    ({"mnt_wines": -7}, "out_of_range", "MntWines is -7: expected 0 or more"),
    ({"mnt_wines": 2_147_483_647}, "out_of_range", "MntWines is 2147483647: expected 100000000 or less"),
    ({"complain": 2}, "out_of_range", "Complain is 2: expected 1 or less"),
    ({"response": -1}, "out_of_range", "Response is -1: expected 0 or more"),
    (
        {"marital_status": "It's complicated"},
        "unknown_category",
        "Marital_Status is 'It's complicated': expected one of " + ", ".join(MARITAL_STATUSES),
    ),
    (
        {"education": "graduation"},
        "unknown_category",
        "Education is 'graduation': expected one of Basic, 2n Cycle, Graduation, Master, PhD",
    ),
    (
        {"dt_customer": date(2014, 6, 30)},
        "joined_after_as_of",
        "Dt_Customer lies after the as-of date 2014-06-29",
    ),
    ({"year_birth": 2015}, "born_after_as_of", "Year_Birth 2015 lies after the as-of date 2014-06-29"),
    ({"year_birth": 1923}, "age_above_limit", "Born in 1923: older than 90 on 2014-06-29"),
    ({"income": 600_000.5}, "income_above_limit", "Income is 600000.5: above the limit of 600000"),
    (
        {"customer_id": None, "recency": -1, "kidhome": None, "year_birth": 1900, "income": 666_666.5},
        "missing_id",
        (
            "ID is missing; Kidhome is missing; Recency is -1: expected 0 or more; "
            "Born in 1900: older than 90 on 2014-06-29; Income is 666666.5: above the limit of 600000"
        ),
    ),
    (
        {"income": -1.5, "kidhome": None, "unreadable": "Kidhome is '3.7': expected a whole number up to 127"},
        "unreadable_value",
        "Kidhome is '3.7': expected a whole number up to 127; Income is -1.5: expected 0 or more",
    ),
]


def test_the_first_reason_is_the_code_and_all_of_them_are_told(as_frame: Frames):
    cases = list(enumerate(REASONS, start=2))
    raw = [customer(line_number=line, customer_id=line) | changes for line, (changes, *_) in cases]
    assert refusals(as_frame, *raw) == [(line, reason, detail) for line, (_, reason, detail) in cases]
    assert clean(as_frame, *raw) == []


def test_only_an_income_may_be_missing(as_frame: Frames):
    lines = dict(enumerate(CONTRACT, start=2))
    raw = [customer(line_number=n, customer_id=n) | {column.name: None} for n, column in lines.items()]
    assert refusals(as_frame, *raw) == [
        (n, "missing_id" if column.name == "customer_id" else "missing_value", f"{column.header} is missing")
        for n, column in lines.items()
        if column.name != "income"
    ]


def test_values_on_a_limit_stay(as_frame: Frames):
    raw = [
        customer(line_number=line, customer_id=line) | changes
        for line, changes in enumerate(
            [
                {"year_birth": 1924},
                {"income": 600_000.0},
                {"income": 0.0},
                {"dt_customer": AS_OF},
                {"year_birth": 2014},
                {"customer_id": 0},
                {"complain": 1},
            ],
            start=2,
        )
    ]
    assert refusals(as_frame, *raw) == []
    assert len(clean(as_frame, *raw)) == 7


def test_other_limits_are_named_in_the_detail(as_frame: Frames):
    raw = [
        customer(line_number=2, customer_id=2, year_birth=1984),
        customer(line_number=3, customer_id=3, year_birth=1983, income=50_000.0),
        customer(line_number=4, customer_id=4, year_birth=2000, income=50_000.5),
    ]
    declaration = with_maxima(age=30, income=50_000)
    assert refusals(as_frame, *raw, declaration=declaration) == [
        (2, "income_above_limit", "Income is 58138.5: above the limit of 50000"),
        (3, "age_above_limit", "Born in 1983: older than 30 on 2014-06-29"),
        (4, "income_above_limit", "Income is 50000.5: above the limit of 50000"),
    ]


def test_a_repeated_id_keeps_its_first_line_wherever_the_row_stands(as_frame: Frames):
    raw = [customer(line_number=4), customer(line_number=2, recency=1), customer(line_number=3)]
    assert [row["recency"] for row in clean(as_frame, *raw)] == [1]
    assert refusals(as_frame, *raw) == [
        (3, "repeated_id", "ID 5524 stands on an earlier line already"),
        (4, "repeated_id", "ID 5524 stands on an earlier line already"),
    ]


def test_a_refused_row_repeats_no_id(as_frame: Frames):
    raw = [
        customer(line_number=2, recency=-1),
        customer(line_number=3, recency=3),
        customer(line_number=4, unreadable="Kidhome is 'x': expected a whole number", kidhome=None),
        customer(line_number=5, recency=5),
    ]
    assert [row["recency"] for row in clean(as_frame, *raw)] == [3]
    assert refusals(as_frame, *raw) == [
        (2, "out_of_range", "Recency is -1: expected 0 or more"),
        (4, "unreadable_value", "Kidhome is 'x': expected a whole number"),
        (5, "repeated_id", "ID 5524 stands on an earlier line already"),
    ]


def test_rows_without_an_id_do_not_repeat_each_other(as_frame: Frames):
    raw = [
        customer(line_number=2, customer_id=None),
        customer(line_number=3, customer_id=None),
        customer(line_number=4),
    ]
    assert refusals(as_frame, *raw) == [(2, "missing_id", "ID is missing"), (3, "missing_id", "ID is missing")]


def test_an_outlier_that_repeats_an_id_is_refused_as_a_repeat_first(as_frame: Frames):
    raw = [customer(line_number=2), customer(line_number=3, year_birth=1893)]
    assert refusals(as_frame, *raw) == [
        (
            3,
            "repeated_id",
            "ID 5524 stands on an earlier line already; Born in 1893: older than 90 on 2014-06-29",
        )
    ]


def test_rows_that_differ_only_by_id_are_different_customers(as_frame: Frames):
    raw = [customer(line_number=2, customer_id=1), customer(line_number=3, customer_id=2)]
    assert [row["customer_id"] for row in clean(as_frame, *raw)] == [1, 2]


def test_a_missing_income_is_imputed_by_the_median(as_frame: Frames):
    raw = [customer(line_number=2, customer_id=1, income=None), customer(line_number=3, customer_id=2)]
    assert [(row["customer_id"], row["income"], row["income_imputed"]) for row in clean(as_frame, *raw)] == [
        (1, 51_381.5, True),
        (2, 58_138.5, False),
    ]


def test_further_columns_are_carried_along(as_frame: Frames):
    frame = raw_frame(customer(line_number=2), customer(line_number=3)).assign(town=["Oslo", "Bergen"], tag=["9", None])
    judged = judge(as_frame(frame))
    cleaned = rows(clean_customers(judged, AS_OF, MEDIANS, BEHAVIOURAL))
    assert [list(row)[-2:] for row in cleaned] == [["town", "tag"]]
    assert [(row["recency"], row["town"], row["tag"]) for row in cleaned] == [(58, "Oslo", "9")]
    rejected = rows(reject_customers(judged, AS_OF, BEHAVIOURAL))
    assert [(row["line_number"], row["reason"]) for row in rejected] == [(3, "repeated_id")]


def test_what_is_accepted_is_summed_up_without_what_is_refused(as_frame: Frames):
    raw = [
        customer(line_number=2, customer_id=2, income=10.0, dt_customer=date(2013, 1, 1)),
        customer(line_number=3, customer_id=3, income=30.0, dt_customer=date(2014, 5, 1)),
        customer(line_number=4, customer_id=4, income=None),
        customer(line_number=5, customer_id=5, income=25.0),
        customer(line_number=6, customer_id=6, income=40.0),
        customer(line_number=7, customer_id=6, income=90.0, dt_customer=date(2015, 1, 1)),
        customer(line_number=8, customer_id=8, income=90.0, dt_customer=date(2016, 1, 1), recency=-1),
    ]
    assert summarise(judge(as_frame(raw_frame(*raw)))) == {"newest": date(2014, 5, 1), "median": 27.5, "customers": 5}


@pytest.mark.parametrize(
    "incomes",
    [
        [5.0],
        [5.0, None],
        [1.0, 2.0],
        [3.0, 1.0, 2.0, None, None, None],
        [1.0, 1.0, 1.0, 9.0],
        [1.0, 9.0, 9.0, 9.0, 9.0],
        [1.5, 1.5, 2.25, 2.25],
        [0.0, 0.0, 7.0],
        [float(number % 7) for number in range(100)],
    ],
)
def test_the_median_is_that_of_all_known_incomes(as_frame: Frames, incomes: list[float | None]):
    raw = [customer(line_number=n, customer_id=n, income=income) for n, income in enumerate(incomes, start=2)]
    accepted = summarise(judge(as_frame(raw_frame(*raw))))
    assert accepted["median"] == np.median([income for income in incomes if income is not None])
    assert accepted["customers"] == len(incomes)


def test_an_export_without_a_good_row_is_refused(as_frame: Frames):
    wrong = [customer(recency=-1), customer(line_number=3, customer_id=None), customer(line_number=4, recency=-2)]
    with pytest.raises(ExportError) as error:
        require(judge(as_frame(raw_frame(*wrong))))
    assert str(error.value) == (
        "Not one row of the export holds a customer as the contract expects. "
        "Recency is below 0: 2 rows, the first on line 2. ID is missing: line 3. "
        "Correct the export and deliver it again."
    )


UNREADABLE = "Income is 'Zoe: $1,234.5': expected a number; Dt_Customer is 'Zoe': expected a date"
NOTHING = dict.fromkeys(NAMES)


FAULTS: list[tuple[Row, dict[str, str]]] = [
    (
        {"income": None, "dt_customer": None, "unreadable": UNREADABLE},
        {"Income is not a number": "xxx: $9,999.9", "Dt_Customer is not a date": "xxx"},
    ),
    (
        NOTHING | {"unreadable": "The line has more values than the header: 1,Income is 'Zoe': expected ,2"},
        {"The line has more values than the header": ""},
    ),
    (NOTHING | {"unreadable": "The line repeats the header"}, {"The line repeats the header": ""}),
    ({"customer_id": None, "recency": None}, {"ID is missing": "", "Recency is missing": ""}),
    ({"year_birth": 2201, "mnt_wines": -7}, {"Year_Birth is above 2200": "", "MntWines is below 0": ""}),
    ({"education": "Zoe"}, {"Education is none of Basic, 2n Cycle, Graduation, Master, PhD": ""}),
    ({"dt_customer": AS_OF + timedelta(1)}, {"Dt_Customer: joined after the as-of date": ""}),
    ({"year_birth": AS_OF.year + 1}, {"Year_Birth: born after the as-of date": ""}),
    ({"year_birth": AS_OF.year - 91}, {"Year_Birth: older than the limit": ""}),
    ({"income": 600_001.0}, {"Income: an income above the limit": ""}),
]


@pytest.mark.parametrize(("wrong", "told"), FAULTS)
def test_causes_are_told_by_column_and_kind_without_a_value(as_frame: Frames, wrong: Row, told: dict[str, str]):
    judged = judge(as_frame(raw_frame(customer(line_number=7) | wrong)))
    assert {row["cause"]: row["written"] for row in causes_of(judged)} == told
    assert all((row["rows"], row["first_line"]) == (1, 7) for row in causes_of(judged))


def test_all_causes_of_a_file_are_counted_the_most_frequent_first(as_frame: Frames):
    raw = [customer(line_number=line, customer_id=line) | wrong for line, (wrong, _) in enumerate(FAULTS, start=2)]
    raw += [customer(line_number=line, customer_id=line, recency=-3) for line in range(100, 107)]
    raw += [customer(line_number=line, customer_id=line, mnt_wines=-3) for line in range(200, 203)]
    causes = causes_of(judge(as_frame(raw_frame(*raw))))
    assert [(row["cause"], row["rows"], row["first_line"]) for row in causes[:3]] == [
        ("Recency is below 0", 7, 100),
        ("MntWines is below 0", 4, 6),
        ("Income is not a number", 1, 2),
    ]
    assert {row["cause"] for row in causes[1:]} == {cause for _, told in FAULTS for cause in told}
    told = tell_causes(causes)
    assert told.startswith("Recency is below 0: 7 rows, the first on line 100. MntWines is below 0: 4 rows, the first ")
    assert "Income is not a number: line 2, written like 'xxx: $9,999.9'. " in told
    assert told.endswith(" other causes.")
    assert "Zoe" not in told


def test_a_text_that_is_long_is_told_by_how_it_begins(as_frame: Frames):
    unreadable = f"Income is '{'12 Ä' * 50}': expected a number"
    [cause] = causes_of(judge(as_frame(raw_frame(customer(income=None, unreadable=unreadable)))))
    assert cause["written"] == f"{'99 x' * 7}99…"


def test_an_id_that_repeats_is_told_without_it(as_frame: Frames):
    judged = judge(as_frame(raw_frame(customer(), customer(line_number=3))))
    assert tell_causes(causes_of(judged)) == "ID stands on an earlier line already: line 3."


def test_an_export_without_an_income_is_refused(as_frame: Frames):
    with pytest.raises(ExportError) as error:
        require(judge(as_frame(raw_frame(customer(income=None)))))
    assert str(error.value) == (
        "Income is missing in every row, so there is no median to stand for it. Deliver an export with it."
    )


def test_incomes_that_cannot_be_read_are_not_called_missing(as_frame: Frames):
    unreadable = {"income": None, "unreadable": "Income is '84.835 Taler': expected a number"}
    raw = [customer(income=None), *(customer(line_number=n, customer_id=n) | unreadable for n in (3, 4))]
    with pytest.raises(ExportError) as error:
        require(judge(as_frame(raw_frame(*raw))))
    assert str(error.value) == (
        "Income is missing in the 1 row that could be read, so there is no median to stand for it. Income is "
        "not a number: 2 rows, the first on line 3, written like '99.999 xxxxx'. Deliver an export with it."
    )


def test_good_rows_are_what_is_required(as_frame: Frames):
    require(judge(as_frame(raw_frame(customer()))))


# Values of delivered columns: mostly good ones, some missing, out of range, unknown or extreme.
DIRTY: dict[str, st.SearchStrategy[Any]] = {
    name: st.sampled_from([CUSTOMER[name]] * 12 + [0, 1, 2, 100, -1, None]) for name in NAMES
} | {
    "customer_id": st.one_of(st.integers(0, 4), st.integers(-1, 2**63 - 1), st.none()),
    "education": st.sampled_from([*EDUCATIONS, *EDUCATIONS, "Doctor", None]),
    "marital_status": st.sampled_from([*MARITAL_STATUSES, "Engaged", None]),
    "year_birth": st.sampled_from([1957, 1970, 1990, 1924, 1923, 1893, 1849, 2014, 2015, 2201, None]),
    "income": st.one_of(st.floats(0, 700_000), st.sampled_from([58_138.5, None, -1.5, 600_000.0])),
    "dt_customer": st.one_of(st.dates(date(2012, 1, 1), AS_OF + timedelta(days=9)), st.none()),
}
RAW_ROWS = st.lists(
    st.one_of(
        st.fixed_dictionaries(DIRTY),
        st.fixed_dictionaries({name: DIRTY[name] for name in NAMES[:5]}),
        st.fixed_dictionaries({"customer_id": st.integers(0, 4), "income": st.sampled_from([None, 1.0, 2.5])}),
        st.just({"unreadable": "Kidhome is 'x': expected a whole number", "kidhome": None}),
    ),
    min_size=1,
    max_size=16,
).map(lambda changes: [customer(line_number=line) | change for line, change in enumerate(changes, start=2)])


@given(raw=RAW_ROWS)
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_row_is_lost_and_none_is_kept_twice(as_frame: Frames, raw: list[Row]):
    cleaned, rejected = clean(as_frame, *raw), reject(as_frame, *raw)
    assert len(cleaned) + len(rejected) == len(raw)
    assert Counter(row["customer_id"] for row in [*cleaned, *rejected]) == Counter(row["customer_id"] for row in raw)

    by_line = {row["line_number"]: row for row in raw}
    assert [{name: row[name] for name in CUSTOMER} for row in rejected] == [
        by_line[row["line_number"]] for row in rejected
    ]
    assert len({row["line_number"] for row in rejected}) == len(rejected)
    assert all(row["reason"] and row["detail"] for row in rejected)
    assert len({row["customer_id"] for row in cleaned}) == len(cleaned)


@given(raw=RAW_ROWS)
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cleaning_what_was_cleaned_changes_nothing(as_frame: Frames, raw: list[Row]):
    once = clean(as_frame, *raw)
    again = [
        {name: row[name] for name in NAMES} | {"line_number": line, "unreadable": None}
        for line, row in enumerate(once, start=2)
    ]
    assert reject(as_frame, *again) == []
    assert clean(as_frame, *again) == [row | {"income_imputed": False} for row in once]


BEYOND_A_LIMIT: list[tuple[Row, str]] = [
    ({"year_birth": 2014}, "Income is 700000: above the limit of 600000"),
    (
        {"year_birth": 2015},
        "Year_Birth 2015 lies after the as-of date 2014-06-29; Income is 700000: above the limit of 600000",
    ),
    ({"year_birth": 1924}, "Income is 700000: above the limit of 600000"),
    (
        {"year_birth": 1923},
        "Born in 1923: older than 90 on 2014-06-29; Income is 700000: above the limit of 600000",
    ),
    ({"year_birth": 1923, "income": 600_000}, "Born in 1923: older than 90 on 2014-06-29"),
    ({"year_birth": 1923, "income": None}, "Born in 1923: older than 90 on 2014-06-29"),
]


def test_only_what_is_beyond_a_limit_is_told_of_a_refused_row(as_frame: Frames):
    raw = [
        customer(line_number=line, customer_id=line, income=700_000.0) | changes
        for line, (changes, _) in enumerate(BEYOND_A_LIMIT, start=2)
    ]
    told = [detail.replace("700000.0", "700000") for *_, detail in refusals(as_frame, *raw)]
    assert told == [detail for _, detail in BEYOND_A_LIMIT]


def with_unknown(**unknown: tuple[float, ...]) -> Declaration:
    """The shipped declaration, in which numbers stand for unknown; the median stands for them."""
    recipe = BEHAVIOURAL.recipe
    imputed = tuple(dict.fromkeys((*recipe.impute, *unknown)))
    return declare(BEHAVIOURAL.contract, replace(recipe, unknown=unknown, impute=imputed))


def test_what_stands_for_unknown_is_missing_and_all_else_is_as_it_was(as_frame: Frames):
    recipe = with_unknown(income=(0.0, 999_999.0), recency=(99,)).recipe
    raw = raw_frame(
        customer(line_number=2, income=0.0, recency=0),
        customer(line_number=3, income=999_999.0, recency=99),
        customer(line_number=4, income=999_999.5, recency=98),
        customer(line_number=5, income=None, recency=None),
    )
    before, after = rows(as_frame(raw)), rows(forget_placeholders(as_frame(raw), recipe))
    assert [list(row) for row in after] == [list(row) for row in before]
    found = sorted(after, key=lambda row: row["line_number"])
    assert [(row["income"], row["recency"]) for row in found] == [
        (None, 0),
        (None, None),
        (999_999.5, 98),
        (None, None),
    ]
    others = [{name: row[name] for name in row if name not in ("income", "recency")} for row in (*before, *after)]
    assert others[:4] == others[4:]


def test_a_recipe_that_knows_nothing_of_unknown_forgets_nothing(as_frame: Frames):
    raw = raw_frame(customer(income=0.0), customer(line_number=3, income=None))
    assert rows(forget_placeholders(as_frame(raw), BEHAVIOURAL.recipe)) == rows(as_frame(raw))


@pytest.mark.parametrize("unknown", [-1, 999_999])
def test_what_stands_for_unknown_is_imputed_and_leaves_the_median_alone(as_frame: Frames, unknown: float):
    """Though the contract or a limit would refuse it as a number."""
    declaration = with_unknown(income=(unknown,))
    incomes = [float(unknown), 20_000.0, float(unknown), 30_000.0, float(unknown), 70_000.0, None]
    raw = raw_frame(*[customer(line_number=n, customer_id=n, income=each) for n, each in enumerate(incomes, start=2)])
    judged = judge_customers(forget_placeholders(as_frame(raw), declaration.recipe), None, declaration.contract)
    accepted = summarise(judged)
    assert (accepted["median"], accepted["customers"]) == (30_000.0, 7)

    cleaned = rows(clean_customers(judged, AS_OF, {"income": accepted["median"]}, declaration).sort("customer_id"))
    assert [(row["income"], row["income_imputed"]) for row in cleaned] == [
        (30_000.0, True),
        (20_000.0, False),
        (30_000.0, True),
        (30_000.0, False),
        (30_000.0, True),
        (70_000.0, False),
        (30_000.0, True),
    ]
    assert rows(reject_customers(judged, AS_OF, declaration)) == []


def test_a_required_column_may_be_unknown_where_the_recipe_says_what_then(as_frame: Frames):
    assert not BY_NAME["recency"].nullable
    declaration = with_unknown(recency=(99.0,))
    raw = raw_frame(
        customer(line_number=2, customer_id=2, recency=99),
        customer(line_number=3, customer_id=3, recency=10),
        customer(line_number=4, customer_id=4, recency=-1),
    )
    judged = judge_customers(forget_placeholders(as_frame(raw), declaration.recipe), None, declaration.contract)
    medians = {"income": 1.0, "recency": 10.5}
    cleaned = rows(clean_customers(judged, AS_OF, medians, declaration).sort("customer_id"))
    # A whole number takes the nearest one.
    assert [(row["customer_id"], row["recency"], row["recency_imputed"]) for row in cleaned] == [
        (2, 11, True),
        (3, 10, False),
    ]
    refused = rows(reject_customers(judged, AS_OF, declaration))
    assert [(row["line_number"], row["detail"]) for row in refused] == [(4, "Recency is -1: expected 0 or more")]


def test_without_the_customer_where_the_recipe_refuses_what_is_unknown(as_frame: Frames):
    recipe = replace(BEHAVIOURAL.recipe, unknown={"income": (0.0,)}, impute=(), refused=("income",))
    declaration = declare(BEHAVIOURAL.contract, recipe)
    raw = raw_frame(customer(line_number=2, customer_id=2, income=0.0), customer(line_number=3, customer_id=3))
    judged = judge_customers(forget_placeholders(as_frame(raw), recipe), None, declaration.contract)
    refused = rows(reject_customers(judged, AS_OF, declaration))
    assert [(row["line_number"], row["reason"], row["detail"]) for row in refused] == [
        (2, "missing_value", "Income is missing")
    ]
    assert [row["customer_id"] for row in rows(clean_customers(judged, AS_OF, {}, declaration))] == [3]


# The newest day


def counted(*days: tuple[date, int]) -> Rows:
    return [{"day": day, "customers": customers} for day, customers in days]


TWO_YEARS = counted(*((date(2012, 7, 30) + timedelta(days=number), 3) for number in range(700)))


def test_the_newest_day_is_the_newest_of_all():
    assert find_newest(TWO_YEARS) == (date(2014, 6, 29), [])
    assert find_newest(list(reversed(TWO_YEARS))) == (date(2014, 6, 29), [])
    assert find_newest([]) == (None, [])
    assert find_newest(counted((date(2014, 6, 29), 1))) == (date(2014, 6, 29), [])


@pytest.mark.parametrize("day", [date(2099, 1, 1), date(2019, 1, 1)])
def test_a_day_far_beyond_all_others_is_not_believed(day: date):
    newest, beyond = find_newest([*TWO_YEARS, *counted((day, 1))])
    assert (newest, beyond) == (date(2014, 6, 29), counted((day, 1)))
    assert tell_far_beyond("Dt_Customer", newest, beyond) == (
        f"Dt_Customer is {day} for 1 customer, far beyond 2014-06-29, the newest of all others: probably a mistake. "
        "These rows are refused, and nobody is counted to such a day."
    )


@pytest.mark.parametrize(
    "days",
    [
        pytest.param(counted((date(2014, 1, 1), 1), (date(2014, 12, 31), 1)), id="a year apart"),
        pytest.param([*TWO_YEARS, *counted((date(2016, 1, 1), 1))], id="a newcomer after a quiet time"),
        pytest.param([*counted((date(1985, 1, 1), 1)), *TWO_YEARS], id="a customer from the beginning"),
        pytest.param([*TWO_YEARS, *counted((date(2020, 1, 1), 100))], id="many who came later"),
    ],
)
def test_what_may_well_be_is_believed(days: Rows):
    assert find_newest(days) == (days[-1]["day"], [])
    assert tell_far_beyond("Dt_Customer", days[-1]["day"], []) == ""
