"""Progress of a run as a Dagster logger: what the command line shows while it works."""

import logging
from collections.abc import Callable

import dagster as dg

CHANNEL = "smartcart.progress"


def _channel(context: dg.InitLoggerContext) -> logging.Logger:  # noqa: ARG001
    channel = logging.getLogger(CHANNEL)
    channel.setLevel(logging.DEBUG)
    channel.propagate = False
    if not channel.handlers:
        # Without any handler, Python would print a failure's traceback where nobody watches.
        channel.addHandler(logging.NullHandler())
    return channel


progress = dg.LoggerDefinition(_channel, description="Hands a run's events to whoever watches it in this process.")


class Watcher(logging.Handler):
    """Calls back for every Dagster event of a run."""

    def __init__(self, notice: Callable[[dg.DagsterEvent], None]) -> None:
        """Call `notice` with each event."""
        super().__init__()
        self.notice = notice

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the event of a record on, if it has one."""
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is not None:
            self.notice(event)
