"""`smartcart score`, as people run it: a process of its own, real files, and a home that stays as it is."""

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from smartcart_pipeline.orchestration.night import run_job
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.conftest import SAMPLE
from smartcart_pipeline_tests.forked import smartcart_bytes
from smartcart_pipeline_tests.segmentation.test_model import random_model

COLUMNS = ["customer_id", "segment_id", "persona", "distance", "runner_up_segment_id", "runner_up_persona", "margin"]


def score(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    return smartcart_bytes("score", *arguments)


def state(home: Home) -> dict[str, tuple[int, str]]:
    """Every file of a home: when it was changed, and its content."""
    return {
        str(path.relative_to(home.root)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in home.root.rglob("*")
        if path.is_file()
    }


def delivered() -> pd.DataFrame:
    """The sample as text, value for value."""
    return pd.read_csv(SAMPLE, dtype=str, keep_default_na=False)


def newcomers(tmp_path: Path, customers: pd.DataFrame) -> Path:
    path = tmp_path / "new.csv"
    customers.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def home(whole_night: None, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("scoring"))
    run_job(home, {"input": str(SAMPLE), "recipe": "behavioural", "as_of": None}, quiet=True)
    return home


@pytest.fixture(scope="module")
def clusters(home: Home) -> pd.DataFrame:
    with open_warehouse(home.warehouse) as warehouse:
        query = (
            "SELECT customer_id, segment_id, persona, distance, margin FROM clusters JOIN profiles USING (segment_id)"
        )
        return warehouse.execute(query).df().set_index("customer_id").sort_index()


def test_every_customer_is_scored_as_in_the_run(home: Home, clusters: pd.DataFrame):
    before = state(home)
    done = score(SAMPLE, "--home", home.root)
    assert done.returncode == 0, done.stderr
    scores = pd.read_csv(io.BytesIO(done.stdout))
    assert scores.columns.tolist() == COLUMNS
    compared = scores.set_index("customer_id").sort_index()[list(clusters.columns)]
    pd.testing.assert_frame_equal(compared, clusters, check_dtype=False, rtol=0, atol=1e-6)
    assert state(home) == before
    # In the order of the file, so that scores can be put beside it.
    assert scores["customer_id"].tolist() == [
        number for number in delivered()["ID"].astype(int) if number in clusters.index
    ]


@pytest.mark.parametrize("suffix", ["parquet", "xlsx", "csv"])
def test_files_of_every_kind_are_read(home: Home, clusters: pd.DataFrame, tmp_path: Path, suffix: str):
    customers = pd.read_csv(SAMPLE, parse_dates=["Dt_Customer"], dayfirst=True).head(300)
    path, output = tmp_path / f"new.{suffix}", tmp_path / "scores.parquet"
    match suffix:
        case "parquet":
            customers.to_parquet(path)
        case "xlsx":
            customers.to_excel(path, index=False)
        case "csv":
            customers.to_csv(path, index=False, sep=";", encoding="latin-1", date_format="%d-%m-%Y")
    done = score(path, "--home", home.root, "--output", output)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    scores = pd.read_parquet(output).set_index("customer_id")
    assert len(scores) == customers["ID"].isin(clusters.index).sum() > 290
    assert scores["segment_id"].to_dict() == clusters.loc[scores.index, "segment_id"].to_dict()
    assert scores["margin"].dtype == "float32"


def test_bad_rows_are_rejected_with_reasons(home: Home, tmp_path: Path):
    customers = delivered().head(20)
    customers.loc[2, "Education"] = "=HYPERLINK(1)"
    customers.loc[4, "ID"] = customers.loc[3, "ID"]
    customers.loc[5, "Income"] = "a lot"
    customers.loc[6, "Income"] = ""
    customers.loc[7, "Year_Birth"] = "1899"
    output = tmp_path / "scores.csv"
    done = score(newcomers(tmp_path, customers), "--home", home.root, "--output", output)
    assert done.returncode == 0, done.stderr
    rejected = pd.read_csv(f"{output}.rejected.csv").set_index("line_number")
    assert rejected["reason"].to_dict() == {
        4: "unknown_category",
        6: "repeated_id",
        7: "unreadable_value",
        9: "age_above_limit",
    }
    assert rejected.loc[6, "detail"] == f"ID {customers.loc[3, 'ID']} stands on an earlier line already"
    assert len(pd.read_csv(output)) == 16
    said = done.stderr.decode()
    assert "16 customers scored" in said
    assert "4 rows rejected: age_above_limit 1, repeated_id 1" in said
    assert "Education is none of Basic, 2n Cycle, Graduation, Master, PhD: line 4." in said
    assert str(output) + ".rejected.csv" in said


def test_who_joined_after_the_run_is_scored_and_not_rejected(home: Home, tmp_path: Path):
    customers = delivered().head(3)
    customers["Dt_Customer"] = ["01-02-2031", "29-06-2014", "28-06-2014"]
    same = {name: customers.loc[1, name] for name in customers.columns if name not in ("ID", "Dt_Customer")}
    done = score(newcomers(tmp_path, customers.assign(**same)), "--home", home.root)
    distances = pd.read_csv(io.BytesIO(done.stdout))["distance"].tolist()
    assert distances[0] == distances[1] != distances[2]


def test_where_every_row_is_bad_nothing_is_scored(home: Home, tmp_path: Path):
    output = tmp_path / "scores.csv"
    output.write_text("as it was")
    done = score(newcomers(tmp_path, delivered().assign(Kidhome="-1")), "--home", home.root, "--output", output)
    assert done.returncode == 2
    assert b"not one row could be scored. Kidhome is below 0: 2,240 rows, the first on line 2." in done.stderr
    assert output.read_text() == "as it was"
    assert len(pd.read_csv(f"{output}.rejected.csv")) == len(delivered())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "scores.csv", "scores.csv.rejected.csv"]


def test_an_earlier_runs_model_scores_as_it_did(home: Home, clusters: pd.DataFrame, tmp_path: Path):
    """The night after has another model; the one before is still there to be asked for."""
    with open_warehouse(home.warehouse) as warehouse:
        [(run,)] = warehouse.execute("SELECT run_id FROM publication").fetchall()
    later = home.publications / "99990629T000000000000Z_later.duckdb"
    with duckdb.connect(str(later)) as warehouse:
        document = json.dumps(random_model(1).document())
        warehouse.execute("CREATE TABLE segment_model AS SELECT 'v9' AS model_version, $1 AS document", [document])
    try:
        for named, same in ((run[:8], True), ("later", False)):
            done = score(SAMPLE, "--home", home.root, "--as-of-run", named)
            scores = pd.read_csv(io.BytesIO(done.stdout)).set_index("customer_id")["segment_id"]
            assert scores.reindex(clusters.index).equals(clusters["segment_id"]) == same
    finally:
        later.unlink()


def test_a_file_without_faults_leaves_no_rejects(home: Home, tmp_path: Path):
    output = tmp_path / "scores.csv"
    stale = tmp_path / "scores.csv.rejected.csv"
    stale.write_text("from the day before")
    done = score(newcomers(tmp_path, delivered().head(10)), "--home", home.root, "--output", output)
    assert done.returncode == 0, done.stderr
    assert b"rejected" not in done.stderr
    assert not stale.exists()


def test_no_spreadsheet_takes_a_persona_for_a_formula(tmp_path: Path):
    """The model alone is needed, and whatever its texts are, a CSV of them is harmless; Parquet keeps them."""
    home, model = Home(tmp_path / "home"), random_model(1, k=2)
    document = model.document()
    for segment, persona in zip(document["segments"], ["=cmd|' /C calc'!A0", "@SUM(1)"], strict=True):
        segment["persona"] = persona
    home.publications.mkdir(parents=True)
    with duckdb.connect(str(home.publications / "20140629T000000000000Z_run.duckdb")) as warehouse:
        warehouse.execute(
            "CREATE TABLE segment_model AS SELECT 'v9' AS model_version, $1 AS document", [json.dumps(document)]
        )
    texts = score(SAMPLE, "--home", home.root)
    kept = tmp_path / "scores.parquet"
    assert score(SAMPLE, "--home", home.root, "--output", kept).returncode == 0
    personas = pd.read_csv(io.BytesIO(texts.stdout))[["persona", "runner_up_persona"]].stack()
    assert set(personas) == {"'=cmd|' /C calc'!A0", "'@SUM(1)"}
    assert set(pd.read_parquet(kept)[["persona", "runner_up_persona"]].stack()) == {
        segment["persona"] for segment in document["segments"]
    }


def test_a_reader_that_has_had_enough_is_no_fault(home: Home):
    command = f"{sys.executable} -m smartcart_pipeline.cli.main score {SAMPLE} --home {home.root} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().strip() == ",".join(f'"{name}"' for name in COLUMNS)
    assert b"Traceback" not in done.stderr


WRONG_CALLS = {
    "no such file": (["missing.csv"], "missing.csv: no such file"),
    "no customers": ([__file__], "this is no customer export"),
    "no warehouse": ([SAMPLE, "--home", "nowhere"], "Nothing has been published in"),
    "no format": ([SAMPLE, "--output", "scores.txt"], "Let it end in one of csv, json, parquet"),
    "unknown format": ([SAMPLE, "--format", "xml"], "--format 'xml' is not known. Choose one of csv, json, parquet."),
    "no folder": ([SAMPLE, "--output", "no/such/folder/scores.csv"], "cannot be written"),
    "no such run": ([SAMPLE, "--as-of-run", "ffff"], "No publication of run ffff is kept"),
    "the file itself": ([SAMPLE, "--output", SAMPLE], "is the file to score"),
}


@pytest.mark.parametrize("fault", WRONG_CALLS)
def test_a_wrong_call_is_told_and_changes_nothing(home: Home, fault: str):
    arguments, message = WRONG_CALLS[fault]
    sample = SAMPLE.read_bytes()
    done = score(*(["--home", home.root] if "--home" not in arguments else []), *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert message in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert SAMPLE.read_bytes() == sample


def test_a_warehouse_without_a_model_is_told(tmp_path: Path):
    home = Home(tmp_path)
    home.publications.mkdir()
    with duckdb.connect(str(home.publications / "20140629T000000000000Z_run.duckdb")) as warehouse:
        warehouse.execute("CREATE TABLE clusters AS SELECT 1 AS customer_id")
    done = score(SAMPLE, "--home", home.root)
    assert done.returncode == 2
    assert b"the warehouse holds no model. Publish one: smartcart run." in done.stderr
