"""The page of a table that the pipeline never saw follows from the drafted declaration, and every figure is so."""

import re
from typing import Any

import pytest

from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.foreign_tables import deliver
from smartcart_pipeline_tests.forked import smartcart
from smartcart_pipeline_tests.report.screens import AT_ONCE, SCREENS, lines_of_menu, tiles_seen, what_is_seen
from smartcart_pipeline_tests.report.test_contents import sections_of, text_of
from smartcart_pipeline_tests.test_architecture import NAMED

pytestmark = pytest.mark.night

MEMBERS = "features JOIN clusters USING (customer_id)"


@pytest.fixture(scope="module")
def homes(whole_night: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Home]:
    """A night of hotel guests (revenue, stays by their logarithms), and one of a bank's customers."""
    homes = {}
    for table in ("hotel_guests", "retail_bank"):
        folder = tmp_path_factory.mktemp(table)
        export = deliver(table, folder, 1_000, seed=7)
        for command in (("init", export), ("run", "--input", export)):
            done = smartcart(*command, "--home", folder / "home")
            assert done.returncode == 0, done.stderr
        homes[table] = Home(folder / "home")
    return homes


@pytest.fixture(scope="module")
def home(homes: dict[str, Home]) -> Home:
    """That of the hotel."""
    return homes["hotel_guests"]


@pytest.fixture(scope="module")
def page(home: Home) -> str:
    return home.report.read_text()


def test_it_has_the_sections_that_were_declared(page: str) -> None:
    found = sections_of(page)
    assert {"against", "outcomes", "do", "sizes"} <= set(found)
    # No channels and no composition.
    assert "buying" not in found
    assert "how they buy" not in text_of(page)


def test_no_word_on_it_is_of_another_company(page: str) -> None:
    told = text_of(page[: page.index('<section id="decision"')])
    assert set(NAMED.findall(told)) == set()
    for word in ("spending", "campaign", "web site", "catalogue"):
        assert word not in told


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("table", ["hotel_guests", "retail_bank"])
def test_a_stranger_sees_at_once_what_matters(browser: Any, homes: dict[str, Home], table: str, screen: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(homes[table].report.as_uri())
    seen = what_is_seen(page, screen)
    assert set(seen) == set(AT_ONCE)
    assert set(tiles_seen(page)) == {True}
    assert lines_of_menu(page) == 1
    with open_warehouse(homes[table].warehouse) as warehouse:
        # Of a balance, which can be owed, nobody has a share.
        most = {"hotel_guests": "spending_share - share", "retail_bank": "mean_balance"}[table]
        [(customers, best)] = warehouse.sql(
            f"SELECT sum(customers)::BIGINT, arg_max(segment_id, {most}) FROM segment_summary"
        ).fetchall()
    assert f"{customers:,}" in seen[".tiles li:first-child"]
    assert best in seen[".start h2"]
    context.close()


def test_what_the_segments_are_made_of_is_told_by_the_names_that_people_read(page: str, home: Home) -> None:
    made = page[page.index('<section id="made"') : page.index('<section id="decision"')]
    with open_warehouse(home.warehouse) as warehouse:
        [columns] = warehouse.sql("SELECT list(feature) FROM segment_drivers WHERE contains(feature, '_')").fetchall()[
            0
        ]
    assert columns
    assert not [name for name in columns if name in text_of(f"<body>{made}")]
    told = re.findall(r'<data value="([^"]+)" data-source="segment_drivers\.between\[(\w+)\]"', made)
    assert len(told) == 8
    wrong = []
    with open_warehouse(home.warehouse) as warehouse:
        for value, name in told:
            [[kind]] = warehouse.sql(f"SELECT typeof(any_value({name})) FROM features").fetchall()
            if kind == "VARCHAR":
                continue
            mean = f"avg({name}) OVER (PARTITION BY segment_id)"
            [[right]] = warehouse.sql(
                f"SELECT var_pop(mean) / var_pop({name}) FROM (SELECT {name}, {mean} AS mean FROM {MEMBERS})"
            ).fetchall()
            if float(value) != pytest.approx(right, 1e-6):
                wrong.append((name, value, right))
    assert wrong == []


def asked(source: str) -> str:
    """The query for a figure of customers."""
    found = re.fullmatch(r"(\w+)\.(\w+)(?:\[(\w+)(?:,(\w+))?\])?", source)
    assert found, source
    kind, column, segment = found[1], found[2], found[3]
    where = f"WHERE segment_id = '{segment}'" if segment else ""
    reaches = f"({column} >= (SELECT avg({column}) FROM features))::INT"
    if kind == "profiles" and not column.startswith("mean_"):
        return f"SELECT sum(customers * {column}) / sum(customers) FROM profiles {where}"
    measure = {
        "profiles": f"avg({column.removeprefix('mean_')})",
        "typical": f"exp(avg({column})) - 1",
        "reached": f"avg({reaches})",
        "below": f"1 - avg({reaches})",
    }[kind]
    return f"SELECT {measure} FROM {MEMBERS} {where}"


def test_what_it_says_of_customers_is_so(page: str, home: Home) -> None:
    told = set(re.findall(r'<data value="([^"]+)" data-source="((?:profiles|typical|reached|below)\.[^"]+)"', page))
    figures = {
        (value, source) for value, source in told if not source.startswith(("profiles.customers", "profiles.share["))
    }
    wrong = []
    with open_warehouse(home.warehouse) as warehouse:
        for value, source in figures:
            [[right]] = warehouse.sql(asked(source)).fetchall()
            if float(value) != pytest.approx(right, 1e-9, abs=1e-9):
                wrong.append((source, value, right))
    kinds = {source.partition(".")[0] for _, source in figures}
    assert wrong == []
    assert kinds == {"profiles", "typical", "reached", "below"}


def test_every_suggestion_for_a_number_is_true_of_most(page: str) -> None:
    shares = re.findall(r'<data value="([^"]+)" data-source="(?:reached|below)\.', page)
    assert len(shares) > 3
    assert all(float(share) > 0.5 for share in shares)
