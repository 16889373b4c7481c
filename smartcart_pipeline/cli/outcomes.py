"""Commands about campaigns: taking in what customers did, and what came of it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from smartcart_pipeline.cli.audience import JsonOption, audience
from smartcart_pipeline.cli.options import HomeOption
from smartcart_pipeline.declaration.errors import CallError, HomeError
from smartcart_pipeline.storage.home import Home

SHOWN = ("Campaign", "Segment", "Addressed", "Held out", "Converted", "Of held out", "Net")


def outcomes(
    file: Annotated[Path, typer.Argument(help="What customers did: campaign, customer_id, day, converted, amount.")],
    home: HomeOption = Path("data"),
) -> None:
    """Take in what customers did since a campaign reached them; the next night counts it."""
    from smartcart_pipeline.campaigns.outcomes import take_in  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.engines.duckdb import DuckDBEngine  # noqa: PLC0415
    from smartcart_pipeline.storage.publications import find_publication  # noqa: PLC0415
    from smartcart_pipeline.storage.run_lock import hold  # noqa: PLC0415
    from smartcart_pipeline.storage.warehouse import declaration_of, open_warehouse  # noqa: PLC0415

    place = Home(home.resolve())
    publication = find_publication(place)
    with open_warehouse(publication) as connection:
        contract = declaration_of(connection, publication).contract
    if contract.is_numbered:
        raise HomeError(f"{place.root}: the contract has no key, so that nobody knows whose outcomes these are.")
    engine = DuckDBEngine(spill_directory=place.spill)
    try:
        with hold(place, 60, lambda said: typer.echo(said, err=True)):
            taken = take_in(engine, place, file, contract.key)
    finally:
        engine.close()
    if not taken.is_new:
        typer.echo(f"{file}: the same outcomes have been taken in before; nothing has changed")
        return
    typer.echo(f"{file}: {taken.rows:,} outcomes taken in, {taken.refused:,} refused")
    if taken.causes:
        typer.echo(taken.causes, err=True)


@audience.command()
def results(home: HomeOption = Path("data"), as_json: JsonOption = False) -> None:
    """Show what each campaign did, as far as the last night knew: all segments together, and each."""
    from smartcart_pipeline.cli.screen import show_list  # noqa: PLC0415
    from smartcart_pipeline.storage.publications import find_publication  # noqa: PLC0415
    from smartcart_pipeline.storage.warehouse import open_warehouse  # noqa: PLC0415  (imports DuckDB)

    publication = find_publication(Home(home.resolve()))
    with open_warehouse(publication) as connection:
        known = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'campaign_results'").fetchall()
        query = "FROM campaign_results ORDER BY campaign, segment_id <> 'all', segment_id"
        rows: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist() if known else []
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        raise CallError(
            "No outcomes are known of any campaign. Take some in, and run a night: smartcart outcomes FILE."
        )
    show_list(
        SHOWN,
        [
            (
                row["campaign"],
                row["segment_id"],
                f"{row['treated']:,}",
                f"{row['held_out']:,}",
                _share(row["treated_rate"]),
                _share(row["held_out_rate"]),
                "" if row["net"] is None else f"{row['net']:,.0f}",
            )
            for row in rows
        ],
        numbers=set(SHOWN[2:]),
    )
    for row in rows:
        if row["segment_id"] == "all":
            typer.echo(f"{row['campaign']}: {row['found']}")


def _share(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1%}"
