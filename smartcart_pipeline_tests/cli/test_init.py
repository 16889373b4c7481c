"""`smartcart init`, as people run it: what it says, what it writes, and what it leaves alone."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.exports.test_drafting import PLAIN, ROWS, put_csv, telephone_company


def init(*arguments: object, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return forked.smartcart("init", *arguments, env=forked.usual_environment() | {"COLUMNS": str(columns)})


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    return put_csv(tmp_path / "customers.csv", telephone_company())


def test_it_drafts_both_files_and_says_what_it_took_each_column_for(customers: Path, tmp_path: Path):
    home = tmp_path / "new" / "shop"
    done = init(customers, "--home", home)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].rstrip() == "300 customers, 12 columns"
    assert max(map(len, lines[: lines.index(next(line for line in lines if line.startswith("└")))])) <= 80
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert rows[0] == ["customerID", "id", "named like an id, unique and never"]
    assert ["MonthlyCharges", "money", "18.25 to 118.75, never missing"] in rows
    # At this width it takes three lines.
    assert rows[2][:2] == ["gender", "described,"]
    assert [row[1] for row in rows[3:5]] == ["sensitive:", "category"]
    assert "Note: All is counted to the newest day of “JoinDate”, 2023-12-28 in this file." in lines
    assert lines[-3:] == [
        f"Drafted    {home / 'contract.yaml'}",
        f"Drafted    {home / 'recipe.yaml'}",
        f"Read them, then: smartcart run --input {customers} --home {home}",
    ]
    assert sorted(path.name for path in home.iterdir()) == ["contract.yaml", "recipe.yaml"]
    said = yaml.safe_load((home / "recipe.yaml").read_text(encoding="utf-8"))
    assert said["recipe"] == {"name": "shop", "contract": "customers"}


def test_it_says_what_is_sensitive_and_what_is_only_shown(tmp_path: Path):
    columns = {
        "id": range(ROWS),
        **PLAIN,
        "Age": [20 + row * 7 % 50 for row in range(ROWS)],
        "Complain": [int(row < 3) for row in range(ROWS)],
    }
    path = put_csv(tmp_path / "customers.csv", columns)
    done = init(path, "--home", tmp_path / "shop", columns=200)
    assert (done.returncode, done.stderr) == (0, "")
    told: dict[str, list[str]] = {}
    name = ""
    for line in done.stdout.splitlines():
        if line.startswith("│"):
            header, *cells = (cell.strip() for cell in line.split("│")[1:-1])
            name = header or name
            told[name] = [f"{said} {cell}".strip() for said, cell in zip(told.get(name, ["", ""]), cells, strict=True)]
    assert told["Age"] == [
        "described, sensitive: age",
        "sensitive: shown of segments, and forms none; 20 to 69, never missing",
    ]
    kind, why = told["Complain"]
    assert kind == "described: flag"
    assert why.startswith("so few customers have it that it would be a component of its own: shown of segments, and ")
    assert why.endswith("; 1 and 0, 1.5% yes, never missing")
    assert "Note: Too little" not in done.stdout
    few = put_csv(tmp_path / "few.csv", {name: columns[name] for name in ("id", "spent", "Age")})
    done = init(few, "--home", tmp_path / "few", columns=200)
    assert "Note: Too little else describes a customer: what is sensitive forms the segments, too (Age)." in done.stdout


@pytest.mark.parametrize("there", ["contract.yaml", "recipe.yaml"])
def test_it_replaces_nothing_unless_it_is_told_to(customers: Path, tmp_path: Path, there: str):
    home = tmp_path / "shop"
    home.mkdir()
    (home / there).write_text("mine\n")
    done = init(customers, "--home", home)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"smartcart: {home / there} is there already. Name another --home, or have both files replaced with --force.\n"
    )
    assert [(path.name, path.read_text()) for path in home.iterdir()] == [(there, "mine\n")]
    done = init(customers, "--home", home, "--force")
    assert done.returncode == 0
    assert "mine" not in (home / there).read_text()
    assert sorted(path.name for path in home.iterdir()) == ["contract.yaml", "recipe.yaml"]


def test_where_nothing_can_be_found_nothing_is_written(tmp_path: Path):
    path = put_csv(tmp_path / "customers.csv", {"id": range(ROWS), "country": ["NO"] * ROWS})
    done = init(path, "--home", tmp_path / "shop")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"smartcart: {path}: nothing describes a customer: 0 columns are left")
    assert not (tmp_path / "shop").exists()
    done = init(tmp_path / "none.csv", "--home", tmp_path / "shop")
    assert (done.returncode, done.stderr) == (
        2,
        f"smartcart: {tmp_path / 'none.csv'}: no such file. Name a file of customers.\n",
    )


def test_a_header_moves_nothing_on_the_screen(tmp_path: Path):
    path = put_csv(
        tmp_path / "customers.csv", {**PLAIN, "\x1b[31mred": PLAIN["score"][::-1], "[b]bold[/b]": PLAIN["orders"][::-1]}
    )
    done = init(path, "--home", tmp_path / "shop", columns=200)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\\x1b[31mred" in done.stdout
    assert "[b]bold[/b]" in done.stdout


def test_a_home_that_cannot_be_written_is_told(customers: Path, tmp_path: Path):
    if os.geteuid() == 0:
        (tmp_path / "file").write_text("")
        home = tmp_path / "file" / "shop"
    else:
        home = tmp_path / "closed"
        home.mkdir(mode=0o500)
    done = init(customers, "--home", home)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
