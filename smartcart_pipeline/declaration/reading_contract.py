"""Reading a contract: the Open Data Contract Standard, as far as a table of customers needs it.

What the standard knows and the pipeline does not do anything about is refused by name, unless it only documents.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from smartcart_pipeline.declaration.columns import TYPES, WHOLE, SqlType, narrowest, why_no_name
from smartcart_pipeline.declaration.contract import KEY, Contract, DeliveredColumn
from smartcart_pipeline.declaration.files import load, nearest, refusal, validate

VERSIONS = ("v3.1.0", "v3.2.0")
# What only documents: nothing in a run would differ.
DOCUMENTING = {
    "id", "businessName", "tags", "authoritativeDefinitions", "examples", "semanticType", "criticalDataElement",
    "deprecated", "description", "dataGranularityDescription", "context", "classification",
}  # fmt: skip
READ_OF_A_PROPERTY = DOCUMENTING | {
    "name", "physicalName", "physicalType", "logicalType", "logicalTypeOptions", "required", "unique", "primaryKey",
    "primaryKeyPosition", "enum", "customProperties",
}  # fmt: skip
READ_OF_AN_OBJECT = DOCUMENTING | {"name", "physicalName", "physicalType", "logicalType", "properties"}
LOGICAL: dict[str, tuple[SqlType, ...]] = {
    "integer": tuple(WHOLE),
    "number": ("DOUBLE",),
    "string": ("VARCHAR",),
    "date": ("DATE",),
}
OPTIONS = ("minimum", "maximum")
ROUNDING = "rounding"


def read_contract(path: Path) -> Contract:
    """A contract, from its file.

    Args:
        path: The file.

    Returns:
        The contract.

    Raises:
        DeclarationError: If the file is no contract of the standard, or one that the pipeline cannot hold exports to.
    """
    found = load(path)
    contract, faults = build_contract(path, found)
    if faults:
        raise refusal(path, faults)
    return contract


def build_contract(path: Path, found: dict[str, Any]) -> tuple[Contract, list[str]]:
    """A contract, from the plain data of its file.

    Args:
        path: The file.
        found: What it says.

    Returns:
        The contract, and what is wrong with it.

    Raises:
        DeclarationError: If the data is not of the standard.
    """
    from open_data_contract_standard.model import OpenDataContractStandard  # noqa: PLC0415  (takes a while to import)

    standard = validate(path, found, OpenDataContractStandard)
    faults = []
    if standard.kind != "DataContract":
        faults.append(f"kind is {standard.kind!r}: expected DataContract")
    if standard.apiVersion not in VERSIONS:
        faults.append(f"apiVersion is {standard.apiVersion!r}: expected one of {', '.join(VERSIONS)}")
    if not standard.name:
        faults.append("name is missing: it is what recipes call the contract")
    tables = standard.schema_ or []
    if len(tables) != 1:
        faults.append(f"schema has {len(tables)} tables: expected one, that of the customers")
    properties = (
        [(f"schema[1].{part.name or 'properties'}", part) for part in (tables[0].properties or [])] if tables else []
    )
    if tables:
        faults += _refuse_others("schema[1]", tables[0], READ_OF_AN_OBJECT)
    if tables and not properties:
        faults.append("schema[1].properties is missing: expected the columns of the export")
    columns = []
    for number, (_, part) in enumerate(properties, start=1):
        place = f"schema[1].properties[{number}]" + (f" ({part.name})" if part.name else "")
        faults += _refuse_others(place, part, READ_OF_A_PROPERTY)
        column, wrong = _read_property(place, part)
        columns.append(column)
        faults += wrong
    faults += _judge_together(columns, [part for _, part in properties])
    return Contract(standard.name or "", tuple(columns), found), faults


def _refuse_others(place: str, part: Any, read: set[str]) -> Iterator[str]:
    for name in part.model_fields_set - read:
        if getattr(part, name) not in (None, [], {}, False):
            yield f"{place}.{name} is not supported: take it out"


def _read_property(place: str, part: Any) -> tuple[DeliveredColumn, list[str]]:
    faults = []
    name = KEY if part.primaryKey else (part.name or "")
    if not part.name:
        faults.append(f"{place}.name is missing")
    elif not part.primaryKey and (why := why_no_name(name)):
        faults.append(f"{place}.name: {name!r} {why}")
    kinds = LOGICAL.get(part.logicalType or "", ("VARCHAR",))
    if part.logicalType not in LOGICAL:
        faults.append(f"{place}.logicalType is {part.logicalType!r}{nearest(str(part.logicalType), LOGICAL)}")
    options: Mapping[str, Any] = part.logicalTypeOptions or {}
    for option, value in options.items():
        if option not in OPTIONS:
            faults.append(f"{place}.logicalTypeOptions.{option} is not supported{nearest(option, OPTIONS)}")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            faults.append(f"{place}.logicalTypeOptions.{option} is {value!r}: expected a number")
        elif kinds[0] in ("VARCHAR", "DATE"):
            faults.append(f"{place}.logicalTypeOptions.{option}: only a number can have one")
    bounds = {name: options[name] for name in OPTIONS if isinstance(options.get(name), int | float)}
    least, most = bounds.get("minimum"), bounds.get("maximum")
    if least is not None and most is not None and least > most:
        faults.append(f"{place}: minimum is {least:g}, above the maximum {most:g}")
    rounded, wrong = _read_rounding(place, part, kinds)
    categories, others = _read_categories(place, part, kinds)
    column = DeliveredColumn(
        name=name,
        type=_choose_type(part.physicalType, kinds, least, most),
        description=part.description or f"{part.physicalName or name}, as delivered.",
        nullable=not (part.required or part.primaryKey),
        minimum=least,
        maximum=most,
        categories=categories,
        unique=bool(part.primaryKey or part.unique),
        header=part.physicalName or part.name or "",
        is_rounded=rounded,
        classification=part.classification or "",
    )
    return column, [*faults, *wrong, *others]


def _choose_type(physical: str | None, kinds: tuple[SqlType, ...], least: Any, most: Any) -> SqlType:
    """The physical type where it is one of ours, as narrow as the values allow where it is not."""
    named = next((kind for kind in kinds if kind == (physical or "").upper()), None)
    if named or kinds[0] not in WHOLE:
        return named or kinds[0]
    return "BIGINT" if least is None or most is None else narrowest(max(abs(least), abs(most)))


def _read_rounding(place: str, part: Any, kinds: tuple[SqlType, ...]) -> tuple[bool, list[str]]:
    faults, rounded = [], False
    for custom in part.customProperties or []:
        if custom.property != ROUNDING:
            faults.append(
                f"{place}.customProperties: {custom.property!r} is not known{nearest(str(custom.property), [ROUNDING])}"
            )
        elif custom.value != "nearest":
            faults.append(f"{place}.customProperties: {ROUNDING} is {custom.value!r}: expected nearest")
        elif kinds[0] not in WHOLE:
            faults.append(f"{place}.customProperties: {ROUNDING} is for integers only")
        else:
            rounded = True
    return rounded, faults


def _read_categories(place: str, part: Any, kinds: tuple[SqlType, ...]) -> tuple[tuple[str, ...], list[str]]:
    values = [entry.value for entry in part.enum or []]
    if not values:
        return (), []
    if kinds[0] != "VARCHAR":
        return (), [f"{place}.enum: only a string can have one"]
    faults = [
        f"{place}.enum: {value!r} is no text: put it in quotation marks"
        for value in values
        if not isinstance(value, str)
    ]
    if len(set(map(str, values))) < len(values):
        faults.append(f"{place}.enum lists a value twice")
    return tuple(map(str, values)), faults


def _judge_together(columns: list[DeliveredColumn], parts: list[Any]) -> Iterator[str]:
    keys = [part.name for part in parts if part.primaryKey]
    if parts and len(keys) != 1:
        told = f"are {', '.join(map(str, keys))}" if keys else "is missing"
        yield (
            f"schema[1]: the primary key {told}: expected primaryKey: true at the one column that tells customers apart"
        )
    for what, values in (("name", [c.name for c in columns]), ("physicalName", [c.header for c in columns])):
        for value in sorted({value for value in values if value and values.count(value) > 1}):
            yield f"schema[1]: two columns have the {what} {value!r}"
    key = next((column for column in columns if column.name == KEY), None)
    if key and key.type not in WHOLE and key.type != "VARCHAR":
        yield f"schema[1]: the primary key is {TYPES[key.type].expected}: expected logicalType integer or string"
