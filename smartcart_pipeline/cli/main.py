"""The `smartcart` command: runs the nightly job by hand, makes sample exports, and opens the UI.

Exit codes: 0 done; 2 the input, the call or the home is at fault; 1 anything else. Nothing heavy is imported before a
command needs it, so that help and mistakes answer at once.
"""

import gc
import json
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from smartcart_pipeline.cli.audience import audience
from smartcart_pipeline.cli.contract import contract
from smartcart_pipeline.cli.init import init
from smartcart_pipeline.cli.model import model
from smartcart_pipeline.cli.notify import notify
from smartcart_pipeline.cli.options import HomeOption
from smartcart_pipeline.cli.outcomes import outcomes
from smartcart_pipeline.cli.simulate import simulate
from smartcart_pipeline.cli.warehouse import sql, warehouse
from smartcart_pipeline.declaration.errors import CallError, FaultError, HomeError
from smartcart_pipeline.declaration.recipe import MOST_SEGMENTS
from smartcart_pipeline.engines import apart
from smartcart_pipeline.storage.access import keep_to_owner
from smartcart_pipeline.storage.home import Home

app = typer.Typer(
    help="Turn a customer export into segments a marketing team can act on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415  (only here)

        typer.echo(f"smartcart {version('smartcart-pipeline')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    input: Annotated[  # noqa: A002  (the name of the option)
        str | None,
        typer.Option(help="The customer export. Default: the newest in HOME/incoming, else the sample in HOME."),
    ] = None,
    home: HomeOption = Path("data"),
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Day that everything is counted to: a date, YYYY-MM-DD, or newest (join date), "
            "delivered (the day of the file), or a pattern of the file's name such as customers-%Y%m%d.csv. "
            "Default: what the recipe says."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="What is made of the export: a file, or behavioural, balanced or reference, which come with "
            "the pipeline. Default: the home's own recipe.yaml, else behavioural."
        ),
    ] = None,
    segments: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=MOST_SEGMENTS,
            help="How many segments there shall be. Default: what the recipe says, else what the data say.",
        ),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="What the run computes with: duckdb (default), or spark.")] = None,
    master: Annotated[
        str | None,
        typer.Option(help="URL of Spark's master, with --engine spark. Default: SMARTCART_SPARK_MASTER, or local[*]."),
    ] = None,
    wait: Annotated[
        int | None, typer.Option(min=0, help="Seconds to wait for another run to end, at most. Default: 3600.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Segment an export: the very job that runs every night."""
    # A run makes many objects that live as long as it does; looking through them again and again only costs time.
    gc.disable()
    # Before all else, which takes as long as what it imports.
    apart.begin()
    from smartcart_pipeline.orchestration.night import run_job  # noqa: PLC0415  (imports Dagster)

    place = Home(home.resolve())
    settings = {"input": input, "as_of": as_of, "recipe": recipe, "segments": segments, "wait_seconds": wait}
    outcome = run_job(place, settings, quiet=as_json, engine=_engine_config(engine, master))
    if as_json:
        typer.echo(json.dumps(outcome, indent=2))
    else:
        _show(outcome)


@app.command()
def report(
    home: HomeOption = Path("data"),
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Make the report of the published warehouse anew, and open it."""
    from smartcart_pipeline.engines.duckdb import DuckDBEngine  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.report.reading import read_findings  # noqa: PLC0415
    from smartcart_pipeline.report.rendering import write_report  # noqa: PLC0415
    from smartcart_pipeline.storage.damage import naming_damage  # noqa: PLC0415
    from smartcart_pipeline.storage.publications import readable  # noqa: PLC0415

    place = Home(home.resolve())
    with naming_damage(place):
        findings = read_findings(DuckDBEngine(), readable(place))
    try:
        write_report(findings, place.report)
    except OSError as error:
        raise HomeError(
            f"{place.report}: cannot be written ({error.strerror}). Make the home writable, and free some room."
        ) from None
    typer.echo(place.report)
    if open_it and not _open_browser(place.report.as_uri()):
        typer.echo(f"No browser can be opened from here. Its address is {place.report.as_uri()}", err=True)


app.command()(sql)


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="The customers: any file that could be an export.")],
    home: HomeOption = Path("data"),
    output: Annotated[str, typer.Option(help="File to write, .csv, .json or .parquet; - for standard output.")] = "-",
    format: Annotated[  # noqa: A002  (the name of the option)
        str | None, typer.Option(help="csv, json or parquet, whatever the output is called.")
    ] = None,
    as_of_run: Annotated[
        str | None, typer.Option(help="Score by the model that this run published: its id, or the first digits of it.")
    ] = None,
) -> None:
    """Put new customers into the segments of the published model; nothing in the home changes."""
    from smartcart_pipeline.cli.scoring import score_file  # noqa: PLC0415  (imports DuckDB and numpy)
    from smartcart_pipeline.storage.publications import find_publication  # noqa: PLC0415

    scores = score_file(find_publication(Home(home.resolve()), as_of_run), file, output, format)
    rejected = sum(scores.rejected.values())
    typer.echo(f"{scores.customers:,} customers scored by model {scores.model_version}", err=True)
    for note in scores.notes:
        typer.echo(f"Note: {note}", err=True)
    if rejected:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in scores.rejected.items())
        where = f" All of them: {scores.rejected_path}" if scores.rejected_path else ""
        typer.echo(f"{rejected:,} rows rejected: {reasons}. {scores.causes}{where}", err=True)


@app.command()
def dev(
    home: HomeOption = Path("data"),
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port on 127.0.0.1.")] = 3000,
) -> None:
    """Open the Dagster UI, with the nightly schedule and the sensor for new exports."""
    # A script starts what it leaves in the background with SIGINT ignored: this one is to end when told to.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from smartcart_pipeline.cli.dev import serve  # noqa: PLC0415  (imports Dagster)

    serve(Home(home.resolve()), port, lambda message: typer.echo(message, err=True))


@app.command()
def generate(
    customers: Annotated[int, typer.Option(min=1, help="How many customers.")],
    output: Annotated[Path, typer.Option(help="File to write: .csv, or .parquet.", dir_okay=False)],
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes other customers.")] = 1,
) -> None:
    """Make an export of invented customers, as large as you like."""
    from smartcart_pipeline.smartcart.sample import write_sample  # noqa: PLC0415  (imports numpy and pyarrow)

    try:
        write_sample(output, customers, seed)
    except ValueError as error:
        raise CallError(f"{error}.") from None
    except OSError as error:
        raise CallError(
            f"{output}: cannot be written ({error.strerror}). Name a file in a folder that is there, with --output."
        ) from None
    typer.echo(f"{customers:,} customers written to {output}")


app.command()(simulate)
app.command()(init)


@app.command()
def setup(home: HomeOption = Path("data")) -> None:
    """Make the home ready, so that the first run starts at once."""
    from smartcart_pipeline.orchestration.night import prepare_home  # noqa: PLC0415  (imports Dagster)
    from smartcart_pipeline.storage.damage import require_records  # noqa: PLC0415

    place = Home(home.resolve())
    prepare_home(place)
    require_records(place)


app.add_typer(warehouse, name="warehouse")
app.add_typer(model, name="model")
app.add_typer(audience, name="audience")
app.command()(outcomes)
app.add_typer(contract, name="contract")
app.add_typer(notify, name="notify")


def _open_browser(address: str) -> bool:
    """Whether a browser was told to open an address; on a machine without a display none is."""
    import webbrowser  # noqa: PLC0415  (only here)

    displays = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    shown = sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in displays)
    return shown and webbrowser.open(address)


def _engine_config(engine: str | None, master: str | None) -> dict[str, Any] | None:
    if engine is None:
        return None
    if engine not in ("duckdb", "spark"):
        raise CallError(f"--engine {engine!r} is not known. Choose duckdb or spark.")
    if engine == "spark" and find_spec("pyspark") is None:
        raise CallError("--engine spark needs Spark: pip install 'smartcart-pipeline[spark]'.")
    return {"spark": ({"master": master} if master else {}) if engine == "spark" else None}


def _decimals(means: list[float]) -> int:
    """How many decimals tell some means apart."""
    most = max(map(abs, means))
    return 0 if most >= 100 else 1 if most >= 10 else 2


def _show(outcome: dict[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415  (only to print a table)
    from rich.markup import escape  # noqa: PLC0415

    from smartcart_pipeline.cli.screen import show_list  # noqa: PLC0415

    console = Console(highlight=False)
    console.print(f"{outcome['customers']:,} customers in {len(outcome['segments'])} segments", style="italic")
    figures = ("Customers", "Share", *outcome["figures"].values())
    decimals = {name: _decimals([row[name] for row in outcome["segments"]]) for name in outcome["figures"]}
    show_list(
        ("Segment", "Persona", *figures),
        [
            (
                row["segment_id"],
                row["persona"],
                f"{row['customers']:,}",
                f"{row['share']:.1%}",
                *(f"{row[name]:,.{decimals[name]}f}" for name in outcome["figures"]),
            )
            for row in outcome["segments"]
        ],
        numbers=figures,
    )
    for note in outcome["warnings"]:
        console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
    for name, path in outcome["paths"].items():
        console.print(f"{name.capitalize():<10} {escape(path)}", soft_wrap=True)


def main() -> None:
    """Run the command; what the input, the call or the home is to blame for ends with a message and exit code 2."""
    keep_to_owner()
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except PermissionError as error:
        told = f"{error.filename}: not allowed. A home is its owner's, and theirs whom its settings let in."
        typer.echo(f"smartcart: {told}", err=True)
        code = 2
    except (FaultError, RuntimeError) as error:
        typer.echo(f"smartcart: {error}", err=True)
        code = 2 if isinstance(error, FaultError) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is on disk: taking a few hundred thousand objects apart first would make people wait a second more.
    os._exit(code)


if __name__ == "__main__":
    main()
