"""Commands about audiences: who is in which, the list of one, and handing it out."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from smartcart_pipeline.cli.options import HomeOption
from smartcart_pipeline.cli.warehouse import write_whole
from smartcart_pipeline.storage.home import Home

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NameArgument = Annotated[str, typer.Argument(help="The audience.")]
PREVIEWED = 10
COUNTED = ("Customers", "Addressed", "Held out", "Also elsewhere")

audience = typer.Typer(
    help="Audiences, whom a campaign is for: list them, look at one, hand it out.", no_args_is_help=True
)


@audience.command(name="list")
def list_audiences(home: HomeOption = Path("data"), as_json: JsonOption = False) -> None:
    """Show all audiences with their sizes, and when each was last handed out."""
    from smartcart_pipeline.audiences.counting import count_audiences, count_segments  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.audiences.deliveries import read_deliveries  # noqa: PLC0415
    from smartcart_pipeline.audiences.opening import open_audiences  # noqa: PLC0415
    from smartcart_pipeline.cli.screen import show_list  # noqa: PLC0415

    place = Home(home.resolve())
    with open_audiences(place) as opened:
        rows = count_audiences(opened.chosen, count_segments(opened.chosen))
    for row in rows:
        deliveries = read_deliveries(place, row["audience"])
        row["delivered_at"] = deliveries[-1].delivered_at if deliveries else None
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    show_list(
        ("Audience", "Who", *COUNTED, "Handed out"),
        [
            (
                row["audience"],
                row["description"],
                *(f"{row[name]:,}" for name in ("customers", "treated")),
                f"{row['held_out'] + row['control']:,}",
                f"{row['shared']:,}",
                (row["delivered_at"] or "never").replace("T", " ")[:16],
            )
            for row in rows
        ],
        numbers=set(COUNTED),
    )


@audience.command()
def preview(name: NameArgument, home: HomeOption = Path("data")) -> None:
    """Show how many customers an audience has, of which segments, and the first of them."""
    from smartcart_pipeline.audiences.counting import count_audiences, count_segments  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.audiences.deliveries import select_list  # noqa: PLC0415
    from smartcart_pipeline.audiences.opening import open_audiences  # noqa: PLC0415
    from smartcart_pipeline.cli.screen import show_list  # noqa: PLC0415

    with open_audiences(Home(home.resolve())) as opened:
        found, chosen = opened.find(name), opened.chosen
        segments = count_segments(chosen)
        [row] = [each for each in count_audiences(chosen, segments) if each["audience"] == name]
        first = chosen.connection.sql(f"{select_list(chosen, found)} LIMIT {PREVIEWED}")
        listed, columns = first.fetchall(), first.columns
    if found.description:
        typer.echo(found.description)
    typer.echo(
        f"{row['customers']:,} customers: {row['treated']:,} addressed, {row['held_out'] + row['control']:,} held out; "
        f"{row['shared']:,} of them are in another audience as well"
    )
    show_list(
        ("Segment", "Customers", "Addressed", "Held out"),
        [
            (
                each["segment_id"],
                *(f"{each[size]:,}" for size in ("customers", "treated")),
                f"{each['held_out'] + each['control']:,}",
            )
            for each in segments
            if each["audience"] == name
        ],
        numbers={"Customers", "Addressed", "Held out"},
    )
    if listed:
        show_list(columns, [["" if value is None else str(value) for value in each] for each in listed])


@audience.command()
def export(
    name: NameArgument,
    home: HomeOption = Path("data"),
    changes: Annotated[
        bool, typer.Option("--changes", help="Only what has changed since the audience was last handed out.")
    ] = False,
    output: Annotated[str, typer.Option(help="File to write, .csv, .json or .parquet; - for standard output.")] = "-",
    format: Annotated[  # noqa: A002  (the name of the option)
        str | None, typer.Option(help="csv, json or parquet, whatever the output is called.")
    ] = None,
) -> None:
    """Write the list of an audience, of those who are addressed; that counts as no delivery."""
    from smartcart_pipeline.audiences.deliveries import BATCH_ROWS, find_changes, select_list  # noqa: PLC0415
    from smartcart_pipeline.audiences.opening import open_audiences  # noqa: PLC0415
    from smartcart_pipeline.cli.scoring import STANDARD_OUTPUT, choose_format  # noqa: PLC0415
    from smartcart_pipeline.storage.questions import WRITERS  # noqa: PLC0415

    write = WRITERS[choose_format(output, format)]
    place = Home(home.resolve())
    with open_audiences(place) as opened:
        found, chosen = opened.find(name), opened.chosen
        query = find_changes(place, chosen, found) if changes else select_list(chosen, found)
        with chosen.connection.sql(query).to_arrow_reader(BATCH_ROWS) as rows:
            if output == STANDARD_OUTPUT:
                write(rows, sys.stdout.buffer)
                return
            write_whole(Path(output), lambda file: write(rows, file))
    typer.echo(f"{output} written", err=True)


@audience.command()
def drt(
    name: NameArgument,
    output: Annotated[Path, typer.Option(help="Folder to write; empty or new.")],
    home: HomeOption = Path("data"),
) -> None:
    """Write a project for drt, which hands an audience on to a mail tool: whom it was given, changed and lost."""
    from smartcart_pipeline.audiences.drt import write_project  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.audiences.opening import open_audiences  # noqa: PLC0415

    place = Home(home.resolve())
    with open_audiences(place) as opened:
        found = opened.find(name)
    write_project(output, place.root, found)
    typer.echo(f"{output} written; {output / 'README.md'} says how it is run")


@audience.command()
def deliver(name: NameArgument, home: HomeOption = Path("data"), as_json: JsonOption = False) -> None:
    """Hand out an audience: its list, and what has changed since it was last handed out."""
    from dataclasses import asdict  # noqa: PLC0415

    from smartcart_pipeline.audiences.deliveries import audience_folder  # noqa: PLC0415
    from smartcart_pipeline.audiences.deliveries import deliver as hand_out  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.audiences.opening import open_audiences  # noqa: PLC0415
    from smartcart_pipeline.storage.publications import find_publication  # noqa: PLC0415
    from smartcart_pipeline.storage.run_lock import hold  # noqa: PLC0415
    from smartcart_pipeline.storage.warehouse import now  # noqa: PLC0415

    place = Home(home.resolve())
    at = now().replace(microsecond=0).isoformat()
    # Where nothing is published, nothing is made either.
    find_publication(place)
    with hold(place, 60, lambda said: typer.echo(said, err=True)), open_audiences(place) as opened:
        done = hand_out(place, opened.chosen, opened.find(name), opened.run, at)
    folder = audience_folder(place, name) / f"{done.number:06}"
    if as_json:
        typer.echo(json.dumps(asdict(done) | {"folder": str(folder)}, indent=2))
        return
    typer.echo(
        f"{name}, delivery {done.number}: {done.rows:,} customers; since the one before {done.added:,} added, "
        f"{done.changed:,} changed, {done.removed:,} removed"
    )
    typer.echo(folder)
