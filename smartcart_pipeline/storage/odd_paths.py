"""Any legal path can be a home, although libraries take some letters for more than letters.

Dagster looks for its settings by a pattern (`*`, `?`, `[`) and writes the path of a SQLite file into a URL as it stands
(`?`, `%41`, `#`); DuckDB takes what follows a `?` for options and puts the log of a database elsewhere.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smartcart_pipeline.declaration.errors import HomeError

# Nobody takes these for anything but letters.
PLAIN = re.compile(r"[\w/ .,+=~@:-]*")
# SQLite opens no file of a longer path, and the longest name below a home takes this much.
LONGEST_PATH, BELOW_HOME = 512, 80
DESCRIPTORS = Path("/proc/self/fd")

_opened: dict[Path, int] = {}


def require_path(root: Path) -> None:
    """Refuse a folder that a home cannot be in.

    Args:
        root: The folder.

    Raises:
        HomeError: If its path is too long, or holds what no library takes.
    """
    try:
        length = len(str(root).encode())
    except UnicodeEncodeError:
        raise HomeError(f"{str(root)!r}: the path is not UTF-8. Name another home with --home.") from None
    if length > LONGEST_PATH - BELOW_HOME:
        raise HomeError(
            f"{root}: the path takes {length} bytes, and SQLite opens no file of a much longer one. "
            f"Name a home whose path takes at most {LONGEST_PATH - BELOW_HOME}, with --home."
        )
    if "\\" in str(root):
        raise HomeError(f"{root}: DuckDB takes a backslash for a slash. Name another home with --home.")
    if not PLAIN.fullmatch(str(root)) and not DESCRIPTORS.is_dir():
        raise HomeError(
            f"{root}: Dagster takes letters of this path for a pattern or an address, and this system has no other "
            "name for it. Name a home of letters, digits and spaces with --home."
        )


def plain_name(folder: Path) -> str:
    """A name of a folder that Dagster takes as it stands.

    Args:
        folder: A folder that is there.

    Returns:
        Its path; where that holds letters that mean something to a library, the name of an open descriptor of it, good
        for this process, what it turns into, and its children as long as it lives.
    """
    if PLAIN.fullmatch(str(folder)):
        return str(folder)
    known = _opened.get(folder)
    if known is None or not os.path.samestat(os.fstat(known), folder.stat()):
        known = _opened[folder] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.set_inheritable(known, True)
    return f"/proc/{os.getpid()}/fd/{known}"


@contextmanager
def building_place(path: Path) -> Iterator[Path]:
    """Where DuckDB can build a database.

    Args:
        path: Where it shall lie.

    Yields:
        That path; else one of a temporary folder, from which the finished file is brought there.
    """
    if "?" not in str(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="smartcart-") as folder:
        place = Path(folder) / path.name
        yield place
        shutil.copyfile(place, path)
