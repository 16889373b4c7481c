"""What people read of a column that nobody has put into words yet: good English from its header."""

import re
from typing import Any

from smartcart_pipeline.exports.choosing import (
    AGE_LIKE,
    BIRTH_DATE,
    BIRTH_YEAR,
    COUNT,
    DATE,
    NUMBER,
    YEAR,
    Taken,
)
from smartcart_pipeline.exports.naming import (
    HEAD,
    LONGEST_GROUP,
    NUMBERS,
    PERIODS,
    counted,
    is_plural,
    lexicon,
    plain,
    says,
    sentence_case,
    spoken,
    words_in,
)

# What stands beside a day in its header and says only that it is one.
DAY_WORDS = ("date", "dt", "day", "on", "at", "time", "datetime", "timestamp", "of", "the", "d")
# A unit in brackets behind a header, as in `Income (k$)`.
IN_BRACKETS = re.compile(r"[(\[]\s*([^()\[\]{}]{1,12}?)\s*[)\]]\s*$")
CURRENCIES = "€$£¥%"


def words_of(one: Taken, apart: bool = False) -> dict[str, Any]:
    """What people call a number.

    Args:
        one: What its column is taken for.
        apart: Whether to name its header, as another column is called the same.

    Returns:
        The `words` of a recipe.
    """
    if apart:
        words = words_of(one)
        return _higher(_called(words["named"], one), words["unit"], words["decimals"])
    if one.kind in (AGE_LIKE, BIRTH_YEAR, BIRTH_DATE):
        in_days = one.kind == BIRTH_DATE
        return _age("days", f"{sentence_case(AGE_LIKE)} in days") if in_days else _age("years", sentence_case(AGE_LIKE))
    if one.kind == DATE:
        return _since(one)
    if one.kind == YEAR:
        return _count(f"years since {spoken(_event(one.words) or ('then',))}", "years", one)
    return _of_number(one)


def _of_number(one: Taken) -> dict[str, Any]:
    """Of money, counts and other numbers."""
    words, unit = _words_and_unit(one)
    if one.kind == COUNT:
        if is_plural(things := counted(words)):
            return _count(things, unit or things, one)
        if len(words) > 1 and words[0] in NUMBERS:
            return _higher(f"{spoken(words[2:] if words[1] == 'of' else words[1:])} count", "", _decimals(one))
    named = spoken(words)
    is_of_things = one.kind in (COUNT, NUMBER) and one.column.kind == "whole" and one.column.least >= 0
    if is_plural(named) and not _is_measured(named) and (unit in PERIODS or is_of_things):
        return _count(named, unit or named, one)
    return _higher(named, unit, _decimals(one))


def _words_and_unit(one: Taken) -> tuple[tuple[str, ...], str]:
    """The words of a header, and the unit that it names."""
    if found := IN_BRACKETS.search(one.column.header):
        words, unit = words_in(one.column.header[: found.start()]), found[1]
        if words and (any(sign in unit for sign in CURRENCIES) or unit.lower() in lexicon()["units"]):
            return words, unit
    return one.words, next((period for period in PERIODS if period in one.words), "")


def words_of_logarithm(one: Taken, apart: bool = False) -> dict[str, Any]:
    """What people call the logarithm of a number.

    Args:
        one: What its column is taken for.
        apart: Whether to name its header.

    Returns:
        The `words` of a recipe.
    """
    words = words_of(one, apart)
    return words | {
        "label": f"{words['label']} (logarithm)",
        "condition": f"the logarithm of 1 and {words['named']}",
        "mean": f"with a mean logarithm of {{value}} for {words['named']}",
        "unit": "",
        "decimals": 2,
    }


def words_of_flag(one: Taken, apart: bool = False) -> tuple[dict[str, Any], str]:
    """What people call a yes or no, and those who have a yes.

    Args:
        one: What its column is taken for.
        apart: Whether to name its header.

    Returns:
        The `words` and the `share` of a recipe.
    """
    did = next((lexicon()["did"][word] for word in one.words if word in lexicon()["did"]), None)
    named = spoken(one.words)
    if apart:
        named = _called(named, one)
        return _more(sentence_case(named), named), f"are marked “{_header(one)}”"
    return _more(sentence_case(named), named), did or _is_or_has(one.words) or f"are marked “{named}”"


def _is_or_has(words: tuple[str, ...]) -> str | None:
    """What somebody is or has, where a header says so in words that make a sentence."""
    verb, rest = (words[0], words[1:]) if words[:1] and words[0] in ("has", "have", "is", "are") else ("", words)
    if not rest:
        return None
    if verb in ("has", "have"):
        return f"have {spoken(rest)}" if is_plural(spoken(rest)) else None
    if rest[-1] in lexicon()["beings"]:
        return f"are {spoken(rest)}s"
    return f"are {spoken(rest)}" if len(rest) == 1 and (verb or rest[0] in lexicon()["being"]) else None


def words_of_category(one: Taken, apart: bool = False) -> dict[str, str]:
    """What people call a category.

    Args:
        one: What its column is taken for.
        apart: Whether to name its header.

    Returns:
        The `words` of a recipe.
    """
    named = _called(spoken(one.words), one) if apart else spoken(one.words)
    return {"label": sentence_case(named), "named": named}


def words_of_group(one: Taken, group: str, apart: bool = False) -> dict[str, Any]:
    """What people call a group of a category.

    Args:
        one: What its column is taken for.
        group: The group.
        apart: Whether to name its header.

    Returns:
        The words of a level of a recipe.
    """
    shown = group.replace("{", "(").replace("}", ")")
    called = words_of_category(one, apart)
    return _more(f"{called['label']}: {shown}", f"{called['named']} “{shown}”")


def _header(one: Taken) -> str:
    """A header as people see it; it is part of a sentence, in which braces stand for a value."""
    return plain(one.column.header.replace("{", "(").replace("}", ")"))[:LONGEST_GROUP]


def _called(named: str, one: Taken) -> str:
    return f"{named} “{_header(one)}”"


def _more(label: str, named: str) -> dict[str, Any]:
    """Of what is so or not so: words that are right whatever it is."""
    return {
        "label": label,
        "named": named,
        "more": f"{sentence_case(named)} more often",
        "less": f"{sentence_case(named)} less often",
        "short": [f"{named} less often", f"{named} more often"],
        "decimals": 0,
    }


def _count(what: str, unit: str, one: Taken) -> dict[str, Any]:
    return {
        "label": sentence_case(what),
        "named": what,
        "condition": what if unit != what else f"number of {what}",
        "more": f"Have more {what}",
        "less": f"Have fewer {what}",
        "mean": f"with {{value}} {what} on average",
        "short": [f"fewer {what}", f"more {what}"],
        "unit": unit,
        "decimals": 0 if one.column.most >= 100 else 1,
    }


def _age(unit: str, label: str) -> dict[str, Any]:
    return {
        "label": label,
        "named": AGE_LIKE,
        "condition": f"{AGE_LIKE} in {unit}",
        "more": "Are older",
        "less": "Are younger",
        "mean": f"who are {{value}} {unit} old on average",
        "short": ["younger", "older"],
        "unit": unit,
        "decimals": 0,
    }


def _since(one: Taken) -> dict[str, Any]:
    if says(one.words, "join") and not says(one.words, "last"):
        return {
            "label": "Days as a customer",
            "named": "time as a customer",
            "condition": "days as a customer",
            "more": "Have been customers for longer",
            "less": "Are newer customers",
            "mean": "who have been customers for {value} days on average",
            "short": ["newer", "long-standing"],
            "unit": "days",
            "decimals": 0,
        }
    rest = _event(one.words)
    event = spoken(rest or ("then",))
    if not (len(rest) > 1 and rest[0] in ("first", *lexicon()["last"])) or _is_done(rest[-1]):
        return _count(f"days since {event}", "days", one)
    return {
        "label": f"Days since {event}",
        "named": f"days since {event}",
        "more": f"Had their {event} longer ago",
        "less": f"Had their {event} more recently",
        "mean": f"with {{value}} days since their {event} on average",
        "short": [f"{event} more recently", f"{event} longer ago"],
        "unit": "days",
        "decimals": 0,
    }


def _event(words: tuple[str, ...]) -> tuple[str, ...]:
    """What a day is of: `last purchase` of `last_purchase_date`."""
    return tuple(word for word in words if word not in (*DAY_WORDS, "year", "yr"))


def _is_done(word: str) -> bool:
    """Whether a word says that something was done, as in `last seen`."""
    return word.endswith("ed") or word in lexicon()["done"]


def _is_measured(named: str) -> bool:
    """Whether people say that what a number is of is high or low."""
    head = HEAD.split(named, maxsplit=1)[0].rsplit(" ", 1)[-1].lower()
    return bool({head, head.removesuffix("s")} & set(lexicon()["measured"]))


def _higher(named: str, unit: str, decimals: int) -> dict[str, Any]:
    if _is_measured(named):
        has_no_article = is_plural(named) or named.rsplit(" ", 1)[-1] in lexicon()["uncounted"]
        a = "" if has_no_article else "a "
        more, less, mean = f"{a}higher {named}", f"{a}lower {named}", f"with {a}mean {named} of {{value}}"
        mean = f"{mean} {unit}".rstrip()
    else:
        # `higher figures for hours watched` is right of whatever a header says.
        more, less = f"higher figures for {named}", f"lower figures for {named}"
        mean = f"{f'with a mean of {{value}} {unit}'.rstrip()} for {named}"
    return {
        "label": sentence_case(named),
        "named": named,
        "more": f"Have {more}",
        "less": f"Have {less}",
        "mean": mean,
        "short": [f"lower {named}", f"higher {named}"],
        "unit": unit,
        "decimals": decimals,
    }


def _decimals(one: Taken) -> int:
    most = one.column.most
    return 0 if most >= 100 else 1 if most >= 10 else 2
