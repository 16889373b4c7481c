"""Reads what is said of segments, and asks the customers themselves whether it is so.

It knows a recipe's words and nothing of how sentences are put together: what it cannot read is a fault, too.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from smartcart_pipeline.declaration.recipe import EncodedFeature, Recipe, Words
from smartcart_pipeline_tests.soundness import ask

MEMBERS = "features JOIN clusters USING (customer_id)"
NUMBER = r"(?P<value>-?[\d,]+(?:\.\d+)?)"
COMPARED = r" \((?:(?P<over>over )?(?P<percent>[\d,]+)% )?(?P<side>above|below|the) average\)"
LEVELS = ("High-value", "Mid-value", "Low-value")


def find_untruths(warehouse: duckdb.DuckDBPyConnection, recipe: Recipe) -> list[str]:
    """All that personas and descriptions say and customers do not bear out.

    Args:
        warehouse: A published one.
        recipe: What it went by.

    Returns:
        Sentences; none where all is so.
    """
    found: list[str] = []
    for segment, persona, description in ask(warehouse, "SELECT segment_id, persona, description FROM profiles"):
        customers = _Customers(warehouse, segment)
        found += [f"{segment} {persona}: {fault}" for fault in _of_persona(persona, customers, recipe)]
        found += [f"{segment} {description}: {fault}" for fault in _of_description(description, customers, recipe)]
    return found


class _Customers:
    """Those of a segment, and all."""

    def __init__(self, warehouse: duckdb.DuckDBPyConnection, segment: str) -> None:
        self._warehouse, self._segment = warehouse, segment

    def means(self, measure: str) -> tuple[float, float]:
        """Of a SQL expression: the segment's mean and everybody's."""
        [pair] = ask(
            self._warehouse,
            f"SELECT avg({measure}) FILTER (segment_id = $1), avg({measure}) FROM {MEMBERS}",
            self._segment,
        )
        return float(pair[0]), float(pair[1])

    def count(self) -> tuple[int, int]:
        """How many there are."""
        [pair] = ask(
            self._warehouse, f"SELECT count(*) FILTER (segment_id = $1), count(*) FROM {MEMBERS}", self._segment
        )
        return pair[0], pair[1]


def _measure(column: EncodedFeature) -> str:
    if column.category is None:
        return f'"{column.source}"::DOUBLE'
    return f"""("{column.source}" = '{column.category.replace("'", "''")}')::INT"""


def _of_persona(persona: str, customers: _Customers, recipe: Recipe) -> Iterator[str]:
    """A persona is traits, each with the direction in which the segment differs."""
    traits = {
        words: (column, direction)
        for column in recipe.encoded
        for direction, words in zip((-1, 1), recipe.words_of(column.name).short, strict=False)
    }
    said = re.sub(r" \(\d+\)$", "", persona)
    if said == "Typical customers":
        return
    while said:
        known = [text for text in (*traits, *LEVELS) if said.casefold().startswith(text.casefold())]
        if not known:
            yield f"{said!r} is none of its recipe's words"
            return
        trait = max(known, key=len)
        said = said[len(trait) :].removeprefix(", ")
        if trait in LEVELS:
            yield from _of_level(trait, customers, recipe)
            continue
        column, direction = traits[trait]
        own, everyone = customers.means(_measure(column))
        if (own - everyone) * direction <= 0:
            yield f"{trait!r}, but {own} against {everyone}"


def _of_level(level: str, customers: _Customers, recipe: Recipe) -> Iterator[str]:
    own, everyone = customers.means(f'"{recipe.business.worth}"::DOUBLE')
    ratio = own / everyone if everyone > 0 else 1
    is_so = {"High-value": ratio >= 1.15, "Low-value": ratio <= 0.85, "Mid-value": 0.85 < ratio < 1.15}
    if not is_so[level]:
        yield f"{level}, but {own} against {everyone}"


def _of_description(description: str, customers: _Customers, recipe: Recipe) -> Iterator[str]:
    """A description is customers, then means and shares, each of which one feature's words must fit."""
    head = re.match(r"(?P<number>[\d,]+) customers \((?P<share>[\d.]+)%\)(?: |; |\.$)", description)
    if not head:
        yield "it does not begin with how many customers there are"
        return
    number, everyone = customers.count()
    if (_value(head["number"]), head["share"]) != (number, f"{100 * number / everyone:.1f}"):
        yield f"{head[0]!r}, but {number} of {everyone}"
    rest = description[head.end() :].removesuffix(".")
    # Of two means of money no semicolon stands between them.
    parts = re.split(r"; |(?<=average\)) (?=with |who )", rest) if rest else []
    for part in parts:
        if not any(_is_so(part, fit, customers) for fit in _fits(part, recipe)):
            yield f"{part!r} is not so, or cannot be read"


def _fits(part: str, recipe: Recipe) -> Iterator[tuple[str, Words | None, Mapping[str, str]]]:
    """What a part may be about: an expression, its words if it is a mean, and the figures."""
    for name in recipe.measured:
        words = recipe.by_name[name].words
        before, _, after = words.mean.partition("{value}")
        if found := re.fullmatch(re.escape(before) + NUMBER + re.escape(after) + COMPARED, part):
            yield f'"{name}"::DOUBLE', words, found.groupdict()
    shares = {_measure(column): recipe.words_of(column.name).named for column in recipe.encoded if column.category}
    shares |= {f'"{flag.name}"::DOUBLE': flag.share for flag in recipe.features if flag.is_flag}
    for measure, said in shares.items():
        if found := re.fullmatch(rf"(?P<percent>\d+)% {re.escape(said)}(?: \(of all: (?P<all>\d+)%\))?", part):
            yield measure, None, found.groupdict()


def _is_so(part: str, fit: tuple[str, Words | None, Mapping[str, Any]], customers: _Customers) -> bool:
    measure, words, figures = fit
    own, everyone = customers.means(measure)
    if words is None:
        told_of_all = figures["all"] is None or _near(float(figures["all"]), 100 * everyone, 0.5)
        return told_of_all and _near(float(figures["percent"]), 100 * own, 0.5)
    if not _near(_value(figures["value"]), own, 0.5 * 10**-words.decimals):
        return False
    if figures["side"] == "the":
        return everyone == 0 or _near(own / everyone, 1, 0.005)
    percent = 100 * abs(own / everyone - 1) if everyone else 0
    is_on_side = (own > everyone) == (figures["side"] == "above")
    if figures["over"]:
        return is_on_side and _value(figures["percent"]) < percent < 100
    return is_on_side and (figures["percent"] is None or _near(_value(figures["percent"]), percent, 0.5))


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _near(one: float, other: float, apart: float) -> bool:
    return abs(one - other) <= apart + 1e-6 * (1 + abs(other))
