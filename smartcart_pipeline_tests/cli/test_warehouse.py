"""What people do with publications by the command: ask, list, go back; and what two nights leave for them to ask."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from smartcart_pipeline.cli.screen import FIRST_ROWS, LAST_ROWS
from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.declaration.tables import RECORDS
from smartcart_pipeline.engines.lineage import trace_tables
from smartcart_pipeline.orchestration.definitions import build_defs
from smartcart_pipeline.orchestration.night import open_records, run_job
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import find_publication, kept_publications, run_of
from smartcart_pipeline.storage.questions import WRITERS, write_text
from smartcart_pipeline.storage.questions import ask as asking
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.conftest import SAMPLE
from smartcart_pipeline_tests.declared import BY_NAME, CONTRACT, TABLES, VIEWS
from smartcart_pipeline_tests.terminal import watch


def smartcart(*arguments: object, width: int = 120) -> subprocess.CompletedProcess[str]:
    return forked.smartcart(*arguments, env=forked.usual_environment() | {"COLUMNS": str(width)})


def run(home: Home, **settings: Any) -> str:
    outcome = run_job(home, {"input": str(SAMPLE), "recipe": "behavioural", **settings}, quiet=True)
    return str(outcome["run_id"])


@pytest.fixture(scope="module")
def nights(whole_night: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, str, str]]:
    """A home after two nights, and their runs. The second night has its large tables in the lake."""
    home = Home(tmp_path_factory.mktemp("nights") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("SMARTCART_HOME", "")
        first, second = run(home, as_of="2015-01-31"), run(home, copied_rows=1_000)
        yield home, first, second


@pytest.fixture
def home(nights: tuple[Home, str, str]) -> Home:
    return nights[0]


def rows(home: Home, query: str, *options: object) -> Any:
    done = smartcart("sql", query, "--home", home.root, "--format", "json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def ask(home: Home, query: str) -> list[tuple[Any, ...]]:
    with open_warehouse(home.warehouse) as warehouse:
        return warehouse.sql(query).fetchall()


# Asking


def test_a_question_is_answered_from_the_published_run_or_from_another(nights: tuple[Home, str, str]) -> None:
    home, first, second = nights
    query = "SELECT run_id, as_of_date, export_name, row_counts FROM publication"
    [now] = rows(home, query)
    [before] = rows(home, query, "--as-of-run", first[:8])
    assert (now["run_id"], now["as_of_date"]) == (second, "2014-06-29")
    assert (before["run_id"], before["as_of_date"]) == (first, "2015-01-31")
    assert now["row_counts"] == {name: ask(home, f"SELECT count(*) FROM {name}")[0][0] for name in TABLES}


def test_piped_an_answer_is_all_rows_in_plain_lines(home: Home) -> None:
    query = "FROM customer_360 ORDER BY customer_id"
    done = smartcart("sql", query, "--home", home.root, width=80)
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = done.stdout.splitlines()
    assert header.split("\t") == [column.name for column in VIEWS["customer_360"].columns]
    texts = ask(home, f"SELECT COLUMNS(*)::VARCHAR FROM ({query})")
    assert [line.split("\t") for line in lines] == [[text or "" for text in row] for row in texts]


def test_what_would_break_a_plain_line_becomes_a_space(home: Home) -> None:
    done = smartcart("sql", "SELECT E'a\\tb\\r\\nc' AS \"x\ty\", NULL AS z, 'ü│\"' AS w", "--home", home.root)
    assert done.stdout == 'x y\tz\tw\na b c\t\tü│"\n'


def shown(home: Home, query: str, columns: int) -> tuple[list[str], list[list[str]], list[str]]:
    """What a terminal of so many columns shows of an answer: all lines, the cells of the headers, and other cells."""
    command = [sys.executable, "-m", "smartcart_pipeline.cli.main", "sql", query, "--home", str(home.root)]
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("SMARTCART", "COLUMNS"))}
    code, screen = watch(command, environment, columns)
    assert code == 0, screen
    lines = re.sub(r"\x1b\[[\d;]*m", "", screen).splitlines()
    headers = [[cell.strip() for cell in line.split("┃")[1:-1]] for line in lines if "┃" in line]
    return lines, headers, [line for line in lines if "│" in line]


def test_on_a_terminal_an_answer_that_fits_is_one_table(home: Home) -> None:
    query = "SELECT segment_id, customers FROM profiles ORDER BY 1"
    lines, headers, cells = shown(home, query, 80)
    assert headers == [["segment_id", "customers"]]
    found = [[cell.strip() for cell in line.split("│")[1:-1]] for line in cells]
    assert found == [[segment, str(count)] for segment, count in ask(home, query)]
    assert lines[-1].startswith("└")


@pytest.mark.parametrize("columns", [80, 200])
def test_on_a_terminal_a_wide_and_long_answer_shows_every_column_and_both_ends(home: Home, columns: int) -> None:
    query = "FROM customer_360 ORDER BY customer_id"
    lines, headers, cells = shown(home, query, columns)
    assert max(map(len, lines)) <= columns
    assert {names[0] for names in headers} == {"row"}
    assert [name for names in headers for name in names[1:]] == [c.name for c in VIEWS["customer_360"].columns]
    # The first block has the ids.
    ids = [str(customer) for (customer,) in ask(home, f"SELECT customer_id FROM ({query})")]
    rows = [[cell.strip() for cell in line.split("│")[1:3]] for line in cells[: FIRST_ROWS + 1 + LAST_ROWS]]
    numbers = [f"{number:,}" for number in range(1, len(ids) + 1)]
    ends = [[number, customer] for number, customer in zip(numbers, ids, strict=True)]
    assert rows == [*ends[:FIRST_ROWS], ["…", "…"], *ends[-LAST_ROWS:]]
    assert lines[-1 if columns == 200 else -2].startswith(f"{len(ids):,} rows: the first 20 and the last 10.")


@pytest.mark.parametrize("rows", [0, 1, FIRST_ROWS, FIRST_ROWS + 1, FIRST_ROWS + LAST_ROWS])
def test_on_a_terminal_an_answer_that_is_not_long_is_shown_whole(home: Home, rows: int) -> None:
    lines, headers, cells = shown(home, f"SELECT range AS n FROM range({rows})", 80)
    assert headers == [["n"]]
    assert [line.strip("│ ") for line in cells] == [str(number) for number in range(rows)]
    assert (lines[-1] == "No rows.") == (rows == 0)


def test_on_a_terminal_long_texts_are_folded_and_nothing_moves_the_cursor(home: Home) -> None:
    text = "segments " * 20
    lines, headers, _ = shown(home, f"SELECT '{text}' AS a, chr(27) || '[2J' AS b, 'x' AS {'name_' * 20}", 80)
    assert max(map(len, lines)) <= 80
    assert [len(names) for names in headers][-1] == 2
    # A name that is longer than the screen is folded, not cut.
    names = "".join(names[-1] for names in headers)
    assert names.endswith("name_" * 20)
    words = "".join(line.split("│")[2] for line in lines if line.startswith("│"))
    assert text.replace(" ", "") in words.replace(" ", "")
    assert "\\x1b[2J" in "".join(lines)


@pytest.mark.parametrize("name", ["table", "csv", "json"])
def test_whoever_reads_no_further_ends_the_answer_without_a_word(home: Home, name: str) -> None:
    command = [sys.executable, "-m", "smartcart_pipeline.cli.main", "sql", "FROM range(2_000_000)", "--format", name]
    with subprocess.Popen([*command, "--home", home.root], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        assert asked.stdout
        assert asked.stderr
        assert asked.stdout.readline()
        asked.stdout.close()
        assert asked.stderr.read() == b""


# Each kind of value that DuckDB knows, as CSV and as JSON; and the type in which a Parquet file keeps it.
KINDS = {
    "INTERVAL '1 year 2 days 3 hours'": ("1 year 2 days 03:00:00", "1 year 2 days 03:00:00", "string"),
    "[INTERVAL 1 day]": ('["1 day"]', ["1 day"], "list<element: string>"),
    "{'a b': TIMETZ '12:00:00+02', 'c': [1]}": (
        '{"a b": "12:00:00+02", "c": [1]}',
        {"a b": "12:00:00+02", "c": [1]},
        "struct<a b: string, c: list<element: int32>>",
    ),
    "MAP {'k': INTERVAL 1 day}": ('{"k": "1 day"}', {"k": "1 day"}, "map<string, string ('v')>"),
    "array_value(INTERVAL 1 day, NULL)": ('["1 day", null]', ["1 day", None], "fixed_size_list<element: string>[2]"),
    "uuid '12345678-1234-1234-1234-123456789012'": (*["12345678-1234-1234-1234-123456789012"] * 2, "string"),
    "TIME '12:34:56'": ("12:34:56", "12:34:56", "time64[us]"),
    "TIMETZ '12:34:56+02'": ("12:34:56+02", "12:34:56+02", "string"),
    "TIMESTAMP '2024-01-02 03:04:05'": ("2024-01-02 03:04:05", "2024-01-02T03:04:05", "timestamp[us]"),
    "TIMESTAMP_NS '2024-01-02 03:04:05.000000007'": (
        "2024-01-02 03:04:05.000000007",
        "2024-01-02T03:04:05.000000007",
        "timestamp[ns]",
    ),
    "(-1)::HUGEINT": ("-1", -1, "decimal128(38, 0)"),
    "340282366920938463463374607431768211455::UHUGEINT": (*["340282366920938463463374607431768211455"] * 2, "string"),
    "1.50::DECIMAL(10, 2)": ("1.50", 1.5, "decimal128(10, 2)"),
    "'\\xAA\\x00ab'::BLOB": ("\\xAA\\x00ab", "\\xAA\\x00ab", "binary"),
    "'10101'::BIT": ("10101", "10101", "string"),
    "'b'::ENUM ('a', 'b')": ("b", "b", "dictionary<values=string, indices=uint8, ordered=0>"),
    "union_value(days := INTERVAL 1 day)": ("1 day", "1 day", "string"),
    "'{\"a\": [1]}'::JSON": ('{"a": [1]}', '{"a": [1]}', "string"),
    "'nan'::DOUBLE": ("nan", None, "double"),
    "'inf'::DOUBLE": ("inf", None, "double"),
    "0.1::FLOAT": ("0.1", pytest.approx(0.1), "float"),
    "true": ("true", True, "bool"),
    "NULL": ("", None, "null"),
}


@pytest.mark.parametrize(("value", "expected"), KINDS.items(), ids=KINDS)
def test_every_kind_of_value_is_written_as_what_it_is(home: Home, value: str, expected: tuple[str, Any, str]) -> None:
    as_csv, as_json, kept_as = expected
    query, publication = f'SELECT {value} AS v, 2 AS "a""b", 3 AS "a""b"', find_publication(home)

    def written(name: str) -> bytes:
        file = io.BytesIO()
        with asking(home, publication, query, name) as answer:
            assert answer.rows.schema.names == ["v", 'a"b', 'a"b']
            WRITERS.get(name, write_text)(answer.rows, file)
        return file.getvalue()

    assert json.loads(written("json")) == [{"v": as_json, 'a"b': 3}]
    assert list(csv.reader(io.StringIO(written("csv").decode())))[1][0] == as_csv
    [(text,)] = duckdb.connect().execute(f"SELECT ({value})::VARCHAR").fetchall()
    assert written("table").decode().splitlines()[1] == f"{text or ''}\t2\t3"
    assert str(pq.read_schema(io.BytesIO(written("parquet"))).types[0]) == kept_as


def test_a_file_holds_all_rows_in_each_format(home: Home, tmp_path: Path) -> None:
    query = "SELECT customer_id, segment_id, confidence, dt_customer FROM customer_360 ORDER BY customer_id"
    expected = [
        {"customer_id": a, "segment_id": b, "confidence": c, "dt_customer": d} for a, b, c, d in ask(home, query)
    ]
    for kind in ("csv", "json", "parquet"):
        output = tmp_path / f"answer.{kind}"
        done = smartcart("sql", query, "--home", home.root, "--format", kind, "--output", output)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert pq.read_table(tmp_path / "answer.parquet").to_pylist() == expected
    as_text = [row | {"dt_customer": str(row["dt_customer"])} for row in expected]
    assert json.loads((tmp_path / "answer.json").read_text()) == as_text
    with (tmp_path / "answer.csv").open(newline="") as file:
        found = [
            row | {"customer_id": int(row["customer_id"]), "confidence": pytest.approx(float(row["confidence"]))}
            for row in csv.DictReader(file)
        ]
    assert found == as_text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answer.csv", "answer.json", "answer.parquet"]


def test_a_spreadsheet_takes_no_text_of_a_csv_for_a_formula(home: Home) -> None:
    query = "SELECT '=1+1' AS \"@a\", '-x' AS b, -2 AS c, ['+x'] AS d, '\t=' AS e, 'x=1' AS f, NULL AS g, -1.5 AS h"
    done = smartcart("sql", query, "--home", home.root, "--format", "csv")
    assert list(csv.reader(done.stdout.splitlines())) == [
        ["'@a", "b", "c", "d", "e", "f", "g", "h"],
        ["'=1+1", "'-x", "-2", '["+x"]', "'\t=", "x=1", "", "-1.5"],
    ]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM profilez", "There is no table profilez. Nearest: profiles."),
        ("SELECT incme FROM features", 'Referenced column "incme" not found'),
        ("SELEC 1", "syntax error"),
        ("", "The warehouse is for reading: give one SELECT"),
        ("SELECT 1; SELECT 2", "The warehouse is for reading: give one SELECT"),
        ("CREATE TABLE mine AS SELECT 1", "The warehouse is for reading: give one SELECT"),
        ("COPY features TO '{inside}'", "The warehouse is for reading: give one SELECT"),
        ("ATTACH '{inside}' AS mine", "The warehouse is for reading: give one SELECT"),
        ("SET enable_external_access = true", "The warehouse is for reading: give one SELECT"),
        ("EXPLAIN ANALYZE COPY features TO '{inside}'", "The warehouse is for reading: give one SELECT"),
        ("FROM read_text('/etc/hostname')", "The question reaches outside the warehouse"),
        ("FROM glob('/etc/*')", "The question reaches outside the warehouse"),
        ("FROM read_csv('{lake}/../../../../../../../../etc/passwd')", "The question reaches outside the warehouse"),
    ],
)
def test_what_cannot_be_asked_is_told_with_what_to_do(home: Home, query: str, said: str) -> None:
    inside = home.lake / "mine"
    done = smartcart("sql", query.format(inside=inside, lake=home.lake), "--home", home.root)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.startswith("smartcart: ")
    assert "Traceback" not in done.stderr
    assert not inside.exists()


def test_an_answer_that_breaks_off_leaves_the_way_free_for_the_next(home: Home) -> None:
    """In one process: what was left unread would keep the connection, and the next question waiting for ever."""
    broken_off, next_one = io.BytesIO(), io.BytesIO()
    publication = find_publication(home)
    with (
        pytest.raises(CallError, match="A date of the answer cannot be written"),
        asking(home, publication, "SELECT DATE '290000-01-01' AS day FROM range(200_000)", "json") as answer,
    ):
        WRITERS["json"](answer.rows, broken_off)
    with asking(home, publication, "SELECT count(*) AS n FROM clusters", "json") as answer:
        WRITERS["json"](answer.rows, next_one)
    assert json.loads(next_one.getvalue())[0]["n"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "xml"], "--format 'xml' is not known. Choose one of table, csv, json, parquet."),
        (["--format", "parquet"], "--format parquet needs a file: --output FILE."),
        (["--output", "answer.csv"], "--output needs a format for files: --format csv, json or parquet."),
        (["--as-of-run", "nonesuch"], "No publication of run nonesuch is kept: "),
        (["--format", "csv", "--output", "/proc/nowhere/answer.csv"], "/proc/nowhere/answer.csv: cannot be written"),
    ],
)
def test_a_bad_call_is_told_with_what_to_do(home: Home, options: list[str], said: str) -> None:
    done = smartcart("sql", "SELECT 1", "--home", home.root, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_home_without_a_publication_is_told(tmp_path: Path) -> None:
    done = smartcart("sql", "SELECT 1", "--home", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"smartcart: Nothing has been published in {tmp_path} yet: smartcart run")
    assert smartcart("warehouse", "list", "--home", tmp_path).stdout.startswith("Nothing has been published")
    assert list(tmp_path.iterdir()) == []


def test_the_older_duckdb_reads_every_table_and_view(home: Home, older_duckdb: Path) -> None:
    declared = {**TABLES, **RECORDS, **VIEWS}
    names = [f"{one.schema}.{name}" for name, one in declared.items()]
    program = (
        "import duckdb, json, sys\n"
        "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
        "rows = {name: connection.sql(f'SELECT count(*), sum(hash(t)) FROM {name} t').fetchall()[0][0]\n"
        "        for name in sys.argv[2:]}\n"
        "comments = connection.sql('SELECT count(comment) FROM duckdb_columns() WHERE NOT internal').fetchall()\n"
        "print(json.dumps([duckdb.__version__, rows, comments[0][0]]))\n"
    )
    for path in (home.warehouse, kept_publications(home)[-1]):
        done = subprocess.run(
            [older_duckdb, "-c", program, path, *names], capture_output=True, text=True, check=True, timeout=100
        )
        version, counts, comments = json.loads(done.stdout)
        assert version.startswith("1.5.")
        with open_warehouse(path) as newer:
            assert counts == {name: newer.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in names}
            [(expected,)] = newer.sql("SELECT count(comment) FROM duckdb_columns() WHERE NOT internal").fetchall()
        assert comments == expected > 100


# Views


def test_every_view_has_the_declared_columns(home: Home) -> None:
    for name, view in VIEWS.items():
        described = ask(home, f"DESCRIBE {name}")
        assert [(column, kind) for column, kind, *_ in described] == [(c.name, c.type) for c in view.columns]
        for column in view.columns:
            if column.minimum is not None:
                assert ask(home, f"SELECT count(*) FROM {name} WHERE {column.name} < {column.minimum}") == [(0,)]
            if column.maximum is not None:
                assert ask(home, f"SELECT count(*) FROM {name} WHERE {column.name} > {column.maximum}") == [(0,)]


def test_every_customer_is_in_customer_360_once_and_sure_ones_are_near_their_centroid(home: Home) -> None:
    assert ask(home, "SELECT count(*), count(DISTINCT customer_id) FROM customer_360") == ask(
        home, "SELECT count(*), count(*) FROM cleaned"
    )
    found = ask(
        home,
        "SELECT confidence, c.distance, c.margin FROM customer_360 JOIN clusters c USING (customer_id)",
    )
    for confidence, distance, margin in found:
        assert confidence == pytest.approx(1 - distance / (distance + margin), abs=1e-6)


def test_high_value_and_at_risk_customers_are_those_of_the_rule(home: Home) -> None:
    with open_warehouse(home.warehouse) as warehouse:
        customers = warehouse.sql("FROM customer_360").df()
        high = set(warehouse.sql("SELECT customer_id FROM high_value_customers").df()["customer_id"])
        risky = set(warehouse.sql("SELECT customer_id FROM at_risk_customers").df()["customer_id"])
    limit = np.quantile(customers["total_spending"], 0.8, method="inverted_cdf")
    assert high == set(customers.loc[customers["total_spending"] >= limit, "customer_id"])
    assert 0.15 < len(high) / len(customers) < 0.25
    expected: set[int] = set()
    for _, members in customers.groupby("segment_id"):
        recency, tenure = members["recency"], members["customer_tenure_days"]
        quiet = recency > np.quantile(recency, 0.75, method="inverted_cdf")
        long_known = tenure >= np.quantile(tenure, 0.5, method="inverted_cdf")
        expected |= set(members.loc[quiet & long_known, "customer_id"])
    assert risky == expected
    assert risky


def test_response_intervals_are_wilsons(home: Home) -> None:
    from scipy.stats import binomtest

    responses = dict(
        ask(home, "SELECT segment_id, sum(response) FROM features JOIN clusters USING (customer_id) GROUP BY 1")
    )
    found = ask(home, "SELECT segment_id, customers, responses, rate_low, rate_high FROM segment_response")
    assert {row[0] for row in found} == responses.keys()
    for segment, customers, counted, low, high in found:
        assert counted == responses[segment]
        interval = binomtest(counted, customers).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((interval.low, interval.high), rel=1e-12)


# Lineage


def test_lineage_tells_of_every_table_and_view_which_run_made_it_from_what(nights: tuple[Home, str, str]) -> None:
    home, _, second = nights
    found = {row["asset"]: row for row in rows(home, "FROM lineage")}
    assert found.keys() == {*TABLES, *RECORDS, *VIEWS}
    assert {row["run_id"] for row in found.values()} == {second}
    assets = [asset for asset in build_defs(home).assets or () if isinstance(asset, dg.AssetsDefinition)]
    specs = {spec.key.path[-1]: spec for asset in assets for spec in asset.specs}
    for name in TABLES:
        assert found[name]["rows"] == ask(home, f"SELECT count(*) FROM {name}")[0][0]
        [file] = (home.lake / name).glob(f"*_{second}.parquet")
        assert found[name]["bytes"] == file.stat().st_size
        assert found[name]["code_version"] == specs[name].code_version
        assert found[name]["data_version"]
        assert found[name]["started"] < found[name]["finished"]
    for name, view in VIEWS.items():
        assert found[name]["upstream_assets"] == trace_tables(view.sql)


def test_column_lineage_has_every_column_and_leads_to_columns_that_are_there(home: Home) -> None:
    found = [tuple(row.values()) for row in rows(home, "FROM column_lineage")]
    columns = set(ask(home, "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"))
    assert {row[:2] for row in found} == columns
    headers = {("export", column.header) for column in CONTRACT}
    upstream = {row[2:] for row in found} - {(None, None)}
    assert upstream <= columns | headers
    assert upstream & headers == headers
    assert ("raw_customers", "income", "export", BY_NAME["income"].header) in found
    assert ("customer_360", "confidence", "clusters", "distance") in found
    assert ("customer_360", "confidence", "clusters", "margin") in found
    assert ("features", "total_spending", "cleaned", "mnt_wines") in found


# Going back; and one table made alone. These come last: they publish.


def test_the_list_shows_what_is_kept_and_which_is_published(nights: tuple[Home, str, str]) -> None:
    home, first, second = nights
    listed = json.loads(smartcart("warehouse", "list", "--home", home.root, "--json").stdout)
    assert [(one["run_id"], one["is_published"]) for one in listed] == [(second, True), (first, False)]
    assert [one["customers"] for one in listed] == [2236, 2236]
    shown = [line for line in smartcart("warehouse", "list", "--home", home.root).stdout.splitlines() if "│" in line]
    assert [line.split("│")[1].strip() for line in shown] == [f"▸ {second[:8]}", first[:8]]


@pytest.mark.parametrize("command", [("warehouse", "list"), ("model", "list"), ("model", "show")])
@pytest.mark.parametrize("width", [36, 50, 79])
def test_a_list_cuts_no_name_and_no_figure_in_a_narrow_window(home: Home, command: tuple[str, str], width: int) -> None:
    """What a wide window shows in one table, a narrow one shows in parts, each with the column that names the rows."""

    def shown(columns: int) -> tuple[list[str], list[list[str]]]:
        lines = smartcart(*command, "--home", home.root, width=columns).stdout.splitlines()
        assert max(map(len, lines)) <= columns or command[1] == "show"
        names = [line.strip("┃").split("┃") for line in lines if line.startswith("┃")]
        return lines, [[name.strip() for name in one] for one in names]

    (_, [names]), (narrow, parts) = shown(200), shown(width)
    assert [*names[:1], *(name for part in parts for name in part[1:])] == names
    assert {part[0] for part in parts} == {names[0]}
    assert not any("…" in line for line in narrow)


def test_a_rollback_is_recorded_and_the_report_follows(nights: tuple[Home, str, str]) -> None:
    home, first, second = nights
    done = smartcart("warehouse", "rollback", "--home", home.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"is again that of run {first}" in done.stdout
    assert ask(home, "SELECT run_id FROM publication") == [(first,)]
    assert first in home.report.read_text()
    with open_records(home) as instance:
        [record] = instance.fetch_observations(dg.AssetKey("warehouse"), limit=1).records
        assert record.asset_observation
        facts = {key: value.value for key, value in record.asset_observation.metadata.items()}
    assert facts == {"rolled_back_to": first, "instead_of": second}
    again = smartcart("warehouse", "rollback", "--home", home.root)
    assert again.returncode == 2
    assert f"Nothing older than run {first[:8]} is kept" in again.stderr
    assert smartcart("warehouse", "rollback", second[:6], "--home", home.root).returncode == 0
    assert ask(home, "SELECT run_id FROM publication") == [(second,)]


KILLED = """
import os, signal, sys
from pathlib import Path
from smartcart_pipeline.cli import main as cli
from smartcart_pipeline.storage import publications

put_in_place, killed_at = publications.put_in_place, sys.argv.pop()

def die(written, path):
    if path.name == killed_at:
        os.kill(os.getpid(), signal.SIGKILL)
    put_in_place(written, path)

publications.put_in_place = die
cli.main()
"""


@pytest.mark.parametrize("killed_at", ["warehouse.duckdb", "report.html"])
def test_a_rollback_that_is_killed_leaves_no_report_of_another_run(
    nights: tuple[Home, str, str], killed_at: str
) -> None:
    home, first, second = nights
    assert second in home.report.read_text()
    command = [sys.executable, "-c", KILLED, "warehouse", "rollback", "--home", home.root, killed_at]
    killed = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    [(shown,)] = ask(home, "SELECT run_id FROM publication")
    assert shown == (second if killed_at == "warehouse.duckdb" else first)
    assert smartcart("warehouse", "list", "--home", home.root).returncode == 0
    assert shown in home.report.read_text()
    assert smartcart("warehouse", "rollback", second, "--home", home.root).returncode == 0
    assert second in home.report.read_text()


def test_of_a_table_made_alone_lineage_tells_the_run_that_made_it(nights: tuple[Home, str, str]) -> None:
    home, _, second = nights
    job = build_defs(home).resolve_implicit_global_asset_job_def()
    with open_records(home) as instance:
        alone = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("features")])
        publishing = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("warehouse")])
    assert run_of(kept_publications(home)[0]) == publishing.run_id
    made = dict(ask(home, "SELECT asset, run_id FROM lineage"))
    assert {made[name] for name in TABLES if name != "features"} == {second}
    assert made["features"] == alone.run_id
    assert made["publication"] == made["customer_360"] == publishing.run_id


READER = """
import sys, duckdb
held = duckdb.connect(sys.argv[1], read_only=True)
for line in sys.stdin:
    [(run_id,)] = held.sql("SELECT run_id FROM audit.publication").fetchall()
    print(run_id, held.sql("SELECT count(*) FROM customer_360").fetchall()[0][0], flush=True)
"""
SESSION = """
import os, sys, duckdb
session = duckdb.connect(sys.argv[1])
session.execute("CREATE TABLE mine AS SELECT 'precious' AS words")
os._exit(9)
"""


def test_a_run_beside_a_reader_and_a_session_that_was_killed_warns_and_loses_nothing(home: Home) -> None:
    home.warehouse.chmod(0o644)
    subprocess.run([sys.executable, "-c", SESSION, home.warehouse], check=False)
    noted = smartcart("sql", "SELECT 1", "--home", home.root)
    assert noted.returncode == 0
    assert "warehouse.duckdb.wal, which a read-write session left" in noted.stderr
    with subprocess.Popen(
        [sys.executable, "-c", READER, home.warehouse], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin
        assert reader.stdout
        print(file=reader.stdin, flush=True)
        before = reader.stdout.readline()
        outcome = run_job(home, {"input": str(SAMPLE)}, quiet=True)
        print(file=reader.stdin, flush=True)
        assert reader.stdout.readline() == before != ""
    [path] = home.set_aside.glob("*.duckdb")
    [note] = [warning for warning in outcome["warnings"] if "read-write session" in warning]
    assert note.endswith(f"Read it with: duckdb -readonly {path}")
    with open_records(home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("warehouse"))
        assert event
        assert event.asset_materialization
        assert event.asset_materialization.metadata["note"].value == note
        logged = [entry.message for entry in instance.all_logs(event.run_id) if "read-write session" in entry.message]
    assert logged
    with open_warehouse(path) as aside:
        assert aside.sql("SELECT words FROM mine").fetchall() == [("precious",)]
    assert ask(home, "SELECT run_id FROM publication") == [(outcome["run_id"],)]
