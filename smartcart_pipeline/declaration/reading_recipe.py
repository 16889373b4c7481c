"""Reading a recipe, and holding it against the contract that it is for."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from smartcart_pipeline.declaration.columns import TYPES, WHOLE, why_no_name
from smartcart_pipeline.declaration.contract import Contract, DeliveredColumn
from smartcart_pipeline.declaration.files import (
    SENSITIVE,
    AdvicePart,
    BusinessPart,
    Clean,
    FeaturePart,
    LimitPart,
    RecipeFile,
    WordsPart,
    load,
    nearest,
    refusal,
    validate,
)
from smartcart_pipeline.declaration.recipe import (
    DELIVERED,
    FINE,
    NEWEST,
    PLACEHOLDER,
    VERBS,
    Advice,
    AsIs,
    Business,
    Composition,
    DaysSince,
    Difference,
    Feature,
    Flag,
    Limit,
    Log,
    Ratio,
    Recipe,
    Regroup,
    Role,
    Sum,
    Verb,
    Words,
    YearsSince,
    read_by,
    share_name,
)

# Fewer are no plane for customers to differ in.
FEWEST = 2
MEDIAN, REFUSE = "median", "refuse"


def read_recipe(path: Path, contract: Contract, shipped: Mapping[str, Path]) -> Recipe:
    """A recipe, from its file.

    Args:
        path: The file.
        contract: The contract that it is for.
        shipped: The recipes that it may be based on, by name, besides those that lie beside it.

    Returns:
        The recipe.

    Raises:
        DeclarationError: If the file is no recipe, or one that does not fit the contract.
    """
    found = _load_based(path, shipped, ())
    recipe, faults = build_recipe(path, found, contract)
    if faults:
        raise refusal(path, faults)
    return recipe


def _load_based(path: Path, shipped: Mapping[str, Path], above: tuple[Path, ...]) -> dict[str, Any]:
    """What a file says, together with what the recipe says that it is based on, and that one's own base."""
    found = load(path)
    head = found.get("recipe")
    base = head.get("based_on") if isinstance(head, dict) else None
    if base is None:
        return found
    known = {**shipped, **{other.stem: other for other in path.parent.glob("*.yaml")}}
    others = {name: other for name, other in known.items() if other not in (path, *above)}
    if base not in others:
        raise refusal(path, [f"recipe.based_on: there is no recipe {base!r}{nearest(str(base), sorted(others))}"])
    return _rest_on(_load_based(others[base], shipped, (path, *above)), found)


def _rest_on(base: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What a recipe says, and what another says where it is silent: of a section, or a feature that it only names."""
    sections = ("features", "outcomes", "described")
    known = {name: part for section in sections for name, part in _parts(base.get(section)) if part}
    own = {
        name
        for section in sections
        for name, part in _parts(found.get(section, base.get(section)))
        if part or section == "features"
    }

    def fill(parts: Any, said: set[str]) -> Any:
        if not isinstance(parts, dict):
            return parts
        return {
            name: fill(part, own)
            if name == "sensitive"
            else known.get(name, part)
            if not part and name not in said
            else part
            for name, part in parts.items()
        }

    filled = {section: fill(found[section], set()) for section in sections if section in found}
    return {key: value for key, value in base.items() if key != "recipe"} | found | filled


def _parts(section: Any) -> Iterator[tuple[str, Any]]:
    """The features of a section, those of the sensitive ones among them."""
    for name, part in section.items() if isinstance(section, dict) else ():
        if name == "sensitive":
            yield from _parts(part)
        else:
            yield name, part


def _apart(found: dict[str, Any]) -> dict[str, Any]:
    """The data of a recipe, with the sensitive ones among what is described in a section of their own."""
    described = found.get("described")
    if not isinstance(described, dict) or "sensitive" not in described:
        return found
    others = {name: part for name, part in described.items() if name != "sensitive"}
    return found | {"described": others, SENSITIVE: described["sensitive"]}


def build_recipe(path: Path, found: dict[str, Any], contract: Contract) -> tuple[Recipe, list[str]]:
    """A recipe, from the plain data of its file.

    Args:
        path: The file.
        found: What it says.
        contract: The contract that it is for.

    Returns:
        The recipe, and what is wrong with it.

    Raises:
        DeclarationError: If the data is no recipe at all.
    """
    said: RecipeFile = validate(path, _apart(found), RecipeFile)
    faults = []
    if said.recipe.contract != contract.name:
        faults.append(f"recipe.contract is {said.recipe.contract!r}, but the contract is called {contract.name!r}")
    features: list[Feature] = []
    for section, name, part, role in _in_order(said, contract):
        faults += _read_feature(f"{section}.{name}", name, part, role, contract, features, said)
    faults += [
        f"{SENSITIVE}.{name}: there is a feature of this name already"
        for name in said.described.keys() & said.sensitive.keys()
        if said.sensitive[name] != FeaturePart()
    ]
    known = {feature.name for feature in features}
    faults += [
        f"{SENSITIVE}.{name}: there is no such feature: say here how it is made{nearest(name, sorted(known))}"
        for name in said.sensitive
        if name not in known
    ]
    limits, wrong = _read_limits(said.clean.limits, contract, features)
    as_of, unknown = _read_as_of(said)
    missing = said.clean.missing
    recipe = Recipe(
        name=said.recipe.name,
        features=tuple(features),
        business=_read_business(said.business),
        newest=said.as_of.newest if said.as_of else None,
        as_of=as_of,
        segments=None if said.segments == "auto" else said.segments,
        fences=said.fences,
        sensitive=tuple(name for name in said.sensitive if name in known),
        impute=tuple(name for name, value in missing.items() if value == MEDIAN),
        filled={name: value for name, value in missing.items() if value not in (MEDIAN, REFUSE)},
        refused=tuple(name for name, value in missing.items() if value == REFUSE),
        unknown={name: tuple(values) for name, values in said.clean.unknown.items()},
        limits=tuple(limits),
        told=tuple(said.report.told),
        summary=tuple(said.report.summary),
        beside=tuple(said.report.beside),
        alike=said.report.alike or "",
        counts_outcomes=said.counts_outcomes,
        source=found,
    )
    return recipe, [*faults, *unknown, *wrong, *_judge(recipe, contract)]


def _in_order(said: RecipeFile, contract: Contract) -> list[tuple[str, str, FeaturePart, Role]]:
    """The features with their sections, each behind those that it reads.

    What is only described comes last, unless the model sees something that is made of it, such as its logarithm. Of a
    sensitive one that another section makes, nothing more is said.
    """
    silent = FeaturePart()
    described: dict[str, tuple[str, str, FeaturePart, Role]] = {
        name: (section, name, part, "described")
        for section, parts in (("described", said.described), (SENSITIVE, said.sensitive))
        for name, part in parts.items()
        if section != SENSITIVE or part != silent
    }
    logged = [part.log for part in said.features.values() if part.log not in (None, *contract.names)]
    first = [described.pop(name) for name in dict.fromkeys(logged) if name in described]
    features: list[tuple[str, str, FeaturePart, Role]] = [
        ("features", name, part, "feature") for name, part in said.features.items()
    ]
    outcomes: list[tuple[str, str, FeaturePart, Role]] = [
        ("outcomes", name, part, "outcome") for name, part in said.outcomes.items()
    ]
    return [*first, *features, *described.values(), *outcomes]


def _read_feature(
    place: str, name: str, part: FeaturePart, role: Role, contract: Contract, features: list[Feature], said: RecipeFile
) -> Iterator[str]:
    """Add a feature to those before it, and tell what is wrong with it."""
    if why := why_no_name(name):
        yield f"{place}: {name!r} {why}"
    if any(feature.name == name for feature in features):
        yield f"{place}: there is a feature of this name already"
    verbs = [verb for verb in VERBS if getattr(part, verb) is not None]
    if len(verbs) != 1:
        found = " and ".join(verbs) or "none"
        yield f"{place}: expected one verb, found {found}: one of {', '.join(VERBS)}"
        return
    if verbs[0] == "regroup":
        yield from _judge_groups(place, part, contract)
        if not (part.into and part.otherwise):
            return
    elif part.into or part.otherwise or part.levels:
        yield f"{place}: into, otherwise and levels go with the verb regroup only"
    verb = _read_verb(verbs[0], part)
    yield from _judge_sources(f"{place}.{verbs[0]}", name, verb, contract, features, said.clean)
    rate = part.rate or (f"{name}_rate" if isinstance(verb, Flag) else "")
    if rate and (why := why_no_name(rate)):
        yield f"{place}.rate: {rate!r} {why}"
    words = _read_words(name, part.words)
    features.append(
        Feature(
            name=name,
            verb=verb,
            words=words,
            description=part.description or "",
            role=role,
            step=part.step or (FINE if isinstance(verb, Ratio | Log) else None),
            rate=rate,
            share=part.share or f"have {words.named}",
            weight=part.weight,
            levels={
                group: _read_words(f"{words.named}: {group}", part.levels.get(group, WordsPart()))
                for group in (verb.levels if isinstance(verb, Regroup) else ())
            },
        )
    )


def _read_verb(verb: str, part: FeaturePart) -> Verb:
    value, kind = getattr(part, verb), VERBS[verb]
    if kind is Regroup:
        groups = (part.into or {}).items()
        return Regroup(value, tuple((group, tuple(of)) for group, of in groups), part.otherwise or "")
    if kind is Sum:
        return Sum(tuple(value))
    read: Any = kind
    verb_made: Verb = read(*(value if isinstance(value, list) else [value]))
    return verb_made


def _read_words(name: str, part: WordsPart) -> Words:
    plain = name.replace("_", " ")
    label = part.label or f"{plain[:1].upper()}{plain[1:]}"
    named = part.named or f"{label[:1].lower()}{label[1:]}"
    return Words(
        label=label,
        named=named,
        condition=part.condition or named,
        more=part.more or f"Have more {named}",
        less=part.less or f"Have less {named}",
        mean=part.mean or f"with a mean {named.replace('{', '(').replace('}', ')')} of {{value}} {part.unit}".rstrip(),
        short=tuple(part.short or ()),
        unit=part.unit,
        decimals=part.decimals,
        do=_read_advice(part.do),
    )


def _read_advice(part: AdvicePart) -> Advice:
    return Advice(part.more or "", part.less or "", part.like or "", part.at_least, part.but_less)


def _read_as_of(said: RecipeFile) -> tuple[str, list[str]]:
    """The rule that finds the day of an export, in the words of the setting `as_of`; and what is wrong with it."""
    if said.as_of is None:
        return DELIVERED, []
    rules = {
        "newest": NEWEST,
        "file_name": said.as_of.file_name,
        "day": str(said.as_of.day),
        "delivered": DELIVERED,
    }
    given = [name for name in rules if getattr(said.as_of, name) is not None]
    if len(given) != 1:
        return DELIVERED, [f"as_of: expected one of {', '.join(rules)}, found {' and '.join(given) or 'none'}"]
    return rules[given[0]] or "", []


def _read_business(part: BusinessPart) -> Business:
    made_of = part.composition
    return Business(
        worth=part.worth,
        means=part.means,
        recency=part.recency,
        tenure=part.tenure,
        discounts=part.discounts,
        composition=Composition(made_of.of, made_of.parts, made_of.title or "") if made_of else None,
        channels={name: (place, where) for name, (place, where) in part.channels.items()},
        household={str(who): name for who, name in part.household.items()},
    )


def _judge_groups(place: str, part: FeaturePart, contract: Contract) -> Iterator[str]:
    if not part.into:
        yield f"{place}.into is missing: which values go into which group"
    if not part.otherwise:
        yield f"{place}.otherwise is missing: the group of all other values"
    column = contract.by_name.get(part.regroup or "")
    if column is None or not part.into:
        return
    grouped = [value for values in part.into.values() for value in values]
    for value in dict.fromkeys(grouped):
        if column.categories and value not in column.categories:
            yield f"{place}.into: {value!r} is no value of {column.name}{nearest(value, column.categories)}"
        elif grouped.count(value) > 1:
            yield f"{place}.into: {value!r} stands in two groups"
    groups = [*part.into, part.otherwise]
    for group in part.levels:
        if group not in groups:
            yield f"{place}.levels: there is no group {group!r}{nearest(group, [g for g in groups if g])}"


def _judge_sources(
    place: str, name: str, verb: Verb, contract: Contract, features: list[Feature], clean: Clean
) -> Iterator[str]:
    """Whether what a verb reads is there, of the kind that it needs, and never missing."""
    made, missing, unknown = {feature.name: feature for feature in features}, clean.missing, clean.unknown
    for source in read_by(verb):
        column = contract.by_name.get(source)
        if column is None and source not in made:
            known = [*contract.names[1:], *made]
            yield f"{place}: there is no column or earlier feature {source!r}{nearest(source, known)}"
        elif column is not None and (source == name or source not in made):
            if column.name == contract.key.name:
                yield f"{place}: {source} is the key, which describes nobody"
            if (column.nullable or source in unknown) and source not in missing:
                yield (
                    f"{place}: {source} may be missing: make it required, or say under clean.missing what then: "
                    f"{MEDIAN}, a value, or {REFUSE}"
                )
            if not _fits(verb, column.type, column.minimum, column.maximum):
                yield f"{place}: {source} is {_expects(verb)} only, and the contract says {column.type}"
        elif source in made and made[source].is_category:
            yield f"{place}: {source} is a category, expected a number"
        if isinstance(verb, Log) and _may_be_negative(source, contract, made):
            yield f"{place}: {source} may be negative, and has no logarithm then"


def _fits(verb: Verb, kind: str, least: float | None, most: float | None) -> bool:
    match verb:
        case DaysSince():
            return kind == "DATE"
        case YearsSince():
            return kind in WHOLE
        case Regroup():
            return kind == "VARCHAR"
        case Flag():
            return kind == "BOOLEAN" or (kind in WHOLE and (least, most) == (0, 1))
    return kind in WHOLE or kind == "DOUBLE"


def _may_be_negative(name: str, contract: Contract, made: Mapping[str, Feature]) -> bool:
    if name not in made:
        column = contract.by_name.get(name)
        return column is not None and (column.minimum is None or column.minimum < 0)
    verb = made[name].verb
    if not isinstance(verb, AsIs | Sum | Ratio):
        return isinstance(verb, Difference)
    others = {other: feature for other, feature in made.items() if other != name}
    return any(_may_be_negative(of, contract, others) for of in read_by(verb))


def _expects(verb: Verb) -> str:
    match verb:
        case DaysSince():
            return "for a date"
        case YearsSince():
            return "for a year, a whole number"
        case Regroup():
            return "for a text"
        case Flag():
            return "for a boolean, or a whole number from 0 to 1"
    return "for a number"


def _read_limits(parts: list[LimitPart], contract: Contract, features: list[Feature]) -> tuple[list[Limit], list[str]]:
    limits, faults = [], []
    made = {feature.name: feature for feature in features}
    for number, part in enumerate(parts, start=1):
        place = f"clean.limits[{number}]"
        if (part.column is None) == (part.feature is None):
            faults.append(f"{place}: expected a column or a feature, one of the two")
            continue
        on = part.column or part.feature or ""
        known = contract.names if part.column else tuple(made)
        if on not in known:
            faults.append(f"{place}: there is no {'column' if part.column else 'feature'} {on!r}{nearest(on, known)}")
            continue
        if (part.maximum is None) == (part.until is None):
            faults.append(f"{place}: expected maximum or until, one of the two")
        kind = _kind_of(on, bool(part.column), contract, made)
        if part.maximum is not None and kind in ("VARCHAR", "DATE"):
            faults.append(f"{place}.maximum: {on} is no number")
        if part.maximum is not None and part.maximum < 0:
            faults.append(f"{place}.maximum is {part.maximum:.15g}: expected 0 or more")
        if part.maximum is not None and kind in WHOLE and part.maximum != int(part.maximum):
            faults.append(f"{place}.maximum is {part.maximum:.15g}: {on} is a whole number")
        if part.until and (not part.column or kind not in ("DATE", *WHOLE)):
            faults.append(f"{place}.until: {on} is no column of dates or years")
        if not re.fullmatch("[a-z][a-z0-9_]*", part.reason):
            faults.append(f"{place}.reason is {part.reason!r}: expected small letters, digits and underscores")
        known_here = (*contract.names, "limit", "as_of")
        faults += [
            f"{place}.detail: {{{name}}} is no column{nearest(name, contract.names)}"
            for name in PLACEHOLDER.findall(part.detail)
            if name not in known_here
        ]
        limits.append(
            Limit(
                on=on,
                of_feature=part.feature is not None,
                reason=part.reason,
                meaning=part.meaning,
                detail=part.detail,
                maximum=part.maximum,
                until_as_of=part.until is not None,
            )
        )
    reasons = [limit.reason for limit in limits]
    faults += [
        f"clean.limits: the reason {r} stands at two of them"
        for r in sorted({r for r in reasons if reasons.count(r) > 1})
    ]
    return limits, faults


def _kind_of(on: str, is_column: bool, contract: Contract, made: Mapping[str, Feature]) -> str:
    """What a limit is on: a type of the contract; of a feature, whether it is a whole number, another, or a text."""
    if is_column:
        return contract.by_name[on].type
    verb = made[on].verb
    if isinstance(verb, Regroup):
        return "VARCHAR"
    if isinstance(verb, YearsSince | DaysSince):
        return "INTEGER"
    if isinstance(verb, AsIs | Flag):
        return contract.by_name[verb.column].type if verb.column in contract.by_name else "DOUBLE"
    if isinstance(verb, Sum):
        kinds = [
            _kind_of(of, of not in made or of == on, contract, made)
            for of in verb.of
            if of in made or of in contract.by_name
        ]
        return "INTEGER" if all(kind in WHOLE for kind in kinds) else "DOUBLE"
    return "DOUBLE"


def _judge(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """What is wrong with a recipe as a whole."""
    if len(recipe.names) < FEWEST:
        yield (
            f"features: the model sees {len(recipe.names)} columns, expected {FEWEST} or more; a category counts as "
            "many as it has groups"
        )
    yield from _judge_columns(recipe, contract)
    groups = [feature.name for feature in recipe.encoded if feature.category is not None]
    numbers = [name for name in recipe.numeric if name in recipe.measured]
    for what, known, named in (
        ("number among the features", recipe.measured, _named(recipe)),
        ("column", contract.names, _named_columns(recipe)),
        ("column that the model sees", recipe.names, (("report.told", name) for name in recipe.told)),
        ("number that the model sees", numbers, _named_in_advice(recipe)),
        ("group that the model sees", groups, _named_groups(recipe)),
    ):
        for place, name in named:
            if name not in known:
                yield f"{place}: there is no {what} {name!r}{nearest(name, known)}"
    measured = [f"{measure}_{name}" for measure in ("mean", "median") for name in recipe.measured]
    shares = [share_name(category, group) for category, group in recipe.shares]
    for taken in (
        list(recipe.names),
        ["share", "customers", "description", *measured, *shares, *(f.rate for f in recipe.features if f.is_flag)],
    ):
        for name in sorted({name for name in taken if taken.count(name) > 1}):
            yield f"features: two columns would be called {name}"


def _judge_columns(recipe: Recipe, contract: Contract) -> Iterator[str]:
    """What is wrong with the columns that a night is counted to, and that are imputed."""
    limited = {limit.on for limit in recipe.limits if limit.until_as_of}
    for feature in recipe.features:
        verb = feature.verb
        if isinstance(verb, YearsSince | DaysSince) and verb.column in contract.by_name and verb.column not in limited:
            yield (
                f"features.{feature.name}: {verb.column} may lie after the as-of date: put a limit on it, with until: "
                "as_of, under clean.limits"
            )
    newest = contract.by_name.get(recipe.newest or "")
    if newest and (newest.type != "DATE" or newest.nullable):
        yield f"as_of.newest: {newest.name} is no required date"
    for name in recipe.impute:
        column = contract.by_name.get(name)
        if column and not column.is_number:
            yield f"clean.missing.{name}: {column.type} has no median: expected a value, or {REFUSE}"
    for name in recipe.unknown:
        column = contract.by_name.get(name)
        if name == contract.key.name:
            yield f"clean.unknown.{name}: it is the key, without which nobody can be told apart"
        if column and not column.is_number:
            yield f"clean.unknown.{name}: {column.type} is no number, and has no number that stands for unknown"
    for name, value in recipe.filled.items():
        if (column := contract.by_name.get(name)) and (why := _why_no_value(value, column)):
            yield f"clean.missing.{name} is {value!r}: {why}"


def _why_no_value(value: bool | float | str, column: DeliveredColumn) -> str | None:
    """What keeps a value from standing for what is missing in a column."""
    kinds: dict[str, type | tuple[type, ...]] = {"VARCHAR": str, "BOOLEAN": bool, "DOUBLE": (int, float)}
    if column.type == "DATE":
        return f"only {REFUSE} goes with a date"
    if not isinstance(value, kinds.get(column.type, (int, float))) or (column.is_number and isinstance(value, bool)):
        known = (
            f"{MEDIAN}, {REFUSE}, or {TYPES[column.type].expected}" if column.is_number else TYPES[column.type].expected
        )
        return f"expected {known}"
    if column.type in WHOLE and value != int(value):
        return f"{column.name} is a whole number"
    if column.categories and value not in column.categories:
        return f"it is no value of {column.name}{nearest(str(value), column.categories)}"
    low, high = column.minimum, column.maximum
    if column.is_number and ((low is not None and value < low) or (high is not None and value > high)):  # type: ignore[operator]
        return f"the contract allows no such {column.name}"
    return None


def _named_columns(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Where a recipe names a column of the contract."""
    if recipe.newest is not None:
        yield "as_of.newest", recipe.newest
    for name in (*recipe.completed, *recipe.refused):
        yield "clean.missing", name
    for name in recipe.unknown:
        yield "clean.unknown", name
    for name in recipe.business.composition.parts if recipe.business.composition else ():
        yield "business.composition.parts", name
    for name in recipe.beside:
        yield "report.beside", name


def _named_groups(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Where a recipe names a group of a category."""
    if "partner" in recipe.business.household:
        yield "business.household.partner", recipe.business.household["partner"]


def _named_in_advice(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Where the words of a feature name another."""
    for feature in recipe.features:
        if feature.words.do.but_less is not None:
            yield f"{feature.name}.words.do.but_less", feature.words.do.but_less


def _named(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Where a recipe names a feature that must be a number."""
    business = recipe.business
    for role in ("worth", "means", "recency", "tenure", "discounts"):
        if (name := getattr(business, role)) is not None:
            yield f"business.{role}", name
    if business.composition:
        yield "business.composition.of", business.composition.of
    for name in business.channels:
        yield "business.channels", name
    for name in recipe.summary:
        yield "report.summary", name
    if "children" in business.household:
        yield "business.household.children", business.household["children"]
