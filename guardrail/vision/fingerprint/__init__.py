"""Fingerprints against the takedown list: PDQ, 256 bits a picture, compared by Hamming distance.

`pdq` hashes; `views` says what is hashed of a picture that is listed or looked up; `index` searches the list; `remote`
asks the banks of other services; `detector` raises the signal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guardrail.errors import PictureError
from guardrail.signals import DecodedPicture
from guardrail.vision.fingerprint import views
from guardrail.vision.fingerprint.card import CANARY_ID, canary, canary_png
from guardrail.vision.fingerprint.detector import GOOD_QUALITY, NAME, FingerprintDetector
from guardrail.vision.fingerprint.pdq import TURNS, dihedral, luma
from guardrail.vision.fingerprint.views import shown
from guardrail.vision.pyramid import Level

__all__ = [
    "CANARY_ID",
    "GOOD_QUALITY",
    "NAME",
    "TURNS",
    "FingerprintDetector",
    "canary",
    "canary_png",
    "listing",
    "pdq",
]


def pdq(decoded: DecodedPicture) -> tuple[NDArray[np.uint8], int]:
    """The (32,) packed PDQ hash of the first frame, and its quality, 0 to 100."""
    hashes, quality = dihedral(luma(shown(Level(0, decoded.frames[0].rgb))))
    return hashes[0], quality


def listing(decoded: DecodedPicture) -> NDArray[np.uint8]:
    """(n, 32) hashes to list a picture under, its plain one first.

    About 150 cuts and turns of the first frame with enough detail, 290 when something frames it, and each further such
    frame of an animation as it is.

    Raises:
        PictureError: no frame has enough detail; its hash would match others by chance.
    """
    found: list[NDArray[np.uint8]] = []
    best = 0
    for frame in decoded.frames:
        level = Level(frame.index, frame.rgb)
        hashes, quality = dihedral(luma(shown(level)))
        best = max(best, quality)
        if quality >= GOOD_QUALITY:
            found.append(hashes[:1] if found else views.listing(level))
    if not found:
        raise PictureError(
            f"too little detail for a fingerprint (quality {best} of 100)",
            reason="poor_fingerprint",
            advice="List a picture with more detail; this one would match others by chance.",
        )
    return np.concatenate(found)
