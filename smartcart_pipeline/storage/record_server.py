"""Dagster's records on PostgreSQL, for those who have a server: its address comes from the environment only."""

import os
from importlib.util import find_spec

from smartcart_pipeline.declaration.errors import HomeError

POSTGRES_URL = "SMARTCART_POSTGRES_URL"
# How Dagster is told; it reads the address itself, so that no file holds it.
POSTGRES = {
    "custom": {
        "module": "smartcart_pipeline.storage.server_records",
        "class": "ServerStorage",
        "config": {"postgres_url": {"env": POSTGRES_URL}},
    }
}
DRIVER = "postgresql+psycopg2"
PATIENCE_SECONDS = 10


def require_server() -> None:
    """Refuse to begin where the server cannot be reached.

    Raises:
        HomeError: If the package or the address is missing, or nothing that answers is there.
    """
    if find_spec("dagster_postgres") is None:
        raise HomeError("storage: postgres needs a package: pip install 'smartcart-pipeline[postgres]'.")
    from sqlalchemy import create_engine, make_url  # noqa: PLC0415  (Dagster has imported it)
    from sqlalchemy.exc import ArgumentError, DBAPIError  # noqa: PLC0415

    told = os.environ.get(POSTGRES_URL, "")
    if not told:
        raise HomeError(f"storage: postgres needs the address of the server, and {POSTGRES_URL} is not set. {_FORM}")
    try:
        is_postgres = make_url(told).drivername in ("postgresql", "postgres", DRIVER)
    except (ArgumentError, ValueError):
        is_postgres = False
    if not is_postgres:
        raise HomeError(f"{POSTGRES_URL} holds no address of PostgreSQL. {_FORM}")
    try:
        engine = create_engine(name_driver(told), connect_args={"connect_timeout": PATIENCE_SECONDS})
        engine.connect().close()
        engine.dispose()
    except (DBAPIError, ImportError, ArgumentError) as error:
        raise HomeError(
            f"The PostgreSQL that {POSTGRES_URL} names cannot be used: {tell_server(error)}. "
            "Start it, or correct the address."
        ) from None


def name_driver(address: str) -> str:
    """An address with the driver that Dagster comes with, if it names none.

    Args:
        address: As people write it.

    Returns:
        As SQLAlchemy takes it.
    """
    from sqlalchemy import make_url  # noqa: PLC0415

    parsed = make_url(address)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername=DRIVER)
    return parsed.render_as_string(hide_password=False)


def tell_server(error: BaseException) -> str:
    """What a server, or the way to it, is said to lack, in one line without a password.

    Args:
        error: What was raised.

    Returns:
        The text.
    """
    from sqlalchemy import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    text = " ".join(str(getattr(error, "orig", None) or error).split()).rstrip(".")
    try:
        password = make_url(os.environ.get(POSTGRES_URL, "")).password
    except (ArgumentError, ValueError):
        password = None
    return text.replace(str(password), "***") if password else text


_FORM = "Write it as postgresql://user:password@host:5432/database; the database is this home's own."
