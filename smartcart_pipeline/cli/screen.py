"""Tables on a terminal: every column by its full name, in however narrow a window; of many rows the two ends."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

    from smartcart_pipeline.storage.questions import Answer

FIRST_ROWS, LAST_ROWS = 20, 10
# Where columns do not fit beside each other, longer texts are folded to this before columns go to further blocks: those
# of an answer, which may be anything, and those of our own lists, which are words.
FOLDED_WIDTH, FOLDED_WORDS = 40, 12
# What a column takes beside its text: a blank on either side, and a line.
MARGIN = 3
ROW, GAP = "row", "…"
# A value must not move the cursor, nor colour what follows; only ends of lines stay what they are.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(10), *range(11, 32), *range(127, 160))} | {9: "\\t", 13: "\\r"}


@dataclass(frozen=True)
class _Column:
    name: str
    is_number: bool
    cells: tuple[str, ...]
    folded: int = FOLDED_WIDTH

    @property
    def width(self) -> int:
        return max(cell_len(line) for text in (self.name, *self.cells) for line in text.split("\n"))

    def folded_width(self, room: int) -> int:
        """Wide enough for the name, where there is room for it."""
        return min(self.width, max(self.folded, cell_len(self.name)), max(room - MARGIN, 1))


def show_list(
    names: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[str] = (), bold: Collection[int] = ()
) -> None:
    """Print a few rows on standard output.

    Args:
        names: Of the columns. The first tells rows apart: it stands in each part of a table that is too wide.
        rows: Their texts.
        numbers: Columns that stand to the right.
        bold: Places of rows that stand out.
    """
    console = Console(highlight=False)
    key, *columns = (
        _Column(name, name in numbers, tuple(map(visible, cells)), FOLDED_WORDS)
        for name, cells in zip(names, zip(*rows, strict=True), strict=True)
    )
    width = console.width - 1
    room = width - key.width - MARGIN
    for block in _blocks(columns, room):
        table = _table([key, *block], width, room)
        for place in bold:
            table.rows[place].style = "bold"
        console.print(table)


def show(answer: "Answer") -> None:
    """Print an answer on standard output, which is a terminal.

    Args:
        answer: The answer, whose values are texts.
    """
    console = Console(highlight=False)
    first, last, total = _ends(answer.rows)
    has_gap = total > len(first) + len(last)
    rows = [*first, *([(GAP,) * len(answer.is_number)] if has_gap else []), *last]
    names = [visible(name) for name in answer.rows.schema.names]
    cells = zip(*rows, strict=True) if rows else ((),) * len(names)
    columns = [_Column(*one) for one in zip(names, answer.is_number, cells, strict=True)]
    blocks, room = [columns], console.width - 1
    if has_gap or _width(columns, room) > room:
        numbers = [*range(1, len(first) + 1), *range(total - len(last) + 1, total + 1)]
        marks = [f"{number:,}" for number in numbers]
        row_numbers = _Column(ROW, True, (*marks[: len(first)], *([GAP] if has_gap else []), *marks[len(first) :]))
        room -= row_numbers.width + MARGIN
        blocks = [[row_numbers, *block] for block in _blocks(columns, room)]
    for block in blocks:
        console.print(_table(block, console.width - 1, room))
    if has_gap:
        console.print(
            f"{total:,} rows: the first {len(first)} and the last {len(last)}. For all of them: | less -S, or "
            "--format csv --output FILE."
        )
    elif total == 0:
        console.print("No rows.")


def _ends(batches: "pa.RecordBatchReader") -> tuple[list[tuple[str, ...]], list[tuple[str, ...]], int]:
    """The first rows, the last rows, and how many there are: no more is kept, however long the answer."""
    first: list[tuple[str, ...]] = []
    last: deque[tuple[str, ...]] = deque(maxlen=LAST_ROWS)
    total = 0
    for batch in batches:
        total += batch.num_rows
        taken = min(batch.num_rows, FIRST_ROWS - len(first))
        first += _texts(batch.slice(0, taken))
        last += _texts(batch.slice(max(taken, batch.num_rows - LAST_ROWS)))
    return first, list(last), total


def _texts(batch: "pa.RecordBatch") -> Iterator[tuple[str, ...]]:
    columns = ([visible(value or "") for value in column.to_pylist()] for column in batch.columns)
    return zip(*columns, strict=True)


def visible(text: str) -> str:
    """A text whose control characters are shown, and do nothing.

    Args:
        text: Any text.

    Returns:
        The text; only ends of lines stay what they are.
    """
    return text.translate(CONTROLS)


def _width(columns: list[_Column], room: int) -> int:
    return sum(column.folded_width(room) + MARGIN for column in columns)


def _blocks(columns: list[_Column], room: int) -> Iterator[list[_Column]]:
    """The columns in their order, in blocks that fit."""
    block: list[_Column] = []
    for column in columns:
        if block and _width([*block, column], room) > room:
            yield block
            block = []
        block.append(column)
    yield block


def _table(columns: list[_Column], width: int, room: int) -> Table:
    # Folded is only what must be, and no more than it must.
    fits = sum(column.width + MARGIN for column in columns) <= width
    table = Table(width=None if fits else width)
    for column in columns:
        least = column.width if fits else column.folded_width(room)
        table.add_column(
            escape(column.name),
            justify="right" if column.is_number else "left",
            overflow="fold",
            no_wrap=least == column.width,
            min_width=least,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(escape, row))
    return table
