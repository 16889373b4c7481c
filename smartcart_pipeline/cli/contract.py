"""Commands about contracts: whether one can be gone by, and what it says of each column."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smartcart_pipeline.cli.options import HomeOption
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.errors import CallError

if TYPE_CHECKING:
    from rich.table import Table

    from smartcart_pipeline.declaration.contract import Contract, DeliveredColumn

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
# Lines of text are read no faster for being longer, and a table of less room is one of torn words.
WIDEST, NARROWEST = 120, 70
# What a column is called has a third of the room, if need be: a torn name cannot be copied.
SHARE_OF_NAMES = 3
COMMAS_FROM = 10_000

contract = typer.Typer(
    help="Contracts, what each column of an export must be: check one, or look at it.", no_args_is_help=True
)


@contract.command()
def check(
    file: Annotated[Path, typer.Argument(help="The contract, by the Open Data Contract Standard.")],
    as_json: JsonOption = False,
) -> None:
    """Say all that is wrong with a contract, each fault with its place."""
    from smartcart_pipeline.declaration.files import DeclarationError  # noqa: PLC0415  (imports pydantic)
    from smartcart_pipeline.declaration.reading_contract import read_contract  # noqa: PLC0415

    _require(file)
    found = None
    faults: tuple[str, ...] = ()
    try:
        found = read_contract(file)
    except DeclarationError as error:
        # A file that is no YAML at all has no places.
        faults = error.faults or (str(error).removeprefix(f"{file}: "),)
    if as_json:
        columns = len(found.delivered) if found else None
        typer.echo(json.dumps({"file": str(file), "columns": columns, "faults": faults}))
    elif found:
        key = f"key {found.key.header}" if found.key_name else "no key, so that rows are numbered"
        typer.echo(f"{file}: {len(found.delivered)} columns, {key}: nothing is wrong")
    for fault in () if as_json else faults:
        typer.echo(f"{file}: {fault}", err=True)
    if faults:
        raise typer.Exit(2)


@contract.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="The contract. Default: the one that the home goes by.")] = None,
    home: HomeOption = Path("data"),
    as_json: JsonOption = False,
) -> None:
    """Show a contract: of each column its header, name, type, values, and what it is for."""
    from smartcart_pipeline.declaration.declaration import CONTRACT_FILE, SHIPPED  # noqa: PLC0415  (imports pydantic)
    from smartcart_pipeline.declaration.reading_contract import read_contract  # noqa: PLC0415

    if file is None:
        own = home.resolve() / CONTRACT_FILE
        file = own if own.is_file() else SHIPPED / CONTRACT_FILE
    _require(file)
    found = read_contract(file)
    if as_json:
        columns = [_plain(column) for column in found.delivered]
        typer.echo(
            json.dumps({"name": found.name, "file": str(file), "columns": columns}, indent=2, ensure_ascii=False)
        )
    else:
        _show(found, file)


def _require(file: Path) -> None:
    if not file.is_file():
        raise CallError(f"{file}: no such file. Name a contract.")


def _plain(column: "DeliveredColumn") -> dict[str, object]:
    return {
        "header": column.header,
        "synonyms": list(column.synonyms),
        "name": column.name,
        "type": column.type,
        "is_key": column.name == KEY,
        "is_required": not column.nullable,
        "is_unique": column.unique,
        "is_rounded": column.is_rounded,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "shortest": column.shortest,
        "longest": column.longest,
        "values": list(column.categories),
        "classification": column.classification or None,
        "description": column.description,
    }


def _show(found: "Contract", file: Path) -> None:
    from rich.console import Console  # noqa: PLC0415  (only to print a table)
    from rich.markup import escape  # noqa: PLC0415
    from rich.padding import Padding  # noqa: PLC0415

    from smartcart_pipeline.cli.screen import visible  # noqa: PLC0415

    console = Console(highlight=False)
    head = escape(visible(f"{found.name}: {len(found.delivered)} columns, {file}"))
    console.print(head, style="italic", soft_wrap=True)
    rows = [
        tuple(escape(visible(cell)) for cell in (_called(column), _kind(column), _values(column), column.description))
        for column in found.delivered
    ]
    if console.width < NARROWEST:
        for called, kind, values, description in rows:
            header, *others = called.split("\n")
            told = (", ".join(others), kind.replace("\n", ", "), values, description)
            console.print(f"[bold]{header}[/]")
            console.print(Padding("\n".join(line for line in told if line), (0, 0, 0, 2)))
    else:
        console.print(_table(rows, min(console.width - 1, WIDEST)))


def _table(rows: Sequence[tuple[str, ...]], width: int) -> "Table":
    from rich.cells import cell_len  # noqa: PLC0415  (only to print a table)
    from rich.table import Table  # noqa: PLC0415

    longest = max(cell_len(line) for row in rows for line in row[0].split("\n"))
    table = Table(width=width, show_lines=True)
    table.add_column("Column", width=min(longest, width // SHARE_OF_NAMES), overflow="fold")
    table.add_column("Type", no_wrap=True, min_width=len("required"))
    for name, share in (("Values", 5), ("What it is for", 7)):
        table.add_column(name, ratio=share, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _called(column: "DeliveredColumn") -> str:
    """Its header, its name in tables where that is another, and its synonyms."""
    lines = [column.header, *([column.name] if column.name != column.header else [])]
    return "\n".join([*lines, *(f"or {synonym}" for synonym in column.synonyms)])


def _kind(column: "DeliveredColumn") -> str:
    return f"{column.type}\n{'optional' if column.nullable else 'required'}"


def _values(column: "DeliveredColumn") -> str:
    """What its values may be, in words."""
    said = ["key" if column.name == KEY else "no two the same" if column.unique else ""]
    said += [_range(column.minimum, column.maximum), _range(column.shortest, column.longest, " characters")]
    said += ["rounded" if column.is_rounded else "", ", ".join(column.categories)]
    return "; ".join(part for part in said if part)


def _range(least: float | None, most: float | None, unit: str = "") -> str:
    if least is not None and most is not None:
        return f"{_number(least)} to {_number(most)}{unit}"
    if least is not None:
        return f"{_number(least)}{unit} or more"
    return "" if most is None else f"{_number(most)}{unit} or {'fewer' if unit else 'less'}"


def _number(value: float) -> str:
    # A comma within a year would look strange.
    return f"{value:.15g}" if abs(value) < COMMAS_FROM else f"{value:,.15g}"
