"""`smartcart contract`, as people run it: what is wrong with a contract, and what one says."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from smartcart_pipeline.declaration.declaration import SHIPPED
from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.declared import CONTRACT

SHIPPED_CONTRACT = SHIPPED / "contract.yaml"


def contract(*arguments: object, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return forked.smartcart("contract", *arguments, env=forked.usual_environment() | {"COLUMNS": str(columns)})


def put(path: Path, **columns: dict[str, Any]) -> Path:
    """The shipped contract, with some of its columns changed."""
    said = yaml.safe_load(SHIPPED_CONTRACT.read_text(encoding="utf-8"))
    for part in said["schema"][0]["properties"]:
        part.update(columns.get(part["name"], {}))
    path.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    return path


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]


def test_a_contract_in_order_is_told_so():
    done = contract("check", SHIPPED_CONTRACT)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"{SHIPPED_CONTRACT}: 22 columns, key ID: nothing is wrong\n",
        "",
    )


def test_all_faults_are_told_each_on_its_own_line(tmp_path: Path):
    names = ["income", "recency", "kidhome", "teenhome", "complain", "response", "num_web_purchases"]
    path = put(tmp_path / "contract.yaml", **{name: {"logicalType": "nummber"} for name in names})
    done = contract("check", path)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == len(names)
    assert lines[0] == f"{path}: schema[1].properties[5] (income).logicalType is 'nummber' (nearest: number)"
    assert json.loads(contract("check", path, "--json").stdout) == {
        "file": str(path),
        "columns": None,
        "faults": [line.removeprefix(f"{path}: ") for line in lines],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1\n", "this is no YAML: "),
        ("", "expected keys and values, found nothing. See the shipped files."),
        ("kind: DataContract\nschema: [1]\n", "schema[1] is 1: expected keys and values"),
    ],
)
def test_a_file_that_is_no_contract_is_told_so(tmp_path: Path, text: str, told: str):
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    done = contract("check", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{path}: {told}")
    assert contract("show", path).stderr.startswith(f"smartcart: {path}: {told}")


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_contract_that_is_not_there_is_named(tmp_path: Path, command: str):
    done = contract(command, tmp_path / "none.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"smartcart: {tmp_path / 'none.yaml'}: no such file. Name a contract.\n"


def test_of_each_column_is_shown_what_it_must_be(tmp_path: Path):
    path = put(
        tmp_path / "contract.yaml",
        income={"synonyms": [{"synonym": "Einkommen"}, {"synonym": "[b]Earnings"}]},
        education={"enum": [], "logicalTypeOptions": {"maxLength": 20}, "unique": True},
    )
    done = contract("show", "--home", tmp_path, columns=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"smartcart_customers: 22 columns, {path}"
    rows = cells(done.stdout)
    assert rows[:2] == [
        ["ID", "BIGINT", "key; 0 or more", "The company's own number for the customer."],
        ["customer_id", "required", "", ""],
    ]
    assert ["Year_Birth", "SMALLINT", "1850 to 2200", "Year of birth."] in rows
    assert "no two the same; 20 characters or fewer" in " ".join(row[2] for row in rows)
    income = rows.index(["Income", "DOUBLE", "0 or more", "Yearly household income, in currency units."])
    assert [row[:2] for row in rows[income + 1 : income + 4]] == [
        ["income", "optional"],
        ["or Einkommen", ""],
        ["or [b]Earnings", ""],
    ]


@pytest.mark.parametrize("columns", [40, 69, 70, 80, 120, 200])
def test_no_line_is_wider_than_the_window_and_nothing_is_lost(columns: int):
    done = contract("show", SHIPPED_CONTRACT, columns=columns)
    assert done.returncode == 0
    head, *lines = done.stdout.splitlines()
    assert head.startswith("smartcart_customers: 22 columns, ")
    assert max(map(len, lines)) <= columns
    words = set(re.sub("[│,]", " ", done.stdout).split())
    assert {name for column in CONTRACT for name in (column.header, column.type)} <= words
    assert {word for column in CONTRACT for word in column.description.replace(",", " ").split()} <= words


def test_a_home_without_a_contract_goes_by_the_shipped_one(tmp_path: Path):
    said = json.loads(contract("show", "--home", tmp_path, "--json").stdout)
    assert (said["name"], said["file"]) == ("smartcart_customers", str(SHIPPED_CONTRACT))
    assert [column["header"] for column in said["columns"]] == [column.header for column in CONTRACT]
    assert said["columns"][2] == {
        "header": "Education",
        "synonyms": [],
        "name": "education",
        "type": "VARCHAR",
        "is_key": False,
        "is_required": True,
        "is_unique": False,
        "is_rounded": False,
        "minimum": None,
        "maximum": None,
        "shortest": None,
        "longest": None,
        "values": ["Basic", "2n Cycle", "Graduation", "Master", "PhD"],
        "classification": "personal",
        "description": "Highest education, as delivered.",
    }
