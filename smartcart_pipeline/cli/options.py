"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path,
    # Whoever is let in to read what is published need not be able to list what else is there.
    typer.Option(
        "--home", envvar="SMARTCART_HOME", help="Folder for everything generated.", file_okay=False, readable=False
    ),
]
