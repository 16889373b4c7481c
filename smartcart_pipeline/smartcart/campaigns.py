"""Simulated campaigns, of which the truth is known: how often the verdict is wrong, and how soon it comes.

Households of the project's generator are segmented once. Every campaign is for all of them, with a share that is held
out by the hash of a run. What each customer would do when addressed, and what when not, is drawn beforehand, so that
the true effect of a campaign is known of each night, whoever is held out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartcart_pipeline.audiences.groups import BUCKETS, bucket_of
from smartcart_pipeline.campaigns.evidence import Group, Verdict, compare_amount, judge
from smartcart_pipeline.campaigns.results import WINSORISED
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.gate import Gate
from smartcart_pipeline.segmentation.hysteresis import Hysteresis
from smartcart_pipeline.smartcart.simulation import Identity, Memory, describe_night, make_world

NIGHTS, HOLDOUT = 30, 0.2
# Who buys within the nights of a campaign without it, and how many times as many do with it, by the rank of a segment:
# those who spend most are moved least.
BUYING = 0.12
LIFTS = {"none": (1.0, 1.0, 1.0, 1.0), "by_segment": (1.2, 1.5, 2.0, 2.5)}
# How unevenly customers of one level of wealth spend: the deviation of the logarithm.
UNEVEN = 0.8


@dataclass(frozen=True)
class Customers:
    """Those whom campaigns are for.

    Attributes:
        rank: Of each customer's segment, from 0, by spending.
        worth: What each has spent, in currency units.
    """

    rank: NDArray[np.int64]
    worth: NDArray[np.float64]


@dataclass(frozen=True)
class Played:
    """What came of one campaign.

    Attributes:
        verdict: The first that said anything, else that it was too small.
        night: On which night that was, from 1; None for never.
        missed: On how many nights the truth was outside of the interval.
        gained: What it brought in truth for each customer who was addressed, after all nights.
    """

    verdict: Verdict
    night: int | None
    missed: int
    gained: float


def draw_customers(customers: int, seed: int) -> Customers:
    """Draw households, and segment them as a first night does.

    Args:
        customers: How many.
        seed: Of everything.

    Returns:
        They.
    """
    frame, _ = make_world("unchanged", customers, 1, seed).export(0)
    night = describe_night(frame, 0, seed)
    segments = Identity(seed, Gate(), Hysteresis()).publish(night, seed)
    features = night.features.sort("customer_id")
    worth = Memory().array(features, ["total_spending"])[:, 0]
    names = np.unique(segments.astype(str))
    ordered = sorted(names, key=lambda name: -worth[segments == name].mean())
    rank = np.array([ordered.index(name) for name in segments.astype(str)])
    return Customers(rank, worth)


def play_campaign(customers: Customers, name: str, lifts: tuple[float, ...], random: np.random.Generator) -> Played:
    """Play a campaign night by night, looking at it every night.

    Args:
        customers: Those whom it is for.
        name: Its name, which says who is held out.
        lifts: How many times as many buy, by the rank of their segment.
        random: Draws what they do.

    Returns:
        What came of it.
    """
    size = len(customers.rank)
    held_out = np.array([bucket_of("simulated", name, number) for number in range(size)]) < HOLDOUT * BUCKETS
    factor = np.array(lifts)[np.minimum(customers.rank, len(lifts) - 1)]
    luck, bought_on = random.random(size), random.integers(1, NIGHTS + 1, size)
    amounts = customers.worth / 20 * np.exp(UNEVEN * random.standard_normal(size))
    would, would_if_addressed = luck < BUYING, luck < BUYING * factor
    verdict: Verdict = "too_small"
    when, missed, truth = None, 0, 0.0
    for night in range(1, NIGHTS + 1):
        is_done = bought_on <= night
        spent = np.where(is_done & np.where(held_out, would, would_if_addressed), amounts, 0.0)
        most = np.quantile(spent[spent > 0], WINSORISED) if spent.any() else 0.0
        spent = np.minimum(spent, most)
        found = compare_amount(_sum(spent, customers.worth, ~held_out), _sum(spent, customers.worth, held_out))
        truth = float((np.minimum(amounts, most) * is_done * (would_if_addressed & ~would)).mean())
        if found is None:
            continue
        missed += not found.low <= truth <= found.high
        said = judge(found, None, 0.0, has_amounts=True)
        if verdict == "too_small" and said != "too_small":
            verdict, when = said, night
    return Played(verdict, when, missed, truth)


def _sum(spent: NDArray[np.float64], before: NDArray[np.float64], whose: NDArray[np.bool_]) -> Group:
    x, b = spent[whose], before[whose]
    return Group(
        customers=len(x),
        conversions=int((x > 0).sum()),
        amount=float(x.sum()),
        amount_squared=float((x**2).sum()),
        before=float(b.sum()),
        before_squared=float((b**2).sum()),
        product=float((x * b).sum()),
    )


def summarise_campaigns(customers: int, campaigns: int, seed: int) -> Rows:
    """Play campaigns with and without a lift, and sum up.

    Args:
        customers: How many each is for.
        campaigns: How many of each.
        seed: Of everything.

    Returns:
        One row a lift: lift, campaigns, customers, worth_it, not_worth_it and too_small (shares of the campaigns),
        wrong (the share whose interval missed the truth on any night), median_nights (to the verdict that it was worth
        it; None for no such) and mean_gained (for each customer who was addressed, in truth).
    """
    base, random = draw_customers(customers, seed), np.random.default_rng(seed)
    return [_summarise(lift, customers, list(_play(base, lift, campaigns, random))) for lift in LIFTS]


def _play(base: Customers, lift: str, campaigns: int, random: np.random.Generator) -> Iterator[Played]:
    for number in range(campaigns):
        yield play_campaign(base, f"{lift} {number}", LIFTS[lift], random)


def _summarise(lift: str, customers: int, played: list[Played]) -> dict[str, object]:
    said = [each.verdict for each in played]
    nights = [each.night for each in played if each.verdict == "worth_it" and each.night]
    return {
        "lift": lift,
        "campaigns": len(played),
        "customers": customers,
        **{verdict: said.count(verdict) / len(said) for verdict in ("worth_it", "not_worth_it", "too_small")},
        "wrong": sum(each.missed > 0 for each in played) / len(played),
        "median_nights": float(np.median(nights)) if nights else None,
        "mean_gained": float(np.mean([each.gained for each in played])),
    }
