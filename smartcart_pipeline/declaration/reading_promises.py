"""What a contract promises of a column's values: options of its type, lists of values, rules of quality.

What belongs here: each of the standard's ways to say that a value must be there, must be unique, or may only be some.
Each is read, or refused by name: nobody shall count on a rule that is not looked at.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from smartcart_pipeline.declaration.columns import WHOLE, SqlType
from smartcart_pipeline.declaration.contract import MISSING
from smartcart_pipeline.declaration.files import nearest

BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
LENGTHS = ("minLength", "maxLength")
OPTIONS = (*BOUNDS, *LENGTHS, "format")
# What the standard has besides, and nobody would look at.
UNHELD = ("pattern", "format", "multipleOf", "minItems", "maxItems", "uniqueItems")
# The least and the greatest whole number of each format, as far as a BIGINT does not say so itself.
INTEGER_FORMATS: dict[str, tuple[int | None, int | None]] = {
    "i8": (-(2**7), 2**7 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "i64": (None, None),
    "u8": (0, 2**8 - 1),
    "u16": (0, 2**16 - 1),
    "u32": (0, 2**32 - 1),
    "u64": (0, None),
}
# All numbers with decimals are kept as those of 64 bits, which hold the others.
NUMBER_FORMATS = ("f32", "f64")
UTC = ("UTC", "Etc/UTC")
METRICS = ("nullValues", "missingValues", "duplicateValues", "invalidValues")
OPERATORS = (
    "mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo",
    "mustBeBetween", "mustNotBeBetween",
)  # fmt: skip
# Whether a rule is one that refuses customers: who only wants to be warned would lose them.
BINDING = (None, "error", "critical", "high", "blocker")


@dataclass
class Promise:
    """What is promised of a column's values.

    Attributes:
        required: Whether each must be there.
        unique: Whether no two are the same.
        minimum: The least.
        maximum: The greatest.
        shortest: How many characters a text has at least.
        longest: How many it has at most.
        values: All there may be; empty where any may.
        written: In which order the parts of a date stand; empty where the file shall say so.
        faults: What is wrong with it, each with its place.
    """

    required: bool = False
    unique: bool = False
    minimum: float | None = None
    maximum: float | None = None
    shortest: int | None = None
    longest: int | None = None
    values: tuple[str, ...] = ()
    written: str = ""
    faults: list[str] = field(default_factory=list)

    def at_least(self, least: float | None) -> None:
        """Raise the least value, where it is lower.

        Args:
            least: The least value allowed.
        """
        self.minimum = least if self.minimum is None else self.minimum if least is None else max(self.minimum, least)

    def at_most(self, most: float | None) -> None:
        """Lower the greatest value, where it is higher.

        Args:
            most: The greatest value allowed.
        """
        self.maximum = most if self.maximum is None else self.maximum if most is None else min(self.maximum, most)


def read_promise(place: str, part: Any, kinds: tuple[SqlType, ...]) -> Promise:
    """What is promised of a column's values.

    Args:
        place: Where it stands in the contract.
        part: The property of the standard.
        kinds: The types that the column may have in tables.

    Returns:
        The promise, with all that is wrong with it.
    """
    promise = Promise(required=bool(part.required or part.primaryKey), unique=bool(part.unique or part.primaryKey))
    for option, value in (part.logicalTypeOptions or {}).items():
        promise.faults += _read_option(f"{place}.logicalTypeOptions.{option}", option, value, kinds, promise)
    values = [entry.value for entry in part.enum or []]
    if None in values:
        promise.faults.append(f"{place}.enum[{values.index(None) + 1}].value is missing")
    elif values:
        promise.faults += _read_values(f"{place}.enum", values, kinds, promise)
    for number, rule in enumerate(part.quality or [], start=1):
        promise.faults += _read_rule(f"{place}.quality[{number}]", rule, kinds, promise)
    least, most = promise.minimum, promise.maximum
    if least is not None and most is not None and least > most:
        promise.faults.append(f"{place}: minimum is {least:.15g}, above the maximum {most:.15g}")
    if promise.shortest is not None and promise.longest is not None and promise.shortest > promise.longest:
        promise.faults.append(f"{place}: minLength is {promise.shortest}, above maxLength, {promise.longest}")
    return promise


def _read_option(place: str, option: str, value: Any, kinds: tuple[SqlType, ...], promise: Promise) -> Iterator[str]:
    is_number = kinds[0] in WHOLE or kinds[0] == "DOUBLE"
    if value is None:
        return
    if option in BOUNDS:
        if not _is_finite(value) and (is_number or not isinstance(value, str)):
            yield f"{place} is {value!r}: expected a number"
        elif not is_number:
            yield f"{place}: only a number can have one"
        else:
            yield from _read_bound(place, option, value, kinds, promise)
    elif option in LENGTHS and kinds[0] == "VARCHAR":
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            yield f"{place} is {value!r}: expected a whole number, 0 or more"
        elif option == "minLength":
            promise.shortest = value
        else:
            promise.longest = value
    elif option == "format" and (is_number or kinds[0] == "DATE"):
        yield from (_read_number_format if is_number else _read_date_format)(place, value, kinds, promise)
    elif option == "defaultTimezone" and value not in UTC:
        yield f"{place} is {value!r}: days are counted in UTC here, and in no other zone"
    elif option not in ("timezone", "defaultTimezone"):
        is_of_the_standard = option in (*UNHELD, *LENGTHS)
        yield f"{place} is not supported{': take it out' if is_of_the_standard else nearest(option, OPTIONS)}"


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _read_bound(place: str, option: str, value: float, kinds: tuple[SqlType, ...], promise: Promise) -> Iterator[str]:
    if option == "minimum":
        promise.at_least(value)
    elif option == "maximum":
        promise.at_most(value)
    elif kinds[0] not in WHOLE:
        # The next number after it has so many decimals that no message could show it.
        yield f"{place}: only an integer can have one: say {option.removeprefix('exclusive').lower()}"
    elif option == "exclusiveMinimum":
        promise.at_least(math.floor(value) + 1)
    else:
        promise.at_most(math.ceil(value) - 1)


def _read_number_format(place: str, value: Any, kinds: tuple[SqlType, ...], promise: Promise) -> Iterator[str]:
    known = tuple(INTEGER_FORMATS) if kinds[0] in WHOLE else NUMBER_FORMATS
    if not isinstance(value, str) or value not in known:
        yield f"{place} is {value!r}: expected one of {', '.join(known)}"
    elif kinds[0] in WHOLE:
        least, most = INTEGER_FORMATS[value]
        promise.at_least(least)
        promise.at_most(most)


def _read_date_format(place: str, value: Any, _: tuple[SqlType, ...], promise: Promise) -> Iterator[str]:
    promise.written = _order_of_date(value)
    if not promise.written:
        yield f"{place} is {value!r}: expected a pattern of day, month and year such as dd/MM/yyyy or MM/dd/yyyy"


def _order_of_date(value: Any) -> str:
    """In which order a pattern of the standard has the parts of a date; nothing of what is none."""
    letters = re.findall("[yu]+|M+|d+", value) if isinstance(value, str) else []
    order = "".join(part[0].replace("u", "y") for part in letters)
    if sorted(order) == ["M", "d", "y"] and max(map(len, letters)) > 2 and "MMM" in letters[order.index("M")]:
        return "month names"
    return {"dMy": "day-first", "Mdy": "month-first", "yMd": "ISO"}.get(order, "")


def _read_values(place: str, values: list[Any], kinds: tuple[SqlType, ...], promise: Promise) -> Iterator[str]:
    """The values of a list: of a text as they are, of an integer as a range, of a boolean both."""
    if any(value in values[:number] for number, value in enumerate(values)):
        yield f"{place} lists a value twice"
    elif kinds[0] == "VARCHAR":
        if strange := [value for value in values if not isinstance(value, str)]:
            yield from (f"{place}: {value!r} is no text: put it in quotation marks" for value in strange)
        elif promise.values and set(values) != set(promise.values):
            yield f"{place} lists other values than are listed before it"
        else:
            promise.values = tuple(values)
    elif kinds[0] in WHOLE and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        if max(values) - min(values) >= len(values):
            yield f"{place}: numbers with gaps between them cannot be listed: say minimum and maximum"
        else:
            promise.at_least(min(values))
            promise.at_most(max(values))
    elif kinds[0] != "BOOLEAN" or set(map(repr, values)) != {"True", "False"}:
        yield f"{place}: only a string can have one, or an integer whose values have no gaps"


def _read_rule(place: str, rule: Any, kinds: tuple[SqlType, ...], promise: Promise) -> Iterator[str]:
    metric = rule.metric or rule.rule
    if fault := why_no_rule(rule, METRICS):
        yield f"{place}{fault}"
    elif metric == "duplicateValues":
        promise.unique = True
    elif metric == "nullValues":
        promise.required = True
    elif metric == "missingValues":
        yield from _read_missing(f"{place}.arguments", rule.arguments or {}, promise)
    else:
        yield from _read_valid(f"{place}.arguments", rule.arguments or {}, kinds, promise)


def why_no_rule(rule: Any, metrics: tuple[str, ...]) -> str:
    """What keeps a rule of quality from being one that no value may break.

    Args:
        rule: The rule of the standard.
        metrics: The metrics that are read at its place.

    Returns:
        What is wrong, to follow after its place; nothing where it is such a rule.
    """
    metric = rule.metric or rule.rule
    if rule.type not in (None, "library"):
        return f": a rule of type {rule.type} is not looked at: take it out, or say in a description what it is for"
    if not metric:
        return f".metric is missing: expected one of {', '.join(metrics)}"
    if metric not in metrics:
        return f".metric is {metric!r}, which is not looked at{nearest(metric, metrics)}"
    if not _allows_none(rule):
        return ": only a rule that allows none is looked at: expected mustBe: 0"
    if (rule.severity.casefold() if rule.severity else None) not in BINDING:
        return f".severity is {rule.severity!r}, and who breaks a rule is refused: say error, or take the rule out"
    return ""


def _allows_none(rule: Any) -> bool:
    said = {name: getattr(rule, name) for name in OPERATORS if getattr(rule, name) is not None}
    none = [{"mustBe": 0}, {"mustBeLessOrEqualTo": 0}]
    in_rows = [{"mustBeLessThan": 1}] if rule.unit in (None, "rows") else []
    return any(said == one for one in [*none, *in_rows]) and not any(isinstance(one, bool) for one in said.values())


def _read_missing(place: str, arguments: dict[str, Any], promise: Promise) -> Iterator[str]:
    others = sorted(set(arguments) - {"missingValues"}, key=str)
    yield from (f"{place}.{name} is not supported: take it out" for name in others)
    words = arguments.get("missingValues") or []
    words = words if isinstance(words, list) else [words]
    for word in words:
        if word is not None and (not isinstance(word, str) or word.strip().lower() not in MISSING):
            told = ", ".join(one for one in MISSING if one)
            yield f"{place}.missingValues: {word!r} counts as a value here: only an empty one, {told} do not"
    promise.required = True


def _read_valid(place: str, arguments: dict[str, Any], kinds: tuple[SqlType, ...], promise: Promise) -> Iterator[str]:
    others = sorted(set(arguments) - {"validValues"}, key=str)
    yield from (f"{place}.{name} is not supported: take it out" for name in others)
    values = arguments.get("validValues")
    if not isinstance(values, list) or not values:
        if not others:
            yield f"{place}.validValues is missing: expected a list of values"
        return
    # Whether a value may be missing is said elsewhere.
    if present := [value for value in values if value is not None]:
        yield from _read_values(f"{place}.validValues", present, kinds, promise)
