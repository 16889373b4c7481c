"""Commands about the segment models: which were made, which is in force and why, and asking for another one."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from smartcart_pipeline.cli.options import HomeOption
from smartcart_pipeline.storage.home import Home

ReasonOption = Annotated[str, typer.Option(help="Why: it is kept with the decision.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

model = typer.Typer(
    help="The segment models: list them, look at one, or put another one in force.", no_args_is_help=True
)


@model.command(name="list")
def list_models(home: HomeOption = Path("data"), as_json: JsonOption = False) -> None:
    """Show the models that nights have made, the newest first, and which was in force when."""
    from smartcart_pipeline.storage.models import describe_models, read_record  # noqa: PLC0415  (imports numpy)

    place = Home(home.resolve())
    record = read_record(place)
    models = describe_models(record)
    if as_json:
        typer.echo(json.dumps(models, indent=2, default=str))
    elif models:
        _show_models(models)
        if record.request:
            typer.echo(f"Asked for: {record.request.version}, by the next run. Reason: {record.request.reason}")
    else:
        typer.echo(f"No model has been made in {place.root} yet: smartcart run.")


@model.command()
def show(
    version: Annotated[str | None, typer.Argument(help="Which. Default: the one in force.")] = None,
    home: HomeOption = Path("data"),
    as_json: JsonOption = False,
) -> None:
    """Show a model: how it came to be, and its segments."""
    from smartcart_pipeline.declaration.errors import CallError  # noqa: PLC0415
    from smartcart_pipeline.storage.models import champion_document, describe_models, read_record, read_version  # noqa: PLC0415  (imports numpy)
    from smartcart_pipeline.storage.publications import read_personas  # noqa: PLC0415

    place = Home(home.resolve())
    record = read_record(place)
    if version is None and record.last is None:
        raise CallError(f"No model has been made in {place.root} yet: smartcart run, or name a home with --home.")
    champion = read_version(place, record, version or (record.last.version if record.last else ""))
    personas = read_personas(place, champion.version)
    if as_json:
        typer.echo(json.dumps(champion_document(champion) | {"personas": personas}, indent=2))
        return
    [described] = [row for row in describe_models(record) if row["version"] == champion.version]
    _show_model(champion, described, personas)


@model.command()
def promote(
    version: Annotated[str, typer.Argument(help="Which model.")], reason: ReasonOption, home: HomeOption = Path("data")
) -> None:
    """Put a model in force, with the next run: its segments are matched with tonight's by their customers."""
    _ask(home, version, reason)


@model.command()
def rollback(reason: ReasonOption, home: HomeOption = Path("data")) -> None:
    """Put the model in force again, with the next run, that was in force before this one."""
    _ask(home, None, reason)


@model.command()
def replay(home: HomeOption = Path("data")) -> None:
    """Build the history tables again from what each night published, and compare them with those that are kept."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    from smartcart_pipeline.engines.duckdb import DuckDBEngine  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.orchestration.replay import replay_history  # noqa: PLC0415  (imports Dagster)
    from smartcart_pipeline.orchestration.settings import Settings, read_home  # noqa: PLC0415

    place = Home(home.resolve())
    band = Settings(**read_home(place)["settings"]).band
    with TemporaryDirectory(prefix="smartcart-replay-") as folder:
        found = replay_history(place, Path(folder), DuckDBEngine(), band)
    if found.other:
        paths = ", ".join(map(str, found.other))
        raise RuntimeError(f"{paths}: the history is another than {found.nights} nights played again give.")
    told = ", ".join(f"{number} of {name}" for name, number in found.compared.items())
    typer.echo(f"{found.nights} nights played again give what the lake holds: {told}.")


def _ask(home: Path, version: str | None, reason: str) -> None:
    from smartcart_pipeline.declaration.declaration import read_declaration  # noqa: PLC0415  (imports pydantic)
    from smartcart_pipeline.orchestration.settings import read_home  # noqa: PLC0415  (imports Dagster)
    from smartcart_pipeline.storage.models import ask_for  # noqa: PLC0415  (imports numpy)

    place = Home(home.resolve())
    declaration = read_declaration(place.root, read_home(place)["settings"].get("recipe"))
    asked = ask_for(place, version, reason, declaration.recipe)
    typer.echo(f"The next run puts {asked} in force, and publishes it. Until then nothing changes.")


def _show_models(models: list[dict[str, Any]]) -> None:
    from smartcart_pipeline.cli.screen import show_list  # noqa: PLC0415  (only to print a table)

    show_list(
        ("Model", "Made for", "In force", "Nights", "Why"),
        [
            (
                row["version"],
                str(row["made_for"]),
                _in_force(row),
                f"{row['nights']:,}" if row["nights"] else "",
                row["verdict"],
            )
            for row in models
        ],
        numbers={"Nights"},
        bold={place for place, row in enumerate(models) if row["is_in_force"]},
    )


def _in_force(row: dict[str, Any]) -> str:
    if row["is_in_force"]:
        return f"since {row['since']}"
    return f"{row['since']} to {row['until']}" if row["since"] else ""


def _show_model(champion: Any, described: dict[str, Any], personas: dict[str, str] | None) -> None:
    from rich.console import Console  # noqa: PLC0415  (only to print a table)
    from rich.markup import escape  # noqa: PLC0415

    from smartcart_pipeline.cli.screen import show_list  # noqa: PLC0415

    console = Console(highlight=False)
    known = champion.model
    console.print(f"[bold]{champion.version}[/] of {described['made_for']}, {escape(champion.origin)}", soft_wrap=True)
    console.print(escape(described["verdict"]), soft_wrap=True)
    axes = ("Component 1", "Component 2", "Component 3")
    show_list(
        ("Segment", *(["Persona"] if personas else []), *axes),
        [
            (segment, *([personas.get(segment, "")] if personas else []), *(f"{value:,.2f}" for value in centre))
            for segment, centre in zip(known.segment_ids, known.centroids.tolist(), strict=True)
        ],
        numbers=axes,
    )
    if not personas:
        never = "it was never in force" if described["since"] is None else "no publication of it is kept any more"
        console.print(f"Personas   none: {never}", soft_wrap=True)
    console.print(f"Features   {len(known.features.names)}, recipe {known.features.name}")
    console.print(f"Customers  {champion.reference.customers:,} sampled, for drift")
    console.print(f"Far        beyond {champion.far:,.2f} of every centroid")
