"""Fingerprints against the takedown list: PDQ, 256 bits a picture, compared by Hamming distance.

`pdq` hashes; `views` says what is hashed of a picture that is listed or looked up; `index` searches the list; `remote`
asks the banks of other services; `detector` raises the signal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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

    About 100 cuts and turns of the first frame, 200 when something frames it, and each further frame of an animation
    as it is.
    """
    found = [views.listing(Level(0, decoded.frames[0].rgb))]
    for frame in decoded.frames[1:]:
        hashes, quality = dihedral(luma(shown(Level(frame.index, frame.rgb))))
        if quality >= GOOD_QUALITY:
            found.append(hashes[:1])
    return np.concatenate(found)
