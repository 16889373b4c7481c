"""Every way in which a contract or a recipe can be wrong, with the message that people get."""

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from smartcart_pipeline.declaration.declaration import (
    SHIPPED,
    Declaration,
    find_alternative,
    read_declaration,
    read_declared,
    shipped_declaration,
)
from smartcart_pipeline.declaration.errors import CallError, HomeError
from smartcart_pipeline.declaration.files import DeclarationError
from smartcart_pipeline.declaration.recipe import AsIs
from smartcart_pipeline_tests.declared import BEHAVIOURAL, CONTRACT, REFERENCE
from smartcart_pipeline_tests.report.bikes import declare_bikes

Change = Callable[[Any], Any]

SHIPPED_CONTRACT = yaml.safe_load((SHIPPED / "contract.yaml").read_text(encoding="utf-8"))
SHIPPED_RECIPE = yaml.safe_load((SHIPPED / "behavioural.yaml").read_text(encoding="utf-8"))


def put(*place: str | int, value: Any) -> Change:
    """Put a value at a place; counted from 0 in lists."""

    def change(said: Any) -> None:
        for step in place[:-1]:
            said = said[step]
        said[place[-1]] = value

    return change


def drop(*place: str | int) -> Change:
    """Take away what stands at a place."""

    def change(said: Any) -> None:
        for step in place[:-1]:
            said = said[step]
        del said[place[-1]]

    return change


def column(name: str, /, **values: Any) -> Change:
    """Change a column of the contract; what is set to None is taken away."""

    def change(said: Any) -> None:
        [found] = [each for each in said["schema"][0]["properties"] if each["name"] == name]
        for key, value in values.items():
            if value is None:
                found.pop(key, None)
            else:
                found[key] = value

    return change


def feature(name: str, section: str = "features", /, **values: Any) -> Change:
    """Put a feature in the place of another, or add one."""
    return put(section, name, value=values)


def read(home: Path, contract: Any = None, recipe: Any = None) -> Declaration:
    """The declaration of a home with files of its own."""
    for name, said in (("contract.yaml", contract), ("recipe.yaml", recipe)):
        if said is not None:
            text = said if isinstance(said, str) else yaml.safe_dump(said, sort_keys=False)
            (home / name).write_text(text, encoding="utf-8")
    return read_declaration(home)


WRONG_CONTRACTS: dict[str, tuple[Change, str]] = {
    "a misspelt key at the top": (put("statuss", value="active"), "statuss is not known (nearest: status)"),
    "a misspelt key of a column": (
        column("income", requird=True),
        "schema[1].properties[5].requird is not known (nearest: required)",
    ),
    "a misspelt bound": (
        column("income", logicalTypeOptions={"minimun": 3}),
        "schema[1].properties[5] (income).logicalTypeOptions.minimun is not supported (nearest: minimum)",
    ),
    "a misspelt type": (
        column("income", logicalType="nummber", logicalTypeOptions={}),
        "schema[1].properties[5] (income).logicalType is 'nummber' (nearest: number)",
    ),
    "no type": (
        column("recency", logicalType=None, logicalTypeOptions={}),
        "schema[1].properties[9] (recency).logicalType is missing: expected one of integer, number, string, date",
    ),
    "an older standard": (
        put("apiVersion", value="v2.2.2"),
        "apiVersion is 'v2.2.2': expected one of v3.1.0, v3.2.0",
    ),
    "another kind": (put("kind", value="Contract"), "kind is 'Contract': expected DataContract"),
    "no name": (drop("name"), "name is missing: it is what recipes call the contract"),
    "no table": (put("schema", value=[]), "schema has 0 tables: expected one, that of the customers"),
    "two tables": (
        lambda said: said["schema"].append(copy.deepcopy(said["schema"][0])),
        (
            "schema has 2 tables (customers, customers): expected one, that of the customers: give each of the others "
            "a contract of its own"
        ),
    ),
    "no columns": (
        put("schema", 0, "properties", value=[]),
        "schema[1].properties is missing: expected the columns of the export",
    ),
    "a key that is none": (
        column("customer_id", primaryKey=None),
        (
            "schema[1].properties[1] (customer_id).name: customer_id is what the key is called: set primaryKey: true, "
            "or name it otherwise"
        ),
    ),
    "two keys": (
        column("recency", primaryKey=True),
        (
            "schema[1]: the primary key is customer_id, recency: expected primaryKey: true at the one column that "
            "tells customers apart, or at none"
        ),
    ),
    "a key of dates": (
        lambda said: (
            column("dt_customer", primaryKey=True)(said),
            column("customer_id", primaryKey=None, name="number")(said),
        ),
        "schema[1]: the primary key is a date: expected logicalType integer or string",
    ),
    "a column twice": (column("kidhome", name="teenhome"), "schema[1]: two columns have the name 'teenhome'"),
    "a header twice": (
        column("kidhome", physicalName="Teenhome"),
        "schema[1]: two columns have the physicalName 'Teenhome'",
    ),
    "a name of SQL's": (
        column("kidhome", name="order"),
        "schema[1].properties[6] (order).name: 'order' is a keyword of SQL: add a word to it",
    ),
    "a name of ours": (
        column("kidhome", name="least"),
        "schema[1].properties[6] (least).name: 'least' is a name that the pipeline uses itself: choose another",
    ),
    "a name that is none": (
        column("kidhome", name="Kid Home"),
        (
            "schema[1].properties[6] (Kid Home).name: 'Kid Home' is no name: expected small letters, digits and "
            "underscores, a letter first, 60 at most"
        ),
    ),
    "a column without a name": (column("kidhome", name=None), "schema[1].properties[6].name is missing"),
    "bounds the wrong way": (
        column("income", logicalTypeOptions={"minimum": 10, "maximum": 1}),
        "schema[1].properties[5] (income): minimum is 10, above the maximum 1",
    ),
    "a bound that is no number": (
        column("income", logicalTypeOptions={"minimum": "0"}),
        "schema[1].properties[5] (income).logicalTypeOptions.minimum is '0': expected a number",
    ),
    "a bound of a text": (
        column("education", logicalTypeOptions={"maximum": 5}),
        "schema[1].properties[3] (education).logicalTypeOptions.maximum: only a number can have one",
    ),
    "a list of numbers with gaps": (
        column("recency", enum=[{"value": 1}, {"value": 3}]),
        "schema[1].properties[9] (recency).enum: numbers with gaps between them cannot be listed: say minimum and max",
    ),
    "a list of numbers with decimals": (
        column("income", enum=[{"value": 1.5}]),
        "schema[1].properties[5] (income).enum: only a string can have one, or an integer whose values have no gaps",
    ),
    "a list of plain values": (
        column("education", enum=["Basic"]),
        "schema[1].properties[3].enum[1] is 'Basic': expected keys and values",
    ),
    "a list with nothing in an entry": (
        column("education", enum=[{"value": "Basic"}, {"label": "PhD"}]),
        "schema[1].properties[3] (education).enum[2].value is missing",
    ),
    "a misspelt key of an entry": (
        column("education", enum=[{"valeu": "Basic"}]),
        "schema[1].properties[3].enum[1].valeu is not known (nearest: value)",
    ),
    "a list with a number": (
        column("education", enum=[{"value": "Basic"}, {"value": 2}]),
        "schema[1].properties[3] (education).enum: 2 is no text: put it in quotation marks",
    ),
    "a list with a value twice": (
        column("education", enum=[{"value": "Basic"}, {"value": "Basic"}]),
        "schema[1].properties[3] (education).enum lists a value twice",
    ),
    "another rounding": (
        column("mnt_wines", customProperties=[{"property": "rounding", "value": "down"}]),
        "schema[1].properties[10] (mnt_wines).customProperties: rounding is 'down': expected nearest",
    ),
    "a misspelt custom property": (
        column("mnt_wines", customProperties=[{"property": "roundin", "value": "nearest"}]),
        "schema[1].properties[10] (mnt_wines).customProperties: 'roundin' is not known (nearest: rounding)",
    ),
    "rounding of what has decimals": (
        column("income", customProperties=[{"property": "rounding", "value": "nearest"}]),
        "schema[1].properties[5] (income).customProperties: rounding is for integers only",
    ),
    "a bound without end": (
        column("income", logicalTypeOptions={"minimum": float("-inf")}),
        "schema[1].properties[5] (income).logicalTypeOptions.minimum is -inf: expected a number",
    ),
    "a bound beyond all numbers": (
        column("income", logicalTypeOptions={"maximum": 10**400}),
        "schema[1].properties[5] (income).logicalTypeOptions.maximum is 1000",
    ),
    "a bound of a day": (
        column("dt_customer", logicalTypeOptions={"minimum": "2012-01-01"}),
        "schema[1].properties[8] (dt_customer).logicalTypeOptions.minimum: only a number can have one",
    ),
    "a bound that a number with decimals may not reach": (
        column("income", logicalTypeOptions={"exclusiveMinimum": 0}),
        (
            "schema[1].properties[5] (income).logicalTypeOptions.exclusiveMinimum: only an integer can have one: say "
            "minimum"
        ),
    ),
    "bounds that leave nothing": (
        column("recency", logicalTypeOptions={"exclusiveMinimum": 4, "exclusiveMaximum": 5}),
        "schema[1].properties[9] (recency): minimum is 5, above the maximum 4",
    ),
    "a pattern": (
        column("education", logicalTypeOptions={"pattern": "^[A-Z]"}),
        "schema[1].properties[3] (education).logicalTypeOptions.pattern is not supported: take it out",
    ),
    "a format of a text": (
        column("education", logicalTypeOptions={"format": "email"}),
        "schema[1].properties[3] (education).logicalTypeOptions.format is not supported: take it out",
    ),
    "a format of a day": (
        column("dt_customer", logicalTypeOptions={"format": "MM/yyyy"}),
        "schema[1].properties[8] (dt_customer).logicalTypeOptions.format is 'MM/yyyy': expected a pattern of day",
    ),
    "a format of an integer": (
        column("recency", logicalTypeOptions={"format": "i128"}),
        "schema[1].properties[9] (recency).logicalTypeOptions.format is 'i128': expected one of i8, i16, i32, i64, u8",
    ),
    "multiples": (
        column("recency", logicalTypeOptions={"multipleOf": 5}),
        "schema[1].properties[9] (recency).logicalTypeOptions.multipleOf is not supported: take it out",
    ),
    "a length that is none": (
        column("education", logicalTypeOptions={"maxLength": -1}),
        "schema[1].properties[3] (education).logicalTypeOptions.maxLength is -1: expected a whole number, 0 or more",
    ),
    "a length of a number": (
        column("recency", logicalTypeOptions={"maxLength": 3}),
        "schema[1].properties[9] (recency).logicalTypeOptions.maxLength is not supported: take it out",
    ),
    "lengths the wrong way": (
        column("education", logicalTypeOptions={"minLength": 9, "maxLength": 2}),
        "schema[1].properties[3] (education): minLength is 9, above maxLength, 2",
    ),
    "days of another zone": (
        column("dt_customer", logicalType="timestamp", logicalTypeOptions={"defaultTimezone": "Australia/Sydney"}),
        "(dt_customer).logicalTypeOptions.defaultTimezone is 'Australia/Sydney': days are counted in UTC here",
    ),
    "nested columns": (
        column("recency", logicalType="object", logicalTypeOptions=None, properties=[{"name": "x"}]),
        "schema[1].properties[9] (recency).properties is not supported: take it out",
    ),
    "a list for a value": (
        column("recency", logicalType="array", logicalTypeOptions=None, items={"logicalType": "string"}),
        "schema[1].properties[9] (recency).items is not supported: take it out",
    ),
    "the time of day": (
        column("recency", logicalType="time", logicalTypeOptions=None),
        "schema[1].properties[9] (recency).logicalType is 'time' (nearest: timestamp)",
    ),
    "what other tables hold": (
        column("recency", relationships=[{"to": "visits.days"}]),
        "schema[1].properties[9] (recency).relationships is not supported: take it out",
    ),
    "an encrypted twin": (
        column("income", encryptedName="income_encrypted"),
        "schema[1].properties[5] (income).encryptedName is not supported: take it out",
    ),
    "a measure": (
        column("income", semanticType="measure", transformLogic="SUM(x)"),
        "schema[1].properties[5] (income).semanticType is 'measure': what is computed is no column of a file",
    ),
    "a computed dimension": (
        column("income", semanticType="dimension", transformLogic="x"),
        "schema[1].properties[5] (income).semanticType is 'dimension': what is computed is no column of a file",
    ),
    "a table of another kind": (
        put("schema", 0, "logicalType", value="array"),
        "schema[1].logicalType is 'array': expected object, a table of customers",
    ),
    "a rule that lets some through": (
        column("income", quality=[{"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent"}]),
        "schema[1].properties[5] (income).quality[1]: only a rule that allows none is looked at: expected mustBe: 0",
    ),
    "a rule that only warns": (
        column("income", quality=[{"metric": "nullValues", "mustBe": 0, "severity": "warning"}]),
        "schema[1].properties[5] (income).quality[1].severity is 'warning', and who breaks a rule is refused: say",
    ),
    "a rule in SQL": (
        column("income", quality=[{"type": "sql", "query": "SELECT 1", "mustBe": 1}]),
        "schema[1].properties[5] (income).quality[1]: a rule of type sql is not looked at: take it out",
    ),
    "a rule of another tool": (
        column("income", quality=[{"type": "custom", "engine": "soda", "implementation": "x"}]),
        "schema[1].properties[5] (income).quality[1]: a rule of type custom is not looked at: take it out",
    ),
    "a rule in words": (
        column("income", quality=[{"type": "text", "description": "Plausible."}]),
        "schema[1].properties[5] (income).quality[1]: a rule of type text is not looked at: take it out, or say in a",
    ),
    "a rule without a metric": (
        column("income", quality=[{"mustBe": 0}]),
        "schema[1].properties[5] (income).quality[1].metric is missing: expected one of nullValues, missingValues",
    ),
    "a misspelt metric": (
        column("income", quality=[{"metric": "nullValue", "mustBe": 0}]),
        "(income).quality[1].metric is 'nullValue', which is not looked at (nearest: nullValues)",
    ),
    "a rule of an older standard": (
        column("income", quality=[{"rule": "between", "customProperties": [{"property": "min", "value": 0}]}]),
        "schema[1].properties[5] (income).quality[1].metric is 'between', which is not looked at",
    ),
    "another word for nothing": (
        column(
            "income", quality=[{"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": ["", "-9"]}}]
        ),
        "(income).quality[1].arguments.missingValues: '-9' counts as a value here: only an empty one, -, ?, na",
    ),
    "a rule with a pattern": (
        column("education", quality=[{"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "^A"}}]),
        "schema[1].properties[3] (education).quality[1].arguments.pattern is not supported: take it out",
    ),
    "valid values that are none": (
        column("recency", quality=[{"metric": "invalidValues", "mustBe": 0}]),
        "schema[1].properties[9] (recency).quality[1].arguments.validValues is missing: expected a list of values",
    ),
    "two lists that differ": (
        column(
            "education", quality=[{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": ["Basic"]}}]
        ),
        "(education).quality[1].arguments.validValues lists other values than are listed before it",
    ),
    "a number of rows": (
        put("schema", 0, "quality", value=[{"metric": "rowCount", "mustBeGreaterThan": 100}]),
        "schema[1].quality[1].metric is 'rowCount', which is not looked at: expected one of duplicateValues",
    ),
    "two columns unique together": (
        put(
            "schema",
            0,
            "quality",
            value=[{"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["income", "recency"]}}],
        ),
        "schema[1].quality[1].arguments: expected properties, a list of the one column that is unique",
    ),
    "a unique column that is not there": (
        put(
            "schema",
            0,
            "quality",
            value=[{"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["incom"]}}],
        ),
        "schema[1].quality[1].arguments.properties: there is no 'incom' (nearest: income)",
    ),
    "a synonym that is a header": (
        column("income", synonyms=[{"synonym": "Recency"}]),
        "schema[1].properties[5] (income).synonyms: 'Recency' is the physicalName of schema[1].properties[9] (recency)",
    ),
    "a synonym twice": (
        lambda said: (
            column("income", synonyms=[{"synonym": "Value"}])(said),
            column("recency", synonyms=[{"synonym": "Value"}])(said),
        ),
        "schema[1].properties[9] (recency).synonyms: 'Value' is a synonym of schema[1].properties[5] (income) already",
    ),
    "an empty synonym": (
        column("income", synonyms=[{"synonym": ""}]),
        "schema[1].properties[5] (income).synonyms: a synonym is empty",
    ),
    "a plain synonym": (
        column("income", synonyms=["Earnings"]),
        "schema[1].properties[5].synonyms[1] is 'Earnings': expected keys and values",
    ),
    "synonyms of ours that are no list": (
        column("income", customProperties=[{"property": "synonyms", "value": "Earnings"}]),
        "schema[1].properties[5] (income).customProperties: synonyms is 'Earnings': expected a list of texts",
    ),
    "a header that is a number": (
        column("income", physicalName=2024),
        "schema[1].properties[5].physicalName is 2024: should be a valid string",
    ),
    "columns that are no list": (
        put("schema", 0, "properties", value={"income": {"logicalType": "number"}}),
        "schema[1].properties is a single value: expected a list",
    ),
    "no version of the standard": (drop("apiVersion"), "apiVersion is missing: expected one of v3.1.0, v3.2.0"),
    "something of another kind": (
        column("income", required="sometimes"),
        "schema[1].properties[5].required is 'sometimes': should be a valid boolean",
    ),
}


@pytest.mark.parametrize("what", WRONG_CONTRACTS)
def test_a_wrong_contract_is_refused_with_its_place(tmp_path: Path, what: str) -> None:
    change, told = WRONG_CONTRACTS[what]
    said = copy.deepcopy(SHIPPED_CONTRACT)
    change(said)
    with pytest.raises(DeclarationError) as caught:
        read(tmp_path, contract=said)
    assert str(caught.value).startswith(f"{tmp_path / 'contract.yaml'}: ")
    assert told in str(caught.value)
    assert str(caught.value).endswith(". Correct the file.")


WRONG_RECIPES: dict[str, tuple[Change, str]] = {
    "a misspelt section": (put("featurs", value={}), "featurs is not known (nearest: features)"),
    "a misspelt key of a feature": (
        feature("age", years_sinc="year_birth"),
        "features.age.years_sinc is not known (nearest: years_since)",
    ),
    "a misspelt word": (
        put("features", "age", "words", "lable", value="Age"),
        "features.age.words.lable is not known (nearest: label)",
    ),
    "no head": (drop("recipe"), "recipe is missing"),
    "for another contract": (
        put("recipe", "contract", value="customers"),
        "recipe.contract is 'customers', but the contract is called 'smartcart_customers'",
    ),
    "no verb": (
        feature("age", description="Age."),
        (
            "features.age: expected one verb, found none: one of column, flag, years_since, days_since, sum, "
            "difference, ratio, log, regroup"
        ),
    ),
    "two verbs": (
        feature("age", years_since="year_birth", column="recency"),
        "features.age: expected one verb, found column and years_since",
    ),
    "a column that is not there": (
        feature("age", years_since="yearbirth"),
        "features.age.years_since: there is no column or earlier feature 'yearbirth' (nearest: year_birth)",
    ),
    "a later feature": (
        feature("age", sum=["total_spending", "recency"]),
        "features.age.sum: there is no column or earlier feature 'total_spending'",
    ),
    "a sum of one": (feature("age", sum=["recency"]), "features.age.sum is a list: "),
    "the key": (feature("age", column="customer_id"), "features.age.column: customer_id is the key"),
    "a sum of texts": (
        feature("age", sum=["education", "recency"]),
        "features.age.sum: education is for a number only, and the contract says VARCHAR",
    ),
    "days since a number": (
        feature("age", days_since="recency"),
        "features.age.days_since: recency is for a date only, and the contract says SMALLINT",
    ),
    "a flag of more than two": (
        feature("age", flag="recency", rate="recency_rate"),
        "features.age.flag: recency is for a boolean, or a whole number from 0 to 1 only",
    ),
    "a rate that is no name": (
        feature("complain", flag="complain", rate="Complaint rate"),
        "features.complain.rate: 'Complaint rate' is no name: expected small letters",
    ),
    "a value that may be missing": (
        drop("clean", "missing", "income"),
        "features.income.column: income may be missing: make it required, or say under clean.missing what then",
    ),
    "a group of nobody": (
        put("features", "living_with", "into", "Partner", value=["Maried"]),
        "features.living_with.into: 'Maried' is no value of marital_status (nearest: Married)",
    ),
    "a value in two groups": (
        put("features", "education", "into", value={"A": ["Basic"], "B": ["Basic"]}),
        "features.education.into: 'Basic' stands in two groups",
    ),
    "words of no group": (
        put("features", "living_with", "levels", "Partners", value={"named": "x"}),
        "features.living_with.levels: there is no group 'Partners' (nearest: Partner)",
    ),
    "no other group": (
        drop("features", "education", "otherwise"),
        "features.education.otherwise is missing: the group of all other values",
    ),
    "groups of a number": (
        feature("age", years_since="year_birth", otherwise="old"),
        "features.age: into, otherwise and levels go with the verb regroup only",
    ),
    "a logarithm of less than nothing": (
        lambda said: (
            feature("gap", difference=["recency", "num_web_purchases"])(said),
            feature("bent", log="gap")(said),
        ),
        "features.bent.log: gap may be negative",
    ),
    "a date that may lie after the as-of date": (
        drop("clean", "limits", 1),
        (
            "features.age: year_birth may lie after the as-of date: put a limit on it, with until: as_of, under "
            "clean.limits"
        ),
    ),
    "a feature twice": (
        feature("age", "outcomes", flag="response", rate="age_rate"),
        "outcomes.age: there is a feature of this name already",
    ),
    "a feature of a name of ours": (
        feature("distance", column="recency"),
        "features.distance: 'distance' is a name that the pipeline uses itself: choose another",
    ),
    "two few features": (
        lambda said: (
            put("features", value={"recency": {"column": "recency"}})(said),
            put("described", value={})(said),
        ),
        "features: the model sees 1 columns, expected 2 or more; a category counts as many as it has groups",
    ),
    "a step of nothing": (feature("age", years_since="year_birth", step=0), "features.age.step is 0: "),
    "a day of no date": (put("as_of", "newest", value="recency"), "as_of.newest: recency is no required date"),
    "a day of no column": (
        put("as_of", "newest", value="dt_customr"),
        "as_of.newest: there is no column 'dt_customr' (nearest: dt_customer)",
    ),
    "a median of dates": (
        put("clean", "missing", "dt_customer", value="median"),
        "clean.missing.dt_customer: DATE has no median: expected a value, or refuse",
    ),
    "another way to fill in": (
        put("clean", "missing", "income", value="mean"),
        "clean.missing.income is 'mean': expected median, refuse, or a number",
    ),
    "a part of a whole number": (
        put("clean", "missing", "recency", value=0.5),
        "clean.missing.recency is 0.5: recency is a whole number",
    ),
    "a value beyond the contract": (
        put("clean", "missing", "recency", value=-1),
        "clean.missing.recency is -1: the contract allows no such recency",
    ),
    "a value of no category": (
        put("clean", "missing", "education", value="Phd"),
        "clean.missing.education is 'Phd': it is no value of education (nearest: PhD)",
    ),
    "a value of no date": (
        put("clean", "missing", "dt_customer", value="2020-01-01"),
        "clean.missing.dt_customer is '2020-01-01': only refuse goes with a date",
    ),
    "a value of no column": (
        put("clean", "missing", "incom", value="median"),
        "clean.missing: there is no column 'incom' (nearest: income)",
    ),
    "two rules for the day": (
        put("as_of", "delivered", value=True),
        "as_of: expected one of newest, file_name, day, delivered, found newest and delivered",
    ),
    "a weight of nothing": (feature("age", years_since="year_birth", weight=0), "features.age.weight is 0: "),
    "one segment": (put("segments", value=1), "is 1: should be greater than or equal to 2"),
    "more segments than anybody can act on": (put("segments", value=21), "is 21: should be less than or equal to 20"),
    "a part of a segment": (put("segments", value=2.5), "is 2.5: should be a valid integer"),
    "another word for auto": (put("segments", value="automatic"), "is 'automatic': should be 'auto'"),
    "fences at the quartiles": (put("fences", value=0), "fences is 0: should be greater than 0"),
    "fences within them": (put("fences", value=-1.5), "fences is -1.5: should be greater than 0"),
    "fences without end": (put("fences", value=float("inf")), "fences is inf: should be a finite number"),
    "fences in words": (put("fences", value="far"), "fences is 'far': should be a valid number"),
    "nothing that stands for unknown": (
        put("clean", "unknown", value={"income": []}),
        "clean.unknown.income is a list: ",
    ),
    "a plain number that stands for unknown": (
        put("clean", "unknown", value={"income": 0}),
        "clean.unknown.income is 0: expected a list",
    ),
    "a word that stands for unknown": (
        put("clean", "unknown", value={"income": [0, "none"]}),
        "clean.unknown.income[2] is 'none': should be a valid number",
    ),
    "no number that stands for unknown": (
        put("clean", "unknown", value={"income": [float("nan")]}),
        "clean.unknown.income[1] is nan: should be a finite number",
    ),
    "unknown values of no column": (
        put("clean", "unknown", value={"incom": [0]}),
        "clean.unknown: there is no column 'incom' (nearest: income)",
    ),
    "unknown values of a feature": (
        put("clean", "unknown", value={"total_spending": [0]}),
        "clean.unknown: there is no column 'total_spending'",
    ),
    "unknown values of the key": (
        put("clean", "unknown", value={"customer_id": [0]}),
        "clean.unknown.customer_id",
    ),
    "unknown values of a text": (
        lambda said: (
            put("clean", "unknown", value={"education": [0]})(said),
            put("clean", "missing", "education", value="refuse")(said),
        ),
        "clean.unknown.education: VARCHAR is no number, and has no number that stands for unknown",
    ),
    "unknown values of a day": (
        lambda said: (
            put("clean", "unknown", value={"dt_customer": [0]})(said),
            put("clean", "missing", "dt_customer", value="refuse")(said),
        ),
        "clean.unknown.dt_customer: DATE is no number, and has no number that stands for unknown",
    ),
    "unknown values of a required column, and not what then": (
        put("clean", "unknown", value={"recency": [99]}),
        "features.recency.column: recency may be missing: make it required, or say under clean.missing what then",
    ),
    "unknown values of a part of a sum": (
        put("clean", "unknown", value={"mnt_wines": [99]}),
        "features.total_spending.sum: mnt_wines may be missing: make it required, or say under clean.missing what then",
    ),
    "something sensitive that nobody makes": (
        put("described", "sensitive", "agee", value={}),
        "described.sensitive.agee: there is no such feature: say here how it is made (nearest: age)",
    ),
    "something described that is made once more as sensitive": (
        put("described", value={"kids": {"column": "kidhome"}, "sensitive": {"kids": {"column": "teenhome"}}}),
        "described.sensitive.kids: there is a feature of this name already",
    ),
    "something sensitive that is made twice": (
        put("described", "sensitive", "age", value={"column": "recency"}),
        "described.sensitive.age: there is a feature of this name already",
    ),
    "words of what is sensitive and made elsewhere": (
        put("described", "sensitive", "age", value={"description": "Age."}),
        "described.sensitive.age: there is a feature of this name already",
    ),
    "sensitive features in a list": (
        put("described", "sensitive", value=["age"]),
        "described.sensitive is a list: expected keys and values",
    ),
    "a misspelt key of what is sensitive": (
        put("described", "sensitive", "kids", value={"colum": "kidhome"}),
        "described.sensitive.kids.colum is not known (nearest: column)",
    ),
    "something sensitive of a column that is not there": (
        put("described", "sensitive", "kids", value={"column": "kidhom"}),
        "described.sensitive.kids.column: there is no column or earlier feature 'kidhom' (nearest: kidhome)",
    ),
    "a logarithm of a described category": (
        lambda said: (
            put("described", "tie", value={"regroup": "marital_status", "into": {"A": ["YOLO"]}, "otherwise": "B"})(
                said
            ),
            feature("log_tie", log="tie")(said),
        ),
        "features.log_tie.log: tie is a category, expected a number",
    ),
    "a limit on nothing": (
        put("clean", "limits", 2, "feature", value="agee"),
        "clean.limits[3]: there is no feature 'agee' (nearest: age)",
    ),
    "a limit on two": (
        put("clean", "limits", 2, "column", value="income"),
        "clean.limits[3]: expected a column or a feature, one of the two",
    ),
    "a limit without a bound": (
        drop("clean", "limits", 2, "maximum"),
        "clean.limits[3]: expected maximum or until, one of the two",
    ),
    "a limit below nothing": (
        put("clean", "limits", 3, "maximum", value=-1),
        "clean.limits[4].maximum is -1: expected 0 or more",
    ),
    "a part of a whole limit": (
        put("clean", "limits", 2, "maximum", value=80.5),
        "clean.limits[3].maximum is 80.5: age is a whole number",
    ),
    "a part of a limit on a sum": (
        put(
            "clean",
            "limits",
            2,
            value={"feature": "total_spending", "maximum": 0.5, "reason": "r", "meaning": "m", "detail": "d"},
        ),
        "clean.limits[3].maximum is 0.5: total_spending is a whole number",
    ),
    "a limit of a text": (
        put("clean", "limits", 3, "column", value="education"),
        "clean.limits[4].maximum: education is no number",
    ),
    "a reason that is no code": (
        put("clean", "limits", 2, "reason", value="Too old"),
        "clean.limits[3].reason is 'Too old': expected small letters, digits and underscores",
    ),
    "a reason twice": (
        put("clean", "limits", 2, "reason", value="income_above_limit"),
        "clean.limits: the reason income_above_limit stands at two of them",
    ),
    "a detail of no column": (
        put("clean", "limits", 2, "detail", value="Born in {yearbirth}"),
        "clean.limits[3].detail: {yearbirth} is no column (nearest: year_birth)",
    ),
    "worth of no feature": (
        put("business", "worth", value="total_spendings"),
        "business.worth: there is no number among the features 'total_spendings' (nearest: total_spending)",
    ),
    "worth of a category": (
        put("business", "worth", value="education"),
        "business.worth: there is no number among the features 'education'",
    ),
    "a part of no column": (
        put("business", "composition", "parts", "mnt_wine", value="wine"),
        "business.composition.parts: there is no column 'mnt_wine' (nearest: mnt_wines)",
    ),
    "a report of what nobody sees": (
        put("report", "told", value=["living_with"]),
        "report.told: there is no column that the model sees 'living_with' (nearest: living_with_",
    ),
    "a household of others": (
        put("business", "household", "pets", value="total_children"),
        "business.household.pets",
    ),
    "words of another kind": (
        put("features", "age", "words", "label", value=5),
        "features.age.words.label is 5: should be a valid string",
    ),
    "a suggestion that hangs on no number": (
        put("features", "recency", "words", "do", value={"more": "Call them", "but_less": "living_with_alone"}),
        "recency.words.do.but_less: there is no number that the model sees 'living_with_alone'",
    ),
    "a suggestion of another kind": (
        put("features", "recency", "words", "do", value={"most": "Call them"}),
        "features.recency.words.do.most is not known: expected one of more, less, like, at_least, but_less",
    ),
    "a mean without its value": (
        put("features", "age", "words", "mean", value="of many years"),
        "features.age.words.mean is 'of many years': ",
    ),
}


@pytest.mark.parametrize("what", WRONG_RECIPES)
def test_a_wrong_recipe_is_refused_with_its_place(tmp_path: Path, what: str) -> None:
    change, told = WRONG_RECIPES[what]
    said = copy.deepcopy(SHIPPED_RECIPE)
    change(said)
    with pytest.raises(DeclarationError) as caught:
        read(tmp_path, recipe=said)
    assert str(caught.value).startswith(f"{tmp_path / 'recipe.yaml'}: ")
    assert told in str(caught.value)
    assert str(caught.value).endswith(". Correct the file.")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected keys and values, found nothing. See the shipped files."),
        ("- a\n- b\n", "expected keys and values, found a list. See the shipped files."),
        # PyYAML's own loader and the one in C say it a little differently.
        ("a: [1\n", r"this is no YAML: .*expected ',' or '\]'.*, in line 2\. Correct the file\."),
        ("a: 1\nb: 2\na: 3\n", "this is no YAML: 'a' is said twice, in line 3. Correct the file."),
        ("a: !!python/object/apply:os.system [true]\n", "this is no YAML: could not determine a constructor"),
    ],
    ids=["empty", "a list", "not closed", "a key twice", "code"],
)
@pytest.mark.parametrize("name", ["contract", "recipe"])
def test_a_file_that_says_nothing_is_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        read(tmp_path, **{name: text})
    assert re.match(rf"{re.escape(f'{tmp_path / name}.yaml')}: {told}", str(caught.value))


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes("recipe: {name: größer}".encode("latin-1"))
    with pytest.raises(DeclarationError, match=r"recipe\.yaml: the text is not UTF-8\. Save it as UTF-8\."):
        read_declaration(tmp_path)


def test_of_many_faults_the_first_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    said = copy.deepcopy(SHIPPED_RECIPE)
    said["report"]["told"] = [f"none_{number}" for number in range(8)]
    with pytest.raises(DeclarationError) as caught:
        read(tmp_path, recipe=said)
    assert str(caught.value).count("there is no column that the model sees") == 5
    assert str(caught.value).endswith("(and 3 more). Correct the file.")


def test_a_home_goes_by_its_own_files_first(tmp_path: Path) -> None:
    contract, recipe = copy.deepcopy(SHIPPED_CONTRACT), copy.deepcopy(SHIPPED_RECIPE)
    column("income", physicalName="Yearly_Income")(contract)
    put("recipe", "name", value="ours")(recipe)
    put("clean", "limits", 2, "maximum", value=70)(recipe)
    declared = read(tmp_path, contract, recipe)
    assert declared.contract.by_name["income"].header == "Yearly_Income"
    assert (declared.recipe.name, declared.recipe.limits[2].maximum) == ("ours", 70)
    assert read_declaration(tmp_path, "reference").recipe.name == "reference"


def test_a_home_without_files_goes_by_the_shipped_ones(tmp_path: Path) -> None:
    assert read_declaration(tmp_path) == BEHAVIOURAL
    assert read_declaration(tmp_path, "reference") == REFERENCE
    assert REFERENCE.digest != BEHAVIOURAL.digest


def test_a_recipe_can_be_named_by_its_path(tmp_path: Path) -> None:
    said = copy.deepcopy(SHIPPED_RECIPE)
    put("recipe", "name", value="mine")(said)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    assert read_declaration(tmp_path / "home", str(path)).recipe.name == "mine"


@pytest.mark.parametrize("recipe", ["behaviour", "missing.yaml", ""])
def test_a_recipe_that_is_not_there_is_named_with_the_nearest(tmp_path: Path, recipe: str) -> None:
    with pytest.raises(CallError) as caught:
        read_declaration(tmp_path, recipe)
    near = " (nearest: behavioural)" if recipe == "behaviour" else ": expected one of behavioural, balanced, reference"
    assert str(caught.value) == f"--recipe {recipe!r} is not known{near}. Or name a file that ends in .yaml."


def test_a_recipe_that_is_based_on_nothing_is_refused(tmp_path: Path) -> None:
    told = r"recipe\.based_on: there is no recipe 'behaviour' \(nearest: behavioural\)"
    with pytest.raises(DeclarationError, match=told):
        read(tmp_path, recipe="recipe: {name: x, contract: y, based_on: behaviour}")


def test_a_home_can_change_a_shipped_recipe_in_one_thing(tmp_path: Path) -> None:
    head = {"name": "ours", "contract": "smartcart_customers", "based_on": "behavioural"}
    clean = copy.deepcopy(SHIPPED_RECIPE["clean"])
    clean["limits"][2]["maximum"] = 80
    declared = read(tmp_path, recipe={"recipe": head, "clean": clean})
    assert [limit.maximum for limit in declared.recipe.limits] == [None, None, 80, 600_000]
    assert declared.recipe.features == BEHAVIOURAL.recipe.features


def test_a_recipe_says_only_what_differs_from_the_one_that_it_is_based_on() -> None:
    assert (REFERENCE.recipe.features, REFERENCE.recipe.limits) == (
        BEHAVIOURAL.recipe.features,
        BEHAVIOURAL.recipe.limits,
    )
    assert REFERENCE.recipe.counts_outcomes
    assert not BEHAVIOURAL.recipe.counts_outcomes


@pytest.mark.parametrize("recipe", ["behavioural", "reference", "balanced"])
def test_a_declaration_that_is_kept_is_the_same(recipe: str) -> None:
    declared = shipped_declaration(recipe)
    again = read_declared(declared.document(), "a model")
    assert (again, again.digest) == (declared, declared.digest)


def test_what_a_night_of_an_earlier_version_kept_is_read():
    document = copy.deepcopy(shipped_declaration().document())
    document["recipe"]["clean"]["impute"] = document["recipe"]["clean"].pop("missing")
    assert read_declared(document, "a model").recipe == shipped_declaration().recipe


def test_a_kept_declaration_that_is_damaged_names_where_it_is_kept() -> None:
    document = copy.deepcopy(BEHAVIOURAL.document())
    drop("features", "age")(document["recipe"])
    with pytest.raises(HomeError, match=r"^a model: .*clean\.limits\[3\]: there is no feature 'age'") as caught:
        read_declared(document, "a model")
    assert str(caught.value).startswith("a model: described.sensitive.age: there is no such feature: say here how it")


def test_what_is_sensitive_may_be_made_where_it_is_listed(tmp_path: Path) -> None:
    said = copy.deepcopy(SHIPPED_RECIPE)
    put("described", value={"kids": {"column": "kidhome"}, "sensitive": {"teens": {"column": "teenhome"}, "age": {}}})(
        said
    )
    recipe = read(tmp_path, recipe=said).recipe
    assert recipe.sensitive == ("teens", "age")
    assert {name: recipe.by_name[name].role for name in ("kids", "teens", "age", "response")} == {
        "kids": "described",
        "teens": "described",
        # What another section makes, the model sees all the same.
        "age": "feature",
        "response": "outcome",
    }
    assert recipe.names == BEHAVIOURAL.recipe.names


def test_what_is_sensitive_may_be_described_or_an_outcome(tmp_path: Path) -> None:
    said = copy.deepcopy(SHIPPED_RECIPE)
    put("described", value={"kids": {"column": "kidhome"}, "sensitive": {"response": {}, "kids": {}}})(said)
    recipe = read(tmp_path, recipe=said).recipe
    assert recipe.sensitive == ("response", "kids")
    assert [feature.role for feature in recipe.features if feature.name in ("response", "kids")] == [
        "described",
        "outcome",
    ]


@pytest.mark.parametrize("described", [None, {}, {"sensitive": {}}])
def test_a_recipe_may_list_nothing_sensitive(tmp_path: Path, described: Any) -> None:
    said = copy.deepcopy(SHIPPED_RECIPE)
    (drop("described") if described is None else put("described", value=described))(said)
    assert read(tmp_path, recipe=said).recipe.sensitive == ()


def rest_on(base: str = "behavioural", /, **said: Any) -> dict[str, Any]:
    """A recipe that is based on another."""
    return {"recipe": {"name": "ours", "contract": "smartcart_customers", "based_on": base}} | said


def test_of_a_feature_that_is_only_named_the_base_says_the_rest(tmp_path: Path) -> None:
    told = {"told": ["income", "recency"], "summary": []}
    recipe = read(
        tmp_path,
        recipe=rest_on(
            # From its features, its outcomes, and once more said otherwise.
            features={"income": {}, "recency": None, "complain": {"column": "complain"}, "total_children": {}},
            described={"age": {}, "response": {}, "sensitive": {"education": {}}},
            outcomes={},
            business={},
            report=told,
        ),
    ).recipe
    made = {name: (feature.verb, feature.words) for name, feature in BEHAVIOURAL.recipe.by_name.items()}
    for name in ("income", "recency", "total_children", "age", "response", "education"):
        assert (recipe.by_name[name].verb, recipe.by_name[name].words) == made[name]
    assert recipe.by_name["complain"].verb != made["complain"][0]
    assert {feature.name: feature.role for feature in recipe.features} == {
        "income": "feature",
        "recency": "feature",
        "complain": "feature",
        "total_children": "feature",
        "age": "described",
        "response": "described",
        "education": "described",
    }
    assert recipe.sensitive == ("education",)


def test_a_feature_is_taken_from_any_section_of_the_base(tmp_path: Path) -> None:
    base = copy.deepcopy(SHIPPED_RECIPE)
    put("recipe", "name", value="base")(base)
    put("described", value={"kids": {"column": "kidhome"}, "sensitive": {"teens": {"column": "teenhome"}, "age": {}}})(
        base
    )
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base, sort_keys=False), encoding="utf-8")
    recipe = read(
        tmp_path,
        recipe=rest_on("base", features={"kids": {}, "teens": {}, "response": {}, "income": {}}, outcomes={})
        | {"described": {"recency": {}, "sensitive": {"teens": {}, "age": {}}}, "business": {}, "report": {}},
    ).recipe
    assert [(feature.name, feature.role) for feature in recipe.features] == [
        ("kids", "feature"),
        ("teens", "feature"),
        ("response", "feature"),
        ("income", "feature"),
        ("recency", "described"),
        ("age", "described"),
    ]
    assert recipe.by_name["teens"].verb == AsIs("teenhome")
    assert recipe.by_name["age"].verb == BEHAVIOURAL.recipe.by_name["age"].verb
    assert recipe.sensitive == ("teens", "age")


def test_a_name_that_the_base_does_not_know_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"features\.incme: expected one verb, found none"):
        read(tmp_path, recipe=rest_on(features={"incme": {}}))


def test_sections_that_a_recipe_does_not_say_are_the_bases(tmp_path: Path) -> None:
    recipe = read(tmp_path, recipe=rest_on(segments=5)).recipe
    base = BEHAVIOURAL.recipe
    assert (recipe.features, recipe.sensitive, recipe.fences) == (base.features, base.sensitive, base.fences)
    assert (recipe.segments, base.segments) == (5, None)


def test_a_recipe_may_be_based_on_one_that_is_based_on_another(tmp_path: Path) -> None:
    recipe = read(tmp_path, recipe=rest_on("balanced", segments=5)).recipe
    balanced = shipped_declaration("balanced").recipe
    assert (recipe.features, recipe.sensitive, recipe.fences) == (
        balanced.features,
        balanced.sensitive,
        balanced.fences,
    )
    assert (recipe.segments, balanced.segments) == (5, None)


@pytest.mark.parametrize("place", [("described",), ("described", "sensitive")])
def test_the_model_may_see_the_logarithm_of_what_is_only_described(tmp_path: Path, place: tuple[str, ...]) -> None:
    said = copy.deepcopy(SHIPPED_RECIPE)
    put(*place, "wine", value={"column": "mnt_wines"})(said)
    feature("log_wine", log="wine")(said)
    recipe = read(tmp_path, recipe=said).recipe
    names = [each.name for each in recipe.features]
    assert names.index("wine") < names.index("log_wine")
    assert (recipe.by_name["wine"].role, recipe.by_name["log_wine"].role) == ("described", "feature")
    assert "log_wine" in recipe.names
    assert "wine" not in recipe.names
    assert ("wine" in recipe.sensitive) == (place[-1] == "sensitive")


@pytest.mark.parametrize(("said", "fences"), [(4, 4.0), (0.5, 0.5), (None, None)])
def test_fences_are_any_number_above_zero_or_none(tmp_path: Path, said: float | None, fences: float | None) -> None:
    changed = copy.deepcopy(SHIPPED_RECIPE)
    put("fences", value=said)(changed)
    recipe = read(tmp_path, recipe=changed).recipe
    assert recipe.fences == fences
    assert bool(recipe.fenced) == (fences is not None)


@pytest.mark.parametrize(("said", "segments"), [(2, 2), (20, 20), ("auto", None)])
def test_a_recipe_asks_for_two_to_twenty_segments_or_lets_the_data_say(
    tmp_path: Path, said: int | str, segments: int | None
) -> None:
    changed = copy.deepcopy(SHIPPED_RECIPE)
    put("segments", value=said)(changed)
    assert read(tmp_path, recipe=changed).recipe.segments == segments


@pytest.mark.parametrize(
    ("missing", "nullable"),
    [({"recency": "median"}, True), ({"recency": 0}, True), ({"recency": "refuse"}, False)],
)
def test_a_required_column_may_have_values_that_stand_for_unknown(
    tmp_path: Path, missing: dict[str, Any], nullable: bool
) -> None:
    said = copy.deepcopy(SHIPPED_RECIPE)
    said["clean"]["missing"] |= missing
    put("clean", "unknown", value={"recency": [99, -1], "income": [0.5]})(said)
    declared = read(tmp_path, recipe=said)
    assert declared.recipe.unknown == {"recency": (99.0, -1.0), "income": (0.5,)}
    assert declared.contract.by_name["recency"].nullable == nullable
    assert not BEHAVIOURAL.contract.by_name["recency"].nullable
    again = read_declared(declared.document(), "a model")
    assert (again, again.digest) == (declared, declared.digest)


def test_whoever_calls_may_say_how_many_segments_there_shall_be(tmp_path: Path) -> None:
    declared = read_declaration(tmp_path, segments=7)
    assert (declared.recipe.segments, BEHAVIOURAL.recipe.segments) == (7, None)
    assert declared.recipe.features == BEHAVIOURAL.recipe.features
    assert declared.digest != BEHAVIOURAL.digest
    again = read_declared(declared.document(), "a model")
    assert (again, again.digest, again.recipe.segments) == (declared, declared.digest, 7)
    assert read_declaration(tmp_path, "reference", segments=3).recipe.segments == 3
    # It counts for more than what the recipe says, and leaves it alone where nobody asks.
    said = copy.deepcopy(SHIPPED_RECIPE)
    put("segments", value=5)(said)
    assert read(tmp_path, recipe=said).recipe.segments == 5
    assert read_declaration(tmp_path, segments=2).recipe.segments == 2


def test_what_may_do_better_than_a_shipped_recipe_is_the_balanced_one() -> None:
    balanced = shipped_declaration("balanced")
    assert find_alternative(BEHAVIOURAL) == find_alternative(REFERENCE) == balanced
    assert find_alternative(balanced) is None


def test_a_recipe_that_sees_the_same_has_no_alternative(tmp_path: Path) -> None:
    assert find_alternative(read_declaration(tmp_path, "balanced", segments=4)) is None
    weighed = copy.deepcopy(yaml.safe_load((SHIPPED / "balanced.yaml").read_text(encoding="utf-8")))
    put("recipe", "name", value="ours")(weighed)
    weighed["features"]["log_total_spending"]["weight"] = 2
    assert find_alternative(read(tmp_path, recipe=weighed)) == shipped_declaration("balanced")


def test_another_table_has_no_alternative(tmp_path: Path) -> None:
    assert find_alternative(declare_bikes()) is None
    # One of the same columns and another name, and one of the same name that lacks a column, or has it of another type.
    contract, recipe = copy.deepcopy(SHIPPED_CONTRACT), copy.deepcopy(SHIPPED_RECIPE)
    put("name", value="members")(contract)
    put("recipe", "contract", value="members")(recipe)
    assert find_alternative(read(tmp_path, contract, recipe)) is None
    without = tuple(each for each in CONTRACT if each.name != "recency")
    assert find_alternative(replace(BEHAVIOURAL, contract=replace(BEHAVIOURAL.contract, columns=without))) is None
    other = tuple(replace(each, type="DOUBLE") if each.name == "recency" else each for each in CONTRACT)
    assert find_alternative(replace(BEHAVIOURAL, contract=replace(BEHAVIOURAL.contract, columns=other))) is None
    further = (*CONTRACT, replace(BEHAVIOURAL.contract.by_name["recency"], name="visits", header="Visits"))
    wider = replace(BEHAVIOURAL, contract=replace(BEHAVIOURAL.contract, columns=further))
    assert find_alternative(wider) == shipped_declaration("balanced")


def test_any_column_can_be_the_key(tmp_path: Path) -> None:
    said = copy.deepcopy(SHIPPED_CONTRACT)
    column("customer_id", name="member", physicalName="Member No")(said)
    declared = read(tmp_path, contract=said)
    assert (declared.contract.key.name, declared.contract.key.header) == ("customer_id", "Member No")


def test_types_are_as_narrow_as_the_bounds_where_the_contract_names_no_type_of_ours(tmp_path: Path) -> None:
    said = copy.deepcopy(SHIPPED_CONTRACT)
    for name in ("recency", "complain", "customer_id"):
        column(name, physicalType="NUMBER(38,0)")(said)
    column("recency", logicalTypeOptions={"minimum": 0, "maximum": 40_000})(said)
    found = read(tmp_path, contract=said).contract.by_name
    assert [found[name].type for name in ("recency", "complain", "customer_id")] == ["INTEGER", "TINYINT", "BIGINT"]


def test_the_shipped_contract_names_every_column_of_the_sample() -> None:
    header = (Path(__file__).parents[2] / "data" / "smartcart_customers.csv").read_text().splitlines()[0]
    assert header.split(",") == [each.header for each in CONTRACT]
