"""The models of a home: every version that a night made, which one is in force, and how that came to be.

`<home>/models/<version>/model.json` is written once, by the night that made the version. `<home>/models/champion.json`
is the record of all published nights, and with it which model is in force; it is replaced at once, and only after the
night has published. What is to replace it lies beside it before, under the run's name: a run that dies between the two
leaves both, and whether it had published says which of them holds.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from smartcart_pipeline.declaration.errors import CallError, HomeError
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.contest import Champion, Requested, require_same_recipe
from smartcart_pipeline.segmentation.drift import read_reference
from smartcart_pipeline.segmentation.model import read_model
from smartcart_pipeline.storage.home import Home, flush_to_disk, put_in_place
from smartcart_pipeline.storage.publications import kept_publications, readable, run_of
from smartcart_pipeline.storage.run_lock import HomeBusyError, try_to_hold

FORMAT = 1


@dataclass(frozen=True)
class PublishedNight:
    """A night that has been published.

    Attributes:
        night: Its number, from 1, in the order of publication.
        run_id: The run.
        as_of_date: The day that everything was counted to.
        version: The model that was in force.
        promoted: Whether that model came into force on this night.
        verdict: Why, in plain words.
        content_hash: SHA-256 of the export; None of a night that an earlier version recorded.
        declaration: Digest of the contract and the recipe; None of a night that an earlier version recorded.
    """

    night: int
    run_id: str
    as_of_date: date
    version: str
    promoted: bool
    verdict: str
    content_hash: str | None = None
    declaration: str | None = None


@dataclass(frozen=True)
class Request:
    """What a person has asked for; the next run does it.

    Attributes:
        version: The model to put in force.
        reason: Why.
    """

    version: str
    reason: str


@dataclass(frozen=True)
class Record:
    """All published nights of a home, and what they leave to the next.

    Attributes:
        nights: In the order of publication.
        named: How many segment ids have ever been given.
        digests: SHA-256 of the document of each version, by version.
        request: What a person has asked for.
    """

    nights: tuple[PublishedNight, ...] = ()
    named: int = 0
    digests: tuple[tuple[str, str], ...] = ()
    request: Request | None = None

    @property
    def last(self) -> PublishedNight | None:
        """The night that was published last."""
        return self.nights[-1] if self.nights else None

    @property
    def since(self) -> PublishedNight | None:
        """The night on which the model in force came into force."""
        return next((night for night in reversed(self.nights) if night.promoted), None)

    def before(self, day: date) -> PublishedNight | None:
        """The night before an as-of date: what was published last for the latest earlier date."""
        earlier = [night for night in self.nights if night.as_of_date < day]
        return max(earlier, key=lambda night: (night.as_of_date, night.night)) if earlier else None

    def compared_with(self, day: date, content_hash: str | None) -> PublishedNight | None:
        """The night that a night is compared with.

        Args:
            day: As-of date of the night.
            content_hash: SHA-256 of its export; None where that is not known, as of nights that an earlier version
                recorded: it counts as the same.

        Returns:
            What was published last for the same day from another export, as the night takes its place; else the night
            before. A run over the same export again has changed nothing, so it is compared with what the first was.
        """
        others = (night for night in reversed(self.nights) if night.as_of_date == day)
        replaced = next((night for night in others if night.content_hash not in (None, content_hash)), None)
        return replaced or self.before(day)

    def numbered(self, number: int | None) -> PublishedNight | None:
        """The night of a number; None for None."""
        return next((night for night in self.nights if night.night == number), None)

    def after(self, day: date) -> PublishedNight | None:
        """What was published last for the first later as-of date."""
        later = [night for night in self.nights if night.as_of_date > day]
        return min(later, key=lambda night: (night.as_of_date, -night.night)) if later else None

    def is_newest(self, day: date) -> bool:
        """Whether no later as-of date has been published."""
        return self.after(day) is None

    def is_published(self, day: date) -> bool:
        """Whether something was published for an as-of date."""
        return any(night.as_of_date == day for night in self.nights)

    def was_in_force(self, version: str) -> bool:
        """Whether a version was ever in force."""
        return any(night.version == version for night in self.nights)


def read_record(home: Home, recover: bool = False) -> Record:
    """The record of a home.

    Args:
        home: The home.
        recover: Whether to finish first what a run that died left. Only who holds the home may: a run that is under way
            has laid the same things there.

    Returns:
        The record; empty where nothing was ever published with a model.

    Raises:
        HomeError: If the record is missing although there are models, or is damaged.
    """
    if recover:
        _recover(home)
    path = home.models / "champion.json"
    if not path.is_file():
        if _has_published_models(home):
            raise HomeError(
                f"{path}: the record of the model in force is missing, although segments have been published with one. "
                "Put it back from a backup, with the folder it is in. Without it the segments would begin anew, under "
                "the same ids: if that is what you want, name an empty home with --home."
            )
        return Record()
    known = _read_sealed(path)
    request = known["request"]
    return Record(
        nights=tuple(
            PublishedNight(**night | {"as_of_date": date.fromisoformat(night["as_of_date"])})
            for night in known["nights"]
        ),
        named=known["named"],
        digests=tuple(sorted(known["digests"].items())),
        request=Request(**request) if request else None,
    )


def read_version(home: Home, record: Record, version: str) -> Champion:
    """A model of the home.

    Args:
        home: The home.
        record: Its record.
        version: Which.

    Returns:
        The model.

    Raises:
        CallError: If it was never kept.
        HomeError: If its document is missing or another than was written.
    """
    digests = dict(record.digests)
    if version not in digests:
        known = ", ".join(sorted(digests, key=_number)) or "none yet"
        raise CallError(f"There is no model {version}. Known: {known}. See: smartcart model list.")
    path = home.models / version / "model.json"
    if not path.is_file():
        raise HomeError(f"{path}: the document of the model {version} is missing. {_ADVICE}")
    document = _read_sealed(path)
    if document["sha256"] != digests[version]:
        raise HomeError(f"{path}: this is not the document that was written for {version}. {_ADVICE}")
    return read_champion(document)


def champion_document(champion: Champion) -> dict[str, Any]:
    """A model with what later nights are held against, as plain data, fit for JSON.

    Args:
        champion: The model.

    Returns:
        The document; `read_champion` reads it.
    """
    return {
        "format": FORMAT,
        "version": champion.version,
        "origin": champion.origin,
        "far": champion.far,
        "model": champion.model.document(),
        "reference": champion.reference.document(),
    }


def read_champion(document: dict[str, Any]) -> Champion:
    """The model, from the document that keeps it.

    Args:
        document: What `champion_document` gave.

    Returns:
        The model.

    Raises:
        HomeError: If it is not whole.
    """
    try:
        far, reference = float(document["far"]), read_reference(document["reference"])
        version, origin = str(document["version"]), str(document["origin"])
        model = read_model(document["model"])
    except (KeyError, TypeError, AttributeError) as error:
        raise HomeError(f"The document of a model lacks {error}. {_ADVICE}") from None
    return Champion(version, model, reference, far, origin)


def read_request(home: Home, record: Record) -> Requested | None:
    """The model that a person wants in force.

    Args:
        home: The home.
        record: Its record.

    Returns:
        The model and the reason; None where nobody asked.
    """
    if record.request is None:
        return None
    version = record.request.version
    return Requested(read_version(home, record, version), record.was_in_force(version), record.request.reason)


def is_asked(home: Home) -> bool:
    """Whether the next run has something to do whatever the export: what a person asked for, or to say what is damaged.

    Args:
        home: The home.

    Returns:
        Whether it does.
    """
    try:
        return read_record(home).request is not None
    except HomeError:
        return True


def prepare_record(home: Home, record: Record, night: PublishedNight, challenger: Champion, named: int) -> Path:
    """Keep tonight's model, and lay beside the record what is to replace it when the night has published.

    Args:
        home: The home.
        record: The record as it is.
        night: Tonight.
        challenger: Tonight's model, promoted or not.
        named: How many segment ids have ever been given, tonight's among them.

    Returns:
        What `commit_record` puts in place.
    """
    folder = home.models / challenger.version
    # A run that died before it published may have left one of this name: nobody was ever put into its segments.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    digest = _write_sealed(folder / "model.json", champion_document(challenger))
    flush_to_disk(home.models)
    following = replace(
        record,
        nights=(*record.nights, night),
        named=named,
        digests=tuple(sorted({**dict(record.digests), challenger.version: digest}.items())),
        request=None,
    )
    pending = home.models / f".champion.{night.run_id}.pending"
    _write_sealed(pending, _record_document(following))
    return pending


def commit_record(home: Home, pending: Path) -> None:
    """Put the record of a night that has published in place.

    Args:
        home: The home.
        pending: From `prepare_record`.
    """
    put_in_place(pending, home.models / "champion.json")


def ask_for(home: Home, version: str | None, reason: str, recipe: Recipe | None = None) -> str:
    """Note that a person wants a model in force; the next run does it.

    Args:
        home: The home.
        version: Which; None for the one that was in force before the one that is.
        reason: Why.
        recipe: What the next run will go by; None where only the run itself can tell.

    Returns:
        Which it is.

    Raises:
        CallError: If there is no such model, it is in force already, or no reason is given.
        HomeError: If the model sees other features than the recipe makes.
        HomeBusyError: If a run is under way.
    """
    if not reason.strip():
        raise CallError("--reason is empty. Say why, for those who will ask: it is kept with the decision.")
    with try_to_hold(home) as held:
        if not held:
            raise HomeBusyError(f"{home.root}: a run is under way. Ask again when it has ended.")
        record = read_record(home, recover=True)
        version = version or version_before(record)
        wanted = read_version(home, record, version)
        if recipe:
            require_same_recipe(wanted, recipe)
        if record.last and record.last.version == version:
            raise CallError(f"{version} is in force already. See: smartcart model list.")
        asked = replace(record, request=Request(version, reason.strip()))
        _write_sealed(home.models / "champion.json", _record_document(asked))
    return version


def describe_models(record: Record) -> Rows:
    """The models that nights have made, for people.

    Args:
        record: The record.

    Returns:
        One row a model, the newest first: version, made_for (the as-of date of its night), verdict, since and until
        (as-of dates between which it was in force last; None for never), nights it was in force, is_in_force.
    """
    by_number = {night.night: night for night in record.nights}
    rows = []
    for version, _ in sorted(record.digests, key=lambda pair: -_number(pair[0])):
        made = by_number[_number(version)]
        reign = [night for night in record.nights if night.version == version]
        rows.append(
            {
                "version": version,
                "made_for": made.as_of_date,
                "verdict": made.verdict,
                "since": reign[0].as_of_date if reign else None,
                "until": reign[-1].as_of_date if reign else None,
                "nights": len(reign),
                "is_in_force": bool(record.last and record.last.version == version),
            }
        )
    return rows


def version_before(record: Record) -> str:
    """The model that was in force before the one that is.

    Args:
        record: The record.

    Returns:
        Its version.

    Raises:
        CallError: If there was none.
    """
    versions = [night.version for night in record.nights]
    earlier = [version for version in versions if version != versions[-1]]
    if not earlier:
        raise CallError("No other model was ever in force, so there is nothing to go back to: smartcart model list.")
    return earlier[-1]


_ADVICE = (
    "Put the folder models back from a backup. Nothing was published, and no model was fitted in its place: segments "
    "would have changed for no reason."
)


def _recover(home: Home) -> None:
    """Finish what a run that died left: record its night if it had published, else forget it."""
    for pending in sorted(home.models.glob(".champion.*.pending")):
        run_id = pending.name.removeprefix(".champion.").removesuffix(".pending")
        if any(run_of(path) == run_id for path in kept_publications(home)):
            commit_record(home, pending)
        else:
            pending.unlink()


def _has_published_models(home: Home) -> bool:
    """Whether segments have been published with a model.

    The first model alone proves nothing: a first night that died before it published has left one too.
    """
    if any(path.parent.name != "v1" for path in home.models.glob("v*/model.json")):
        return True
    publication = readable(home)
    if not publication.is_file():
        return False
    with duckdb.connect(str(publication), read_only=True) as connection:
        found = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'nights'").fetchone()
    return bool(found and found[0])


def _record_document(record: Record) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "nights": [vars(night) | {"as_of_date": night.as_of_date.isoformat()} for night in record.nights],
        "named": record.named,
        "digests": dict(record.digests),
        "request": vars(record.request) if record.request else None,
    }


def _write_sealed(path: Path, document: dict[str, Any]) -> str:
    """Write a document with a hash of itself, whole or not at all; returns the hash."""
    digest = _digest(document)
    writing = path.with_name(f".{path.name}.{os.getpid()}.writing")
    writing.write_text(json.dumps(document | {"sha256": digest}, indent=1, default=_plain) + "\n", encoding="utf-8")
    put_in_place(writing, path)
    return digest


def _read_sealed(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        told = document["sha256"]
        found = _digest({key: value for key, value in document.items() if key != "sha256"})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HomeError(f"{path}: the file is damaged, it is no document of this pipeline. {_ADVICE}") from None
    if told != found:
        raise HomeError(f"{path}: the file is damaged or was changed; its SHA-256 is not the one in it. {_ADVICE}")
    return document


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no plain data")


def _number(version: str) -> int:
    return int(version[1:])
