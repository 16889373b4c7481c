"""Drafting a contract and a recipe for a table of customers that nobody has declared yet.

What belongs here: how that is written down which was chosen (see `choosing`), with the reasons as comments. The same
file gives the same texts.
"""

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from smartcart_pipeline.declaration.columns import narrowest
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.reading_recipe import FEWEST
from smartcart_pipeline.declaration.recipe import FINE, indicator_name
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.choosing import (
    AGE_LIKE,
    BIRTH_DATE,
    BIRTH_YEAR,
    CATEGORY,
    COUNT,
    DATE,
    FLAG,
    MONEY,
    OLDEST,
    UNREADABLE,
    YEAR,
    YEARS,
    Chosen,
    Taken,
    choose,
    tell_unused,
)
from smartcart_pipeline.exports.inspecting import inspect_unknown
from smartcart_pipeline.exports.naming import Names, counted, plain, rank, says, sentence_case, spoken
from smartcart_pipeline.exports.surveying import survey_export
from smartcart_pipeline.exports.wording import (
    words_of,
    words_of_category,
    words_of_flag,
    words_of_group,
    words_of_logarithm,
)
from smartcart_pipeline.segmentation.selection import ENOUGH_CUSTOMERS, FEWEST_CUSTOMERS

CONTRACT_NAME, OTHER, UNKNOWN = "customers", "Other", "unknown"
MOST_TOLD, MOST_SUMMARISED, MOST_BESIDE = 13, 5, 10
DAYS_A_YEAR = 365.25
# Beyond so many times the distance of the quartiles a number lies so far out that it would decide alone.
FENCES = 3
# Where a recipe lists, among what is described, what segments shall not follow unawares.
SENSITIVE = "sensitive"
SEEN_ALL_THE_SAME = "the model sees it all the same, as too little else describes a customer"
# Sums of customers are exact in so many steps.
STEPS = 2**20
# The next files may have greater numbers than this one: a type holds ten times as much.
HEADROOM = 10
WIDTH = 118
# What people call a number, in the order in which it is written.
WORDS = ("label", "named", "condition", "more", "less", "mean", "short", "unit", "decimals")


@dataclass(frozen=True)
class Draft:
    """A drafted declaration.

    Attributes:
        contract: The text of `contract.yaml`.
        recipe: The text of `recipe.yaml`.
        columns: What each column was taken for, and why, in their order.
        notes: What people should know besides.
        rows: How many customers the file has.
    """

    contract: str
    recipe: str
    columns: tuple[Taken, ...]
    notes: tuple[str, ...]
    rows: int


class _Flow(dict[str, Any]):
    """A mapping that stands on one line."""


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes lists and marked mappings on one line, and everything else under each other."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Set lists in."""
        del indentless
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """Say the same twice rather than point at it."""
        del data
        return True


_Dumper.add_representer(
    _Flow, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)
)
_Dumper.add_representer(
    tuple, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
)


def draft_declaration(engine: DuckDBEngine, path: Path, name: str = CONTRACT_NAME) -> Draft:
    """Look at a file of customers, and draft a contract and a recipe for it.

    Args:
        engine: Where its rows are looked at.
        path: The file.
        name: What the recipe shall be called, for example after the home.

    Returns:
        The draft.

    Raises:
        FaultError: If the file cannot be read, has fewer than 30 customers, or nothing that segments can be found by.
    """
    survey = survey_export(engine, inspect_unknown(path))
    if survey.rows < FEWEST_CUSTOMERS:
        raise ExportError(
            f"{path}: {survey.rows:,} customers are too few to find segments among: {FEWEST_CUSTOMERS} are the least, "
            f"{ENOUGH_CUSTOMERS} or more are better. Name a file of more."
        )
    chosen = choose(survey)
    plan = _Plan(chosen)
    if len(plan.seen) < FEWEST and any(one.sensitive for one in chosen.columns):
        chosen = choose(survey, sees_personal=True)
        plan = _Plan(chosen)
    if len(plan.seen) < FEWEST:
        told = ", ".join(map(_briefly, chosen.columns[:8]))
        raise ExportError(
            f"{path}: {'nothing' if not plan.seen else 'too little'} describes a customer: "
            f"{len(plan.seen)} column{' is' if len(plan.seen) == 1 else 's are'} left for a model, which needs "
            f"{FEWEST}. Taken for: {told or 'nothing'}"
            f"{', …' if len(chosen.columns) > 8 else ''}. {' '.join((*tell_unused(survey), ''))}"
            "Name a file with numbers, dates, flags or categories."
        )
    contract, recipe = _contract_text(plan, path.name), _recipe_text(plan, path.name, plain(name) or CONTRACT_NAME)
    return Draft(contract, recipe, chosen.columns, _notes(chosen), chosen.rows)


def _briefly(one: Taken) -> str:
    why = f": {one.why}" if one.kind == UNREADABLE else ""
    return f"{plain(one.column.header)[:60]} ({one.kind}{why})"


def _notes(chosen: Chosen) -> tuple[str, ...]:
    return (*chosen.notes, *([chosen.night] if chosen.night else []))


@dataclass
class _Plan:
    """Names for all that a draft speaks of, given once and in one order.

    Attributes:
        chosen: What each column is taken for.
        named: The name of each column in the contract, by its place.
        features: The name of what the model sees of a column, by its place; of others, of what is shown.
        readable: Where the model sees a logarithm, the name of the number itself, by place.
        groups: The groups of each category, with their values, by place.
        rates: The name of the mean of each flag, by place.
        seen: The columns that the model sees, with the column of the file that each is from, the weightiest first.
        alike: The places of columns that people would call the same, such as `visits` and `VISITS`.
    """

    chosen: Chosen
    named: dict[int, str] = field(default_factory=dict)
    features: dict[int, str] = field(default_factory=dict)
    readable: dict[int, str] = field(default_factory=dict)
    groups: dict[int, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    rates: dict[int, str] = field(default_factory=dict)
    seen: dict[str, Taken] = field(default_factory=dict)
    alike: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Give the names."""
        names = Names((SENSITIVE,))
        for one in self.used:
            place = one.column.place
            self.named[place] = KEY if one.role == "id" else names.of_header(one.column.header, place)
        for one in self.used:
            self._name_feature(one, names)
        for one in self.used:
            if one.kind == CATEGORY:
                self._name_groups(one, names)
            if one.kind == FLAG:
                self.rates[one.column.place] = names.take(f"{self.named[one.column.place]}_rate")
        self.seen = dict(self._names_seen())
        labels = {one.column.place: _label(one).casefold() for one in self.used if one.role != "id"}
        often = Counter(labels.values())
        self.alike = {place for place, label in labels.items() if often[label] > 1}

    @property
    def used(self) -> list[Taken]:
        """The columns of the contract, the id first."""
        used = [one for one in self.chosen.columns if one.role != "left out"]
        return sorted(used, key=lambda one: one.role != "id")

    def of_role(self, role: str) -> list[Taken]:
        """The columns that play a part.

        Args:
            role: Which one.

        Returns:
            What they are taken for, in their order.
        """
        return [one for one in self.chosen.columns if one.role == role]

    def number(self, one: Taken) -> str:
        """The name of a number as people read it.

        Args:
            one: What its column is taken for.

        Returns:
            The number itself, where the model sees its logarithm.
        """
        return self.readable.get(one.column.place, self.features[one.column.place])

    def _name_feature(self, one: Taken, names: Names) -> None:
        place, named = one.column.place, self.named[one.column.place]
        if one.role == "id":
            return
        if one.logged and one.role == "feature":
            self.readable[place] = named
            self.features[place] = names.take(f"log_{named}")
        elif one.kind in (BIRTH_DATE, BIRTH_YEAR):
            self.features[place] = names.take(f"{AGE_LIKE}{'_days' if one.kind == BIRTH_DATE else ''}")
        elif one.kind in (DATE, YEAR):
            self.features[place] = names.take(f"{'days' if one.kind == DATE else 'years'}_since_{named}")
        else:
            self.features[place] = named

    def _name_groups(self, one: Taken, names: Names) -> None:
        place, found = one.column.place, {}
        # Who has a value that is new, or rare, is in there; a group of that name needs no list of its values.
        kept = [values for values in one.groups if values[0].casefold() != OTHER.casefold()]
        names.of_group(self.features[place], OTHER)
        for values in kept or one.groups:
            found[names.of_group(self.features[place], values[0])] = values
        self.groups[place] = found

    def _names_seen(self) -> Iterator[tuple[str, Taken]]:
        for one in self.chosen.features:
            name = self.features[one.column.place]
            if one.kind == CATEGORY:
                for group in (*self.groups[one.column.place], OTHER):
                    yield indicator_name(name, group), one
            else:
                yield name, one


def _label(one: Taken) -> str:
    if one.kind == CATEGORY:
        return words_of_category(one)["label"]
    words = words_of_flag(one)[0] if one.kind == FLAG else words_of(one)
    return str(words["label"])


def _dump(value: Any, indent: int) -> str:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH - indent)
    return textwrap.indent(text, " " * indent)


def _comment(text: str, indent: int) -> str:
    lines = textwrap.wrap(plain(text), WIDTH - indent - 2, break_long_words=False, break_on_hyphens=False)
    return "".join(f"{' ' * indent}# {line}\n" for line in lines)


def _told(one: Taken) -> str:
    return f"{one.column.header}: {one.kind}, {one.why}"


def _contract_text(plan: _Plan, file: str) -> str:
    head = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": CONTRACT_NAME,
        "name": CONTRACT_NAME,
        "version": "1.0.0",
        "status": "draft",
    }
    parts = [
        _comment(f"What a file of customers holds, drafted from {file}, {plan.chosen.rows:,} customers.", 0),
        _comment("Each column says what it was taken for, and why. Read it, and change what you know better.", 0),
        *(_comment(note, 0) for note in _notes(plan.chosen)),
        _dump(head, 0),
        "schema:\n",
        _dump([{"name": CONTRACT_NAME, "logicalType": "object"}], 2),
        "    properties:\n",
    ]
    for one in plan.used:
        parts += [_comment(_told(one), 6), _dump([_property(one, plan)], 6)]
    if out := plan.of_role("left out"):
        parts.append("# Left out, and carried along as they are:\n")
        parts += [_comment(f"- {_told(one)}", 0) for one in out]
    return "".join(parts)


def _property(one: Taken, plan: _Plan) -> dict[str, Any]:
    column = one.column
    is_id, is_complete = one.role == "id", column.present == plan.chosen.rows
    found: dict[str, Any] = {"name": plan.named[column.place], "physicalName": column.header}
    of = f"Number of {counted(one.words)}" if one.kind == COUNT else sentence_case(spoken(one.words))
    found["description"] = f"{of}, as delivered."
    found |= _type(one, is_complete)
    if is_id:
        found |= {"primaryKey": True, "required": True, "unique": True}
        bounds: dict[str, Any] = {}
    else:
        found["required"] = is_complete
        bounds = _bounds(one)
    if says(one.words, "sensitive"):
        found["classification"] = "sensitive"
    elif one.sensitive or one.kind in (BIRTH_DATE, BIRTH_YEAR, AGE_LIKE) or (is_id and column.emails > 0):
        found["classification"] = "personal"
    if bounds:
        found["logicalTypeOptions"] = _Flow(bounds)
    return found


def _type(one: Taken, is_complete: bool) -> dict[str, Any]:
    column = one.column
    logical, physical = "number", "DOUBLE"
    if one.role == "id":
        logical, physical = ("integer", "BIGINT") if column.kind == "whole" else ("string", "")
    elif one.kind == CATEGORY:
        logical, physical = "string", ""
    elif one.kind == FLAG:
        logical, physical = ("integer", "TINYINT") if column.is_numeric_flag else ("boolean", "")
    elif column.kind == "date":
        logical, physical = "timestamp" if column.has_time else "date", ""
    elif one.kind in (YEAR, BIRTH_YEAR):
        logical, physical = "integer", "SMALLINT"
    elif column.kind == "whole" and is_complete:  # a median may have decimals
        greatest = max(abs(column.least), abs(column.most)) * HEADROOM
        logical, physical = "integer", narrowest(greatest)
    return {"logicalType": logical} | ({"physicalType": physical} if physical else {})


def _bounds(one: Taken) -> dict[str, Any]:
    """The least and the greatest that make sense: no file of another month is to be refused without need."""
    if one.kind == FLAG and one.column.is_numeric_flag:
        return {"minimum": 0, "maximum": 1}
    if one.kind in (YEAR, BIRTH_YEAR):
        return {"minimum": YEARS[0], "maximum": YEARS[1]}
    is_spending = one.kind == MONEY and not says(one.words, "balance")
    if one.column.least >= 0 and (one.logged or is_spending or one.kind in (COUNT, AGE_LIKE)):
        return {"minimum": 0}
    return {}


def _recipe_text(plan: _Plan, file: str, name: str) -> str:
    parts = [
        _comment(f"What is made of a file of customers, drafted from {file}.", 0),
        _comment("Each feature says what it was taken for, and why. Each weighs once, however many values it has.", 0),
        _dump({"recipe": _Flow({"name": name, "contract": CONTRACT_NAME})}, 0),
        "\n",
        _comment(plan.chosen.night, 0),
        _dump({"as_of": _Flow(_as_of(plan))}, 0),
        "segments: auto\n",
        _comment(f"A number {FENCES} times as far from the median as most customers lie counts as lying there.", 0),
        f"fences: {FENCES}\n\n",
    ]
    if clean := _clean(plan):
        parts += [_dump({"clean": clean}, 0), "\n"]
    parts.append("features:\n")
    for one in plan.of_role("feature"):
        parts += _entry(one, plan, 2)
    if outcomes := plan.of_role("outcome"):
        parts.append("\n# Compared between segments; the model never sees it.\noutcomes:\n")
        parts += [part for one in outcomes for part in _entry(one, plan, 2)]
    parts += _described(plan)
    roles = _business(plan)
    if roles:
        parts += ["\n# What the business speaks of.\n", _dump({"business": roles}, 0)]
    parts += ["\n", _dump({"report": _report(plan, roles)}, 0)]
    return "".join(parts)


def _entry(one: Taken, plan: _Plan, indent: int) -> list[str]:
    return [_comment(_told(one), indent), _dump({plan.features[one.column.place]: _feature(one, plan)}, indent)]


def _described(plan: _Plan) -> Iterator[str]:
    """What is shown of each segment, and apart what segments shall not follow unawares."""
    shown = [part for one in plan.of_role("described") if not one.sensitive for part in _entry(one, plan, 2)]
    for one in plan.chosen.features:
        if one.logged:
            shown.append(_comment(f"{one.column.header}: the number itself, as its logarithm is seen", 2))
            shown.append(_dump({plan.number(one): _feature(one, plan, as_number=True)}, 2))
    sensitive = [part for one in plan.of_role("described") if one.sensitive for part in _entry(one, plan, 4)]
    for one in plan.chosen.features:
        if one.sensitive:
            sensitive.append(_comment(f"{one.column.header}: {SEEN_ALL_THE_SAME}", 4))
            sensitive.append(_dump({plan.number(one): _Flow()}, 4))
    if shown or sensitive:
        but = ", unless it says so below" if any(one.sensitive for one in plan.chosen.features) else ""
        yield f"\n# Shown of each segment; the model never sees it{but}.\ndescribed:\n"
        yield from shown
    if sensitive:
        yield "  # What segments shall not follow unawares: it is told how closely each goes with them.\n"
        yield f"  {SENSITIVE}:\n"
        yield from sensitive


def _as_of(plan: _Plan) -> dict[str, Any]:
    night = next((one for one in plan.chosen.columns if one.tells_night and one.role == "feature"), None)
    return {"newest": plan.named[night.column.place]} if night else {"delivered": True}


def _clean(plan: _Plan) -> dict[str, Any]:
    missing = {
        plan.named[one.column.place]: _stand_in(one)
        for one in plan.used
        if one.role != "id" and one.column.present < plan.chosen.rows
    }
    limits = [limit for one in plan.used if one.role != "id" for limit in _limits(one, plan)]
    clean: dict[str, Any] = {}
    if missing:
        clean["missing"] = missing
    if limits:
        clean["limits"] = limits
    return clean


def _stand_in(one: Taken) -> Any:
    """What stands for a missing value."""
    if one.kind == CATEGORY:
        return UNKNOWN
    if one.kind == FLAG:
        return 0 if one.column.is_numeric_flag else False
    if one.column.kind == "date":
        return "refuse"
    # A year is a whole number, and a median may not be one.
    return round(one.column.median) if one.kind in (YEAR, BIRTH_YEAR) else "median"


def _limits(one: Taken, plan: _Plan) -> Iterator[dict[str, Any]]:
    name, feature = plan.named[one.column.place], plan.features[one.column.place]
    label = sentence_case(spoken(one.words))
    if one.kind in (DATE, BIRTH_DATE, YEAR, BIRTH_YEAR):
        yield {
            "column": name,
            "until": "as_of",
            "reason": f"{name}_after_as_of",
            "meaning": f"{spoken(one.words)} after the as-of date",
            "detail": f"{label} lies after the as-of date {{as_of}}",
        }
    if one.kind in (AGE_LIKE, BIRTH_DATE, BIRTH_YEAR):
        in_days = one.kind == BIRTH_DATE
        yield {
            "feature": feature,
            "maximum": int(OLDEST * DAYS_A_YEAR) if in_days else OLDEST,
            "reason": f"{feature}_above_limit",
            "meaning": f"older than {OLDEST} years",
            "detail": f"{label} {{{name}}} makes the customer older than {{limit}} {'days' if in_days else 'years'}",
        }


def _feature(one: Taken, plan: _Plan, as_number: bool = False) -> dict[str, Any]:
    place, column = one.column.place, plan.named[one.column.place]
    apart = place in plan.alike
    if one.kind == CATEGORY:
        return _category(one, plan)
    if one.kind == FLAG:
        words, share = words_of_flag(one, apart)
        return {"flag": column, "rate": plan.rates[place], "share": share, "words": _one_line(words)}
    words = words_of(one, apart)
    found: dict[str, Any] = {"column": column}
    if one.kind in (DATE, BIRTH_DATE):
        found = {"days_since": column}
    elif one.kind in (YEAR, BIRTH_YEAR):
        found = {"years_since": column}
    elif one.logged and not as_number:
        words, found = words_of_logarithm(one, apart), {"log": column}
    elif step := _step(one, one.column.present == plan.chosen.rows):
        found |= {"step": step}
    return found | {"words": _one_line(words)}


def _one_line(words: Mapping[str, Any]) -> dict[str, Any]:
    said = {key: words[key] for key in WORDS if words.get(key, "") != ""}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}


def _category(one: Taken, plan: _Plan) -> dict[str, Any]:
    groups, apart = plan.groups[one.column.place], one.column.place in plan.alike
    return {
        "regroup": plan.named[one.column.place],
        "into": {group: tuple(values) for group, values in groups.items()},
        "otherwise": OTHER,
        "words": _Flow(words_of_category(one, apart)),
        "levels": {group: _one_line(words_of_group(one, group, apart)) for group in (*groups, OTHER)},
    }


def _step(one: Taken, is_complete: bool) -> float | int | None:
    """What a number with decimals is rounded to: no coarser than its decimals, unless its sums would not be exact."""
    column = one.column
    if column.kind == "whole":
        # The median of whole numbers may lie halfway between two.
        return None if is_complete else 0.5
    reach = max(abs(column.least), abs(column.most), column.most - column.least)
    by_decimals = 2.0 ** -math.ceil(math.log2(10) * column.decimals)
    by_reach = 2.0 ** math.ceil(math.log2(reach / STEPS)) if reach else FINE
    step = max(by_decimals, by_reach, FINE)
    return int(step) if step >= 1 else step


def _business(plan: _Plan) -> dict[str, str]:
    """What the business speaks of, where a column clearly is such a thing."""
    numbers = [one for one in plan.chosen.features if one.column.is_number and one.kind not in (FLAG, CATEGORY)]
    money = [one for one in numbers if one.kind == MONEY and one.column.most > 1]
    worth = [one for one in money if says(one.words, "worth") and not says(one.words, "no_worth")]
    worth = [one for one in worth if not says(one.words, "means")]
    days = [one for one in plan.chosen.features if one.kind == DATE]
    found = {
        "worth": min(worth, key=lambda one: (rank(one.words, "worth") or 0, one.column.place), default=None),
        "means": next((one for one in money if says(one.words, "means")), None),
        "recency": next((one for one in numbers if says(one.words, "recency") and _is_in_days(one)), None)
        or next((one for one in days if says(one.words, "last")), None),
        "tenure": next((one for one in days if says(one.words, "join") and not says(one.words, "last")), None)
        or next((one for one in numbers if says(one.words, "tenure")), None),
    }
    return {role: plan.number(one) for role, one in found.items() if one}


def _is_in_days(one: Taken) -> bool:
    return not any(period in one.words for period in ("weeks", "months", "years"))


def _report(plan: _Plan, roles: Mapping[str, str]) -> dict[str, Any]:
    spoken_of = list(roles.values())
    importance = {MONEY: 1, COUNT: 2, AGE_LIKE: 3, BIRTH_YEAR: 3, BIRTH_DATE: 3}

    def weight(one: Taken) -> tuple[int, int, int]:
        number = plan.number(one)
        first = spoken_of.index(number) if number in spoken_of else len(spoken_of)
        return first, importance.get(one.kind, 4), one.column.place

    features = sorted(plan.chosen.features, key=weight)
    shown = sorted((*plan.chosen.features, *plan.of_role("described")), key=weight)
    told = []
    for one in features[:MOST_TOLD]:
        name = plan.features[one.column.place]
        # Of a category the largest group stands for it.
        told.append(indicator_name(name, next(iter(plan.groups[one.column.place]))) if one.kind == CATEGORY else name)
    numbers = [plan.number(one) for one in shown if one.kind not in (FLAG, CATEGORY)]
    made = {*plan.features.values(), *plan.readable.values()}
    beside = [plan.named[one.column.place] for one in plan.used if one.role != "id"]
    found = {
        "told": told,
        "summary": numbers[:MOST_SUMMARISED],
        "beside": [name for name in beside if name not in made][:MOST_BESIDE],
    }
    return {key: tuple(values) for key, values in found.items() if values}
