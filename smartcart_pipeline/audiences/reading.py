"""Reading `audiences.yaml`: what a home says of its audiences, and each way in which that can be wrong, with its place.

Whether a condition makes sense is seen by the columns that customers have, so it is read together with these.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from smartcart_pipeline.audiences.audience import HANDED_OUT, Audience, Audiences, default_audiences
from smartcart_pipeline.audiences.conditions import find_faults, find_harm
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.files import Name, Part, load, nearest, refusal, validate

# How the files of changes call their first column.
CHANGE = "change"
# It is a folder's name, too, on any system.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.IGNORECASE)
SALT = "smartcart"


class AudiencePart(Part):
    """An audience, as the file says it."""

    name: Name
    description: str = ""
    where: str = ""
    columns: Annotated[list[Name], Field(min_length=1)] | None = None
    consent: str = ""
    exclusive: bool = False
    priority: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    limit: Annotated[int, Field(ge=1, le=10**12)] | None = None
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    cost: Annotated[float, Field(ge=0, le=10**9)] = 0.0
    nightly: bool = False


class AudiencesFile(Part):
    """A whole file."""

    salt: Name = SALT
    control: Annotated[float, Field(ge=0, lt=1)] = 0.0
    audiences: Annotated[list[AudiencePart], Field(min_length=1)]


def read_audiences(path: Path, columns: Mapping[str, str], segments: Sequence[tuple[str, str]]) -> Audiences:
    """The audiences of a home.

    Args:
        path: Where its file is, if it has one.
        columns: The columns of its customers with their SQL types.
        segments: Id and persona of each segment.

    Returns:
        Those of its file, in the order in which they claim customers; without one, the default ones.

    Raises:
        DeclarationError: If the file is wrong: it names the file, the place, and what was expected.
    """
    # What is there and no file is not taken for nothing: all lists would be others, without a word.
    if not path.exists() and not path.is_symlink():
        return default_audiences(segments, columns, SALT)
    said = read_file(path)
    if faults := list(_find_unknown(said, columns)):
        raise refusal(path, faults)
    listed = sorted(map(_build, said.audiences), key=lambda each: (not each.is_exclusive, each.priority))
    return Audiences(tuple(listed), said.salt, said.control)


def read_file(path: Path) -> AudiencesFile:
    """What a file says, as far as it can be judged before there are customers.

    Args:
        path: The file.

    Returns:
        It.

    Raises:
        DeclarationError: As `read_audiences`.
    """
    said: AudiencesFile = validate(path, load(path), AudiencesFile)
    if faults := list(_find_faults(said)):
        raise refusal(path, faults)
    return said


def _placed(said: AudiencesFile) -> Iterator[tuple[str, AudiencePart]]:
    for number, part in enumerate(said.audiences, start=1):
        yield f"audiences[{number}] ({part.name})", part


def _find_faults(said: AudiencesFile) -> Iterator[str]:
    names: list[str] = []
    for place, part in _placed(said):
        if not NAME.fullmatch(part.name):
            yield f"{place}.name: expected up to 63 letters, digits, - and _, as it names a folder"
        if part.name.lower() in names:
            yield f"{place}.name: there is one of that name already"
        names.append(part.name.lower())
        if part.where and (fault := find_harm(part.where)):
            yield f"{place}.where{fault}"


def _find_unknown(said: AudiencesFile, columns: Mapping[str, str]) -> Iterator[str]:
    for place, part in _placed(said):
        if part.where:
            yield from (f"{place}.where{fault}" for fault in find_faults(part.where, columns))
        for name in part.columns or ():
            if name == CHANGE:
                yield f"{place}.columns: {name!r} is what the files of changes call what happened: name another column"
            elif name not in columns:
                yield f"{place}.columns: there is no column {name!r}{nearest(name, tuple(columns))}"
        if part.consent and part.consent not in columns:
            yield f"{place}.consent: there is no column {part.consent!r}{nearest(part.consent, tuple(columns))}"


def _build(part: AudiencePart) -> Audience:
    columns = HANDED_OUT if part.columns is None else tuple(dict.fromkeys((KEY, *part.columns)))
    return Audience(
        name=part.name,
        description=part.description,
        where=part.where,
        columns=columns,
        consent=part.consent,
        is_exclusive=part.exclusive,
        priority=part.priority,
        limit=part.limit,
        holdout=part.holdout,
        cost=part.cost,
        is_nightly=part.nightly,
    )
