"""Enrolment: the templates of one person, from pictures that are good enough and agree with each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from guardrail.detector import ModelProvider
from guardrail.errors import PictureError
from guardrail.signals import RGB, DecodedPicture
from guardrail.vision.align import EMBED_POINTS, EMBED_SIDE, chip
from guardrail.vision.detect import Face, find, refine
from guardrail.vision.embed import embed
from guardrail.vision.matching import even_point
from guardrail.vision.nets import Tensor

LEAST_SIDE = 48.0
LEAST_SCORE = 0.75
LEAST_SHARPNESS = 20.0
"""Variance of the Laplacian of the 112 pixel grey chip, in levels squared."""
MOST_TURN = 0.6
"""Nose's distance from the middle of the eyes, in eye distances, beyond which a face is turned too far to enrol."""
MOST_TILT = 0.9
"""Height of the nose's tip between eyes and mouth, as a share, outside of which (and 1 less it) a head is tipped."""
AGREEMENT_RATE = 1e-3
"""Rate at which pictures of two people would pass for one."""
MAX_PICTURES = 32


def template(models: ModelProvider, decoded: DecodedPicture) -> Tensor:
    """The template of the one face a picture shows, for enrolment.

    Returns:
        (128,) float32, unit length.

    Raises:
        PictureError: reason "no_face", "several_faces", or "poor_face" for one too small, turned, tipped, blurred, cut
            off or doubtful.
        DetectionError: a net failed.
    """
    rgb = decoded.frames[0].rgb
    faces, more = find(models, rgb)
    if not faces:
        raise PictureError("no face was found", reason="no_face", advice="Send a portrait with the face in plain view.")
    if len(faces) + more > 1:
        raise PictureError(
            f"{len(faces) + more} faces were found", reason="several_faces", advice="Crop the picture to one person."
        )
    face = refine(models, rgb, faces)[0]
    fault = poor(rgb, face)
    if fault:
        raise PictureError(
            f"the face is {fault}", reason="poor_face", advice="Send a larger, sharper frontal portrait."
        )
    return embed(models, rgb, face)


def together(templates: Sequence[Tensor]) -> Tensor:
    """Templates to store for one person: each of theirs, and behind them their mean when there are several.

    The mean of a few pictures resembles a further one more than any of them does.

    Returns:
        (n, 128) float32, unit length.

    Raises:
        PictureError: reason "too_many_pictures", or "different_people" when two of them resemble each other less than
            pictures of one person do; the message numbers the one that fits least, from 1.
    """
    if len(templates) > MAX_PICTURES:
        raise PictureError(
            f"more than {MAX_PICTURES} pictures of one person",
            reason="too_many_pictures",
            advice="Choose the sharpest; more than ten add little.",
        )
    rows = np.stack(templates)
    cosines = rows @ rows.T
    least = even_point(AGREEMENT_RATE, 1)
    if any(cosines[a, b] < least for a, b in combinations(range(len(rows)), 2)):
        odd = int(np.argmin(cosines.sum(axis=1)))
        raise PictureError(
            f"the pictures do not agree with each other; number {odd + 1} fits least",
            reason="different_people",
            advice="Leave out that picture, or enrol the other person under an id of their own.",
        )
    if len(rows) == 1:
        return rows
    mean = rows.mean(axis=0)
    joined: Tensor = np.vstack([rows, mean / np.linalg.norm(mean)]).astype(np.float32)
    return joined


def poor(rgb: RGB, face: Face) -> str:
    """What makes a face too poor to enrol, in a few words; empty when nothing does."""
    height, width = rgb.shape[:2]
    wide, high = face.box[2:]
    if min(wide, high) < LEAST_SIDE:
        return "too small"
    if face.score < LEAST_SCORE:
        return "doubtful"
    if not ((face.points >= 0).all() and (face.points < (width, height)).all()):
        return "cut off"
    left, right, nose = face.points[0], face.points[1], face.points[2]
    middle = (left + right) / 2
    apart = float(np.linalg.norm(right - left))
    along = float((nose - middle) @ (right - left)) / max(apart, 1e-6)
    if abs(along) > MOST_TURN * apart:
        return "turned away"
    down = face.points[3:].mean(axis=0) - middle
    share = float((nose - middle) @ down) / max(float(down @ down), 1e-6)
    if not 1 - MOST_TILT <= share <= MOST_TILT:
        return "tipped up or down"
    grey = chip(rgb, face.points, EMBED_POINTS, EMBED_SIDE).mean(axis=2)
    edges = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    return "blurred" if float(edges.var()) < LEAST_SHARPNESS else ""
