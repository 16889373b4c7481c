"""Making the page: one file that needs nothing else, from findings."""

import base64
import gzip
import hashlib
import os
import re
import sys
from contextlib import suppress
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from smartcart_pipeline.report.contents import put_together
from smartcart_pipeline.report.reading import Findings, read_findings
from smartcart_pipeline.storage.access import admit_readers
from smartcart_pipeline.storage.home import Home, put_in_place
from smartcart_pipeline.storage.publications import published, run_of
from smartcart_pipeline.storage.run_lock import try_to_hold

if TYPE_CHECKING:
    from jinja2 import Template

PAGE = files("smartcart_pipeline.report") / "page"
# Beside Python's own byte code.
COMPILED = Path(__file__).with_name("__pycache__") / f"page.jinja.{sys.implementation.cache_tag}.pyc"
# So many bytes of a page hold its head, down to the run that it tells of.
BEGINNING = 2_000


def write_report(findings: Findings, path: Path) -> int:
    """Make the page as a file; readers see the old page or the whole new one.

    Args:
        findings: What it shows.
        path: Where it goes.

    Returns:
        Its size in bytes.
    """
    put_in_place(lay_ready(findings, path), path)
    return path.stat().st_size


def lay_ready(findings: Findings, path: Path) -> Path:
    """Make the page as a file beside the one that is to be replaced.

    Args:
        findings: What it shows.
        path: Where it will go.

    Returns:
        The finished file, under a hidden name.
    """
    written = path.with_name(f".{path.name}.writing")
    try:
        written.write_bytes(render(findings).encode())
        admit_readers(Home(path.parent), written)
    except OSError:
        written.unlink(missing_ok=True)
        raise
    return written


def mend_report(home: Home) -> None:
    """Make the page anew where it tells of another run than the published warehouse does.

    That is what a process leaves that dies between publishing and telling. Where a run is under way, or nothing may be
    written, the page stays as it is.

    Args:
        home: The home.
    """
    shown = published(home)
    if shown is None or _run_told(home.report) == run_of(shown):
        return
    from smartcart_pipeline.engines.duckdb import DuckDBEngine  # noqa: PLC0415  (hardly ever needed)

    # Whatever keeps the page from being made must keep no run from beginning; `smartcart report` tells what it is.
    with suppress(Exception), try_to_hold(home) as held:
        if held:
            write_report(read_findings(DuckDBEngine(), shown), home.report)


def _run_told(page: Path) -> str | None:
    try:
        start = page.read_bytes()[:BEGINNING]
    except OSError:
        return None
    found = re.search(rb'<meta name="smartcart-run" content="([^"]+)">', start)
    return found[1].decode() if found else None


def render(findings: Findings) -> str:
    """Make the page.

    Args:
        findings: What it shows.

    Returns:
        HTML.
    """
    packed = (PAGE / "plotly-gl3d.min.js.gz").read_bytes()
    script = _read("report.js")
    return _template().render(
        put_together(findings),
        # Nothing but these two scripts may run, whatever the data say.
        trusted=f"{_trust(script.encode())} {_trust(gzip.decompress(packed))}",
        style=_read("style.css"),
        script=script,
        plotly=base64.b64encode(packed).decode(),
    )


def _template() -> "Template":
    from jinja2 import BytecodeCache, Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415  (slow to import)
    from jinja2.bccache import Bucket  # noqa: PLC0415

    class Compiled(BytecodeCache):
        """Keeps the compiled template; it is compiled anew when its text, an option or Jinja itself changes."""

        def get_bucket(self, environment: Environment, name: str, filename: str | None, source: str) -> Bucket:
            # Jinja tells compiled templates apart by their text alone.
            options = {key: value for key, value in vars(environment).items() if isinstance(value, str | int | None)}
            compiled_by = f"{version('jinja2')} {options} {sorted(environment.extensions)}"
            return super().get_bucket(environment, name, filename, f"{compiled_by}\n{source}")

        def load_bytecode(self, bucket: Bucket) -> None:
            with suppress(OSError), COMPILED.open("rb") as file:
                bucket.load_bytecode(file)

        def dump_bytecode(self, bucket: Bucket) -> None:
            writing = COMPILED.with_name(f"{COMPILED.name}.{os.getpid()}")
            # Where nothing may be written, as Python too may find, it is compiled every time.
            with suppress(OSError):
                if not sys.dont_write_bytecode:
                    writing.write_bytes(bucket.bytecode_to_string())
                    os.replace(writing, COMPILED)

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(_read), bytecode_cache=Compiled()
    )
    return environment.get_template("page.html.jinja")


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _trust(script: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
