"""What the report needs to know, asked of the published warehouse: small results, however many customers there are."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw

from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.declaration import Declaration, read_declared
from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.declaration.recipe import Business, Recipe, share_name
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.sql import literal, see_all
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.cleaning import find_causes
from smartcart_pipeline.segmentation.components import NAMES
from smartcart_pipeline.segmentation.drivers import choose_axes, choose_split
from smartcart_pipeline.segmentation.model import read_model

if TYPE_CHECKING:
    import duckdb

Row = dict[str, Any]
# By segment and feature.
Shares = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Findings:
    """All that the page shows, as rows of the warehouse or of a query on it.

    Attributes:
        declaration: What the night of the warehouse went by.
        counts_outcomes: Whether the model in force sees outcomes.
        publication: Which run this is, from which export.
        profiles: One row a segment, in order of its id; with its share of all worth, where the recipe names one.
        base: The same figures of all customers together.
        spread: Standard deviation of each feature over all customers, by the feature's name.
        reached: Of each segment and number, the share of the segment's customers who reach the line from which on it
            is much: what the recipe says, or the mean of all customers.
        both: Where a recipe speaks of more of a number and less of another, the share of the segment's customers who
            reach the line of the one and stay below that of the other.
        channels: One row a segment, and one of all customers without a segment: each channel's share of all purchases,
            and the share of purchases made with a discount; none where the recipe names no channels.
        categories: One row a segment and part of the composition, then one a part of all customers without a segment;
            none where the recipe names no composition.
        responses: One row an outcome and segment: who has it, with Wilson's interval.
        rules: One row a rule that comes near a segment.
        axes: The two numbers in which the segments are seen to lie apart; none where the model sees no two.
        split: The category by which the model parts customers, whatever else goes with it; None where there is none.
        plotted: Sampled customers.
        candidates: One row a candidate k.
        comparison: One row an algorithm and space.
        loadings: One row a component and feature.
        imputed: Customers of whom a value was missing, by column.
        rejected: One row a reason.
        causes: What is wrong with refused rows, the most frequent first, from `find_causes`.
        checks: One row a check.
        night: Tonight's row of `nights`.
        before: That of the night that tonight is compared with; None where there is none.
        flows: Tonight's flows of customers since the night before and since a month ago.
        events: What became of each segment tonight; none where the model in force stayed.
        decision: One row a criterion of tonight's decision, reasons first.
        drift: One row a feature, the worst first; none on the first night.
        drivers: One row a feature, that of which most lies between the segments first.
        pairs: One row a pair of segments and feature that tells them apart.
        sensitive: One row a sensitive attribute, category and segment, in the order of the recipe; none where it lists
            no attribute.
        structure: One row a recipe that was looked at, that of the model in force first.
        recovery: One row a segment: how well others find it again.
        cleaning: The row of `cleaning_figures`: what cleaning went by.
        at_risk: How many customers have gone quiet; None where the recipe does not say what that is.
        audiences: The names of the home's audiences.
        handed_out: The names of those that were handed out before, or are tonight.
        campaigns: One row a campaign and segment, and one of all segments; none where no outcome was told.
    """

    declaration: Declaration
    counts_outcomes: bool
    publication: Row
    profiles: Rows
    base: Row
    spread: dict[str, float]
    reached: Shares
    both: Shares
    channels: Rows
    categories: Rows
    responses: Rows
    rules: Rows
    axes: tuple[str, ...]
    split: str | None
    plotted: Rows
    candidates: Rows
    comparison: Rows
    loadings: Rows
    imputed: dict[str, int]
    rejected: Rows
    causes: Rows
    checks: Rows
    night: Row
    before: Row | None
    flows: Rows
    events: Rows
    decision: Rows
    drift: Rows
    drivers: Rows
    pairs: Rows
    sensitive: Rows
    structure: Rows
    recovery: Rows
    cleaning: Row
    at_risk: int | None
    audiences: set[str]
    handed_out: set[str]
    campaigns: Rows


def read_findings(engine: DuckDBEngine, warehouse: Path) -> Findings:
    """Ask a published warehouse for everything on the page.

    Args:
        engine: What reads it.
        warehouse: The DuckDB file.

    Returns:
        The findings.

    Raises:
        HomeError: If nothing has been published there, or by an earlier version that lacks what the page shows.
    """
    import duckdb  # noqa: PLC0415  (the engine has it)

    if not warehouse.is_file():
        raise HomeError(f"{warehouse}: nothing has been published yet. Run `smartcart run` first.")
    # A connection of its own, so that the warehouse's names are the first to be looked up in it alone.
    with engine.connection.cursor() as connection:
        connection.execute(f"ATTACH {literal(str(warehouse))} AS published (READ_ONLY)")
        try:
            see_all(connection, "published")
            return _ask(connection)
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            first = str(error).splitlines()[0]
            raise HomeError(
                f"{warehouse}: published by an earlier version, which kept less than the report shows ({first}). "
                "Run `smartcart run` again."
            ) from None
        finally:
            connection.execute("USE memory")
            connection.execute("DETACH published")


def _ask(connection: "duckdb.DuckDBPyConnection") -> Findings:
    def ask(query: str) -> Rows:
        answer = connection.execute(query)
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    nights = ask("FROM nights ORDER BY night")
    # Tables that grow by every night end with the one that this warehouse was published by.
    night = nights[-1]
    [publication], [model] = ask("FROM publication"), ask("SELECT document FROM segment_model")
    in_force = read_model(json.loads(model["document"])).declaration
    # Earlier versions kept none but the model's.
    told = publication.get("declared")
    declaration = read_declared(json.loads(told), "the publication") if told else in_force
    recipe = declaration.recipe
    factors = dict(zip(recipe.names, recipe.factors, strict=True))
    means = ", ".join(f"sum(customers * {name}) / sum(customers) AS {name}" for name in _means(recipe))
    [base] = ask(f"SELECT sum(customers)::BIGINT AS customers, {means} FROM profiles")
    reached, both = _ask_reached(ask, recipe, base)
    drivers, pairs = (
        ask("FROM segment_drivers ORDER BY rank"),
        ask("FROM segment_pairs ORDER BY segment_id, other_segment_id, rank"),
    )
    axes, split = choose_axes(drivers, pairs, recipe), choose_split(drivers, recipe)
    return Findings(
        declaration=declaration,
        counts_outcomes=in_force.recipe.counts_outcomes,
        publication=publication,
        profiles=ask(WORTHS if recipe.business.worth else "FROM profiles ORDER BY segment_id"),
        base=base,
        spread={
            row["feature"]: row["scale"] * factors.get(row["feature"], 1.0)
            for row in ask("SELECT feature, scale FROM scaler")
        },
        reached=reached,
        both=both,
        channels=_ask_channels(ask, recipe.business),
        categories=ask(CATEGORIES) if recipe.business.composition else [],
        responses=_ask_responses(ask, recipe),
        rules=ask("FROM segment_rules ORDER BY rule_number"),
        axes=axes,
        split=split,
        plotted=ask(_select_plotted([*axes, *([split] if split else [])])),
        candidates=ask("FROM k_selection ORDER BY k"),
        comparison=ask("FROM algorithm_comparison ORDER BY space, algorithm DESC"),
        loadings=ask("FROM loadings ORDER BY component"),
        imputed={
            name: ask(f"SELECT count(*) AS customers FROM cleaned WHERE {name}_imputed")[0]["customers"]
            for name in recipe.completed
        },
        rejected=ask("SELECT reason, count(*) AS customers FROM rejected_customers GROUP BY ALL ORDER BY 2 DESC, 1"),
        causes=find_causes(nw.from_native(connection.sql("FROM rejected_customers")), declaration, _fetch),
        checks=ask("FROM checks ORDER BY table_name, check_name"),
        night=night,
        before=night_before(night, nights),
        flows=ask(f"FROM segment_migration {TONIGHT} ORDER BY ALL"),
        events=ask(f"FROM segment_events {TONIGHT} ORDER BY segment_id"),
        decision=ask(f"FROM promotion_decisions {TONIGHT} ORDER BY role, criterion"),
        drift=ask(f"FROM feature_drift {TONIGHT} ORDER BY psi DESC, feature"),
        drivers=drivers,
        pairs=pairs,
        # As they were written: bands of a number rise, and the alphabet would not have it so.
        sensitive=ask("FROM sensitive_association"),
        structure=ask("FROM structure ORDER BY is_in_force DESC, recipe"),
        recovery=ask("FROM segment_recovery ORDER BY segment_id"),
        cleaning=ask("FROM cleaning_figures")[0],
        at_risk=_ask_at_risk(ask, recipe.business),
        audiences={row["audience"] for row in ask("FROM audiences SELECT audience")},
        handed_out={row["audience"] for row in ask(HANDED_OUT)},
        # That of all segments stands behind them.
        campaigns=ask("FROM campaign_results ORDER BY campaign, segment_id = 'all', segment_id"),
    )


def _select_plotted(shown: Sequence[str]) -> str:
    columns = ", ".join(["segment_id", *NAMES, *(f"features.{name}" for name in shown)])
    return f"SELECT {columns} FROM plotted_customers JOIN features USING ({KEY}) ORDER BY {KEY}"


def _ask_at_risk(ask: Callable[[str], Rows], business: Business) -> int | None:
    """Who has gone quiet: as an audience has counted it, where the home has the one that comes without a file."""
    if not (business.recency and business.tenure):
        return None
    counted = ask(
        "SELECT customers FROM audiences WHERE condition = 'is_at_risk' AND consent IS NULL AND NOT is_exclusive "
        "AND max_customers IS NULL"
    )
    counted = counted or ask("SELECT count(*) AS customers FROM at_risk_customers")
    return int(counted[0]["customers"])


TONIGHT = "WHERE night = (SELECT max(night) FROM nights)"


def night_before(night: Row, nights: Rows) -> Row | None:
    """The night that a night is compared with.

    Args:
        night: Its row of `nights`.
        nights: All rows up to it.

    Returns:
        The row of the night that it replaces, else of what was published last for the latest earlier day; None where
        there is none.
    """
    # An earlier version's publications do not have the column.
    if night.get("replaces_night"):
        return next(row for row in nights if row["night"] == night["replaces_night"])
    earlier = [row for row in nights if row["as_of_date"] < night["as_of_date"]]
    return max(earlier, key=lambda row: (row["as_of_date"], row["night"]), default=None)


def _means(recipe: Recipe) -> Iterator[str]:
    """The columns of a profile that are means or shares."""
    yield from (f"mean_{name}" for name in recipe.measured)
    yield from (share_name(category, group) for category, group in recipe.shares)
    yield from recipe.rates


def _fetch(frame: nw.LazyFrame[Any]) -> Rows:
    rows: Rows = frame.to_native().to_arrow_table().to_pylist()
    return rows


def _ask_reached(ask: Callable[[str], Rows], recipe: Recipe, base: Row) -> tuple[Shares, Shares]:
    """Who has much of a number, in one pass over all customers."""
    advice = {name: recipe.by_name[name].words.do for name in recipe.told if name in recipe.measured}
    least = {name: do.but_less for name, do in advice.items() if do.but_less}
    lines = {
        name: f"{name} >= {base[f'mean_{name}'] if do.at_least is None else do.at_least!r}::DOUBLE"
        for name, do in (advice | {name: recipe.by_name[name].words.do for name in least.values()}).items()
    }
    held = [lines[name] for name in advice]
    held += [f"{lines[more]} AND NOT {lines[less]}" for more, less in least.items()]
    if not held:
        return {}, {}
    shares = ", ".join(f"count_if({condition}) / count(*) AS share_{n}" for n, condition in enumerate(held))
    rows = ask(f"SELECT segment_id, {shares} FROM features JOIN clusters USING ({KEY}) GROUP BY segment_id")
    known = {row["segment_id"]: [row[f"share_{n}"] for n in range(len(held))] for row in rows}
    return (
        {
            (segment, name): share
            for segment, found in known.items()
            for name, share in zip(advice, found, strict=False)
        },
        {
            (segment, name): share
            for segment, found in known.items()
            for name, share in zip(least, found[len(advice) :], strict=True)
        },
    )


def _ask_responses(ask: Callable[[str], Rows], recipe: Recipe) -> Rows:
    match recipe.outcomes:
        case ():
            return []
        case (outcome,):
            # The view is named after the one outcome that there is.
            one = f"SELECT *, '{outcome.name}' AS outcome, {outcome.rate} AS rate FROM segment_response"
            return ask(f"{one} ORDER BY segment_id")
    return ask("FROM segment_response ORDER BY outcome, segment_id")


def _ask_channels(ask: Callable[[str], Rows], business: Business) -> Rows:
    if not business.channels:
        return []
    own, everyone = _channels(business, "segment_id", "mean_"), _channels(business, "NULL", "customers * mean_")
    return ask(f"{own} UNION ALL {everyone}")


def _channels(business: Business, segment: str, measure: str) -> str:
    named = [*business.channels, *([business.discounts] if business.discounts else [])]
    sums = {name: f"sum({measure}{name})" for name in named}
    purchases = " + ".join(sums[name] for name in business.channels)
    shares = ", ".join(f"coalesce({total} / nullif({purchases}, 0), 0) AS {name}" for name, total in sums.items())
    grouped = "" if segment == "NULL" else f" GROUP BY {segment}"
    return f"(SELECT {segment} AS segment_id, {shares} FROM profiles{grouped} ORDER BY 1)"


# What tonight hands out itself is handed out once tonight is published.
HANDED_OUT = "SELECT audience FROM deliveries UNION SELECT audience FROM audiences WHERE is_nightly"
WORTHS = """
SELECT profiles.*, spending_share FROM profiles JOIN segment_summary USING (segment_id) ORDER BY segment_id
"""
CATEGORIES = """
SELECT segment_id, category, mean_spending, share_of_spending FROM category_spending
UNION ALL BY NAME
SELECT category, sum(customers * mean_spending) / sum(customers) AS mean_spending,
    coalesce(sum(customers * mean_spending) / nullif(sum(sum(customers * mean_spending)) OVER (), 0), 0)
        AS share_of_spending
FROM category_spending JOIN profiles USING (segment_id) GROUP BY category
"""
