"""What people would not call a difference: texts that look alike are found in each other's place.

What belongs here: when two texts look alike. What does not: what follows from it for a header (see `contract`) or for
the values of a file (see `exports`).
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping

from smartcart_pipeline.declaration.columns import FOLDED

# Above and below letters of alphabets; the marks of other scripts make other letters.
ACCENTS = re.compile("[\u0300-\u036f]")
DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")  # noqa: RUF001
# A hyphen that says something: before a number, and behind a grade such as A-.
MINUS = re.compile(r"(?<!\w)-(?=\d)|(?<=\w)-$")
# Further signs that do, beside those of sums and money; and what ends a text for some programs, which nobody sees.
SPEAKING = "%‰\0"


def look(text: str) -> str:
    """What a text looks like to people: its letters, digits and the signs that say something.

    Case, accents, spaces, underscores, hyphens, brackets and the like make no difference, but keep digits apart. A
    minus, `+`, `<`, `>`, `=`, `%` and signs of money say something: `A+` looks like neither `A` nor `A-`.

    Args:
        text: For example `Größe-2`.

    Returns:
        For example `grosse2`; empty where the text says nothing.

    Examples:
        >>> look("Größe-2"), look("grosse_2"), look(" GROSSE 2 ")
        ('grosse2', 'grosse2', 'grosse2')
        >>> look("25-40"), look("25 / 40"), look("2540")
        ('25 40', '25 40', '2540')
    """
    plain = unicodedata.normalize("NFKD", text.translate(DASHES)).casefold().translate(FOLDED)
    bare = unicodedata.normalize("NFC", ACCENTS.sub("", plain)).strip()
    kept = "".join(letter if _speaks(letter) else " " for letter in MINUS.sub("−", bare))  # noqa: RUF001
    return re.sub(r"(?<!\d) | (?!\d)", "", " ".join(kept.split()))


def _speaks(letter: str) -> bool:
    kind = unicodedata.category(letter)
    return kind[0] in "LNM" or letter in SPEAKING or (kind[0] == "S" and kind != "Sk")


def by_look(owners: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Whose texts look like what, where they look like nobody else's.

    Args:
        owners: Texts, each with whose it is.

    Returns:
        Whose it is, by what it looks like; without looks that several share, so that nothing is guessed.
    """
    found: dict[str, set[str]] = {}
    for text, owner in owners:
        found.setdefault(look(text), set()).add(owner)
    return {seen: owner for seen, (owner, *others) in found.items() if seen and not others}


def match_categories(texts: Iterable[str], categories: Collection[str]) -> Mapping[str, str]:
    """Which texts are no category as they stand, but look like one.

    Args:
        texts: Texts of a file.
        categories: The only ones that the contract allows.

    Returns:
        The category that each of them stands for; nothing of categories, and of what looks like none or like several.

    Examples:
        >>> match_categories(["vip", "VIP", "2ND-Tier", "Star"], ["VIP", "2nd tier"])
        {'vip': 'VIP', '2ND-Tier': '2nd tier'}
    """
    seen = by_look((category, category) for category in categories)
    found = {text: seen.get(look(text), "") for text in texts if text not in categories}
    return {text: category for text, category in found.items() if category}
