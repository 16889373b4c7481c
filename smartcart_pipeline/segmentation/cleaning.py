"""Cleaning: which delivered rows describe a customer, and with what values.

A row is never dropped silently: `clean_customers` keeps the rows that hold, `reject_customers` all others, each with a
reason. What holds is one expression; reasons are put into words only for the few rows that need one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import and_, or_
from typing import Any, Protocol

import narwhals as nw
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.contract import BY_NAME, CONTRACT, NAMES, DeliveredColumn, ExportError
from smartcart_pipeline.segmentation import Rows


@dataclass(frozen=True)
class Limits:
    """Beyond these a customer is an extreme outlier and is left out.

    Attributes:
        max_age: Greatest age in years on the as-of date.
        max_income: Greatest yearly income, in currency units.
    """

    max_age: int = 90
    max_income: float = 600_000


# What reasons say of a line that holds the contract, or whose id does not.
BEYOND_CONTRACT = {
    "repeated_id": "ID stands on an earlier line already",
    "joined_after_as_of": "Dt_Customer lies after the as-of date",
    "born_after_as_of": "Year_Birth lies after the as-of date",
    "age_above_limit": "Year_Birth makes older than the limit",
    "income_above_limit": "Income is above the limit",
}


@dataclass(frozen=True)
class Problem:
    """Something that gets a row refused.

    Attributes:
        reason: Its code, as in `rejected_customers.reason`.
        condition: True where a row has it.
        detail: A sentence about the row, for people.
    """

    reason: str
    condition: nw.Expr
    detail: nw.Expr


def find_repeats(raw: FrameT) -> FrameT:
    """Customer ids that stand on several lines, among the lines that hold the contract.

    Args:
        raw: Rows of the export: the contract's columns, `line_number` and `unreadable`.

    Returns:
        One row an id: `customer_id` and `first_line` (Int64).
    """
    return (
        raw.filter(_holds_contract())
        .group_by("customer_id")
        .agg(nw.len().alias("lines"), nw.col("line_number").min().alias("first_line"))
        .filter(nw.col("lines") > 1)
        .select("customer_id", "first_line")
    )


def judge_customers(raw: FrameT, repeats: FrameT | None) -> FrameT:
    """Hold every row against the contract.

    Where a customer id repeats among rows that are otherwise good, the first line stays and the later ones are refused.

    Args:
        raw: Rows of the export: the contract's columns, `line_number` and `unreadable`.
        repeats: Ids from `find_repeats`; None where there are none.

    Returns:
        The same rows, without further columns, with `is_repeat` and `is_accepted` (Boolean, neither of them null).
    """
    # Further columns of the export may have any name, also one that is used here.
    rows = raw.select("line_number", *NAMES, "unreadable")
    if repeats is None:
        return rows.with_columns(nw.lit(False).alias("is_repeat"), _holds_contract().alias("is_accepted"))
    later = ~nw.col("first_line").is_null() & (nw.col("line_number") > nw.col("first_line"))
    marked = rows.join(repeats, on="customer_id", how="left").with_columns(
        (_holds_contract() & later).alias("is_repeat"), (_holds_contract() & ~later).alias("is_accepted")
    )
    return marked.drop("first_line")


class Hands(Protocol):
    """What judging an export asks of an engine."""

    def keep(self, frame: Any) -> Any: ...  # noqa: D102
    def count_repeats(self, frame: Any, columns: Sequence[str]) -> int: ...  # noqa: D102


def judge_export(raw: FrameT, hands: Hands) -> FrameT:
    """Find the ids that repeat, and hold every row against the contract.

    Args:
        raw: Rows of the export: the contract's columns, `line_number` and `unreadable`.
        hands: The engine.

    Returns:
        Rows as from `judge_customers`; without a join where no id repeats.
    """
    repeats = hands.keep(find_repeats(raw)) if hands.count_repeats(raw, ["customer_id"]) else None
    return judge_customers(raw, repeats)


def summarise_accepted(judged: FrameT) -> FrameT:
    """What cleaning must know of all accepted rows before it can treat one, in one pass over them.

    The median is found among the different incomes and how many rows have each: an engine that is asked for one keeps
    every single value in memory.

    Args:
        judged: Rows from `judge_customers`.

    Returns:
        One row: `newest_join` (Date, the default as-of date), `income_median` (Float64) and `customers` (Int64).
    """
    income, known, upto = nw.col("income"), nw.col("known"), nw.col("upto")
    by_income = (
        judged.filter(nw.col("is_accepted"))
        .group_by("income")
        .agg(nw.len().alias("customers"), nw.col("dt_customer").max().alias("newest_join"))
    )
    counted = by_income.with_columns(
        nw.when(income.is_null()).then(nw.lit(0)).otherwise(nw.col("customers")).cast(nw.Int64).alias("known"),
        nw.lit(0).alias("everyone"),
    )
    ranked = counted.with_columns(
        known.cum_sum().over("everyone", order_by="income").cast(nw.Int64).alias("upto"),
        known.sum().over("everyone").cast(nw.Int64).alias("incomes"),
    )
    # The two in the middle are one and the same where the number of incomes is odd.
    ranks = ((nw.col("incomes") + 1) // 2, nw.col("incomes") // 2 + 1)
    middle = [nw.when((upto - known < rank) & (rank <= upto)).then(income.cast(nw.Float64)) for rank in ranks]
    return (
        ranked.with_columns(middle[0].alias("lower"), middle[1].alias("upper"))
        .select(
            nw.col("newest_join").max(),
            nw.col("lower").max(),
            nw.col("upper").max(),
            nw.col("customers").sum().cast(nw.Int64),
        )
        .select(
            "newest_join",
            ((nw.col("lower") + nw.col("upper")) / 2).alias("income_median"),
            nw.coalesce("customers", nw.lit(0)).alias("customers"),
        )
    )


def require_customers(accepted: dict[str, Any], refused: Rows) -> None:
    """Refuse an export none of whose rows holds the contract.

    Args:
        accepted: The row from `summarise_accepted`.
        refused: Some rows of `reject_customers` to name where none is accepted.

    Raises:
        ExportError: If no row is accepted, or none of the accepted tells an income.
    """
    if not accepted["customers"]:
        raise ExportError(
            "Not one row of the export holds a customer as the contract expects. "
            f"{tell_lines(refused)} Correct the export and deliver it again."
        )
    if accepted["income_median"] is None:
        raise ExportError(
            "Income is missing in every row, so there is no median to stand for it. Deliver an export with incomes."
        )


def tell_lines(refused: Rows) -> str:
    """What is wrong with some lines, for a message that is recorded: no value of a customer stands in it.

    Args:
        refused: Rows of `reject_customers`.

    Returns:
        A sentence a line.
    """
    return " ".join(f"Line {row['line_number']}: {tell_faults(row)}." for row in refused)


def tell_faults(refused: dict[str, Any]) -> str:
    """What is wrong with a line, by column and kind; the values themselves stand in `detail` and nowhere else.

    Args:
        refused: A row of `reject_customers`.

    Returns:
        All that is wrong with it.
    """
    unreadable = refused["unreadable"] or ""
    # Of a line that cannot be put into columns, what is wrong with it stands before the line itself.
    faults = [unreadable.split(":")[0]] if unreadable.startswith("The line ") else []
    faults += [fault for column in CONTRACT for fault in _tell_column(column, refused[column.name], unreadable)]
    if (reason := refused["reason"]) in BEYOND_CONTRACT:
        faults.append(BEYOND_CONTRACT[reason])
    return "; ".join(faults) or reason


def _tell_column(column: DeliveredColumn, value: Any, unreadable: str) -> Iterator[str]:
    if value is None:
        if f"{column.header} is '" in unreadable:
            yield f"{column.header} is not {'a date' if column.type == 'DATE' else 'a number'}"
        elif not unreadable and not column.nullable:
            yield f"{column.header} is missing"
        return
    if column.minimum is not None and value < column.minimum:
        yield f"{column.header} is below {column.minimum:.9g}"
    if column.maximum is not None and value > column.maximum:
        yield f"{column.header} is above {column.maximum:.9g}"
    if column.categories and value not in column.categories:
        yield f"{column.header} is none of {', '.join(column.categories)}"


def clean_customers(judged: FrameT, as_of: date, income_median: float, limits: Limits) -> FrameT:
    """Keep the customers the model may learn from, with missing incomes imputed by the median.

    Args:
        judged: Rows from `judge_customers`.
        as_of: The day age and tenure are counted to.
        income_median: Median income of the accepted rows, in currency units.
        limits: Beyond these a customer is an outlier.

    Returns:
        The contract's columns with no value missing, `income_imputed` (Boolean) and `as_of_date` (Date).
    """
    missing = nw.col("income").is_null()
    return (
        judged.filter(belongs(as_of, limits))
        .with_columns(
            nw.when(missing).then(nw.lit(income_median)).otherwise(nw.col("income")).alias("income"),
            missing.alias("income_imputed"),
            nw.lit(as_of, dtype=nw.Date).alias("as_of_date"),
        )
        .select(*NAMES, "income_imputed", "as_of_date")
    )


def belongs(as_of: date | None, limits: Limits, newcomers: bool = False) -> nw.Expr:
    """Whether a row from `judge_customers` holds the contract and lies within the limits.

    Args:
        as_of: The day age and tenure are counted to; None where no row tells one, so that the contract alone counts.
        limits: Beyond these a customer is an outlier.
        newcomers: Whether customers may have joined after the as-of date.

    Returns:
        An expression (Boolean, never null).
    """
    within = nw.lit(True) if as_of is None else _within_limits(as_of, limits)
    joined = nw.lit(True) if as_of is None or newcomers else _joined_by(as_of)
    return nw.col("is_accepted") & joined & within


def reject_customers(judged: FrameT, as_of: date | None, limits: Limits, newcomers: bool = False) -> FrameT:
    """The rows that do not belong, with the reason why.

    Args:
        judged: Rows from `judge_customers`.
        as_of: The day age and tenure are counted to; None where no row tells one, so that the contract alone counts.
        limits: Beyond these a customer is an outlier.
        newcomers: Whether customers may have joined after the as-of date.

    Returns:
        `line_number`, the contract's columns, `unreadable`, `reason` (a code) and `detail` (all that is wrong).
    """
    repeated = Problem(
        "repeated_id",
        nw.col("is_repeat"),
        _sentence("ID ", "customer_id", " stands on an earlier line already"),
    )
    problems = [*_contract_problems(), repeated, *_limit_problems(as_of, limits, newcomers)]
    return (
        judged.filter(~belongs(as_of, limits, newcomers))
        .with_columns(
            nw.coalesce(*[nw.when(problem.condition).then(nw.lit(problem.reason)) for problem in problems]).alias(
                "reason"
            ),
            nw.concat_str(
                [nw.when(problem.condition).then(problem.detail) for problem in problems],
                separator="; ",
                ignore_nulls=True,
            ).alias("detail"),
        )
        .select("line_number", *NAMES, "unreadable", "reason", "detail")
    )


def is_one_of(value: nw.Expr, categories: tuple[str, ...]) -> nw.Expr:
    """Whether a value is one of a few: a comparison with each, which engines do faster than a search in a list.

    Args:
        value: The value.
        categories: The few, at least one.

    Returns:
        An expression (Boolean; null where the value is).
    """
    return reduce(or_, [value == category for category in categories])


def _holds_contract() -> nw.Expr:
    """Whether a row has none of the contract's problems; never null, because false and null is false."""
    columns = [condition for column in CONTRACT for condition in _column_conditions(column)]
    return reduce(and_, [nw.col("unreadable").is_null(), *columns])


def _column_conditions(column: DeliveredColumn) -> Iterator[nw.Expr]:
    value = nw.col(column.name)
    conditions = []
    if column.minimum is not None:
        conditions.append(value >= column.minimum)
    if column.maximum is not None:
        conditions.append(value <= column.maximum)
    if column.categories:
        conditions.append(is_one_of(value, column.categories))
    if not column.nullable:
        yield ~value.is_null()
        yield from conditions
    else:
        yield from (value.is_null() | condition for condition in conditions)


def _joined_by(as_of: date) -> nw.Expr:
    return nw.col("dt_customer").cast(nw.Date) <= nw.lit(as_of, dtype=nw.Date)


def _within_limits(as_of: date, limits: Limits) -> nw.Expr:
    """Whether a row that holds the contract is no outlier; never null."""
    age, income = nw.lit(as_of.year) - nw.col("year_birth"), nw.col("income")
    return (age >= 0) & (age <= limits.max_age) & (income.is_null() | (income <= limits.max_income))


def _contract_problems() -> list[Problem]:
    return [
        Problem("unreadable_value", ~nw.col("unreadable").is_null(), nw.col("unreadable")),
        *(problem for column in CONTRACT for problem in _column_problems(column)),
    ]


def _column_problems(column: DeliveredColumn) -> Iterator[Problem]:
    value = nw.col(column.name)
    if not column.nullable:
        # What could not be read is null too, and has been named already.
        reason = "missing_id" if column.unique else "missing_value"
        yield Problem(reason, value.is_null() & nw.col("unreadable").is_null(), nw.lit(f"{column.header} is missing"))
    if column.minimum is not None:
        expected = f": expected {column.minimum:.9g} or more"
        yield Problem("out_of_range", value < column.minimum, _sentence(f"{column.header} is ", column.name, expected))
    if column.maximum is not None:
        expected = f": expected {column.maximum:.9g} or less"
        yield Problem("out_of_range", value > column.maximum, _sentence(f"{column.header} is ", column.name, expected))
    if column.categories:
        expected = f"': expected one of {', '.join(column.categories)}"
        unknown = ~is_one_of(value, column.categories) & ~value.is_null()
        yield Problem("unknown_category", unknown, _sentence(f"{column.header} is '", column.name, expected))


def _limit_problems(as_of: date | None, limits: Limits, newcomers: bool) -> list[Problem]:
    if as_of is None:
        return []
    age = nw.lit(as_of.year) - nw.col("year_birth")
    birth, joined = BY_NAME["year_birth"].header, BY_NAME["dt_customer"].header
    late = Problem("joined_after_as_of", ~_joined_by(as_of), nw.lit(f"{joined} lies after the as-of date {as_of}"))
    return [
        *([] if newcomers else [late]),
        Problem(
            "born_after_as_of",
            age < 0,
            _sentence(f"{birth} ", "year_birth", f" lies after the as-of date {as_of}"),
        ),
        Problem(
            "age_above_limit",
            age > limits.max_age,
            _sentence("Born in ", "year_birth", f": older than {limits.max_age} on {as_of}"),
        ),
        Problem(
            "income_above_limit",
            nw.col("income") > limits.max_income,
            _sentence("Income is ", "income", f": above the limit of {limits.max_income:.0f}"),
        ),
    ]


def _sentence(before: str, column: str, after: str) -> nw.Expr:
    """`before`, the column's value as text, `after`."""
    value: Any = nw.col(column).cast(nw.String)
    return nw.concat_str([nw.lit(before), value, nw.lit(after)])
