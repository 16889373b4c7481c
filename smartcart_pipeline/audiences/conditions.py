"""Conditions: one boolean expression over the customers, held to be no more than that.

Whoever writes `audiences.yaml` writes SQL that runs unattended. So an expression is read as a tree, and what is in no
short list of harmless parts is refused by name: subqueries, aggregates, windows, parameters, whatever has a side effect
or another answer each time.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from smartcart_pipeline.declaration.files import nearest
from smartcart_pipeline.engines.sql import literal

# What a column may be called beside its own name.
RELATIONS = ("customer_360", "segment_membership")
# Parts of expressions that compute with values, whatever they are called; functions are looked up by name.
HARMLESS = (
    exp.Binary,
    exp.Unary,
    exp.Between,
    exp.In,
    exp.Column,
    exp.Identifier,
    exp.Literal,
    exp.Boolean,
    exp.Null,
    exp.Interval,
    exp.IntervalSpan,
    exp.Var,
    exp.DataType,
    exp.DataTypeParam,
    exp.Tuple,
    exp.Array,
    exp.Func,
)
# Not among them, although they are of those kinds.
CLOCK = (exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.CurrentDatetime, exp.Localtime, exp.Localtimestamp)
OTHERS = (
    exp.Columns,
    exp.CurrentUser,
    exp.SessionUser,
    exp.Parameter,
    exp.Placeholder,
    exp.Lambda,
    exp.Star,
    exp.Dot,
    exp.Alias,
)
HARMFUL = (exp.Query, exp.AggFunc, exp.Window, *CLOCK, *OTHERS)
# What DuckDB says is always the same, and is not.
INCONSISTENT = {"current_localtime", "current_localtimestamp", "version"}
# Nor is what makes an interval of one point in time: it counts to the day of asking.
COUNTS_TO_NOW = "return_type = 'INTERVAL' AND len(parameter_types) = 1 AND parameter_types[1] LIKE 'TIMESTAMP%'"
# What DuckDB has as macros of such functions.
MACROS = {"date_add", "fmod", "nullif", "split_part"}
# So many characters of a part are shown.
SHOWN = 40
SAID: Mapping[Any, str] = {
    exp.Query: "a subquery",
    exp.AggFunc: "an aggregate: a condition is about one customer",
    exp.Window: "a window: a condition is about one customer",
    exp.Parameter: "a parameter",
    exp.Placeholder: "a parameter",
    CLOCK: "the time of day: count from as_of_date",
}


def find_faults(text: str, columns: Mapping[str, str]) -> list[str]:
    """What is wrong with a condition.

    Args:
        text: The condition.
        columns: The columns of the customers with their SQL types.

    Returns:
        Faults, to follow after the place of the condition; none of a good one.
    """
    if harm := find_harm(text):
        return [harm]
    return list(_find_unknown(sqlglot.parse_one(text, read="duckdb"), columns)) or _find_misfits(
        normalise(text), columns
    )


def find_harm(text: str) -> str:
    """Why a condition is none, whatever the columns.

    Args:
        text: The condition.

    Returns:
        The first fault, as `find_faults` gives it; empty if there is none.
    """
    try:
        trees = [tree for tree in sqlglot.parse(text, read="duckdb") if tree is not None]
        harmful = [fault for tree in trees for fault in _find_harmful(tree)]
        # What cannot be written again, as `normalise` does, is nested too deeply as well.
        for tree in trees:
            tree.sql(dialect="duckdb")
    except RecursionError:
        return " is nested too deeply"
    except SqlglotError as error:
        said = _first_line(error)
        return f" is no SQL expression{'' if '<class' in said else f' ({said})'}"
    if len(trees) != 1:
        return " is empty" if not trees else " is more than one expression"
    return next(iter(harmful), "")


def normalise(text: str) -> str:
    """A condition, with every name quoted and every column that of a customer.

    Args:
        text: A condition without faults.

    Returns:
        SQL.
    """
    tree = sqlglot.parse_one(text, read="duckdb")
    for column in tree.find_all(exp.Column):
        column.set("table", None)
        column.set("this", exp.to_identifier(column.name.lower(), quoted=True))
    return tree.sql(dialect="duckdb", comments=False)


def columns_of(text: str) -> list[str]:
    """The columns that a condition reads.

    Args:
        text: A condition without faults.

    Returns:
        Their names, in order, each once.
    """
    if not text:
        return []
    tree = sqlglot.parse_one(text, read="duckdb")
    return list(dict.fromkeys(column.name.lower() for column in tree.find_all(exp.Column)))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].strip().rstrip(".")


def _find_harmful(tree: exp.Expr) -> Iterable[str]:
    for node in tree.walk():
        if isinstance(node, HARMFUL) or not isinstance(node, HARMLESS):
            found = node.sql(dialect="duckdb")[:SHOWN]
            other = f"{found!r}, which is no part of a condition"
            yield f" holds {next((told for kind, told in SAID.items() if isinstance(node, kind)), other)}"
            return


def _find_unknown(tree: exp.Expr, columns: Mapping[str, str]) -> Iterable[str]:
    for column in tree.find_all(exp.Column):
        if column.table and (column.table.lower() not in RELATIONS or column.args.get("db")):
            yield f": {column.table!r} is no table of a condition: expected {' or '.join(RELATIONS)}, or none"
        elif column.name.lower() not in columns:
            yield f": there is no column {column.name!r}{nearest(column.name.lower(), tuple(columns))}"


def _find_misfits(condition: str, columns: Mapping[str, str]) -> list[str]:
    """What DuckDB says of a condition over customers of whom there are none."""
    empty = ", ".join(
        f"CAST(NULL AS {kind}) AS {exp.to_identifier(name, quoted=True)}" for name, kind in columns.items()
    )
    with duckdb.connect(config={"enable_external_access": False, "allow_community_extensions": False}) as connection:
        if other := next(iter(_find_functions(connection, condition)), None):
            return [other]
        try:
            query = f"SELECT ({condition}) AS held FROM (SELECT {empty}) WHERE false"
            [(_, kind, *_)] = connection.execute(f"DESCRIBE {query}").fetchall()
        except duckdb.Error as error:
            return [f": {_first_line(error)}"]
    return [] if kind == "BOOLEAN" else [f" is {kind}, neither true nor false: expected a comparison"]


def _find_functions(connection: duckdb.DuckDBPyConnection, condition: str) -> Iterable[str]:
    """Functions that are not such as give one value for one customer, always the same."""
    known = _scalar_functions()
    [(said,)] = connection.execute(f"SELECT json_serialize_sql({literal(f'SELECT ({condition})')})").fetchall()
    for name in _names(said):
        if name not in known:
            yield f": {name}() is no function of a condition, which has one answer for one customer, always the same"


def _names(serialised: str) -> list[str]:
    found: list[str] = []

    def look(part: object) -> None:
        if isinstance(part, dict):
            if part.get("class") == "FUNCTION":
                found.append(str(part["function_name"]))
            for value in part.values():
                look(value)
        elif isinstance(part, list):
            for value in part:
                look(value)

    look(json.loads(serialised))
    return found


@lru_cache(maxsize=1)
def _scalar_functions() -> Sequence[str]:
    """DuckDB's functions of one row that always give the same for the same values."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT function_name FROM duckdb_functions() WHERE function_type = 'scalar' AND schema_name = 'main' "
            "GROUP BY function_name "
            "HAVING bool_and(stability = 'CONSISTENT' AND NOT coalesce(has_side_effects, false)) "
            f"AND NOT coalesce(bool_or({COUNTS_TO_NOW}), false)"
        ).fetchall()
    return tuple(sorted({name for (name,) in rows} - INCONSISTENT | MACROS))
