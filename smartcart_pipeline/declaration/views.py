"""Views of the warehouse: the questions that marketing asks every day, each answered by a name.

Declared like tables: what a view holds, row by row and column by column, beside the SQL that computes it. The SQL reads
tables of the first schema, and views declared before it, by their plain names. There is a view where the business
speaks of what it shows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from smartcart_pipeline.declaration.columns import Column
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.recipe import AsIs, Feature, Flag, Recipe
from smartcart_pipeline.declaration.tables import (
    DISTANCE,
    MARGIN,
    SEGMENT_ID,
    Schema,
    Table,
    declare_further,
    declare_tables,
)


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


@dataclass(frozen=True)
class Known:
    """A column of `customer_360`, and where it comes from.

    Attributes:
        column: The column.
        table: The table that it is read from.
        sql: The expression.
    """

    column: Column
    table: str
    sql: str


PERSONA = Column("persona", "VARCHAR", "What people call the segment.")
CONFIDENCE = Column(
    "confidence",
    "FLOAT",
    "How clearly the customer belongs to the segment, from 0 (as near to the runner-up) to 1 (at the segment's "
    "centroid): 1 - distance / distance to the runner-up's centroid, known as the simplified silhouette. It is "
    "margin / (distance + margin), and can be compared between models, as `margin` cannot.",
    minimum=0,
    maximum=1,
)
CONFIDENCE_SQL = "CAST(coalesce(clusters.margin / nullif(clusters.distance + clusters.margin, 0), 0) AS FLOAT)"
RUNNER_UP = Column("runner_up_segment_id", "VARCHAR", "The segment that the customer belongs to next.")


def declare_views(declaration: Declaration, further: Sequence[str] = ()) -> dict[str, View]:
    """The views of the warehouse.

    Args:
        declaration: What the night goes by.
        further: Columns of `cleaned` beyond the contract.

    Returns:
        Views by name; each reads tables and those before it.
    """
    tables = declare_tables(declaration)
    known, customers = _declared_columns(tables), _know(declaration, tables, further)
    stays = tables["audience_stays"].columns
    return {
        view.name: replace(view, sql=" ".join(view.sql.split()))
        for view in _views(declaration.recipe, known, customers, stays)
    }


def know_customers(declaration: Declaration, further: Sequence[str] = ()) -> dict[str, Known]:
    """All that is known of a customer.

    Args:
        declaration: What the night goes by.
        further: Columns of `cleaned` beyond the contract.

    Returns:
        The columns of `customer_360` by name, in order, the key first.
    """
    return _know(declaration, declare_tables(declaration), further)


def _know(declaration: Declaration, tables: Mapping[str, Table], further: Sequence[str]) -> dict[str, Known]:
    known, recipe = _declared_columns(tables), declaration.recipe
    features = [column for column in tables["features"].columns if column.name != KEY]
    # A feature that is a column as it was delivered says all that the column does.
    as_delivered = {f.name for f in recipe.features if isinstance(f.verb, AsIs | Flag) and f.verb.column == f.name}
    shown = {KEY, *as_delivered, *recipe.beside}
    others = [known[name] for name in declaration.contract.names if name not in shown]
    imputed = [known[f"{name}_imputed"] for name in recipe.completed]
    placed = [
        Known(SEGMENT_ID, "clusters", "clusters.segment_id"),
        Known(PERSONA, "profiles", "profiles.persona"),
        Known(RUNNER_UP, "clusters", "clusters.runner_up_segment_id"),
        Known(CONFIDENCE, "clusters", CONFIDENCE_SQL),
        *(Known(column, "clusters", f"clusters.{column.name}") for column in (DISTANCE, MARGIN)),
    ]
    ours = {column.name for column in (*features, *(each.column for each in placed))}
    listed = [Known(known[name], "cleaned", f"cleaned.{name}") for name in (KEY, *recipe.beside)]
    for column in (*others, *imputed, *declare_further(further)):
        # A column may have the name of a feature that says something else.
        named = replace(column, name=f"{column.name}_delivered" if column.name in ours else column.name)
        listed.append(Known(named, "cleaned", f"cleaned.{column.name}"))
    listed += [Known(column, "features", f"features.{column.name}") for column in features]
    return {each.column.name: each for each in (*listed, *placed)}


def select_customers(known: Mapping[str, Known], names: Iterable[str]) -> str:
    """Columns of `customer_360`, from no more tables than they need: each is a join of all customers.

    Args:
        known: From `know_customers`.
        names: The columns; the key is among them.

    Returns:
        One SELECT over tables of the lake.
    """
    wanted = [known[name] for name in names]
    needed = {each.table for each in wanted if each.column.name != KEY}
    if "profiles" in needed:
        needed.add("clusters")
    [first, *others] = [name for name in ("cleaned", "features", "clusters") if name in needed] or ["clusters"]
    shown = [
        f"{first}.{KEY}"
        if each.column.name == KEY
        else each.sql
        if each.sql == f"{each.table}.{each.column.name}"
        else f"{each.sql} AS {each.column.name}"
        for each in wanted
    ]
    joins = [f"JOIN {name} USING ({KEY})" for name in others]
    if "profiles" in needed:
        joins.append("JOIN profiles ON profiles.segment_id = clusters.segment_id")
    return f"SELECT {', '.join(shown)} FROM {first} {' '.join(joins)}"


def _declared_columns(tables: Mapping[str, Table]) -> Columns:
    return {column.name: column for name in ("cleaned", "features", "profiles") for column in tables[name].columns}


def _views(recipe: Recipe, known: Columns, customers: Mapping[str, Known], stays: tuple[Column, ...]) -> Iterator[View]:
    business = recipe.business
    yield _customer_360(customers)
    yield _audience_members(stays)
    yield _segment_summary(recipe, known)
    yield DATES
    if business.worth:
        yield _high_value_customers(recipe, known, business.worth)
    if business.recency and business.tenure:
        yield _at_risk_customers(recipe, known)
    if len(recipe.outcomes) == 1:
        yield _segment_response(recipe.outcomes[0], known)
    elif recipe.outcomes:
        yield _segment_responses(recipe.outcomes, known)


def _customer_360(known: Mapping[str, Known]) -> View:
    return View(
        "customer_360",
        "a customer",
        "All that is known of a customer: what was delivered, the features, the segment with its persona, and how sure "
        "that is.",
        tuple(each.column for each in known.values()),
        select_customers(known, known),
    )


DATES = View(
    "dates",
    "a calendar day",
    "Every calendar day from the first that was published to the last, to be joined by `day` or by `published_day`.",
    (
        Column("day", "DATE", "The day.", unique=True),
        Column("year", "BIGINT", "Its year."),
        Column("quarter", "BIGINT", "1 to 4.", minimum=1, maximum=4),
        Column("month", "BIGINT", "1 to 12.", minimum=1, maximum=12),
        Column("month_start", "DATE", "The first day of its month."),
        Column("week_start", "DATE", "The Monday of its week."),
        Column("weekday", "BIGINT", "1, a Monday, to 7.", minimum=1, maximum=7),
        Column("weekday_name", "VARCHAR", "Its name."),
        Column("is_published", "BOOLEAN", "Whether segments were published for it."),
        Column("published_day", "DATE", "The day whose segments held then: it, or the last one published before."),
    ),
    """
    SELECT
        calendar.day, year(calendar.day) AS year, quarter(calendar.day) AS quarter, month(calendar.day) AS month,
        CAST(date_trunc('month', calendar.day) AS DATE) AS month_start,
        CAST(date_trunc('week', calendar.day) AS DATE) AS week_start,
        isodow(calendar.day) AS weekday, dayname(calendar.day) AS weekday_name,
        calendar.day = published.day AS is_published, published.day AS published_day
    FROM (
        SELECT CAST(unnest(generate_series(min(as_of_date), max(as_of_date), INTERVAL 1 DAY)) AS DATE) AS day
        FROM history.nights
    ) AS calendar
    ASOF JOIN (SELECT DISTINCT as_of_date AS day FROM history.nights) AS published ON published.day <= calendar.day
    """,
)


def _audience_members(stays: tuple[Column, ...]) -> View:
    """Stays of segments for which no file says anything stand nowhere else than in the segments' own history."""
    return View(
        "audience_members",
        "a stay of a customer in a group of an audience",
        "Who was in which audience, and when: valid_from <= day AND (valid_to IS NULL OR day < valid_to).",
        stays,
        f"""
        SELECT audience, {KEY}, member_group, valid_from, valid_to, segment_id, worth FROM history.audience_stays
        UNION ALL
        SELECT
            segment_id AS audience, {KEY}, 'treated' AS member_group, valid_from, valid_to, segment_id,
            CAST(NULL AS DOUBLE) AS worth
        FROM history.segment_membership
        WHERE segment_id IN (SELECT audience FROM audiences WHERE is_segment)
        """,
    )


def _segment_summary(recipe: Recipe, known: Columns) -> View:
    worth, means = f"mean_{recipe.business.worth}", [f"mean_{name}" for name in recipe.summary]
    summed = _worth(recipe) if recipe.business.worth else ""
    share = Column("spending_share", "DOUBLE", f"The segment's share of all {summed}.", minimum=0, maximum=1)
    spent = f"coalesce(customers * {worth} / nullif(sum(customers * {worth}) OVER (), 0), 0) AS spending_share,"
    rates = [feature.rate for feature in recipe.outcomes]
    summary = [known[name] for name in (*means, *rates)]
    return View(
        "segment_summary",
        "a segment",
        f"The segments side by side: how large, {f'how much of all {summed}, ' if summed else ''}what they are like.",
        (
            SEGMENT_ID,
            PERSONA,
            known["customers"],
            known["share"],
            *([share] if recipe.business.worth else []),
            *summary,
            known["description"],
        ),
        f"""
        SELECT
            segment_id, persona, customers, share,
            {spent if recipe.business.worth else ""}
            {", ".join(column.name for column in (*summary, known["description"]))}
        FROM profiles
        """,
    )


def _worth(recipe: Recipe) -> str:
    return recipe.by_name[str(recipe.business.worth)].words.named


def most_valuable(worth: str, customers: str) -> str:
    """From which worth on a customer is of high value: everybody's 80th percentile.

    Args:
        worth: The feature by which customers are worth most.
        customers: All of them, with this column, as SQL that may follow FROM.

    Returns:
        One SELECT of one number.
    """
    return f"SELECT quantile_disc({worth}, 0.8) AS least FROM {customers}"


def usually_quiet(recency: str, tenure: str, customers: str) -> str:
    """How quiet customers of each segment usually are: who is quieter, and no newcomer, is at risk.

    Args:
        recency: The feature that says how long ago a customer bought last.
        tenure: The one that says how long somebody has been a customer.
        customers: All of them, with these columns and `segment_id`, as SQL that may follow FROM.

    Returns:
        One SELECT: `segment_id`, `usual_recency` and `usual_tenure_days`.
    """
    return (
        f"SELECT segment_id, quantile_disc({recency}, 0.75) AS usual_recency, "
        f"quantile_disc({tenure}, 0.5) AS usual_tenure_days FROM {customers} GROUP BY segment_id"
    )


def _high_value_customers(recipe: Recipe, known: Columns, worth: str) -> View:
    business = recipe.business
    shown = [name for name in (worth, business.means, business.recency, business.tenure) if name]
    shown += [feature.name for feature in recipe.outcomes]
    return View(
        "high_value_customers",
        "a customer",
        f"The fifth of all customers with the most {_worth(recipe)}. Rule: {worth} is at least everybody's 80th "
        "percentile.",
        (known[KEY], SEGMENT_ID, PERSONA, *(known[name] for name in shown), CONFIDENCE),
        f"""
        SELECT {KEY}, segment_id, persona, {", ".join(shown)}, confidence
        FROM customer_360
        WHERE {worth} >= ({most_valuable(worth, "features")})
        """,
    )


def _at_risk_customers(recipe: Recipe, known: Columns) -> View:
    worth, recency, tenure = recipe.business.worth, str(recipe.business.recency), str(recipe.business.tenure)
    shown = [*([worth] if worth else []), *(feature.name for feature in recipe.outcomes)]
    return View(
        "at_risk_customers",
        "a customer",
        f"Customers who have gone quiet. Rule: {recency} is above the 75th percentile of the "
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
        WITH usual AS ({usually_quiet(recency, tenure, f"clusters JOIN features USING ({KEY})")})
        SELECT
            customer_360.{KEY}, customer_360.segment_id, customer_360.persona,
            customer_360.{recency}, usual.usual_recency,
            customer_360.{tenure}, usual.usual_tenure_days,
            {", ".join(f"customer_360.{name}" for name in (*shown, "confidence"))}
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


INTERVAL = (
    "with Wilson's 95 % interval of the rate: where two segments' intervals do not overlap, they differ by more than "
    "chance"
)
BOUNDS = (
    Column("rate_low", "DOUBLE", "Lower end of the 95 % interval of the rate.", minimum=0, maximum=1),
    Column("rate_high", "DOUBLE", "Upper end of the 95 % interval of the rate.", minimum=0, maximum=1),
)


def _segment_response(outcome: Feature, known: Columns) -> View:
    rate = outcome.rate
    responses = Column("responses", "BIGINT", f"Customers that {outcome.share}.", minimum=0)
    return View(
        "segment_response",
        "a segment",
        f"How many customers of each segment {outcome.share}, {INTERVAL}.",
        (SEGMENT_ID, PERSONA, known["customers"], responses, known[rate], *BOUNDS),
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


def _segment_responses(outcomes: tuple[Feature, ...], known: Columns) -> View:
    """The same of several outcomes, one under the other."""
    told = "; ".join(f"{outcome.name}: that {outcome.share}" for outcome in outcomes)
    rates = " UNION ALL ".join(
        f"SELECT segment_id, persona, '{outcome.name}' AS outcome, customers, {outcome.rate} AS rate, "
        "1.959963984540054::DOUBLE AS z FROM profiles"
        for outcome in outcomes
    )
    return View(
        "segment_response",
        "a segment and outcome",
        f"How many customers of each segment have each outcome, {INTERVAL}.",
        (
            SEGMENT_ID,
            PERSONA,
            Column("outcome", "VARCHAR", "Which outcome.", categories=tuple(outcome.name for outcome in outcomes)),
            known["customers"],
            Column("responses", "BIGINT", f"Customers that have it ({told}).", minimum=0),
            Column("rate", "DOUBLE", "Their share of the segment.", minimum=0, maximum=1),
            *BOUNDS,
        ),
        f"""
        SELECT
            segment_id, persona, outcome, customers, CAST(round(rate * customers) AS BIGINT) AS responses, rate,
            greatest(rate_low, 0) AS rate_low, least(rate_high, 1) AS rate_high
        FROM (SELECT *, {_bound("rate_low", "-", "rate")}, {_bound("rate_high", "+", "rate")} FROM ({rates}))
        """,
    )
