"""The guides say what the code says, and what they show works."""

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from smartcart_pipeline.declaration.tables import RECORDS, SCHEMAS
from smartcart_pipeline.orchestration.night import run_job
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.conftest import REPOSITORY, SAMPLE
from smartcart_pipeline_tests.declared import CONTRACT, TABLES, VIEWS
from smartcart_pipeline_tests.foreign_tables import deliver
from smartcart_pipeline_tests.forked import smartcart

GUIDES = REPOSITORY / "docs" / "guides"
ASKED_IN = ("warehouse.md", "scoring.md", "bi.md")
QUESTIONS = [
    question
    for page in ASKED_IN
    for question in re.findall(r"```sql\n(.*?)```", (GUIDES / page).read_text(), re.DOTALL)
]
IDENTITY = GUIDES / "identity.md"
DESK = (GUIDES / "bi.md").read_text()


def contract_table() -> str:
    lines = ["| column | what it is | values |", "|---|---|---|"]
    for column in CONTRACT:
        limits = [f"{column.minimum:.9g} or more"] if column.minimum is not None else []
        limits += [f"{column.maximum:.9g} or less"] if column.maximum is not None else []
        values = ", ".join(f"`{category}`" for category in column.categories) or " and ".join(limits)
        kind = {"DATE": "a date", "VARCHAR": "", "DOUBLE": "a number, ", "INTEGER": "a number, "}
        text = kind.get(column.type, "a whole number, ") + values
        text += {"customer_id": "; no two the same", "income": "; may be missing"}.get(column.name, "")
        lines.append(f"| `{column.header}` | {column.description} | {text} |")
    return "\n".join(lines)


def warehouse_tables() -> str:
    lines = ["| schema | table | a row is | what it holds |", "|---|---|---|---|"]
    declared = (*TABLES.values(), *RECORDS.values(), *VIEWS.values())
    lines += [
        f"| `{schema}` | `{one.name}` | {one.grain} | {one.description} |"
        for schema in SCHEMAS
        for one in declared
        if one.schema == schema
    ]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def night(whole_night: None, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("docs"))
    run_job(home, {"input": str(SAMPLE), "recipe": "behavioural", "as_of": None}, quiet=True)
    return home


def test_the_export_guide_lists_the_contract():
    assert contract_table() in (GUIDES / "export.md").read_text()


def test_the_warehouse_guide_lists_the_tables():
    assert warehouse_tables() in (GUIDES / "warehouse.md").read_text()


IDENTITY_QUESTIONS = re.findall(r"```sql\n(.*?)```", IDENTITY.read_text(), re.DOTALL)
# On the first night of all nobody has moved, nothing is pending, and there is nothing to have drifted from.
NOT_YET = ("segment_migration", "nights_pending", "feature_drift")


@pytest.mark.parametrize("question", IDENTITY_QUESTIONS)
def test_every_question_about_identity_has_the_answer_of_a_first_night(night: Home, question: str):
    with duckdb.connect(str(night.warehouse), read_only=True) as warehouse:
        answer = warehouse.sql(question).fetchall()
    assert bool(answer) != any(name in question for name in NOT_YET)


def test_the_questions_about_identity_agree_with_the_published_segments(night: Home):
    def ask(about: str) -> list[tuple[Any, ...]]:
        asked = {re.findall(r"FROM (?:\w+\.)?(\w+)", question)[0]: question for question in IDENTITY_QUESTIONS}
        return warehouse.sql(asked[about]).fetchall()

    with duckdb.connect(str(night.warehouse), read_only=True) as warehouse:
        sizes = warehouse.sql("SELECT segment_id, customers FROM profiles ORDER BY ALL").fetchall()
        assert ask("segment_membership") == sizes
        assert [(row[1], row[2], row[3]) for row in ask("segment_events")] == [(s, "born", None) for s, _ in sizes]
        [(number, _, replaces, version, is_promoted, _)] = ask("nights")
        assert (number, replaces, version, is_promoted) == (1, None, "v1", True)
        assert [row[-1] for row in ask("promotion_decisions")] == [True]


def test_the_gate_is_set_as_the_guide_says():
    settings = Settings(input=None)
    told = dict(re.findall(r"\| `(m(?:in|ax)_\w+)` \| ([\d.]+) \|", IDENTITY.read_text()))
    assert len(told) == 7
    assert {name: float(value) for name, value in told.items()} == {name: getattr(settings, name) for name in told}
    assert f"`band` ({settings.band:g})" in IDENTITY.read_text()
    assert f"`band_nights` ({settings.band_nights})" in IDENTITY.read_text()


def test_there_are_questions():
    assert len(QUESTIONS) >= 9


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_has_an_answer(night: Home, question: str):
    with duckdb.connect(str(night.warehouse), read_only=True) as warehouse:
        assert warehouse.sql(question).fetchall()


def test_the_queries_of_the_desk_have_the_same_answers_in_an_older_duckdb(night: Home, older_duckdb: Path):
    """Drivers of other tools bring an older one."""
    queries = re.findall(r"```sql\n(.*?)```", DESK, re.DOTALL)
    ask = (
        "import duckdb, json, sys\n"
        "with duckdb.connect(sys.argv[1], read_only=True) as warehouse:\n"
        "    print(json.dumps([warehouse.sql(query).fetchall() for query in sys.argv[2:]], default=str))\n"
    )
    done = subprocess.run(
        [older_duckdb, "-c", ask, str(night.warehouse.resolve()), *queries], check=True, capture_output=True, text=True
    )
    with duckdb.connect(str(night.warehouse), read_only=True) as warehouse:
        answers = [warehouse.sql(query).fetchall() for query in queries]
    assert json.loads(done.stdout) == json.loads(json.dumps(answers, default=str))


def test_the_python_of_the_desk_draws_a_line_for_each_segment(night: Home, tmp_path: Path):
    [code] = re.findall(r"```python\n(.*?)```", DESK, re.DOTALL)
    (tmp_path / "data").symlink_to(night.root)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    with duckdb.connect(str(night.warehouse), read_only=True) as warehouse:
        sizes = [size for (size,) in warehouse.sql("SELECT customers FROM profiles ORDER BY segment_id").fetchall()]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("2014-")]
    assert [int(size) for size in line.split()[1:]] == sizes


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/guides/{p.name}" for p in GUIDES.iterdir())]
)
def test_links_lead_somewhere(page: str):
    path = REPOSITORY / page
    links = re.findall(r"\]\((?!http)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_path_the_readme_shows_exists():
    text = (REPOSITORY / "README.md").read_text()
    named = re.findall(r"`(smartcart_pipeline(?:_tests)?/[\w./]*)`", text)
    assert named
    assert [name for name in named if not Path(REPOSITORY / name).exists()] == []


CUSTOMERS_GUIDE = GUIDES / "customers.md"
COMMANDS = [
    command
    for block in re.findall(r"```\n(smartcart .*?)```", CUSTOMERS_GUIDE.read_text(), re.DOTALL)
    for command in block.splitlines()
]


def test_the_commands_from_a_file_to_a_campaign_work_in_their_order(whole_night: None, tmp_path: Path):
    deliver("telco_churn", tmp_path, customers=600, seed=7).rename(tmp_path / "customers.csv")
    assert [command.split()[1] for command in COMMANDS] == [
        "init",
        "contract",
        "contract",
        "run",
        "report",
        "sql",
        "run",
        "audience",
        "score",
    ]
    [audiences] = re.findall(r"```yaml\n(audiences:.*?)```", CUSTOMERS_GUIDE.read_text(), re.DOTALL)
    for command in COMMANDS:
        if command.split()[1] == "sql":
            (tmp_path / "shop" / "audiences.yaml").write_text(audiences)
        done = smartcart(*shlex.split(command)[1:], cwd=tmp_path)
        assert done.returncode == 0, (command, done.stderr)
    with (tmp_path / "shop" / "audiences" / "call" / "current" / "list.csv").open(encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert {row["segment_id"] for row in listed} == {"S03"}
    with open_warehouse(tmp_path / "shop" / "warehouse.duckdb") as warehouse:
        [(treated, held_out)] = warehouse.execute("SELECT treated, held_out FROM audiences").fetchall()
    assert len(listed) == treated
    assert held_out > 0
    assert len((tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()) == 601
