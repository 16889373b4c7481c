"""The settings of a home: what a company sets once, for the runs of the night, of the UI and of the command alike.

`<home>/settings.yaml` has three sections, all optional: `settings` (fields of `Settings`), `engine` (the engine's own
configuration, as in Dagster's launchpad) and `notify` (who is told of what); `storage` says where Dagster keeps its
records. What a run is given directly goes before what stands here. Addresses may hold secrets: what is wrong with the
file is told without them.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.storage.home import Home

# What concerns one run only.
OF_A_RUN = {"input"}
STORAGES = ("sqlite", "postgres")
# What earlier versions took here.
MOVED = ("max_age", "max_income")


def read_settings(home: Home, known: Mapping[str, Iterable[str]]) -> dict[str, dict[str, Any]]:
    """Read a home's settings.

    Args:
        home: The home.
        known: The names that each section may set.

    Returns:
        For each section, what is set; empty where there is no file.

    Raises:
        HomeError: If the file cannot be read, or sets what cannot be set; it says where and what to do.
    """
    found = _parse(home.settings)
    require_known(home.settings, "section", found, [*known, "storage"])
    return {section: _values(home.settings, found, section, known[section]) for section in known}


def read_section(home: Home, section: str, known: Iterable[str]) -> dict[str, Any]:
    """Read one section of a home's settings, whatever the others hold.

    Args:
        home: The home.
        section: Its name.
        known: The names that it may set.

    Returns:
        What is set; empty where there is no file, or no such section.

    Raises:
        HomeError: If the file cannot be read, or the section sets what cannot be set.
    """
    return _values(home.settings, _parse(home.settings), section, known)


def require_known(path: Path, what: str, found: Iterable[Any], known: Iterable[str]) -> None:
    """Refuse names that are not known, with the one that was probably meant.

    Args:
        path: The file they stand in.
        what: What they are names of.
        found: The names.
        known: Those that are known.

    Raises:
        HomeError: If one of them is not.
    """
    names = sorted(known)
    for name in map(str, found):
        if name in MOVED:
            raise HomeError(
                f"{path}: {name} is no {what} any more, it is a limit of the recipe: put it under clean.limits in a "
                "recipe.yaml beside this file. See docs/guides/declaration.md."
            )
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise HomeError(f"{path}: {_masked(name)} is no {what}.{meant} Known are: {', '.join(names)}.")


def _values(path: Path, found: dict[str, Any], section: str, known: Iterable[str]) -> dict[str, Any]:
    values = found.get(section, {})
    if not isinstance(values, dict):
        raise HomeError(f"{path}: the section {section} holds {_masked(repr(values))}, expected names and values.")
    require_known(path, f"setting of {section}", values, set(known) - OF_A_RUN)
    return dict(values)


def _masked(text: str) -> str:
    """A text without what follows the scheme of an address."""
    return re.sub(r"://[^\s'\"]*", "://…", text)


def read_storage(home: Home) -> str:
    """Where Dagster keeps a home's records.

    Args:
        home: The home.

    Returns:
        `sqlite`, in the home; or `postgres`.

    Raises:
        HomeError: If something else is set.
    """
    chosen = _parse(home.settings).get("storage", STORAGES[0])
    if chosen not in STORAGES:
        raise HomeError(
            f"{home.settings}: storage is {_masked(repr(chosen))}, expected {' or '.join(STORAGES)}. Correct the file."
        )
    return str(chosen)


def _parse(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415  (nobody needs it without a file)

    try:
        text = path.read_text(encoding="utf-8")
        found = yaml.safe_load(text) or {}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except yaml.MarkedYAMLError as error:
        # Its own text shows the line, in which a secret may stand.
        told = ", ".join(part for part in (error.context, error.problem) if part)
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise HomeError(f"{path}: cannot be read: {told}{where}. Correct the file.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HomeError(f"{path}: cannot be read: {' '.join(str(error).split())}. Correct the file.") from None
    if not isinstance(found, dict):
        raise HomeError(f"{path}: holds {_masked(repr(found))}, expected sections: see docs/guides/nightly.md.")
    return found
