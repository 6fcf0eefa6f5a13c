"""Hashed n-grams of letters, which need no tokeniser and no list of languages: a text as a sparse unit vector."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

SIZE = 2**17
"""Length of the vector."""
SHORTEST, LONGEST = 2, 5
_SPACE = re.compile(r"\s+")
_DIGIT = re.compile(r"\d")
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - (SIZE.bit_length() - 1))
_BLANK = np.uint64(ord(" "))

Sparse = tuple[NDArray[np.int64], NDArray[np.float32]]


def ngrams(text: str) -> Sparse:
    """Positions and values of a text's n-grams of 2 to 5 letters that do not reach over a blank.

    The value is the square root of the count, over the length of the vector (feature hashing, Weinberger et al. 2009).

    Args:
        text: any string; folded to lower case, digits to 0, blanks to one.
    """
    plain = f" {_SPACE.sub(' ', _DIGIT.sub('0', text.lower())).strip()} "
    letters = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    blank = letters == _BLANK
    found = []
    rolling = letters + np.uint64(1)
    inside = np.zeros(len(letters), bool)
    for size in range(2, LONGEST + 1):
        if len(letters) < size:
            break
        rolling = rolling[:-1] * _PRIME + letters[size - 1 :] + np.uint64(size)
        inside = inside[:-1] | (blank[size - 2 : -1] if size > 2 else False)
        kept = rolling[~inside]
        found.append((kept ^ (kept >> np.uint64(29))) * _PRIME >> _SHIFT)
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    places, counts = np.unique(np.concatenate(found).astype(np.int64), return_counts=True)
    values = np.sqrt(counts)
    return places, (values / np.linalg.norm(values)).astype(np.float32)
