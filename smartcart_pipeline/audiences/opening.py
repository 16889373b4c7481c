"""The audiences of what is published: the customers of one publication, and what the home's file makes of them."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartcart_pipeline.audiences.audience import Audience, Audiences
from smartcart_pipeline.audiences.choosing import choose_members, describe_people
from smartcart_pipeline.audiences.groups import TREATED
from smartcart_pipeline.audiences.reading import FILE, read_audiences
from smartcart_pipeline.declaration.declaration import Declaration, read_declared
from smartcart_pipeline.declaration.errors import CallError, HomeError
from smartcart_pipeline.declaration.files import nearest
from smartcart_pipeline.engines.sql import literal
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import find_publication
from smartcart_pipeline.storage.warehouse import open_warehouse

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Opened:
    """A publication, and the audiences of its customers.

    Attributes:
        connection: Finds its tables, and `members`.
        audiences: The home's.
        members: The table from `choose_members`.
        run: The id of the run that published it, and its as-of date.
    """

    connection: "duckdb.DuckDBPyConnection"
    audiences: Audiences
    members: str
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
        known = self.audiences.by_name
        if name not in known:
            raise CallError(
                f"There is no audience {name!r}{nearest(name, tuple(known))}. See: smartcart audience list."
            )
        return known[name]

    def count(self) -> list[dict[str, Any]]:
        """How many customers each audience has.

        Returns:
            A row each, in the order in which they claim customers: audience, customers, addressed, held_out (of the
            control group, too), and shared: how many of them are in another audience as well.
        """
        found = self.connection.execute(
            f"SELECT audience, count(*), count(*) FILTER (member_group = {literal(TREATED)}), count(*) FILTER (n > 1) "
            f"FROM (SELECT *, count(*) OVER (PARTITION BY customer_id) AS n FROM {self.members}) GROUP BY audience"
        ).fetchall()
        counts = {name: rest for name, *rest in found}
        rows = []
        for each in self.audiences.listed:
            customers, addressed, shared = counts.get(each.name, (0, 0, 0))
            rows.append(
                {
                    "audience": each.name,
                    "description": each.description,
                    "customers": customers,
                    "addressed": addressed,
                    "held_out": customers - addressed,
                    "shared": shared,
                    "cost": addressed * each.cost,
                }
            )
        return rows


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
    publication = find_publication(home)
    with open_warehouse(publication) as connection, tempfile.TemporaryDirectory(prefix="smartcart-") as spill:
        connection.execute(f"SET temp_directory = {literal(spill)}")
        [(run_id, as_of, declared)] = connection.execute(
            "SELECT run_id, as_of_date, declared FROM publication"
        ).fetchall()
        declaration = read_declared(json.loads(declared), str(publication))
        _require_ids(declaration, home.root / FILE)
        audiences = read_audiences(home.root, describe_people(connection), *_known(connection))
        members = choose_members(connection, audiences, declaration.recipe.business.worth)
        yield Opened(connection, audiences, members, (run_id, as_of))


def _known(connection: "duckdb.DuckDBPyConnection") -> tuple[list[tuple[str, str]], list[str]]:
    segments = connection.execute("SELECT segment_id, persona FROM profiles ORDER BY segment_id").fetchall()
    views = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    return [(segment, persona) for segment, persona in segments], [name for (name,) in views]


def _require_ids(declaration: Declaration, file: Path) -> None:
    """Refuse to address customers whom the next night does not know."""
    if declaration.contract.is_numbered:
        raise HomeError(
            f"{file.parent}: the contract has no key, so that rows are numbered anew every night, and nobody can be "
            "found again. Set primaryKey: true at the column that tells customers apart."
        )
