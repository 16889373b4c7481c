"""How often the verdict on segments is wrong where the truth is known, and what it says of the exports.

python -m benchmarks.structure [--seeds N] [--figures-only] [--exports sample real] [--recipes NAME…]

Groups that were planted are to be natural; customers of the sample whose features were each shuffled by itself are to
be constructed, by every recipe; one cloud without gaps, however it is shaped, is never to be natural. Then each shipped
recipe is tried on the sample and, where it is at hand, the real export.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.steadiness import EXPORTS, SAMPLE, SEED, Fit, fit_customers, read_customers
from smartcart_pipeline.declaration.declaration import shipped_declaration, shipped_recipes
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import drivers, noise, sensitive
from smartcart_pipeline.segmentation.noise import Space
from smartcart_pipeline.segmentation.selection import choose_k, evaluate_candidates
from smartcart_pipeline.segmentation.structure import VERDICTS, Structure, Verdict, examine, examine_afresh
from smartcart_pipeline.segmentation.threads import alone
from smartcart_pipeline.smartcart.simulation import Memory

SEEDS = 20
CUSTOMERS, FEATURES, LATENT = 2_000, 9, 3
GROUPS = range(3, 9)
# Standard deviations of the centres and, at least, between the nearest two of them, in those of one group.
SPREAD, APART = 4.0, 6.0

Features = np.ndarray


def plant_groups(random: np.random.Generator, groups: int) -> Features:
    """Round groups of different sizes, which gaps part on the components as well."""
    while True:
        centres = random.normal(0, SPREAD, (groups, FEATURES))
        seen = noise.place(centres - centres.mean(axis=0))
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)
        if apart[np.triu_indices(groups, 1)].min() >= APART:
            break
    members = random.choice(groups, CUSTOMERS, p=random.dirichlet(np.full(groups, 8.0)))
    return centres[members] + random.normal(size=(CUSTOMERS, FEATURES))


def draw_correlated(random: np.random.Generator) -> Features:
    """One Gaussian cloud whose features go together in three ways."""
    return _see(random.normal(size=(CUSTOMERS, LATENT)), random, 1.0)


def draw_elongated(random: np.random.Generator) -> Features:
    """One Gaussian cloud, four times as long as wide."""
    return _see(random.normal(size=(CUSTOMERS, LATENT)) * [4.0, 1.0, 1.0], random, 1.0)


def draw_factor(random: np.random.Generator) -> Features:
    """One Gaussian cloud in which everything follows one thing, such as wealth."""
    return random.normal(size=(CUSTOMERS, 1)) * random.uniform(0.5, 1.5, FEATURES) + random.normal(
        size=(CUSTOMERS, FEATURES)
    )


def _see(places: np.ndarray, random: np.random.Generator, error: float) -> Features:
    seen: Features = places @ random.normal(size=(LATENT, FEATURES)) + random.normal(0, error, (CUSTOMERS, FEATURES))
    return seen


def find_segments(values: Features, seed: int, k: int | None = None) -> Structure:
    """Segments of features that each weigh once, with k by the rule unless it is known, and what speaks for them."""
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    space = Space(scaled, tuple(map(str, range(values.shape[1]))))
    points = noise.place(scaled)
    k = k or next(row["k"] for row in choose_k(evaluate_candidates(points, seed)) if row["is_selected"])
    with alone():
        labels = noise.fit(points, k, seed, starts=10).labels_
    return examine(space, points, labels, k, seed)


def shuffle_customers(fit: Fit, recipe: Recipe, random: np.random.Generator, seed: int) -> Structure:
    """Segments of customers whose features were each shuffled by itself."""
    space = Space(fit.values, tuple(column.source for column in recipe.encoded))
    return examine_afresh(noise.shuffle(space, random), recipe, seed)[0]


def play(name: str, right: Sequence[Verdict], find: Callable[[np.random.Generator, int], Structure], seeds: int) -> int:
    """Find segments anew for each seed, and say how often the verdict was which.

    Args:
        name: What is looked at.
        right: The verdicts that are right.
        find: Finds segments, with luck by a seed.
        seeds: How many.

    Returns:
        How often the verdict was wrong.
    """
    found = [find(np.random.default_rng([SEED, seed]), seed) for seed in range(seeds)]
    verdicts = Counter(each.verdict for each in found)
    wrong = sum(count for verdict, count in verdicts.items() if verdict not in right)
    ks = Counter(len(each.recovery) for each in found)
    told = ", ".join(f"{verdicts[verdict]:>2} {verdict}" for verdict in VERDICTS)
    gaps, beyond = ([getattr(each, name) for each in found] for name in ("gap", "beyond_noise"))
    strengths = [each.prediction_strength for each in found]
    print(
        f"  {name:<34}{told}; wrong {wrong} of {seeds}; k {dict(sorted(ks.items()))}; beyond noise "
        f"{min(beyond):.1f} to {max(beyond):.1f}, prediction strength {min(strengths):.2f} to {max(strengths):.2f}, "
        f"gap {min(gaps):.2f} to {max(gaps):.2f}",
        flush=True,
    )
    return wrong


def judge_verdicts(seeds: int) -> None:
    """Hold the verdicts against the truth."""
    print(f"\nVerdicts where the truth is known, {seeds} seeds each")
    as_many: list[bool] = []

    def groups_of(seed: int) -> int:
        return GROUPS[seed % len(GROUPS)]

    def find_groups(random: np.random.Generator, seed: int) -> Structure:
        found = find_segments(plant_groups(random, groups_of(seed)), seed)
        as_many.append(len(found.recovery) == groups_of(seed))
        return found

    def find_known(random: np.random.Generator, seed: int) -> Structure:
        return find_segments(plant_groups(random, groups_of(seed)), seed, groups_of(seed))

    total = play("planted groups, k as planted", ["natural"], find_known, seeds)
    # Of several groups taken for one, and of one cut in two, the verdict may be any: that k is wrong is no fault of it.
    play("planted groups, k by the rule", VERDICTS, find_groups, seeds)
    print(f"  {'':<34}as many segments as groups in {sum(as_many)} of {seeds}")
    for recipe in shipped_recipes():
        declaration = shipped_declaration(recipe)
        fit = fit_customers(read_customers(SAMPLE, declaration.contract), declaration)
        total += play(
            f"shuffled customers, {recipe}",
            ["constructed"],
            lambda random, seed, fit=fit, recipe=declaration.recipe: shuffle_customers(fit, recipe, random, seed),  # type: ignore[misc]
            seeds,
        )
    clouds = {"correlated": draw_correlated, "elongated": draw_elongated, "one factor": draw_factor}
    for name, draw in clouds.items():
        total += play(
            f"one Gaussian cloud, {name}",
            ["constructed", "reproducible"],
            lambda random, seed, draw=draw: find_segments(draw(random), seed),  # type: ignore[misc]
            seeds,
        )
    print(f"  wrong in all: {total} of {seeds * (1 + len(shipped_recipes()) + len(clouds))}")


def tell_figures(export: str, recipe: str) -> dict[str, str]:
    """All that is said of the segments that a recipe makes of an export."""
    declaration = shipped_declaration(recipe)
    fit = fit_customers(read_customers(EXPORTS[export], declaration.contract), declaration)
    found = examine(fit.space, fit.points, fit.labels, fit.k, SEED)
    counts = drivers.count_rows(Memory().rows(fit.described), fit.labels, declaration.recipe)
    # Numbered by what they spend, as a run does.
    segments = {cluster: f"S{rank:02}" for rank, cluster in enumerate(_by_spending(fit), start=1)}
    strongest = drivers.measure_drivers(counts, segments, declaration.recipe)
    giveaways = drivers.find_giveaways(strongest, drivers.measure_pairs(counts, segments, declaration.recipe))
    followed = {
        row["attribute"]: row["association"]
        for row in sensitive.associate_sensitive(counts, segments, declaration.recipe)
    }
    answered = Memory().array(fit.described, ["response"])[:, 0]
    numbers = sum(fit.beyond.values()), len(fit.customers) * len(declaration.recipe.fenced)
    return {
        "k, elbow share": f"{fit.k}, {fit.selected['elbow_share']:.0%}",
        "customers": " / ".join(str((fit.labels == cluster).sum()) for cluster in segments),
        "silhouette, on the components": f"{found.on_components:.3f}",
        "of shuffled data, there": f"{found.null_on_components:.3f}",
        "stability": f"{fit.selected['stability']:.3f}",
        "silhouette, over all features": f"{found.silhouette:.3f}",
        "of shuffled data, all features": f"{found.null_silhouette:.3f} ± {found.null_deviation:.3f}",
        "beyond noise": f"{found.beyond_noise:+.1f}",
        "prediction strength": f"{found.prediction_strength:.2f}",
        "recovery, least": f"{min(found.recovery):.2f}",
        "gap": f"{found.gap:.2f}",
        "verdict": found.verdict,
        "given away by": giveaways[0]["feature"] if giveaways else "none",
        "strongest drivers": ", ".join(f"{row['feature']} {row['association']:.2f}" for row in strongest[:3]),
        **{f"V, {name}": f"{value:.2f}" for name, value in followed.items()},
        "response rates": " / ".join(f"{answered[fit.labels == cluster].mean():.1%}" for cluster in segments),
        "values beyond the fences": f"{numbers[0]} of {numbers[1]}" if numbers[1] else "no fences",
    }


def _by_spending(fit: Fit) -> list[int]:
    spent = Memory().array(fit.described, ["total_spending"])[:, 0]
    return sorted(range(fit.k), key=lambda cluster: -float(spent[fit.labels == cluster].mean()))


def print_figures(exports: Sequence[str], recipes: Sequence[str]) -> None:
    """A table: a figure a line, a recipe a column."""
    for export in exports:
        if not EXPORTS[export].is_file():
            print(f"\nThe {export} export is not here.")
            continue
        print(f"\nThe {export} export")
        columns = {recipe: tell_figures(export, recipe) for recipe in recipes}
        for line in _lay_out(columns):
            print(line, flush=True)


def _lay_out(columns: dict[str, dict[str, Any]]) -> Iterator[str]:
    names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    rows = [["", *columns], *([name, *(figures.get(name, "") for figures in columns.values())] for name in names)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Find and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how often each case is drawn")
    parser.add_argument("--figures-only", action="store_true", help="only what is said of the exports")
    parser.add_argument("--exports", nargs="+", choices=EXPORTS, default=[*EXPORTS], help="which exports")
    parser.add_argument("--recipes", nargs="+", default=[*shipped_recipes()], help="which shipped recipes")
    chosen = parser.parse_args(arguments)
    print_figures(chosen.exports, chosen.recipes)
    if not chosen.figures_only:
        judge_verdicts(chosen.seeds)


if __name__ == "__main__":
    main()
