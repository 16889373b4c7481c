"""Commands about who is told of the nights: try it, and tell what is new on a machine where no daemon does."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import typer

from smartcart_pipeline.cli.options import HomeOption
from smartcart_pipeline.storage.home import Home

notify = typer.Typer(help="Who is told of the nights: try it, or tell what is new.", no_args_is_help=True)


@notify.command(name="test")
def try_out(home: HomeOption = Path("data")) -> None:
    """Send a test message to everybody that the settings name, and say whom it reached."""
    from smartcart_pipeline.notifications.notices import tell_test  # noqa: PLC0415  (only here)
    from smartcart_pipeline.notifications.receivers import require_notify, send  # noqa: PLC0415

    place = Home(home.resolve())
    receivers = require_notify(place).receivers
    message = tell_test(place)
    with ThreadPoolExecutor(len(receivers)) as threads:
        reasons = list(threads.map(partial(send, message=message), receivers))
    for receiver, reason in zip(receivers, reasons, strict=True):
        typer.echo(f"{receiver.name}: {'arrived' if reason is None else f'did not arrive: {reason}'}")
    if any(reason is not None for reason in reasons):
        raise typer.Exit(1)


@notify.command()
def send(home: HomeOption = Path("data")) -> None:
    """Tell what is new, and what did not arrive before, as the sensor does: for cron, where no daemon runs."""
    from smartcart_pipeline.notifications.outbox import tell_waiting  # noqa: PLC0415
    from smartcart_pipeline.notifications.receivers import require_notify  # noqa: PLC0415
    from smartcart_pipeline.orchestration.automation import unblock  # noqa: PLC0415  (imports Dagster)
    from smartcart_pipeline.orchestration.night import open_records, prepare_home  # noqa: PLC0415
    from smartcart_pipeline.orchestration.telling import look_around  # noqa: PLC0415

    place = Home(home.resolve())
    settings = require_notify(place)
    prepare_home(place)
    with open_records(place) as instance:
        unblock(instance, place)
        waiting = look_around(instance, place, settings, partial(typer.echo, err=True), at_once=True)
    typer.echo(tell_waiting(waiting))
