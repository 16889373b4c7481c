"""Features: what describes a customer to the model, one row a customer."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

import narwhals as nw
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.columns import TYPES, Column
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.recipe import (
    AsIs,
    DaysSince,
    Difference,
    Feature,
    Flag,
    Log,
    Ratio,
    Regroup,
    Sum,
    YearsSince,
)
from smartcart_pipeline.declaration.tables import feature_columns, sum_type

AS_OF = nw.col("as_of_date")


def describe_customers(cleaned: FrameT, declaration: Declaration, beside: tuple[str, ...] = ()) -> FrameT:
    """Describe each customer by what the segmentation compares.

    Args:
        cleaned: Customers from `clean_customers`, with `as_of_date`.
        declaration: Its recipe says which features, and how each is made.
        beside: Further columns to keep.

    Returns:
        One row a customer: the key, the features in the order of the recipe, and what is kept beside them.
    """
    made = make_features(declaration, AS_OF)
    return cleaned.select(KEY, *[expression.alias(name) for name, expression in made.items()], *beside)


def make_features(declaration: Declaration, as_of: nw.Expr, of_any_number: bool = False) -> dict[str, nw.Expr]:
    """How each feature is made from the columns of the contract.

    Args:
        declaration: The contract and the recipe.
        as_of: The day that dates and years are counted to (Date).
        of_any_number: Whether rows may be beyond what the contract allows: no sum of them overflows then.

    Returns:
        An expression for each feature, in order.
    """
    made: dict[str, nw.Expr] = {}
    delivered, columns = declaration.contract.by_name, feature_columns(declaration)
    for feature in declaration.recipe.features:
        # A feature of a column's name reads the column; those after it read the feature.
        known: dict[str, Column] = {**delivered, **{name: columns[name] for name in made}}
        made[feature.name] = _rounded(_make(feature, made, known, as_of, of_any_number), feature.step)
    return made


def _make(
    feature: Feature, made: dict[str, nw.Expr], known: dict[str, Column], as_of: nw.Expr, of_any_number: bool
) -> nw.Expr:
    def value(name: str) -> nw.Expr:
        return made.get(name, nw.col(name))

    match feature.verb:
        case AsIs(column):
            made_of = nw.col(column)
        case Flag(column):
            made_of = nw.col(column).cast(nw.Int8) if known[column].type == "BOOLEAN" else nw.col(column)
        case YearsSince(column):
            made_of = as_of.dt.year() - nw.col(column)
        case DaysSince(column):
            made_of = _day_number(as_of) - _day_number(nw.col(column))
        case Regroup(column, into, otherwise):
            made_of = _regroup(nw.col(column), into, otherwise)
        case Sum(of):
            # Narrow integers are widened before they are added.
            kind = "DOUBLE" if of_any_number else sum_type([known[name] for name in of])
            wide = getattr(nw, TYPES[kind].narwhals)
            made_of = nw.sum_horizontal(*[value(name).cast(wide) for name in of])
        case Difference(first, second):
            made_of = value(first).cast(nw.Float64) - value(second).cast(nw.Float64)
        case Ratio(first, second):
            above, below = value(first).cast(nw.Float64), value(second).cast(nw.Float64)
            made_of = nw.when(below == 0).then(nw.lit(0.0)).otherwise(above / nw.when(below != 0).then(below))
        case Log(of):
            made_of = (value(of).cast(nw.Float64) + 1).log()
    return made_of


def _regroup(value: nw.Expr, into: Sequence[tuple[str, tuple[str, ...]]], otherwise: str) -> nw.Expr:
    group = nw.lit(otherwise)
    for name, members in reversed(into):
        group = nw.when(is_one_of(value, members)).then(nw.lit(name)).otherwise(group)
    return group


def _rounded(value: nw.Expr, step: float | None) -> nw.Expr:
    """A number in whole steps, whose sums are the same in any order."""
    # Engines differ in how they round a half.
    return value if step is None else (value / step + 0.5).floor() * step


def is_one_of(value: nw.Expr, categories: tuple[Any, ...]) -> nw.Expr:
    """Whether a value is one of a few: a comparison with each, which engines do faster than a search in a list.

    Args:
        value: The value.
        categories: The few, at least one.

    Returns:
        An expression (Boolean; null where the value is).
    """
    found: nw.Expr = reduce(or_, [value == category for category in categories])
    return found


def _day_number(day: nw.Expr) -> nw.Expr:
    """Days since 31 December of the year before year 1, as `date.toordinal` counts them.

    Engines disagree on what one date minus another is; all of them agree on a year and a day of the year.
    """
    date = day.cast(nw.Date)
    whole_years = date.dt.year().cast(nw.Int32) - 1
    leap_days = whole_years // 4 - whole_years // 100 + whole_years // 400
    return whole_years * 365 + leap_days + date.dt.ordinal_day().cast(nw.Int32)
