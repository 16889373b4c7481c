"""Views of the warehouse: the questions that marketing asks every day, each answered by a name.

Declared like tables: what a view holds, row by row and column by column, beside the SQL that computes it. The SQL reads
tables, and views declared before it, by their plain names. There is a view where the business speaks of what it shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from smartcart_pipeline.declaration.columns import Column
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.recipe import Feature, Recipe
from smartcart_pipeline.declaration.tables import SEGMENT_ID, Schema, declare_tables


@dataclass(frozen=True)
class View:
    """A view.

    Attributes:
        name: Its name in the warehouse.
        grain: What one row is.
        description: What it holds, and by which rule.
        columns: Its columns, in order.
        sql: One SELECT.
        schema: Where it stands in the warehouse.
    """

    name: str
    grain: str
    description: str
    columns: tuple[Column, ...]
    sql: str
    schema: Schema = "main"


Columns = dict[str, Column]

PERSONA = Column("persona", "VARCHAR", "What people call the segment.")
CONFIDENCE = Column(
    "confidence",
    "FLOAT",
    "How clearly the customer belongs to the segment, from 0 (as near to the runner-up) to 1 (at the segment's "
    "centroid): 1 - distance / distance to the runner-up's centroid, known as the simplified silhouette.",
    minimum=0,
    maximum=1,
)
RUNNER_UP = Column("runner_up_segment_id", "VARCHAR", "The segment that the customer belongs to next.")


def declare_views(declaration: Declaration) -> dict[str, View]:
    """The views of the warehouse.

    Args:
        declaration: What the night goes by.

    Returns:
        Views by name; each reads tables and those before it.
    """
    tables = declare_tables(declaration)
    known = {column.name: column for name in ("cleaned", "features", "profiles") for column in tables[name].columns}
    features = [column for column in tables["features"].columns if column.name != KEY]
    return {
        view.name: replace(view, sql=" ".join(view.sql.split())) for view in _views(declaration.recipe, known, features)
    }


def _views(recipe: Recipe, known: Columns, features: list[Column]) -> Iterator[View]:
    business = recipe.business
    yield _customer_360(recipe, known, features)
    yield _segment_summary(recipe, known)
    yield _high_value_customers(recipe, known)
    if business.recency and business.tenure:
        yield _at_risk_customers(recipe, known)
    if recipe.outcomes:
        yield _segment_response(recipe.outcomes[0], known)


def _customer_360(recipe: Recipe, known: Columns, features: list[Column]) -> View:
    return View(
        "customer_360",
        "a customer",
        "All that is known of a customer: who it is, the features, the segment with its persona, and how sure that is.",
        (known[KEY], *(known[name] for name in recipe.beside), *features, SEGMENT_ID, PERSONA, RUNNER_UP, CONFIDENCE),
        f"""
        SELECT
            {", ".join(f"cleaned.{name}" for name in (KEY, *recipe.beside))},
            {", ".join(f"features.{column.name}" for column in features)},
            clusters.segment_id, profiles.persona, clusters.runner_up_segment_id,
            CAST(coalesce(clusters.margin / nullif(clusters.distance + clusters.margin, 0), 0) AS FLOAT) AS confidence
        FROM cleaned
        JOIN features USING ({KEY})
        JOIN clusters USING ({KEY})
        JOIN profiles ON profiles.segment_id = clusters.segment_id
        """,
    )


def _segment_summary(recipe: Recipe, known: Columns) -> View:
    worth, means = recipe.business.worth, [f"mean_{name}" for name in recipe.summary]
    rates = [feature.rate for feature in recipe.outcomes]
    summary = [known[name] for name in (*means, *rates)]
    return View(
        "segment_summary",
        "a segment",
        "The segments side by side: how large, how much they spend, what they are like.",
        (
            SEGMENT_ID,
            PERSONA,
            known["customers"],
            known["share"],
            Column("spending_share", "DOUBLE", "Share of all that customers spent.", minimum=0, maximum=1),
            *summary,
            known["description"],
        ),
        f"""
        SELECT
            segment_id, persona, customers, share,
            coalesce(customers * mean_{worth} / nullif(sum(customers * mean_{worth}) OVER (), 0), 0) AS spending_share,
            {", ".join(column.name for column in summary)}, description
        FROM profiles
        """,
    )


def _high_value_customers(recipe: Recipe, known: Columns) -> View:
    business, worth = recipe.business, recipe.business.worth
    shown = [name for name in (worth, business.means, business.recency, business.tenure) if name]
    shown += [feature.name for feature in recipe.outcomes]
    return View(
        "high_value_customers",
        "a customer",
        f"The fifth of all customers that spends most. Rule: {worth} is at least everybody's 80th percentile.",
        (known[KEY], SEGMENT_ID, PERSONA, *(known[name] for name in shown), CONFIDENCE),
        f"""
        SELECT {KEY}, segment_id, persona, {", ".join(shown)}, confidence
        FROM customer_360
        WHERE {worth} >= (SELECT quantile_disc({worth}, 0.8) FROM features)
        """,
    )


def _at_risk_customers(recipe: Recipe, known: Columns) -> View:
    worth, recency, tenure = recipe.business.worth, str(recipe.business.recency), str(recipe.business.tenure)
    shown = [worth, *(feature.name for feature in recipe.outcomes)]
    return View(
        "at_risk_customers",
        "a customer",
        f"Customers who used to buy and have gone quiet. Rule: {recency} is above the 75th percentile of the "
        f"customer's own segment, and {tenure} at least the segment's median, so that a newcomer's silence does not "
        "count.",
        (
            known[KEY],
            SEGMENT_ID,
            PERSONA,
            known[recency],
            Column(
                "usual_recency", known[recency].type, f"The segment's 75th percentile of {recency}, in days.", minimum=0
            ),
            known[tenure],
            Column("usual_tenure_days", known[tenure].type, f"The segment's median of {tenure}.", minimum=0),
            *(known[name] for name in shown),
            CONFIDENCE,
        ),
        f"""
        WITH usual AS (
            SELECT
                segment_id,
                quantile_disc({recency}, 0.75) AS usual_recency,
                quantile_disc({tenure}, 0.5) AS usual_tenure_days
            FROM clusters JOIN features USING ({KEY})
            GROUP BY segment_id
        )
        SELECT
            customer_360.{KEY}, customer_360.segment_id, customer_360.persona,
            customer_360.{recency}, usual.usual_recency,
            customer_360.{tenure}, usual.usual_tenure_days,
            {", ".join(f"customer_360.{name}" for name in shown)}, customer_360.confidence
        FROM customer_360 JOIN usual ON usual.segment_id = customer_360.segment_id
        WHERE customer_360.{recency} > usual.usual_recency
          AND customer_360.{tenure} >= usual.usual_tenure_days
        """,
    )


def _bound(side: str, sign: str, rate: str) -> str:
    """One bound of Wilson's score interval (Wilson 1927, JASA 22) for `responses` of `customers`, at 95 %."""
    return (
        f"({rate} + z * z / (2 * customers) {sign} z * sqrt({rate} * (1 - {rate}) / customers "
        f"+ z * z / (4 * customers * customers))) / (1 + z * z / customers) AS {side}"
    )


def _segment_response(outcome: Feature, known: Columns) -> View:
    rate = outcome.rate
    return View(
        "segment_response",
        "a segment",
        f"How many customers of each segment {outcome.share}, with Wilson's 95 % interval of the rate: where two "
        "segments' intervals do not overlap, they differ by more than chance.",
        (
            SEGMENT_ID,
            PERSONA,
            known["customers"],
            Column("responses", "BIGINT", f"Customers that {outcome.share}.", minimum=0),
            known[rate],
            Column("rate_low", "DOUBLE", "Lower end of the 95 % interval of the rate.", minimum=0, maximum=1),
            Column("rate_high", "DOUBLE", "Upper end of the 95 % interval of the rate.", minimum=0, maximum=1),
        ),
        f"""
        SELECT
            segment_id, persona, customers, CAST(round({rate} * customers) AS BIGINT) AS responses, {rate},
            greatest(rate_low, 0) AS rate_low, least(rate_high, 1) AS rate_high
        FROM (
            SELECT *, {_bound("rate_low", "-", rate)}, {_bound("rate_high", "+", rate)}
            FROM (SELECT *, 1.959963984540054::DOUBLE AS z FROM profiles)
        )
        """,
    )
