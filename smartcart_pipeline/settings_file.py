"""The settings of a home: what a company sets once, for the runs of the night, of the UI and of the command alike.

`<home>/settings.yaml` has two sections, both optional: `settings` (fields of `Settings`) and `engine` (the engine's own
configuration, as in Dagster's launchpad). What a run is given directly goes before what stands here.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from smartcart_pipeline.contract import HomeError
from smartcart_pipeline.storage.home import Home

# What concerns one run only.
OF_A_RUN = {"input", "as_of"}


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
    _require_known(home.settings, "section", found, known)
    for section, values in found.items():
        if not isinstance(values, dict):
            raise HomeError(f"{home.settings}: the section {section} holds {values!r}, expected names and values.")
        _require_known(home.settings, f"setting of {section}", values, set(known[section]) - OF_A_RUN)
    return {section: dict(found.get(section, {})) for section in known}


def _parse(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415  (nobody needs it without a file)

    try:
        text = path.read_text(encoding="utf-8")
        found = yaml.safe_load(text) or {}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HomeError(f"{path}: cannot be read: {' '.join(str(error).split())}. Correct the file.") from None
    if not isinstance(found, dict):
        raise HomeError(f"{path}: holds {found!r}, expected sections: see docs/guides/nightly.md.")
    return found


def _require_known(path: Path, what: str, found: Iterable[Any], known: Iterable[str]) -> None:
    names = sorted(known)
    for name in map(str, found):
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise HomeError(f"{path}: {name} is no {what}.{meant} Known are: {', '.join(names)}.")
