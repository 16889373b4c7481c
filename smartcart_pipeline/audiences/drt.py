"""A project for drt, by which a data team hands an audience on to its mail tool.

drt (reverse ETL as code) reads the changes of all deliveries with DuckDB, sends them over HTTP, and remembers how far
it has come. The project holds no customer, no address and no secret: drt reads the deliveries where they are, and takes
the rest from its environment.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from smartcart_pipeline.audiences.audience import Audience
from smartcart_pipeline.audiences.deliveries import CHANGES, REMOVED, audience_folder
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.engines.sql import identifier, literal
from smartcart_pipeline.storage.home import Home

# What drt calls its connection; it is the same one for all audiences.
PROFILE = "smartcart"
LISTED_URL, REMOVED_URL, TOKEN = "RECEIVER_LISTED_URL", "RECEIVER_REMOVED_URL", "RECEIVER_TOKEN"
# Customers in one request.
BATCH_ROWS = 500
# More than any delivery has changes, few enough that drt, which compares positions as floating-point numbers, tells any
# two apart.
PLACES = 1_000_000_000

MODEL = Template(r"""-- $what
-- Of several deliveries that have not been sent, a customer's last change alone is sent.
WITH delivered AS (
    -- All values are texts, as they stand in the files: an id such as 000123 is no number. Where a text was given a
    -- quotation mark so that no spreadsheet takes it for a formula, it is taken away again.
    SELECT
        CAST(regexp_extract(delivered_in, '([0-9]+)/[^/]*$$', 1) AS BIGINT) AS delivery_number,
        regexp_replace(COLUMNS(* EXCLUDE (delivered_in)), '^''([=+\-@\t\r])', '\1')
    FROM read_csv(
        $files,
        header = true, delim = ',', quote = '"', escape = '"', all_varchar = true, allow_quoted_nulls = false,
        union_by_name = true, hive_partitioning = false, filename = 'delivered_in'
    )
    -- What was sent from earlier deliveries is not even read.
    WHERE delivery_number >= {{ watermark }} // $places
),
placed AS (
    -- drt remembers the last position that it sent. No two changes have the same one, so it can stop anywhere.
    SELECT *, $places * delivery_number
        + row_number() OVER (PARTITION BY delivery_number ORDER BY $key) AS change_position
    FROM delivered
    QUALIFY row_number() OVER (PARTITION BY $key ORDER BY delivery_number DESC) = 1
)
SELECT
    change_position,
    $shown
FROM placed
WHERE change $compared $removed AND change_position > {{ watermark }}
ORDER BY change_position
""")

SYNC_NOTE = "# on_error stays `fail`: with `skip` drt would leave out for good whom the receiver did not take.\n"

IGNORED = "# What drt remembers of its runs.\n.drt/\ntarget/\n"

README = Template("""\
# Audience $name, by drt

Tells a receiver, by [drt](https://github.com/drt-hub/drt), who was added to the audience, changed or removed.

Once, on the machine where the home is, as the user that the home belongs to:

    pip install 'drt-core[duckdb]'
    drt profile add $profile          # answer duckdb, then :memory:

Each time, in this folder, after `smartcart audience deliver $name`:

    export $listed_url=...      # takes customers who are to be on the list, or have other values
    export $removed_url=...     # takes the ids of those who are to be on it no more
    export $token=...           # goes along as a bearer token
    drt run

What is sent, by POST, up to $rows customers at a time, all values as texts, null where there is none:

    $listed_body
    $removed_body

The receiver must bear being told the same twice: a customer who is on the list already is given the new values, and
removing one who is not on it is no error. Let one `drt run` end before the next begins, and leave `--threads` alone.

`syncs/` says where to and how, for a tool that wants another method, other headers or another body; `syncs/models/`
says which columns are sent. Where the audience gets other columns, make the project anew in another folder, and move
`.drt/`, which says what has been sent, from here to there.
""")


def write_project(folder: Path, home_root: Path, audience: Audience) -> list[Path]:
    """Write a project for drt that sends the changes of an audience to a receiver.

    Args:
        folder: Where to: a folder that is empty, or not there yet.
        home_root: The home whose deliveries are sent.
        audience: The audience.

    Returns:
        The files.

    Raises:
        CallError: If something is in the folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CallError(f"{folder}: there is something already. Name a folder that is empty or new, with --output.")
    written = []
    for name, text in _make_files(Home(home_root.resolve()), audience).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _make_files(home: Home, audience: Audience) -> dict[str, str]:
    """The text of each file, by its path."""
    files = _match_changes(home, audience)
    customer = ", ".join(f"{literal(name)}: {identifier(name)}" for name in audience.columns)
    bodies = {
        "removed": _body(audience, "customer_ids", f"rows | map(attribute='{KEY}') | list"),
        "listed": _body(audience, "customers", "rows | map(attribute='customer') | list"),
    }
    return {
        "README.md": _describe(audience),
        ".gitignore": IGNORED,
        "drt_project.yml": _dump({"name": audience.name, "profile": PROFILE}),
        # In the order of their names: whoever is to be written to no more need not wait for the others.
        "syncs/1_removed.yml": SYNC_NOTE + _dump(_sync(audience, "removed", REMOVED_URL, bodies["removed"])),
        "syncs/2_listed.yml": SYNC_NOTE + _dump(_sync(audience, "listed", LISTED_URL, bodies["listed"])),
        "syncs/models/removed.sql": _model(files, "=", identifier(KEY), "Who is to be on the list no more."),
        "syncs/models/listed.sql": _model(
            files, "<>", f"{{{customer}}} AS customer", "Who is to be on the list, or is on it with other values."
        ),
    }


def _match_changes(home: Home, audience: Audience) -> str:
    """The files of changes as a pattern, in SQL that DuckDB alone reads: to drt, `{{` and `${` mean something."""
    folder = re.sub(r"[*?\[{$]", r"[\g<0>]", str(audience_folder(home, audience.name)))
    # A delivery that is being written begins with a point.
    return literal(f"{folder}/[0-9]*/{CHANGES}")


def _model(files: str, compared: str, shown: str, what: str) -> str:
    return MODEL.substitute(
        what=what,
        files=files,
        places=PLACES,
        key=identifier(KEY),
        shown=shown,
        compared=compared,
        removed=literal(REMOVED),
    )


def _body(audience: Audience, called: str, rows: str) -> str:
    """What a request holds, as a template of drt's."""
    return f'{{"audience": {json.dumps(audience.name)}, "{called}": {{{{ {rows} | tojson_safe }}}}}}'


def _sync(audience: Audience, which: str, url: str, body: str) -> dict[str, Any]:
    return {
        "name": f"{audience.name}_{which}",
        "model": f"ref('{which}')",
        "destination": {
            "type": "rest_api",
            "url": f"${{{url}}}",
            "method": "POST",
            "headers": {"Content-Type": "application/json"},
            "auth": {"type": "bearer", "token_env": TOKEN},
            "body_mode": "batch",
            "batch_template": body,
        },
        "sync": {
            "mode": "incremental",
            "cursor_field": "change_position",
            "watermark": {"storage": "local", "default_value": "0"},
            "batch_size": BATCH_ROWS,
            "on_error": "fail",
        },
    }


def _describe(audience: Audience) -> str:
    values = dict.fromkeys(audience.columns, "...")
    return README.substitute(
        name=audience.name,
        profile=PROFILE,
        listed_url=LISTED_URL,
        removed_url=REMOVED_URL,
        token=TOKEN,
        rows=BATCH_ROWS,
        listed_body=json.dumps({"audience": audience.name, "customers": [values]}, ensure_ascii=False),
        removed_body=json.dumps({"audience": audience.name, "customer_ids": ["..."]}, ensure_ascii=False),
    )


def _dump(said: Mapping[str, Any]) -> str:
    import yaml  # noqa: PLC0415  (nobody needs it without a project)

    # Else a long text would be broken into lines.
    return str(yaml.safe_dump(dict(said), sort_keys=False, allow_unicode=True, width=1000))
