"""Reading a contract: the Open Data Contract Standard, as far as a table of customers needs it.

What only documents is read over. What is a promise about data and is not held is refused by name: nobody shall count
on a rule that is not looked at.
"""

import copy
import difflib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from smartcart_pipeline.declaration.columns import TYPES, WHOLE, SqlType, name_of_header, narrowest, why_no_name
from smartcart_pipeline.declaration.contract import (
    KEY,
    NUMBER_FORMAT,
    NUMBERS_WRITTEN,
    ROW_NUMBER,
    Contract,
    DeliveredColumn,
)
from smartcart_pipeline.declaration.files import load, nearest, refusal, tell_invalid, unknown_keys
from smartcart_pipeline.declaration.reading_promises import Promise, read_promise, why_no_rule

VERSIONS = ("v3.1.0", "v3.2.0")
# What only documents: nothing in a run would differ, so it may be in whatever shape another tool gave it.
DOCUMENTING = {
    "id", "businessName", "tags", "authoritativeDefinitions", "examples", "criticalDataElement", "deprecated",
}  # fmt: skip
DOCUMENTING_A_FILE = {
    "id", "version", "status", "description", "domain", "dataProduct", "tenant", "tags", "authoritativeDefinitions",
    "context", "contractCreatedTs", "customProperties", "servers", "support", "price", "team", "roles", "slaProperties",
    "slaDefaultElement",
}  # fmt: skip
# How whoever delivers the table stores it is nothing that one file of it shows.
DOCUMENTING_AN_OBJECT = DOCUMENTING | {
    "description", "dataGranularityDescription", "context", "customProperties", "synonyms", "physicalName",
    "physicalType",
}  # fmt: skip
DOCUMENTING_A_PROPERTY = DOCUMENTING | {
    "partitioned", "partitionKeyPosition", "primaryKeyPosition", "transformSourceObjects", "transformDescription",
}  # fmt: skip
DOCUMENTING_A_RULE = {
    "id", "name", "description", "dimension", "method", "businessImpact", "tags", "authoritativeDefinitions",
    "customProperties", "schedule", "scheduler",
}  # fmt: skip
DOCUMENTING_AN_ENTRY = {
    "id", "description", "tags", "authoritativeDefinitions", "customProperties", "label", "locale", "source", "status",
}  # fmt: skip
READ_OF_A_PROPERTY = {
    "name", "physicalName", "physicalType", "logicalType", "logicalTypeOptions", "required", "unique", "primaryKey",
    "enum", "quality", "synonyms", "customProperties", "description", "classification", "semanticType",
    "transformLogic",
}  # fmt: skip
READ_OF_AN_OBJECT = {"name", "logicalType", "properties", "quality"}
LOGICAL: dict[str, tuple[SqlType, ...]] = {
    "integer": tuple(WHOLE),
    "number": ("DOUBLE",),
    "string": ("VARCHAR",),
    "date": ("DATE",),
    # Its time of day says nothing of a customer.
    "timestamp": ("DATE",),
    "boolean": ("BOOLEAN",),
}
# The custom properties that are ours; those of others are others' business.
ROUNDING, SYNONYMS = "rounding", "synonyms"
# So much alike is what was meant to be one of ours.
MISSPELT = 0.8


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
    standard, faults = _read_standard(path, found)
    if standard.kind != "DataContract":
        faults.append(f"kind {_told(standard.kind)}: expected DataContract")
    if standard.apiVersion not in VERSIONS:
        faults.append(f"apiVersion {_told(standard.apiVersion)}: expected one of {', '.join(VERSIONS)}")
    if not standard.name:
        faults.append("name is missing: it is what recipes call the contract")
    tables = standard.schema_ or []
    if len(tables) != 1:
        named = f" ({', '.join(str(table.name) for table in tables)})" if tables else ""
        others = ": give each of the others a contract of its own" if tables else ""
        faults.append(f"schema has {len(tables)} tables{named}: expected one, that of the customers{others}")
    columns: list[DeliveredColumn] = []
    if tables:
        columns, wrong = _read_table(tables[0])
        faults += wrong
    key = next((part.name for table in tables[:1] for part in table.properties or [] if part.primaryKey), None) or ""
    numbered = () if key else (ROW_NUMBER,)
    return Contract(standard.name or "", (*numbered, *columns), key, _plain(found)), faults


def with_texts_for_key(contract: Contract) -> Contract:
    """A contract by which customers are known by texts.

    Args:
        contract: One that has a key.

    Returns:
        The same, but for the key's type and what is promised of numbers only.
    """
    said = copy.deepcopy(dict(contract.source))
    for part in said["schema"][0]["properties"]:
        if part.get("primaryKey"):
            for of_numbers in ("physicalType", "logicalTypeOptions", "customProperties"):
                part.pop(of_numbers, None)
            part["logicalType"] = "string"
    found, _ = build_contract(Path(contract.name), said)
    columns = tuple(found.key if column.name == KEY else column for column in contract.columns)
    return replace(contract, columns=columns, source=said)


def _read_standard(path: Path, found: dict[str, Any]) -> tuple[Any, list[str]]:
    """The file by the model of the standard, and the keys that the standard does not have."""
    from open_data_contract_standard.model import OpenDataContractStandard  # noqa: PLC0415  (takes a while to import)
    from pydantic import ValidationError  # noqa: PLC0415

    said = _without_documents(found)
    faults = unknown_keys(said, OpenDataContractStandard)
    known = {field.alias or name for name, field in OpenDataContractStandard.model_fields.items()}
    try:
        standard = OpenDataContractStandard.model_validate({key: said[key] for key in said if key in known})
    except ValidationError as error:
        raise refusal(path, [*faults, *tell_invalid(error)]) from None
    return standard, faults


def _without_documents(found: dict[str, Any]) -> dict[str, Any]:
    said = _without(found, DOCUMENTING_A_FILE)
    said["schema"] = _each(said.get("schema"), _without_documents_of_a_table)
    return said


def _without_documents_of_a_table(found: dict[str, Any]) -> dict[str, Any]:
    said = _without(found, DOCUMENTING_AN_OBJECT)
    said["properties"] = _each(said.get("properties"), _without_documents_of_a_property)
    said["quality"] = _each(said.get("quality"), lambda rule: _without(rule, DOCUMENTING_A_RULE))
    return said


def _without_documents_of_a_property(found: dict[str, Any]) -> dict[str, Any]:
    said = _without(found, DOCUMENTING_A_PROPERTY)
    said["quality"] = _each(said.get("quality"), lambda rule: _without(rule, DOCUMENTING_A_RULE))
    for key in ("enum", "synonyms"):
        said[key] = _each(said.get(key), lambda entry: _without(entry, DOCUMENTING_AN_ENTRY))
    return said


def _without(found: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in keys}


def _each(found: Any, change: Any) -> Any:
    return [change(one) if isinstance(one, dict) else one for one in found] if isinstance(found, list) else found


def _plain(found: Any) -> Any:
    """Plain data, whose keys are texts: others may be dates."""
    if isinstance(found, dict):
        return {str(key): _plain(value) for key, value in found.items()}
    return [_plain(value) for value in found] if isinstance(found, list) else found


def _told(value: Any) -> str:
    return "is missing" if value is None else f"is {value!r}"


def _read_table(table: Any) -> tuple[list[DeliveredColumn], list[str]]:
    faults = list(_refuse_others("schema[1]", table, READ_OF_AN_OBJECT))
    if table.logicalType not in (None, "object"):
        faults.append(f"schema[1].logicalType is {table.logicalType!r}: expected object, a table of customers")
    parts = table.properties or []
    if not parts:
        faults.append("schema[1].properties is missing: expected the columns of the export")
    unique = _read_rules_of_table(table, parts, faults)
    columns, places = [], []
    for number, part in enumerate(parts, start=1):
        place = f"schema[1].properties[{number}]" + (f" ({part.name})" if part.name else "")
        if number - 1 in unique:
            part.unique = True
        faults += _refuse_others(place, part, READ_OF_A_PROPERTY)
        column, wrong = _read_property(place, number, part)
        columns.append(column)
        places.append(place)
        faults += wrong
    faults += _judge_together(columns, parts)
    faults += _judge_synonyms(columns, places)
    return columns, faults


def _read_rules_of_table(table: Any, parts: list[Any], faults: list[str]) -> set[int]:
    """The places of columns that rules of the whole table call unique, from 0."""
    names = [part.name for part in parts]
    unique = set()
    for number, rule in enumerate(table.quality or [], start=1):
        place = f"schema[1].quality[{number}]"
        of = (rule.arguments or {}).get("properties")
        if fault := why_no_rule(rule, ("duplicateValues",)):
            faults.append(f"{place}{fault}")
        elif not isinstance(of, list) or len(of) != 1 or set(rule.arguments) != {"properties"}:
            faults.append(f"{place}.arguments: expected properties, a list of the one column that is unique")
        elif of[0] not in names:
            faults.append(f"{place}.arguments.properties: there is no {of[0]!r}{nearest(str(of[0]), _texts(names))}")
        else:
            unique.add(names.index(of[0]))
    return unique


def _texts(names: list[Any]) -> list[str]:
    return [name for name in names if name]


def _refuse_others(place: str, part: Any, read: set[str]) -> Iterator[str]:
    # In the order of the standard: a set has none.
    for name in type(part).model_fields:
        if name not in read and getattr(part, name) not in (None, [], {}, False, ""):
            yield f"{place}.{name} is not supported: take it out"


def _read_property(place: str, number: int, part: Any) -> tuple[DeliveredColumn, list[str]]:
    name, header, faults = _read_name(place, number, part)
    kinds = LOGICAL.get(part.logicalType or "", ("VARCHAR",))
    if part.logicalType not in LOGICAL:
        faults.append(f"{place}.logicalType {_told(part.logicalType)}{nearest(str(part.logicalType), LOGICAL)}")
        promise = Promise()
    else:
        promise = read_promise(place, part, kinds)
    if part.semanticType == "measure" or (part.semanticType == "dimension" and part.transformLogic):
        faults.append(f"{place}.semanticType is {part.semanticType!r}: what is computed is no column of a file")
    rounded, written, synonyms, wrong = _read_custom(place, part, kinds)
    synonyms = [*(entry.synonym for entry in part.synonyms or []), *synonyms]
    if not all(synonyms):
        faults.append(f"{place}.synonyms: a synonym is empty")
    least, most = promise.minimum, promise.maximum
    column = DeliveredColumn(
        name=name,
        type=_choose_type(part.physicalType, kinds, least, most),
        description=part.description or f"{header}, as delivered.",
        nullable=not promise.required,
        minimum=least,
        maximum=most,
        shortest=promise.shortest,
        longest=promise.longest,
        categories=promise.values,
        unique=promise.unique,
        header=header,
        synonyms=tuple(dict.fromkeys(one for one in synonyms if one and one != header)),
        is_rounded=rounded,
        written=written or promise.written,
        classification=part.classification or "",
    )
    return column, [*faults, *promise.faults, *wrong]


def _read_name(place: str, number: int, part: Any) -> tuple[str, str, list[str]]:
    """What tables call a column, its header, and what is wrong with either."""
    said, header = part.name or "", part.physicalName or part.name or ""
    if not said:
        return "", header, [f"{place}.name is missing"]
    if part.primaryKey:
        return KEY, header, []
    if said == KEY:
        told = f"{place}.name: {KEY} is what the key is called: set primaryKey: true, or name it otherwise"
        return said, header, [told]
    why = why_no_name(said)
    if why and not part.physicalName:
        # Other tools know one name of a column, which is its header.
        return name_of_header(said, number), header, []
    return said, header, [f"{place}.name: {said!r} {why}"] if why else []


def _choose_type(physical: str | None, kinds: tuple[SqlType, ...], least: Any, most: Any) -> SqlType:
    """The physical type where it is one of ours, as narrow as the values allow where it is not."""
    named = next((kind for kind in kinds if kind == (physical or "").upper()), None)
    if named or kinds[0] not in WHOLE:
        return named or kinds[0]
    return "BIGINT" if least is None or most is None else narrowest(max(abs(least), abs(most)))


def _read_custom(place: str, part: Any, kinds: tuple[SqlType, ...]) -> tuple[bool, str, list[str], list[str]]:
    """Of the custom properties ours: whether numbers are rounded, how they are written, synonyms, and what is wrong."""
    faults, synonyms, rounded, written = [], [], False, ""
    for custom in part.customProperties or []:
        said, value = str(custom.property), custom.value
        if said == ROUNDING and value != "nearest":
            faults.append(f"{place}.customProperties: {ROUNDING} is {value!r}: expected nearest")
        elif said == ROUNDING and kinds[0] not in WHOLE:
            faults.append(f"{place}.customProperties: {ROUNDING} is for integers only")
        elif said == ROUNDING:
            rounded = True
        elif said == NUMBER_FORMAT and value not in NUMBERS_WRITTEN:
            faults.append(
                f"{place}.customProperties: {NUMBER_FORMAT} is {value!r}: expected one of {', '.join(NUMBERS_WRITTEN)}"
            )
        elif said == NUMBER_FORMAT and kinds[0] not in (*WHOLE, "DOUBLE"):
            faults.append(f"{place}.customProperties: {NUMBER_FORMAT} is for numbers only")
        elif said == NUMBER_FORMAT:
            written = value
        elif said == SYNONYMS and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            faults.append(f"{place}.customProperties: {SYNONYMS} is {value!r}: expected a list of texts")
        elif said == SYNONYMS:
            synonyms += value
        elif near := difflib.get_close_matches(said, (ROUNDING, SYNONYMS, NUMBER_FORMAT), n=1, cutoff=MISSPELT):
            faults.append(f"{place}.customProperties: {said!r} is not known (nearest: {near[0]})")
    return rounded, written, synonyms, faults


def _judge_together(columns: list[DeliveredColumn], parts: list[Any]) -> Iterator[str]:
    keys = [part.name for part in parts if part.primaryKey]
    if len(keys) > 1:
        yield (
            f"schema[1]: the primary key is {', '.join(map(str, keys))}: expected primaryKey: true at the one column "
            "that tells customers apart, or at none"
        )
    for what, values in (("name", [c.name for c in columns]), ("physicalName", [c.header for c in columns])):
        for value in sorted({value for value in values if value and values.count(value) > 1}):
            yield f"schema[1]: two columns have the {what} {value!r}"
    key = next((column for column in columns if column.name == KEY), None)
    if key and key.type not in WHOLE and key.type != "VARCHAR":
        yield f"schema[1]: the primary key is {TYPES[key.type].expected}: expected logicalType integer or string"


def _judge_synonyms(columns: list[DeliveredColumn], places: list[str]) -> Iterator[str]:
    """A header of a file must be one column's."""
    headers = {column.header: place for column, place in zip(columns, places, strict=True)}
    claimed: dict[str, str] = {}
    for column, place in zip(columns, places, strict=True):
        for synonym in column.synonyms:
            if synonym in headers:
                yield f"{place}.synonyms: {synonym!r} is the physicalName of {headers[synonym]}"
            elif synonym in claimed:
                yield f"{place}.synonyms: {synonym!r} is a synonym of {claimed[synonym]} already"
            claimed.setdefault(synonym, place)
