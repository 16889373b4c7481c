"""Outcomes: what customers did since a campaign reached them, as other tools deliver it.

A file is taken in once: read like an export, held against a contract, and kept in the home with what is wrong with each
row. Whether a customer was in the campaign at all is found out every night anew, as audiences go on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import narwhals as nw

from smartcart_pipeline.declaration.contract import KEY, ROW_NUMBER, Contract, DeliveredColumn
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.declaration.recipe import Business, Recipe
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.engines.sql import literal, parquet
from smartcart_pipeline.exports.inspecting import Export, inspect_export
from smartcart_pipeline.exports.reading import read_export
from smartcart_pipeline.segmentation.cleaning import find_causes, judge_customers, reject_customers, tell_causes
from smartcart_pipeline.storage.arrivals import dropped_files, kind_of
from smartcart_pipeline.storage.home import Home, next_stamp, put_in_place, remove

# What the id is called as long as the number of the row has its name.
CUSTOMER = "customer"
AMOUNT = DeliveredColumn("amount", "DOUBLE", "What was spent, in currency units.", True, header="amount")
# Nobody spends so much, and what is reckoned with it stays a number.
MOST_SPENT = 1e9
# So much of a file's digest is in the name of what is kept of it.
DIGITS = 16
# What is kept of a row, whether it holds the contract or not.
KEPT = ("line_number", "campaign", CUSTOMER, "day", "converted", "amount")
REFUSED = ("unreadable", "reason", "detail")


@dataclass(frozen=True)
class Taken:
    """A file of outcomes that was taken in.

    Attributes:
        rows: How many rows hold the contract.
        refused: How many do not.
        causes: What is wrong with those, in words; empty where the same content had been taken in before.
        is_new: Whether it had not.
    """

    rows: int
    refused: int
    causes: str
    is_new: bool


def outcomes_contract(key: DeliveredColumn) -> Contract:
    """What a file of outcomes must hold.

    Args:
        key: The column that tells customers apart in exports.

    Returns:
        The contract. Rows are numbered, as a customer may stand on many.
    """
    names = [name for name in dict.fromkeys((KEY, CUSTOMER, key.header)) if name]
    columns = (
        DeliveredColumn("campaign", "VARCHAR", "The name of the audience.", header="campaign", synonyms=("audience",)),
        DeliveredColumn(CUSTOMER, key.type, "Which customer.", header=names[0], synonyms=tuple(names[1:])),
        DeliveredColumn("day", "DATE", "The day on which it happened.", header="day", synonyms=("date",)),
        DeliveredColumn("converted", "BOOLEAN", "Whether the customer did what was wanted.", True, header="converted"),
        replace(AMOUNT, minimum=-MOST_SPENT, maximum=MOST_SPENT),
    )
    return Contract("outcomes", (ROW_NUMBER, *columns))


def kept_files(home: Home) -> list[Path]:
    """What was taken in.

    Args:
        home: The home.

    Returns:
        Files, in the order in which that was done.
    """
    return sorted(home.outcomes.glob("[0-9]*.parquet"))


def digest_of(kept: Path) -> str:
    """The digest of the file that was taken in as another.

    Args:
        kept: One of `kept_files`.

    Returns:
        The first `DIGITS` of its SHA-256.
    """
    return kept.stem.rpartition("_")[2]


def find_files(home: Home) -> list[Path]:
    """Files of outcomes that were dropped into a home.

    Args:
        home: The home.

    Returns:
        Those in `<home>/incoming/outcomes`, by name; what is no file, hidden or unfinished is left alone.
    """
    # A link in the place of the folder could lead anywhere.
    return dropped_files(home.incoming_outcomes) if kind_of(home.incoming_outcomes) == "a folder" else []


def take_in(engine: DuckDBEngine, home: Home, path: Path, key: DeliveredColumn) -> Taken:
    """Take in a file of outcomes, unless the same content has been taken in before.

    Args:
        engine: Reads it.
        home: The home, held.
        path: The file.
        key: The column that tells customers apart in exports.

    Returns:
        What was taken in.

    Raises:
        CallError: If there is no such file.
        ExportError: If it cannot be read, or lacks a column.
    """
    if not path.is_file():
        raise CallError(f"{path}: there is no such file of outcomes.")
    export, causes = inspect_export(path, outcomes_contract(key)), ""
    digest = export.content_hash[:DIGITS]
    kept = next((known for known in kept_files(home) if digest_of(known) == digest), None)
    is_new = kept is None
    if kept is None:
        home.outcomes.mkdir(mode=0o700, exist_ok=True)
        kept = home.outcomes / f"{next_stamp(home.outcomes)}_{digest}.parquet"
        causes = _read(engine, export, kept)
    [(rows, refused)] = engine.connection.execute(
        f"SELECT count(*) FILTER (reason IS NULL), count(reason) FROM {parquet(kept)}"
    ).fetchall()
    return Taken(rows, refused, causes, is_new)


def _read(engine: DuckDBEngine, export: Export, kept: Path) -> str:
    """Keep all rows of a file, and tell what is wrong with some."""
    frame, _ = read_export(engine, export)
    declaration = Declaration(export.contract, Recipe("outcomes", (), Business()))
    judged = judge_customers(frame, None, declaration.contract)
    refused = reject_customers(judged, None, declaration)
    causes = tell_causes(find_causes(refused, declaration, engine.rows))
    nothing = [nw.lit(None, nw.String).alias(name) for name in REFUSED]
    good = judged.filter(nw.col("is_accepted")).select(*KEPT, *nothing)
    every: Any = nw.concat([good, refused.select(*KEPT, *REFUSED)]).sort("line_number")
    writing = kept.with_name(f".{kept.name}.writing")
    try:
        engine.connection.execute(
            f"COPY (SELECT {literal(export.path.name)} AS file_name, * FROM ({engine.query(every)})) "
            f"TO {literal(str(writing))} (FORMAT parquet)"
        )
        writing.chmod(0o600)
        put_in_place(writing, kept)
    finally:
        remove(writing)
    return causes


def select_taken(home: Home, key: DeliveredColumn) -> str:
    """All rows that were ever taken in, as SQL.

    Args:
        home: The home.
        key: The column that tells customers apart in exports.

    Returns:
        One SELECT: `taken` (which file, by the order of taking in), `file_name`, `KEPT` with the id as `customer_id`,
        and `REFUSED`.
    """
    columns = f"file_name, line_number, campaign, CAST({CUSTOMER} AS {key.type}) AS {KEY}, day, converted, amount"
    parts = list(_select_files(home, columns))
    none = ", ".join(
        f"CAST(NULL AS {kind}) AS {name}"
        for name, kind in (
            ("taken", "INTEGER"),
            ("file_name", "VARCHAR"),
            ("line_number", "BIGINT"),
            ("campaign", "VARCHAR"),
            (KEY, key.type),
            ("day", "DATE"),
            ("converted", "BOOLEAN"),
            ("amount", "DOUBLE"),
            *((name, "VARCHAR") for name in REFUSED),
        )
    )
    return " UNION ALL ".join(parts) or f"SELECT {none} WHERE false"


def _select_files(home: Home, columns: str) -> Iterator[str]:
    for number, path in enumerate(kept_files(home)):
        yield f"SELECT {number} AS taken, {columns}, {', '.join(REFUSED)} FROM {parquet(path)}"
