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
    """Calls back for every Dagster event of a run, and for what its assets say meanwhile."""

    def __init__(self, notice: Callable[[dg.DagsterEvent], None], hear: Callable[[str], None]) -> None:
        """Call `notice` with each event, and `hear` with what is said."""
        super().__init__()
        self.notice = notice
        self.hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the event of a record on, or what it says."""
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is not None:
            self.notice(event)
        elif record.levelno < logging.ERROR:
            # Errors are Dagster's own words, of every step that a failure keeps from starting.
            self.hear(str(meta.get("orig_message", "")))
