"""What the page and the plots draw alike: how a segment looks, and where flows between segments lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from smartcart_pipeline.segmentation.identity import number_segment

# As many colours as shapes, so that one step further with each round of colours gives a new pair.
LOOKS = 10
# Bands that nobody counts apart are at least this far from each other, so that they stay lines.
THIN = 2.0

Pair = tuple[str | None, str | None]


@dataclass(frozen=True)
class Look:
    """How a segment is drawn, whatever other segments there are.

    Attributes:
        colour: Number of its colour, 0 to 9.
        shape: Number of its shape, 0 to 9; two segments have both in common only a hundred ids apart.
    """

    colour: int
    shape: int


def look_of(segment_id: str) -> Look:
    """How a segment looks: by its id, so that it keeps colour and mark when another is born or retires.

    Args:
        segment_id: `S01`, `S02`, …

    Returns:
        The look.
    """
    number = number_segment(segment_id) - 1
    return Look(number % LOOKS, (number + number // LOOKS) % LOOKS)


@dataclass(frozen=True)
class Band:
    """Customers that go from one segment to another, or stay.

    Attributes:
        start: The segment before; None for who arrived.
        end: The segment after; None for who left.
        customers: How many.
        width: How wide it is; proportional to the customers.
        left: Where its middle is at its start, from above.
        right: The same at its end.
        is_labelled: Whether there is room for a number at its start.
    """

    start: str | None
    end: str | None
    customers: int
    width: float
    left: float = 0.0
    right: float = 0.0
    is_labelled: bool = False

    @property
    def stays(self) -> bool:
        """Whether nobody in it moves."""
        return self.start == self.end

    @property
    def whither(self) -> str:
        """What follows after its number: where its customers go, as it begins where they were."""
        return "stayed" if self.stays else "left" if self.end is None else f"to {self.end}"


@dataclass(frozen=True)
class Block:
    """A segment at one side, that bands leave or enter.

    Attributes:
        segment: The segment; None for who arrived, or left.
        customers: How many.
        top: Where it begins, from above.
        height: How high it is: its bands, and the room between them.
    """

    segment: str | None
    customers: int
    top: float
    height: float


@dataclass(frozen=True)
class Flows:
    """Bands between two sides.

    Attributes:
        height: Of the whole.
        before: Blocks at the left, from above.
        after: Blocks at the right.
        bands: Between them: who stayed first, so that who moved is drawn over it.
    """

    height: float
    before: tuple[Block, ...]
    after: tuple[Block, ...]
    bands: tuple[Band, ...]


def lay_out_flows(flows: Mapping[Pair, int], width: float, room: float, gap: float, labelled: int) -> Flows:
    """Find a place for each flow, so that none lies upon another at either side.

    Args:
        flows: Customers by segment before and segment after.
        width: How wide all bands are together.
        room: What a number needs, from above to below.
        gap: Between two blocks.
        labelled: How many of those who moved, arrived or left get a number, the largest first; who stayed always does.

    Returns:
        The flows.
    """
    total = max(sum(flows.values()), 1)
    told = sorted((pair for pair in flows if pair[0] != pair[1]), key=lambda pair: -flows[pair])[:labelled]
    bands = {
        pair: Band(*pair, number, width * number / total, is_labelled=pair in told or pair[0] == pair[1])
        for pair, number in sorted(flows.items(), key=lambda flow: tuple(map(_last, flow[0])))
    }
    left, before = _stack(bands, 0, {pair: room if band.is_labelled else THIN for pair, band in bands.items()}, room)
    right, after = _stack(bands, 1, dict.fromkeys(bands, THIN), room)
    sides = [before, after]
    height = max(sum(block.height for block in side) + gap * (len(side) - 1) for side in sides)
    (shifts_left, before), (shifts_right, after) = (_spread(side, height) for side in sides)
    placed = [
        replace(band, left=left[pair] + shifts_left[pair[0]], right=right[pair] + shifts_right[pair[1]])
        for pair, band in bands.items()
    ]
    return Flows(height, before, after, tuple(sorted(placed, key=lambda band: not band.stays)))


def _last(segment: str | None) -> tuple[bool, int]:
    """Segments by number, and who is in none of them last."""
    return (segment is None, number_segment(segment) if segment else 0)


def _stack(
    bands: Mapping[Pair, Band], side: int, least: Mapping[Pair, float], room: float
) -> tuple[dict[Pair, float], tuple[Block, ...]]:
    """Places of bands in each block of a side, from the block's top, and the blocks, each two lines high at least."""
    places, blocks = {}, []
    for segment in sorted({pair[side] for pair in bands}, key=_last):
        mine = {pair: band for pair, band in bands.items() if pair[side] == segment}
        slots = {pair: max(band.width, least[pair]) for pair, band in mine.items()}
        height = max(sum(slots.values()), 2 * room)
        at = (height - sum(slots.values())) / 2
        for pair, slot in slots.items():
            places[pair] = at + slot / 2
            at += slot
        blocks.append(Block(segment, sum(band.customers for band in mine.values()), 0.0, height))
    return places, tuple(blocks)


def _spread(blocks: Sequence[Block], height: float) -> tuple[dict[str | None, float], tuple[Block, ...]]:
    """The blocks of a side as far from each other as its height lets them."""
    gap = (height - sum(block.height for block in blocks)) / max(len(blocks) - 1, 1)
    tops, at = {}, 0.0
    for block in blocks:
        tops[block.segment] = at
        at += block.height + gap
    return tops, tuple(replace(block, top=tops[block.segment]) for block in blocks)
