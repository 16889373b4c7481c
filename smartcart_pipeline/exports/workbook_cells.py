"""The cells of a workbook as a CSV file. A program of its own: `workbook` runs it, with limits, and nothing imports it.

It knows nothing of the package, so that it starts within milliseconds. Arguments: where python_calamine is, the
workbook, the CSV file to write, the most bytes of memory and seconds of processor to take, and how many lines and
characters to tell. On standard output it says as JSON how many lines there are, and what the first of them hold, where
the header is; or why the workbook cannot be opened.
"""

import csv
import json
import resource
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any


def main(library: str, source: str, target: str, memory: str, seconds: str, head: str, characters: str) -> None:
    """Read a workbook.

    Args:
        library: The folder of python_calamine.
        source: The workbook.
        target: The CSV file: line number and cells of each row that is not blank.
        memory: Bytes of memory to take at most.
        seconds: Seconds of processor to take at most.
        head: How many rows to tell at most.
        characters: How many characters they may have, taken together.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    sys.path.append(library)
    from python_calamine import CalamineError  # noqa: PLC0415  (within the limits)

    said: dict[str, Any] = {}
    try:
        rows = _rows(source)
        first = list(islice(rows, int(head)))
        said["head"] = _head(first, int(characters))
        said["is_long"] = bool(first) and not said["head"]
        if said["head"]:
            with Path(target).open("w", newline="", encoding="utf-8") as file:
                lines = chain(first, rows)
                said["lines"] = _write(lines, csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n"))
    except CalamineError as error:
        said["error"] = str(error)
    except OSError as error:
        said["unwritten"] = error.strerror
    json.dump(said, sys.stdout)


def _rows(source: str) -> Iterator[list[Any]]:
    """The rows of the first sheet that has any, from its first cell on."""
    from python_calamine import CalamineWorkbook  # noqa: PLC0415

    with Path(source).open("rb") as file:
        workbook = CalamineWorkbook.from_filelike(file)
        for name in workbook.sheet_names:
            sheet = workbook.get_sheet_by_name(name)
            if sheet.start:
                # Rows are told from the first on, their cells from the first column that holds anything.
                left = [""] * sheet.start[1]
                yield from (left + row for row in sheet.iter_rows())
                return


def _head(rows: Sequence[list[Any]], characters: int) -> list[list[str]]:
    """As many of the rows as have no more characters than that."""
    head = []
    for row in rows:
        characters -= sum(len(cell) if isinstance(cell, str) else 1 for cell in row)
        if characters < 0:
            break
        head.append([str(cell).strip() for cell in row])
    return head


def _write(rows: Iterator[list[Any]], file: Any) -> int:
    last = 0
    for number, row in enumerate(rows, start=1):
        if any(not isinstance(cell, str) or cell.strip() for cell in row):
            file.writerow([number, *map(_text, row)])
            last = number
    return last


def _text(cell: object) -> str:
    """A cell as it would stand in a CSV file."""
    if isinstance(cell, (datetime, date)):
        return cell.isoformat()[:10]
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


if __name__ == "__main__":
    main(*sys.argv[1:])
