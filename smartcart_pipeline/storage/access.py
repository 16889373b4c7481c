"""Who may read what: a home is its owner's alone, but for what the section `access` of its settings opens to a group.

`readers` names the group that may read the published warehouse (with the files of the lake that it has views of) and
the report; `deliverers` the one that may put exports into `incoming/`.
"""

import grp
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_IMODE, S_ISLNK
from typing import Any

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.settings_file import read_section

NAMES = ("readers", "deliverers")

OWNERS_FOLDER, OWNERS_FILE, OWNERS_COPY = 0o700, 0o600, 0o400
# A folder that one may go through to a name one knows.
PASSED_THROUGH, LISTED = 0o710, 0o750
# Whoever delivers sees what lies there, and cannot take away what others have delivered.
DROPPED_INTO = 0o1770
# What lies in a home beside what a home makes.
EXPECTED = {"smartcart_customers.csv", "spark.log", "contract.yaml", "recipe.yaml"}


@dataclass(frozen=True)
class Access:
    """Whom a home is open to.

    Attributes:
        readers: Number of the group that reads; None for nobody.
        deliverers: Number of the group that delivers; None for nobody.
    """

    readers: int | None = None
    deliverers: int | None = None


def keep_to_owner() -> None:
    """Make what this process and its children write from here on their owner's alone."""
    os.umask(0o077)


def read_access(home: Home) -> Access:
    """Whom a home's settings open it to.

    Args:
        home: The home.

    Returns:
        The groups.

    Raises:
        HomeError: If the settings name a group that is not known here.
    """
    named = read_section(home, "access", NAMES)
    return Access(**{name: _number(home, name, group) for name, group in named.items()})


def settle_access(home: Home) -> None:
    """Close what lies in a home to all but its owner, also what an earlier version left open, and let in who is named.

    A folder that was there before, and holds other things too, keeps its mode; so does `incoming` where it is a link.

    Args:
        home: The home, whose folder is there.

    Raises:
        HomeError: If a group cannot be let in.
    """
    access = read_access(home)
    folders = (home.models, home.publications, home.set_aside, home.spill, home.dagster, home.outbox, home.refused)
    of_customers = (home.audiences, home.outcomes)
    for path in (*folders, *of_customers, home.settings, home.run_lock, home.root / "spark.log"):
        _set(home, path, OWNERS_FOLDER if path.is_dir() else OWNERS_FILE)
    _set(home, home.lake, OWNERS_FOLDER if access.readers is None else PASSED_THROUGH, access.readers)
    _set(home, home.incoming, OWNERS_FOLDER if access.deliverers is None else DROPPED_INTO, access.deliverers)
    _settle_root(home, {group for group in (access.readers, access.deliverers) if group is not None})
    for path in (home.warehouse, home.report):
        admit_readers(home, path)
    if access.readers is not None:
        import duckdb  # noqa: PLC0415  (slow to import)

        # What a read-write session has spoiled is put right by the next run, which lets the readers in as well.
        with suppress(duckdb.Error):
            admit_to_lake(home, home.warehouse)


def admit_readers(home: Home, path: Path) -> None:
    """Let the readers of a home read a file, before or after it gets the name they know; nobody else may.

    Args:
        home: The home.
        path: The file; nothing happens if there is none.

    Raises:
        HomeError: If the group cannot be let in.
    """
    readers = read_access(home).readers
    if path.is_file():
        for_owner = S_IMODE(path.stat().st_mode) & 0o700
        _set(home, path, for_owner if readers is None else for_owner | 0o040, readers)


def admit_to_lake(home: Home, publication: Path) -> None:
    """Let the readers of a home read the files of the lake that a publication has views of.

    Args:
        home: The home.
        publication: The publication; nothing happens if there is none.

    Raises:
        HomeError: If the group cannot be let in.
    """
    from smartcart_pipeline.storage.warehouse import files_behind_views  # noqa: PLC0415  (imports DuckDB)

    readers = read_access(home).readers
    if readers is None or not publication.is_file():
        return
    for table in files_behind_views(publication):
        if home.lake not in table.parents:
            continue
        _set(home, table.parent, PASSED_THROUGH, readers)
        for path in (*(table.iterdir() if table.is_dir() else ()), table):
            _set(home, path, LISTED if path.is_dir() else OWNERS_FILE | 0o040, readers)


def _settle_root(home: Home, groups: set[int]) -> None:
    """Close the folder itself where it holds nothing but a home: else others may need their way through it."""
    known = {getattr(home, name).name for name, value in vars(Home).items() if isinstance(value, property)}
    beside = {path.name for path in home.root.iterdir() if not path.name.startswith(".")} - known - EXPECTED
    mode = S_IMODE(home.root.stat().st_mode) if beside else OWNERS_FOLDER
    if not groups or mode & 0o001:
        _set(home, home.root, mode)
    elif len(groups) == 1:
        _set(home, home.root, mode | 0o010, *groups)
    else:  # a folder has one group; all that lies in it is closed by itself
        _set(home, home.root, mode | 0o011)


def _number(home: Home, name: str, group: Any) -> int | None:
    try:
        return None if group is None else grp.getgrnam(str(group)).gr_gid
    except KeyError:
        raise HomeError(
            f"{home.settings}: {name} is {group!r}, but this machine knows no such group. See: getent group."
        ) from None


def _set(home: Home, path: Path, mode: int, group: int | None = None) -> None:
    try:
        found = path.lstat()
        # A link leads to what somebody has made elsewhere, with a mode of their own.
        if S_ISLNK(found.st_mode) or (S_IMODE(found.st_mode) == mode and group in (None, found.st_gid)):
            return
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        # What is somebody else's stays as it is; but who is let in by name must be able to come in.
        if group is not None:
            raise HomeError(
                f"{path}: cannot be given to the group {grp.getgrgid(group).gr_name}, which {home.settings} names. "
                "Make the pipeline's user a member of it, and the owner of the home."
            ) from None
