"""The page in a real browser: it shows what the warehouse holds, keeps to itself, turns, prints, runs no one's script.

The export is hostile: its name and two of its categories are HTML.
"""

import html
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from scipy.stats import binomtest

from smartcart_pipeline.night import run_job
from smartcart_pipeline.report.wording import MEASURES
from smartcart_pipeline.segmentation.spending import CATEGORIES
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.conftest import SAMPLE

NAME = "<script>document.title='stolen'<&>\".csv"
SCRIPT = "<script>document.title='stolen'</script>"
PICTURE = '"><img src=x onerror="document.title=\'stolen\'">'

WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
SHOWN = [pytest.param(width, scheme, id=f"{width}, {scheme}") for width in WIDTHS for scheme in SCHEMES]

CHANNELS = ("num_web_purchases", "num_catalog_purchases", "num_store_purchases")
AMOUNTS = {category: amount for amount, category in CATEGORIES.items()}
MEMBERS = "features JOIN clusters USING (customer_id)"
BOUGHT = "cleaned JOIN clusters USING (customer_id)"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home after a run over a hostile export."""
    folder = tmp_path_factory.mktemp("page")
    delivered = pd.read_csv(SAMPLE, dtype=str, keep_default_na=False)
    delivered.loc[10, "Education"] = SCRIPT
    delivered.loc[20, "Marital_Status"] = PICTURE
    delivered.to_csv(folder / NAME, index=False)
    place = Home(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(place.dagster))
        patch.setenv("SMARTCART_HOME", str(place.root))
        run_job(place, {"input": str(folder / NAME), "recipe": "behavioural"}, quiet=True)
    return place


@pytest.fixture(scope="module")
def warehouse(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        yield connection


class Visit:
    """The page, opened, and all that it did meanwhile."""

    def __init__(self, browser: Any, home: Home, width: str = "desk", scheme: str = "light", **options: Any) -> None:
        size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
        self.context = browser.new_context(viewport=size, color_scheme=scheme, offline=True, **options)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(home.report.as_uri())

    def turnable(self) -> Any:
        """The picture that can be turned, once it can be."""
        self.page.locator("#turnable").scroll_into_view_if_needed()
        self.page.wait_for_selector("#turnable.is-live", timeout=60_000)
        return self.page.locator("#turnable .live")

    def waits_until(self, holds: Callable[[], bool]) -> bool:
        """Whether something comes to hold, within some seconds."""
        for _ in range(40):
            if holds():
                return True
            self.page.wait_for_timeout(250)
        return False

    def eye(self) -> list[float]:
        """Where the picture is looked at from."""
        where: list[float] = self.page.evaluate(
            "(({x, y, z}) => [x, y, z])(document.querySelector('.live')._fullLayout.scene._scene.getCamera().eye)"
        )
        return where


Visits = Callable[..., Visit]


@pytest.fixture(scope="module")
def visit(home: Home, browser: Any) -> Iterator[Visits]:
    """Opens the page."""
    visits: list[Visit] = []

    def open_page(*arguments: Any, **options: Any) -> Visit:
        visits.append(Visit(browser, home, *arguments, **options))
        return visits[-1]

    yield open_page
    for one in visits:
        one.context.close()


@pytest.fixture(scope="module")
def desk(visit: Visits) -> Visit:
    """The page on a desk, by day."""
    return visit()


# The numbers


@pytest.fixture(scope="module")
def figures(desk: Visit) -> list[tuple[str, float, str]]:
    """Every figure on the page: where it says it comes from, its value, and what a reader sees."""
    found = desk.page.eval_on_selector_all(
        "data[data-source]", "all => all.map(it => [it.dataset.source, Number(it.value), it.innerText])"
    )
    return [(source, value, text) for source, value, text in found]


def expected(warehouse: duckdb.DuckDBPyConnection, source: str) -> float:
    """What a figure must be: asked of the customers themselves where it is a figure of customers."""
    found = re.fullmatch(r"(\w+)(?:\.(\w+))?(?:\[(.+)\])?", source)
    assert found, source
    table, column, keys = found[1], found[2] or "", found[3].split(",") if found[3] else []
    segment = keys[0] if keys and keys[0] in segments_of(warehouse) else None
    where = f"WHERE segment_id = '{segment}'" if segment else ""
    if table == "responses":
        return interval(*warehouse.sql(f"SELECT count(*), sum(response) FROM {MEMBERS} {where}").fetchall()[0])[column]
    if table in KEYS:
        where = "WHERE " + " AND ".join(f"{name} = '{key}'" for name, key in zip(KEYS[table], keys, strict=False))
    query = QUERIES.get(f"{table}.{column}") or QUERIES[table]
    [[value]] = warehouse.sql(query(column, where, keys)).fetchall()
    return float(value)


def interval(customers: int, responses: int) -> dict[str, float]:
    limits = binomtest(int(responses), customers).proportion_ci(method="wilson")
    return {
        "responses": responses,
        "response_rate": responses / customers,
        "rate_low": float(limits.low),
        "rate_high": float(limits.high),
    }


KEYS = {
    "segment_rules": ["rule_number"],
    "k_selection": ["k"],
    "algorithm_comparison": ["algorithm", "space"],
    "loadings": ["component", "feature"],
    "rejected": ["reason"],
}
# For each kind of figure a query, of its column, the customers it is about, and its keys.
QUERIES: dict[str, Callable[[str, str, list[str]], str]] = {
    "profiles": lambda column, where, _: f"SELECT {of_customers(column)} FROM {MEMBERS} {where}",
    "index": lambda column, where, _: (
        f"SELECT 100 * {of_customers(column)} / (SELECT {of_customers(column)} FROM features) FROM {MEMBERS} {where}"
    ),
    "spending_share": lambda _, where, __: (
        f"SELECT sum(total_spending) / (SELECT sum(total_spending) FROM features) FROM {MEMBERS} {where}"
    ),
    "channels": lambda column, where, _: f"SELECT sum({column}) / sum({' + '.join(CHANNELS)}) FROM {MEMBERS} {where}",
    "categories.mean_spending": lambda _, where, keys: f"SELECT avg({AMOUNTS[keys[-1]]}) FROM {BOUGHT} {where}",
    "categories.share_of_spending": lambda _, where, keys: (
        f"SELECT sum({AMOUNTS[keys[-1]]}) / sum({' + '.join(AMOUNTS.values())}) FROM {BOUGHT} {where}"
    ),
    "counts.delivered": lambda *_: "SELECT count(*) FROM raw_customers",
    "counts.kept": lambda *_: "SELECT count(*) FROM cleaned",
    "counts.refused": lambda *_: "SELECT count(*) FROM rejected_customers",
    "counts.imputed": lambda *_: (
        "SELECT count(*) FROM raw_customers JOIN cleaned USING (customer_id) WHERE raw_customers.income IS NULL"
    ),
    "rejected": lambda _, where, __: f"SELECT count(*) FROM rejected_customers {where}",
    "segment_rules": lambda column, where, _: f"SELECT {column} FROM segment_rules {where}",
    "k_selection": lambda column, where, _: f"SELECT {column} FROM k_selection {where}",
    "algorithm_comparison": lambda column, where, _: f"SELECT {column} FROM algorithm_comparison {where}",
    "loadings": lambda column, where, _: f"SELECT DISTINCT {column} FROM loadings {where}",
}


def segments_of(warehouse: duckdb.DuckDBPyConnection) -> list[str]:
    return [row[0] for row in warehouse.sql("SELECT DISTINCT segment_id FROM clusters ORDER BY 1").fetchall()]


def of_customers(column: str) -> str:
    """The expression over customers that a column of `profiles` stands for."""
    if column.startswith("mean_"):
        return f"avg({column.removeprefix('mean_')})"
    return {
        "customers": "count(*)",
        "share": "count(*) / (SELECT count(*) FROM features)",
        "response_rate": "avg(response)",
        "share_living_with_partner": "avg((living_with = 'Partner')::INT)",
        "share_education_postgraduate": "avg((education = 'Postgraduate')::INT)",
    }[column]


def test_every_figure_is_the_warehouses(
    figures: list[tuple[str, float, str]], warehouse: duckdb.DuckDBPyConnection
) -> None:
    wrong = []
    for source in {source for source, _, _ in figures}:
        right = expected(warehouse, source)
        wrong += [(s, value, right) for s, value, _ in figures if s == source and value != pytest.approx(right, 1e-9)]
    assert wrong == []


def test_a_reader_sees_each_figure_rounded_and_no_more(figures: list[tuple[str, float, str]]) -> None:
    for source, value, text in figures:
        shown = float(re.sub(r"[,%]", "", text)) / (100 if text.endswith("%") else 1)
        digits = len(text.rstrip("%").partition(".")[2]) + (2 if text.endswith("%") else 0)
        assert shown == pytest.approx(value, abs=0.5000001 * 10**-digits), (source, text)


def test_all_that_the_page_promises_is_there(
    figures: list[tuple[str, float, str]], warehouse: duckdb.DuckDBPyConnection
) -> None:
    shown, segments = {source for source, _, _ in figures}, segments_of(warehouse)
    everyone = ["", *(f"[{segment}]" for segment in segments)]
    wanted = {f"profiles.{measure.column}{of}" for measure in MEASURES for of in everyone}
    wanted |= {f"channels.{channel}{of}" for channel in (*CHANNELS, "num_deals_purchases") for of in everyone}
    wanted |= {f"categories.share_of_spending[{s},{category}]" for s in segments for category in AMOUNTS}
    wanted |= {f"responses.{name}[{s}]" for s in segments for name in ("response_rate", "rate_low", "rate_high")}
    wanted |= {f"spending_share[{s}]" for s in segments} | {f"profiles.share[{s}]" for s in segments}
    wanted |= {f"k_selection.{name}[{k}]" for k in range(2, 11) for name in ("inertia", "silhouette", "stability")}
    wanted |= {f"segment_rules.{name}[1]" for name in ("customers", "precision", "coverage", "agreement")}
    wanted |= {f"counts.{name}" for name in ("delivered", "kept", "refused", "imputed")}
    for table, names in (("loadings", "component, feature"), ("rejected_customers", "reason")):
        keys = warehouse.sql(f"SELECT DISTINCT {names} FROM {table}").fetchall()
        prefix = "loadings.loading" if table == "loadings" else "rejected.customers"
        wanted |= {f"{prefix}[{','.join(key)}]" for key in keys}
    assert wanted - shown == set()


def test_every_sampled_customer_is_drawn_in_both_pictures(desk: Visit, warehouse: duckdb.DuckDBPyConnection) -> None:
    drawn = dict(warehouse.sql("SELECT segment_id, count(*) FROM plotted_customers GROUP BY 1").fetchall())
    paths = desk.page.eval_on_selector_all(
        "#income .dots", "all => all.map(it => [it.dataset.segment, it.getAttribute('d').split('M').length - 1])"
    )
    assert dict(paths) == drawn
    desk.turnable()
    in_space = desk.page.evaluate("document.querySelector('.live').data.map(it => [it.name.slice(0, 3), it.x.length])")
    assert dict(in_space) == drawn


def test_personas_and_provenance_are_those_published(desk: Visit, warehouse: duckdb.DuckDBPyConnection) -> None:
    for segment, persona in warehouse.sql("SELECT segment_id, persona FROM profiles").fetchall():
        assert desk.page.locator("#segments h3", has_text=f"{segment} {persona}").count() == 1
    [told] = warehouse.sql("SELECT run_id, export_hash, as_of_date::VARCHAR, recipe FROM publication").fetchall()
    shown = desk.page.locator("#provenance dd").all_inner_texts()
    assert set(told) <= set(shown)


def test_repeats_are_told_as_the_check_found_them(desk: Visit, warehouse: duckdb.DuckDBPyConnection) -> None:
    [(found,)] = warehouse.sql("SELECT found FROM checks WHERE check_name = 'no_repeats'").fetchall()
    columns = [row[0] for row in warehouse.sql("DESCRIBE raw_customers").fetchall()]
    described = ", ".join(name for name in columns if name not in ("line_number", "customer_id", "unreadable"))
    [(repeats,)] = warehouse.sql(
        f"SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT {described} FROM raw_customers)) FROM raw_customers"
    ).fetchall()
    assert found.startswith(f"{repeats} rows repeat")
    assert found in desk.page.locator("#quality").inner_text()


# What it does by itself


@pytest.mark.parametrize(("width", "scheme"), SHOWN)
def test_it_looks_right_and_keeps_to_itself(visit: Visits, home: Home, width: str, scheme: str, tmp_path: Path) -> None:
    here = visit(width, scheme)
    here.turnable()
    assert here.page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width][0]
    assert here.errors == []
    assert here.requests == [home.report.as_uri()]
    lightness = here.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(lightness) > 600) == (scheme == "light")
    here.page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 100_000


@pytest.mark.parametrize(("width", "scheme"), [("desk", "light"), ("phone", "dark")])
def test_everybody_can_read_it(visit: Visits, width: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    here = visit(width, scheme)
    here.turnable()
    found = Axe().run(here.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()


def test_what_the_export_says_is_text(desk: Visit, home: Home) -> None:
    assert SCRIPT in desk.page.locator("#quality .details").inner_text()
    assert PICTURE in desk.page.locator("#quality .details").inner_text()
    assert desk.page.locator("#provenance dd", has_text=NAME).count() == 1
    assert desk.page.title().startswith(f"Customer segments: {NAME}")
    assert desk.page.locator("img").count() == 0
    assert desk.page.locator("script").count() == 4  # points, the packed Plotly, ours, and Plotly unpacked
    written = home.report.read_text()
    assert html.escape(SCRIPT, quote=False)[:10] in written
    assert "<script>document" not in written


def test_no_script_but_ours_would_run_even_if_one_got_in(visit: Visits) -> None:
    here = visit()
    here.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.in = 1'}))")
    assert here.page.evaluate("window.in") is None
    assert any("Content Security Policy" in error for error in here.errors)


# The picture that turns


def test_the_picture_turns_with_the_mouse(visit: Visits) -> None:
    here = visit()
    live = here.turnable()
    before, eye = live.screenshot(), here.eye()
    box = live.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    here.page.mouse.move(*middle)
    here.page.mouse.down()
    here.page.mouse.move(middle[0] + 160, middle[1] + 30, steps=8)
    here.page.mouse.up()
    assert here.waits_until(lambda: apart(here.eye(), eye) > 0.2)
    assert here.waits_until(lambda: changed(before, live.screenshot()) > 0.02)
    assert here.errors == []


def test_the_picture_turns_with_buttons_and_goes_back(visit: Visits) -> None:
    here = visit("phone")
    live = here.turnable()
    start = here.eye()
    before = live.screenshot()
    here.page.get_by_role("button", name="Turn left").focus()
    here.page.keyboard.press("Enter")
    here.page.get_by_role("button", name="Higher").click()
    # Twenty degrees to the left, and fifteen up.
    assert here.waits_until(lambda: turned_by(start, here.eye()) == pytest.approx((-20, 15)))
    assert here.waits_until(lambda: changed(before, live.screenshot()) > 0.02)
    here.page.get_by_role("button", name="Start again").click()
    assert here.waits_until(lambda: apart(here.eye(), start) < 1e-9)


def apart(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def turned_by(before: list[float], after: list[float]) -> tuple[float, float]:
    """Degrees about the upright axis, and up from the ground."""
    around = [math.degrees(math.atan2(y, x)) for x, y, _ in (before, after)]
    up = [math.degrees(math.atan2(z, math.hypot(x, y))) for x, y, z in (before, after)]
    return around[1] - around[0], up[1] - up[0]


def changed(before: bytes, after: bytes) -> float:
    """Share of the pixels that differ."""
    import io

    import numpy as np
    from PIL import Image

    one, other = (np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=int) for picture in (before, after))
    return float((np.abs(one - other).max(axis=2) > 16).mean())


def test_its_colours_follow_the_theme(visit: Visits) -> None:
    here = visit("desk", "light")
    here.turnable()
    colour = "document.querySelector('.live').data[0].marker.color"
    light = here.page.evaluate(colour)
    here.page.emulate_media(color_scheme="dark")
    assert here.waits_until(lambda: here.page.evaluate(colour) not in ("", light))
    assert here.errors == []


@pytest.mark.parametrize(
    ("options", "init"),
    [
        ({"java_script_enabled": False}, None),
        ({}, "delete globalThis.DecompressionStream"),
        ({}, "HTMLCanvasElement.prototype.getContext = () => null"),
    ],
    ids=["no scripts", "an old browser", "no WebGL"],
)
def test_where_it_cannot_turn_it_stands_still(
    browser: Any, home: Home, options: dict[str, Any], init: str | None
) -> None:
    context = browser.new_context(**options)
    page = context.new_page()
    if init:
        page.add_init_script(init)
    page.goto(home.report.as_uri())
    page.locator("#turnable").scroll_into_view_if_needed()
    if init:
        page.locator("#turnable .state", has_text="cannot turn").wait_for()
    assert page.locator("#turnable .still").is_visible()
    assert not page.locator("#turnable .live").is_visible()
    assert not page.locator(".turn").is_visible()
    context.close()


# On paper


def test_it_prints_light_whole_and_standing_still(visit: Visits, tmp_path: Path) -> None:
    here = visit("desk", "dark")
    here.turnable()
    here.page.emulate_media(media="print", color_scheme="dark")
    assert here.page.locator("#turnable .still").is_visible()
    assert not here.page.locator("#turnable .live").is_visible()
    assert here.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # As wide as A4 between its margins, nothing is cut off.
    here.page.set_viewport_size({"width": 688, "height": 1000})
    assert here.page.evaluate("document.documentElement.scrollWidth") == 688
    written = here.page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert written.startswith(b"%PDF-")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", written)) <= 16
