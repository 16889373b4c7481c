"""The command that plays simulated nights and says how steady the segments are, beside two simpler ways."""

import json
import os
from typing import Annotated, Any

import typer

POLICIES = {
    "identity": "This pipeline",
    "matching": "Refit, clusters matched",
    "refit": "Plain refit",
}
TITLES = {
    "unchanged": "Nobody changes",
    "gradual": "Some customers change their lives",
    "sudden": "A new kind of customer arrives on one night",
}


def simulate(
    nights: Annotated[int, typer.Option(min=2, help="How many nights.")] = 90,
    customers: Annotated[int, typer.Option(min=500, help="Customers on the first night.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed plays other nights.")] = 1,
    campaigns: Annotated[
        int, typer.Option(min=0, help="Play so many campaigns instead of nights, with and without an effect.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Play nights, or campaigns, in which the truth is known: how steady segments are, and which verdicts are wrong."""
    if campaigns:
        _play_campaigns(customers, campaigns, seed, as_json)
        return
    results = play(nights, customers, seed)
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    else:
        _show(results, nights, customers)


def play(nights: int, customers: int, seed: int) -> list[dict[str, Any]]:
    """Play all worlds, side by side.

    Args:
        nights: How many.
        customers: On the first night.
        seed: Of everything.

    Returns:
        One row a world and policy.
    """
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415  (not needed for help)
    from functools import partial  # noqa: PLC0415
    from multiprocessing import get_context  # noqa: PLC0415

    from smartcart_pipeline.smartcart.simulation import WORLDS, summarise_world  # noqa: PLC0415  (imports pandas and sklearn)

    with ProcessPoolExecutor(len(WORLDS), mp_context=get_context("spawn"), initializer=_end_with_parent) as pool:
        played = pool.map(partial(summarise_world, customers=customers, nights=nights, seed=seed), WORLDS)
        return [row for rows in played for row in rows]


def _play_campaigns(customers: int, campaigns: int, seed: int, as_json: bool) -> None:
    from smartcart_pipeline.cli.screen import show_list  # noqa: PLC0415
    from smartcart_pipeline.smartcart.campaigns import NIGHTS, summarise_campaigns  # noqa: PLC0415  (imports sklearn)

    rows = summarise_campaigns(customers, campaigns, seed)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(
        f"{campaigns:,} campaigns for {customers:,} customers with and without an effect, looked at on each of "
        f"{NIGHTS} nights. Wrong: the truth was outside of the interval on some night."
    )
    shown = ("Effect", "Worth it", "Not worth it", "Too small", "Wrong", "Nights", "Brings")
    told = {"none": "None", "by_segment": "20 to 150 % more buyers"}
    show_list(
        shown,
        [
            (
                told[row["lift"]],
                *(f"{row[name]:.1%}" for name in ("worth_it", "not_worth_it", "too_small", "wrong")),
                "" if row["median_nights"] is None else f"{row['median_nights']:.0f}",
                f"{row['mean_gained']:.2f}",
            )
            for row in rows
        ],
        numbers=set(shown[1:]),
    )


def _end_with_parent() -> None:
    """End, from a thread that waits for it, when the process that began this one has: a world is played for minutes."""
    from multiprocessing import parent_process  # noqa: PLC0415
    from threading import Thread  # noqa: PLC0415

    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def _show(results: list[dict[str, Any]], nights: int, customers: int) -> None:
    from rich.console import Console  # noqa: PLC0415  (only to print tables)
    from rich.table import Table  # noqa: PLC0415

    console = Console(highlight=False)
    console.print(
        f"{nights} nights of a base that grows from {customers:,} customers. Relabelled: the share of known customers "
        "that got another segment without a cause.",
        soft_wrap=True,
    )
    for world, title in TITLES.items():
        rows = [row for row in results if row["world"] == world]
        table = Table(title=title, title_justify="left")
        table.add_column("", no_wrap=True)
        table.add_column("Relabelled\nmean night", justify="right", no_wrap=True)
        table.add_column("\nworst night", justify="right", no_wrap=True)
        if world == "gradual":
            table.add_column("Changed\nand moved", justify="right", no_wrap=True)
        if world == "sudden":
            table.add_column("Group found\nafter nights", justify="right", no_wrap=True)
        table.add_column("Causes\nright", justify="right", no_wrap=True)
        table.add_column("Models", justify="right")
        for row in rows:
            cells = [f"{row['mean_relabelled']:.2%}", f"{row['worst_relabelled']:.2%}"]
            if world == "gradual":
                cells.append(_share(row["changed_moved"]))
            if world == "sudden":
                cells.append("never" if row["nights_to_find"] is None else str(row["nights_to_find"]))
            models = str(row["promotions"] + 1) if row["policy"] == "identity" else str(nights)
            cells += [_share(row["causes_right"]), models]
            table.add_row(POLICIES[row["policy"]], *cells, style="bold" if row["policy"] == "identity" else None)
        console.print(table)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
