"""All of it at once: export, night, audiences, delivery to a receiver, outcomes, verdict, and a second night."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from smartcart_pipeline.audiences.deliveries import CHANGES, CURRENT, LIST, read_deliveries
from smartcart_pipeline.audiences.drt import LISTED_URL, REMOVED_URL, TOKEN
from smartcart_pipeline.orchestration.night import run_job
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.audiences.test_drt import SECRET, Receiver, receiver, user  # noqa: F401  (fixtures)
from smartcart_pipeline_tests.receiving import port_of

pytestmark = pytest.mark.night

AUDIENCES = """
control: 0.05
audiences:
  - name: wine
    description: Those who may like a cellar
    where: total_spending > 300
    columns: [total_spending]
    consent: mail_consent
    holdout: 0.3
    cost: 0.1
    nightly: true
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home(tmp_path / "home")
    place.root.mkdir()
    (place.root / "audiences.yaml").write_text(AUDIENCES)
    return place


def run(home: Home, export: Path, day: str) -> dict[str, Any]:
    return run_job(home, {"input": str(export), "as_of": day}, quiet=True)


def command(*arguments: str | Path) -> str:
    called = [sys.executable, "-m", "smartcart_pipeline.cli.main", *map(str, arguments)]
    return subprocess.run(called, capture_output=True, text=True, check=True, timeout=120).stdout


def ask(home: Home, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return connection.execute(query).fetchall()


def members(home: Home) -> pd.DataFrame:
    rows = ask(
        home,
        "SELECT customer_id, member_group FROM audience_members WHERE audience = 'wine' AND valid_to IS NULL",
    )
    return pd.DataFrame(rows, columns=["customer_id", "member_group"]).set_index("customer_id")["member_group"]


def ids_in(path: Path) -> set[str]:
    with path.open(newline="") as file:
        return {row["customer_id"] for row in csv.DictReader(file)}


def listed(home: Home) -> set[str]:
    return ids_in(home.audiences / "wine" / CURRENT / LIST)


def write_outcomes(home: Home, path: Path) -> None:
    """Of those who are addressed six in ten buy, of the others one in ten."""
    random, groups = np.random.default_rng(5), members(home)
    bought = random.random(len(groups)) < np.where(groups == "treated", 0.6, 0.1)
    ids = groups.index[bought]
    amounts = random.gamma(4, 10, len(ids)).round(2)
    pd.DataFrame(
        {"campaign": "wine", "customer_id": ids, "day": "2014-07-02", "converted": "yes", "amount": amounts}
    ).to_csv(path, index=False)


def test_from_an_export_to_a_verdict(
    home: Home,
    sample: Path,
    tmp_path: Path,
    drt: Path,
    user: dict[str, str],  # noqa: F811
    receiver: Receiver,  # noqa: F811
) -> None:
    table = pd.read_csv(sample, dtype=str, keep_default_na=False)
    table["MailConsent"] = np.where(np.arange(len(table)) % 10 == 0, "no", "yes")
    export, project = tmp_path / "export.csv", tmp_path / "project"
    table.to_csv(export, index=False)
    run(home, export, "2014-07-01")

    groups = members(home)
    assert set(groups) == {"treated", "held_out", "control"}
    assert listed(home) == set(groups.index[groups == "treated"].astype(str))

    # To a mail tool, which is told of nobody else.
    command("audience", "drt", "wine", "--output", project, "--home", home.root)
    address = f"http://127.0.0.1:{port_of(receiver)}"
    told = {LISTED_URL: f"{address}/listed", REMOVED_URL: f"{address}/removed", TOKEN: SECRET}

    def send() -> None:
        subprocess.run([drt, "run"], cwd=project, env=user | told, check=True, capture_output=True, timeout=120)

    send()
    assert set(receiver.listed) == listed(home)

    # What they did comes back, and the next night reckons with it.
    outcomes = tmp_path / "outcomes.csv"
    write_outcomes(home, outcomes)
    assert f"{len(outcomes.read_text().splitlines()) - 1:,} outcomes taken in, 0 refused" in command(
        "outcomes", outcomes, "--home", home.root
    )

    # Meanwhile some take back their consent, and some are gone.
    withdrawn, gone = sorted(listed(home), key=int)[:25], sorted(listed(home), key=int)[30:40]
    table.loc[table["ID"].isin(withdrawn), "MailConsent"] = "no"
    table[~table["ID"].isin(gone)].to_csv(export, index=False)
    run(home, export, "2014-07-02")
    assert not listed(home) & {*withdrawn, *gone}
    changes = ask(home, "SELECT customer_id::VARCHAR, change, reason FROM history.audience_changes")
    assert {key for key, change, reason in changes if (change, reason) == ("left", "consent")} >= set(withdrawn)
    assert {key for key, change, reason in changes if (change, reason) == ("left", "gone")} >= set(gone)
    send()
    assert set(receiver.listed) == listed(home)
    held_out = set(groups.index[groups != "treated"].astype(str))
    for path in home.audiences.rglob("*.csv"):
        assert not held_out & ids_in(path)

    results = json.loads(command("audience", "results", "--json", "--home", home.root))
    [everybody] = [row for row in results if row["segment_id"] == "all"]
    assert everybody["treated"] == (groups == "treated").sum()
    assert everybody["held_out"] == (groups == "held_out").sum()
    assert everybody["verdict"] == "worth_it"
    true_gain = 0.5 * 40
    assert everybody["amount_low"] <= true_gain <= everybody["amount_high"]

    # The same night once more hands out what is the same, and no member changes.
    before = members(home)
    run(home, export, "2014-07-02")
    assert members(home).equals(before)
    last = read_deliveries(home, "wine")[-1]
    assert (last.number, last.added, last.changed, last.removed) == (3, 0, 0, 0)
    assert (home.audiences / "wine" / "000003" / CHANGES).read_text().count("\n") == 1


def test_a_wrong_file_stops_the_night_before_anything_is_published(home: Home, sample: Path) -> None:
    (home.root / "audiences.yaml").write_text(AUDIENCES.replace("total_spending > 300", "total_spendin > 300"))
    called = [sys.executable, "-m", "smartcart_pipeline.cli.main", "run", "--input", str(sample)]
    called += ["--home", str(home.root)]
    failed = subprocess.run(called, check=False, capture_output=True, text=True, timeout=300)
    assert failed.returncode == 2
    assert "audiences[1] (wine).where: there is no column 'total_spendin' (nearest: total_spending)" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not home.warehouse.exists()
