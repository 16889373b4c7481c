"""Surveying a table of customers that nobody has declared yet: what each of its columns holds, measured.

Values are read word for word as a run reads them, so that what is measured here is what a run will meet. Of a large
file a sample, drawn by line numbers, tells what kind of values a column holds; how many are missing, the least and the
greatest are found in all rows. What belongs here: facts about values. What does not: what to make of them (see
`choosing`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from smartcart_pipeline.declaration.contract import Contract, DeliveredColumn
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.sql import NO, YES
from smartcart_pipeline.exports.as_of import day_of_delivery
from smartcart_pipeline.exports.dates import read_date, settle_dates
from smartcart_pipeline.exports.inspecting import Export
from smartcart_pipeline.exports.numerals import PLAIN, Delivered, NumberReading, settle_numbers
from smartcart_pipeline.exports.reading_duckdb import read_export

# Up to so many rows everything is measured in all of them; beyond, kinds and correlations in about so many.
SAMPLE_ROWS = 50_000
# Knuth's multiplicative hash of the line number draws the sample: the same lines on every machine.
SCATTER, BUCKETS = 2_654_435_761, 2**32
# So many rows tell how numbers go together.
PAIRED_ROWS = 20_000
# Of the values that are there at least so many must be of a kind: a run rejects the rows of the others.
OF_A_KIND = 0.995
# Of so few different values the texts among them may be kinds, as in 1, 2 and 3+.
FEW_VALUES = 12
# So many of a column's most frequent values are kept.
KEPT_LEVELS = 200
# So many lines of repeated ids are told.
TOLD_LINES = 3

Kind = Literal["whole", "decimal", "date", "flag", "text", "empty", "unread"]


@dataclass(frozen=True)
class Measured:
    """What a column holds.

    Attributes:
        place: Where it stands, from 1.
        header: Its header.
        kind: What most of its values are; `unread` what a run cannot read, for the reason `why_unread`.
        present: How many rows have a value.
        sampled: How many rows of the sample have one.
        distinct: How many different ones are in the sample.
        unreadable: How many values are not of the kind.
        unreadable_line: The first line that has such a one.
        least: The least number.
        most: The greatest number.
        first: The earliest day, ISO.
        last: The latest day, ISO.
        usual_last: The day that one in a hundred lies after, ISO.
        decimals: How many decimals a number has at most.
        skewness: Of the numbers in the sample.
        median: Of the numbers in the sample.
        levels: The most frequent values of the sample, each with how often, the most frequent first.
        words: How many words a text has on average.
        length: How many letters the longest text has.
        emails: Which share of the texts are e-mail addresses.
        padded: Whether numbers begin with zeros, which reading them as numbers would lose.
        reading: How its dates are read.
        latest: The last year that two digits of a date may stand for.
        written: How its numbers are written.
        has_time: Whether a time of day stands behind the dates.
        is_numeric_flag: Whether yes and no are 1 and 0.
        why_unread: Why a run cannot read its values; empty where it can.
    """

    place: int
    header: str
    kind: Kind = "empty"
    present: int = 0
    sampled: int = 0
    distinct: int = 0
    unreadable: int = 0
    unreadable_line: int = 0
    least: float = 0.0
    most: float = 0.0
    first: str = ""
    last: str = ""
    usual_last: str = ""
    decimals: int = 0
    skewness: float = 0.0
    median: float = 0.0
    levels: tuple[tuple[str, int], ...] = ()
    words: float = 0.0
    length: int = 0
    emails: float = 0.0
    padded: bool = False
    reading: str = ""
    latest: int = 0
    written: NumberReading = PLAIN
    has_time: bool = False
    is_numeric_flag: bool = False
    why_unread: str = ""

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers, a flag of 1 and 0 among them."""
        return self.kind in ("whole", "decimal") or self.is_numeric_flag

    @property
    def commonest(self) -> float:
        """The share of the most frequent value among those that are there."""
        return self.levels[0][1] / self.sampled if self.levels else 0.0


@dataclass(frozen=True)
class Repeats:
    """How far the values of a column tell rows apart, in all rows.

    Attributes:
        distinct: How many different values there are.
        rows: How many rows have a value that stands on an earlier row.
        lines: The first of them, each with the line where its value stands first.
    """

    distinct: int
    rows: int
    lines: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Survey:
    """What a file holds.

    Attributes:
        rows: How many customers.
        malformed: How many lines cannot be put into columns.
        sampled: How many rows the sample has; as many as `rows` where it is all of them.
        columns: What each column holds, in order, but for those that no contract can name.
        unnamed: The places, from 1, of columns without a header.
        repeated: Headers that stand several times.
        engine: Where its rows can be asked for more.
        skipped: How many lines stand above the header.
    """

    rows: int
    malformed: int
    sampled: int
    columns: tuple[Measured, ...]
    unnamed: tuple[int, ...] = ()
    repeated: tuple[str, ...] = ()
    engine: DuckDBEngine = field(default_factory=DuckDBEngine, repr=False, compare=False)
    skipped: int = 0

    @property
    def is_sample(self) -> bool:
        """Whether kinds are told by a part of the rows."""
        return self.sampled < self.rows

    def repeats(self, column: Measured) -> Repeats:
        """How far a column tells rows apart.

        Args:
            column: One of its columns.

        Returns:
            What was found in all rows.
        """
        # A number of 64 bits for each text: two different ones among ten million are taken for alike once in 400,000.
        name = f"hash({_name(column)})"
        [(distinct, present)] = self._ask(
            f"SELECT count(DISTINCT {name}), count(*) FROM surveyed WHERE {_name(column)} IS NOT NULL"
        )
        if distinct == present:
            return Repeats(distinct, 0)
        found = self._ask(
            "SELECT again, first FROM ("
            "SELECT line_number AS again, min(line_number) OVER (PARTITION BY value) AS first FROM ("
            f"SELECT line_number, {_name(column)} AS value FROM surveyed WHERE {name} IN ("
            f"SELECT {name} FROM surveyed WHERE {_name(column)} IS NOT NULL GROUP BY 1 HAVING count(*) > 1 "
            f"ORDER BY min(line_number) LIMIT {TOLD_LINES}))) WHERE again > first ORDER BY again LIMIT {TOLD_LINES}"
        )
        return Repeats(distinct, present - distinct, tuple((again, first) for again, first in found))

    def are_alike(self, one: Measured, other: Measured) -> bool:
        """Whether two columns say the same, be it in other words, in every row of the sample.

        Args:
            one: One of its columns.
            other: Another.

        Returns:
            Whether each value of one goes with one value of the other.
        """
        if one.sampled != other.sampled or one.distinct != other.distinct:
            return False
        a, b = _name(one), _name(other)
        [(pairs, gaps)] = self._ask(
            f"SELECT count(DISTINCT ({a}, {b})) FILTER ({a} IS NOT NULL), "
            f"count(*) FILTER (({a} IS NULL) <> ({b} IS NULL)) FROM sampled"
        )
        return bool(pairs == one.distinct and not gaps)

    def correlations(self, columns: Sequence[Measured]) -> np.ndarray:
        """How numbers and days go together.

        Args:
            columns: Columns of numbers and dates.

        Returns:
            Pearson's r of each pair over the rows of the sample that have both, shape (columns, columns); 0 where one
            of them does not vary.
        """
        step = -(-self.sampled // PAIRED_ROWS)
        numbers = [values[::step] for values in _fetch_numbers(self.engine, columns)]
        found = np.eye(len(columns))
        for i in range(len(columns)):
            for j in range(i):
                both = ~(np.isnan(numbers[i]) | np.isnan(numbers[j]))
                found[i, j] = found[j, i] = _correlation(numbers[i][both], numbers[j][both])
        return found

    def _ask(self, query: str) -> list[Any]:
        found: list[Any] = self.engine.connection.execute(query).fetchall()
        return found


def survey_export(engine: DuckDBEngine, export: Export) -> Survey:
    """Measure the columns of a file.

    Args:
        engine: Where its rows are looked at.
        export: The file, from `inspect_unknown`.

    Returns:
        What it holds; good until the engine reads another export.

    Raises:
        ExportError: If the file cannot be read, or holds no customers.
    """
    headers = export.headers
    repeated = tuple(dict.fromkeys(header for header in headers if header and headers.count(header) > 1))
    unnamed = tuple(place for place, header in enumerate(headers, start=1) if not header)
    columns = [
        Measured(place, header) for place, header in enumerate(headers, start=1) if header and header not in repeated
    ]
    # A contract by which everything is a text: what is missing is null, and all else as it was delivered.
    texts = tuple(DeliveredColumn(_name(c), "VARCHAR", "", nullable=True, header=c.header) for c in columns)
    frame, _ = read_export(engine, replace(export, contract=Contract("", texts)))
    connection = engine.connection
    connection.execute(f"CREATE OR REPLACE TEMP VIEW surveyed AS {engine.query(frame)}")
    [(rows, malformed)] = connection.execute("SELECT count(*), count(unreadable) FROM surveyed").fetchall()
    drawn = min(1.0, SAMPLE_ROWS / rows)
    chosen = "true" if rows <= SAMPLE_ROWS else f"line_number * {SCATTER} % {BUCKETS} < {int(drawn * BUCKETS)}"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE sampled AS SELECT * FROM surveyed WHERE {chosen} ORDER BY line_number"
    )
    [(sampled,)] = connection.execute("SELECT count(*) FROM sampled").fetchall()
    found = [_measure(engine, export, column) for column in columns]
    found = _measure_all_rows(engine, found, "sampled" if rows == sampled else "surveyed")
    return Survey(rows, malformed, sampled, tuple(_spread(engine, found)), unnamed, repeated, engine, export.skipped)


def _name(column: Measured) -> str:
    return f"column_{column.place}"


# What is counted of a column's texts in the sample; `{v}` stands for the column.
NUMBER, WHOLE = "TRY_CAST({v} AS DOUBLE)", "TRY_CAST({v} AS BIGINT)"
COUNTED = {
    "present": "count({v})",
    "distinct": "count(DISTINCT {v})",
    "numbers": f"count(*) FILTER ({NUMBER} - {NUMBER} = 0)",
    "wholes": f"count(*) FILTER ({WHOLE} = {NUMBER})",
    "bits": f"count(*) FILTER ({NUMBER} IN (0, 1))",
    "yes": f"count(*) FILTER (lower({{v}}) IN {YES})",
    "no": f"count(*) FILTER (lower({{v}}) IN {NO})",
    "points": "count(*) FILTER (contains({v}, '.'))",
    "padded": "count(*) FILTER (regexp_matches({v}, '^[+-]?0[0-9]'))",
    "decimals": "coalesce(max(length(regexp_extract({v}, '^[+-]?[0-9]*[.]([0-9]*[1-9])0*$', 1))), 0)",
    "length": "coalesce(max(length({v})), 0)",
}
# And of those that are no numbers.
COUNTED_OF_TEXTS = {
    "words": "coalesce(avg(length({v}) - length(replace({v}, ' ', '')) + 1), 0)",
    "emails": "count(*) FILTER (regexp_matches({v}, '^[^@ ]+@[^@ ]+[.][^@ ]+$'))",
    # A decimal comma or separators; a sign of money or a unit before or behind.
    "strange": "count(*) FILTER (regexp_matches({v}, '^-?[0-9][0-9. ]*,[0-9]+([.][0-9]+)?$') OR regexp_matches({v}, "
    "'^([^0-9a-zA-Z]|[A-Z]{{3}}) ?-?[0-9][0-9.,]*$|^-?[0-9][0-9.,]* ?([^0-9a-zA-Z+-]|[A-Z]{{3}})$'))",
    "dates": "count(*) FILTER (regexp_matches({v}, '^[0-9]{{1,4}}[-/.][0-9]{{1,2}}[-/.][0-9]{{2,4}}|"
    "^[0-9]{{1,4}}[ .-]+[^ 0-9]{{3,10}}[ ,.-]+[0-9]{{1,4}}$|^[A-Za-z]{{3,9}}[ .-]+[0-9]{{1,2}},? +[0-9]{{4}}$'))",
    "times": "count(*) FILTER (regexp_matches({v}, '[ T][0-9]{{1,2}}:[0-9]{{2}}'))",
}


def _measure(engine: DuckDBEngine, export: Export, column: Measured) -> Measured:
    """What kind of values a column holds, by the sample."""
    v = _name(column)
    found = _count(engine, COUNTED, v)
    if not found["present"]:
        return column
    is_number = found["numbers"] >= OF_A_KIND * found["present"] and not found["padded"]
    found |= dict.fromkeys(COUNTED_OF_TEXTS, 0) if is_number else _count(engine, COUNTED_OF_TEXTS, v)
    levels = engine.connection.execute(
        f"SELECT {v}, count(*) AS n FROM sampled WHERE {v} IS NOT NULL "
        f"GROUP BY ALL ORDER BY n DESC, {v} LIMIT {KEPT_LEVELS}"
    ).fetchall()
    known = replace(
        column,
        sampled=found["present"],
        distinct=found["distinct"],
        levels=tuple((text, count) for text, count in levels),
        words=float(found["words"]),
        length=found["length"],
        emails=found["emails"] / found["present"],
        padded=bool(found["padded"]),
        decimals=found["decimals"],
        has_time=found["times"] > found["present"] / 2,
    )
    return _tell_kind(Delivered(engine, export.path, "sampled"), known, found, export.separator)


def _count(engine: DuckDBEngine, counted: Mapping[str, str], v: str) -> dict[str, Any]:
    asked = ", ".join(expression.format(v=v) for expression in counted.values())
    [answers] = engine.connection.execute(f"SELECT {asked} FROM sampled").fetchall()
    return dict(zip(counted, answers, strict=True))


def _tell_kind(rows: Delivered, column: Measured, found: Mapping[str, Any], delimiter: str) -> Measured:
    """The column with its kind, by how many of its values are what."""
    present, enough = found["present"], OF_A_KIND * found["present"]
    is_padded = column.padded
    if found["yes"] + found["no"] == present and found["yes"] and found["no"]:
        column = replace(column, kind="flag")
    elif found["bits"] == present and column.distinct > 1 and not is_padded:
        column = replace(column, kind="flag", is_numeric_flag=True)
    elif found["numbers"] >= enough and not is_padded and found["points"]:
        # The point may stand between thousands.
        column = _measure_numbers(rows, column, delimiter)
    elif found["numbers"] >= enough and not is_padded:
        column = replace(column, kind="whole" if found["wholes"] >= enough else "decimal")
    elif found["dates"] > present / 2:
        column = _measure_dates(rows, column)
    elif found["strange"] + found["numbers"] >= enough and not is_padded:
        column = _measure_numbers(rows, column, delimiter)
    elif found["numbers"] > present / 2 and column.distinct > FEW_VALUES and not is_padded:
        others = present - found["numbers"]
        column = replace(
            column, kind="unread", why_unread=f"mostly numbers, but {others:,} values are none: {EMPTY_THEM}"
        )
    else:
        column = replace(column, kind="text")
    return column


EMPTY_THEM = "deliver what is missing as an empty value, and the others as numbers"
UNREAD_NUMBERS = "looks like numbers, but not all are written in one way: deliver 1234.56"
UNREAD_DATES = "looks like dates, but not all are written in one way, from 1900 on: deliver 2012-09-04"


def _measure_dates(rows: Delivered, column: Measured) -> Measured:
    """How the dates of a column are read, as reading itself settles it."""
    v, declared = _name(column), DeliveredColumn(_name(column), "DATE", "", header=column.header)
    latest = day_of_delivery(rows.path).year
    try:
        reading = settle_dates(rows, declared, v, latest).reading
    except ExportError:
        return replace(column, kind="unread", why_unread=UNREAD_DATES)
    [(most,)] = rows.ask(f"SELECT count({read_date(v, reading, latest)}) FROM {rows.table}")
    if most < OF_A_KIND * column.sampled:
        return replace(column, kind="unread", why_unread=UNREAD_DATES)
    return replace(column, kind="date", reading=reading, latest=latest)


def _measure_numbers(rows: Delivered, column: Measured, delimiter: str) -> Measured:
    """How the numbers of a column are read that are not as SQL writes them, as reading itself settles it."""
    v, declared = _name(column), DeliveredColumn(_name(column), "DOUBLE", "", header=column.header)
    try:
        written = settle_numbers(rows, [(declared, v)], delimiter)[_name(column)]
    except ExportError as error:
        return replace(column, kind="unread", why_unread=str(error).removeprefix(f"{rows.path}: "))
    number = f"TRY_CAST({written.number(v)} AS DOUBLE)"
    [(numbers, wholes, decimals)] = rows.ask(
        f"SELECT count({number}), count(*) FILTER ({number} = round({number})), "
        f"coalesce(max(length(regexp_extract({written.number(v)}, '[.]([0-9]*[1-9])0*$', 1))), 0) FROM {rows.table}"
    )
    if numbers < OF_A_KIND * column.sampled:
        return replace(column, kind="unread", why_unread=UNREAD_NUMBERS)
    kind: Kind = "whole" if wholes >= OF_A_KIND * column.sampled else "decimal"
    return replace(column, kind=kind, written=written, decimals=decimals)


def _measure_all_rows(engine: DuckDBEngine, columns: list[Measured], table: str) -> list[Measured]:
    """What is missing, the least and the greatest, in one pass over all rows."""
    if not columns:
        return []
    read = ", ".join(f"{_name(c)}, {_readable(c)} AS {_name(c)}_read" for c in columns if c.kind in RANGED)
    texts = ", ".join(_name(c) for c in columns if c.kind not in RANGED)
    asked = [
        f"count({_name(c)})"
        + (f", count({_name(c)}_read), min({_name(c)}_read), max({_name(c)}_read)" if c.kind in RANGED else "")
        for c in columns
    ]
    inner = ", ".join(part for part in (read, texts) if part)
    [found] = engine.connection.execute(f"SELECT {', '.join(asked)} FROM (SELECT {inner} FROM {table})").fetchall()
    answers, told = iter(found), []
    for column in columns:
        known = replace(column, present=next(answers))
        if column.kind in RANGED:
            readable, least, most = (next(answers) for _ in range(3))
            known = _with_range(engine, known, known.present - readable, least, most, table)
        told.append(known)
    return told


# The kinds of which it is told how far they reach.
RANGED = ("whole", "decimal", "flag", "date")


def _with_range(engine: DuckDBEngine, column: Measured, unreadable: int, least: Any, most: Any, table: str) -> Measured:
    """The column with its range; of another kind where all rows have values that the sample did not have."""
    if column.kind == "flag" and unreadable:
        kind: Kind = "decimal" if column.is_numeric_flag else "text"
        [told] = _measure_all_rows(engine, [replace(column, kind=kind, is_numeric_flag=False)], table)
        return told
    if unreadable:
        [(line,)] = engine.connection.execute(
            f"SELECT min(line_number) FROM {table} WHERE {_name(column)} IS NOT NULL AND {_readable(column)} IS NULL"
        ).fetchall()
        column = replace(column, unreadable=unreadable, unreadable_line=line)
    if least is None:
        return column
    if column.kind == "date":
        return replace(column, first=str(least), last=str(most))
    return replace(column, least=float(least), most=float(most))


def _readable(column: Measured) -> str:
    """The expression for what is read of a value; null where it is not of the column's kind."""
    v = _name(column)
    match column.kind:
        case "whole":
            number = column.written.number(v)
            whole = f"TRY_CAST({number} AS BIGINT)"
            return f"CASE WHEN {whole} = TRY_CAST({number} AS DOUBLE) THEN {whole} END"
        case "decimal":
            number = column.written.number(v)
            return f"CASE WHEN {_is_number(number)} THEN TRY_CAST({number} AS DOUBLE) END"
        case "flag" if column.is_numeric_flag:
            return f"CASE WHEN TRY_CAST({v} AS DOUBLE) IN (0, 1) THEN CAST(TRY_CAST({v} AS DOUBLE) AS BIGINT) END"
        case "flag":
            return f"CASE WHEN lower({v}) IN {YES} THEN 1 WHEN lower({v}) IN {NO} THEN 0 END"
        case "date":
            return read_date(v, column.reading, column.latest)
        case _:
            return v


def _is_number(value: str) -> str:
    return f"TRY_CAST({value} AS DOUBLE) - TRY_CAST({value} AS DOUBLE) = 0"


def _spread(engine: DuckDBEngine, columns: list[Measured]) -> list[Measured]:
    """How numbers and days are spread, by the sample."""
    spread = [column for column in columns if column.is_number or column.kind in ("date", "flag")]
    values = dict(zip((c.place for c in spread), _fetch_numbers(engine, spread), strict=True))
    told = []
    for column in columns:
        numbers = values.get(column.place, np.empty(0))
        numbers = numbers[~np.isnan(numbers)]
        if not len(numbers):
            told.append(column)
        elif column.kind == "date":
            day = np.datetime64("1970-01-01") + int(np.quantile(numbers, 0.99, method="lower"))
            told.append(replace(column, usual_last=str(day)))
        else:
            told.append(replace(column, skewness=_skewness(numbers), median=float(np.median(numbers))))
    return told


def _fetch_numbers(engine: DuckDBEngine, columns: Sequence[Measured]) -> list[np.ndarray]:
    """Numbers of the sample, and days as their number since 1970; NaN where there is none."""
    if not columns:
        return []
    asked = [
        f"CAST({_readable(c)} - DATE '1970-01-01' AS DOUBLE)" if c.kind == "date" else f"CAST({_readable(c)} AS DOUBLE)"
        for c in columns
    ]
    named = ", ".join(f"{number} AS n{place}" for place, number in enumerate(asked))
    found: Mapping[str, Any] = engine.connection.execute(
        f"SELECT {named} FROM sampled ORDER BY line_number"
    ).fetchnumpy()
    return [np.ma.filled(np.ma.asarray(found[f"n{place}"]), np.nan) for place in range(len(columns))]


def _skewness(numbers: np.ndarray) -> float:
    deviations = numbers - numbers.mean()
    spread = float(np.sqrt(np.mean(deviations**2)))
    return float(np.mean((deviations / spread) ** 3)) if spread else 0.0


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if len(one) < 3:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum() / scale) if scale else 0.0
