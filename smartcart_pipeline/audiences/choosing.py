"""Choosing: which customers are in which audience, and in which group of it, by the tables of one night."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smartcart_pipeline.audiences.audience import Audience, Audiences
from smartcart_pipeline.audiences.conditions import columns_of, normalise
from smartcart_pipeline.audiences.groups import GROUPS, TREATED, group
from smartcart_pipeline.audiences.people import People, imputed
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.engines.sql import boolean, identifier, literal

if TYPE_CHECKING:
    import duckdb

ELIGIBLE = "eligible_customers"
CHOSEN, COUNTED = "chosen_customers", "counted_customers"
WORTH = "worth"


@dataclass(frozen=True)
class Chosen:
    """The customers of a night who are in any audience.

    Everybody is in some segment. So those of whole segments stand in no table of their own: of ten million customers it
    would take longer to write than all the rest.

    Attributes:
        connection: Where they are.
        audiences: The audiences.
        people: All customers.
        read: The columns of theirs that decided.
        table: One row a customer of any other audience: `customer_id`, `segment_id`, `worth`, and, for each of these by
            its number, the number of the customer's group in `GROUPS` (`group_0`, …), null of who is not in it.
        counted: One row for each combination of segment and groups: these, and `customers`.
    """

    connection: "duckdb.DuckDBPyConnection"
    audiences: Audiences
    people: People
    read: tuple[str, ...]
    table: str = CHOSEN
    counted: str = COUNTED

    def numbered(self, name: str) -> str:
        """The column of an audience's groups.

        Args:
            name: The name of an audience that is no whole segment.

        Returns:
            The column.
        """
        return f"group_{[each.name for each in self.kept].index(name)}"

    @property
    def kept(self) -> list[Audience]:
        """The audiences that are no whole segments."""
        return [each for each in self.audiences.listed if not each.is_segment]

    def holds(self, audience: Audience) -> str:
        """Whether a row of either table is of an audience.

        Args:
            audience: It.

        Returns:
            An expression (BOOLEAN).
        """
        if audience.is_segment:
            return f"segment_id = {literal(audience.name)}"
        return f"{self.numbered(audience.name)} IS NOT NULL"

    def members(self, audience: Audience, columns: Sequence[str] = ("segment_id", WORTH)) -> str:
        """The members of an audience, held out or not.

        Args:
            audience: One that is no whole segment.
            columns: What is wanted of the table beside.

        Returns:
            One SELECT: `audience`, `customer_id`, `member_group`, and the columns.
        """
        number = self.numbered(audience.name)
        said = " ".join(f"WHEN {code} THEN {literal(name)}" for code, name in enumerate(GROUPS))
        return (
            f"SELECT {literal(audience.name)} AS audience, {KEY}, CASE {number} {said} END AS member_group, "
            f"{', '.join(columns)} FROM {self.table} WHERE {number} IS NOT NULL"
        )

    def forget(self) -> None:
        """Drop the temporary tables: of many customers they take room that others need."""
        self.connection.execute(f"DROP TABLE IF EXISTS {self.table}; DROP TABLE IF EXISTS {self.counted}")

    def addressed(self, audience: Audience) -> str:
        """The ids of those who are addressed.

        Args:
            audience: The audience.

        Returns:
            One SELECT.
        """
        if audience.is_segment:
            return f"SELECT {KEY} FROM ({self.people.select(['segment_id'])}) WHERE {self.holds(audience)}"
        return f"SELECT {KEY} FROM {self.table} WHERE {self.numbered(audience.name)} = {GROUPS.index(TREATED)}"


def choose(connection: "duckdb.DuckDBPyConnection", people: People, audiences: Audiences, worth: str | None) -> Chosen:
    """Put every customer into the audiences that claim them, in temporary tables.

    Args:
        connection: Finds the tables that `people` are selected from.
        people: All customers.
        audiences: The audiences.
        worth: The column by which customers are worth most, for audiences of a limit; None for the order of ids.

    Returns:
        They.

    Raises:
        HomeError: If a condition has no answer for some customer.
    """
    import duckdb  # noqa: PLC0415

    read = {"segment_id", *([worth] if worth else ())}
    for each in audiences.listed:
        if not each.is_segment:
            read |= set(reads(each, people))
    chosen = Chosen(connection, audiences, people, tuple(name for name in people.types if name in read))
    try:
        _put(chosen, worth)
    except duckdb.Error as error:
        raise _blame(chosen, error) from None
    return chosen


def _put(chosen: Chosen, worth: str | None) -> None:
    connection, audiences, listed = chosen.connection, chosen.audiences, chosen.kept
    flags = [f"coalesce({claims(each, chosen.people)}, false) AS in_{number}" for number, each in enumerate(listed)]
    by = f"CAST({identifier(worth)} AS DOUBLE)" if worth else "NULL::DOUBLE"
    columns = ", ".join([KEY, "segment_id", f"{by} AS {WORTH}", *flags])
    some = " OR ".join(f"in_{number}" for number in range(len(listed))) or "false"
    relation = f"FROM (SELECT {columns} FROM ({chosen.people.select(chosen.read)})) WHERE {some}"
    if any(each.limit for each in listed):
        # Its customers are gone through once for each limit.
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {ELIGIBLE} AS {relation}")
        relation = f"FROM {ELIGIBLE}"
    relation = _settle(connection, relation, listed)
    groups = [
        f"CASE WHEN in_{number} THEN {group(audiences.salt, each.name, KEY, each.holdout, audiences.control)} END "
        f"AS group_{number}"
        for number, each in enumerate(listed)
    ]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {CHOSEN} AS SELECT {', '.join([KEY, 'segment_id', WORTH, *groups])} "
        f"FROM ({relation}) WHERE {some}; DROP TABLE IF EXISTS {ELIGIBLE}"
    )
    numbers = ", ".join(["segment_id", *(f"group_{number}" for number in range(len(listed)))])
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {COUNTED} AS SELECT {numbers}, count(*) AS customers FROM {CHOSEN} GROUP BY ALL"
    )


def _blame(chosen: Chosen, error: "duckdb.Error") -> Exception:
    """Say whose condition has no answer for some customer, as where a text is no number."""
    import duckdb  # noqa: PLC0415

    for each in chosen.kept:
        query = f"SELECT count(*) FILTER ({claims(each, chosen.people)}) FROM ({chosen.people.select(chosen.read)})"
        try:
            chosen.connection.execute(query).fetchall()
        except duckdb.Error as told:
            kind = str(told).partition(":")[0]
            return HomeError(
                f"audiences.yaml, {each.name}: where has no answer for some customers ({kind}). Where a value may be "
                "something else, ask for it with TRY_CAST."
            )
    return error


def claims(audience: Audience, people: People) -> str:
    """Whether an audience would have a customer, if it were the only one.

    Args:
        audience: The audience.
        people: All customers.

    Returns:
        An expression (BOOLEAN), null where nothing says so.
    """
    condition = f"({normalise(audience.where)})" if audience.where else "true"
    return f"{condition} AND {consents(audience, people)}"


def consents(audience: Audience, people: People) -> str:
    """Whether a customer lets an audience be addressed.

    Args:
        audience: The audience.
        people: All customers.

    Returns:
        An expression (BOOLEAN), null where nothing says so.
    """
    if not audience.consent:
        return "true"
    said = boolean(identifier(audience.consent))
    # What the recipe filled in nobody has said.
    filled = imputed(audience.consent)
    return f"{said} AND NOT {identifier(filled)}" if filled in people.types else said


def reads(audience: Audience, people: People) -> list[str]:
    """The columns by which `claims` decides.

    Args:
        audience: The audience.
        people: All customers.

    Returns:
        Their names.
    """
    asked = [audience.consent, imputed(audience.consent)] if audience.consent else []
    return [*columns_of(audience.where), *(name for name in asked if name in people.types)]


def _settle(connection: "duckdb.DuckDBPyConnection", relation: str, listed: Sequence[Audience]) -> str:
    """What is left of the claims: some audiences leave customers to others, and some have only so many."""
    owners: list[str] = []
    left: list[str] = []
    for number, each in enumerate(listed):
        claim = f"in_{number}"
        if each.limit:
            # Of whom others have left.
            free = f"({_owner(owners)}) IS NULL" if each.is_exclusive else "true"
            claim += f" AND {_within(connection, f'FROM ({relation}) WHERE {claim} AND {free}', each.limit)}"
        if each.is_exclusive:
            owners.append(f"WHEN {claim} THEN {number}")
            claim = f"coalesce(owner = {number}, false)"
        if claim != f"in_{number}":
            left.append(f"{claim} AS in_{number}")
    if not left:
        return relation
    return f"SELECT * REPLACE ({', '.join(left)}) FROM (SELECT *, {_owner(owners)} AS owner FROM ({relation}))"


def _owner(owners: Sequence[str]) -> str:
    """The number of the first exclusive audience that claims a customer; null of none."""
    return f"CASE {' '.join(owners)} END" if owners else "NULL::INTEGER"


def _within(connection: "duckdb.DuckDBPyConnection", claimed: str, limit: int) -> str:
    """Who is among the first, of those who are worth most; of those who are worth the same, by their ids."""
    last = connection.execute(
        f"SELECT {WORTH}, {KEY} {claimed} ORDER BY {WORTH} DESC NULLS LAST, {KEY} LIMIT 1 OFFSET {limit - 1}"
    ).fetchall()
    if not last:
        return "true"
    [(worth, customer)] = last
    before = f"{KEY} <= {literal(customer) if isinstance(customer, str) else customer}"
    if worth is None:
        return f"({WORTH} IS NOT NULL OR {before})"
    least = f"CAST({literal(repr(worth))} AS DOUBLE)"
    return f"coalesce({WORTH} > {least} OR ({WORTH} = {least} AND {before}), false)"
