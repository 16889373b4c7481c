"""Deliveries: what the other side was handed, and what it must do to have tonight's list.

A delivery is a folder `<home>/audiences/<name>/<number>` that appears whole or not at all: the full list, what changed
since the delivery before, and a document that says what both are. Changes are counted from what was last handed out,
whatever nights came between, failed, were rolled back or played again. So whoever applies all changes in the order of
their numbers has the list, and nothing but the folders is needed to know what that is.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from smartcart_pipeline.audiences.audience import Audience
from smartcart_pipeline.audiences.people import People
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.engines.sql import identifier, literal, parquet
from smartcart_pipeline.storage.home import Home, put_in_place, remove
from smartcart_pipeline.storage.questions import write_csv

if TYPE_CHECKING:
    import duckdb

# Leads to the newest delivery, for those who want the list and nothing else.
CURRENT = "current"
LIST, CHANGES, DOCUMENT, HANDED = "list.csv", "changes.csv", "delivery.json", ".list.parquet"
# What became of a customer since the delivery before.
ADDED, CHANGED, REMOVED = "added", "changed", "removed"
BATCH_ROWS = 50_000


class Addressed(Protocol):
    """The customers of a publication, and whom each of its audiences addresses."""

    @property
    def connection(self) -> "duckdb.DuckDBPyConnection":
        """Where they are."""

    @property
    def people(self) -> People:
        """All customers."""

    def addressed(self, audience: Audience) -> str:
        """The ids of those who are addressed, as one SELECT."""


@dataclass(frozen=True)
class Delivery:
    """What was handed out at one time.

    Attributes:
        audience: The audience's name.
        number: From 1, without a gap.
        delivered_at: When, UTC, as ISO writes it.
        run_id: The run whose publication it is of.
        as_of_date: The day that everything is counted to there.
        version: The audience's, as it was defined.
        rows: Customers of the full list.
        added: How many of them were not handed out before.
        changed: How many were, with other values.
        removed: How many were handed out before, and are no longer in it.
        digest: SHA-256 of the full list.
    """

    audience: str
    number: int
    delivered_at: str
    run_id: str
    as_of_date: str
    version: str
    rows: int
    added: int
    changed: int
    removed: int
    digest: str


def audience_folder(home: Home, name: str) -> Path:
    """Where the deliveries of an audience are.

    Args:
        home: The home.
        name: The audience's name.

    Returns:
        The folder.
    """
    return home.audiences / name


def read_deliveries(home: Home, name: str) -> list[Delivery]:
    """What was handed out of an audience so far.

    Args:
        home: The home.
        name: The audience's name.

    Returns:
        Deliveries, the first first.

    Raises:
        HomeError: If a document cannot be read.
    """
    found = []
    for path in sorted(audience_folder(home, name).glob(f"[0-9]*/{DOCUMENT}")):
        try:
            found.append(Delivery(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise HomeError(
                f"{path}: cannot be read ({str(error).splitlines()[0]}). Put it back from a backup: without it nobody "
                "knows what was handed out."
            ) from None
    return found


def as_row(delivery: Delivery) -> dict[str, Any]:
    """A delivery as a row of the table `deliveries`.

    Args:
        delivery: The delivery.

    Returns:
        The row.
    """
    said = asdict(delivery)
    return said | {"customers": said.pop("rows"), "as_of_date": date.fromisoformat(delivery.as_of_date)}


def read_all(home: Home) -> list[Delivery]:
    """What was handed out of all audiences so far, also of those that are no longer declared.

    Args:
        home: The home.

    Returns:
        Deliveries, by audience and number.

    Raises:
        HomeError: If a document cannot be read.
    """
    folders = sorted(home.audiences.iterdir()) if home.audiences.is_dir() else []
    return [each for folder in folders for each in read_deliveries(home, folder.name)]


def select_list(chosen: Addressed, audience: Audience) -> str:
    """The full list of an audience, as SQL: those who are addressed, in the order of their ids.

    Args:
        chosen: Who is in which audience.
        audience: The audience.

    Returns:
        One SELECT.
    """
    everyone = chosen.people.select(audience.columns)
    return f"SELECT * FROM ({everyone}) WHERE {KEY} IN ({chosen.addressed(audience)}) ORDER BY {KEY}"


def select_changes(connection: "duckdb.DuckDBPyConnection", now: str, before: str | None) -> str:
    """What changed between two lists, as SQL.

    Args:
        connection: Knows both.
        now: The list, as SQL that may follow FROM.
        before: That of the delivery before; None for the first one.

    Returns:
        One SELECT: `change`, then the columns of the list, of which a removed customer has the id alone.
    """
    types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {now}").fetchall()}
    others = [name for name in types if name != KEY]
    shown = ", ".join(f"now.{identifier(name)}" for name in others)
    shown = f", {shown}" if shown else ""
    if before is None:
        return f"SELECT {literal(ADDED)} AS change, now.{KEY}{shown} FROM {now} AS now ORDER BY {KEY}"
    known = {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {before}").fetchall()}
    # A column that is handed out anew, or no more, or in another type, is another row for everybody.
    same = known == types
    ids = [f"{which}.{KEY}" if same else f"CAST({which}.{KEY} AS VARCHAR)" for which in ("now", "was")]
    differs = " OR ".join(f"now.{identifier(name)} IS DISTINCT FROM was.{identifier(name)}" for name in others)
    return (
        f"SELECT CASE WHEN was.{KEY} IS NULL THEN {literal(ADDED)} WHEN now.{KEY} IS NULL THEN {literal(REMOVED)} "
        f"ELSE {literal(CHANGED)} END AS change, coalesce({', '.join(ids)}) AS {KEY}{shown} "
        f"FROM {now} AS now FULL JOIN {before} AS was ON {' = '.join(ids)} "
        f"WHERE now.{KEY} IS NULL OR was.{KEY} IS NULL OR ({(differs or 'false') if same else 'true'}) "
        f"ORDER BY {KEY}"
    )


def find_changes(home: Home, chosen: Addressed, audience: Audience) -> str:
    """What has changed since an audience was last handed out, as SQL.

    Args:
        home: The home.
        chosen: Who is in which audience.
        audience: The audience.

    Returns:
        One SELECT, as from `select_changes`.
    """
    chosen.connection.execute(f"CREATE OR REPLACE TEMP TABLE listed_now AS {select_list(chosen, audience)}")
    before = handed_out(home, read_deliveries(home, audience.name))
    return select_changes(chosen.connection, "listed_now", parquet(before) if before else None)


def handed_out(home: Home, earlier: Sequence[Delivery]) -> Path | None:
    """The list that the other side has.

    Args:
        home: The home.
        earlier: What was handed out of an audience so far.

    Returns:
        A Parquet file; None where nothing was handed out yet.

    Raises:
        HomeError: If it is gone.
    """
    if not earlier:
        return None
    path = _folder(home, earlier[-1].audience, earlier[-1].number) / HANDED
    if not path.is_file():
        raise HomeError(f"{path}: what was handed out last is missing. Put it back from a backup.")
    return path


def deliver(home: Home, chosen: Addressed, audience: Audience, run: tuple[str, date], at: str) -> Delivery:
    """Hand out an audience: its list, and what changed since the delivery before.

    Args:
        home: The home, held.
        chosen: Who is in which audience.
        audience: The audience.
        run: The id of the run whose publication it is, and its as-of date.
        at: The time, UTC, as ISO writes it.

    Returns:
        What was handed out.
    """
    earlier, connection = read_deliveries(home, audience.name), chosen.connection
    number, before = earlier[-1].number + 1 if earlier else 1, handed_out(home, earlier)
    with _writing(_folder(home, audience.name, number)) as folder:
        handed = folder / HANDED
        connection.execute(f"COPY ({select_list(chosen, audience)}) TO {literal(str(handed))} (FORMAT parquet)")
        changes = select_changes(connection, parquet(handed), parquet(before) if before else None)
        counts = dict(connection.execute(f"SELECT change, count(*) FROM ({changes}) GROUP BY change").fetchall())
        digest = _write(connection, f"FROM {parquet(handed)} ORDER BY {KEY}", folder / LIST)
        _write(connection, changes, folder / CHANGES)
        [(rows,)] = connection.execute(f"SELECT count(*) FROM {parquet(handed)}").fetchall()
        done = Delivery(
            audience=audience.name,
            number=number,
            delivered_at=at,
            run_id=run[0],
            as_of_date=run[1].isoformat(),
            version=audience.version,
            rows=rows,
            added=counts.get(ADDED, 0),
            changed=counts.get(CHANGED, 0),
            removed=counts.get(REMOVED, 0),
            digest=digest,
        )
        (folder / DOCUMENT).write_text(json.dumps(asdict(done), indent=1), encoding="utf-8")
    tidy(home, [*earlier, done])
    return done


def tidy(home: Home, deliveries: Sequence[Delivery]) -> None:
    """Show the newest delivery, and keep of those before no more than what has changed.

    Args:
        home: The home, held.
        deliveries: All of an audience.
    """
    *older, newest = deliveries
    _point_at(_folder(home, newest.audience, newest.number))
    for old in older:
        # What the other side has stands in the newest, and customers are to be in no more files than are needed.
        for name in (HANDED, LIST):
            (_folder(home, newest.audience, old.number) / name).unlink(missing_ok=True)


def _folder(home: Home, name: str, number: int) -> Path:
    return audience_folder(home, name) / f"{number:06}"


def _point_at(folder: Path) -> None:
    """Have the link `current` lead to a delivery, at once."""
    link = folder.with_name(f".{CURRENT}.writing")
    remove(link)
    link.symlink_to(folder.name)
    link.replace(folder.with_name(CURRENT))


@contextmanager
def _writing(folder: Path) -> Iterator[Path]:
    """A folder that gets its name once all is in it; nobody but the owner can look into it."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = folder.with_name(f".{folder.name}.writing")
    # A run that was killed may have left it.
    remove(unfinished)
    unfinished.mkdir(mode=0o700)
    try:
        yield unfinished
        for file in unfinished.iterdir():
            file.chmod(0o600)
        put_in_place(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(connection: "duckdb.DuckDBPyConnection", query: str, path: Path) -> str:
    """Write an answer as CSV; its SHA-256."""
    with path.open("wb") as file, connection.sql(query).to_arrow_reader(BATCH_ROWS) as rows:
        write_csv(rows, file)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
