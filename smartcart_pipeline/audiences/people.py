"""The customers as conditions see them: what is known of each, since when they are where they are, and tonight's date.

A join of all customers takes its time, so that only those tables are read of which somebody asks for a column.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.recipe import Business
from smartcart_pipeline.declaration.tables import AS_OF, SEGMENT_MEMBERSHIP
from smartcart_pipeline.declaration.views import (
    know_customers,
    most_valuable,
    select_customers,
    usually_quiet,
)
from smartcart_pipeline.engines.sql import literal

IS_HIGH_VALUE, IS_AT_RISK = "is_high_value", "is_at_risk"


@dataclass(frozen=True)
class People:
    """The customers.

    Attributes:
        types: SQL types of the columns, by name, the key first.
        select: Makes one SELECT of the key and some of the others.
    """

    types: Mapping[str, str]
    select: Callable[[Iterable[str]], str]


@dataclass(frozen=True)
class Joined:
    """A column that `customer_360` does not have.

    Attributes:
        type: Its SQL type.
        sql: The expression, over `customers` and what is joined.
        source: What is joined with them; empty for nothing.
        reads: The columns of `customers` that it needs.
    """

    type: str
    sql: str
    source: str = ""
    reads: tuple[str, ...] = ()


def imputed(name: str) -> str:
    """The column that says whether a value was missing.

    Args:
        name: The column of the value.

    Returns:
        Its name.
    """
    return f"{name}_imputed"


def know_people(declaration: Declaration, further: Sequence[str], as_of: date) -> People:
    """The customers of a night, by its tables.

    Args:
        declaration: What the night went by.
        further: Columns of `cleaned` beyond the contract.
        as_of: Its as-of date.

    Returns:
        The columns of `customer_360`, those of the open stay in `segment_membership`, the as-of date, and, where the
        business speaks of them, whether a customer is one of `high_value_customers` or of `at_risk_customers`.
    """
    known = know_customers(declaration, further)
    joined = dict(_join(declaration.recipe.business, as_of))
    types: dict[str, str] = {name: each.type for name, each in joined.items()}
    types = {name: each.column.type for name, each in known.items()} | {
        name: kind for name, kind in types.items() if name not in known
    }

    def select(names: Iterable[str]) -> str:
        wanted = dict.fromkeys((KEY, *names))
        beside = [joined[name] for name in wanted if name not in known]
        shown = [f"{joined[name].sql} AS {name}" if name not in known else f"customers.{name}" for name in wanted]
        read = dict.fromkeys(name for name in wanted if name in known)
        read |= dict.fromkeys(name for each in beside for name in each.reads)
        sources = dict.fromkeys(each.source for each in beside if each.source)
        # Found once, however often they are gone through.
        kept = f"WITH customers AS ({select_customers(known, read)})"
        return f"{kept} SELECT {', '.join(shown)} FROM customers {' '.join(sources)}"

    return People(types, select)


def _join(business: Business, as_of: date) -> Iterator[tuple[str, Joined]]:
    """Columns beyond those of `customer_360`."""
    yield AS_OF.name, Joined("DATE", f"DATE {literal(as_of.isoformat())}")
    stays = f"LEFT JOIN (FROM segment_membership WHERE valid_to IS NULL) AS stays ON stays.{KEY} = customers.{KEY}"
    for column in SEGMENT_MEMBERSHIP.columns:
        if column.name in ("valid_from", "model_version"):
            yield column.name, Joined(column.type, f"stays.{column.name}", stays)
    if worth := business.worth:
        source = f"CROSS JOIN ({most_valuable(worth, 'customers')}) AS most"
        yield IS_HIGH_VALUE, Joined("BOOLEAN", f"customers.{worth} >= most.least", source, (worth,))
    if (recency := business.recency) and (tenure := business.tenure):
        quiet = f"customers.{recency} > usual.usual_recency AND customers.{tenure} >= usual.usual_tenure_days"
        usual = usually_quiet(recency, tenure, "customers")
        source = f"LEFT JOIN ({usual}) AS usual ON usual.segment_id = customers.segment_id"
        yield IS_AT_RISK, Joined("BOOLEAN", f"({quiet})", source, (recency, tenure, "segment_id"))
