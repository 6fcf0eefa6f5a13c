"""The other hiding places: each family draws or wraps one instruction into encoded bytes, `make` is the way in.

A family has variants; `VARIANTS` lists them. Pixels are uint8 RGB (rows, columns, 3).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray
from PIL import Image, ImageFile

from tests.attacks.hidden import lettering, wrapping
from tests.attacks.hidden.lettering import Plane
from tests.attacks.hidden.payloads import Half
from tests.attacks.hidden.scenes import blur
from tests.attacks.hidden.wrapping import encoded

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Hidden:
    """One file of a family: its bytes, file suffix without a dot, and what the labels say.

    `mask` is where letters drawn as pixels lie in the upright picture: float32 (rows, columns), 0..1.
    """

    data: bytes
    suffix: str
    family: str
    variant: str
    payload: str
    details: dict[str, object] = field(default_factory=dict)
    mask: Plane | None = None


@dataclass(frozen=True, slots=True)
class _Job:
    """What a family gets: cover, sentence, variant, half and its generator."""

    cover: Image.Image
    text: str
    variant: str
    half: Half
    rng: np.random.Generator

    def done(self, data: bytes, suffix: str, family: str, mask: Plane | None = None, /, **details: object) -> Hidden:
        return Hidden(data, suffix, family, self.variant, self.text, details, mask)

    def pixels(self) -> Pixels:
        return np.asarray(self.cover).copy()

    def lettered(self, low: int, high: int) -> tuple[Plane, dict[str, object]]:
        """A full-size mask (rows, columns, 0..1) with the text at a random place, em of `low` to `high` px."""
        width, height = self.cover.size
        box = round(width * 0.9), round(height * 0.9)
        size = int(self.rng.integers(low, high + 1))
        drawn, chosen, lines = lettering.fitted(self.text, self.half, self.rng, size, box)
        top = int(self.rng.integers(height - drawn.shape[0] + 1))
        left = int(self.rng.integers(width - drawn.shape[1] + 1))
        full = np.zeros((height, width), np.float32)
        full[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
        place = [left, top, left + drawn.shape[1], top + drawn.shape[0]]
        return full, {"font": chosen.name, "line_px": chosen.line, "lines": lines, "box": place}


def _ink(pixels: Pixels, mask: Plane) -> Plane:
    """Black or white, whichever stands off the pixels under the mask: float32 (3,)."""
    level = float((pixels.mean(axis=2) * mask).sum() / (mask.sum() + 1e-6))
    return np.full(3, 255 if level < 128 else 0, np.float32)


def _written(pixels: Pixels, mask: Plane) -> Pixels:
    ink = _ink(pixels, mask)
    blend = pixels.astype(np.float32) + mask[..., None] * (ink - pixels)
    return np.asarray(np.rint(np.clip(blend, 0, 255)), np.uint8)


def _png(pixels: Pixels) -> bytes:
    return encoded(Image.fromarray(pixels), "PNG")


def _metadata(job: _Job) -> Hidden:
    data = wrapping.METADATA[job.variant](job.cover, job.text)
    return job.done(data, {"png": "png", "jpe": "jpg", "web": "webp"}[job.variant[:3]], "metadata")


def _polyglot(job: _Job) -> Hidden:
    picture, details, mask = b"", dict[str, object](), None
    if job.variant.endswith("picture"):
        mask, details = job.lettered(16, 30)
        picture = _png(_written(job.pixels(), mask))
    data = wrapping.POLYGLOT[job.variant](job.cover, job.text, picture)
    return job.done(data, {"png": "png", "jpe": "jpg", "gif": "gif"}[job.variant[:3]], "polyglot", mask, **details)


def _second_frame(job: _Job) -> Hidden:
    small = job.cover.resize((job.cover.width // 2, job.cover.height // 2), Image.Resampling.BOX)
    half_size = _Job(small, job.text, job.variant, job.half, job.rng)
    mask, details = half_size.lettered(14, 26)
    # The picture drifts from frame to frame, since writers drop a frame that equals the one before.
    count = int(job.rng.integers(2, 5))
    drifted = [np.roll(half_size.pixels(), 3 * step, axis=1) for step in range(count)]
    at = int(job.rng.integers(1, count))
    drifted[at] = _written(drifted[at], mask)
    frames = [Image.fromarray(pixels) for pixels in drifted]
    if job.variant == "gif":
        frames = [frame.quantize(200, dither=Image.Dither.NONE) for frame in frames]
    options: dict[str, object] = {"save_all": True, "append_images": frames[1:], "duration": 120, "loop": 0}
    if job.variant == "webp":
        options["quality"] = 80
    kind = "PNG" if job.variant == "apng" else job.variant.upper()
    data = encoded(frames[0], kind, **options)
    return job.done(data, "png" if kind == "PNG" else job.variant, "second_frame", mask, frame=at, **details)


_UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def _orientation(job: _Job) -> Hidden:
    mask, details = job.lettered(18, 40)
    exif = Image.Exif()
    exif[0x0112] = int(job.variant)
    stored = Image.fromarray(_written(job.pixels(), mask)).transpose(_UNDO[int(job.variant)])
    return job.done(encoded(stored, "JPEG", exif=exif), "jpg", "orientation", mask, **details)


def _code(job: _Job) -> Hidden:
    name, faint = job.variant.removesuffix("_faint"), job.variant.endswith("_faint")
    kind = {
        "qr": zxingcpp.BarcodeFormat.QRCode,
        "datamatrix": zxingcpp.BarcodeFormat.DataMatrix,
        "aztec": zxingcpp.BarcodeFormat.Aztec,
    }[name]
    code = zxingcpp.create_barcode(job.text, kind)
    pixels = job.pixels().astype(np.float32)
    # The longest sentences make a bar of 98 modules, which at the largest scale is wider than a narrow cover.
    modules = np.asarray(code.to_image(scale=1)).shape
    room = min((pixels.shape[axis] - 16) // modules[axis] for axis in (0, 1))
    drawn = np.asarray(code.to_image(scale=min(int(job.rng.integers(3, 7)), room)), np.uint8)
    light = np.pad(drawn, 8, constant_values=255)[..., None] / np.float32(255)
    tall, wide = light.shape[:2]
    top, left = (int(job.rng.integers(max(1, free))) for free in (pixels.shape[0] - tall, pixels.shape[1] - wide))
    region = pixels[top : top + tall, left : left + wide]
    levels = float(job.rng.uniform(8, 16)) if faint else 255.0
    if faint:
        # A faint code needs calm ground, or nothing could read it: what is left of the cover varies less than the code.
        middle = region.mean(axis=(0, 1))
        drift = blur(region, 12) - middle
        calm = middle + drift * (levels / 4 / max(1.0, float(np.abs(drift).max())))
        region[:] = np.clip(calm, levels, 255 - levels) + (light - 0.5) * levels
    else:
        region[:] = light * 255
    data = _png(np.asarray(np.rint(np.clip(pixels, 0, 255)), np.uint8))
    box = [left, top, left + wide, top + tall]
    return job.done(data, "png", "qr", levels=round(levels, 1), box=box)


def _alpha(job: _Job) -> Hidden:
    mask, details = job.lettered(18, 40)
    pixels, alpha = job.pixels(), np.full(mask.shape, 255, np.uint8)
    if job.variant == "colour_under_transparent":
        left, top, right, bottom = (int(str(v)) for v in _box(details))
        alpha[max(0, top - 6) : bottom + 6, max(0, left - 6) : right + 6] = 0
        pixels = _written(pixels, mask)
    else:
        least = 0 if job.variant == "text_in_alpha" else int(job.rng.integers(246, 254))
        alpha = np.asarray(np.rint(255 - mask * (255 - least)), np.uint8)
    return job.done(_png(np.dstack([pixels, alpha])), "png", "alpha", mask, **details)


def _box(details: dict[str, object]) -> list[object]:
    box = details["box"]
    assert isinstance(box, list)
    return box


def _palette(job: _Job) -> Hidden:
    mask, details = job.lettered(18, 36)
    step = int(job.variant.startswith("near"))
    if job.variant.endswith("flat"):
        indices = np.zeros(mask.shape, np.uint8)
        colours = job.rng.integers(20, 235, (1, 3))
    else:
        small = job.cover.quantize(120, dither=Image.Dither.NONE)
        colours = np.asarray(small.getpalette(), np.int64).reshape(-1, 3)[:120]
        indices = np.asarray(small).copy()
    twins = np.where(colours < 255, colours + step, colours - step)
    indices[mask > 0.5] += np.uint8(len(colours))
    picture = Image.fromarray(indices)
    picture.putpalette(np.vstack([colours, twins]).astype(np.uint8).tobytes())
    kind = "GIF" if job.rng.random() < 0.4 else "PNG"
    data = encoded(picture, kind, optimize=False)
    return job.done(data, kind.lower(), "palette", mask, step=step, first_twin=len(colours), **details)


def _bit16(job: _Job) -> Hidden:
    mask, details = job.lettered(18, 40)
    high = job.pixels().astype(np.uint16)
    if job.variant == "flat_low_byte":
        low = np.repeat(np.rint(mask * 255).astype(np.uint16)[..., None], 3, axis=2)
    else:
        noise = job.rng.integers(0, 90, high.shape)
        low = np.where(mask[..., None] > 0.5, 255 - noise, noise).astype(np.uint16)
    deep = (high * 256 + low)[..., ::-1]
    if job.variant == "grey_low_byte":
        deep = np.ascontiguousarray(deep[..., 1])
    fine, data = cv2.imencode(".png", deep)
    assert fine
    return job.done(data.tobytes(), "png", "bit16", mask, **details)


def _lsb(job: _Job) -> Hidden:
    pixels = job.pixels()
    channel = int(job.rng.integers(3))
    if job.variant == "picture_plane":
        mask, details = job.lettered(16, 40)
        pixels[..., channel] = (pixels[..., channel] & 0xFE) | (mask > 0.5)
        return job.done(_png(pixels), "png", "lsb", mask, channel=channel, **details)
    order = "little" if job.variant == "rgb_lsb_first" else "big"
    packed = np.frombuffer(job.text.encode("ascii") + b"\0", np.uint8)
    bits = np.unpackbits(packed, bitorder="little" if order == "little" else "big")
    plane = pixels[..., channel].reshape(-1) if job.variant == "single_channel" else pixels.reshape(-1)
    plane[: bits.size] = (plane[: bits.size] & 0xFE) | bits
    if job.variant == "single_channel":
        pixels[..., channel] = plane.reshape(pixels.shape[:2])
    return job.done(_png(pixels), "png", "lsb", channel=channel, bits=int(bits.size))


def _typographic(job: _Job) -> Hidden:
    mask, details = job.lettered(*{"large": (34, 60), "medium": (20, 33), "small": (12, 19)}[job.variant])
    image = Image.fromarray(_written(job.pixels(), mask))
    suffix, data = ("jpg", encoded(image, "JPEG")) if job.rng.random() < 0.5 else ("png", encoded(image, "PNG"))
    return job.done(data, suffix, "typographic", mask, **details)


def _low_contrast(job: _Job) -> Hidden:
    mask, details = job.lettered(18, 44)
    pixels = job.pixels().astype(np.float32)
    if job.variant == "flat":
        pixels[:] = job.rng.integers(20, 236, 3)
    levels = int(job.rng.integers(3, 9))
    sign = 1 if job.rng.random() < 0.5 else -1
    changed = np.asarray(np.rint(np.clip(pixels + sign * levels * mask[..., None], 0, 255)), np.uint8)
    return job.done(_png(changed), "png", "low_contrast", mask, contrast=levels, **details)


def _tiny_text(job: _Job) -> Hidden:
    """Capitals 5 to 8 px high, several lines, once on the picture."""
    tall = int(job.variant.removesuffix("px"))
    name = lettering.FONTS[job.half][int(job.rng.integers(len(lettering.FONTS[job.half])))]
    sizes = [size for size in range(5, 16) if _capital(lettering.face(name, size)) == tall]
    chosen = lettering.face(name, sizes[0] if sizes else tall + 2)
    drawn = lettering.mask(lettering.wrap(job.text, chosen, int(job.rng.integers(140, 320))), chosen, spacing=0)
    pixels = job.pixels()
    top = int(job.rng.integers(pixels.shape[0] - drawn.shape[0]))
    left = int(job.rng.integers(pixels.shape[1] - drawn.shape[1]))
    mask = np.zeros(pixels.shape[:2], np.float32)
    mask[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    box = [left, top, left + drawn.shape[1], top + drawn.shape[0]]
    return job.done(_png(_written(pixels, mask)), "png", "tiny_text", mask, letter_px=tall, font=chosen.name, box=box)


def _capital(chosen: lettering.Face) -> int:
    _, top, _, bottom = chosen.font.getbbox("H")
    return round(bottom - top)


_MAKERS: dict[str, Callable[[_Job], Hidden]] = {
    "metadata": _metadata,
    "second_frame": _second_frame,
    "polyglot": _polyglot,
    "orientation": _orientation,
    "qr": _code,
    "alpha": _alpha,
    "palette": _palette,
    "bit16": _bit16,
    "lsb": _lsb,
    "typographic": _typographic,
    "low_contrast": _low_contrast,
    "tiny_text": _tiny_text,
}
VARIANTS: dict[str, tuple[str, ...]] = {
    "metadata": tuple(wrapping.METADATA),
    "second_frame": ("gif", "webp", "apng"),
    "polyglot": tuple(wrapping.POLYGLOT),
    "orientation": tuple(str(value) for value in _UNDO),
    "qr": ("qr", "qr_faint", "datamatrix", "datamatrix_faint", "aztec", "aztec_faint"),
    "alpha": ("colour_under_transparent", "text_in_alpha", "faint_alpha"),
    "palette": ("equal_photo", "near_photo", "equal_flat", "near_flat"),
    "bit16": ("flat_low_byte", "noisy_low_byte", "grey_low_byte"),
    "lsb": ("rgb_msb_first", "rgb_lsb_first", "single_channel", "picture_plane"),
    "typographic": ("large", "medium", "small"),
    "low_contrast": ("photo", "flat"),
    "tiny_text": ("5px", "6px", "7px", "8px"),
}


def make(
    family: str, cover: Image.Image, text: str, rng: np.random.Generator, half: Half, *, variant: str | None = None
) -> Hidden:
    """One file of the family that hides `text` (ASCII) in the RGB cover; the variant is drawn when not given."""
    chosen = variant or str(rng.choice(VARIANTS[family]))
    return _MAKERS[family](_Job(cover, text, chosen, half, rng))


def opened(hidden: Hidden) -> ImageFile.ImageFile:
    """The first picture of the file as Pillow reads it, loaded."""
    image = Image.open(io.BytesIO(hidden.data))
    image.load()
    return image
