"""Blocks of a net, forward and back, compiled: stages of kernels that go through all of it.

They don't come back to Python in between. Threads share the images of a batch; each takes one at a
time from end to end of all blocks, so that what is between is near: what a convolution gives and
the gradient by that are never all there.

Letters: N, H, W, C as everywhere.
"""

from __future__ import annotations

from ...backend import Array
from .block import back_image, clear, forward_image, turn_weight, write_gradients
from .dense import through_net, up_net
from .jit import kernel
from .loss import softmax
from .team import Turn, begin, claim, does, end, give_word, meet, pieces, share_of

__all__ = ["back", "forward", "there_and_back", "up"]

# --- a whole net -----------------------------------------------------------------------------


@kernel
def up(
    turn: Turn,
    where: int,
    blocks: Array,
    between: Array,
    units: Array,
    images: Array,
    scores: Array,
) -> None:  # pragma: no cover (compiled)
    """Write what comes out of blocks and a dense net on top, of which there may be none.

    Parameters
    ----------
    turn, where, blocks, between, units, images
        As in `there_and_back`.
    scores
        What comes out, of shape (N, C), if it is to be made its softmax; or of shape (0, 0).
    """
    give_word(turn)
    _up(turn, blocks, between)
    top = blocks[len(blocks) - 1]
    up_net(turn, where, units, top["y"], top["count"], between[:, :0])
    if turn[1] == 0:
        softmax(scores)
    end(turn)


@kernel
def there_and_back(
    turn: Turn,
    where: int,
    blocks: Array,
    between: Array,
    units: Array,
    images: Array,
    scores: Array,
    targets: Array,
    gradient: Array,
    squares: Array,
    room: Array,
    loss: Array,
) -> None:  # pragma: no cover (compiled)
    """Write the loss of a batch, the outputs and the gradients of blocks and a dense net on top.

    Parameters
    ----------
    turn, where, units, scores, targets, gradient, squares, room, loss
        As in `dense.there_and_back`.
    blocks
        Of dtype `table.BLOCK`, from the bottom up.
    between
        Of shape (parts, numbers): room for each part to work in.
    images
        What goes in, whose place in memory the blocks know.
    """
    give_word(turn)
    of, top = turn[2], blocks[len(blocks) - 1]
    for part in range(of):
        if does(turn, part):
            for b in range(1, len(blocks)):
                turn_weight(blocks[b], between[part], part, of)
    _up(turn, blocks, between)
    through_net(
        turn, where, units, top["y"], top["by_y"],
        scores, targets, gradient, squares, room, between[:, :0], loss,
    )  # fmt: skip
    meet(turn)
    count = pieces(blocks[0]["count"], of)
    piece = claim(turn, -1)
    while piece < count:
        _down(blocks, between[turn[1]], turn[1], piece, count)
        piece = claim(turn, piece)
    meet(turn)
    for part in range(of):
        if does(turn, part):
            for b in range(len(blocks)):
                write_gradients(blocks[b], between[part], count, part, of)
    end(turn)


@kernel
def _up(turn: Turn, blocks: Array, between: Array) -> None:  # pragma: no cover (compiled)
    """Write the outputs of all blocks."""
    images = blocks[0]["count"]
    count = pieces(images, turn[2])
    piece = claim(turn, -1)
    while piece < count:
        first, last = share_of(piece, count, images, 1)
        for n in range(first, last):
            for b in range(len(blocks)):
                forward_image(blocks[b], n, between[turn[1]])
        piece = claim(turn, piece)
    meet(turn)


@kernel
def _down(
    blocks: Array, room: Array, own: int, piece: int, count: int
) -> None:  # pragma: no cover (compiled)
    """Write a piece's share of the gradients by the arrays of all blocks.

    Gradients by what is between two blocks are there for one image of each thread at a time: that
    of this number.
    """
    top = len(blocks) - 1
    for b in range(top + 1):
        clear(blocks[b], room, piece)
    first, last = share_of(piece, count, blocks[0]["count"], 1)
    for n in range(first, last):
        for b in range(top, -1, -1):
            back_image(blocks[b], n, n if b == top else own, own, room, piece)


# --- one block by itself ---------------------------------------------------------------------


@kernel
def forward(turn: Turn, blocks: Array, between: Array) -> None:  # pragma: no cover (compiled)
    """Write what comes out of one block."""
    first, last = begin(turn, blocks[0]["count"])
    for n in range(first, last):
        forward_image(blocks[0], n, between[turn[1]])
    end(turn)


@kernel
def back(turn: Turn, blocks: Array, between: Array) -> None:  # pragma: no cover (compiled)
    """Write the gradients of one block, those by its arrays as each part's share."""
    first, last = begin(turn, blocks[0]["count"])
    clear(blocks[0], between[turn[1]], turn[1])
    for n in range(first, last):
        back_image(blocks[0], n, n, n, between[turn[1]], turn[1])
    end(turn)
