"""Personas: what people call a segment, following from its numbers alone.

A persona says how the segment's income and spending compare with the whole base, and who lives in the household. It
never depends on a cluster's number, and no two segments of a run share one.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from smartcart_pipeline.declaration.recipe import Recipe
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
# Where the recipe does not say what customers could spend, or who lives with them.
WORTH = {"high": "High-value", "average": "Mid-value", "low": "Low-value"}
NOBODY_KNOWS = "customers"


def name_segments(profiles: Rows, base: Profile, recipe: Recipe) -> Rows:
    """Add a persona, a share and a sentence to each segment's profile.

    Args:
        profiles: One row a segment, from `profile_segments`.
        base: The whole base, from `summarise_customers`.
        recipe: What the business speaks of, and in which words.

    Returns:
        The same rows with `share` (0 to 1), `persona` (distinct) and `description`.
    """
    personas = _tell_apart([(profile, base_persona(profile, base, recipe)) for profile in profiles], base, recipe)
    return [
        profile
        | {
            "share": profile["customers"] / base["customers"],
            "persona": persona,
            "description": describe_segment(profile, base, recipe),
        }
        for profile, persona in zip(profiles, personas, strict=True)
    ]


def base_persona(profile: Profile, base: Profile, recipe: Recipe) -> str:
    """The persona that a segment's numbers suggest, before segments that sound alike are told apart.

    Args:
        profile: The segment.
        base: The whole base.
        recipe: What the business speaks of.

    Returns:
        For example "Affluent couples".
    """
    business = recipe.business
    worth = _level(profile, base, f"mean_{business.worth}")
    standing = STANDING[_level(profile, base, f"mean_{business.means}"), worth] if business.means else WORTH[worth]
    if business.household.keys() != {"partner", "children"}:
        return f"{standing} {NOBODY_KNOWS}"
    partnered, children = _household(profile, recipe)
    living = "partner" if partnered >= MOSTLY else "alone" if partnered <= RARELY else "mixed"
    return f"{standing} {HOUSEHOLD[living, children >= 1]}"


def _household(profile: Profile, recipe: Recipe) -> tuple[float, float]:
    """The share that lives with a partner, and the mean number of children."""
    household = recipe.business.household
    return profile[f"share_{household['partner']}"], profile[f"mean_{household['children']}"]


def describe_segment(profile: Profile, base: Profile, recipe: Recipe) -> str:
    """One sentence on a segment, in plain words and the business's units.

    Args:
        profile: The segment.
        base: The whole base.
        recipe: What the business speaks of, and in which words.

    Returns:
        The sentence.
    """
    business, share = recipe.business, profile["customers"] / base["customers"]
    money = [_tell_mean(name, profile, base, recipe) for name in (business.means, business.worth) if name]
    parts = [f"{profile['customers']:,} customers ({share:.1%}) {' '.join(money)}"]
    if business.household.keys() == {"partner", "children"}:
        partnered, children = _household(profile, recipe)
        parts.append(f"{partnered:.0%} live with a partner, with {children:.1f} children at home on average")
    parts += [f"{profile[outcome.rate]:.0%} {outcome.share}" for outcome in recipe.outcomes]
    return f"{'; '.join(parts)}."


def _tell_mean(name: str, profile: Profile, base: Profile, recipe: Recipe) -> str:
    words, measure = recipe.by_name[name].words, f"mean_{name}"
    return f"{words.mean.format(value=f'{profile[measure]:,.0f}')} ({_compared(profile, base, measure)})"


def _level(profile: Profile, base: Profile, measure: str) -> str:
    ratio = profile[measure] / base[measure] if base[measure] else 1.0
    return "high" if ratio >= HIGH else "low" if ratio <= LOW else "average"


def _compared(profile: Profile, base: Profile, measure: str) -> str:
    difference = profile[measure] / base[measure] - 1 if base[measure] else 0.0
    if abs(difference) < 0.005:  # rounds to 0 %
        return "the average"
    return f"{abs(difference):.0%} {'above' if difference > 0 else 'below'} average"


def _tell_apart(named: list[tuple[Profile, str]], base: Profile, recipe: Recipe) -> list[str]:
    """Make personas distinct: first by what differs most, then by rank of worth."""
    distinctions = list(_distinctions(recipe))
    personas = [persona for _, persona in named]
    for alike in _alike(personas) if distinctions else ():
        measure, lowest, highest = max(distinctions, key=lambda d: _spread([named[i][0] for i in alike], base, d[0]))
        ranked = sorted(alike, key=lambda i: named[i][0][measure])
        for place, i in enumerate(ranked):
            word = lowest if place < len(ranked) / 2 else highest
            personas[i] = f"{personas[i]}, {word}"
    for alike in _alike(personas):
        ranked = sorted(alike, key=lambda i: -named[i][0][f"mean_{recipe.business.worth}"])
        for place, i in enumerate(ranked, start=1):
            personas[i] = f"{personas[i]} (spending rank {place})"
    return personas


def _distinctions(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """What tells segments apart that sound alike: a measure, and words for the lowest and the highest."""
    for name in recipe.told:
        if short := recipe.words_of(name).short:
            lowest, highest = short
            yield recipe.profiled_as(name), lowest, highest


def _alike(personas: list[str]) -> list[list[int]]:
    groups = defaultdict(list)
    for i, persona in enumerate(personas):
        groups[persona].append(i)
    return [group for group in groups.values() if len(group) > 1]


def _spread(profiles: list[Profile], base: Profile, measure: str) -> float:
    values = [profile[measure] for profile in profiles]
    return float((max(values) - min(values)) / (abs(base[measure]) or 1.0))
