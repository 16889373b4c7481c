"""Cleaning: which delivered rows describe a customer, and with what values.

A row is never dropped silently: `clean_customers` keeps the rows that hold, `reject_customers` all others, each with a
reason. What holds is one expression; reasons are put into words only for the few rows that need one.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from math import floor
from operator import and_
from typing import Any

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.columns import TYPES, WHOLE
from smartcart_pipeline.declaration.contract import KEY, LINE_FAULTS, Contract, DeliveredColumn
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.recipe import PLACEHOLDER, Limit, Recipe
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.features import is_one_of, make_features
from smartcart_pipeline.segmentation.hands import Counting

REPEATED = "repeated_id"
# So many causes are told in one message, and of how a text is written so many characters.
TOLD_CAUSES, LONGEST_LOOK = 8, 30
NOT = " is not "
# How what is wrong with a whole line begins.
MALFORMED = "The line "
A_YEAR = timedelta(days=366)


@dataclass(frozen=True)
class Problem:
    """Something that gets a row refused.

    Attributes:
        reason: Its code, as in `rejected_customers.reason`.
        condition: True where a row has it.
        detail: A sentence about the row, for people.
        cause: What it is, without a value of the row, where the contract says it of one column.
    """

    reason: str
    condition: nw.Expr
    detail: nw.Expr
    cause: str = ""


def find_repeats(raw: FrameT, contract: Contract) -> FrameT:
    """Customer ids that stand on several lines, among the lines that hold the contract.

    Args:
        raw: Rows of the export: the contract's columns, `line_number` and `unreadable`.
        contract: What they must hold.

    Returns:
        One row an id: `customer_id` and `first_line` (Int64).
    """
    return (
        raw.filter(_holds(contract))
        .group_by(KEY)
        .agg(nw.len().alias("lines"), nw.col("line_number").min().alias("first_line"))
        .filter(nw.col("lines") > 1)
        .select(KEY, "first_line")
    )


def forget_placeholders(raw: FrameT, recipe: Recipe) -> FrameT:
    """Take what stands for unknown in a column for missing.

    Args:
        raw: Rows of the export.
        recipe: Says which numbers do, in which columns.

    Returns:
        The same rows.
    """
    known = [
        nw.when(~is_one_of(nw.col(name), values)).then(nw.col(name)).alias(name)
        for name, values in recipe.unknown.items()
    ]
    return raw.with_columns(*known) if known else raw


def judge_customers(raw: FrameT, repeats: FrameT | None, contract: Contract) -> FrameT:
    """Hold every row against the contract.

    Where a customer id repeats among rows that are otherwise good, the first line stays and the later ones are refused.

    Args:
        raw: Rows of the export: the contract's columns, `line_number` and `unreadable`.
        repeats: Ids from `find_repeats`; None where there are none.
        contract: What the rows must hold.

    Returns:
        The same rows, with `is_repeat` and `is_accepted` (Boolean, neither of them null).
    """
    rows = raw
    if repeats is None:
        return rows.with_columns(nw.lit(False).alias("is_repeat"), _holds(contract).alias("is_accepted"))
    later = ~nw.col("first_line").is_null() & (nw.col("line_number") > nw.col("first_line"))
    marked = rows.join(repeats, on=KEY, how="left").with_columns(
        (_holds(contract) & later).alias("is_repeat"), (_holds(contract) & ~later).alias("is_accepted")
    )
    return marked.drop("first_line")


def judge_export(raw: FrameT, contract: Contract, hands: Counting) -> FrameT:
    """Find the ids that repeat, and hold every row against the contract.

    Args:
        raw: Rows of the export: the contract's columns, `line_number` and `unreadable`.
        contract: What they must hold.
        hands: The engine.

    Returns:
        Rows as from `judge_customers`; without a join where no id repeats.
    """
    repeats = hands.keep(find_repeats(raw, contract)) if hands.count_repeats(raw, [KEY]) else None
    return judge_customers(raw, repeats, contract)


def count_days(judged: FrameT, newest: str) -> FrameT:
    """Count the accepted rows of each day of a column, of which there are few.

    Args:
        judged: Rows from `judge_customers`.
        newest: The column of dates.

    Returns:
        One row a day: `day` (Date) and `customers` (Int64).
    """
    accepted = judged.filter(nw.col("is_accepted") & ~nw.col(newest).is_null())
    return accepted.group_by(nw.col(newest).cast(nw.Date).alias("day")).agg(nw.len().cast(nw.Int64).alias("customers"))


def find_newest(days: Rows) -> tuple[date | None, Rows]:
    """The newest day, but for days so far beyond all others that they can only be mistakes.

    A customer who joined in 2099 would make everybody else decades older. A day is far beyond that lies later than all
    but a hundredth of the customers by more than these are apart themselves, and by more than a year.

    Args:
        days: Rows from `count_days`.

    Returns:
        The day, None of no rows; and the rows that are far beyond it.
    """
    if not days:
        return None, []
    ordered = sorted(days, key=lambda row: row["day"])
    upto = np.cumsum([row["customers"] for row in ordered])
    first, last = (ordered[int(np.searchsorted(upto, share * upto[-1]))]["day"] for share in (0.01, 0.99))
    limit = last + max(last - first, A_YEAR)
    return max(row["day"] for row in ordered if row["day"] <= limit), [row for row in ordered if row["day"] > limit]


def tell_far_beyond(header: str, newest: date | None, beyond: Rows) -> str:
    """Say which days are not believed.

    Args:
        header: The header of their column.
        newest: The newest day that is.
        beyond: Rows from `find_newest`.

    Returns:
        A sentence; none of none.
    """
    if not beyond:
        return ""
    customers = sum(row["customers"] for row in beyond)
    days = f"is {beyond[0]['day']}" if len(beyond) == 1 else f"lies from {beyond[0]['day']} to {beyond[-1]['day']}"
    return (
        f"{header} {days} for {customers:,} customer{'' if customers == 1 else 's'}, far beyond {newest}, the newest "
        "of all others: probably a mistake. These rows are refused, and nobody is counted to such a day."
    )


def summarise_accepted(judged: FrameT, newest: str | None, imputed: str | None) -> FrameT:
    """What cleaning must know of all accepted rows before it can treat one, in one pass over them.

    The median is found among the different values and how many rows have each: an engine that is asked for one keeps
    every single value in memory.

    Args:
        judged: Rows from `judge_customers`.
        newest: A column of dates, whose newest is looked for; None for none.
        imputed: A column whose median is looked for; None for none.

    Returns:
        One row: `customers` (Int64), `newest` (Date) and `median` (Float64), null where nothing was looked for.
    """
    accepted = judged.filter(nw.col("is_accepted"))
    day = nw.lit(None, dtype=nw.Date) if newest is None else nw.col(newest).cast(nw.Date)
    if imputed is None:
        return accepted.with_columns(day.alias("newest")).select(
            nw.len().cast(nw.Int64).alias("customers"),
            nw.col("newest").max(),
            nw.lit(None, dtype=nw.Float64).alias("median"),
        )
    value, known, upto = nw.col("value"), nw.col("known"), nw.col("upto")
    by_value = (
        accepted.select(nw.col(imputed).alias("value"), day.alias("newest"))
        .group_by("value")
        .agg(nw.len().alias("customers"), nw.col("newest").max())
    )
    counted = by_value.with_columns(
        nw.when(value.is_null()).then(nw.lit(0)).otherwise(nw.col("customers")).cast(nw.Int64).alias("known"),
        nw.lit(0).alias("everyone"),
    )
    ranked = counted.with_columns(
        known.cum_sum().over("everyone", order_by="value").cast(nw.Int64).alias("upto"),
        known.sum().over("everyone").cast(nw.Int64).alias("values"),
    )
    # The two in the middle are one and the same where the number of values is odd.
    ranks = ((nw.col("values") + 1) // 2, nw.col("values") // 2 + 1)
    middle = [nw.when((upto - known < rank) & (rank <= upto)).then(value.cast(nw.Float64)) for rank in ranks]
    return (
        ranked.with_columns(middle[0].alias("lower"), middle[1].alias("upper"))
        .select(
            nw.col("newest").max(),
            nw.col("lower").max(),
            nw.col("upper").max(),
            nw.col("customers").sum().cast(nw.Int64),
        )
        .select(
            nw.coalesce("customers", nw.lit(0)).alias("customers"),
            "newest",
            ((nw.col("lower") + nw.col("upper")) / 2).alias("median"),
        )
    )


def require_customers(customers: int, medians: Mapping[str, float | None], causes: Rows, contract: Contract) -> None:
    """Refuse an export none of whose rows holds the contract.

    Args:
        customers: How many rows do.
        medians: The median of each column that is imputed.
        causes: What is wrong with the others, from `find_causes`; asked for where no row holds, or a median is unknown.
        contract: What they must hold.

    Raises:
        ExportError: If no row is accepted, or none of the accepted tells a value that is to be imputed.
    """
    if not customers:
        raise ExportError(
            "Not one row of the export holds a customer as the contract expects. "
            f"{tell_causes(causes)} Correct the export and deliver it again."
        )
    for name, median in medians.items():
        if median is None:
            header = contract.by_name[name].header
            seen = f"in the {customers:,} row{'' if customers == 1 else 's'} that could be read"
            where = seen if causes else "in every row"
            told = f" {tell_causes(causes)}" if causes else ""
            raise ExportError(
                f"{header} is missing {where}, so there is no median to stand for it.{told} Deliver an export with it."
            )


def find_causes(refused: FrameT, declaration: Declaration, rows: Callable[[FrameT], Rows]) -> Rows:
    """What is wrong with refused rows, the most frequent first, without a value of a customer; in one pass over them.

    Args:
        refused: Rows of `reject_customers`.
        declaration: What they were held against.
        rows: Fetches a small frame.

    Returns:
        `cause`, the number of `rows` that have it (a row may have several), `first_line`, and `written`: how a text
        looks that could not be read; empty of other causes.
    """
    [counted] = rows(_count_causes(refused, declaration))
    found = [
        {
            "cause": cause,
            "rows": counted[f"rows_{number}"],
            "first_line": counted[f"line_{number}"],
            "written": _look_of(cause, counted[f"text_{number}"] or ""),
        }
        for number, cause in enumerate(_causes(declaration))
        if counted[f"rows_{number}"]
    ]
    return sorted(found, key=lambda row: (-row["rows"], row["first_line"]))


def _count_causes(refused: FrameT, declaration: Declaration) -> FrameT:
    """One row: of each cause, by its number, how many rows have it, the first line, and one of the texts."""
    counted = []
    for number, found in enumerate(_causes(declaration).values()):
        counted += [
            nw.when(found).then(nw.lit(1)).otherwise(nw.lit(0)).cast(nw.Int64).sum().alias(f"rows_{number}"),
            nw.when(found).then(nw.col("line_number")).min().alias(f"line_{number}"),
            nw.when(found).then(nw.col("unreadable")).min().alias(f"text_{number}"),
        ]
    return refused.select(*counted)


def tell_causes(causes: Rows) -> str:
    """What is wrong with refused rows, for a message that is recorded.

    Args:
        causes: From `find_causes`.

    Returns:
        A sentence each of the most frequent, and how many there are beyond.
    """
    told = [f"{row['cause']}: {tell_where(row)}." for row in causes[:TOLD_CAUSES]]
    if more := len(causes) - len(told):
        told.append(f"And {more:,} other cause{'' if more == 1 else 's'}.")
    return " ".join(told)


def tell_where(cause: Mapping[str, Any]) -> str:
    """Which rows have a cause.

    Args:
        cause: A row of `find_causes`.

    Returns:
        How many, the line of the first, and how what stands there is written.
    """
    rows, line = cause["rows"], cause["first_line"]
    where = f"line {line:,}" if rows == 1 else f"{rows:,} rows, the first on line {line:,}"
    return f"{where}, written like {cause['written']!r}" if cause["written"] else where


def hide_value(text: str) -> str:
    """How a text is written, without what it says of anybody.

    Args:
        text: The text.

    Returns:
        Its beginning, with a 9 for every digit and an x for every letter.
    """
    look = "".join("9" if each.isdigit() else "x" if each.isalpha() else each for each in text[: LONGEST_LOOK + 1])
    return look if len(look) <= LONGEST_LOOK else f"{look[:LONGEST_LOOK]}…"


def _look_of(cause: str, unreadable: str) -> str:
    """How a text is written that could not be read; empty of another cause."""
    header = cause.partition(NOT)[0]
    found = re.search(rf"(?:^|; ){re.escape(header)} is '(.*?)': expected ", unreadable, re.DOTALL)
    return hide_value(found[1]) if found else ""


def _causes(declaration: Declaration) -> dict[str, nw.Expr]:
    """Whether a refused row has something wrong with it, by what that is; its values stand in `detail` alone."""
    contract, unreadable = declaration.contract, nw.col("unreadable")
    is_malformed = unreadable.str.starts_with(MALFORMED)
    causes = {text: unreadable.str.starts_with(f"{text}:") | (unreadable == text) for text in LINE_FAULTS}
    for column in contract.columns:
        if column.type != "VARCHAR":
            kinds = {"DATE": "a date", "BOOLEAN": "yes or no"}
            is_told = unreadable.str.contains(f"{column.header} is '", literal=True) & nw.col(column.name).is_null()
            causes[f"{column.header}{NOT}{kinds.get(column.type, 'a number')}"] = is_told & ~is_malformed
        causes |= {problem.cause: problem.condition for problem in _column_problems(column)}
    causes[_repeated(contract).cause] = nw.col("reason") == REPEATED
    return causes | {
        _tell_limit(limit, declaration): nw.col("reason") == limit.reason for limit in declaration.recipe.limits
    }


def _tell_limit(limit: Limit, declaration: Declaration) -> str:
    """What a limit says of a line: the columns that it goes by, and what it means."""
    named = [name for name in PLACEHOLDER.findall(limit.detail) if name in declaration.contract.by_name]
    on = named if limit.of_feature else [limit.on]
    headers = ", ".join(declaration.contract.by_name[name].header for name in on)
    return f"{headers}: {limit.meaning}" if headers else limit.meaning


def clean_customers(judged: FrameT, as_of: date, medians: Mapping[str, float], declaration: Declaration) -> FrameT:
    """Keep the customers the model may learn from, with what is missing imputed.

    Args:
        judged: Rows from `judge_customers`.
        as_of: The day everything is counted to.
        medians: What stands for a missing value, by column, where the median does.
        declaration: The contract, what stands for other missing values, and the limits beyond which a customer is an
            outlier.

    Returns:
        The contract's columns with nothing missing that is imputed, for each of those whether it was (`…_imputed`,
        Boolean), `as_of_date` (Date), and further columns of the export as they are.
    """
    completed = complete(medians, declaration)
    declared: tuple[str, ...] = declaration.contract.names
    ours = {"line_number", "unreadable", "is_repeat", "is_accepted", *declared}
    further = [name for name in judged.collect_schema().names() if name not in ours]
    return (
        judged.filter(belongs(as_of, declaration))
        .with_columns(
            *[value.alias(name) for name, value in completed.items()],
            *[nw.col(name).is_null().alias(f"{name}_imputed") for name in completed],
            nw.lit(as_of, dtype=nw.Date).alias("as_of_date"),
        )
        .select(*declared, *[f"{name}_imputed" for name in completed], "as_of_date", *further)
    )


def complete(medians: Mapping[str, float], declaration: Declaration) -> dict[str, nw.Expr]:
    """Columns in which something stands for what is missing.

    Args:
        medians: What stands for a missing value, by column; a whole number takes the nearest one.
        declaration: Its recipe says which column takes the median, and which another value.

    Returns:
        An expression for each of `Recipe.completed`, in the type of the contract.
    """
    recipe, columns = declaration.recipe, declaration.contract.by_name
    known: dict[str, Any] = {
        name: floor(medians[name] + 0.5) if columns[name].type in WHOLE else medians[name] for name in recipe.impute
    }
    return {
        name: nw.when(nw.col(name).is_null()).then(_literal(value, columns[name])).otherwise(nw.col(name))
        for name, value in {**known, **recipe.filled}.items()
    }


def _literal(value: bool | float | str, column: DeliveredColumn) -> nw.Expr:
    return nw.lit(value) if column.type == "VARCHAR" else nw.lit(value, getattr(nw, TYPES[column.type].narwhals))


def belongs(as_of: date | None, declaration: Declaration, newcomers: bool = False) -> nw.Expr:
    """Whether a row from `judge_customers` holds the contract and lies within the limits.

    Args:
        as_of: The day everything is counted to; None where no row tells one, so that the contract alone counts.
        declaration: Its recipe has the limits.
        newcomers: Whether customers may have come after the as-of date.

    Returns:
        An expression (Boolean, never null).
    """
    if as_of is None:
        return nw.col("is_accepted")
    within = [
        ~beyond if _is_certain(limit, declaration) else value.is_null() | ~beyond
        for limit, value, beyond in _limits(as_of, declaration, newcomers)
    ]
    return reduce(and_, within, nw.col("is_accepted"))


def reject_customers(judged: FrameT, as_of: date | None, declaration: Declaration, newcomers: bool = False) -> FrameT:
    """The rows that do not belong, with the reason why.

    Args:
        judged: Rows from `judge_customers`.
        as_of: The day everything is counted to; None where no row tells one, so that the contract alone counts.
        declaration: The contract and the limits.
        newcomers: Whether customers may have come after the as-of date.

    Returns:
        `line_number`, the contract's columns, `unreadable`, `reason` (a code) and `detail` (all that is wrong).
    """
    contract: Contract = declaration.contract
    problems = [*_contract_problems(contract), _repeated(contract), *_limit_problems(as_of, declaration, newcomers)]
    return (
        judged.filter(~belongs(as_of, declaration, newcomers))
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
        .select("line_number", *contract.names, "unreadable", "reason", "detail")
    )


def _repeated(contract: Contract) -> Problem:
    header, told = contract.key.header, "stands on an earlier line already"
    detail = _sentence(f"{header} ", _shown(KEY), f" {told}")
    return Problem(REPEATED, nw.col("is_repeat"), detail, f"{header} {told}")


def _holds(contract: Contract) -> nw.Expr:
    """Whether a row has none of the contract's problems; never null, because false and null is false."""
    columns = [condition for column in contract.columns for condition in _column_conditions(column)]
    return reduce(and_, [nw.col("unreadable").is_null(), *columns])


def _column_conditions(column: DeliveredColumn) -> Iterator[nw.Expr]:
    value = nw.col(column.name)
    conditions = []
    if column.minimum is not None:
        conditions.append(value >= column.minimum)
    if column.maximum is not None:
        conditions.append(value <= column.maximum)
    if column.shortest is not None:
        conditions.append(value.str.len_chars() >= column.shortest)
    if column.longest is not None:
        conditions.append(value.str.len_chars() <= column.longest)
    if column.categories:
        conditions.append(is_one_of(value, column.categories))
    if not column.nullable:
        yield ~value.is_null()
        yield from conditions
    else:
        yield from (value.is_null() | condition for condition in conditions)


def _limits(as_of: date, declaration: Declaration, newcomers: bool) -> Iterator[tuple[Limit, nw.Expr, nw.Expr]]:
    """Each limit that counts, with the value that it is on, and whether that is beyond it."""
    recipe, contract = declaration.recipe, declaration.contract
    day = nw.lit(as_of, dtype=nw.Date)
    made = make_features(declaration, day, of_any_number=True)
    for limit in recipe.limits:
        if not limit.until_as_of:
            value = made[limit.on] if limit.of_feature else nw.col(limit.on)
            yield limit, value, value > limit.maximum
        elif contract.by_name[limit.on].type != "DATE":
            yield limit, nw.col(limit.on), nw.col(limit.on) > as_of.year
        elif not (newcomers and limit.on == recipe.newest):
            yield limit, nw.col(limit.on), nw.col(limit.on).cast(nw.Date) > day


def _is_certain(limit: Limit, declaration: Declaration) -> bool:
    """Whether what a limit is on is there in every row that holds the contract."""
    sources = declaration.columns_of(limit.on) if limit.of_feature else {limit.on}
    return not any(declaration.contract.by_name[name].nullable for name in sources)


def _limit_problems(as_of: date | None, declaration: Declaration, newcomers: bool) -> list[Problem]:
    if as_of is None:
        return []
    return [
        Problem(limit.reason, beyond, _fill(limit.detail, {"limit": f"{limit.maximum or 0:.15g}", "as_of": str(as_of)}))
        for limit, _, beyond in _limits(as_of, declaration, newcomers)
    ]


def _contract_problems(contract: Contract) -> list[Problem]:
    return [
        Problem("unreadable_value", ~nw.col("unreadable").is_null(), nw.col("unreadable")),
        *(problem for column in contract.columns for problem in _column_problems(column)),
    ]


def _column_problems(column: DeliveredColumn) -> Iterator[Problem]:
    header, value, shown = column.header, nw.col(column.name), _shown(column.name)
    if not column.nullable:
        # What could not be read is null too, and has been named already.
        reason, told = "missing_id" if column.name == KEY else "missing_value", f"{header} is missing"
        yield Problem(reason, value.is_null() & nw.col("unreadable").is_null(), nw.lit(told), told)
    if column.minimum is not None:
        least = f"{column.minimum:.15g}"
        detail = _sentence(f"{header} is ", shown, f": expected {least} or more")
        yield Problem("out_of_range", value < column.minimum, detail, f"{header} is below {least}")
    if column.maximum is not None:
        most = f"{column.maximum:.15g}"
        detail = _sentence(f"{header} is ", shown, f": expected {most} or less")
        yield Problem("out_of_range", value > column.maximum, detail, f"{header} is above {most}")
    if column.shortest is not None:
        detail = _sentence(f"{header} is '", shown, f"': expected {column.shortest} characters or more")
        told, found = f"{header} has fewer than {column.shortest} characters", value.str.len_chars() < column.shortest
        yield Problem("out_of_range", found, detail, told)
    if column.longest is not None:
        detail = _sentence(f"{header} is '", shown, f"': expected {column.longest} characters or fewer")
        told, found = f"{header} has more than {column.longest} characters", value.str.len_chars() > column.longest
        yield Problem("out_of_range", found, detail, told)
    if column.categories:
        listed = ", ".join(column.categories)
        detail = _sentence(f"{header} is '", shown, f"': expected one of {listed}")
        found = ~is_one_of(value, column.categories) & ~value.is_null()
        yield Problem("unknown_category", found, detail, f"{header} is none of {listed}")


def _fill(template: str, known: Mapping[str, str]) -> nw.Expr:
    """A sentence about a row: what stands in braces is what is known, or the value of a column."""
    parts = PLACEHOLDER.split(template)
    return _sentence(
        *(part if number % 2 == 0 else known.get(part) or _shown(part) for number, part in enumerate(parts))
    )


def _sentence(*parts: str | nw.Expr) -> nw.Expr:
    return nw.concat_str([nw.lit(part) if isinstance(part, str) else part for part in parts])


def _shown(column: str) -> Any:
    """A column's value as text."""
    value: Any = nw.col(column).cast(nw.String)
    return nw.when(nw.col(column).is_null()).then(nw.lit("missing")).otherwise(value)
