"""What was delivered to a home: the folder `incoming`, and which of its files is the next."""

import stat
from pathlib import Path

from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.storage.home import Home

SAMPLE = "smartcart_customers.csv"
KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart")


def find_export(home: Home, named: str | None = None) -> Path:
    """The export to segment.

    Args:
        home: Where to look.
        named: A path that was asked for.

    Returns:
        That path; else the newest file of `<home>/incoming`; else the sample in the home.

    Raises:
        CallError: If there is none, or what was asked for lies in `<home>/incoming` and is no file.
    """
    if named:
        path = Path(named)
        # A file that the sensor saw may have been replaced by a link since.
        kind = kind_of(path) if path.parent == home.incoming else None
        if kind:
            raise CallError(f"{path}: is {kind}, no file, and is left alone. Put the export itself there.")
        return path
    arrived = sorted(arrivals(home), key=lambda path: (path.stat().st_mtime_ns, path.name))
    for path in [*reversed(arrived), home.root / SAMPLE]:
        if path.is_file():
            return path
    told = " ".join(["", *tell_left_alone(home)])
    raise CallError(f"There is no export: put one into {home.incoming}, or name one with --input.{told}")


def arrivals(home: Home) -> list[Path]:
    """Exports dropped into `<home>/incoming`.

    Args:
        home: Where to look.

    Returns:
        The files, as `dropped_files`.
    """
    return dropped_files(home.incoming)


def dropped_files(folder: Path) -> list[Path]:
    """Files dropped into a folder; hidden ones and those that say they are unfinished do not count.

    Nor does what is no file: whoever may drop something there could have the pipeline read what only it may read, by a
    link, or wait for ever, by a pipe.

    Args:
        folder: Where to look; it need not be there.

    Returns:
        The files, by name.
    """
    return [path for path in _dropped(folder) if kind_of(path) is None]


def tell_left_alone(home: Home) -> list[str]:
    """What lies in `<home>/incoming`, is no file and is therefore never opened.

    Args:
        home: Where to look.

    Returns:
        A sentence on each, by name.
    """
    ours = (home.refused, home.incoming_outcomes)
    kinds = {path.name: kind_of(path) for path in _dropped(home.incoming) if path not in ours}
    return [f"{name} is {kind}, no file, and is left alone." for name, kind in kinds.items() if kind]


def kind_of(path: Path) -> str | None:
    """What a path is, if it is no file; a link is one whatever it leads to.

    Args:
        path: The path.

    Returns:
        For example `a symbolic link`; None of a file, and where nothing is.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    return None if stat.S_ISREG(mode) else KINDS.get(stat.S_IFMT(mode), "something unknown")


def _dropped(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and path.suffix.lower() not in UNFINISHED
    )
