"""Every check passes on good tables and fails on bad ones, and a blocking failure keeps what was published."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from smartcart_pipeline.declaration.columns import Column
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.tables import Table, declare_tables
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.engine import Written
from smartcart_pipeline.orchestration.checks import (
    CAN_BE_USED,
    DTYPES,
    SEMANTIC,
    Check,
    Verdict,
    checks_of,
    judge_schema,
)
from smartcart_pipeline.orchestration.faults import AT_FAULT
from smartcart_pipeline.orchestration.night import RunError, run_job
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline_tests.declared import ARROW, BEHAVIOURAL, REFERENCE, TABLES

ROWS = 2


@pytest.fixture
def lake(tmp_path: Path, engine: DuckDBEngine) -> Lake:
    return Lake(tmp_path / "lake", "run", engine, BEHAVIOURAL)


def good_value(table: Table, column: Column, row: int) -> Any:
    """A value that the declaration allows; another one in each row where it must be."""
    if column.categories:
        return column.categories[row % len(column.categories)]
    step = row if column.unique or column.name in table.key else row % 2
    return {
        "BOOLEAN": row % 2 == 0,
        "DATE": date(2014, 6, 28 + row % 2),
        "DOUBLE": (column.minimum or 0) + step / 10,
        "VARCHAR": f"text {step}",
        "TIMESTAMP": datetime.fromisoformat("2014-06-29T02:00:00"),
        "INTEGER[]": [step, 1],
        "VARCHAR[]": [f"text {step}"],
    }.get(column.type, int(column.minimum or 0) + step)


def good_rows(table: Table, rows: int = ROWS, **values: Any) -> Rows:
    """Rows that hold the declaration; `values` instead, the same in each row or one for each."""
    return [
        {column.name: good_value(table, column, row) for column in table.columns}
        | {name: value[row] if isinstance(value, list) else value for name, value in values.items()}
        for row in range(rows)
    ]


def keep(lake: Lake, name: str, rows: Rows, types: Mapping[str, pa.DataType] | None = None) -> None:
    """Put a table into the lake just as it is, right or wrong; `types` may change, order, drop and add columns."""
    types = types or {column.name: ARROW[column.type] for column in TABLES[name].columns}
    path = lake.root / name / f"20140629T000000000000Z_{lake.run_id}.parquet"
    path.parent.mkdir(parents=True)
    pa.parquet.write_table(pa.Table.from_pylist(rows, pa.schema(list(types.items()))), path)


def judge(lake: Lake, table: str, name: str, settings: Settings | None = None) -> Verdict:
    [check] = [check for check in checks_of((table,)) if check.name == name]
    chosen = settings or Settings(input=None)
    return check.judge(lake, **{one: getattr(chosen, one) for one in check.settings})


# Schema


def broken_values(column: Column) -> list[Any]:
    """Values that the declaration forbids, one for each way to break it."""
    step = 0.01 if column.type == "DOUBLE" else 1
    return [
        *([] if column.nullable else [None]),
        *([float("nan"), float("inf"), float("-inf")] if column.type == "DOUBLE" else []),
        *([] if column.minimum is None else [column.minimum - step]),
        *([] if column.maximum is None else [column.maximum + step]),
        *([column.categories[0].upper() + "!"] if column.categories else []),
    ]


def faults_of(column: Column, values: list[Any]) -> Iterator[str]:
    """What the verdict must say of these values."""
    there = [value for value in values if value is not None]
    rules = {
        f"{column.name} is null": 0 if column.nullable else len(values) - len(there),
        f"{column.name} is not finite": sum(isinstance(v, float) and not math.isfinite(v) for v in there),
        f"{column.name} < {column.minimum or 0:.9g}": sum(
            column.minimum is not None and v < column.minimum for v in there
        ),
        # DuckDB holds a NaN for greater than any number.
        f"{column.name} > {column.maximum or 0:.9g}": sum(
            column.maximum is not None and not v <= column.maximum for v in there
        ),
        f"{column.name} not in {list(column.categories)}": sum(
            bool(column.categories) and v not in column.categories for v in there
        ),
    }
    return (f"{count:,} rows: {rule}" for rule, count in rules.items() if count)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_as_declared_holds_its_schema(lake: Lake, name: str) -> None:
    keep(lake, name, good_rows(TABLES[name]))
    verdict = judge(lake, name, "schema")
    assert verdict.passed
    assert verdict.description == "2 rows hold the declared schema."
    assert verdict.metadata["rows"] == 2


def write(engine: DuckDBEngine, table: Table, rows: Rows, path: Path) -> tuple[Written, Any]:
    """Have the engine write rows; what it told of them, and the file as a frame."""
    types = pa.schema([(column.name, ARROW[column.type]) for column in table.columns])
    written = engine.write(engine.frame(pa.Table.from_pylist(rows, types)), table, path)
    return written, engine.scan(path, table.name)


def declaration(table: Table, column: Column) -> tuple[object, ...]:
    """What of a column's declaration a verdict depends on; the same for many."""
    limits = (column.minimum, column.maximum, column.categories)
    return column.type, column.nullable, *limits, column.unique or column.name in table.key


# One column for each declaration, by its table.
DIFFERENT = {declaration(table, column): (table, column) for table in TABLES.values() for column in table.columns}


@pytest.mark.parametrize("name", dict.fromkeys(table.name for table, _ in DIFFERENT.values()))
def test_what_writing_told_of_a_table_leads_to_the_verdict_that_looking_at_it_does(
    engine: DuckDBEngine, tmp_path: Path, name: str
) -> None:
    table = TABLES[name]
    for column in (column for of, column in DIFFERENT.values() if of is table):
        for number, value in enumerate([*broken_values(column), good_value(table, column, 0)]):
            rows = good_rows(table, **{column.name: [value, good_value(table, column, 1)]})
            written, frame = write(engine, table, rows, tmp_path / f"{column.name}_{number}.parquet")
            assert written.spans.keys() == set(table.names)
            known, looked_at = (judge_schema(frame, table, engine, what) for what in (written, Written(written.rows)))
            assert known == looked_at, (column.name, value)


@pytest.mark.parametrize("name", TABLES)
def test_no_row_is_looked_at_where_writing_told_enough(engine: DuckDBEngine, tmp_path: Path, name: str) -> None:
    table = TABLES[name]
    written, frame = write(engine, table, good_rows(table), tmp_path / "good.parquet")
    asked: list[Any] = []

    def look(looked_at: Any) -> Rows:
        asked.append(looked_at)
        return engine.rows(looked_at)

    looking = SimpleNamespace(rows=look, count_repeats=engine.count_repeats)
    assert judge_schema(frame, table, looking, written).passed  # type: ignore[arg-type]
    # A missing value among categories may stand for another text.
    assert len(asked) == any(column.categories and column.nullable for column in table.columns)


@pytest.mark.parametrize("name", TABLES)
def test_limits_themselves_are_allowed(lake: Lake, name: str) -> None:
    table = TABLES[name]
    limits = {
        column.name: [column.minimum, column.maximum]
        for column in table.columns
        if column.minimum is not None and column.maximum is not None
    }
    keep(lake, name, good_rows(table, **limits))
    assert judge(lake, name, "schema").passed


@pytest.mark.parametrize("name", TABLES)
def test_nothing_is_missing_where_it_may_be(lake: Lake, name: str) -> None:
    table = TABLES[name]
    may_be_null = {column.name: None for column in table.columns if column.nullable and column.name not in table.key}
    keep(lake, name, good_rows(table, **may_be_null))
    assert judge(lake, name, "schema").passed


@pytest.mark.parametrize("name", TABLES)
def test_every_value_that_breaks_a_rule_is_found_and_no_other(lake: Lake, name: str) -> None:
    table = TABLES[name]
    broken = [(column.name, value) for column in table.columns for value in broken_values(column)]
    rows = good_rows(table, len(broken) + 2)
    for row, (column, value) in zip(rows, broken, strict=False):
        row[column] = value
    keep(lake, name, rows)
    verdict = judge(lake, name, "schema")
    expected = [fault for column in table.columns for fault in faults_of(column, [row[column.name] for row in rows])]
    assert [fault for fault in verdict.description.split("; ") if "rows: repeated " not in fault] == expected
    assert len(expected) >= 3
    assert not verdict.passed


@pytest.mark.parametrize(
    ("name", "key"),
    [
        # What follows another table is held against that one, by `same_customers`.
        *((table.name, table.key) for table in TABLES.values() if not table.follows and not table.grows),
        *(
            (table.name, (column.name,))
            for table in TABLES.values()
            for column in table.columns
            if column.unique and not table.follows and not table.grows
        ),
    ],
)
def test_a_repeated_key_is_found(lake: Lake, name: str, key: tuple[str, ...]) -> None:
    table = TABLES[name]
    first = good_rows(table)[0]
    keep(lake, name, good_rows(table, **{column: first[column] for column in key}))
    verdict = judge(lake, name, "schema")
    assert not verdict.passed
    assert f"1 rows: repeated {', '.join(key)}" in verdict.description


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if len(table.key) > 1])
def test_half_a_key_may_repeat(lake: Lake, name: str) -> None:
    table = TABLES[name]
    keep(lake, name, good_rows(table, **{table.key[0]: good_rows(table)[0][table.key[0]]}))
    assert judge(lake, name, "schema").passed


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("change", ["swapped", "missing", "unknown"])
def test_columns_must_be_the_declared_ones_in_order(lake: Lake, name: str, change: str) -> None:
    types = {column.name: ARROW[column.type] for column in TABLES[name].columns}
    first, second, *rest = types
    changed = {
        "swapped": [second, first, *rest],
        "missing": [second, *rest],
        "unknown": [first, "unknown", second, *rest],
    }[change]
    keep(lake, name, good_rows(TABLES[name]), {column: types.get(column, pa.string()) for column in changed})
    verdict = judge(lake, name, "schema")
    assert not verdict.passed
    assert verdict.description == f"Columns are {changed}, expected {list(types)}."


@pytest.mark.parametrize("name", TABLES)
def test_only_a_table_that_carries_columns_along_may_have_more(lake: Lake, name: str) -> None:
    types = {column.name: ARROW[column.type] for column in TABLES[name].columns}
    keep(lake, name, good_rows(TABLES[name]), types | {"loyalty_tier": pa.string()})
    assert judge(lake, name, "schema").passed == TABLES[name].carries_extra == (name in ("raw_customers", "cleaned"))


@pytest.mark.parametrize("name", TABLES)
def test_columns_of_another_type_are_found(lake: Lake, name: str) -> None:
    columns = TABLES[name].columns
    texts = {column.name: column.type != "VARCHAR" for column in columns}
    keep(
        lake,
        name,
        good_rows(TABLES[name], **{column: "1" if text else 1 for column, text in texts.items()}),
        {column: pa.string() if text else pa.int64() for column, text in texts.items()},
    )
    verdict = judge(lake, name, "schema")
    assert not verdict.passed
    for column in columns:
        assert f"{column.name} is {'String' if texts[column.name] else 'Int64'}, expected {column.type}" in (
            verdict.description
        )


def test_every_declared_type_can_be_judged() -> None:
    assert {column.type for table in TABLES.values() for column in table.columns} <= DTYPES.keys()


@pytest.mark.parametrize("declared", [BEHAVIOURAL, REFERENCE], ids=lambda declared: declared.recipe.name)
@pytest.mark.parametrize("kept", [BEHAVIOURAL, REFERENCE], ids=lambda kept: kept.recipe.name)
def test_the_columns_that_the_model_sees_are_those_of_the_nights_own_recipe(
    tmp_path: Path, engine: DuckDBEngine, declared: Declaration, kept: Declaration
) -> None:
    lake, table = Lake(tmp_path / "lake", "run", engine, declared), declare_tables(kept)["scaled"]
    assert ("response" in table.names) == (kept is REFERENCE)
    keep(lake, "scaled", good_rows(table), {column.name: ARROW[column.type] for column in table.columns})
    verdict = judge(lake, "scaled", "schema")
    assert verdict.passed == (declared is kept)
    told = f"Columns are {list(table.names)}, expected {list(declare_tables(declared)['scaled'].names)}."
    assert verdict.description == ("2 rows hold the declared schema." if declared is kept else told)


def test_all_faults_are_told_at_once(lake: Lake) -> None:
    keep(lake, "cleaned", good_rows(TABLES["cleaned"], customer_id=7, income=[None, -1.0], education="Doctor"))
    verdict = judge(lake, "cleaned", "schema")
    for fault in ("1 rows: income is null", "1 rows: income < 0", "2 rows: education not in", "repeated customer_id"):
        assert fault in verdict.description


# Semantics: tables that pass or fail each check, and what it says

Tables = dict[str, Rows]


def rows_of(name: str, rows: int, **values: Any) -> Tables:
    return {name: good_rows(TABLES[name], rows, **values)}


def delivered(raw: int, cleaned: int, rejected: int) -> Tables:
    return {
        **rows_of("raw_customers", raw),
        **rows_of("cleaned", cleaned),
        **rows_of(
            "rejected_customers",
            rejected,
            line_number=list(range(9, 9 + rejected)),
            reason=["missing_id", *["out_of_range"] * (rejected - 1)][:rejected],
        ),
    }


def points(pc1: list[float], pc2: list[float], pc3: list[float]) -> Tables:
    return rows_of("pca_components", len(pc1), pc1=pc1, pc2=pc2, pc3=pc3)


def candidates(*selected: bool) -> Tables:
    return rows_of(
        "k_selection", len(selected), k=list(range(1, len(selected) + 1)), is_selected=list(selected), reason=None
    )


def segments(*names: str, k: int) -> Tables:
    return rows_of("clusters", len(names), segment_id=list(names)) | rows_of("centroids", k)


def drift(*verdicts: str) -> Tables:
    """Features of a second night, after a first one on which all of them had drifted."""
    tonight = rows_of("feature_drift", len(verdicts), night=2, verdict=list(verdicts), psi=0.3)["feature_drift"]
    before = rows_of("feature_drift", len(verdicts), night=1, verdict="drifted")["feature_drift"]
    return {"feature_drift": before + tonight}


def driven(*strengths: float) -> Tables:
    """A feature that goes with all segments by the first strength, and with two of them by the second."""
    whole, pair = rows_of("segment_drivers", 1), rows_of("segment_pairs", 1)
    if not strengths:
        return rows_of("segment_drivers", 0) | rows_of("segment_pairs", 0)
    whole["segment_drivers"][0]["association"], pair["segment_pairs"][0]["association"] = strengths
    return whole | pair


def following(*strengths: float) -> Tables:
    return rows_of("sensitive_association", len(strengths), association=list(strengths))


def stays(clusters: dict[int, str], *history: tuple[int, str, int, int | None]) -> Tables:
    """Tonight's customers, and stays by customer, segment, and the days they began and ended after tonight's as-of."""
    as_of = date(2014, 6, 29)
    return {
        **rows_of("cleaning_figures", 1, as_of_date=as_of),
        **rows_of("clusters", len(clusters), customer_id=list(clusters), segment_id=list(clusters.values())),
        **rows_of(
            "segment_membership",
            len(history),
            customer_id=[stay[0] for stay in history],
            segment_id=[stay[1] for stay in history],
            valid_from=[as_of + timedelta(stay[2]) for stay in history],
            valid_to=[None if stay[3] is None else as_of + timedelta(stay[3]) for stay in history],
        ),
    }


def repeating(*ids: int) -> Tables:
    return (
        {"raw_customers": good_rows(TABLES["raw_customers"], 1) * len(ids)}
        if not ids
        else {
            "raw_customers": [
                good_rows(TABLES["raw_customers"], 1)[0] | {"customer_id": number, "line_number": line}
                for line, number in enumerate(ids, start=2)
            ]
        }
    )


WAVE, LINE, COUNTER = [1.0, -1.0, 1.0, -1.0], [3.0, 1.0, -1.0, -3.0], [1.0, -1.0, -1.0, 1.0]
SQUARE = ([1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0])

# Two customers of one segment who spend 5 each on average, in two categories, and one of another who spends 5.
SPENT = rows_of("clusters", 3, segment_id=["S01", "S01", "S02"]) | rows_of(
    "category_spending",
    3,
    segment_id=["S01", "S01", "S02"],
    category=["wine", "fish", "wine"],
    mean_spending=[3.5, 1.5, 5.0],
)


JUDGED: list[tuple[str, str, Tables, bool, str]] = [
    ("raw_customers", CAN_BE_USED, rows_of("raw_customers", 3), True, "the export is an export: 3 rows."),
    ("raw_customers", "no_repeats", rows_of("raw_customers", 3, recency=[1, 2, 3]), True, "No row repeats."),
    (
        "raw_customers",
        "no_repeats",
        repeating(1, 2, 3),
        False,
        "2 rows repeat another but for their id; they are kept.",
    ),
    ("raw_customers", "no_repeats", repeating(1, 2), False, "1 row repeats another but for its id; it is kept."),
    ("cleaned", "every_line_accounted_for", delivered(3, 2, 1), True, "3 delivered = 2 cleaned + 1 rejected"),
    ("cleaned", "every_line_accounted_for", delivered(3, 1, 1), False, "3 delivered, but 1 cleaned and 1 rejected"),
    ("cleaned", "every_line_accounted_for", delivered(3, 3, 1), False, "3 delivered, but 3 cleaned and 1 rejected"),
    ("cleaned", "few_rejected", delivered(20, 20, 0), True, "0 of 20 rows rejected (0.0%; limit 5.0%)"),
    ("cleaned", "few_rejected", delivered(20, 19, 1), True, "1 of 20 rows rejected (5.0%; limit 5.0%)"),
    (
        "cleaned",
        "few_rejected",
        delivered(20, 16, 4),
        False,
        "4 of 20 rows rejected (20.0%; limit 5.0%). Year_Birth is below 1850: ",
    ),
    *(
        (
            table.name,
            "same_customers",
            rows_of(table.name, 3) | rows_of(table.follows, 3),
            True,
            "3 customers, those of",
        )
        for table in TABLES.values()
        if table.follows
    ),
    *(
        (
            table.name,
            "same_customers",
            rows_of(table.name, len(ids), customer_id=ids) | rows_of(table.follows, 3, customer_id=[5, 7, 9]),
            False,
            f"{len(ids)} customers are not the 3 of {table.follows}",
        )
        for table in TABLES.values()
        if table.follows
        # One lost, one too many, one doubled in place of another, also where the ids add up to the same.
        for ids in ([5, 7], [5, 7, 9, 11], [5, 5, 9], [7, 7, 7])
    ),
    ("pca_components", "uncorrelated", points(*SQUARE, COUNTER), True, "Largest correlation"),
    ("pca_components", "uncorrelated", points(SQUARE[0], [9.0, 7.0, 9.0, 7.0], COUNTER), True, "Largest correlation"),
    ("pca_components", "uncorrelated", points(*SQUARE, [1e-16, -2e-16, 0.0, 3e-17]), True, "Largest correlation"),
    ("pca_components", "uncorrelated", points(*SQUARE, [0.3] * 4), True, "Largest correlation"),
    ("pca_components", "uncorrelated", points(*SQUARE, SQUARE[0]), False, "between components: 1.0e+00"),
    ("pca_components", "uncorrelated", points(WAVE, LINE, COUNTER), False, "between components: 4.5e-01"),
    (
        "pca_components",
        "uncorrelated",
        points(SQUARE[0], [x + 1e-5 * y for x, y in zip(SQUARE[1], SQUARE[0], strict=True)], COUNTER),
        False,
        "between components: 1.0e-05",
    ),
    ("k_selection", "one_selected", candidates(False, True, False), True, "Selected: [2]"),
    ("k_selection", "one_selected", candidates(False, False), False, "Selected: []"),
    ("k_selection", "one_selected", candidates(False, True, True), False, "Selected: [2, 3]"),
    ("clusters", "no_empty_segment", segments("S01", "S02", "S02", k=2), True, "2 of 2"),
    ("clusters", "no_empty_segment", segments("S02", "S02", k=2), False, "1 of 2"),
    ("clusters", "no_empty_segment", segments("S01", "S02", "S03", k=2), False, "3 of 2"),
    ("feature_drift", "no_drift", rows_of("feature_drift", 0), True, "No drift."),
    ("feature_drift", "no_drift", drift("steady", "noticeable"), True, "No drift."),
    ("feature_drift", "no_drift", drift("steady", "drifted"), False, "by their index: text 1 (0.30)."),
    (
        "segment_membership",
        "as_published",
        stays({1: "S01", 2: "S02"}, (1, "S01", -9, None), (2, "S02", 0, 7), (2, "S01", 7, None), (3, "S01", -9, 0)),
        True,
        "2 customers on 2014-06-29, as published",
    ),
    *(
        ("segment_membership", "as_published", stays({1: "S01", 2: "S02"}, *wrong), False, "are not those published")
        for wrong in (
            [(1, "S01", 0, None)],
            [(1, "S01", 0, None), (2, "S01", 0, None)],
            [(1, "S01", 0, None), (2, "S02", 0, None), (2, "S02", -9, None)],
            [(1, "S01", 0, None), (2, "S02", 1, None)],
        )
    ),
    ("cleaning_figures", "no_placeholders", rows_of("cleaning_figures", 1, placeholders=None), True, "No value looks"),
    ("cleaning_figures", "no_placeholders", rows_of("cleaning_figures", 1, placeholders="0 …"), False, "0 …"),
    ("segment_drivers", "not_one_feature", driven(0.9499, 0.9499), True, "No feature alone"),
    (
        "segment_drivers",
        "not_one_feature",
        driven(0.95, 0.1),
        False,
        "text 0 alone tells the segments apart (association",
    ),
    (
        "segment_drivers",
        "not_one_feature",
        driven(0.9, 0.95),
        False,
        "text 0 alone tells text 0 and text 0 apart (assoc",
    ),
    ("segment_drivers", "not_one_feature", driven(), True, "No feature alone"),
    ("sensitive_association", "nothing_sensitive_followed", following(0.3), True, "follow no sensitive attribute"),
    ("sensitive_association", "nothing_sensitive_followed", following(0.31), False, "above 0.3: text 0 (0.31)"),
    ("sensitive_association", "nothing_sensitive_followed", following(), True, "follow no sensitive attribute"),
    ("audiences", "sample_ratio", rows_of("audiences", 2, ratio_p_value=[0.001, None]), True, "As many are held out"),
    ("audiences", "sample_ratio", rows_of("audiences", 2, ratio_p_value=[0.5, 0.0009]), False, "Of text 1 another"),
    ("audiences", "sample_ratio", rows_of("audiences", 0), True, "As many are held out"),
    ("profiles", "add_up", rows_of("profiles", 2, customers=[3, 4]) | rows_of("clusters", 7), True, "7 profiled"),
    ("profiles", "add_up", rows_of("profiles", 2, customers=[3, 4]) | rows_of("clusters", 8), False, "8 clustered"),
    ("profiles", "add_up", rows_of("profiles", 0) | rows_of("clusters", 1), False, "0 profiled, 1 clustered"),
    ("category_spending", "adds_up", SPENT | rows_of("features", 3, total_spending=[8, 2, 5]), True, "15 by all"),
    ("category_spending", "adds_up", SPENT | rows_of("features", 3, total_spending=[8, 2, 6]), False, "16 by all"),
    (
        "category_spending",
        "adds_up",
        rows_of("clusters", 0) | rows_of("features", 1, total_spending=[4]) | rows_of("category_spending", 0),
        False,
        "0 spent by category, 4 by all",
    ),
    ("segment_rules", "add_up", rows_of("segment_rules", 2, customers=[3, 4]) | rows_of("features", 7), True, "7 meet"),
    ("segment_rules", "add_up", rows_of("segment_rules", 2, customers=[3, 4]) | rows_of("features", 8), False, "of 8"),
    ("segment_rules", "add_up", rows_of("segment_rules", 0) | rows_of("features", 1), False, "0 meet a rule, of 1"),
]


@pytest.mark.parametrize(
    ("table", "name", "tables", "passed", "said"),
    JUDGED,
    ids=lambda value: value if isinstance(value, str) else "passes" if value is True else None,
)
def test_a_semantic_check_judges_the_tables(
    lake: Lake, table: str, name: str, tables: Tables, passed: bool, said: str
) -> None:
    for each, rows in tables.items():
        keep(lake, each, rows)
    verdict = judge(lake, table, name)
    assert verdict.passed == passed
    assert said in verdict.description


def test_where_the_recipe_names_nothing_that_is_made_of_parts_nothing_has_to_add_up(
    tmp_path: Path, engine: DuckDBEngine
) -> None:
    recipe = BEHAVIOURAL.recipe
    plain = replace(BEHAVIOURAL, recipe=replace(recipe, business=replace(recipe.business, composition=None)))
    lake = Lake(tmp_path / "lake", "run", engine, plain)
    for name, rows in (rows_of("features", 1, total_spending=[4]) | rows_of("category_spending", 0)).items():
        keep(lake, name, rows)
    assert judge(lake, "category_spending", "schema").passed
    verdict = judge(lake, "category_spending", "adds_up")
    assert (verdict.passed, verdict.description) == (True, "The recipe names nothing that is made of parts.")


@pytest.mark.parametrize("check", SEMANTIC, ids=lambda check: f"{check.table}-{check.name}")
def test_every_semantic_check_has_been_seen_to_pass_and_to_fail(check: Check) -> None:
    # Where an export cannot be used no run gets as far as this check: the sensors fail it, and their tests see that.
    verdicts = {True} if check.name == CAN_BE_USED else {True, False}
    assert {passed for table, name, _, passed, _ in JUDGED if (table, name) == (check.table, check.name)} == verdicts


@pytest.mark.parametrize(("limit", "passed"), [(0.1, False), (0.2, True), (1.0, True)])
def test_the_limit_of_rejected_rows_is_a_setting_and_inclusive(lake: Lake, limit: float, passed: bool) -> None:
    for name, rows in delivered(20, 16, 4).items():
        keep(lake, name, rows)
    verdict = judge(lake, "cleaned", "few_rejected", Settings(input=None, max_rejected_share=limit))
    assert (verdict.passed, AT_FAULT in verdict.metadata) == (passed, not passed)


@pytest.mark.parametrize("blocks", [False, True])
def test_whether_segments_may_follow_what_is_sensitive_is_a_setting(lake: Lake, blocks: bool) -> None:
    for name, rows in following(0.31).items():
        keep(lake, name, rows)
    [check] = [check for check in SEMANTIC if check.name == "nothing_sensitive_followed"]
    found = check.evaluate(lake, Settings(input=None, block_sensitive=blocks))
    severity = dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN
    assert (found.passed, found.severity) == (False, severity)
    assert check.evaluate(lake, Settings(input=None, max_sensitive_association=0.31, block_sensitive=blocks)).passed


@pytest.mark.parametrize("check", checks_of(tuple(TABLES)), ids=lambda check: f"{check.table}-{check.name}")
def test_every_check_blocks_but_those_that_warn(check: Check) -> None:
    warning = {
        ("raw_customers", "no_repeats"),
        ("feature_drift", "no_drift"),
        ("segment_drivers", "not_one_feature"),
        ("cleaning_figures", "no_placeholders"),
        ("audiences", "sample_ratio"),
    }
    assert check.spec.blocking == ((check.table, check.name) not in warning)


# Whole runs


@pytest.fixture
def run(whole_night: None, home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], dict[str, Any]]:
    # A run points these at its home: put them back afterwards.
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    monkeypatch.setenv("SMARTCART_HOME", str(home.root))
    return lambda export: run_job(home, {"input": str(export), "recipe": "behavioural"}, quiet=True)


def test_what_a_check_found_is_said_where_it_stops_a_run(whole_night: None, home: Home, sample: Path) -> None:
    settings = {"input": str(sample), "recipe": "behavioural", "block_sensitive": True}
    told = r"the run was stopped by check nothing_sensitive_followed of sensitive_association: .* living_with \(1\.00\)"
    with pytest.raises(RunError, match=f"{told}.* raise max_sensitive_association. What was published before is unch"):
        run_job(home, settings, quiet=True)
    assert not home.warehouse.exists()


def test_a_failing_blocking_check_stops_the_run_and_keeps_what_is_published(
    run: Callable[[Path], dict[str, Any]], home: Home, sample: Path, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    customers = pd.read_csv(sample).head(300)
    customers.to_csv(good, index=False)
    run(good)
    published = home.warehouse.read_bytes(), home.warehouse.stat().st_mtime_ns
    customers.assign(Education=["Doctor"] * 16 + ["PhD"] * 284).to_csv(bad, index=False)
    with pytest.raises(ExportError, match=r"16 of 300 rows rejected \(5\.3%; limit 5\.0%\)\. Education is none of"):
        run(bad)

    assert (home.warehouse.read_bytes(), home.warehouse.stat().st_mtime_ns) == published
    with dg.DagsterInstance.get() as instance:
        failed, passed = instance.get_runs()
        assert (failed.status, passed.status) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS)
        evaluated = {
            (check.asset_key.path[-1], check.check_name): check.passed
            for record in instance.get_records_for_run(
                passed.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
            ).records
            if (check := record.event_log_entry.get_dagster_event().asset_check_evaluation_data)
        }
        # These only warn.
        warned = {
            ("raw_customers", "no_repeats"),
            ("segment_drivers", "not_one_feature"),
            ("sensitive_association", "nothing_sensitive_followed"),
        }
        assert {check for check, passed in evaluated.items() if not passed} == warned
        assert evaluated.keys() == {(check.table, check.name) for check in checks_of(tuple(TABLES))}
        made = {
            record.event_log_entry.get_dagster_event().step_materialization_data.materialization.asset_key.path[-1]
            for record in instance.get_records_for_run(
                failed.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
            ).records
        }
        prepared = {"raw_customers", "cleaned", "rejected_customers", "cleaning_figures"}
        assert made == {"declared_columns", "declared_features", *prepared}
