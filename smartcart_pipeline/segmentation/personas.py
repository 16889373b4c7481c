"""Personas: what people call a segment, following from its numbers alone.

A persona says how the segment's income and spending compare with the whole base, and who lives in the household. It
never depends on a cluster's number, and no two segments of a run share one.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from smartcart_pipeline.segmentation import Rows

Profile = Mapping[str, Any]

# A segment's mean this far from the whole base's is called high or low.
HIGH, LOW = 1.15, 0.85
MOSTLY, RARELY = 0.75, 0.25

STANDING = {
    ("high", "high"): "Affluent",
    ("high", "average"): "Reserved well-off",
    ("high", "low"): "Reserved well-off",
    ("average", "high"): "Generous",
    ("average", "average"): "Mainstream",
    ("average", "low"): "Careful",
    ("low", "high"): "Generous",
    ("low", "average"): "Stretching",
    ("low", "low"): "Budget-minded",
}
HOUSEHOLD = {
    ("partner", True): "families",
    ("partner", False): "couples",
    ("alone", True): "single parents",
    ("alone", False): "singles",
    ("mixed", True): "parents",
    ("mixed", False): "households",
}
# Where personas collide, the first of these that tells the segments apart best is added: (measure, lowest, highest).
DISTINCTIONS = (
    ("mean_age", "younger", "older"),
    ("mean_total_children", "fewer children", "more children"),
    ("mean_customer_tenure_days", "newer", "long-standing"),
    ("mean_recency", "recently active", "longer inactive"),
    ("mean_num_web_purchases", "less online", "more online"),
    ("mean_num_deals_purchases", "fewer deals", "more deals"),
    ("share_education_postgraduate", "fewer postgraduates", "more postgraduates"),
    ("share_living_with_partner", "more living alone", "more with a partner"),
)


def name_segments(profiles: Rows, base: Profile) -> Rows:
    """Add a persona, a share and a sentence to each segment's profile.

    Args:
        profiles: One row a segment, from `profile_segments`.
        base: The whole base, from `summarise_customers`.

    Returns:
        The same rows with `share` (0 to 1), `persona` (distinct) and `description`.
    """
    personas = _tell_apart([(profile, base_persona(profile, base)) for profile in profiles], base)
    return [
        profile
        | {
            "share": profile["customers"] / base["customers"],
            "persona": persona,
            "description": describe_segment(profile, base),
        }
        for profile, persona in zip(profiles, personas, strict=True)
    ]


def base_persona(profile: Profile, base: Profile) -> str:
    """The persona that a segment's numbers suggest, before segments that sound alike are told apart.

    Args:
        profile: The segment.
        base: The whole base.

    Returns:
        For example "Affluent couples".
    """
    standing = STANDING[_level(profile, base, "mean_income"), _level(profile, base, "mean_total_spending")]
    partnered = profile["share_living_with_partner"]
    living = "partner" if partnered >= MOSTLY else "alone" if partnered <= RARELY else "mixed"
    return f"{standing} {HOUSEHOLD[living, profile['mean_total_children'] >= 1]}"


def describe_segment(profile: Profile, base: Profile) -> str:
    """One sentence on a segment, in plain words and the business's units.

    Args:
        profile: The segment.
        base: The whole base.

    Returns:
        The sentence.
    """
    share = profile["customers"] / base["customers"]
    return (
        f"{profile['customers']:,} customers ({share:.1%}) with a mean income of {profile['mean_income']:,.0f} "
        f"({_compared(profile, base, 'mean_income')}) who spend {profile['mean_total_spending']:,.0f} in two years "
        f"({_compared(profile, base, 'mean_total_spending')}); {profile['share_living_with_partner']:.0%} live with a "
        f"partner, with {profile['mean_total_children']:.1f} children at home on average; "
        f"{profile['response_rate']:.0%} accepted the last campaign."
    )


def _level(profile: Profile, base: Profile, measure: str) -> str:
    ratio = profile[measure] / base[measure] if base[measure] else 1.0
    return "high" if ratio >= HIGH else "low" if ratio <= LOW else "average"


def _compared(profile: Profile, base: Profile, measure: str) -> str:
    difference = profile[measure] / base[measure] - 1 if base[measure] else 0.0
    if abs(difference) < 0.005:  # rounds to 0 %
        return "the average"
    return f"{abs(difference):.0%} {'above' if difference > 0 else 'below'} average"


def _tell_apart(named: list[tuple[Profile, str]], base: Profile) -> list[str]:
    """Make personas distinct: first by what differs most, then by rank of spending."""
    personas = [persona for _, persona in named]
    for alike in _alike(personas):
        measure, lowest, highest = max(DISTINCTIONS, key=lambda d: _spread([named[i][0] for i in alike], base, d[0]))
        ranked = sorted(alike, key=lambda i: named[i][0][measure])
        for place, i in enumerate(ranked):
            word = lowest if place < len(ranked) / 2 else highest
            personas[i] = f"{personas[i]}, {word}"
    for alike in _alike(personas):
        ranked = sorted(alike, key=lambda i: -named[i][0]["mean_total_spending"])
        for place, i in enumerate(ranked, start=1):
            personas[i] = f"{personas[i]} (spending rank {place})"
    return personas


def _alike(personas: list[str]) -> list[list[int]]:
    groups = defaultdict(list)
    for i, persona in enumerate(personas):
        groups[persona].append(i)
    return [group for group in groups.values() if len(group) > 1]


def _spread(profiles: list[Profile], base: Profile, measure: str) -> float:
    values = [profile[measure] for profile in profiles]
    return float((max(values) - min(values)) / (abs(base[measure]) or 1.0))
