"""The declaration: a contract and a recipe that fit each other, as one value that is handed on."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from smartcart_pipeline.declaration.contract import Contract
from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.declaration.files import nearest, refusal
from smartcart_pipeline.declaration.reading_contract import build_contract, read_contract
from smartcart_pipeline.declaration.reading_recipe import build_recipe, read_recipe
from smartcart_pipeline.declaration.recipe import DaysSince, Recipe, read_by

# What a home without files of its own segments: SmartCart's export.
SHIPPED = Path(__file__).parents[1] / "smartcart"
CONTRACT_FILE, RECIPE_FILE = "contract.yaml", "recipe.yaml"
DEFAULT = "behavioural"
# What is held beside it.
ALTERNATIVE = "balanced"


@dataclass(frozen=True)
class Declaration:
    """What an export is, and what is made of it.

    Attributes:
        contract: What every column of the export must be.
        recipe: What is made of them.
    """

    contract: Contract
    recipe: Recipe

    def document(self) -> dict[str, Any]:
        """Both as plain data, fit for JSON; `read_declared` reads it."""
        return {"contract": dict(self.contract.source), "recipe": dict(self.recipe.source)}

    def columns_of(self, name: str) -> frozenset[str]:
        """The columns of the contract that something comes from.

        Args:
            name: A column, or a feature.

        Returns:
            Their names.
        """
        feature = self.recipe.by_name.get(name)
        if feature is None:
            return frozenset({name})
        # A feature of a column's name is made from that column.
        sources = read_by(feature.verb)
        return frozenset(column for of in sources for column in ({of} if of == name else self.columns_of(of)))

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns of the contract that features come from, in its order."""
        read = {column for name in self.recipe.by_name for column in self.columns_of(name)}
        return tuple(name for name in self.contract.names if name in read)

    @property
    def newest_day(self) -> str:
        """What people call the newest day that all may be counted to: a join date, if customers count from it."""
        newest, tenure = self.recipe.newest, self.recipe.by_name.get(self.recipe.business.tenure or "")
        if newest is None or (tenure is not None and tenure.verb == DaysSince(newest)):
            return "join date"
        return f"day of “{self.contract.by_name[newest].header}”"

    def as_delivered(self, headers: Collection[str]) -> "Declaration":
        """The declaration for a file that may have some columns under their synonyms.

        Args:
            headers: The headers of the file, or those of them that are synonyms.

        Returns:
            The declaration, whose messages name the headers that the file has.
        """
        return replace(self, contract=self.contract.as_delivered(headers))

    @cached_property
    def digest(self) -> str:
        """A short digest of all that both say."""
        return digest_of(self.document())


def digest_of(document: Mapping[str, Any]) -> str:
    """A short digest of plain data.

    Args:
        document: The data.

    Returns:
        Sixteen hexadecimal digits; the same whatever the order of keys.
    """
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_declaration(folder: Path, recipe: str | None = None, segments: int | None = None) -> Declaration:
    """The declaration that a home goes by.

    Args:
        folder: The home. Its own `contract.yaml` and `recipe.yaml`, where they are there, come before the shipped ones.
        recipe: The name of a shipped recipe, or the path of a file, instead.
        segments: How many segments there shall be, whatever the recipe says; None for what it says.

    Returns:
        The declaration.

    Raises:
        DeclarationError: If a file is wrong: it names the file, the place, and what was expected.
        CallError: If there is no such recipe.
    """
    own = folder / CONTRACT_FILE
    contract = read_contract(own if own.is_file() else SHIPPED / CONTRACT_FILE)
    found = read_recipe(_find_recipe(folder, recipe), contract, shipped_recipes())
    if segments is not None:
        found = replace(found, segments=segments, source={**found.source, "segments": segments})
    return declare(contract, found)


def declare(contract: Contract, recipe: Recipe) -> Declaration:
    """A declaration, of a contract and a recipe that has been held against it.

    Args:
        contract: The contract.
        recipe: The recipe.

    Returns:
        Both; what the recipe refuses to do without, the contract requires, and what it counts as missing may be so.
    """
    columns = tuple(
        replace(
            column,
            nullable=(column.nullable or column.name in recipe.unknown) and column.name not in recipe.refused,
        )
        for column in contract.columns
    )
    return Declaration(replace(contract, columns=columns), recipe)


def find_alternative(declaration: Declaration) -> Declaration | None:
    """The recipe that may do better where a recipe's segments are not to be believed.

    Args:
        declaration: What a night goes by.

    Returns:
        The shipped `balanced` for a contract that has all its columns; None for that recipe itself, or another table.
    """
    other = shipped_declaration(ALTERNATIVE)
    known = {column.name: column.type for column in declaration.contract.columns}
    fits = declaration.contract.name == other.contract.name and all(
        known.get(name) == other.contract.by_name[name].type for name in other.columns_read
    )
    return other if fits and declaration.recipe.seen_by != other.recipe.seen_by else None


def _find_recipe(folder: Path, recipe: str | None) -> Path:
    own = folder / RECIPE_FILE
    if recipe is None:
        return own if own.is_file() else SHIPPED / f"{DEFAULT}.yaml"
    shipped = shipped_recipes()
    if recipe in shipped:
        return shipped[recipe]
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    raise CallError(
        f"--recipe {recipe!r} is not known{nearest(recipe, tuple(shipped))}. Or name a file that ends in .yaml."
    )


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the pipeline.

    Returns:
        Their files, by name, the default first.
    """
    found = {path.stem: path for path in sorted(SHIPPED.glob("*.yaml")) if path.name != CONTRACT_FILE}
    return {DEFAULT: found.pop(DEFAULT)} | found


@cache
def shipped_declaration(recipe: str = DEFAULT) -> Declaration:
    """What a home without files of its own goes by.

    Args:
        recipe: One of `shipped_recipes`.

    Returns:
        The declaration.
    """
    contract = read_contract(SHIPPED / CONTRACT_FILE)
    return declare(contract, read_recipe(shipped_recipes()[recipe], contract, shipped_recipes()))


def read_declared(document: Mapping[str, Any], whose: str) -> Declaration:
    """A declaration, from the plain data that keeps it.

    Args:
        document: What `Declaration.document` gave.
        whose: Where it is kept, for messages.

    Returns:
        The declaration.

    Raises:
        DeclarationError: If it is not whole.
    """
    return _read_declared(json.dumps(document, default=str), whose)


# A run reads the model in force a dozen times, always with the same declaration.
@lru_cache(maxsize=8)
def _read_declared(text: str, whose: str) -> Declaration:
    document = json.loads(text)
    clean = document["recipe"].get("clean", {})
    if "impute" in clean:
        # Nights of an earlier version called it so.
        clean["missing"] = clean.pop("impute")
    contract, faults = build_contract(Path(whose), document["contract"])
    recipe, wrong = build_recipe(Path(whose), document["recipe"], contract)
    if faults or wrong:
        raise refusal(Path(whose), [*faults, *wrong])
    return declare(contract, recipe)
