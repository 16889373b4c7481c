"""What an audience is, and which ones there are without a file that says so."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from smartcart_pipeline.declaration.contract import KEY

# Who is in a home's audiences without a file: each segment's customers, those who have gone quiet, those worth most.
AT_RISK, HIGH_VALUE = "at_risk", "high_value"
VIEWS = {AT_RISK: "at_risk_customers", HIGH_VALUE: "high_value_customers"}
HANDED_OUT = (KEY, "segment_id", "persona")


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
        view: The view whose customers it has, instead of all.
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
    view: str = ""

    @property
    def version(self) -> str:
        """A short digest of who is in it, and of what is handed out: words and cost make no other audience."""
        said = {name: value for name, value in vars(self).items() if name not in ("description", "cost")}
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


def default_audiences(segments: Sequence[tuple[str, str]], views: Sequence[str], salt: str) -> Audiences:
    """The audiences of a home that has no file of its own.

    Args:
        segments: Id and persona of each segment.
        views: The views that the warehouse has.
        salt: What holdouts would be drawn with.

    Returns:
        One a segment, called by its id; then those of the views that there are.
    """
    described = {
        AT_RISK: "Customers who have gone quiet: view at_risk_customers.",
        HIGH_VALUE: "The fifth of all customers who are worth most: view high_value_customers.",
    }
    named = [Audience(name, persona, f"segment_id = '{name}'") for name, persona in segments]
    known = [Audience(name, text, view=VIEWS[name]) for name, text in described.items() if VIEWS[name] in views]
    return Audiences((*named, *known), salt)


def document(audiences: Audiences) -> list[dict[str, Any]]:
    """All audiences as plain data, fit for JSON.

    Args:
        audiences: They.

    Returns:
        A mapping each, with its version.
    """
    return [vars(each) | {"columns": list(each.columns), "version": each.version} for each in audiences.listed]
