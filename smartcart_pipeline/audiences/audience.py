"""What an audience is, and which ones there are without a file that says so."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from smartcart_pipeline.declaration.contract import KEY

# Who is in a home's audiences without a file: each segment's customers, those who have gone quiet, those worth most.
AT_RISK, HIGH_VALUE = "at_risk", "high_value"
HANDED_OUT = (KEY, "segment_id", "persona")

# Condition, consent, exclusiveness, priority and limit.
Rule = tuple[str, str, bool, int, int | None]
# What some of it is called in the table `audiences`.
CALLED = {"name": "audience", "where": "condition", "limit": "max_customers"}
# What of an audience may change without anybody entering or leaving it.
BESIDE = ("description", "cost", "is_nightly")


@dataclass(frozen=True)
class Audience:
    """Whom a campaign is for.

    Attributes:
        name: What people and files call it.
        description: Who that is.
        where: One boolean expression over the customers; empty for all.
        columns: What is handed out of a customer, the key first.
        consent: The column that must be true; empty where nobody is asked.
        is_exclusive: Whether its customers are in no other exclusive audience of a greater `priority`.
        priority: The smaller, the sooner it claims its customers.
        limit: How many customers it has at most, those worth most first; None for all.
        holdout: The share of its customers who are not addressed, so that others can be compared with them.
        cost: What addressing a customer costs, in currency units.
        is_nightly: Whether every night hands it out.
        is_segment: Whether it is a segment that nobody has declared anything of: its stays are those of the segment.
    """

    name: str
    description: str = ""
    where: str = ""
    columns: tuple[str, ...] = HANDED_OUT
    consent: str = ""
    is_exclusive: bool = False
    priority: int = 100
    limit: int | None = None
    holdout: float = 0.0
    cost: float = 0.0
    is_nightly: bool = False
    is_segment: bool = False

    @property
    def rule(self) -> Rule:
        """What decides who is in it: what is handed out, and of whom, does not."""
        return self.where, self.consent, self.is_exclusive, self.priority, self.limit

    @property
    def version(self) -> str:
        """A short digest of who is in it, and of what is handed out: words and cost make no other audience."""
        said = {name: value for name, value in vars(self).items() if name not in BESIDE}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Audiences:
    """All audiences of a home.

    Attributes:
        listed: They, in the order in which they claim customers.
        salt: What holdouts are drawn with: another salt, other customers.
        control: The share of all customers whom no audience addresses.
    """

    listed: tuple[Audience, ...]
    salt: str
    control: float = 0.0
    by_name: dict[str, Audience] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index them."""
        object.__setattr__(self, "by_name", {each.name: each for each in self.listed})


def default_audiences(segments: Sequence[tuple[str, str]], columns: Collection[str], salt: str) -> Audiences:
    """The audiences of a home that has no file of its own.

    Args:
        segments: Id and persona of each segment.
        columns: The columns of its customers.
        salt: What holdouts would be drawn with.

    Returns:
        One a segment, called by its id; then those who have gone quiet and those worth most, where columns say so.
    """
    described = {
        AT_RISK: "Customers who have gone quiet: view at_risk_customers.",
        HIGH_VALUE: "The fifth of all customers who are worth most: view high_value_customers.",
    }
    named = [Audience(name, persona, f"segment_id = '{name}'", is_segment=True) for name, persona in segments]
    known = [Audience(name, text, f"is_{name}") for name, text in described.items() if f"is_{name}" in columns]
    return Audiences((*named, *known), salt)


def as_row(audience: Audience) -> dict[str, Any]:
    """What defines an audience, as columns of the table `audiences`.

    Args:
        audience: The audience.

    Returns:
        The columns, with its version.
    """
    said = vars(audience) | {"columns": list(audience.columns), "consent": audience.consent or None}
    return {CALLED.get(name, name): value for name, value in said.items()} | {"version": audience.version}


def from_row(row: Mapping[str, Any]) -> Audience:
    """The audience that a row of the table defines.

    Args:
        row: The row.

    Returns:
        The audience.
    """
    said = {each.name: row[CALLED.get(each.name, each.name)] for each in fields(Audience)}
    return Audience(**said | {"columns": tuple(said["columns"]), "consent": said["consent"] or ""})
