"""Contracts that others wrote: what is read of them, in whatever of the standard's ways they say it."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from smartcart_pipeline.declaration.contract import Contract
from smartcart_pipeline.declaration.declaration import SHIPPED
from smartcart_pipeline.declaration.files import DeclarationError
from smartcart_pipeline.declaration.reading_contract import build_contract, read_contract
from smartcart_pipeline_tests.conftest import SAMPLE
from smartcart_pipeline_tests.declared import BEHAVIOURAL

SHIPPED_CONTRACT = yaml.safe_load((SHIPPED / "contract.yaml").read_text(encoding="utf-8"))
KEY_PART = {"name": "id", "primaryKey": True, "logicalType": "integer"}


def put(path: Path, said: Any) -> Path:
    path.write_text(said if isinstance(said, str) else yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    return path


def contract_of(*parts: dict[str, Any], version: str = "v3.2.0", **of_table: Any) -> dict[str, Any]:
    table = {"name": "customers", "properties": [KEY_PART, *parts], **of_table}
    return {"apiVersion": version, "kind": "DataContract", "name": "shop", "schema": [table]}


def read(*parts: dict[str, Any], **more: Any) -> Contract:
    contract, faults = build_contract(Path("contract.yaml"), contract_of(*parts, **more))
    assert faults == []
    return contract


def none_of(metric: str, **arguments: Any) -> dict[str, Any]:
    return {"metric": metric, "mustBe": 0, **({"arguments": arguments} if arguments else {})}


# In the shape of what datacontract-cli 1.2 makes of a CSV: headers for names, the type of DuckDB, the least and the
# greatest of the file, and no key.
OF_A_CSV = """
version: 1.0.0
kind: DataContract
apiVersion: v3.2.0
id: my-data-contract
name: My Data Contract
status: draft
servers:
- {server: production, type: local, customProperties: [{property: delimiter, value: ','}], format: csv, path: shop.csv}
schema:
- name: shop
  physicalType: table
  description: Generated model of shop.csv
  logicalType: object
  physicalName: shop
  properties:
  - {name: Member No., physicalType: INTEGER, logicalType: integer, primaryKey: true, required: true, unique: true,
     logicalTypeOptions: {minimum: 3.0, maximum: 11196.0}, examples: [6966, 774]}
  - {name: MonthlyCharges, physicalType: DOUBLE, logicalType: number, logicalTypeOptions: {minimum: 18.25}}
  - {name: default, physicalType: BOOLEAN, logicalType: boolean, required: true}
  - {name: Beitritt am, physicalType: VARCHAR, logicalType: date, required: true, examples: [08-02-2014]}
  - {name: Größe, physicalType: VARCHAR, logicalType: string, examples: [PhD]}
  - {name: '顧客', physicalType: VARCHAR, logicalType: string}
"""
# In the shape of what it makes of a table of a database.
OF_A_TABLE = """
version: 1.0.0
kind: DataContract
apiVersion: v3.2.0
id: my-data-contract
name: My Data Contract
status: draft
servers:
- {server: postgres, type: postgres, database: my_database, host: my_host, port: 5432, schema: public}
schema:
- name: customers
  physicalType: table
  logicalType: object
  physicalName: customers
  properties:
  - {name: customer_no, physicalType: INT, primaryKey: true, primaryKeyPosition: 1, logicalType: integer,
     required: true, unique: true}
  - {name: name, physicalType: VARCHAR(40), logicalType: string, logicalTypeOptions: {maxLength: 40}, required: true}
  - {name: last_seen, physicalType: TIMESTAMP, logicalType: timestamp, tags: [], quality: []}
  - name: balance
    physicalType: DECIMAL(10, 2)
    logicalType: number
    customProperties: [{property: precision, value: 10}, {property: scale, value: 2}]
"""
# As a company's own catalogue may write one by hand: all that only documents, and the rules of the library.
OF_A_CATALOGUE = """
apiVersion: v3.1.0
kind: DataContract
version: 1.0
id: 4711
name: members
status: active
domain: sales
dataProduct: members
tenant: Shop Ltd
description: {purpose: Who is a member., limitations: null, usage: Segments}
tags: [customers, 2024]
contractCreatedTs: 2024-05-01T10:00:00Z
servers: [{server: s3, type: s3, location: s3://bucket, format: parquet, unheard: of}]
team: [{username: ann, dateIn: 2022-08-02, role: owner}]
roles: [{role: reader, access: read}]
price: {priceAmount: 9.95, priceCurrency: EUR}
support: [{channel: '#help', url: https://example.com}]
slaDefaultElement: members.joined
slaProperties: [{property: latency, value: 4, unit: d, 2024-05-01: odd}]
customProperties: [{property: cluster, value: [a, b]}]
schema:
  - name: members
    physicalType: file
    businessName: Members
    dataGranularityDescription: One row a member
    synonyms: [{synonym: people}]
    customProperties: [{property: retentionDays, value: 365}]
    quality:
      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [card]}, dimension: uniqueness}
    properties:
      - {name: member, physicalName: MEMBER_NO, primaryKey: true, primaryKeyPosition: 1, logicalType: string,
         partitioned: true, partitionKeyPosition: 1, criticalDataElement: true}
      - {name: card, logicalType: string, deprecated: true, businessName: Card}
      - name: tier
        logicalType: string
        quality:
          - type: library
            metric: invalidValues
            mustBe: 0
            arguments: {validValues: [gold, silver, null]}
            dimension: conformity
            severity: error
            businessImpact: operational
            schedule: 0 20 * * *
            scheduler: cron
            customProperties: [{property: FIELD_NAME, value: null}]
      - name: joined
        logicalType: timestamp
        logicalTypeOptions: {timezone: true, defaultTimezone: Etc/UTC}
        transformSourceObjects: [crm.members]
        transformLogic: select joined from crm.members
        transformDescription: As the till says.
        examples: [2022-10-03]
        quality: [{metric: nullValues, mustBeLessThan: 1, unit: rows}]
"""


def test_what_a_tool_makes_of_a_file_is_read(tmp_path: Path) -> None:
    contract = read_contract(put(tmp_path / "contract.yaml", OF_A_CSV))
    assert [(column.name, column.header, column.type, column.nullable) for column in contract.columns] == [
        ("customer_id", "Member No.", "INTEGER", False),
        ("monthly_charges", "MonthlyCharges", "DOUBLE", True),
        ("default_value", "default", "BOOLEAN", False),
        ("beitritt_am", "Beitritt am", "DATE", False),
        ("grosse", "Größe", "VARCHAR", True),
        ("column_6", "顧客", "VARCHAR", True),
    ]
    assert (contract.key.minimum, contract.key.maximum, contract.key.unique) == (3, 11196, True)


def test_what_a_tool_makes_of_a_table_is_read(tmp_path: Path) -> None:
    contract = read_contract(put(tmp_path / "contract.yaml", OF_A_TABLE))
    assert [(column.name, column.type, column.longest) for column in contract.columns] == [
        ("customer_id", "BIGINT", None),
        ("name", "VARCHAR", 40),
        ("last_seen", "DATE", None),
        ("balance", "DOUBLE", None),
    ]


def test_what_only_documents_is_read_over_in_whatever_shape(tmp_path: Path) -> None:
    contract = read_contract(put(tmp_path / "contract.yaml", OF_A_CATALOGUE))
    assert contract.name == "members"
    assert [(column.name, column.nullable, column.unique, column.categories) for column in contract.columns] == [
        ("customer_id", False, True, ()),
        ("card", True, True, ()),
        ("tier", True, False, ("gold", "silver")),
        ("joined", False, False, ()),
    ]
    # All of it is kept with the model of a night, as JSON.
    assert contract.source["slaProperties"] == [{"property": "latency", "value": 4, "unit": "d", "2024-05-01": "odd"}]


@pytest.mark.parametrize("version", ["v3.1.0", "v3.2.0"])
@pytest.mark.parametrize(
    ("said", "minimum", "maximum"),
    [
        ({"logicalTypeOptions": {"minimum": 1, "maximum": 5}}, 1, 5),
        ({"logicalTypeOptions": {"exclusiveMinimum": 0, "exclusiveMaximum": 6}}, 1, 5),
        ({"logicalTypeOptions": {"exclusiveMinimum": 0.5, "exclusiveMaximum": 5.5}}, 1, 5),
        ({"logicalTypeOptions": {"minimum": 1, "exclusiveMinimum": -3, "maximum": 5, "exclusiveMaximum": 9}}, 1, 5),
        ({"logicalTypeOptions": {"format": "u8"}}, 0, 255),
        ({"logicalTypeOptions": {"format": "i16", "minimum": 0}}, 0, 32_767),
        ({"logicalTypeOptions": {"format": "i64"}}, None, None),
        ({"logicalTypeOptions": {"format": "u64", "maximum": None}}, 0, None),
        ({"enum": [{"value": 3}, {"value": 1, "label": "One"}, {"value": 2}]}, 1, 3),
        ({"quality": [none_of("invalidValues", validValues=[1, 0, None])]}, 0, 1),
        ({"enum": [], "quality": [], "logicalTypeOptions": {}}, None, None),
    ],
)
def test_each_way_to_bound_a_whole_number(said: dict[str, Any], minimum: Any, maximum: Any, version: str) -> None:
    column = read({"name": "visits", "logicalType": "integer", **said}, version=version).by_name["visits"]
    assert (column.minimum, column.maximum) == (minimum, maximum)


@pytest.mark.parametrize(
    ("said", "required", "unique"),
    [
        ({}, False, False),
        ({"required": True}, True, False),
        ({"unique": True}, False, True),
        ({"quality": [none_of("nullValues")]}, True, False),
        ({"quality": [none_of("missingValues", missingValues=["", "N/A", None])]}, True, False),
        ({"quality": [{"type": "library", "rule": "nullValues", "mustBeLessOrEqualTo": 0}]}, True, False),
        ({"quality": [{"metric": "nullValues", "mustBe": 0, "unit": "percent"}]}, True, False),
        ({"quality": [none_of("duplicateValues"), none_of("nullValues")]}, True, True),
    ],
)
def test_each_way_to_require_a_value(said: dict[str, Any], required: bool, unique: bool) -> None:
    column = read({"name": "visits", "logicalType": "integer", **said}).by_name["visits"]
    assert (not column.nullable, column.unique) == (required, unique)


def test_each_way_to_list_texts() -> None:
    values = ["gold", "silver"]
    listed = {"enum": [{"value": value, "label": value.title()} for value in values]}
    ruled = {"quality": [none_of("invalidValues", validValues=values)]}
    for said in (listed, ruled, {**listed, **ruled}):
        assert read({"name": "tier", "logicalType": "string", **said}).by_name["tier"].categories == ("gold", "silver")
    both = {"enum": [{"value": True}, {"value": False}]}
    assert read({"name": "active", "logicalType": "boolean", **both}).by_name["active"].categories == ()


def test_synonyms_are_the_standards_or_ours() -> None:
    standard = {"synonyms": [{"synonym": "Einkommen", "locale": "de-DE"}, {"synonym": "Earnings"}]}
    ours = {"customProperties": [{"property": "synonyms", "value": ["Einkommen", "Earnings", "income"]}]}
    for said, version in ((standard, "v3.2.0"), (ours, "v3.1.0"), ({**standard, **ours}, "v3.2.0")):
        column = read({"name": "income", "logicalType": "number", **said}, version=version).by_name["income"]
        assert (column.header, column.synonyms) == ("income", ("Einkommen", "Earnings"))


def test_custom_properties_of_others_are_theirs() -> None:
    custom = [{"property": "maxBytes", "value": 5}, {"property": "rounding", "value": "nearest"}, {"value": 3}]
    assert read({"name": "visits", "logicalType": "integer", "customProperties": custom}).by_name["visits"].is_rounded


# What somebody may do to a file: take away, misspell, nest, or put something of another kind.
VALUES = st.sampled_from(
    [None, True, False, 0, -1, 10**400, 1.5, float("nan"), float("inf"), "", "x", "0", [], [None], ["x"], [[]], [{}],
     {}, {"x": 1}, {None: None}, {"value": 1}, [{"value": None}], [{"synonym": "ID"}], [{"metric": "nullValues"}],
     [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": [[1], {}, None]}}],
     [{"property": "rounding"}], [{"property": None, "value": None}]]
)  # fmt: skip
KEYS = st.sampled_from(
    ["name", "physicalName", "logicalType", "logicalTypeOptions", "required", "unique", "primaryKey", "enum", "quality",
     "synonyms", "customProperties", "properties", "schema", "apiVersion", "kind", "description", "x", "physicalType",
     "semanticType", "transformLogic", "items", "minimum", "format", "nmae", 1, None]
)  # fmt: skip


def places(said: Any) -> list[Any]:
    inner = said.values() if isinstance(said, dict) else said if isinstance(said, list) else ()
    return [*([said] if isinstance(said, dict | list) else []), *(place for one in inner for place in places(one))]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_is_done_to_a_contract_it_is_read_or_refused_in_words(data: st.DataObject) -> None:
    said = copy.deepcopy(SHIPPED_CONTRACT)
    said["schema"][0]["properties"] = said["schema"][0]["properties"][:5]
    said["schema"][0]["properties"][4] |= {
        "synonyms": [{"synonym": "Earnings"}],
        "quality": [{"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": [""]}}],
    }
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(said)))
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys) if keys and data.draw(st.booleans()) else KEYS)
        if isinstance(place, list) and not isinstance(key, int):
            place.append(copy.deepcopy(data.draw(VALUES)))
        elif data.draw(st.booleans()) and keys and key in keys:
            del place[key]
        elif isinstance(place, dict) or key in keys:
            place[key] = copy.deepcopy(data.draw(VALUES))
    contract, faults = None, []
    try:
        contract, faults = build_contract(Path("contract.yaml"), said)
    except DeclarationError as error:
        faults = list(error.faults)
    assert all(isinstance(fault, str) for fault in faults)
    assert faults or (contract and contract.key and json.dumps(contract.source, sort_keys=True, default=str))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a [*a]\n", "a list or mapping stands within itself, by its anchor. Correct the file."),
        ("version: 2024-13-01\n", "this is no YAML: month must be in 1..12. Correct the file."),
        ("a: !!int x\n", "this is no YAML: invalid literal for int"),
    ],
)
def test_texts_that_yaml_itself_stumbles_over_are_refused(tmp_path: Path, text: str, told: str) -> None:
    path = put(tmp_path / "contract.yaml", text)
    with pytest.raises(DeclarationError) as caught:
        read_contract(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_an_error_keeps_all_faults(tmp_path: Path) -> None:
    parts = [{"name": f"column_{number}", "logicalType": "text"} for number in range(8)]
    with pytest.raises(DeclarationError) as caught:
        read_contract(put(tmp_path / "contract.yaml", contract_of(*parts)))
    assert len(caught.value.faults) == 8
    assert str(caught.value).endswith("(and 3 more). Correct the file.")


def test_what_datacontract_makes_of_the_sample_is_read(tmp_path: Path, datacontract: Path) -> None:
    path = tmp_path / "contract.yaml"
    made = [datacontract, "import", "csv", "--source", str(SAMPLE), "--output", str(path)]
    subprocess.run(made, check=True, capture_output=True, cwd=tmp_path)
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    said["schema"][0]["properties"][0]["primaryKey"] = True
    contract = read_contract(put(path, said))
    assert contract.names == BEHAVIOURAL.contract.names
    assert contract.headers == BEHAVIOURAL.contract.headers
    # And what is ours, it finds no fault with.
    ours = [datacontract, "lint", str(SHIPPED / "contract.yaml")]
    assert subprocess.run(ours, check=False, capture_output=True, cwd=tmp_path).returncode == 0
