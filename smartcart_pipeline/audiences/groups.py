"""Groups: who of an audience is addressed, and who is held out so that the others can be compared with them.

A customer's group follows from a hash of the audience's name and the customer's id, so it is the same for ever: over
nights and refits, on every machine, in a home that was restored from nothing but its files.
"""

import hashlib

from smartcart_pipeline.engines.sql import literal

BUCKETS = 10_000
TREATED, HELD_OUT, CONTROL = "treated", "held_out", "control"
# In the order of their numbers, as `choosing` keeps them.
GROUPS = (TREATED, HELD_OUT, CONTROL)
# What the control group of all audiences is drawn by, instead of an audience's name; no audience can be called so.
EVERY = "*"


def bucket_of(salt: str, name: str, customer: object) -> int:
    """The bucket of a customer.

    Args:
        salt: Another one gives other buckets.
        name: The audience, or `EVERY`.
        customer: The customer's id.

    Returns:
        From 0 to `BUCKETS` - 1, each for as many customers.
    """
    return int(hashlib.md5(f"{salt}|{name}|{customer}".encode()).hexdigest()[:8], 16) % BUCKETS  # noqa: S324


def bucket(salt: str, name: str, customer: str) -> str:
    """The same, as an expression of DuckDB.

    Args:
        salt: Another one gives other buckets.
        name: The audience, or `EVERY`.
        customer: An expression for the customer's id.

    Returns:
        An expression (UBIGINT).
    """
    digest = f"substr(md5({literal(f'{salt}|{name}|')} || CAST({customer} AS VARCHAR)), 1, 8)"
    return f"(CAST('0x' || {digest} AS UBIGINT) % {BUCKETS})"


def group(salt: str, name: str, customer: str, holdout: float, control: float) -> str:
    """Which group a customer of an audience is in.

    Args:
        salt: As for `bucket`.
        name: The audience.
        customer: An expression for the customer's id.
        holdout: The share of the audience that is held out.
        control: The share of all customers whom nobody addresses.

    Returns:
        An expression (UTINYINT): the number of the group in `GROUPS`.
    """
    cases = [
        f"WHEN {bucket(salt, drawn_by, customer)} < {round(share * BUCKETS)} THEN {GROUPS.index(into)}"
        for drawn_by, share, into in ((EVERY, control, CONTROL), (name, holdout, HELD_OUT))
        if share
    ]
    treated = GROUPS.index(TREATED)
    return f"CAST({' '.join(['CASE', *cases, f'ELSE {treated} END']) if cases else treated} AS UTINYINT)"
