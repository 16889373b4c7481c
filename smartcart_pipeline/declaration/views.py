"""Views of the warehouse: the questions that marketing asks every day, each answered by a name.

Declared like tables: what a view holds, row by row and column by column, beside the SQL that computes it. The SQL reads
tables, and views declared before it, by their plain names.
"""

from dataclasses import dataclass, replace

from smartcart_pipeline.declaration.contract import BY_NAME, Column
from smartcart_pipeline.declaration.tables import CUSTOMER_ID, FEATURES, PROFILES, SEGMENT_ID


@dataclass(frozen=True)
class View:
    """A view.

    Attributes:
        name: Its name in the warehouse.
        grain: What one row is.
        description: What it holds, and by which rule.
        columns: Its columns, in order.
        sql: One SELECT.
    """

    name: str
    grain: str
    description: str
    columns: tuple[Column, ...]
    sql: str


PERSONA = Column("persona", "VARCHAR", "What people call the segment.")
CONFIDENCE = Column(
    "confidence",
    "FLOAT",
    "How clearly the customer belongs to the segment, from 0 (as near to the runner-up) to 1 (at the segment's "
    "centroid): 1 - distance / distance to the runner-up's centroid, known as the simplified silhouette.",
    minimum=0,
    maximum=1,
)
_BY_NAME = {column.name: column for column in (*FEATURES.columns, *PROFILES.columns)}


def _columns(*names: str) -> tuple[Column, ...]:
    return tuple(_BY_NAME[name] for name in names)


_FEATURES = tuple(column for column in FEATURES.columns if column != CUSTOMER_ID)

CUSTOMER_360 = View(
    "customer_360",
    "a customer",
    "All that is known of a customer: who it is, the features, the segment with its persona, and how sure that is.",
    (
        CUSTOMER_ID,
        BY_NAME["year_birth"],
        BY_NAME["marital_status"],
        BY_NAME["dt_customer"],
        *_FEATURES,
        SEGMENT_ID,
        PERSONA,
        Column("runner_up_segment_id", "VARCHAR", "The segment that the customer belongs to next."),
        CONFIDENCE,
    ),
    f"""
    SELECT
        cleaned.customer_id, cleaned.year_birth, cleaned.marital_status, cleaned.dt_customer,
        {", ".join(f"features.{column.name}" for column in _FEATURES)},
        clusters.segment_id, profiles.persona, clusters.runner_up_segment_id,
        CAST(coalesce(clusters.margin / nullif(clusters.distance + clusters.margin, 0), 0) AS FLOAT) AS confidence
    FROM cleaned
    JOIN features USING (customer_id)
    JOIN clusters USING (customer_id)
    JOIN profiles ON profiles.segment_id = clusters.segment_id
    """,
)

_SUMMARY = _columns(
    "mean_income", "mean_total_spending", "mean_age", "mean_customer_tenure_days", "mean_recency", "response_rate"
)

SEGMENT_SUMMARY = View(
    "segment_summary",
    "a segment",
    "The segments side by side: how large, how much they spend, what they are like.",
    (
        SEGMENT_ID,
        PERSONA,
        *_columns("customers", "share"),
        Column("spending_share", "DOUBLE", "Share of all that customers spent.", minimum=0, maximum=1),
        *_SUMMARY,
        *_columns("description"),
    ),
    f"""
    SELECT
        segment_id, persona, customers, share,
        coalesce(
            customers * mean_total_spending / nullif(sum(customers * mean_total_spending) OVER (), 0), 0
        ) AS spending_share,
        {", ".join(column.name for column in _SUMMARY)}, description
    FROM profiles
    """,
)

HIGH_VALUE_CUSTOMERS = View(
    "high_value_customers",
    "a customer",
    "The fifth of all customers that spends most. Rule: total_spending is at least everybody's 80th percentile.",
    (
        CUSTOMER_ID,
        SEGMENT_ID,
        PERSONA,
        *_columns("total_spending", "income", "recency", "customer_tenure_days", "response"),
        CONFIDENCE,
    ),
    """
    SELECT
        customer_id, segment_id, persona, total_spending, income, recency, customer_tenure_days, response, confidence
    FROM customer_360
    WHERE total_spending >= (SELECT quantile_disc(total_spending, 0.8) FROM features)
    """,
)

AT_RISK_CUSTOMERS = View(
    "at_risk_customers",
    "a customer",
    "Customers who used to buy and have gone quiet. Rule: recency is above the 75th percentile of the customer's own "
    "segment, and customer_tenure_days at least the segment's median, so that a newcomer's silence does not count.",
    (
        CUSTOMER_ID,
        SEGMENT_ID,
        PERSONA,
        *_columns("recency"),
        Column("usual_recency", "SMALLINT", "The segment's 75th percentile of recency, in days.", minimum=0),
        *_columns("customer_tenure_days"),
        Column("usual_tenure_days", "INTEGER", "The segment's median of customer_tenure_days.", minimum=0),
        *_columns("total_spending", "response"),
        CONFIDENCE,
    ),
    """
    WITH usual AS (
        SELECT
            segment_id,
            quantile_disc(recency, 0.75) AS usual_recency,
            quantile_disc(customer_tenure_days, 0.5) AS usual_tenure_days
        FROM clusters JOIN features USING (customer_id)
        GROUP BY segment_id
    )
    SELECT
        customer_360.customer_id, customer_360.segment_id, customer_360.persona,
        customer_360.recency, usual.usual_recency,
        customer_360.customer_tenure_days, usual.usual_tenure_days,
        customer_360.total_spending, customer_360.response, customer_360.confidence
    FROM customer_360 JOIN usual ON usual.segment_id = customer_360.segment_id
    WHERE customer_360.recency > usual.usual_recency
      AND customer_360.customer_tenure_days >= usual.usual_tenure_days
    """,
)


def _bound(side: str, sign: str) -> str:
    """One bound of Wilson's score interval (Wilson 1927, JASA 22) for `responses` of `customers`, at 95 %."""
    return (
        f"(response_rate + z * z / (2 * customers) {sign} z * sqrt(response_rate * (1 - response_rate) / customers "
        f"+ z * z / (4 * customers * customers))) / (1 + z * z / customers) AS {side}"
    )


SEGMENT_RESPONSE = View(
    "segment_response",
    "a segment",
    "How many customers of each segment accepted the last campaign, with Wilson's 95 % interval of the rate: where two "
    "segments' intervals do not overlap, they differ by more than chance.",
    (
        SEGMENT_ID,
        PERSONA,
        *_columns("customers"),
        Column("responses", "BIGINT", "Customers that accepted the last campaign.", minimum=0),
        *_columns("response_rate"),
        Column("rate_low", "DOUBLE", "Lower end of the 95 % interval of the rate.", minimum=0, maximum=1),
        Column("rate_high", "DOUBLE", "Upper end of the 95 % interval of the rate.", minimum=0, maximum=1),
    ),
    f"""
    SELECT
        segment_id, persona, customers, CAST(round(response_rate * customers) AS BIGINT) AS responses, response_rate,
        greatest(rate_low, 0) AS rate_low, least(rate_high, 1) AS rate_high
    FROM (
        SELECT *, {_bound("rate_low", "-")}, {_bound("rate_high", "+")}
        FROM (SELECT *, 1.959963984540054::DOUBLE AS z FROM profiles)
    )
    """,
)

VIEWS: dict[str, View] = {
    view.name: replace(view, sql=" ".join(view.sql.split()))
    for view in (CUSTOMER_360, SEGMENT_SUMMARY, HIGH_VALUE_CUSTOMERS, AT_RISK_CUSTOMERS, SEGMENT_RESPONSE)
}
