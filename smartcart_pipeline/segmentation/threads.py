"""One thread for what a library fits: sums are made in one order, so the bits do not depend on the machine's cores."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from contextvars import ContextVar
from functools import cache

# Whether this is within what is kept to one thread already: to look for the libraries takes longer than many a fit.
_is_alone: ContextVar[bool] = ContextVar("is_alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """Keep what is computed from here on to one thread.

    Yields:
        For what is computed.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  (slow to import)

    if _is_alone.get():
        yield
        return
    _count_cores()
    token = _is_alone.set(True)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        _is_alone.reset(token)


@cache
def _count_cores() -> None:
    """Let joblib count the cores before scikit-learn has it do so: it warns of them once, with a traceback.

    That nobody can count them (a container without /sys, say) is nothing to warn of where one thread is used.
    """
    from joblib import cpu_count  # noqa: PLC0415  (slow to import)

    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.filterwarnings("ignore", message="Could not find the number of physical cores")
        cpu_count(only_physical_cores=True)
