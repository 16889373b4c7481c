"""Faults that are not the pipeline's: told in words, without a retry or a traceback, and whose they are."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import duckdb

from smartcart_pipeline.declaration.errors import FaultError, HomeError
from smartcart_pipeline.engines.sql import unquoted

# Whose fault a failure is, in the metadata of its event: the export's, the call's or the home's (`FaultError.whose`).
AT_FAULT = "at_fault"
# What a disk says that is full, or may not be written to.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


def has_stopped(check: dg.AssetCheckEvaluation) -> bool:
    """Whether a check has stopped its run: it failed, and did not only warn.

    Args:
        check: What it found.

    Returns:
        Whether it did.
    """
    return bool(not check.passed and check.blocking and check.severity is dg.AssetCheckSeverity.ERROR)


@contextmanager
def naming_the_fault() -> Iterator[None]:
    """Turn a fault that is not the pipeline's into a failure with its message, without a retry or a traceback."""
    try:
        yield
    except FaultError as error:
        raise _failure(error) from None
    except (OSError, duckdb.Error) as error:
        told = " ".join(str(error).split())
        if any(os.strerror(number) in told for number in DISK_ERRORS):
            advice = "Make room, or give the pipeline's user the right to. What was published before is unchanged."
            raise _failure(HomeError(f"The home cannot be written ({told}). {advice}")) from None
        if isinstance(error, duckdb.Error) and not isinstance(error, duckdb.IOException):
            raise dg.Failure(f"DuckDB: {unquoted(error)}", allow_retries=False) from None
        raise


def _failure(error: FaultError) -> dg.Failure:
    return dg.Failure(str(error), metadata={AT_FAULT: error.whose}, allow_retries=False)
