"""Reading a workbook, in a process of its own.

A workbook of a few hundred kilobytes may ask for any memory: one stray cell in the last column of the last row does,
and the library that reads it then ends the process it runs in, be it the code server of all sensors. So that happens to
a process which has limits and nothing else to do. It starts within a twentieth of a second, because it imports neither
this package nor pyarrow. Text is read in pieces and bounded anyway, and of a Parquet file only the footer is looked at:
those need no such process.
"""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.exports.header import HEAD_LINES
from smartcart_pipeline.exports.nameless import NamelessFile, unwritable

# A full sheet of 1,048,576 customers takes 1.9 GB and 40 seconds.
MEMORY_BYTES = 3_000_000_000
SECONDS = 300
# So long may the lines be, taken together, among which the header is.
HEAD_CHARACTERS = 1 << 20

PROGRAM = Path(__file__).with_name("workbook_cells.py")


@dataclass(frozen=True)
class Workbook:
    """The first sheet of a workbook that holds anything.

    Attributes:
        head: Its first lines, as texts without surrounding space: the header is among them.
        lines: How many lines it has, up to the last that is not blank.
        cells: Line number and cells of each line that is not blank, as a CSV file without a header.
    """

    head: tuple[tuple[str, ...], ...]
    lines: int
    cells: NamelessFile


def read_workbook(path: Path) -> Workbook:
    """Read the first sheet that has any rows.

    Args:
        path: An Excel workbook, whatever its name.

    Returns:
        Its cells.

    Raises:
        ExportError: If it cannot be opened, no sheet holds anything, or reading it takes too much.
        HomeError: If there is no room for what was read.
    """
    cells = NamelessFile()
    found = find_spec("python_calamine")
    library = Path((found and found.origin) or "").absolute().parents[1]
    limits = [str(MEMORY_BYTES), str(SECONDS), str(HEAD_LINES), str(HEAD_CHARACTERS)]
    try:
        done = subprocess.run(  # noqa: S603  (a program of ours)
            [sys.executable, "-I", "-S", PROGRAM, library, path.absolute(), cells.path, *limits],
            pass_fds=[cells.descriptor],
            capture_output=True,
            # Seconds of processor, and as many of waiting for the disk.
            timeout=2 * SECONDS,
            check=False,
        )
        ended = done.returncode
    except subprocess.TimeoutExpired:
        ended = -signal.SIGXCPU
    if ended:
        raise ExportError(
            f"{path}: reading the Excel workbook takes more than {MEMORY_BYTES / 1e9:.0f} GB of memory or {SECONDS} "
            f"seconds, or ends at once ({_say_end(ended)}). A stray cell far below or beside the customers may be why. "
            "Copy the customers alone into a new workbook, or save them as CSV, and deliver that."
        )
    said = json.loads(done.stdout)
    if "unwritten" in said:
        raise unwritable(said["unwritten"])
    if "error" in said:
        raise ExportError(
            f"{path}: the Excel workbook cannot be opened ({said['error']}). Save it again and deliver it."
        )
    if said["is_long"]:
        raise ExportError(
            f"{path}: the first line is longer than {HEAD_CHARACTERS:,} characters. "
            "Deliver the columns of the contract, and few others."
        )
    if not said["head"]:
        raise ExportError(f"{path}: the Excel workbook holds no rows. Deliver one with a header row and customers.")
    return Workbook(tuple(map(tuple, said["head"])), said["lines"], cells)


def _say_end(code: int) -> str:
    return f"its process ended by {signal.Signals(-code).name}" if code < 0 else f"its process ended with {code}"
