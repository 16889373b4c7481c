"""Making the page: one file that needs nothing else, from findings."""

import base64
import gzip
import hashlib
import os
import sys
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from smartcart_pipeline.report.contents import put_together
from smartcart_pipeline.report.reading import Findings
from smartcart_pipeline.storage.home import put_in_place

if TYPE_CHECKING:
    from jinja2 import Template

PAGE = files("smartcart_pipeline.report") / "page"


def write_report(findings: Findings, path: Path) -> int:
    """Make the page as a file; readers see the old page or the whole new one.

    Args:
        findings: What it shows.
        path: Where it goes.

    Returns:
        Its size in bytes.
    """
    writing = path.with_name(f".{path.name}.writing")
    try:
        size = writing.write_bytes(render(findings).encode())
        put_in_place(writing, path)
    finally:
        writing.unlink(missing_ok=True)
    return size


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
        """Keeps the compiled template beside Python's own byte code; it is compiled anew when either changes."""

        path = Path(__file__).with_name("__pycache__") / f"page.jinja.{sys.implementation.cache_tag}.pyc"

        def load_bytecode(self, bucket: Bucket) -> None:
            with suppress(OSError), self.path.open("rb") as file:
                bucket.load_bytecode(file)

        def dump_bytecode(self, bucket: Bucket) -> None:
            writing = self.path.with_name(f"{self.path.name}.{os.getpid()}")
            # Where nothing may be written, as Python too may find, it is compiled every time.
            with suppress(OSError):
                if not sys.dont_write_bytecode:
                    writing.write_bytes(bucket.bytecode_to_string())
                    os.replace(writing, self.path)

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(_read), bytecode_cache=Compiled()
    )
    return environment.get_template("page.html.jinja")


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _trust(script: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
