"""Personas: what people call a segment, following from its numbers alone.

Where the business speaks of worth and of a household, a persona says how the segment's compare with the whole base.
Everywhere else it says what sets the segment apart most, in the recipe's words. It never depends on a cluster's number,
and no two segments of a run share one.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from smartcart_pipeline.declaration.recipe import Log, Recipe
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
# Where the recipe does not say what customers could spend.
WORTH = {"high": "High-value", "average": "Mid-value", "low": "Low-value"}
NOTHING_STANDS_OUT = "Typical customers"
# A segment's mean so many standard deviations from everybody's sets it apart.
APART = 0.25
# So many traits make a persona; one more where others have the same.
TRAITS = 2
# So many figures stand in the sentence on a segment.
TOLD = 3


def name_segments(profiles: Rows, base: Profile, spread: Mapping[str, float], recipe: Recipe) -> Rows:
    """Add a persona, a share and a sentence to each segment's profile.

    Args:
        profiles: One row a segment, from `profile_segments`.
        base: The whole base, from `summarise_customers`.
        spread: Standard deviation of each column that the model sees, from `measure_spread`.
        recipe: What the business speaks of, and in which words.

    Returns:
        The same rows with `share` (0 to 1), `persona` (distinct) and `description`.
    """
    traits: list[list[tuple[str, str]]] = [[] for _ in profiles]
    if knows_household(recipe):
        named: list[tuple[Profile, str]] = [(each, base_persona(each, base, recipe)) for each in profiles]
        personas = _tell_apart(named, base, recipe)
    else:
        traits = [find_traits(profile, base, spread, recipe) for profile in profiles]
        personas = _name_by_traits(profiles, base, traits, recipe)
    return [
        profile
        | {
            "share": profile["customers"] / base["customers"],
            "persona": persona,
            "description": describe_segment(profile, base, [name for name, _ in found], recipe),
        }
        for profile, persona, found in zip(profiles, personas, traits, strict=True)
    ]


def knows_household(recipe: Recipe) -> bool:
    """Whether the business speaks of worth, and of who lives with a customer.

    Args:
        recipe: The recipe.

    Returns:
        True where a persona can say both.
    """
    return bool(recipe.business.worth) and recipe.business.household.keys() == {"partner", "children"}


def find_traits(profile: Profile, base: Profile, spread: Mapping[str, float], recipe: Recipe) -> list[tuple[str, str]]:
    """What sets a segment apart, the most distinct first, each feature once.

    Args:
        profile: The segment.
        base: The whole base.
        spread: Standard deviation of each column that the model sees.
        recipe: The words.

    Returns:
        Names of columns that the model sees, each with its words: "higher balance".
    """
    found: dict[str, tuple[float, str, str]] = {}
    for column in recipe.encoded:
        short, measure = recipe.words_of(column.name).short, recipe.profiled_as(column.name)
        apart = (profile[measure] - base[measure]) / spread[column.name] if spread[column.name] else 0.0
        if short and abs(apart) >= APART and abs(apart) > found.get(column.source, (0.0, "", ""))[0]:
            found[column.source] = (abs(apart), column.name, short[apart > 0])
    return [(name, words) for _, name, words in sorted(found.values(), key=lambda trait: -trait[0])]


def _name_by_traits(profiles: Rows, base: Profile, traits: list[list[tuple[str, str]]], recipe: Recipe) -> list[str]:
    """What sets each segment apart in as few words as tell it from the others."""
    worth = recipe.business.worth
    levels = [WORTH[_level(profile, base, f"mean_{worth}")] if worth else "" for profile in profiles]
    said = [
        [*([level] if level else []), *(words for name, words in found if name != worth)]
        for level, found in zip(levels, traits, strict=True)
    ]
    used = [TRAITS] * len(profiles)

    def persona(i: int) -> str:
        text = ", ".join(said[i][: used[i]])
        return f"{text[:1].upper()}{text[1:]}" if text else NOTHING_STANDS_OUT

    while longer := [
        i for alike in _alike([persona(i) for i in range(len(said))]) for i in alike if used[i] < len(said[i])
    ]:
        for i in longer:
            used[i] += 1
    personas = [persona(i) for i in range(len(said))]
    for alike in _alike(personas):
        for place, i in enumerate(alike, start=1):
            personas[i] = f"{personas[i]} ({place})"
    return personas


def base_persona(profile: Profile, base: Profile, recipe: Recipe) -> str:
    """The persona that a segment's numbers suggest, before segments that sound alike are told apart.

    Args:
        profile: The segment.
        base: The whole base.
        recipe: What the business speaks of: worth, and a household.

    Returns:
        For example "Affluent couples".
    """
    business = recipe.business
    worth = _level(profile, base, f"mean_{business.worth}")
    standing = STANDING[_level(profile, base, f"mean_{business.means}"), worth] if business.means else WORTH[worth]
    partnered, children = _household(profile, recipe)
    living = "partner" if partnered >= MOSTLY else "alone" if partnered <= RARELY else "mixed"
    return f"{standing} {HOUSEHOLD[living, children >= 1]}"


def _household(profile: Profile, recipe: Recipe) -> tuple[float, float]:
    """The share that lives with a partner, and the mean number of children."""
    household = recipe.business.household
    return profile[f"share_{household['partner']}"], profile[f"mean_{household['children']}"]


def describe_segment(profile: Profile, base: Profile, traits: Sequence[str], recipe: Recipe) -> str:
    """One sentence on a segment, in plain words and the business's units.

    Args:
        profile: The segment.
        base: The whole base.
        traits: Names of columns that the model sees, that which sets the segment apart most first.
        recipe: What the business speaks of, and in which words.

    Returns:
        The sentence.
    """
    business, share = recipe.business, profile["customers"] / base["customers"]
    money = [name for name in (business.means, business.worth) if name]
    apart = [name for name in traits if name not in money][: TOLD - len(money)]
    told = [_tell_mean(name, profile, base, recipe) for name in money]
    parts = [f"{profile['customers']:,} customers ({share:.1%}) {' '.join(told)}".rstrip()]
    if knows_household(recipe):
        partnered, children = _household(profile, recipe)
        parts.append(f"{partnered:.0%} live with a partner, with {children:.1f} children at home on average")
    else:
        parts += [_tell(name, profile, base, recipe) for name in apart]
    parts += [f"{profile[outcome.rate]:.0%} {outcome.share}" for outcome in recipe.outcomes]
    return f"{'; '.join(parts)}."


def _tell_mean(name: str, profile: Profile, base: Profile, recipe: Recipe) -> str:
    words, measure = recipe.by_name[name].words, f"mean_{name}"
    value = f"{profile[measure]:,.{words.decimals}f}"
    return f"{words.mean.format(value=value)} ({_compared(profile, base, measure)})"


def _tell(name: str, profile: Profile, base: Profile, recipe: Recipe) -> str:
    """A mean, or the share of who is in a group or has a flag, against everybody's."""
    measure, verb = recipe.profiled_as(name), recipe.by_name[name].verb if name in recipe.by_name else None
    if isinstance(verb, Log) and verb.of in recipe.measured:
        # Nobody thinks in logarithms.
        return _tell_mean(verb.of, profile, base, recipe)
    if measure == f"mean_{name}":
        return _tell_mean(name, profile, base, recipe)
    said = recipe.by_name[name].share if name in recipe.by_name else recipe.words_of(name).named
    return f"{profile[measure]:.0%} {said} (of all: {base[measure]:.0%})"


def _level(profile: Profile, base: Profile, measure: str) -> str:
    # Of what is negative on average, a ratio says nothing.
    ratio = profile[measure] / base[measure] if base[measure] > 0 else 1.0
    return "high" if ratio >= HIGH else "low" if ratio <= LOW else "average"


def _compared(profile: Profile, base: Profile, measure: str) -> str:
    if base[measure] < 0:
        apart = profile[measure] - base[measure]
        return "the average" if not apart else f"{'above' if apart > 0 else 'below'} average"
    difference = profile[measure] / base[measure] - 1 if base[measure] else 0.0
    if abs(difference) < 0.005:  # rounds to 0 %
        return "the average"
    if -1 < difference < -0.995:  # rounds to all of it
        return "over 99% below average"
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
            personas[i] = f"{personas[i]} ({recipe.by_name[str(recipe.business.worth)].words.named} rank {place})"
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
