"""The audiences of what is published: the customers of one publication, and what the home's file makes of them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from smartcart_pipeline.audiences.audience import Audience, from_row
from smartcart_pipeline.audiences.choosing import Chosen, choose
from smartcart_pipeline.audiences.groups import TREATED
from smartcart_pipeline.audiences.people import People, know_people
from smartcart_pipeline.audiences.reading import read_audiences
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.errors import CallError, HomeError
from smartcart_pipeline.declaration.files import nearest
from smartcart_pipeline.declaration.tables import declare_tables
from smartcart_pipeline.engines.sql import literal
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import find_publication, readable
from smartcart_pipeline.storage.warehouse import declaration_of, open_warehouse

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Opened:
    """A publication, and the audiences of its customers.

    Attributes:
        chosen: Who is in which audience.
        run: The id of the run that published it, and its as-of date.
    """

    chosen: Chosen
    run: tuple[str, date]

    def find(self, name: str) -> Audience:
        """An audience by its name.

        Args:
            name: The name.

        Returns:
            The audience.

        Raises:
            CallError: If there is none of that name.
        """
        known = self.chosen.audiences.by_name
        if name not in known:
            raise CallError(
                f"There is no audience {name!r}{nearest(name, tuple(known))}. See: smartcart audience list."
            )
        return known[name]


@dataclass(frozen=True)
class Published:
    """The audiences of a publication, with those whom its night has put into them.

    Attributes:
        connection: Where they are.
        people: All customers.
        run: The id of the run that published it, and its as-of date.
        nightly: The audiences that every night hands out.
    """

    connection: "duckdb.DuckDBPyConnection"
    people: People
    run: tuple[str, date]
    nightly: list[Audience]

    def addressed(self, audience: Audience) -> str:
        """The ids of those who are addressed.

        Args:
            audience: One that is no whole segment: such has stays of its own.

        Returns:
            One SELECT.
        """
        day = f"DATE {literal(self.run[1].isoformat())}"
        return (
            f"SELECT {KEY} FROM audience_stays WHERE audience = {literal(audience.name)} "
            f"AND member_group = {literal(TREATED)} AND valid_from <= {day} AND (valid_to IS NULL OR {day} < valid_to)"
        )


@contextmanager
def open_published(home: Home) -> Iterator[Published]:
    """Open what a night has just published: nobody is put into audiences once more.

    Args:
        home: The home.

    Yields:
        Its audiences.

    Raises:
        HomeError: If its customers have no ids.
    """
    with _open(readable(home)) as (connection, declaration, run):
        rows = connection.sql("FROM audiences WHERE is_nightly").to_arrow_table().to_pylist()
        if rows:
            require_ids(declaration, home)
        yield Published(connection, _know_people(connection, declaration, run[1]), run, list(map(from_row, rows)))


@contextmanager
def open_audiences(home: Home) -> Iterator[Opened]:
    """Open what is published, and put its customers into the home's audiences.

    Args:
        home: The home.

    Yields:
        Both; nothing in the home changes.

    Raises:
        CallError: If nothing is published.
        DeclarationError: If the home's file is wrong.
        HomeError: If what is published has no customers by their ids.
    """
    with _open(find_publication(home)) as (connection, declaration, run):
        require_ids(declaration, home)
        yield Opened(choose_customers(connection, home, declaration, run[1]), run)


def choose_customers(
    connection: "duckdb.DuckDBPyConnection",
    home: Home,
    declaration: Declaration,
    as_of: date,
    so_far: str | None = None,
) -> Chosen:
    """Put the customers of a night into the home's audiences.

    Args:
        connection: Finds the night's tables by their names.
        home: The home.
        declaration: What the night went by.
        as_of: Its as-of date.
        so_far: Stays before it, as SQL that may follow FROM; None where nobody asks for stays, or there are none.

    Returns:
        Who is in which audience.

    Raises:
        DeclarationError: If the home's file is wrong.
        HomeError: If a condition has no answer for some customer.
    """
    people = _know_people(connection, declaration, as_of)
    segments = connection.execute("SELECT segment_id, persona FROM profiles ORDER BY segment_id").fetchall()
    audiences = read_audiences(home.audiences_file, people.types, segments)
    if so_far:
        # A segment of which a file said something once goes on having stays of its own.
        named = {name for (name,) in connection.execute(f"SELECT DISTINCT audience FROM {so_far}").fetchall()}
        listed = [replace(each, is_segment=each.is_segment and each.name not in named) for each in audiences.listed]
        audiences = replace(audiences, listed=tuple(listed))
    return choose(connection, people, audiences, declaration.recipe.business.worth)


@contextmanager
def _open(publication: Path) -> Iterator[tuple["duckdb.DuckDBPyConnection", Declaration, tuple[str, date]]]:
    """Open a publication, with what its night went by, and its run.

    There is room for what is larger than memory: beside the file nothing may be written.
    """
    with open_warehouse(publication) as connection, tempfile.TemporaryDirectory(prefix="smartcart-") as spill:
        connection.execute(f"SET temp_directory = {literal(spill)}")
        declaration = declaration_of(connection, publication)
        [run] = connection.execute("SELECT run_id, as_of_date FROM publication").fetchall()
        yield connection, declaration, run


def _know_people(connection: "duckdb.DuckDBPyConnection", declaration: Declaration, as_of: date) -> People:
    names = [row[0] for row in connection.execute("DESCRIBE cleaned").fetchall()]
    known = declare_tables(declaration)["cleaned"].names
    return know_people(declaration, [name for name in names if name not in known], as_of)


def require_ids(declaration: Declaration, home: Home) -> None:
    """Refuse to address customers whom the next night does not know.

    Args:
        declaration: What the night went by.
        home: The home.

    Raises:
        HomeError: If rows are numbered.
    """
    if declaration.contract.is_numbered:
        raise HomeError(
            f"{home.root}: the contract has no key, so that rows are numbered anew every night, and nobody can be "
            "found again. Set primaryKey: true at the column that tells customers apart."
        )
