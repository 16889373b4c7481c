"""What tests go by: the declarations that come with the pipeline, and what follows from them."""

import pyarrow as pa

from smartcart_pipeline.declaration.columns import TYPES
from smartcart_pipeline.declaration.declaration import Declaration, shipped_declaration, shipped_recipes
from smartcart_pipeline.declaration.tables import declare_tables
from smartcart_pipeline.declaration.views import declare_views

DECLARATIONS: dict[str, Declaration] = {name: shipped_declaration(name) for name in shipped_recipes()}
BEHAVIOURAL, REFERENCE = DECLARATIONS["behavioural"], DECLARATIONS["reference"]
RECIPES = {name: declaration.recipe for name, declaration in DECLARATIONS.items()}
# Of each type that a table has, the one of Arrow.
ARROW = {name: getattr(pa, known.arrow)() for name, known in TYPES.items()} | {
    "TIMESTAMP": pa.timestamp("us"),
    "INTEGER[]": pa.list_(pa.int32()),
    "VARCHAR[]": pa.list_(pa.string()),
}
CONTRACT = BEHAVIOURAL.contract.columns
BY_NAME = BEHAVIOURAL.contract.by_name
NAMES = BEHAVIOURAL.contract.names
TABLES = declare_tables(BEHAVIOURAL)
VIEWS = declare_views(BEHAVIOURAL)
COMPOSITION = BEHAVIOURAL.recipe.business.composition
CATEGORIES = dict(COMPOSITION.parts) if COMPOSITION else {}
AMOUNTS = tuple(CATEGORIES)
EDUCATIONS = BY_NAME["education"].categories
MARITAL_STATUSES = BY_NAME["marital_status"].categories
LIVING_WITH = BEHAVIOURAL.recipe.by_name["living_with"].groups
EDUCATION_LEVELS = BEHAVIOURAL.recipe.by_name["education"].groups
