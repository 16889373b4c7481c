"""What the header of a column says, what the column is called, and how people read of it.

The words that tell one kind of column from another stand in `headers.yaml`.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from smartcart_pipeline.declaration.columns import CAMEL, legal_name, name_of_header, snake_case
from smartcart_pipeline.declaration.contract import KEY

LONGEST_GROUP = 40
# What profiles have besides what a recipe names.
TAKEN = (KEY, "share", "customers", "description")
# What follows tells more of the thing before it.
HEAD = re.compile(" (?:of|since|per|in|on|at|as|for|from|until|with|to) ")
# What a column is the number of stands behind one of these, or before.
NUMBERS = ("num", "number", "no", "nr", "n", "count", "cnt", "qty", "quantity")
# Several of them stand in front of what they were spent on: `hours watched`.
PERIODS = ("minutes", "hours", "days", "weeks", "months", "years")


@cache
def lexicon() -> dict[str, Any]:
    """What words in a header say.

    Returns:
        Groups of words and phrases, from `headers.yaml`.
    """
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("headers.yaml").read_text(encoding="utf-8"))
    return found


def words_in(header: str) -> tuple[str, ...]:
    """The words of a header.

    Args:
        header: For example `MonthlyCharges`.

    Returns:
        In small letters, for example `monthly` and `charges`.
    """
    return tuple(word.lower() for word in re.findall(r"[^\W_]+", CAMEL.sub(" ", header)))


def says(words: tuple[str, ...], group: str) -> bool:
    """Whether a header says something of a kind.

    Args:
        words: The words of the header.
        group: A group of the lexicon.

    Returns:
        Whether a word or a phrase of the group stands in it, as whole words.
    """
    return rank(words, group) is not None


def rank(words: tuple[str, ...], group: str) -> int | None:
    """How far in front in a group stands what a header says.

    Args:
        words: The words of the header.
        group: A group of the lexicon, the best first.

    Returns:
        The place of the first word or phrase that stands in the header, from 0; None where none does.
    """
    said = f" {' '.join(words)} "
    return next((place for place, phrase in enumerate(lexicon()[group]) if f" {phrase} " in said), None)


def speaks_only_of(words: tuple[str, ...], group: str) -> bool:
    """Whether a header says something of a kind, and of nothing else.

    Args:
        words: The words of the header.
        group: A group of the lexicon.

    Returns:
        Whether a word or a phrase of the group stands in it, and beside it only what may: `num_children` is the number
        of children, and `children_books` is none of them.
    """
    said = f" {' '.join(words)} "
    of_it = {word for phrase in lexicon()[group] if f" {phrase} " in said for word in phrase.split()}
    beside = {*of_it, *lexicon()["beside"]}
    return bool(of_it) and all(word in beside or word.isdigit() for word in words)


def speaks_for_id(words: tuple[str, ...]) -> int:
    """How much a header speaks for a column that tells customers apart.

    Args:
        words: The words of the header.

    Returns:
        A number that grows with it; 0 or less where it does not.
    """
    return sum(weight * any(word in words for word in of) for weight, of in lexicon()["id"].items())


def spoken(words: tuple[str, ...]) -> str:
    """A header within a sentence.

    Args:
        words: Its words.

    Returns:
        For example `monthly charges`, or `CLV`.
    """
    spelt, acronyms = lexicon()["spelt"], lexicon()["acronyms"]
    if words[:2] == ("year", "birth") or (
        words[0:1] and words[0] in ("amt", "amount", "dt", "mnt", "spend") and leads(words)
    ):
        words = (*words[1:], words[0])
    return " ".join(word.upper() if word in acronyms else spelt.get(word, word) for word in words) or "value"


def leads(words: tuple[str, ...]) -> bool:
    """Whether the first word of a header is what the others tell more of, as in `amt_wine`.

    Args:
        words: The words of the header.

    Returns:
        Whether people would say it last.
    """
    return len(words) > 1 and words[1] not in ("of", "on", "in", "for", "due", "paid", "spent", "per", "owed")


def counted(words: tuple[str, ...]) -> str:
    """What a column counts.

    Args:
        words: The words of its header, for example `num`, `web` and `purchases`.

    Returns:
        For example `web purchases`; as `spoken` where it does not begin or end with a word for a number.
    """
    rest, numbers = words, (*NUMBERS, "total")
    while len(rest) > 1 and rest[0] in (*numbers, "of"):
        rest = rest[1:]
    while len(rest) > 1 and rest[-1] in numbers:
        rest = rest[:-1]
    return spoken(rest if is_plural(spoken(rest)) else words)


def is_plural(text: str) -> bool:
    """Whether the last word of a text stands for several things.

    Args:
        text: For example `monthly charges`.

    Returns:
        Whether people would say "are".
    """
    if text.split(" ", maxsplit=1)[0].lower() in PERIODS:
        return True
    last = HEAD.split(text, maxsplit=1)[0].rsplit(" ", 1)[-1].lower()
    if last in lexicon()["plural"]:
        return True
    return last.endswith("s") and not last.endswith(("ss", "us", "is")) and last not in lexicon()["singular"]


def sentence_case(text: str) -> str:
    """A text with its first letter large.

    Args:
        text: For example `monthly charges`.

    Returns:
        For example `Monthly charges`; `iOS` stays as it is.
    """
    return text if text[1:2].isupper() else f"{text[:1].upper()}{text[1:]}"


def plain(text: str) -> str:
    """A text that may stand in a comment.

    Args:
        text: Any text.

    Returns:
        The text on one line, without letters that cannot be seen.
    """
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


class Names:
    """Names that may be columns', each given once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Begin with those that the pipeline gives itself.

        Args:
            taken: Others that are given already.
        """
        self._taken = {*TAKEN, *taken}

    def of_header(self, header: str, place: int) -> str:
        """A name for a column of the export.

        Args:
            header: Its header.
            place: Where it stands, from 1.

        Returns:
            The header in small letters, made legal; `column_7` of one that has no Latin letters.
        """
        return self.take(name_of_header(header, place))

    def take(self, wanted: str) -> str:
        """A name for something else.

        Args:
            wanted: What it should be called.

        Returns:
            That, made legal, with a number where it is taken.
        """
        name = legal_name(wanted)
        number, first = 2, name
        while name in self._taken:
            name, number = f"{first}_{number}", number + 1
        self._taken.add(name)
        return name

    def of_group(self, category: str, text: str) -> str:
        """A name for a group of a category.

        Args:
            category: The name of the category.
            text: The value that the group stands for.

        Returns:
            The value, the first of its letters large; with a number where its column would have the name of another.
        """
        said = plain(text)[:LONGEST_GROUP].strip()
        shown = sentence_case(said) if len(said) > 1 else said or "Blank"
        group, number = shown, 2
        # Two values that differ in signs only would be one column: `A+` and `A-`.
        while (column := f"{category}_{snake_case(group)}") in self._taken or snake_case(group) == "column":
            group, number = f"{shown} {number}", number + 1
        self._taken.add(column)
        return group
