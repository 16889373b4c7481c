"""Tables that nobody would think of, for Hypothesis: what any company's file might hold, with the dirt of real ones.

What is drawn is a table's shape: how many rows, which columns, what is wrong with each. Its cells follow from one
drawn number, as thousands of cells drawn each by itself would take seconds. To shrink a wide example takes Hypothesis
minutes all the same: a test asks for few columns, or leaves out `Phase.shrink` and tells the shape of what failed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from smartcart_pipeline_tests.crowds import Integers
from smartcart_pipeline_tests.deliveries import csv_of

Cells = list[str]
Luck = np.random.Generator

SQL_WORDS = ("order", "group", "select", "from", "table", "primary", "user", "date", "null", "default", "end", "values")
PIPELINES_WORDS = ("segment_id", "customers", "least", "label", "cluster", "customer_id", "run_id", "profiles", "k")
ODD_NAMES = (
    *("Größe", "年龄", "naïve café", "возраст", "العمر", "e\u0301tat", "😀", "ﬁrst", "İd"),
    *('say "hi"', "it's", "a:b", "a;b", "a,b", "a\tb", " leading", "trailing ", "two  blanks", "x.y", "a/b", "100%"),
    *("1st", "2024", "-", "_", "$", "#", "{name}", "%s", "--", "[a]", "`", "\\", "<b>", "?", "A" * 80),
)
PLAIN_NAMES = tuple(f"{what}{number}" for what in ("Spend", "visits_", "Age ", "is_", "Q") for number in range(1, 20))

# What stands where a number or a date should.
JUNK = (
    "n/a",
    "-",
    "?",
    "NULL",
    "none",
    "abc",
    "1,5",
    "1.234,56",
    "#N/A",
    "nan",
    "inf",
    " ",
    "12 kg",
    "€ 7",
    "31-02-2024",
)


@dataclass(frozen=True)
class DrawnTable:
    """Headers and rows of text.

    Attributes:
        headers: Of the columns.
        rows: Cells, each row as long as the headers are many; what is missing is empty.
    """

    headers: list[str]
    rows: list[Cells]

    def __repr__(self) -> str:
        """The shape alone: nobody reads thousands of cells."""
        return f"{len(self.rows)} rows of {self.headers}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """As Hypothesis shows it."""
        del cycle
        printer.text(repr(self))

    def write(self, path: Path, delimiter: str = ",") -> Path:
        """Write the table as a CSV in UTF-8."""
        path.write_text(csv_of(self.headers, self.rows, delimiter), encoding="utf-8", newline="")
        return path


def _integers(luck: Luck, kind: Integers) -> Cells:
    return [str(value) for value in luck.poisson(3.0 + 12 * kind).tolist()]


def _decimals(luck: Luck, kind: Integers) -> Cells:
    return [f"{value:.2f}" for value in luck.normal(100.0 * kind - 50, 20).tolist()]


def _skewed(luck: Luck, kind: Integers) -> Cells:
    return [f"{value:.1f}" for value in luck.lognormal(3 + kind, 2).tolist()]


def _huge(luck: Luck, kind: Integers) -> Cells:
    return [str(value) for value in luck.integers(-(10**9), 10 ** (9 + kind % 6)).tolist()]


def _exponents(luck: Luck, kind: Integers) -> Cells:
    return [f"{value:.3e}" for value in luck.normal(kind, 1).tolist()]


def _mostly_zero(luck: Luck, kind: Integers) -> Cells:
    return [str(value) for value in ((luck.random(kind.size) < 0.05) * luck.integers(1, 900, kind.size)).tolist()]


def _numbered(luck: Luck, kind: Integers) -> Cells:
    return [str(value) for value in (7 + 3 * luck.permutation(kind.size)).tolist()]


def _padded(luck: Luck, kind: Integers) -> Cells:
    return [f"{value:09d}" for value in luck.permutation(kind.size).tolist()]


def _dates(pattern: str) -> Callable[[Luck, Integers], Cells]:
    def cells(luck: Luck, kind: Integers) -> Cells:
        days = np.datetime64("2019-01-01") + luck.integers(0, 2_500, kind.size)
        seconds = days.astype("datetime64[s]") + luck.integers(0, 86_400, kind.size)
        return [moment.strftime(pattern) for moment in seconds.tolist()]

    return cells


def _one_of(*values: str) -> Callable[[Luck, Integers], Cells]:
    def cells(luck: Luck, kind: Integers) -> Cells:
        # Each kind has a favourite.
        place = np.where(luck.random(kind.size) < 0.5, kind, luck.integers(0, len(values), kind.size)) % len(values)
        return [values[number] for number in place.tolist()]

    return cells


def _typed(luck: Luck, kind: Integers) -> Cells:
    words = ("called", "wants", 'a "refund"', "tomorrow,", "it's", "späť", "no;", "line\nbreak", "ok", "…")
    return [" ".join(words[n] for n in luck.integers(0, len(words), 6).tolist()) for _ in range(kind.size)]


def _all_but_few(luck: Luck, kind: Integers) -> Cells:
    return ["9" if rare else "1" for rare in (luck.random(kind.size) < 0.02).tolist()]


SORTS: dict[str, Callable[[Luck, Integers], Cells]] = {
    "integers": _integers,
    "decimals": _decimals,
    "skewed": _skewed,
    "huge": _huge,
    "exponents": _exponents,
    "mostly zero": _mostly_zero,
    "numbered": _numbered,
    "padded": _padded,
    "dates": _dates("%Y-%m-%d"),
    "dates, day first": _dates("%d/%m/%Y"),
    "dates, dotted": _dates("%d.%m.%Y"),
    "timestamps": _dates("%Y-%m-%d %H:%M:%S"),
    "bits": _one_of("0", "1"),
    "yes or no": _one_of("Yes", "No"),
    "true or false": _one_of("true", "false"),
    "levels": _one_of("north", "south", "O'Brien", "Zürich", "a,b", "日本", "N/A?", "", "12"),
    "many levels": _one_of(*(f"L{number}" for number in range(60))),
    "typed": _typed,
    "constant": _one_of("same"),
    "all but few": _all_but_few,
    "nothing": _one_of(""),
    "copy": _integers,  # of a column before it, if there is one
}


@dataclass(frozen=True)
class DrawnColumn:
    """What a column is.

    Attributes:
        sort: One of `SORTS`.
        blanks: Share of its cells that are empty.
        junk: Share of its cells that hold something else altogether.
        repeated: Whether its cells are a few values over and over.
    """

    sort: str
    blanks: float
    junk: float
    repeated: bool

    def fill(self, luck: Luck, kind: Integers, before: Sequence[Cells]) -> Cells:
        """Make the cells, in a table that has some columns already."""
        if self.sort == "copy" and before:
            return list(before[int(luck.integers(len(before)))])
        cells = SORTS[self.sort](luck, kind)
        if self.repeated:
            cells = [cells[number] for number in luck.integers(0, min(3, len(cells)), len(cells)).tolist()]
        for share, values in ((self.junk, JUNK), (self.blanks, ("",))):
            for row in np.flatnonzero(luck.random(len(cells)) < share).tolist():
                cells[row] = values[int(luck.integers(len(values)))]
        return cells


def headers(*, alike: bool = False) -> st.SearchStrategy[str]:
    """Names of columns, of which some are hard to live with.

    Args:
        alike: Whether there may be names that differ from a frequent one in case or in blanks around it only.

    Returns:
        A strategy.
    """
    # Neither control characters nor halves of pairs, which no UTF-8 has.
    any_text = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
    known = (*SQL_WORDS, *PIPELINES_WORDS, *PLAIN_NAMES)
    names = [
        st.sampled_from(PLAIN_NAMES),
        st.sampled_from((*SQL_WORDS, *PIPELINES_WORDS)),
        st.sampled_from(ODD_NAMES),
        any_text,
    ]
    changed = st.builds(
        lambda name, change: change(name), st.sampled_from(known), st.sampled_from((str.upper, " {}".format))
    )
    return st.one_of(*names, *([changed] if alike else []))


def columns() -> st.SearchStrategy[DrawnColumn]:
    """What columns are: most of them clean."""
    return st.builds(
        DrawnColumn,
        sort=st.sampled_from(list(SORTS)),
        blanks=st.sampled_from((0.0, 0.0, 0.02, 0.3, 0.97)),
        junk=st.sampled_from((0.0, 0.0, 0.0, 0.01, 0.1)),
        repeated=st.sampled_from((False, False, False, True)),
    )


@st.composite
def any_table(
    draw: st.DrawFn, min_rows: int = 20, max_rows: int = 400, max_columns: int = 70, *, alike: bool = False
) -> DrawnTable:
    """Small tables of any kind, to be written as CSV.

    Args:
        draw: Hypothesis's.
        min_rows: The fewest rows.
        max_rows: The most.
        max_columns: The most columns; the fewest is 1.
        alike: Whether headers may differ in case or in blanks around them only. They are never the same.

    Returns:
        A strategy of tables. Nothing promises a key, a number or a value that differs.
    """
    width = draw(st.integers(1, max_columns))
    same = str if alike else (lambda name: name.strip().casefold())
    named = draw(st.lists(headers(alike=alike), min_size=width, max_size=width, unique_by=same))
    sorts = draw(st.lists(columns(), min_size=width, max_size=width))
    rows = draw(st.integers(min_rows, max_rows))
    luck = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = luck.integers(0, draw(st.integers(1, 5)), rows)
    made: list[Cells] = []
    for column in sorts:
        made.append(column.fill(luck, kind, made))
    return DrawnTable(named, [list(row) for row in zip(*made, strict=True)])
