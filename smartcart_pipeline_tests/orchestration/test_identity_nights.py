"""Several nights in one home: what is published stays what it was, and models change for a reason only."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from pyarrow import parquet

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.orchestration.night import open_records, run_job
from smartcart_pipeline.orchestration.replay import Replayed, replay_history
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.report.changes import CAUSE_WORDS
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.models import ask_for, read_record, read_version
from smartcart_pipeline.storage.publications import kept_publications
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests import forked
from smartcart_pipeline_tests.conftest import SAMPLE

CUSTOMERS = 500
# A night takes seconds, and the first test pays for five of them.
pytestmark = [pytest.mark.night, pytest.mark.timeout(1_200)]


def ask(home: Home, query: str) -> list[tuple[Any, ...]]:
    with open_warehouse(home.warehouse) as warehouse:
        return warehouse.sql(query).fetchall()


@dataclass
class Nights:
    """A home, and what was published in it: for each as-of date last, and by each night."""

    home: Home
    folder: Path
    published: dict[str, dict[int, str]] = field(default_factory=dict)
    by_night: list[dict[int, str]] = field(default_factory=list)

    def play(self, as_of: str, customers: pd.DataFrame, **settings: Any) -> dict[str, Any]:
        export = self.folder / f"export-{as_of}.csv"
        customers.to_csv(export, index=False)
        told = {"input": str(export), "recipe": "behavioural", "as_of": as_of, **settings}
        outcome = run_job(self.home, told, quiet=True)
        self.published[outcome["as_of_date"]] = dict(ask(self.home, "SELECT customer_id, segment_id FROM clusters"))
        self.by_night.append(self.published[outcome["as_of_date"]])
        return outcome


def delivered() -> pd.DataFrame:
    return pd.read_csv(SAMPLE).head(CUSTOMERS)


def changed(customers: pd.DataFrame, number: int) -> pd.DataFrame:
    """Some poor customers live as the richest one does."""
    customers = customers.copy()
    poor = customers.index[customers["Income"] < 35_000][:number]
    rich = customers.loc[customers["MntWines"].idxmax()]
    stays = ("ID", "Dt_Customer", "Marital_Status", "Year_Birth", "Education")
    lived = [name for name in customers if name not in stays]
    for name in lived:
        customers.loc[poor, name] = rich[name]
    return customers


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    """A home after five nights: two in order, one after customers were missing, a late one, and one that replaces."""
    folder = tmp_path_factory.mktemp("nights")
    environment = {name: os.environ.get(name) for name in ("DAGSTER_HOME", "SMARTCART_HOME")}
    played = Nights(Home(folder / "home"), folder)
    played.play("2014-07-01", delivered())
    played.play("2014-07-02", changed(delivered(), 25).iloc[30:])
    played.play("2014-07-04", changed(delivered(), 25))
    played.play("2014-07-03", delivered().iloc[:-40])
    played.play("2014-07-04", changed(delivered(), 35).iloc[:-20])
    yield played
    for name, value in environment.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture
def copied(nights: Nights, tmp_path: Path) -> Nights:
    """The same home, to be broken."""
    shutil.copytree(nights.home.root, tmp_path / "home")
    return Nights(Home(tmp_path / "home"), tmp_path, dict(nights.published), list(nights.by_night))


def test_the_membership_of_every_past_night_is_what_was_published_for_it(nights: Nights):
    assert len(nights.published) >= 4
    for as_of, published in nights.published.items():
        members = ask(
            nights.home,
            "SELECT customer_id, segment_id FROM segment_membership "
            f"WHERE valid_from <= DATE '{as_of}' AND (valid_to IS NULL OR DATE '{as_of}' < valid_to)",
        )
        assert len(members) == len(published)
        assert dict(members) == published


def test_who_is_missing_and_comes_back_has_two_stays(nights: Nights):
    absent = delivered().iloc[:30]
    missing = int(absent.loc[absent["Income"] > 35_000, "ID"].iloc[0])
    stays = ask(
        nights.home,
        "SELECT valid_from::VARCHAR, valid_to::VARCHAR FROM segment_membership "
        f"WHERE customer_id = {missing} ORDER BY valid_from",
    )
    assert stays == [("2014-07-01", "2014-07-02"), ("2014-07-03", None)]


def test_held_nights_change_no_segment_and_say_why(nights: Nights):
    rows = ask(
        nights.home,
        "SELECT night, as_of_date::VARCHAR, model_version, is_promoted, replaces_night FROM nights ORDER BY night",
    )
    assert rows == [
        (1, "2014-07-01", "v1", True, None),
        (2, "2014-07-02", "v1", False, None),
        (3, "2014-07-04", "v1", False, None),
        (4, "2014-07-03", "v1", False, None),
        (5, "2014-07-04", "v1", False, 3),
    ]
    criteria = "SELECT night, count(*), count(DISTINCT verdict) FROM promotion_decisions GROUP BY 1 ORDER BY 1"
    assert ask(nights.home, criteria) == [(1, 1, 1), (2, 7, 1), (3, 7, 1), (4, 7, 1), (5, 7, 1)]
    late = "SELECT passed FROM promotion_decisions WHERE night = 4 AND criterion = 'newest_night'"
    assert ask(nights.home, late) == [(False,)]
    assert ask(nights.home, "SELECT DISTINCT event FROM segment_events") == [("born",)]


def test_who_changed_was_moved_and_the_cause_is_the_customer(nights: Nights):
    moves = ask(
        nights.home,
        "SELECT cause, sum(customers) FROM segment_migration WHERE cause IN ('customer', 'borderline', "
        "'model') AND night = 2 GROUP BY 1",
    )
    # Of the 25 who changed, 10 are among the 30 who were missing that night.
    assert set(dict(moves)) <= {"customer", "borderline"}
    assert dict(moves)["customer"] >= 12
    for night, before in ((2, 1), (3, 2), (4, 2), (5, 3)):
        totals = ask(
            nights.home,
            "SELECT sum(customers) FILTER (to_segment_id IS NOT NULL), "
            f"sum(customers) FILTER (from_segment_id IS NOT NULL) FROM segment_migration WHERE night = {night}",
        )
        assert totals == [(len(nights.by_night[night - 1]), len(nights.by_night[before - 1]))]


def test_another_export_for_a_day_is_compared_with_what_it_replaces(nights: Nights):
    then, now = nights.by_night[2], nights.by_night[4]
    assert len(then) - len(now) == 20
    moved = {customer: (then[customer], now[customer]) for customer in now if now[customer] != then[customer]}
    moves = ask(nights.home, "SELECT customer_id, from_segment_id, to_segment_id, cause FROM segment_moves")
    assert {customer: (start, end) for customer, start, end, _ in moves} == moved
    # Ten more live as the richest one does.
    assert len([cause for *_, cause in moves if cause == "customer"]) >= 8
    flows = "FROM segment_migration WHERE night = 5"
    assert ask(nights.home, f"SELECT DISTINCT since::VARCHAR, period {flows}") == [("2014-07-04", "night")]
    assert ask(nights.home, f"SELECT sum(customers) {flows} AND cause = 'left'") == [(20,)]
    assert ask(nights.home, f"SELECT count(*) {flows} AND cause = 'arrived'") == [(0,)]


def test_the_same_export_again_is_compared_with_what_it_was_compared_with_before(copied: Nights, tmp_path: Path):
    flows = "SELECT * EXCLUDE (night) FROM segment_migration WHERE night = {} ORDER BY ALL"
    before = ask(copied.home, flows.format(5))
    outcome = copied.play("2014-07-04", changed(delivered(), 35).iloc[:-20])
    assert ask(copied.home, flows.format(6)) == before
    assert ask(copied.home, "SELECT replaces_night FROM nights WHERE night = 6") == [(3,)]
    assert copied.by_night[5] == copied.by_night[4]
    [note] = [note for note in outcome["warnings"] if note.startswith("Night ")]
    assert note == (
        "Night 6 takes the place of night 3: both count to 2014-07-04, and their exports differ. Who moved, arrived "
        "and left is told against night 3."
    )
    page = copied.home.report.read_text()
    assert "Tonight takes the place of night 3: both are counted to 2014-07-04" in page
    assert "Since the same day was published before" in page
    engine = DuckDBEngine()
    found = replay_history(copied.home, tmp_path, engine, Settings().band)
    engine.close()
    assert found == Replayed(6, dict.fromkeys(("segment_membership", "segment_moves", "segment_migration"), 6), ())


def test_a_home_has_a_night_a_day_by_the_day_of_delivery(tmp_path: Path):
    played = Nights(Home(tmp_path / "home"), tmp_path)
    day = datetime(2014, 7, 10, 12, tzinfo=UTC).timestamp()

    def deliver(customers: pd.DataFrame, days: int) -> dict[str, Any]:
        export = tmp_path / "export.csv"
        customers.to_csv(export, index=False)
        os.utime(export, (day + 86_400 * days,) * 2)
        outcome = run_job(played.home, {"input": str(export)}, quiet=True)
        played.by_night.append(dict(ask(played.home, "SELECT customer_id, segment_id FROM clusters")))
        return outcome

    few = delivered().head(300)
    newest = str(pd.to_datetime(few["Dt_Customer"], dayfirst=True).max().date())
    assert deliver(few, 0)["as_of_date"] == newest
    # Nobody has joined: by the newest join date, the first night of the home is replaced.
    outcome = deliver(changed(few, 25).iloc[:-40], 1)
    assert (outcome["as_of_date"], outcome["as_of_found"]) == (newest, "the newest join date")
    [note] = [note for note in outcome["warnings"] if note.startswith("Night ")]
    assert note.startswith(f"Night 2 takes the place of night 1: both count to {newest}, and their exports differ.")
    assert note.endswith("To have a night a day all the same, set as_of: see docs/guides/nightly.md.")
    causes = "SELECT cause, sum(customers) FROM segment_migration WHERE night = {} GROUP BY 1"
    told = dict(ask(played.home, causes.format(2)))
    left = len(played.by_night[0].keys() - played.by_night[1].keys())
    moved = len([one for one, now in played.by_night[1].items() if now != played.by_night[0][one]])
    assert (told["left"], sum(told.get(cause, 0) for cause in CAUSE_WORDS)) == (left, moved)
    assert (left, moved) > (30, 10)

    played.home.settings.write_text("settings:\n  as_of: delivered\n")
    outcome = deliver(changed(few, 25), 2)
    assert (outcome["as_of_date"], outcome["as_of_found"]) == ("2014-07-12", "the day of delivery")
    rows = ask(played.home, "SELECT night, as_of_date::VARCHAR, replaces_night FROM nights ORDER BY night")
    assert rows == [(1, newest, None), (2, newest, 1), (3, "2014-07-12", None)]
    assert ask(played.home, "SELECT as_of_found FROM publication") == [("the day of delivery",)]
    assert dict(ask(played.home, causes.format(3)))["arrived"] == left
    members = (
        "SELECT customer_id, segment_id FROM segment_membership WHERE valid_from <= DATE '{0}' AND "
        "(valid_to IS NULL OR DATE '{0}' < valid_to)"
    )
    for number, as_of in ((1, newest), (2, "2014-07-12")):
        assert dict(ask(played.home, members.format(as_of))) == played.by_night[number]


def test_another_recipe_takes_the_place_of_the_model_and_segments_keep_their_ids(copied: Nights):
    recipes = "SELECT recipe, fitted_recipe FROM publication"
    before = ask(copied.home, "SELECT segment_id, customers FROM profiles ORDER BY segment_id")
    outcome = copied.play("2014-07-05", changed(delivered(), 35), recipe="reference")
    assert outcome["recipe"] == "reference"
    assert ask(copied.home, recipes) == [("reference", "reference")]
    assert ask(copied.home, "SELECT model_version, recipe FROM segment_model") == [("v6", "reference")]
    told = ask(copied.home, "SELECT criterion, verdict FROM promotion_decisions WHERE night = 6")
    assert told == [("declaration", "Promoted: the recipe has changed since v1: the model now sees response.")]
    # Nobody knows how far the new features are from the old model's customers.
    assert ask(copied.home, "SELECT count(*) FROM feature_drift WHERE night = 6") == [(0,)]
    kept = ask(
        copied.home,
        "SELECT segment_id, share_of_old FROM segment_events WHERE night = 6 AND event = 'continued' ORDER BY 1",
    )
    assert [segment for segment, _ in kept] == [segment for segment, _ in before]
    assert min(share for _, share in kept) > 0.5

    # The old model knows tonight's features, and the other way round: each move has its cause.
    unknown = "SELECT count(*) FROM segment_moves WHERE old_model_moves IS NULL OR new_model_moves IS NULL"
    assert ask(copied.home, unknown) == [(0,)]

    # What was in force cannot come back before its recipe does.
    ask_for(copied.home, "v1", "the response is not to count")
    with pytest.raises(HomeError, match=r"v1 was asked for, but since it was made the recipe has changed"):
        copied.play("2014-07-06", changed(delivered(), 35), recipe="reference")
    outcome = copied.play("2014-07-06", changed(delivered(), 35), recipe="behavioural")
    assert outcome["recipe"] == "behavioural"
    assert ask(copied.home, "SELECT criterion FROM promotion_decisions WHERE night = 7") == [("person",)]


def test_the_flows_of_a_night_are_a_picture_in_dagster_and_the_verdict_stands_with_the_decision(nights: Nights):
    with open_records(nights.home) as instance:
        shown = {
            name: instance.get_latest_materialization_event(dg.AssetKey(name))
            for name in ("segment_migration", "promotion_decisions")
        }
    told = {name: event.asset_materialization.metadata for name, event in shown.items()}
    [(since,)] = ask(
        nights.home, "SELECT DISTINCT since::VARCHAR FROM segment_migration WHERE night = 5 AND period = 'night'"
    )
    assert f"since {since}](data:image/png;base64," in told["segment_migration"]["flows"].value
    [(verdict,)] = ask(nights.home, "SELECT verdict FROM nights WHERE night = 5")
    assert told["promotion_decisions"]["why"].value == verdict


def test_a_replay_gives_the_same_bytes(nights: Nights, tmp_path: Path):
    engine = DuckDBEngine()
    found = replay_history(nights.home, tmp_path, engine, Settings().band)
    engine.close()
    assert found == Replayed(5, dict.fromkeys(("segment_membership", "segment_moves", "segment_migration"), 5), ())


def test_a_replay_begins_where_files_are_kept(copied: Nights, tmp_path: Path):
    oldest = sorted((copied.home.lake / "clusters").glob("*.parquet"))[:2]
    for path in oldest:
        path.unlink()
    engine = DuckDBEngine()
    found = replay_history(copied.home, tmp_path, engine, Settings().band)
    engine.close()
    # The night before the third, and that before the late one, are no longer kept.
    assert found == Replayed(3, {"segment_membership": 3, "segment_moves": 1, "segment_migration": 1}, ())


def test_a_replay_finds_what_was_changed(copied: Nights, tmp_path: Path):
    engine = DuckDBEngine()
    changed_files = []
    for name in ("segment_moves", "segment_migration"):
        path = sorted((copied.home.lake / name).glob("*.parquet"))[-1]
        rows = engine.connection.sql(f"SELECT * FROM read_parquet('{path}')").to_arrow_table()
        parquet.write_table(rows.slice(1), path)
        changed_files.append(path)
    found = replay_history(copied.home, tmp_path, engine, Settings().band)
    engine.close()
    assert found.other == tuple(changed_files)


def test_a_person_promotes_a_model_and_goes_back(copied: Nights):
    first = ask(copied.home, "SELECT segment_id, pc1, pc2, pc3 FROM centroids ORDER BY 1")
    assert ask_for(copied.home, "v3", "the spring campaign needs it") == "v3"
    copied.play("2014-07-05", changed(delivered(), 35))
    assert ask(copied.home, "SELECT model_version, verdict FROM nights WHERE night = 6") == [
        ("v6", "Promoted by a person: the spring campaign needs it")
    ]
    promoted = ask(copied.home, "SELECT segment_id, pc1, pc2, pc3 FROM centroids ORDER BY 1")
    assert promoted != first
    events = ask(copied.home, "SELECT segment_id, event FROM segment_events WHERE night = 6 ORDER BY 1")
    assert events == [(segment, "continued") for segment, *_ in first]

    assert ask_for(copied.home, None, "it was no good") == "v1"
    copied.play("2014-07-06", changed(delivered(), 35))
    assert ask(copied.home, "SELECT segment_id, pc1, pc2, pc3 FROM centroids ORDER BY 1") == first
    record = read_record(copied.home)
    assert [night.version for night in record.nights[-2:]] == ["v6", "v7"]
    assert record.request is None
    test_the_membership_of_every_past_night_is_what_was_published_for_it(copied)


def test_always_promotes_and_never_does_not(copied: Nights):
    copied.play("2014-07-05", delivered(), refit="always")
    copied.play("2014-07-06", delivered(), refit="never")
    told = ask(copied.home, "SELECT model_version, is_promoted FROM nights WHERE night > 5 ORDER BY night")
    assert told == [("v6", True), ("v6", False)]
    ids = ask(copied.home, "SELECT DISTINCT segment_id FROM clusters ORDER BY 1")
    assert ids == ask(copied.home, "SELECT DISTINCT segment_id FROM segment_events WHERE night = 1 ORDER BY 1")


def spoil(home: Home, how: str) -> None:
    document, record = home.models / "v1" / "model.json", home.models / "champion.json"
    if how == "document deleted":
        document.unlink()
    elif how == "document cut":
        document.write_bytes(document.read_bytes()[:-100])
    elif how == "number changed":
        known = json.loads(document.read_text())
        known["far"] *= 2
        document.write_text(json.dumps(known))
    elif how == "another version's document":
        shutil.copy(home.models / "v2" / "model.json", document)
    elif how == "record deleted":
        record.unlink()
    elif how == "record changed":
        record.write_text(record.read_text().replace('"v1"', '"v2"'))
    elif how == "models deleted":
        shutil.rmtree(home.models)
    elif how == "history and its copy deleted":
        shutil.rmtree(home.lake / "segment_membership")
        kept_publications(home)[0].unlink()


SPOILT = [
    ("document deleted", "v1/model.json: the document of the model v1 is missing."),
    ("document cut", "v1/model.json: the file is damaged"),
    ("number changed", "v1/model.json: the file is damaged or was changed"),
    ("another version's document", "v1/model.json: this is not the document that was written for v1."),
    ("record deleted", "champion.json: the record of the model in force is missing"),
    ("record changed", "champion.json: the file is damaged or was changed"),
    ("models deleted", "champion.json: the record of the model in force is missing"),
]


@pytest.mark.parametrize(("how", "said"), SPOILT)
def test_a_spoilt_model_is_named_with_what_to_do(copied: Nights, how: str, said: str):
    spoil(copied.home, how)
    with pytest.raises(HomeError) as refused:
        read_version(copied.home, read_record(copied.home, recover=True), "v1")
    assert said in str(refused.value)
    assert "from a backup" in str(refused.value)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        SPOILT[0],
        SPOILT[-1],
        ("history and its copy deleted", "the table segment_membership of the last night is missing."),
    ],
)
def test_a_spoilt_home_stops_the_run_and_no_model_is_fitted_in_its_place(copied: Nights, how: str, said: str):
    before = ask(copied.home, "SELECT run_id FROM publication")
    spoil(copied.home, how)
    with pytest.raises(HomeError) as refused:
        copied.play("2014-07-05", delivered())
    assert said in str(refused.value)
    assert ask(copied.home, "SELECT run_id FROM publication") == before


KILLED = """
import os, signal, sys
from pathlib import Path
from smartcart_pipeline.orchestration.assets import publish
from smartcart_pipeline.orchestration.night import run_job
from smartcart_pipeline.storage.home import Home

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(publish, sys.argv[3], die)
run_job(Home(Path(sys.argv[1])), {"input": sys.argv[2], "recipe": "behavioural", "as_of": "2014-07-05",
                                  "refit": "always"}, quiet=True)
"""


def kill_a_night(nights: Nights, step: str) -> None:
    """Play a night that is killed as it comes to a step of its publication."""
    export = nights.folder / "export.csv"
    delivered().to_csv(export, index=False)
    killed = forked.start(nights.home.root, export, step, program=KILLED).wait()
    assert killed.returncode == -signal.SIGKILL, killed.stderr


@pytest.mark.parametrize(("step", "has_published"), [("publish", False), ("commit_record", True)])
def test_a_run_killed_around_its_publication_leaves_a_home_that_works(copied: Nights, step: str, has_published: bool):
    kill_a_night(copied, step)
    versions = ask(copied.home, "SELECT model_version FROM publication")
    assert versions == [("v6",) if has_published else ("v1",)]

    copied.play("2014-07-06", delivered())
    told = ask(copied.home, "SELECT as_of_date::VARCHAR, model_version FROM nights WHERE night > 5 ORDER BY night")
    both = [("2014-07-05", "v6"), ("2014-07-06", "v6")]
    assert told == (both if has_published else [("2014-07-06", "v1")])
    engine = DuckDBEngine()
    assert not replay_history(copied.home, copied.folder, engine, Settings().band).other
    engine.close()
    assert not list(copied.home.models.glob(".*"))


@pytest.mark.parametrize(("step", "nights"), [("publish", 1), ("commit_record", 2)])
def test_a_first_night_killed_around_its_publication_leaves_a_home_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, nights: int
):
    for name in ("DAGSTER_HOME", "SMARTCART_HOME"):
        monkeypatch.setenv(name, "")
    played = Nights(Home(tmp_path / "home"), tmp_path)
    kill_a_night(played, step)
    assert list(played.home.models.glob(".champion.*.pending"))
    played.play("2014-07-06", delivered())
    assert ask(played.home, "SELECT night FROM nights ORDER BY 1") == [(night,) for night in range(1, nights + 1)]
