"""Other companies' tables, from the draft of a declaration to the page: nights, macros, words, figures.

Each table has one home, which all tests of it share. Three nights are run of each: the first, one of the same file a
day later, and the first once more in another home, with the rows in another order. Of the twelve tables every second
is played each time; all of them by `make bench ARGS=any_table`, or by

SMARTCART_TABLES=all python -m pytest smartcart_pipeline_tests/test_foreign_nights.py
"""

import csv
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml

from smartcart_pipeline.cli.scoring import score_file
from smartcart_pipeline.declaration.declaration import Declaration, read_declaration
from smartcart_pipeline.exports.drafting import Draft
from smartcart_pipeline.orchestration.night import prepare_home, run_job
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import kept_publications
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.conftest import running_browser
from smartcart_pipeline_tests.declaring import draft
from smartcart_pipeline_tests.deliveries import put_down, write_table
from smartcart_pipeline_tests.foreign_tables import FOREIGN, deliver, kinds
from smartcart_pipeline_tests.report.test_contents import sections_of, text_of
from smartcart_pipeline_tests.report.test_foreign_page import asked
from smartcart_pipeline_tests.soundness import NO_NUMBER, ask, find_faults
from smartcart_pipeline_tests.telling import find_untruths

pytestmark = pytest.mark.night

CUSTOMERS, SEED = 600, 7
# Every kind of file, and every kind of id: numbers, padded numbers, codes, addresses, UUIDs, and none.
USUAL = ("telco_churn", "retail_bank", "app_usage", "energy_utility", "marketplace_sellers", "museum_passes")
FURTHER = ("insurance", "grocery_loyalty", "wholesale", "donations", "wide_survey", "three_numbers")
TABLES = (*USUAL, *FURTHER) if os.environ.get("SMARTCART_TABLES") == "all" else USUAL
# A day older, next to nobody is in another segment.
MOST_RELABELLED = 0.003
# How well kinds that were made are found again: these tables have little else in them.
WELL_FOUND = ("telco_churn", "insurance", "three_numbers", "wide_survey", "energy_utility")
# What tells of the run, of files and of lines.
OF_THE_RUN = {"raw_customers", "rejected_customers", "publication", "lineage", "checks", "column_lineage"}


@dataclass(frozen=True)
class Played:
    """A table and its nights.

    Attributes:
        name: The table.
        home: Its home, after two nights.
        export: The file of both.
        drafted: What was drafted of it.
        first: What the first night published.
        declaration: What both went by.
    """

    name: str
    home: Home
    export: Path
    drafted: Draft
    first: Path
    declaration: Declaration

    @property
    def has_id(self) -> bool:
        """Whether customers can be told apart."""
        return FOREIGN[self.name].key is not None


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose records are made."""
    home = Home(tmp_path_factory.mktemp("empty") / "home")
    prepare_home(home)
    return home


def begin(empty: Home, folder: Path) -> Home:
    """A home in which nothing has happened."""
    shutil.copytree(empty.root, folder / "home", symlinks=True)
    return Home(folder / "home")


@pytest.fixture(scope="module", params=TABLES)
def played(request: pytest.FixtureRequest, empty: Home, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp(request.param)
    export, home = deliver(request.param, folder, CUSTOMERS, SEED), begin(empty, folder)
    drafted = draft(home, export)
    told = run_job(home, {"input": str(export)}, quiet=True)
    later = date.fromisoformat(told["as_of_date"]) + timedelta(days=1)
    run_job(home, {"input": str(export), "as_of": later.isoformat()}, quiet=True)
    first, _ = sorted(kept_publications(home))
    return Played(request.param, home, export, drafted, first, read_declaration(home.root))


@pytest.fixture(scope="module")
def first(played: Played) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(played.first) as connection:
        yield connection


# The nights


def test_a_day_later_hardly_anybody_is_in_another_segment(played: Played):
    with open_warehouse(played.home.warehouse) as second:
        [(everyone, known, moved)] = ask(
            second,
            "SELECT count(*), count(previous_segment_id), count(*) FILTER (previous_segment_id <> segment_id) "
            "FROM clusters",
        )
        features = ask(second, "SELECT count(*) FROM declared_features WHERE verb IN ('days_since', 'years_since')")
    assert known == (everyone if played.has_id else 0)
    assert moved <= MOST_RELABELLED * everyone
    # Where nothing is counted to the day, nothing has changed at all.
    assert features != [(0,)] or moved == 0


def test_the_order_of_rows_changes_no_bit(played: Played, empty: Home, tmp_path: Path):
    if not played.has_id:
        # Rows are numbered: another order is another table.
        return
    known = FOREIGN[played.name]
    table = known.make(CUSTOMERS, SEED)
    shuffled = tmp_path / played.export.name
    write_table(table.take(np.random.default_rng(3).permutation(table.num_rows)), shuffled, known.format, known.dates)
    put_down(shuffled, known.crowd(1, SEED).day.item())
    other = begin(empty, tmp_path)
    drafted = draft(other, shuffled)
    for mine, theirs in ((played.drafted.contract, drafted.contract), (played.drafted.recipe, drafted.recipe)):
        assert yaml.safe_load(mine) == yaml.safe_load(theirs)
    run_job(other, {"input": str(shuffled)}, quiet=True)
    with open_warehouse(played.first) as one, open_warehouse(other.warehouse) as more:
        names = {row[0] for row in ask(one, "SELECT table_name FROM duckdb_tables()")}
        assert names == {row[0] for row in ask(more, "SELECT table_name FROM duckdb_tables()")}
        for name in sorted(names - OF_THE_RUN):
            assert ask(one, f"FROM {name} ORDER BY ALL") == ask(more, f"FROM {name} ORDER BY ALL"), name
    mine, theirs = (lake_of(home) for home in (played.home, other))
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []


def lake_of(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    """Each table of the lake as the first night wrote it."""
    found = {}
    for folder in sorted(home.lake.iterdir()):
        written = sorted(folder.glob("[0-9]*.parquet"))
        if written and folder.name not in OF_THE_RUN:
            query = f"FROM read_parquet('{written[0]}') ORDER BY ALL"
            found[folder.name] = duckdb.sql(query).fetchall()
    return found


def test_kinds_of_customers_are_found_again(
    played: Played, first: duckdb.DuckDBPyConnection, record_property: Callable[[str, object], None]
):
    from sklearn.metrics import adjusted_rand_score

    if not played.has_id:
        return
    table = FOREIGN[played.name].make(CUSTOMERS, SEED)
    keys = map(str, table[FOREIGN[played.name].key].to_pylist())
    kind = dict(zip(keys, kinds(played.name, CUSTOMERS, SEED).tolist(), strict=True))
    found = ask(first, "SELECT customer_id::VARCHAR, segment_id FROM clusters")
    index = adjusted_rand_score([kind[key] for key, _ in found], [segment for _, segment in found])
    record_property("adjusted Rand index", round(index, 2))
    assert played.name not in WELL_FOUND or index > 0.3


# Macros, scores and figures


def test_nothing_is_wrong_with_what_is_published(played: Played):
    assert find_faults(played.home) == []


def test_a_file_is_scored_as_the_night_did(played: Played, first: duckdb.DuckDBPyConnection, tmp_path: Path):
    score_file(played.first, played.export, str(tmp_path / "scores.csv"))
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        scored = {row["customer_id"]: row["segment_id"] for row in csv.DictReader(file)}
    assert scored == dict(ask(first, "SELECT customer_id::VARCHAR, raw_segment_id FROM clusters"))


def test_personas_and_descriptions_are_true(played: Played):
    for publication in (played.first, played.home.warehouse):
        with open_warehouse(publication) as warehouse:
            assert find_untruths(warehouse, played.declaration.recipe) == []


# The page


@pytest.fixture(scope="module")
def page(played: Played) -> str:
    return played.home.report.read_text(encoding="utf-8")


def test_every_suggestion_is_true(played: Played, page: str):
    told = set(re.findall(r'<data value="([^"]+)" data-source="((?:profiles|typical|reached|below)\.[^"]+)"', page))
    wrong = []
    with open_warehouse(played.home.warehouse) as warehouse:
        for value, source in told:
            if not source.startswith(("profiles.customers", "profiles.share[")):
                [[right]] = ask(warehouse, asked(source))
                wrong += [] if float(value) == pytest.approx(right, 1e-9, abs=1e-9) else [(source, value, right)]
    assert wrong == []
    shares = [float(value) for value, source in told if source.startswith(("reached.", "below."))]
    assert shares
    assert min(shares) > 0.5


def test_every_figure_says_where_it_stands(played: Played, page: str):
    # What is reckoned for the page alone; everything else is a column of a table or view.
    reckoned = {"profiles", "typical", "reached", "below", "index", "spending_share", "responses", "counts", "rejected"}
    reckoned |= {"fences", "worth", "together", "at_risk_customers"}
    sources = set(re.findall(r'data-source="(\w+)\.?(\w*)', page))
    with open_warehouse(played.home.warehouse) as warehouse:
        columns = set(ask(warehouse, "SELECT table_name, column_name FROM duckdb_columns()"))
    flows = {("flows", part) for part in ("before", "after", "customers", "stayed", "moved", "arrived", "left")}
    flows |= {("flows", cause) for cause in ("customer", "model", "borderline")}
    # Of categories the square of V, which goes like eta squared.
    between = {(table, "between") for table in ("segment_drivers", "segment_pairs")}
    assert {pair for pair in sources if pair[0] not in reckoned} - columns - flows - between == set()
    assert {column for table, column in sources if table == "profiles"} <= {c for t, c in columns if t == "profiles"}


def test_the_page_says_nothing_of_what_is_no_number(page: str):
    sections_of(page)  # asserts that the list of contents has them all
    told = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert NO_NUMBER.findall(text_of(told)) == []


def test_it_opens_without_errors_and_fits_a_phone(played: Played):
    errors: list[str] = []
    # A browser for each table, as no night can be run beside one.
    with running_browser() as browser:
        page = browser.new_page(viewport={"width": 420, "height": 840})
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(played.home.report.as_uri())
        page.locator("section").last.scroll_into_view_if_needed()
        width = page.evaluate("document.documentElement.scrollWidth")
        named, shown = (page.locator(where).count() for where in (".contents li a", ".part section[id]"))
    assert errors == []
    assert width == 420
    assert named == shown > 5
