"""Placeholders: one odd value that probably stands for unknown, such as a balance of 0 among thousands.

A false alarm costs more trust than a miss: a value is told only if many customers have it, if it is one that people
write for unknown or the end of the column, and if it lies apart from all others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import Rows

# More than this share of the customers must have the value, and more than a few: a repeat is no custom.
SHARE, FEWEST = 0.10, 5
# A zero that more than this share have is what they are: no purchase, no balance.
ZERO_SHARE = 0.25
# Of fewer different values a column is a code, a flag or a scale.
DIFFERENT = 10
# What people write for unknown: 0, 1, and nines, of either sign.
ODD = frozenset({0.0, 1.0, -1.0} | {sign * (10.0**digits - 1) for digits in range(1, 13) for sign in (1, -1)})
# How far from all others the value must lie, in the range of the others but for the outermost hundredth on either side.
# What is odd by its place only, such as the lowest fee of all, must lie further; a 1 or 99 less far, and the outermost
# hundredth may be nearer: no purchase is a 0, but hardly anything is a 1.
APART, END_APART, ODD_APART = 0.15, 1 / 3, 0.05
OUTERMOST = 0.01
# What to write into the recipe, under which heading.
HEADING, DECLARATION = "clean", "unknown: {{{column}: [{value}]}}"


def find_placeholders(counts: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Rows:
    """Find columns in which one value probably stands for unknown.

    Args:
        counts: For each column of numbers its values, and how many customers have each: arrays of shape (values,). A
            value may stand in several places; what is not a number is left out.

    Returns:
        At most one row a column: `column`, `value`, `customers` who have it and their `share` (0 to 1) of those who
        have any value.
    """
    return [{"column": column} | found for column, counted in counts.items() if (found := _find_placeholder(*counted))]


def delivered(names: Sequence[str], recipe: Recipe) -> list[nw.Expr]:
    """The numbers in some columns as they were delivered.

    Args:
        names: Columns of `cleaned`.
        recipe: Says which of them something stands in for what is missing.

    Returns:
        An expression for each column (Float64), not a number where it was missing.
    """
    nothing = nw.lit(float("nan"))
    return [_delivered(name, recipe).fill_null(nothing).alias(name) for name in names]


def _delivered(name: str, recipe: Recipe) -> nw.Expr:
    value = nw.col(name).cast(nw.Float64)
    return nw.when(~nw.col(f"{name}_imputed")).then(value) if name in recipe.completed else value


def _find_placeholder(values: np.ndarray, numbers: np.ndarray) -> dict[str, Any] | None:
    """The most frequent value that looks like one."""
    known = np.isfinite(values)
    different, places = np.unique(values[known], return_inverse=True)
    if len(different) < DIFFERENT:
        return None
    customers = np.bincount(places, weights=numbers[known])
    shares = customers / customers.sum()
    for place in np.argsort(-customers, kind="stable"):
        if shares[place] <= SHARE or customers[place] < FEWEST:
            break
        if (shares[place] <= ZERO_SHARE or different[place] != 0) and _lies_apart(different, customers, int(place)):
            return {
                "value": float(different[place]),
                "customers": int(customers[place]),
                "share": float(shares[place]),
            }
    return None


def _lies_apart(values: np.ndarray, customers: np.ndarray, place: int) -> bool:
    """Whether an odd value, or one at the end, lies further from all others than any two of most others do."""
    is_odd = values[place] in ODD
    if not is_odd and place not in (0, len(values) - 1):
        return False
    others, numbers = np.delete(values, place), np.delete(customers, place)
    upto = np.cumsum(numbers)
    first, last = np.searchsorted(upto, [upto[-1] * OUTERMOST, upto[-1] * (1 - OUTERMOST)])
    middle = others[first : last + 1]
    # Of a column whose others are nearly all alike, nobody can say what is usual.
    if len(middle) < DIFFERENT - 1:
        return False
    means_nothing = is_odd and values[place] != 0
    gap = np.abs((middle if means_nothing else others) - values[place]).min()
    share = ODD_APART if means_nothing else APART if is_odd else END_APART
    return bool(gap > np.diff(middle).max() and gap >= share * (middle[-1] - middle[0]))


def tell_placeholder(row: Mapping[str, Any], header: str) -> str:
    """Say which value probably stands for unknown, and what to do about it.

    Args:
        row: A row of `find_placeholders`.
        header: What people call the column.

    Returns:
        Sentences: "Balance is 0 for 412 customers (18.4%), apart from all others: probably a placeholder for unknown.
        If so, declare it in the recipe, under clean: `unknown: {balance: [0]}`."
    """
    value = row["value"]
    written = f"{value:.0f}" if value == int(value) else repr(value)
    declaration = DECLARATION.format(column=row["column"], value=written)
    return (
        f"{header} is {written} for {row['customers']:,} customers ({row['share']:.1%}), apart from all others: "
        f"probably a placeholder for unknown. If so, declare it in the recipe, under {HEADING}: `{declaration}`."
    )
