"""Whether something is written in squares of four pixels: what smooth kernels read alike at half the size.

At half the size, kernels that look between pixels weigh both pixels of a pair alike, in both directions, and so an
attack on them moves both alike: its edges stand between pairs and none within. Edges of a picture's own stand in both.
Periodic derivatives give away interpolation in the same way: A. Gallagher, "Detection of Linear and Cubic Interpolation
in JPEG Compressed Images", CRV 2005.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.vision.hidden.residual import Grey

LEAST = 0.078
"""What a window of one line has of it from which half the size is worth a look: harmless pictures seldom have it."""
_CAP = 90
_EDGES = (np.minimum(np.arange(256.0), _CAP) ** 2 * (255 / _CAP**2)).round().astype(np.uint8)
"""Of a step between neighbours its square, 0 to 255, up to a cap: one strong edge is no line of letters."""
_CELL, _LINE = (16, 8), (20, 3)
_FLOOR = 100.0


def doubled(residual: Grey) -> float:
    """How much stronger edges between pairs of pixels are than those within, across and down alike, 0 to 1.

    Of the window of one line that has most. Windows with few or faint edges have little.

    Args:
        residual: (height, width), as `residual.residual` gives it.
    """
    height, width = residual.shape
    cells = width // _CELL[0], height // _CELL[1]
    if min(cells) < 1:
        return 0.0
    across = _more(cv2.absdiff(residual[:, 1:], residual[:, :-1]), 1, width, cells)
    down = _more(cv2.absdiff(residual[1:], residual[:-1]), 0, height, cells)
    return max(0.0, float(np.minimum(across, down).max()))


def _more(steps: cv2.typing.MatLike, axis: int, side: int, cells: tuple[int, int]) -> NDArray[np.float32]:
    """What edges between pairs have more than those within, of both together, in windows around each cell."""
    # means along the edges first: they are the same whichever are picked, and there is less to pick from
    long, broad = cells[axis] * _CELL[axis], steps.shape[axis]
    edges = cv2.LUT(steps[:long] if axis else steps[:, :long], _EDGES)
    edges = cv2.resize(edges, (broad, cells[1]) if axis else (cells[0], broad), interpolation=cv2.INTER_AREA)
    # of an odd side one pixel more goes to the pairs: halfway they change places
    firsts = np.arange(1, side // 2) * (side / (side // 2))
    picked = (np.take(edges, np.rint(at).astype(int) - 1, axis) for at in (firsts, firsts - 1))
    between, within = (
        cv2.blur(cv2.resize(part, cells, interpolation=cv2.INTER_AREA).astype(np.float32), _LINE) for part in picked
    )
    return np.asarray((between - within) / (between + within + _FLOOR), dtype=np.float32)
