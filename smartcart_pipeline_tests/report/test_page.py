"""The page in a real browser: it shows what the warehouse holds, keeps to itself, turns, prints, runs no one's script.

The exports are hostile: their name and two of their categories are HTML, and so is the reason that a person gives for
tonight's model. There are three nights, the last a month after the first: customers moved, arrived and left.
"""

import html
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from scipy.stats import binomtest, chi2_contingency

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.orchestration.night import run_job
from smartcart_pipeline.report import changes, made
from smartcart_pipeline.report.reading import read_findings
from smartcart_pipeline.report.wording import measures
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.models import ask_for
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.conftest import SAMPLE
from smartcart_pipeline_tests.declared import CATEGORIES, RECIPES
from smartcart_pipeline_tests.report.screens import AT_ONCE, SCREENS, lines_of_menu, tiles_seen, what_is_seen

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


FIRST, BEFORE, TONIGHT = "2014-07-01", "2014-08-10", "2014-08-11"


@pytest.fixture(scope="module")
def home(whole_night: None, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home after three nights over hostile exports; on the last, a person promotes the fit of the second."""
    folder = tmp_path_factory.mktemp("page")
    delivered = pd.read_csv(SAMPLE, dtype=str, keep_default_na=False)
    delivered.loc[10, "Education"] = SCRIPT
    delivered.loc[20, "Marital_Status"] = PICTURE
    place = Home(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(place.dagster))
        patch.setenv("SMARTCART_HOME", str(place.root))
        play(place, folder, FIRST, delivered.iloc[:2_000])
        play(place, folder, BEFORE, delivered.iloc[:2_100])
        ask_for(place, "v2", PICTURE)
        play(place, folder, TONIGHT, enriched(delivered.drop(index=range(100, 130)), 40))
    return place


def play(home: Home, folder: Path, as_of: str, customers: pd.DataFrame) -> None:
    customers.to_csv(folder / NAME, index=False)
    run_job(home, {"input": str(folder / NAME), "recipe": "behavioural", "as_of": as_of}, quiet=True)


def enriched(customers: pd.DataFrame, number: int) -> pd.DataFrame:
    """Some poor customers buy as the one does who drinks the most wine."""
    incomes, wines = (pd.to_numeric(customers[name]) for name in ("Income", "MntWines"))
    poor = customers.index[incomes < 30_000][:number]
    lived = [name for name in customers if name.startswith(("Mnt", "Num", "Income", "Recency"))]
    changed = customers.copy()
    changed.loc[poor, lived] = customers.loc[wines.idxmax(), lived].to_numpy()
    return changed


@pytest.fixture(scope="module")
def warehouse(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(home.warehouse) as connection:
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
        "[data-source]",
        "all => all.map(it => [it.dataset.source, Number(it.value ?? it.dataset.value), it.textContent.split(' ')[0]])",
    )
    return [(source, value, text) for source, value, text in found]


def expected(warehouse: duckdb.DuckDBPyConnection, source: str) -> float:
    """What a figure must be: asked of the customers themselves where it is a figure of customers."""
    found = re.fullmatch(r"(\w+)(?:\.([\w.]+))?(?:\[(.+)\])?", source)
    assert found, source
    table, column, keys = found[1], found[2] or "", found[3].split(",") if found[3] else []
    segment = keys[0] if keys and keys[0] in segments_of(warehouse) else None
    where = f"WHERE segment_id = '{segment}'" if segment else ""
    if table in MADE:
        return MADE[table](warehouse, column, keys)
    if table == "responses":
        query = f"SELECT count(*), sum({keys[1]}) FROM {MEMBERS} {where}"
        return interval(*warehouse.sql(query).fetchall()[0])[column]
    if table == "index":
        whole = source.removeprefix("index.")
        return 100 * expected(warehouse, whole) / expected(warehouse, whole.partition("[")[0])
    if table in KEYS:
        where = "WHERE " + " AND ".join(f"{name} = '{key}'" for name, key in zip(KEYS[table], keys, strict=False))
    query = QUERIES.get(f"{table}.{column}") or QUERIES[table]
    [[value]] = warehouse.sql(query(column, where, keys)).fetchall()
    return float(value)


def interval(customers: int, responses: int) -> dict[str, float]:
    limits = binomtest(int(responses), customers).proportion_ci(method="wilson")
    return {
        "responses": responses,
        "rate": responses / customers,
        "rate_low": float(limits.low),
        "rate_high": float(limits.high),
    }


Warehouse = duckdb.DuckDBPyConnection


def driven(warehouse: Warehouse, column: str, keys: list[str]) -> float:
    """How a feature goes with segments: with those that are named, or all."""
    *pair, feature = keys
    strength, is_category = associate(warehouse, feature, feature, pair or segments_of(warehouse))
    return strength**2 if column == "between" and is_category else strength


def associate(
    warehouse: Warehouse, feature: str, expression: str, segments: list[str], *, grouped: bool = False
) -> tuple[float, bool]:
    """Eta squared, or Cramer's V corrected for bias, from the customers; and whether it is the latter."""
    found = warehouse.sql(f"SELECT segment_id, {expression} AS value FROM {MEMBERS}").df()
    found = found[found["segment_id"].isin(segments)]
    if not (grouped or RECIPES["behavioural"].by_name[feature].is_category or feature in FLAGS):
        values = found["value"].astype(float)
        means = found.groupby("segment_id")["value"].transform("mean")
        return float(1 - ((values - means) ** 2).sum() / ((values - values.mean()) ** 2).sum()), False
    crossed = pd.crosstab(found["value"], found["segment_id"])
    customers, (rows, columns) = len(found), crossed.shape
    if min(rows, columns) < 2:
        return 0.0, True
    phi = max(
        chi2_contingency(crossed, correction=False)[0] / customers - (rows - 1) * (columns - 1) / (customers - 1), 0
    )
    least = min(size - (size - 1) ** 2 / (customers - 1) for size in (rows, columns))
    return math.sqrt(phi / (least - 1)), True


FLAGS = ("response", "complain")


def followed(warehouse: Warehouse, column: str, keys: list[str]) -> float:
    """How a sensitive category is spread, asked of the customers; the interval is the table's."""
    if column == "association":
        [attribute] = keys
        groups = warehouse.sql(
            f"SELECT DISTINCT category FROM sensitive_association WHERE attribute = '{attribute}'"
        ).fetchall()
        cases = " ".join(f"WHEN {is_of(attribute, group)} THEN '{group}'" for [group] in groups)
        segments = segments_of(warehouse)
        return associate(warehouse, attribute, f"CASE {cases} ELSE error('in no band') END", segments, grouped=True)[0]
    attribute, category = keys[-2:]
    if column.startswith("ratio_"):
        where = f"segment_id = '{keys[0]}' AND attribute = '{attribute}' AND category = '{category}'"
        [[value]] = warehouse.sql(f"SELECT {column} FROM sensitive_association WHERE {where}").fetchall()
        return float(value)
    having = f"avg(({is_of(attribute, category)})::INT)"
    [[everyone]] = warehouse.sql(f"SELECT {having} FROM {MEMBERS}").fetchall()
    if column == "base_share":
        return float(everyone)
    [[own]] = warehouse.sql(f"SELECT {having} FROM {MEMBERS} WHERE segment_id = '{keys[0]}'").fetchall()
    return float(own / everyone if column == "ratio" else own)


def is_of(attribute: str, category: str) -> str:
    """The condition of who is in a category, which of a number is a band."""
    if RECIPES["behavioural"].by_name[attribute].is_category:
        return f"{attribute} = '{category}'"
    match category.split():
        case ["up", "to", upper]:
            return f"{attribute} <= {upper}"
        case [lower, "to", upper]:
            return f"{attribute} BETWEEN {lower} AND {upper}"
        case [lower, "and", "more"]:
            return f"{attribute} >= {lower}"
    return f"{attribute} = {category}"


def fenced(warehouse: Warehouse, column: str, _: list[str]) -> float:
    """Three times as far from the median as most customers reach, outward to 12 binary digits; and who lies beyond."""
    name, _, figure = column.rpartition("_")
    [([first, low, middle, high, last],)] = warehouse.sql(
        f"SELECT quantile_cont({name}::DOUBLE, [0.01, 0.25, 0.5, 0.75, 0.99]) FROM features"
    ).fetchall()
    far = [3 * min(reach, 2 * (high - low)) for reach in (middle - first, last - middle)]
    step = 2.0 ** (math.ceil(math.log2(max(far))) - 12)
    lower, upper = math.floor((middle - far[0]) / step) * step, math.ceil((middle + far[1]) / step) * step
    [(beyond,)] = warehouse.sql(f"SELECT count_if({name} < {lower} OR {name} > {upper}) FROM features").fetchall()
    return {"lower": lower, "upper": upper, "beyond": float(beyond)}[figure]


MADE: dict[str, Callable[[Warehouse, str, list[str]], float]] = {
    **dict.fromkeys(("segment_drivers", "segment_pairs"), driven),
    "sensitive_association": followed,
    "cleaning_figures": fenced,
}
KEYS = {
    "structure": ["recipe"],
    "segment_recovery": ["segment_id"],
    "segment_rules": ["rule_number"],
    "k_selection": ["k"],
    "algorithm_comparison": ["algorithm", "space"],
    "loadings": ["component", "feature"],
    "rejected": ["reason"],
    "promotion_decisions": ["criterion"],
    "feature_drift": ["feature"],
    "segment_events": ["segment_id"],
}
CAUSES = {"Year_Birth: older than the limit": "age_above_limit"}
TODAY = "night = (SELECT max(night) FROM nights)"
SINCE = {"night": BEFORE, "month": FIRST}
# A flow as the membership of two days tells it.
FLOWS = {
    "stayed": "a.segment_id = b.segment_id",
    "moved": "a.segment_id <> b.segment_id",
    "arrived": "a.segment_id IS NULL",
    "left": "b.segment_id IS NULL",
}


def members_on(day: str) -> str:
    return (
        "(SELECT customer_id, segment_id FROM segment_membership "
        f"WHERE valid_from <= DATE '{day}' AND (valid_to IS NULL OR DATE '{day}' < valid_to))"
    )


def count_flow(period: str, condition: str) -> str:
    sides = f"{members_on(SINCE[period])} AS a FULL JOIN {members_on(TONIGHT)} AS b USING (customer_id)"
    return f"SELECT count(*) FROM {sides} WHERE {condition}"


def is_in(side: str, segment: str) -> str:
    return f"{side}.segment_id = '{segment}'" if segment else f"{side}.segment_id IS NULL"


def count_cause(cause: str, _: str, __: list[str]) -> str:
    return f"SELECT count(*) FROM segment_moves WHERE cause = '{cause}'"


# For each kind of figure a query, of its column, the customers it is about, and its keys.
QUERIES: dict[str, Callable[[str, str, list[str]], str]] = {
    "profiles": lambda column, where, _: f"SELECT {of_customers(column)} FROM {MEMBERS} {where}",
    "reached": lambda column, where, _: f"SELECT avg({reaches(column)}) FROM {MEMBERS} {where}",
    "below": lambda column, where, _: f"SELECT 1 - avg({reaches(column)}) FROM {MEMBERS} {where}",
    "both": lambda column, where, _: (
        f"SELECT avg({reaches(column)} * (1 - {reaches('num_web_purchases')})) FROM {MEMBERS} {where}"
    ),
    "worth.total": lambda *_: "SELECT sum(total_spending) FROM features",
    "together.share": lambda _, __, keys: f"SELECT avg(({are_in(keys)})::INT) FROM clusters",
    "together.worth": lambda _, __, keys: (
        f"SELECT sum(total_spending) FILTER ({are_in(keys)}) / sum(total_spending) FROM {MEMBERS}"
    ),
    "at_risk_customers": lambda *_: "SELECT count(*) FROM at_risk_customers",
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
    "counts.imputed": lambda _, __, keys: (
        f"SELECT count(*) FROM raw_customers JOIN cleaned USING (customer_id) WHERE raw_customers.{keys[0]} IS NULL"
    ),
    "rejected": lambda _, where, __: f"SELECT count(*) FROM rejected_customers {where}",
    # What is wrong with each of them, of which the sample has one thing only more than once.
    "rejected.rows": lambda _, __, keys: f"SELECT count(*) FROM rejected_customers WHERE reason = '{CAUSES[keys[0]]}'",
    "segment_rules": lambda column, where, _: f"SELECT {column} FROM segment_rules {where}",
    "k_selection": lambda column, where, _: f"SELECT {column} FROM k_selection {where}",
    "algorithm_comparison": lambda column, where, _: f"SELECT {column} FROM algorithm_comparison {where}",
    "loadings": lambda column, where, _: f"SELECT DISTINCT {column} FROM loadings {where}",
    "structure": lambda column, where, _: f"SELECT {column} FROM structure {where}",
    "segment_recovery": lambda column, where, _: f"SELECT {column} FROM segment_recovery {where}",
    **dict.fromkeys((f"flows.{cause}" for cause in ("customer", "model", "borderline")), count_cause),
    "flows.customers": lambda _, __, keys: count_flow(keys[0], f"{is_in('a', keys[1])} AND {is_in('b', keys[2])}"),
    "flows.before": lambda _, __, keys: count_flow(keys[0], is_in("a", keys[1])),
    "flows.after": lambda _, __, keys: count_flow(keys[0], is_in("b", keys[1])),
    "flows": lambda column, _, keys: count_flow(keys[0], FLOWS[column]),
    "promotion_decisions": lambda column, where, _: f'SELECT "{column}" FROM promotion_decisions {where} AND {TODAY}',
    "feature_drift": lambda column, where, _: f"SELECT {column} FROM feature_drift {where} AND {TODAY}",
    "segment_events": lambda column, where, _: f"SELECT {column} FROM segment_events {where} AND {TODAY}",
}


def are_in(segments: list[str]) -> str:
    return f"segment_id IN ({', '.join(map(repr, segments))})"


def reaches(column: str) -> str:
    """Whether a customer has so much of something that a suggestion may say so: 1 or 0."""
    return f"({column} >= {'1' if column == 'total_children' else f'(SELECT avg({column}) FROM features)'})::INT"


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
        times = {"%": 0.01, "M": 1e6}.get(text[-1], 1)
        shown = float(re.sub(r"[,%M]", "", text)) * times
        digits = len(text.rstrip("%M").partition(".")[2]) - round(math.log10(times))
        assert shown == pytest.approx(value, abs=0.5000001 * 10**-digits), (source, text)


def test_all_that_the_page_promises_is_there(
    figures: list[tuple[str, float, str]], warehouse: duckdb.DuckDBPyConnection
) -> None:
    shown, segments = {source for source, _, _ in figures}, segments_of(warehouse)
    everyone = ["", *(f"[{segment}]" for segment in segments)]
    wanted = {f"profiles.{measure.column}{of}" for measure in measures(RECIPES["behavioural"]) for of in everyone}
    wanted |= {f"channels.{channel}{of}" for channel in (*CHANNELS, "num_deals_purchases") for of in everyone}
    wanted |= {f"categories.share_of_spending[{s},{category}]" for s in segments for category in AMOUNTS}
    wanted |= {f"responses.{name}[{s},response]" for s in segments for name in interval(1, 1)}
    wanted |= {"worth.total", "together.share[S01,S02]", "together.worth[S01,S02]", "at_risk_customers.customers"}
    wanted |= {f"spending_share[{s}]" for s in segments} | {f"profiles.share[{s}]" for s in segments}
    wanted |= {f"k_selection.{name}[{k}]" for k in range(2, 11) for name in ("inertia", "silhouette", "stability")}
    doubts = ("elbow_share", "null_silhouette", "prediction_strength", "recovery")
    wanted |= {f"k_selection.{name}[{k}]" for k in range(2, 11) for name in doubts}
    wanted |= {f"segment_recovery.recovery[{segment}]" for segment in segments}
    drivers = warehouse.sql("SELECT feature FROM segment_drivers ORDER BY rank LIMIT 8").fetchall()
    wanted |= {f"segment_drivers.between[{feature}]" for [feature] in drivers}
    pairs = warehouse.sql("SELECT segment_id, other_segment_id, feature FROM segment_pairs WHERE rank = 1").fetchall()
    assert len(pairs) == math.comb(len(segments), 2)
    wanted |= {f"segment_pairs.between[{','.join(pair)}]" for pair in pairs}
    wanted |= {f"structure.{name}[{recipe}]" for name in made.FIGURES for recipe in ("behavioural", "balanced")}
    followed = warehouse.sql("SELECT segment_id, attribute, category FROM sensitive_association").fetchall()
    assert {attribute for _, attribute, _ in followed} == set(RECIPES["behavioural"].sensitive)
    wanted |= {
        f"sensitive_association.{n}[{','.join(key)}]" for key in followed for n in ("share", "ratio", "ratio_low")
    }
    wanted |= {f"cleaning_figures.num_deals_purchases_{name}" for name in ("beyond", "upper")}
    wanted |= {f"segment_rules.{name}[1]" for name in ("customers", "precision", "coverage", "agreement")}
    wanted |= {f"counts.{name}" for name in ("delivered", "kept", "refused", "imputed[income]")}
    for table, names in (("loadings", "component, feature"), ("rejected_customers", "reason")):
        keys = warehouse.sql(f"SELECT DISTINCT {names} FROM {table}").fetchall()
        prefix = "loadings.loading" if table == "loadings" else "rejected.customers"
        wanted |= {f"{prefix}[{','.join(key)}]" for key in keys}
    for period in SINCE:
        wanted |= {f"flows.{what}[{period}]" for what in FLOWS}
        sides = [*segments, ""]
        wanted |= {f"flows.customers[{period},{a},{b}]" for a in sides for b in sides if a or b}
        wanted |= {f"flows.{side}[{period},{a}]" for side in ("before", "after") for a in sides}
    features = warehouse.sql(f"SELECT feature FROM feature_drift WHERE {TODAY}").fetchall()
    assert len(features) > 10
    wanted |= {f"feature_drift.{name}[{feature}]" for [feature] in features for name in ("psi", "effect")}
    wanted |= {"promotion_decisions.value[person]", "promotion_decisions.limit[person]"}
    assert wanted - shown == set()


def test_every_sampled_customer_is_drawn_in_both_pictures(desk: Visit, warehouse: duckdb.DuckDBPyConnection) -> None:
    drawn = dict(warehouse.sql("SELECT segment_id, count(*) FROM plotted_customers GROUP BY 1").fetchall())
    paths = desk.page.eval_on_selector_all(
        "#against .dots", "all => all.map(it => [it.dataset.segment, it.getAttribute('d').split('M').length - 1])"
    )
    # Each stands in one of the pictures, where there is one for each group of a category.
    assert sum((Counter({segment: marks}) for segment, marks in paths), Counter()) == drawn
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


# What is seen first


@pytest.mark.parametrize("screen", SCREENS)
def test_a_stranger_sees_at_once_what_matters_and_what_to_do(
    visit: Visits, warehouse: duckdb.DuckDBPyConnection, screen: str
) -> None:
    page = visit(screen).page
    seen = what_is_seen(page, screen)
    assert set(seen) == set(AT_ONCE)
    assert tiles_seen(page) == [True] * 6
    assert lines_of_menu(page) == 1
    [(customers, best, share, worth)] = warehouse.sql(
        "SELECT sum(customers)::BIGINT, arg_max(segment_id, spending_share - share), "
        "arg_max(share, spending_share - share), arg_max(spending_share, spending_share - share) FROM segment_summary"
    ).fetchall()
    assert f"{customers:,}" in seen[".tiles li:first-child"]
    assert best in seen[".start h2"]
    assert f"{worth:.0%} of all spending comes from these {share:.0%} of the customers." in seen[".start .why"]
    assert "Look after them first." in seen[".start .why"]
    assert seen[".start .list code"] == f"smartcart audience export {best} --output {best}.csv"


def test_one_click_copies_how_a_list_is_had(visit: Visits) -> None:
    here = visit("desk", permissions=["clipboard-read", "clipboard-write"])
    button = here.page.locator(".card .copy").first
    button.click()
    button.get_by_text("Copied").wait_for()
    assert here.page.get_by_role("status").inner_text() == "Copied"
    assert button.inner_text().startswith("Copied")
    assert here.page.evaluate("navigator.clipboard.readText()") == "smartcart audience export S01 --output S01.csv"
    button.get_by_text("Copy", exact=True).wait_for()


def test_where_nothing_may_be_copied_it_is_marked(visit: Visits) -> None:
    here = visit()
    here.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    here.page.locator(".card .copy").first.click()
    assert here.waits_until(lambda: "audience export S01" in here.page.evaluate("getSelection().toString()"))


def test_what_is_for_the_data_scientist_follows_behind_one_heading(desk: Visit) -> None:
    headings = desk.page.eval_on_selector_all("h2", "all => all.map(it => it.innerText)")
    assert headings[-2:] == ["In detail", "For the data scientist"]
    assert headings[1:-2] == [
        "The segments",
        *desk.page.locator("#against h2").all_inner_texts(),
        "Sizes",
        *headings[4:-2],
    ]
    menu = desk.page.locator(".menu").inner_text().split()
    assert menu == ["Segments", "Compare", "Changes", "Details"]


# What they are made of


def test_the_page_says_what_the_segments_are_made_of(desk: Visit, warehouse: duckdb.DuckDBPyConnection) -> None:
    said = desk.page.locator("#made").inner_text()
    structure = dict(warehouse.sql("SELECT recipe, verdict FROM structure").fetchall())
    assert f"These segments are {structure['behavioural']}" in said
    assert "Living with alone gives the segments away" in said
    assert "The recipe balanced would do better. To try it, run smartcart run --recipe balanced" in said
    drivers = warehouse.sql("SELECT feature FROM segment_drivers ORDER BY rank LIMIT 8").fetchall()
    labels = [RECIPES["behavioural"].by_name[feature].words.label for [feature] in drivers]
    shown = desk.page.eval_on_selector_all(
        "#made table.made:first-of-type tbody th", "all => all.map(it => it.innerText)"
    )
    assert [text.split("\n")[0] for text in shown[: len(labels)]] == labels
    # Nobody reads names of columns there.
    assert not [name for name in RECIPES["behavioural"].by_name if "_" in name and name in said]


def test_a_bar_is_as_long_as_its_figure_says(desk: Visit) -> None:
    bars = desk.page.eval_on_selector_all(
        "#made .beside",
        "all => all.map(it => [it.querySelector('.fill').getBoundingClientRect().width"
        " / it.querySelector('.bar').getBoundingClientRect().width, Number(it.querySelector('data').value)])",
    )
    assert len(bars) > 8
    assert [drawn for drawn, _ in bars] == pytest.approx([told for _, told in bars], abs=0.005)


def test_an_arrow_stands_where_chance_does_not_explain_a_ratio(
    desk: Visit, warehouse: duckdb.DuckDBPyConnection
) -> None:
    [(more, less, all_of_them)] = warehouse.sql(
        "SELECT count_if(ratio_low > 1), count_if(ratio_high < 1), count(*) FROM sensitive_association"
    ).fetchall()
    told = desk.page.locator("#sensitive table").inner_text()
    assert (told.count("▲"), told.count("▼")) == (more, less)
    assert 0 < more + less < all_of_them


def test_the_page_of_an_earlier_version_is_not_made_anew(home: Home, tmp_path: Path) -> None:
    old = tmp_path / "warehouse.duckdb"
    shutil.copy(home.warehouse.resolve(), old)
    old.chmod(0o644)
    with duckdb.connect(str(old)) as connection:
        [(schema,)] = connection.sql(
            "SELECT schema_name FROM duckdb_tables() WHERE table_name = 'segment_drivers'"
        ).fetchall()
        connection.execute(f"DROP TABLE {schema}.segment_drivers")
    with pytest.raises(HomeError, match=r"published by an earlier version.*Run `smartcart run` again"):
        read_findings(DuckDBEngine(), old)


# What changed


def test_every_flow_is_drawn_as_wide_as_it_is_many(desk: Visit, warehouse: duckdb.DuckDBPyConnection) -> None:
    for period in SINCE:
        published = warehouse.sql(
            "SELECT coalesce(from_segment_id, ''), coalesce(to_segment_id, ''), sum(customers) "
            f"FROM segment_migration WHERE {TODAY} AND period = '{period}' GROUP BY ALL"
        ).fetchall()
        assert {(bool(a), bool(b), a == b) for a, b, _ in published} == {
            *((True, True, True), (True, True, False), (False, True, False), (True, False, False)),
        }
        drawn = desk.page.eval_on_selector_all(
            f"svg[data-period={period}] .flow", "all => all.map(it => Number(it.getAttribute('stroke-width')))"
        )
        customers = sorted(int(number) for _, _, number in published)
        assert len(drawn) == len(customers)
        widest = max(drawn) / customers[-1]
        assert sorted(drawn) == pytest.approx([max(number * widest, 1.2) for number in customers], abs=0.01)


def test_what_changed_is_said_in_words(desk: Visit, warehouse: duckdb.DuckDBPyConnection) -> None:
    said = desk.page.locator("#changed").inner_text()
    [(version,)] = warehouse.sql(f"SELECT model_version FROM nights WHERE {TODAY}").fetchall()
    assert f"The segments are the same, but {version} is their new model." in said
    assert "S01, S02, S03 and S04 continue: " in said
    moved = dict(warehouse.sql("SELECT cause, count(*) FROM segment_moves GROUP BY 1").fetchall())
    assert moved["customer"] >= 40
    if len(moved) == 1:
        assert f"{moved['customer']} moved to another, all {changes.CAUSE_WORDS['customer']}." in said
    for cause, words in changes.CAUSE_WORDS.items():
        assert (words in said) == (cause in moved)
    assert f"Since the night before (as of {BEFORE})" in said
    assert f"Since a month ago (as of {FIRST})" in said


def test_the_worst_drift_stands_first(desk: Visit, warehouse: duckdb.DuckDBPyConnection) -> None:
    rows = warehouse.sql(f"SELECT feature, verdict FROM feature_drift WHERE {TODAY} ORDER BY psi DESC, feature")
    shown = desk.page.eval_on_selector_all(
        "#drift tbody tr", "all => all.map(it => [it.cells[0].textContent, it.cells[3].textContent])"
    )
    assert list(map(tuple, shown)) == rows.fetchall()


def test_the_decision_is_told_with_the_reason_that_a_person_gave_as_text(desk: Visit) -> None:
    assert desk.page.locator("#decision p").first.inner_text().endswith(f"Promoted by a person: {PICTURE}")


def test_flows_are_read_on_a_phone_without_overlap(visit: Visits) -> None:
    here = visit("phone")
    boxes = here.page.eval_on_selector_all(
        "svg[data-period=night] text",
        "all => all.map(it => (({x, y, right, bottom}) => [x, y, right, bottom])(it.getBoundingClientRect()))",
    )
    assert all(left >= 0 and right <= WIDTHS["phone"][0] for left, _, right, _ in boxes)
    # Lines of text may touch; what stands upon another would share more than a third of its height.
    overlaps = [
        (one, other)
        for number, one in enumerate(boxes)
        for other in boxes[:number]
        if min(one[2], other[2]) - max(one[0], other[0]) > 1
        and min(one[3], other[3]) - max(one[1], other[1]) > (one[3] - one[1]) / 3
    ]
    assert overlaps == []


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
    # What was refused is told without its values.
    assert "Education is none of Basic" in desk.page.locator("#quality .details").inner_text()
    assert "stolen" not in desk.page.locator("#quality").inner_text()
    assert desk.page.locator("#provenance dd", has_text=NAME).count() == 1
    assert desk.page.title().startswith(f"Customer segments: {NAME}")
    assert desk.page.locator("img").count() == 0
    desk.turnable()
    assert desk.page.locator("script").count() == 4  # points, the packed Plotly, ours, and Plotly unpacked
    written = home.report.read_text()
    assert html.escape(NAME, quote=False)[:10] in written
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
    assert 4 <= count_pages(written) <= 16


@pytest.mark.parametrize(
    ("hidden", "pages"),
    [("main > :not(#start, #segments)", 1), (".part", 2)],
    ids=["the segments", "all that comes before the details"],
)
def test_on_paper_two_pages_are_for_marketing(visit: Visits, hidden: str, pages: int) -> None:
    here = visit()
    here.page.add_style_tag(content=f"{hidden} {{ display: none !important; }}")
    assert count_pages(here.page.pdf(format="A4")) == pages


def test_the_details_begin_on_a_page_of_their_own(desk: Visit) -> None:
    desk.page.emulate_media(media="print")
    assert desk.page.eval_on_selector("#more", "it => getComputedStyle(it).breakBefore") == "page"
    assert not desk.page.locator(".copy, .menu").first.is_visible()
    desk.page.emulate_media(media="screen")


def count_pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))
