"""Commands about the warehouse: what is published, which of the last publications, and what it answers."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from smartcart_pipeline.cli.options import HomeOption
from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.storage.home import Home, put_in_place

FORMATS = ("table", "csv", "json", "parquet")
PUBLISHED = "▸"

warehouse = typer.Typer(help="The publications that are kept: list them, or go back to one.", no_args_is_help=True)


@warehouse.command(name="list")
def list_publications(
    home: HomeOption = Path("data"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Show the publications that are kept, the newest first, and which of them is published."""
    from smartcart_pipeline.report.rendering import mend_report  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.storage.publications import describe_publications  # noqa: PLC0415

    place = Home(home.resolve())
    mend_report(place)
    publications = describe_publications(place)
    if as_json:
        typer.echo(json.dumps(publications, indent=2, default=str))
    elif publications:
        _show_publications(publications)
    else:
        typer.echo(f"Nothing has been published in {place.root} yet: smartcart run.")


@warehouse.command()
def rollback(
    run: Annotated[
        str | None, typer.Argument(help="The run to go back to: its id, or the first digits. Default: the one before.")
    ] = None,
    home: HomeOption = Path("data"),
) -> None:
    """Publish what an earlier run had published, with its report. The next run publishes as always."""
    from smartcart_pipeline.engines.duckdb import DuckDBEngine  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.orchestration.night import record_rollback  # noqa: PLC0415  (imports Dagster)
    from smartcart_pipeline.report.reading import read_findings  # noqa: PLC0415
    from smartcart_pipeline.report.rendering import lay_ready, mend_report  # noqa: PLC0415
    from smartcart_pipeline.storage.publications import roll_back, run_of, tell_set_aside  # noqa: PLC0415

    place = Home(home.resolve())
    mend_report(place)
    engine = DuckDBEngine()
    done = roll_back(place, run, lambda path: lay_ready(read_findings(engine, path), place.report))
    record_rollback(place, run_of(done.path), run_of(done.before) if done.before else None)
    typer.echo(f"{place.warehouse} is again that of run {run_of(done.path)}. The next run publishes as always.")
    if done.set_aside:
        typer.echo(tell_set_aside(done.set_aside))


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT.")],
    home: HomeOption = Path("data"),
    as_of_run: Annotated[
        str | None, typer.Option(help="Ask what this run published: its id, or the first digits of it.")
    ] = None,
    format: Annotated[  # noqa: A002  (the name of the option)
        str, typer.Option(help="table (piped: plain lines, with tabs between columns), csv, json or parquet.")
    ] = "table",
    output: Annotated[
        Path | None, typer.Option(help="File to write. Default: standard output.", dir_okay=False)
    ] = None,
) -> None:
    """Ask the published warehouse, read-only."""
    from smartcart_pipeline.report.rendering import mend_report  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.storage.publications import find_publication, tell_strange  # noqa: PLC0415
    from smartcart_pipeline.storage.questions import WRITERS, ask, write_text  # noqa: PLC0415

    if format not in FORMATS:
        raise CallError(f"--format {format!r} is not known. Choose one of {', '.join(FORMATS)}.")
    if format == "parquet" and output is None:
        raise CallError("--format parquet needs a file: --output FILE.")
    if format == "table" and output is not None:
        raise CallError("--output needs a format for files: --format csv, json or parquet.")
    place = Home(home.resolve())
    mend_report(place)
    publication = find_publication(place, as_of_run)
    if strange := tell_strange(place):
        typer.echo(f"Note: {strange}", err=True)
    with ask(place, publication, query, format) as answer:
        if format == "table" and sys.stdout.isatty():
            from smartcart_pipeline.cli.screen import show  # noqa: PLC0415  (only to print a table)

            show(answer)
        elif output is None:
            WRITERS.get(format, write_text)(answer.rows, sys.stdout.buffer)
        else:
            write_whole(output, lambda file: WRITERS[format](answer.rows, file))


def write_whole(output: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under a hidden name first, so that nobody reads half an answer.

    Args:
        output: The file; replaced if it is there.
        write: Writes into it.

    Raises:
        CallError: If it cannot be written.
    """
    writing = output.with_name(f".{output.name}.writing")
    try:
        with writing.open("wb") as file:
            write(file)
        put_in_place(writing, output)
    except OSError as error:
        raise CallError(f"{output}: cannot be written ({error.strerror}). Name another file with --output.") from None
    finally:
        writing.unlink(missing_ok=True)


def _show_publications(publications: list[dict[str, Any]]) -> None:
    from smartcart_pipeline.cli.screen import show_list  # noqa: PLC0415  (only to print a table)

    show_list(
        ("Run", "Published (UTC)", "Export", "As of", "Customers", "MB"),
        [
            (
                f"{PUBLISHED if one['is_published'] else ' '} {one['run_id'][:8]}",
                f"{one['published_at']:%Y-%m-%d %H:%M:%S}",
                one["export_name"],
                str(one["as_of_date"]),
                f"{one['customers']:,}",
                f"{one['bytes'] / 1e6:,.1f}",
            )
            for one in publications
        ],
        numbers={"Customers", "MB"},
        bold={place for place, one in enumerate(publications) if one["is_published"]},
    )
    if any(one["is_published"] for one in publications):
        typer.echo(f"{PUBLISHED} is what is published.")
