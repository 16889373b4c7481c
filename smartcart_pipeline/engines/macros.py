"""The model compiled to SQL: macros that put customers into segments, and say why, where there is no Python.

Their SQL is what DuckDB makes of the very verbs that a run is made of, so the two cannot drift apart.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import duckdb
import narwhals as nw

from smartcart_pipeline.declaration.columns import WHOLE, Column
from smartcart_pipeline.declaration.contract import LINE_COLUMNS, DeliveredColumn
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.declaration.tables import declare_tables, feature_columns
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.sql import INTEGERS, boolean, identifier, literal
from smartcart_pipeline.segmentation.cleaning import forget_placeholders, judge_customers
from smartcart_pipeline.segmentation.model import SegmentModel, read_model, score_customers
from smartcart_pipeline.segmentation.rules import Rule, columns_of
from smartcart_pipeline.segmentation.scaling import encode_features

# What the macros' inner queries are called: names that no relation of an analyst has, nor any of its columns.
CUSTOMERS, ONE = "customers_to_be_placed", "customer_to_be_placed"
# The tables that macros are made from or read.
SCORED_FROM = frozenset({"segment_model", "segment_rules", "features", "clusters"})


@dataclass(frozen=True)
class Macro:
    """A table macro.

    Attributes:
        name: Its name.
        parameter: The name of its one parameter.
        query: What it stands for.
        comment: What it does, for people.
    """

    name: str
    parameter: str
    query: str
    comment: str


def create_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the database in use its macros, by the model and the rules in its own tables.

    Args:
        connection: Where `USE` names the database. In it, a macro means the tables beside it by their bare names,
            wherever the file is opened later.
    """
    [(document,)] = connection.execute("SELECT document FROM segment_model").fetchall()
    [(case_sql,)] = connection.execute("SELECT DISTINCT case_sql FROM segment_rules").fetchall()
    for macro in compile_macros(read_model(json.loads(document)), case_sql):
        connection.execute(f"CREATE MACRO {macro.name}({macro.parameter}) AS TABLE {macro.query}")
        connection.execute(f"COMMENT ON MACRO TABLE {macro.name} IS {literal(macro.comment)}")


def compile_macros(model: SegmentModel, case_sql: str) -> list[Macro]:
    """The macros of a warehouse.

    Args:
        model: The model.
        case_sql: The rules as one expression, from `case_expression`.

    Returns:
        `assign_segment`, `explain_segment` and `segment_by_rules`.
    """
    return [
        Macro(
            "assign_segment",
            "customers",
            assignment_query(model),
            "Puts customers into segments. Takes the name of a table, view or CTE that has the columns of the contract "
            "as in raw_customers; further ones do no harm. What is missing is imputed, all is counted to "
            f"{model.as_of_date}, and who came later counts as having come then, all as in the run of this "
            "warehouse. Rows that the contract or a limit refuses get nulls. Distance and margin have no unit and "
            "no greatest; margin / (distance + margin) is the confidence of customer_360, from 0 to 1.",
        ),
        Macro(
            "explain_segment",
            "customer_id",
            explanation_query(model),
            "Why a customer of this warehouse is in its segment and not in the runner-up: one row a feature. A "
            "feature's pull towards a segment is how much nearer it puts the customer to the segment's centre than to "
            "the average customer, in squared standard deviations; the pulls towards the segment less those towards "
            "the runner-up add up to the squared distance to the runner-up less that to the segment. Centres are the "
            "segments' centroids, put back from the principal components into the units of the features. "
            "change_to_boundary is how much of this feature alone would bring the customer to the boundary with the "
            "runner-up, null where the feature cannot do it.",
        ),
        Macro(
            "segment_by_rules",
            "features",
            f"SELECT customers.customer_id, {case_sql} AS segment_id FROM query_table(features) AS customers",
            "The segments by the rules of segment_rules. Takes the name of a table, view or CTE that has the columns "
            "of features.",
        ),
    ]


def assignment_query(model: SegmentModel) -> str:
    """Put the rows of a relation into segments.

    Args:
        model: The model.

    Returns:
        A query over `query_table(customers)`.
    """
    contract, recipe = model.declaration.contract, model.features
    scored = _translate(
        (*LINE_COLUMNS, *contract.columns),
        lambda rows: score_customers(judge_customers(forget_placeholders(rows, recipe), None, contract), model),
    )
    typed = ", ".join(f"{_typed(column)} AS {column.name}" for column in contract.columns)
    # What is there but no number must not be imputed. Other columns are null then, and refused.
    wrong = " ".join(
        f"WHEN {name} IS NOT NULL AND ({_wrong(contract.by_name[name])}) THEN {literal(name)}"
        for name in recipe.completed
        if contract.by_name[name].type != "VARCHAR"
    )
    unreadable = f"coalesce(unreadable, CASE {wrong} END)" if wrong else "unreadable"
    return (
        f"WITH {CUSTOMERS} AS NOT MATERIALIZED "
        f"(SELECT NULL::BIGINT AS line_number, {typed}, {unreadable} AS unreadable FROM ({_given(contract.names)})) "
        f"SELECT * FROM ({scored})"
    )


def _given(needed: Sequence[str]) -> str:
    """The relation that was handed in; one that lacks columns is refused by their names.

    DuckDB itself would name the first of them only, and the line of the macro that speaks of it. Here each is there for
    it, as null, and those that are nowhere else are told as soon as a row is asked for.
    """
    # Some relations say what could not be read, most do not.
    nulls = ", ".join(f"NULL AS {name}" for name in needed)
    nothing = f"SELECT {nulls}, NULL::VARCHAR AS unreadable WHERE false"
    whole = f"SELECT * FROM query_table(customers) UNION ALL BY NAME {nothing}"
    names = ", ".join(f"({number}, {literal(name)})" for number, name in enumerate(needed))
    told = (
        "error('assign_segment: the relation lacks ' || string_agg(name, ', ' ORDER BY number) || '. It takes the "
        "columns of raw_customers; what is not known of customers can be given as NULL.')"
    )
    # DuckDB 1.5 cannot describe a relation that is a parameter.
    there = f"SELECT lower(unnest(struct_keys({ONE}))) FROM (SELECT * FROM query_table(customers) LIMIT 1) AS {ONE}"
    lacking = (
        f"SELECT CASE WHEN count(*) > 0 THEN {told} END FROM (VALUES {names}) AS needed(number, name) "
        f"WHERE EXISTS (FROM query_table(customers)) AND name NOT IN ({there})"
    )
    return f"SELECT * FROM ({whole}) WHERE ({lacking}) IS NULL"


def _translate(columns: Sequence[Column], verb: Callable[[nw.LazyFrame], nw.LazyFrame]) -> str:
    """The SQL of a verb over the relation `CUSTOMERS`, of these columns."""
    engine = DuckDBEngine()
    declared = ", ".join(f"{column.name} {column.type}" for column in columns)
    engine.connection.execute(f"CREATE TABLE {CUSTOMERS} ({declared})")
    query = engine.query(verb(nw.from_native(engine.connection.table(CUSTOMERS))))
    engine.close()
    return query


def _wrong(column: DeliveredColumn) -> str:
    """Whether what is there is no value of the column's type."""
    if column.type == "BOOLEAN":
        return f"{boolean(column.name)} IS NULL"
    return f"TRY_CAST({column.name} AS DOUBLE) IS NULL OR isinf(TRY_CAST({column.name} AS DOUBLE))"


def _typed(column: DeliveredColumn) -> str:
    """The expression that takes a value as the contract's type; null where it is none."""
    if column.type == "BOOLEAN":
        return boolean(column.name)
    value = f"TRY_CAST({column.name} AS {column.type})"
    if column.type == "DOUBLE":
        return f"CASE WHEN isfinite({value}) THEN {value} END"
    if column.type in WHOLE and not column.is_rounded:
        # A part of a child is no child. Which type a column has is known before its first value is looked at.
        whole = f"typeof({column.name}) IN ({', '.join(map(literal, INTEGERS))})"
        return f"CASE WHEN {whole} OR {value} = TRY_CAST({column.name} AS DOUBLE) THEN {value} END"
    return value


def explanation_query(model: SegmentModel) -> str:
    """Take the assignment of a customer apart, by feature.

    A centroid c, put back as standardised features, is m = Pᵀc with the loadings P. Their rows are of unit length and
    at right angles, so that for a customer z, |Pz - c|² = |z - m|² - |z - PᵀPz|². What is subtracted is the same for
    all segments, and so differences of squared distances are sums over features (Jolliffe 2002, "Principal Component
    Analysis", 3.1).

    Args:
        model: The model.

    Returns:
        A query over `features` and `clusters`, of the parameter `customer_id`.
    """
    columns = declare_tables(model.declaration)["features"].columns
    encoded = _translate(columns, lambda rows: encode_features(rows, model.features))
    # A bare `customer_id` is the parameter wherever it stands.
    encoded = encoded.replace('"customer_id" AS', f"{CUSTOMERS}.customer_id AS", 1)
    names = model.features.names
    features = [
        f"({number}, {literal(name)}, {_double(mean)}, {_double(scale)}, {', '.join(_range(name, model))}, "
        f"{', '.join(map(_double, model.scaler.fences.get(name, (-inf, inf))))})"
        for number, (name, mean, scale) in enumerate(
            zip(names, model.scaler.mean, model.scaler.scale, strict=True), start=1
        )
    ]
    centres = [
        f"({literal(segment)}, [{', '.join(map(_double, centre))}])"
        for segment, centre in zip(model.segment_ids, model.centres.tolist(), strict=True)
    ]
    places = ", ".join(f"e.{identifier(name)}" for name in names)
    # What was asked for is read where no column stands: `a.customer_id` would be part of a feature called `a`.
    return f"""
        WITH asked(id_asked) AS (SELECT customer_id),
        {CUSTOMERS} AS (SELECT f.* FROM features AS f JOIN asked ON f.customer_id = id_asked),
        encoded AS ({encoded}),
        customer AS (
            SELECT c.segment_id, c.runner_up_segment_id, [{places}] AS places
            FROM encoded AS e JOIN clusters AS c ON c.customer_id = e.customer_id
        ),
        feature(number, feature, mean, scale, least, most, lower, upper) AS (VALUES {", ".join(features)}),
        centre(segment_id, places) AS (VALUES {", ".join(centres)}),
        placed AS (
            SELECT c.segment_id, c.runner_up_segment_id, f.*, c.places[f.number] AS value,
                greatest(least(c.places[f.number], f.upper), f.lower) AS counted, (counted - f.mean) / f.scale AS z,
                own.places[f.number] AS own, other.places[f.number] AS other
            FROM customer AS c CROSS JOIN feature AS f
            JOIN centre AS own ON own.segment_id = c.segment_id
            LEFT JOIN centre AS other ON other.segment_id = c.runner_up_segment_id
        ),
        pulled AS (
            SELECT p.*, p.own * (2 * p.z - p.own) AS pull_to_segment, p.other * (2 * p.z - p.other) AS pull_to_runner_up
            FROM placed AS p
        ),
        led AS (
            SELECT p.*, p.pull_to_segment - p.pull_to_runner_up AS lead,
                -sum(p.pull_to_segment - p.pull_to_runner_up) OVER ()
                    * p.scale / nullif(2 * (p.own - p.other), 0) AS change
            FROM pulled AS p
        )
        SELECT l.segment_id, l.runner_up_segment_id, l.feature, l.value,
            l.mean + l.scale * l.own AS segment_centre, l.mean + l.scale * l.other AS runner_up_centre,
            l.pull_to_segment, l.pull_to_runner_up, l.lead,
            CASE WHEN l.counted + l.change BETWEEN l.least AND l.most
                AND l.counted + l.change BETWEEN l.lower AND l.upper
                THEN l.counted + l.change - l.value END AS change_to_boundary
        FROM led AS l ORDER BY l.lead DESC, l.number
    """


def _double(number: float) -> str:
    # As a text: DuckDB reads the digits of a bare one as a decimal, which may differ in the last bit.
    return f"{literal(repr(float(number)))}::DOUBLE"


def _range(feature: str, model: SegmentModel) -> tuple[str, str]:
    """The least and the greatest value a feature can have; null where no amount of it can be added or taken away."""
    known = model.features.by_name.get(feature)
    # Categories, and what is only so or not so.
    if known is None or known.is_flag:
        return "NULL::DOUBLE", "NULL::DOUBLE"
    least = feature_columns(model.declaration)[feature].minimum
    limits = {limit.on: limit.maximum for limit in model.features.limits if limit.maximum is not None}
    return _double(-inf if least is None else least), _double(limits.get(feature, inf))


def condition(rule: Rule, recipe: Recipe) -> str:
    """A rule as SQL over the columns of `features`.

    Args:
        rule: The rule.
        recipe: What it speaks of.

    Returns:
        A boolean expression.
    """
    return " AND ".join(part for name in columns_of(rule, recipe) for part in _conditions(rule, name)) or "true"


def _conditions(rule: Rule, name: str) -> list[str]:
    if name in rule.levels:
        levels = [literal(level) for level in rule.levels[name]]
        return [f"{name} = {levels[0]}" if len(levels) == 1 else f"{name} IN ({', '.join(levels)})"]
    bounds = [f"{name} > {rule.above[name]}"] if name in rule.above else []
    return bounds + ([f"{name} <= {rule.upto[name]}"] if name in rule.upto else [])


def case_expression(rules: Sequence[Rule], model: SegmentModel) -> str:
    """All rules as one SQL expression that gives the segment.

    Args:
        rules: The rules.
        model: The model.

    Returns:
        A `CASE` expression over the columns of `features`.
    """
    cases = [
        f"WHEN {condition(rule, model.features)} THEN {literal(model.segment_ids[rule.cluster])}" for rule in rules
    ]
    return "\n".join(["CASE", *(f"    {case}" for case in cases), "END"])
