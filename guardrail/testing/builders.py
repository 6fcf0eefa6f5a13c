"""Short ways to make the types that cross walls."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image, ImageDraw

from guardrail.settings import Limits
from guardrail.signals import Evidence, GenerationRequest, Picture, Prompt, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.vision.decode import decode


def signal(name: str, score: float = 1.0, *, detector: str = "test.builder", **evidence: str) -> Signal:
    """A signal; keyword arguments become the detail of one piece of evidence."""
    return Signal(name, score, detector, (Evidence(detail=evidence),) if evidence else ())


def drawn_picture(seed: str, *, size: tuple[int, int] = (256, 256), format: str = "PNG", frames: int = 1) -> bytes:
    """Encoded bytes of a deterministic abstract picture: overlapping shapes over a gradient.

    Args:
        seed: the same seed draws the same picture.
        size: width and height in pixels.
        format: a Pillow format name: PNG, JPEG, WEBP, GIF or AVIF.
        frames: more than one gives an animation, for formats that have them.
    """
    drawn = [_draw(f"{seed}/{index}", size) for index in range(frames)]
    data = io.BytesIO()
    extra = {"save_all": True, "append_images": drawn[1:]} if frames > 1 else {}
    drawn[0].save(data, format, **extra)
    return data.getvalue()


def prompt_subject(text: str, *, negative: str = "", operation: str = "generate", uploads: int = 0) -> Subject:
    """A prompt as a detector sees it, with `uploads` drawn pictures in its request."""
    prompt = Prompt(text, negative)
    pictures = tuple(Picture(drawn_picture(f"upload {index}")) for index in range(uploads))
    return Subject(Stage.PROMPT, GenerationRequest((prompt,), pictures, operation), prompt=prompt)


def picture_subject(data: bytes, *, stage: Stage = Stage.OUTPUT, request: GenerationRequest | None = None) -> Subject:
    """A picture as a detector sees it. Raises PictureError when it cannot be decoded."""
    picture = Picture(data, where=stage.value)
    return Subject(stage, request or GenerationRequest(), picture=decode(picture, Limits()))


def _draw(seed: str, size: tuple[int, int]) -> Image.Image:
    width, height = size
    random = np.random.default_rng(np.frombuffer(hashlib.sha256(seed.encode()).digest(), np.uint32))
    corners = Image.fromarray(random.integers(40, 216, (2, 2, 3), dtype=np.uint8))
    canvas = corners.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(random.integers(6, 12))):
        x, y = (int(random.integers(-width // 4, width)), int(random.integers(-height // 4, height)))
        w, h = (int(random.integers(width // 8, width // 2)), int(random.integers(height // 8, height // 2)))
        colour = tuple(int(part) for part in random.integers(0, 256, 3))
        shape = (pen.rectangle, pen.ellipse)[int(random.integers(2))]
        shape((x, y, x + w, y + h), fill=colour)
    return canvas
