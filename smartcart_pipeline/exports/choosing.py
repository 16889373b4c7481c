"""Choosing what to make of each column of an unknown table, as an analyst would, and saying why.

What belongs here: which part a column plays, from what it holds (see `surveying`) and what its header says (see
`naming`). What does not: how that is written down (see `drafting`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from smartcart_pipeline.engines.sql import YES
from smartcart_pipeline.exports.naming import (
    is_plural,
    lexicon,
    plain,
    says,
    speaks_for_id,
    speaks_only_of,
    spoken,
    words_in,
)
from smartcart_pipeline.exports.surveying import Measured, Repeats, Survey

# A category has at most so many groups, those of rare and of missing values among them; a rare value has less than this
# share, and the others make up at least so much.
MOST_GROUPS, RARE, COVERED = 12, 0.01, 0.7
# What more than so many lack describes nobody; texts that so many lack are a group of their own.
MOSTLY_MISSING, UNKNOWN_GROUP = 0.5, 0.05
# Who lacks a day is rejected: that may be few.
FEW_MISSING = 0.02
# Columns that go together so closely say the same.
COPY = 0.99
# One value for so many tells nobody apart.
HARDLY_DIFFERS = 0.995
# A yes of so few customers, or of all but so few, is a direction of its own once all features weigh the same.
RARE_FLAG = 0.02
# Numbers of children, and grades and years of schooling, have no more values than this: amounts do.
MOST_GRADES = 25
SKEWED = 2.0
# An id may be missing or repeated in so many rows, which a run rejects; a run rejects a whole file at 5 %.
NEARLY_UNIQUE, MOST_REJECTED = 0.02, 0.04
# Words of a text that is written and not chosen; letters of one.
FREE_WORDS, FREE_LETTERS = 3.5, 60
# Beyond so many days after nearly all others, a last day stands for "never", or is a slip.
FAR_AHEAD = 3 * 366
YEARS = (1850, 2200)
# Nobody is older, in years; a run rejects who is.
OLDEST = 110
NUMERAL = re.compile(r"\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\s*", re.ASCII)

Role = Literal["id", "feature", "outcome", "described", "left out"]
# What a column is taken for.
ID, MONEY, COUNT, NUMBER, FLAG, CATEGORY = "id", "money", "count", "number", "flag", "category"
DATE, BIRTH_DATE, YEAR, BIRTH_YEAR = "date", "date of birth", "year", "year of birth"
AGE_LIKE = str(lexicon()["years_lived"][0])
PERSONAL, FREE, UNREADABLE = "personal data", "free text", "not readable"
NUMBERS = (MONEY, COUNT, NUMBER, AGE_LIKE)


@dataclass(frozen=True)
class Taken:
    """What a column is taken for.

    Attributes:
        column: What it holds.
        role: What part it plays.
        kind: What it is taken for: one of the constants above, or words where it is left out.
        why: Why, for people.
        groups: Of a category, the values of each group that is not rare, as delivered.
        has_rare: Whether a category has values that are too rare for a group.
        logged: Whether the model sees the logarithm.
        tells_night: Whether its newest day is the day that all is counted to.
        sensitive: Whether it is something that segments shall not follow unawares.
    """

    column: Measured
    role: Role
    kind: str
    why: str
    groups: tuple[tuple[str, ...], ...] = ()
    has_rare: bool = False
    logged: bool = False
    tells_night: bool = False
    sensitive: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its header."""
        return words_in(self.column.header)


@dataclass(frozen=True)
class Chosen:
    """What is made of a table.

    Attributes:
        columns: What each column is taken for, in order.
        rows: How many customers the file has.
        notes: What people should know besides.
        night: How the day that all is counted to is found, for people.
    """

    columns: tuple[Taken, ...]
    rows: int
    notes: tuple[str, ...] = ()
    night: str = ""
    features: tuple[Taken, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find the columns that form the segments."""
        object.__setattr__(self, "features", tuple(one for one in self.columns if one.role == "feature"))

    @property
    def id(self) -> Taken | None:
        """The column that tells customers apart; None where there is none."""
        return next((one for one in self.columns if one.role == "id"), None)


def choose(survey: Survey, sees_personal: bool = False) -> Chosen:
    """Choose what to make of each column.

    Args:
        survey: What the columns hold.
        sees_personal: Whether the model sees age, education and children, as there is too little else.

    Returns:
        What each is taken for, and why.
    """
    columns = [_judge(column, survey.rows, sees_personal) for column in survey.columns]
    columns, notes = _choose_id(columns, survey)
    columns = _drop_copies(columns, survey)
    columns = _drop_far_days(columns)
    columns, night = _choose_night(columns, survey.rows)
    columns = _drop_costly(columns, survey.rows)
    return Chosen(tuple(columns), survey.rows, (*_tell_file(survey), *notes, *_tell_personal(columns)), night)


def missing_share(column: Measured, rows: int) -> float:
    """Which share of all rows lacks a value.

    Args:
        column: The column.
        rows: How many rows there are.

    Returns:
        The share, 0 to 1.
    """
    return (rows - column.present) / rows


def tell_number(number: float) -> str:
    """A number for people.

    Args:
        number: Any.

    Returns:
        With commas, and no more decimals than it has.
    """
    return f"{number:,.0f}" if number == int(number) else f"{number:,.6f}".rstrip("0").rstrip(".")


def tell_missing(column: Measured, rows: int) -> str:
    """How often a value is missing, for people.

    Args:
        column: The column.
        rows: How many rows there are.

    Returns:
        For example `never missing`.
    """
    lacking = rows - column.present
    if not lacking:
        return "never missing"
    return f"missing in {lacking:,} of {rows:,} rows ({_percent(lacking / rows)})"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "under 0.1%"


def _judge(column: Measured, rows: int, sees_personal: bool) -> Taken:
    """What a column is taken for, by itself: the first that fits."""
    words = words_in(column.header)
    if out := _why_empty(column, rows):
        return Taken(column, "left out", *out)
    if column.kind == "date":
        one = _judge_date(column, words, rows)
        return _show_only(one, sees_personal) if says(words, "birth") else one
    if personal := _why_personal(column, words):
        return Taken(column, "left out", PERSONAL, personal)
    is_of_person = _is_of_the_person(column, words)
    if says(words, "sensitive") or (is_of_person and not sees_personal and column.kind in ("text", "flag")):
        return _judge_described(column, SHOWN_ONLY, rows, sensitive=True)
    if not is_of_person and says(words, "segments") and column.distinct <= MOST_GROUPS:
        return _judge_described(column, "somebody's own segments: shown beside these, and forms none", rows)
    one = _judge_values(column, words, rows)
    return _show_only(one, sees_personal) if is_of_person else _see_logarithm(one)


SHOWN_ONLY = "sensitive: shown of segments, and forms none"


def _is_of_the_person(column: Measured, words: tuple[str, ...]) -> bool:
    """Whether a column tells how old somebody is, how educated, or of children, rather than what they do."""
    if says(words, "birth") and (_is_in_years(column) or (column.kind != "flag" and speaks_only_of(words, "birth"))):
        return True
    if _is_age(words) or (column.kind == "flag" and says(words, "of_age")):
        return True
    is_amount = column.kind == "decimal" or (column.kind == "whole" and column.distinct > MOST_GRADES)
    return not is_amount and (speaks_only_of(words, "children") or speaks_only_of(words, "schooling"))


def _is_age(words: tuple[str, ...]) -> bool:
    if says(words, "spending") or says(words, "balance"):
        return False
    return says(words, "years_lived") and (says(words, "owners") or not says(words, "others_years"))


def _is_in_years(column: Measured) -> bool:
    return column.kind == "whole" and YEARS[0] <= column.least and column.most <= YEARS[1]


def _show_only(one: Taken, is_seen: bool) -> Taken:
    """What is shown of segments and forms none, unless it is seen all the same, for want of anything else."""
    if one.role != "feature":
        return one
    if is_seen:
        return replace(_see_logarithm(one), sensitive=True)
    return replace(one, role="described", why=f"{SHOWN_ONLY}; {one.why}", sensitive=True)


def _see_logarithm(one: Taken) -> Taken:
    """The column, with its logarithm for what the model sees, where few customers have most of it."""
    column = one.column
    is_plain = one.role == "feature" and one.kind in (MONEY, COUNT, NUMBER)
    if not is_plain or column.skewness <= SKEWED or column.least < 0:
        return one
    skew = f"very uneven (skewness {column.skewness:.1f}), so its logarithm is seen"
    return replace(one, logged=True, why=f"{one.why}; {skew}")


def _judge_values(column: Measured, words: tuple[str, ...], rows: int) -> Taken:
    if says(words, "outcome") and column.kind == "flag":
        why = f"an outcome by its name: compared between segments, and forms none; {_tell_flag(column, rows)}"
        return Taken(column, "outcome", FLAG, why)
    if column.commonest >= HARDLY_DIFFERS:
        why = f"{_percent(column.commonest)} of the values are the same"
        return Taken(column, "left out", "hardly differs", why)
    if column.kind == "flag":
        return _judge_flag(column, rows)
    return _judge_number(column, words, rows) if column.is_number else _judge_text(column, words, rows)


def _why_empty(column: Measured, rows: int) -> tuple[str, str] | None:
    """Why a column says too little to be judged further: what it is, and why."""
    if not column.sampled:
        return "empty", "no row has a value"
    if missing_share(column, rows) > MOSTLY_MISSING:
        return "mostly empty", tell_missing(column, rows)
    if column.kind == "unread":
        return UNREADABLE, column.why_unread
    if column.distinct == 1:
        return "constant", "every value is the same"
    return None


def _why_personal(column: Measured, words: tuple[str, ...]) -> str | None:
    if column.kind == "flag":
        return None
    told = "says who somebody is and describes nobody; carried along as it is"
    if column.emails >= 0.9:
        return f"e-mail addresses: {told}"
    if says(words, "personal"):
        return told
    is_text = column.kind == "text" or column.padded
    looks_like_phone = column.kind == "whole" and column.least >= 100_000 and not says(words, "counts")
    if says(words, "contact") and column.distinct > MOST_GROUPS and (is_text or looks_like_phone):
        return told
    return None


def _judge_date(column: Measured, words: tuple[str, ...], rows: int) -> Taken:
    told = f"{column.first} to {column.last}, read as {_reading(column)}, {tell_missing(column, rows)}"
    if says(words, "ahead") and not says(words, "birth"):
        return Taken(column, "left out", DATE, f"by its name it may lie ahead, and days are counted back; {told}")
    if missing_share(column, rows) > FEW_MISSING:
        return Taken(column, "left out", DATE, f"a day that is missing cannot be filled in; {told}")
    if says(words, "birth"):
        return Taken(column, "feature", BIRTH_DATE, f"as an {AGE_LIKE} in days; {told}{_tell_lost(column, rows)}")
    return Taken(column, "feature", DATE, f"the days since then are seen; {told}{_tell_lost(column, rows)}")


def _reading(column: Measured) -> str:
    return "year-month-day" if column.reading == "ISO" else "day-month-year"


def _tell_lost(column: Measured, rows: int) -> str:
    """What becomes of rows without a day, and of values that are not of the kind."""
    told = ", whose rows are rejected" if column.kind == "date" and column.present < rows else ""
    if column.unreadable:
        told += f"; {column.unreadable:,} values are none (the first in line {column.unreadable_line:,}): rejected"
    return told


def _judge_flag(column: Measured, rows: int) -> Taken:
    told = _tell_flag(column, rows)
    # Who lacks a value counts as no.
    yes = _share_of_yes(column) * (1 - missing_share(column, rows))
    if RARE_FLAG <= yes <= 1 - RARE_FLAG:
        return Taken(column, "feature", FLAG, told)
    who = "so few" if yes < RARE_FLAG else "nearly all"
    why = f"{who} customers have it that it would be a component of its own: shown of segments, and forms none; {told}"
    return Taken(column, "described", FLAG, why)


def _share_of_yes(column: Measured) -> float:
    return sum(n for text, n in column.levels if text.lower() in (*YES, "1", "1.0")) / column.sampled


def _tell_flag(column: Measured, rows: int) -> str:
    ways = "1 and 0" if column.is_numeric_flag else " and ".join(text for text, _ in column.levels[:2])
    stands = "" if column.present == rows else ", which counts as no"
    return f"{plain(ways)}, {_percent(_share_of_yes(column))} yes, {tell_missing(column, rows)}{stands}"


def _judge_described(column: Measured, why: str, rows: int, sensitive: bool = False) -> Taken:
    """What may be shown of segments, but must not form them."""
    if column.kind == "flag":
        return Taken(column, "described", FLAG, f"{why}; {_tell_flag(column, rows)}", sensitive=sensitive)
    if column.is_number and column.distinct > MOST_GROUPS:
        return Taken(column, "described", NUMBER, f"{why}; {_tell_range(column, rows)}", sensitive=sensitive)
    groups, has_rare, _ = _group(column, rows, MOST_GROUPS)
    if not groups:
        return Taken(column, "left out", CATEGORY, f"{why}; but {column.distinct:,} different values, all of them rare")
    why = f"{why}; {_tell_groups(column, groups, has_rare, rows)}"
    return Taken(column, "described", CATEGORY, why, groups, has_rare, sensitive=sensitive)


def _judge_number(column: Measured, words: tuple[str, ...], rows: int) -> Taken:
    whole, told = column.kind == "whole", _tell_range(column, rows)
    if whole and column.least >= 19_000_000 and column.most < 22_000_000 and says(words, "date"):
        return Taken(column, "left out", UNREADABLE, "days as numbers like 20120904, which are not read: 2012-09-04")
    if _is_in_years(column) and (says(words, "year") or says(words, "birth")):
        is_birth = says(words, "birth")
        kind, how = (BIRTH_YEAR, f"as an {AGE_LIKE} in years") if is_birth else (YEAR, "the years since then are seen")
        told = f"{_tell_range(column, rows, years=True)}{_tell_lost(column, rows)}"
        return Taken(column, "feature", kind, f"{how}; {told}")
    if _is_age(words) and column.least >= 0 and column.median < 120:
        return Taken(column, "feature", AGE_LIKE, f"{told}{_tell_lost(column, rows)}")
    if whole and says(words, "coded") and column.distinct <= MOST_GROUPS and not says(words, "counts"):
        groups, has_rare, _ = _group(column, rows)
        if groups:
            why = f"whole numbers that by their name stand for kinds; {_tell_groups(column, groups, has_rare, rows)}"
            return Taken(column, "feature", CATEGORY, why, groups, has_rare)
    if whole and (_names_things(words) or _counts_rows(column)):
        return Taken(
            column, "left out", "a number for its own sake", f"it names something and measures nothing; {told}"
        )
    return Taken(column, "feature", _kind_of_number(column, words), f"{told}{_tell_lost(column, rows)}")


def _names_things(words: tuple[str, ...]) -> bool:
    return any(word in words for word in ("id", "ids", "key", "code", "identifier"))


def _counts_rows(column: Measured) -> bool:
    """Whether numbers go up by one from row to row, in any order."""
    return column.distinct == column.sampled == column.present and column.most - column.least + 1 == column.present


COUNTING = [(word,) for word in ("num", "number", "no", "nr", "n", "count", "cnt", "qty")]


def _kind_of_number(column: Measured, words: tuple[str, ...]) -> str:
    if says(words, "reckoned") and not says(words, "spending") and not says(words, "balance"):
        return NUMBER
    first, last = words[:1], words[-1:]
    leads_count = first in COUNTING or last in (("count",), ("cnt",))
    if column.kind == "whole" and column.least >= 0 and leads_count:
        return COUNT
    if says(words, "spending") or says(words, "balance"):
        return MONEY
    is_count = says(words, "counts") or (is_plural(spoken(words)) and column.most <= 1_000)
    return COUNT if column.kind == "whole" and column.least >= 0 and is_count else NUMBER


def _tell_range(column: Measured, rows: int, years: bool = False) -> str:
    filled = "" if column.present == rows else ", where the median stands in"
    least, most = (f"{n:.0f}" if years else tell_number(n) for n in (column.least, column.most))
    return f"{least} to {most}, {tell_missing(column, rows)}{filled}"


def _judge_text(column: Measured, words: tuple[str, ...], rows: int) -> Taken:
    if column.distinct > MOST_GROUPS and (column.words > FREE_WORDS or column.length > 2 * FREE_LETTERS):
        return Taken(column, "left out", FREE, f"{column.distinct:,} different texts of {column.words:.0f} words")
    if column.distinct > 0.9 * column.sampled and column.distinct > MOST_GROUPS:
        return Taken(column, "left out", "a name for each", "nearly every row has a text of its own")
    groups, has_rare, covered = _group(column, rows)
    if not groups or len(groups) + has_rare > MOST_GROUPS or covered < COVERED:
        how = "different values" if column.distinct > MOST_GROUPS else "values, most of them rare"
        return Taken(
            column, "left out", "too many values", f"{column.distinct:,} {how}: at most {MOST_GROUPS} make groups"
        )
    told = _tell_groups(column, groups, has_rare, rows)
    if says(words, "outcome"):
        why = f"an outcome by its name, and no yes or no: shown of segments, and forms none; {told}"
        return Taken(column, "described", CATEGORY, why, groups, has_rare)
    return Taken(column, "feature", CATEGORY, told, groups, has_rare)


def _group(column: Measured, rows: int, at_most: int | None = None) -> tuple[tuple[tuple[str, ...], ...], bool, float]:
    """Values in groups, large letters or not; whether there are rare ones besides; which share the groups hold."""
    alike: dict[str, list[tuple[str, int]]] = {}
    for text, count in column.levels:
        alike.setdefault(" ".join(text.casefold().split()), []).append((text, count))
    counts = {key: sum(count for _, count in texts) for key, texts in alike.items()}
    kept = sorted((key for key in alike if counts[key] >= RARE * column.sampled), key=lambda key: (-counts[key], key))
    kept = kept[:at_most]
    groups = tuple(tuple(text for text, _ in alike[key]) for key in kept)
    held = sum(counts[key] for key in kept)
    is_unknown = missing_share(column, rows) > UNKNOWN_GROUP and "unknown" not in kept
    return (*groups, ("unknown",)) if is_unknown and groups else groups, held < column.sampled, held / column.sampled


def _tell_groups(column: Measured, groups: Sequence[tuple[str, ...]], has_rare: bool, rows: int) -> str:
    rare = f", those under {RARE:.0%} in one, Other" if has_rare else ""
    filled = "" if column.present == rows else (
        ", a group of its own, Unknown" if ("unknown",) in groups else ", which counts as unknown"
    )  # fmt: skip
    return f"{column.distinct:,} values in {len(groups)} groups{rare}; {tell_missing(column, rows)}{filled}"


def _choose_id(columns: list[Taken], survey: Survey) -> tuple[list[Taken], list[str]]:
    """The column that tells customers apart: one that is named so, or else the first that could."""
    named = [one for one in columns if _could_be_id(one, survey.rows) and _is_named_id(one)]
    named.sort(key=lambda one: (-speaks_for_id(one.words), one.column.place))
    others = [one for one in columns if one not in named and _could_be_id(one, survey.rows) and _looks_like_id(one)]
    notes: list[str] = []
    nearly: tuple[Taken, Repeats] | None = None
    for one in named:
        repeats = survey.repeats(one.column)
        refused = repeats.rows + survey.rows - one.column.present
        if not refused:
            return _as_id(columns, one, "named like an id, unique and never missing"), notes
        if refused <= NEARLY_UNIQUE * survey.rows and nearly is None:
            nearly = one, repeats
        elif repeats.distinct < survey.rows / 2 and speaks_for_id(one.words) >= 4:
            notes.append(_tell_many_rows(one, repeats, survey.rows))
    if nearly:
        return _as_id(columns, nearly[0], _tell_nearly(*nearly, survey.rows)), notes
    for one in others:
        if one.column.present == survey.rows and not survey.repeats(one.column).rows:
            return _as_id(columns, one, "the first column that is unique and never missing"), notes
    return columns, [*notes, NO_ID]


NO_ID = (
    "No column tells customers apart: rows are numbered, and segments cannot be followed from night to night. Deliver "
    "a column with an id for each customer."
)


def _could_be_id(one: Taken, rows: int) -> bool:
    column = one.column
    if not column.sampled or missing_share(column, rows) > NEARLY_UNIQUE or column.kind not in ("whole", "text"):
        return False
    return not column.unreadable and (column.length <= 200 and column.distinct > 1)


def _is_named_id(one: Taken) -> bool:
    """Whether a header speaks for an id, of values that are not plainly something else."""
    spoken_for = speaks_for_id(one.words)
    return spoken_for >= 4 or (spoken_for > 0 and one.column.distinct >= 0.9 * one.column.sampled)


def _looks_like_id(one: Taken) -> bool:
    """Whether values that are unique are so on purpose: no amount, no text that somebody wrote."""
    column = one.column
    if column.distinct != column.sampled or speaks_for_id(one.words) < 0:
        return False
    if column.kind == "text":
        return column.words < 1.5 and one.kind != PERSONAL
    digits = {len(text) for text, _ in column.levels}
    return _counts_rows(column) or (one.kind == NUMBER and len(digits) == 1 and min(digits) >= 5)


def _as_id(columns: list[Taken], chosen: Taken, why: str) -> list[Taken]:
    return [Taken(one.column, "id", ID, why) if one is chosen else one for one in columns]


def _tell_nearly(one: Taken, repeats: Repeats, rows: int) -> str:
    told = []
    if repeats.rows:
        lines = ", ".join(f"line {again:,} that of line {first:,}" for again, first in repeats.lines)
        more = ", …" if repeats.rows > len(repeats.lines) else ""
        told.append(f"{repeats.rows:,} {'row repeats' if repeats.rows == 1 else 'rows repeat'} another ({lines}{more})")
    if lacking := rows - one.column.present:
        told.append(f"{lacking:,} {'row lacks' if lacking == 1 else 'rows lack'} one")
    return f"named like an id, and nearly unique: {' and '.join(told)}; a run rejects them"


def _tell_many_rows(one: Taken, repeats: Repeats, rows: int) -> str:
    return (
        f"{plain(one.column.header)} has {repeats.distinct:,} different values in {rows:,} rows. If it tells customers "
        "apart, the file has several rows for each: deliver one row a customer."
    )


def _drop_copies(columns: list[Taken], survey: Survey) -> list[Taken]:
    """Leave out what says the same as another column: an outcome, what is only shown, a day, or one before it."""
    parts: dict[Role, int] = {"outcome": 0, "described": 1, "feature": 2}
    used = [one for one in columns if one.role in parts]
    used.sort(
        key=lambda one: (parts[one.role], one.kind != DATE, survey.rows - one.column.present, one.column.place),
    )
    measured = [one for one in used if one.column.is_number or one.column.kind == "date"]
    r = survey.correlations([one.column for one in measured])
    places = {one.column.place: number for number, one in enumerate(measured)}
    kept: list[Taken] = []
    out: dict[int, Taken] = {}
    for one in used:
        for other in kept:
            told = ""
            i, j = places.get(one.column.place), places.get(other.column.place)
            if i is not None and j is not None and abs(r[i, j]) >= COPY:
                told = f"goes with {plain(other.column.header)} (r = {r[i, j]:.3f}): it would count twice"
            elif one.column.distinct <= MOST_GROUPS and survey.are_alike(one.column, other.column):
                told = f"says the same as {plain(other.column.header)}: it would count twice"
            if told:
                out[one.column.place] = Taken(one.column, "left out", "a copy", told)
                break
        else:
            kept.append(one)
    return [out.get(one.column.place, one) for one in columns]


def _days_apart(earlier: str, later: str) -> int:
    import numpy as np  # noqa: PLC0415  (days beyond the year 9999 are none of Python's)

    return int((np.datetime64(later) - np.datetime64(earlier)) / np.timedelta64(1, "D"))


def _drop_far_days(columns: list[Taken]) -> list[Taken]:
    """Leave out days of which a few lie so far ahead that they stand for something else."""
    return [
        replace(
            one,
            role="left out",
            why=f"its last day, {one.column.last}, lies far after nearly all others: it stands for something else",
        )
        if one.kind == DATE
        and one.role == "feature"
        and _days_apart(one.column.usual_last, one.column.last) > FAR_AHEAD
        else one
        for one in columns
    ]


def _choose_night(columns: list[Taken], rows: int) -> tuple[list[Taken], str]:
    """The column whose newest day tells the night."""
    days = [one for one in columns if one.role == "feature" and one.kind == DATE]
    certain = [one for one in days if one.column.present == rows and not one.column.unreadable]
    if not certain:
        why = "No day is there in every row" if days else "No column has days"
        return columns, f"{why}: all is counted to the day on which the file was delivered."
    newest = max(one.column.last for one in days)
    best = max(certain, key=lambda one: (one.column.last, says(one.words, "join"), -one.column.place))
    if best.column.last < newest:
        return columns, "The newest day stands in a column that some rows lack: all is counted to the day of delivery."
    told = f"All is counted to the newest day of “{plain(best.column.header)[:60]}”, {best.column.last} in this file."
    marked = replace(best, tells_night=True, why=f"its newest tells the night; {best.why}")
    return [marked if one is best else one for one in columns], told


def _drop_costly(columns: list[Taken], rows: int) -> list[Taken]:
    """Leave out what would have a run reject too many rows: a night rejects a whole file at 5 %."""
    columns = list(columns)
    while True:
        costs = {number: _rejected(one, rows) for number, one in enumerate(columns) if one.role != "left out"}
        if sum(costs.values()) <= MOST_REJECTED * rows:
            return columns
        worst = max((n for n in costs if columns[n].role != "id"), key=lambda n: (costs[n], n), default=None)
        if worst is None or not costs[worst]:
            return columns
        one = columns[worst]
        why = f"{costs[worst]:,} rows would be rejected for it, with others too many"
        columns[worst] = Taken(one.column, "left out", one.kind, why)


def _rejected(one: Taken, rows: int) -> int:
    lacking = rows - one.column.present if one.column.kind == "date" else 0
    too_old = 0
    if one.kind == AGE_LIKE and one.column.most > OLDEST:
        # What is no number is among the unreadable.
        numbers = [(text, count) for text, count in one.column.levels if NUMERAL.fullmatch(text)]
        too_old = sum(count for text, count in numbers if float(text) > OLDEST)
    return lacking + one.column.unreadable + too_old * rows // one.column.sampled


def _tell_file(survey: Survey) -> Iterator[str]:
    if survey.skipped:
        yield f"The header was found in line {survey.skipped + 1:,}: what stands above it describes no customer."
    if survey.rows < 200:
        yield f"{survey.rows:,} customers are few to find segments among: 200 or more are better."
    if survey.malformed:
        yield f"{survey.malformed:,} lines cannot be put into columns: a run rejects them."
    if survey.is_sample:
        yield (
            "What the columns hold, how uneven they are and which go together was found in a sample of "
            f"{survey.sampled:,} of {survey.rows:,} rows; what is missing, the least and the greatest in all of them."
        )
    yield from tell_unused(survey)


def _tell_personal(columns: Sequence[Taken]) -> Iterator[str]:
    if seen := [one for one in columns if one.sensitive and one.role == "feature"]:
        told = ", ".join(plain(one.column.header)[:60] for one in seen)
        yield (
            f"Too little else describes a customer: what is sensitive forms the segments, too ({told}). Deliver more "
            "of what customers do, to have them formed by that alone."
        )


def tell_unused(survey: Survey) -> Iterator[str]:
    """Which columns are not looked at.

    Args:
        survey: What the columns hold.

    Yields:
        Sentences for people.
    """
    if survey.unnamed:
        places = ", ".join(map(str, survey.unnamed[:5]))
        yield f"Columns without a header are not looked at (column {places}): give them one to have them used."
    if survey.repeated:
        told = ", ".join(re.sub(r"(?<=.{60}).+", "…", plain(header)) for header in survey.repeated[:3])
        yield f"Columns whose header stands several times are not looked at ({told}): name each once to have them used."
