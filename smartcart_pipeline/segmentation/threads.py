"""One thread for what a library fits: sums are made in one order, so the bits do not depend on the machine's cores."""

import io
import warnings
from contextlib import redirect_stderr
from functools import cache
from typing import Any


def alone() -> Any:
    """Keep what is computed from here on to one thread.

    Returns:
        A context manager that ends it.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  (slow to import)

    _count_cores()
    return threadpool_limits(limits=1)


@cache
def _count_cores() -> None:
    """Let joblib count the cores before scikit-learn has it do so: it warns of them once, with a traceback.

    That nobody can count them (a container without /sys, say) is nothing to warn of where one thread is used.
    """
    from joblib import cpu_count  # noqa: PLC0415  (slow to import)

    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.filterwarnings("ignore", message="Could not find the number of physical cores")
        cpu_count(only_physical_cores=True)
