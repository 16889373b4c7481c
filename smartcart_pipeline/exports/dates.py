"""How the dates of a column are written: found once for the whole file, from all of its values.

Most values could be read day first or month first, and only some say which. So the ones that say it decide for all;
where none does, day first is taken and everybody is told.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from smartcart_pipeline.declaration.contract import DeliveredColumn
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.engines.sql import identifier
from smartcart_pipeline.exports.numerals import ALIKE, Delivered, count_few

EARLIEST_YEAR = 1900
EXPECTED = "Expected day-month-year (04-09-2012), month-day-year (09/04/2012) or ISO (2012-09-04)."
# How the names of readings end that leave out the century.
SHORT = ", years of two digits"
# Of fewer different days that are certain, or lie beyond these, nothing follows: they may be those of a few batches.
FEWEST_DAYS = 10
# Spreadsheets count days from here; as they take 1900 for a leap year, before March of that year they are one off.
DAY_ZERO, FIRST_SERIAL, LAST_SERIAL = "DATE '1899-12-30'", 61, 73_050
# How months begin in English, German, French, Spanish, Italian, Portuguese and Dutch, without accents.
MONTHS = (
    "jan|ene|gen",
    "feb|fev",
    "mar|maa|maerz|mrt|mrz",
    "apr|abr|avr",
    "may|mai|mag|mei",
    "jun|juin|giu",
    "jul|juil|lug",
    "aug|aou|ago",
    "sep|set",
    "oct|okt|ott|out",
    "nov",
    "dec|dez|dic|des",
)


@dataclass(frozen=True)
class DateReading:
    """How the dates of a column are read, and on what evidence.

    Attributes:
        reading: One of `READINGS`.
        evidence: A sentence for people.
        is_default: Whether nothing in the file says so.
    """

    reading: str
    evidence: str
    is_default: bool = False


def read_date(text: str, reading: str, latest: int) -> str:
    """The expression that reads a text as a date.

    Args:
        text: An expression for a text.
        reading: One of `READINGS`.
        latest: The last year that two digits may stand for.

    Returns:
        An expression (DATE); null where the text is no such date, from 1900 on.
    """
    parsed = f"TRY_CAST({READINGS[reading](_date_part(text))} AS DATE)"
    if reading.endswith(SHORT):
        parsed = f"CAST({parsed} - to_years(CASE WHEN year({parsed}) > {latest} THEN 100 ELSE 0 END) AS DATE)"
    return f"CASE WHEN year({parsed}) >= {EARLIEST_YEAR} THEN {parsed} END"


def _date_part(text: str) -> str:
    """A text without the time that may stand behind the date."""
    return f"regexp_replace({text}, '[ T]\\d{{1,2}}:\\d{{2}}.*$', '')"


def _by_format(form: str) -> Callable[[str], str]:
    return lambda text: f"try_strptime(translate({text}, '/.', '--'), '{form}')"


def _by_name(form: str, year: str) -> Callable[[str], str]:
    """Day, name of the month and year, in any of the orders that people write."""

    def expression(text: str) -> str:
        plain = f"regexp_replace(lower(strip_accents({text})), '[ ./,-]+', '-', 'g')"
        plain = f"regexp_replace({plain}, '^(mon|tue|wed|thu|fri|sat|sun)[a-z]*-|(st|nd|rd|th|-de|-of)\\b', '', 'g')"
        day_first = f"regexp_replace({plain}, '^([a-z]+)-([0-9]+)-({year})$', '\\2-\\1-\\3')"
        turned = f"regexp_replace({day_first}, '^([0-9]{{4}})-([a-z]+)-([0-9]+)$', '\\3-\\2-\\1')"
        day, month, found = (
            f"regexp_extract({turned}, '^([0-9]{{1,2}})-([a-z]+)-({year})$', {group})" for group in (1, 2, 3)
        )
        numbers = " ".join(
            f"WHEN regexp_matches({month}, '^({begins})') THEN '{number}'"
            for number, begins in enumerate(MONTHS, start=1)
        )
        return f"try_strptime({day} || '-' || (CASE {numbers} END) || '-' || {found}, '{form}')"

    return expression


def _serial(text: str) -> str:
    """Days as spreadsheets count them; a fraction is the time of day."""
    number = f"TRY_CAST({text} AS DOUBLE)"
    is_serial = f"{number} BETWEEN {FIRST_SERIAL} AND {LAST_SERIAL}"
    return f"CASE WHEN {is_serial} THEN {DAY_ZERO} + CAST(floor({number}) AS INT) END"


READINGS: Mapping[str, Callable[[str], str]] = {
    "day-first": _by_format("%d-%m-%Y"),
    "ISO": _by_format("%Y-%m-%d"),
    "month-first": _by_format("%m-%d-%Y"),
    "month names": _by_name("%d-%m-%Y", "[0-9]{4}"),
    f"month names{SHORT}": _by_name("%d-%m-%y", "[0-9]{2}"),
    f"day-first{SHORT}": _by_format("%d-%m-%y"),
    f"month-first{SHORT}": _by_format("%m-%d-%y"),
    "compact": lambda text: (
        f"CASE WHEN regexp_matches({text}, '^[12]\\d{{7}}$') THEN try_strptime({text}, '%Y%m%d') END"
    ),
    "days of a spreadsheet": _serial,
}
# What nearly all dates are; the others are tried where these fail.
USUAL = ("day-first", "ISO", "month-first")
# What says the day first, and what the same says with the month first.
ORDERS = {
    "day-first": "month-first",
    f"day-first{SHORT}": f"month-first{SHORT}",
}
ORDERS |= {month: day for day, month in ORDERS.items()}
WORDS = {"day-first": "day-month-year", "ISO": "year-month-day", "month-first": "month-day-year"}
HOW_TO_SAY = "logicalTypeOptions: {format: MM/dd/yyyy}"


def settle_dates(rows: Delivered, column: DeliveredColumn, text: str, latest: int) -> DateReading:
    """Find the one reading of a column's dates that fits the file.

    Args:
        rows: The rows of the file.
        column: A column of dates that is delivered as texts.
        text: The expression for its text.
        latest: The last year that two digits may stand for.

    Returns:
        The reading.

    Raises:
        ExportError: If no value is a date, or some can only be read in one way and others only in another.
    """
    present, line = _gather(rows, text)
    tried = [reading for reading in READINGS if not column.written or reading.removesuffix(SHORT) == column.written]
    usual = [reading for reading in tried if reading in USUAL]
    counts = _read_all(rows, usual, latest)
    if max(counts.values(), default=0) < ALIKE * present:
        counts = _read_all(rows, tried, latest)
    reading = max(counts, key=lambda each: counts[each])
    if present and not counts[reading]:
        raise ExportError(
            f"{rows.path}: no value of column {column.header} can be read as a date: see line {line}. {EXPECTED}"
        )
    few = count_few(present)
    _require_alike(rows, column, reading, [other for other in counts if other != reading], few)
    said = f"{counts[reading]:,} of {present:,} values of {column.header} read as {_words(reading)}"
    if ORDERS.get(reading) not in counts or column.written:
        return DateReading(reading, f"{said}.")
    _require_one_order(rows, column, reading, few)
    [(only,)] = rows.ask(
        f"SELECT coalesce(sum(n), 0) FROM date_texts "
        f"WHERE {_day(reading)} IS NOT NULL AND {_day(ORDERS[reading])} IS NULL"
    )
    other = ORDERS[reading].removesuffix(SHORT)
    if only:
        return DateReading(reading, f"{said}; {int(only):,} of them cannot be {other}.")
    return DateReading(reading, f"{said}; nothing in the file rules out {other}.", is_default=present > 0)


def _words(reading: str) -> str:
    return WORDS.get(reading.removesuffix(SHORT), reading) + (SHORT if reading.endswith(SHORT) else "")


def _day(reading: str) -> str:
    return identifier(reading)


def _gather(rows: Delivered, text: str) -> tuple[int, int | None]:
    """Make a table of the different texts, which are few: how many values there are, and the line of the first."""
    rows.ask(
        f"CREATE OR REPLACE TEMP TABLE date_texts AS SELECT {_date_part('text')} AS text, count(*) AS n, "
        f"min(line_number) AS line FROM (SELECT line_number, {text} AS text FROM {rows.table}) "
        "WHERE text IS NOT NULL GROUP BY ALL"
    )
    [(present, line)] = rows.ask("SELECT coalesce(sum(n), 0), min(line) FROM date_texts")
    return int(present), line


def _read_all(rows: Delivered, readings: Sequence[str], latest: int) -> dict[str, int]:
    """Set the day that each reading makes of a text beside it: how many values each reads."""
    if not readings:
        return {}
    days = ", ".join(f"{read_date('text', reading, latest)} AS {_day(reading)}" for reading in readings)
    rows.ask(f"CREATE OR REPLACE TEMP TABLE date_texts AS SELECT text, n, line, {days} FROM date_texts")
    asked = ", ".join(f"coalesce(sum(n) FILTER ({_day(reading)} IS NOT NULL), 0)" for reading in readings)
    [found] = rows.ask(f"SELECT {asked} FROM date_texts")
    return dict(zip(readings, map(int, found), strict=True))


def _require_alike(rows: Delivered, column: DeliveredColumn, reading: str, others: Sequence[str], few: float) -> None:
    """Refuse a column of which more than a few values can only be read in another way."""
    for other in others:
        [(count, text, line)] = rows.ask(
            f"SELECT coalesce(sum(n), 0), arg_min(text, line), min(line) FROM date_texts "
            f"WHERE {_day(reading)} IS NULL AND {_day(other)} IS NOT NULL"
        )
        if count > few:
            raise ExportError(
                f"{rows.path}: the dates in column {column.header} are written in two ways: most read as "
                f"{_words(reading)}, and {int(count):,} only as {_words(other)} (line {line:,}: {text!r}). Deliver "
                "them all in one way, for example 2012-09-04."
            )


def _require_one_order(rows: Delivered, column: DeliveredColumn, reading: str, few: float) -> None:
    """Refuse dates of which some are certain, and the others lie about these only when day and month are swapped.

    So spreadsheets leave a column that they took for dates of another country: what fits its order is turned, and the
    rest stays as it was. Three fifths of all days are above the 12th, so that there are more certain ones than others,
    and many different ones.
    """
    day, swapped = _day(reading), _day(ORDERS[reading])
    # A month more at either end: what is certain has no day before the 13th.
    beyond_day, beyond_swapped = (f"{one} NOT BETWEEN first - 31 AND last + 31" for one in (day, swapped))
    [(certain, days, beyond, fewer, text, line)] = rows.ask(
        f"WITH certain AS (SELECT min({day}) AS first, max({day}) AS last, sum(n) AS values, "
        f"count(*) AS days FROM date_texts WHERE {day} IS NOT NULL AND {swapped} IS NULL) "
        f"SELECT coalesce(any_value(CASE WHEN days >= {FEWEST_DAYS} THEN values END), 0), "
        f"count(*) FILTER ({beyond_day}), "
        f"coalesce(sum(n) FILTER ({beyond_day}), 0), coalesce(sum(n) FILTER ({beyond_swapped}), 0), "
        f"arg_min(text, line) FILTER ({beyond_day}), min(line) FILTER ({beyond_day}) "
        f"FROM date_texts, certain WHERE {day} <> {swapped}"
    )
    if beyond > few and days >= FEWEST_DAYS and 4 * fewer < beyond <= certain:
        raise ExportError(
            f"{rows.path}: the orders of day and month are mixed in column {column.header}: some dates can only be "
            f"read as {_words(reading)}, and {int(beyond):,} others lie among these only if they are read as "
            f"{_words(ORDERS[reading])} (line {line:,}: {text!r}). A spreadsheet may have turned some of them. Deliver "
            "them all in one way, for example 2012-09-04."
        )
