"""Hostile decode: encoded bytes to bounded, upright RGB frames.

Order matters. The type comes from the bytes, never from what the caller declares; size, frame count and ratio come
from a header scan and are checked before a pixel is decoded; only then does Pillow see a stream that holds nothing but
pixel data, and only through the plugin of the sniffed type.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from guardrail.errors import ConfigurationError, PictureError
from guardrail.settings import Limits
from guardrail.signals import DecodedPicture, Frame, Picture
from guardrail.vision.colour import Renderer
from guardrail.vision.containers import avif, gif, jpeg, png, webp
from guardrail.vision.containers.embedded import archived, pictures
from guardrail.vision.containers.header import Header, refuse
from guardrail.vision.containers.sniff import sniff
from guardrail.vision.containers.texts import Texts
from guardrail.vision.pixels import Seen, deep_samples, lower_bytes, orient, see, see_deep

SCANNERS: Mapping[str, Callable[[bytes, int], Header]] = MappingProxyType(
    {"png": png.scan, "jpeg": jpeg.scan, "gif": gif.scan, "webp": webp.scan, "avif": avif.scan}
)
"""The accepted types and what reads their headers; keys are also Pillow's plugin names in lower case."""

_LEAST_SECONDS, _USUAL_SECONDS = 0.01, 0.1
MAX_EMBEDDED = 32
"""Pictures inside the file that are tried."""

# The one piece of process state this package sets: Pillow's own bomb limit raises instead of warning. Our limits come
# first, so it is only met when an operator raises them beyond Pillow's.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def structure(data: bytes, limits: Limits) -> tuple[Header, int]:
    """What a file says before a pixel is decoded: its type, sizes, texts, and the way it is turned (1 to 8, TIFF 6.0).

    Raises:
        PictureError: as `decode`, for all but the pixels.
    """
    header = SCANNERS[sniff(data)](data, limits.max_frames)
    _check(header, limits)
    return header, header.orientation()


def decode(picture: Picture, limits: Limits) -> DecodedPicture:
    """Decode every frame of a picture nobody trusts.

    Args:
        picture: encoded bytes.
        limits: bytes, pixels, frames and ratio beyond which the picture is refused; nothing is skipped silently.

    Returns:
        Frames as (height, width, 3) RGB upright over white, alpha of the first frame, texts of the container, and notes
        on what was not looked at. Further images stored in one JPEG file (MPO, gain maps) come as further frames and
        may differ in size; so does, behind each frame, what a colour-managed viewer shows when that is another
        picture.

    Raises:
        PictureError: reason "empty", "too_many_bytes", "unknown_type", "svg_refused", "too_many_pixels",
            "too_many_frames", "ratio", "truncated" or "corrupt".
        ConfigurationError: the process told Pillow to accept truncated files.
    """
    if len(picture.data) > limits.max_picture_bytes:
        raise refuse("too_many_bytes", f"the picture has more than {limits.max_picture_bytes} bytes")
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ConfigurationError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on in this process",
            advice="Leave it off: with it Pillow invents the missing pixels of broken files.",
        )
    header, orientation = structure(picture.data, limits)
    renderer = Renderer(header.icc, header.gamma)
    frames: list[Frame] = []
    alpha = indexed = None
    low: tuple[tuple[str, NDArray[np.uint8]], ...] = ()
    for seen in _frames(header):
        if not frames and seen.alpha is not None:
            alpha = orient(seen.alpha, orientation)
        if not frames and seen.indexed is not None:
            indexed = orient(seen.indexed[0], orientation), seen.indexed[1]
        low = low or tuple((name, orient(pixels, orientation)) for name, pixels in seen.low)
        beneath = None if seen.beneath is None else orient(seen.beneath, orientation)
        frames.append(Frame(len(frames), orient(seen.rgb, orientation), beneath, seen.seconds))
        shown = renderer.render(seen.rgb)
        if shown is not None:
            frames.append(Frame(len(frames), orient(shown, orientation)))
    if renderer.fault:
        header.texts.note("picture.colour", renderer.fault)
    _add_embedded(header.texts, frames, limits)
    height, width = frames[0].rgb.shape[:2]
    texts = header.texts
    return DecodedPicture(
        picture, header.format, width, height, tuple(frames), alpha, indexed, texts.items, texts.notes, low, orientation
    )


def _add_embedded(texts: Texts, frames: list[Frame], limits: Limits) -> None:
    """Pictures inside the file that are no part of the picture, as further frames; files in those are only told."""
    tries = 0
    for where, block in texts.blocks:
        for data in (*pictures(block), *archived(block, where, texts)):
            tries += 1
            room = limits.max_frames - len(frames)
            spent = sum(frame.rgb.shape[0] * frame.rgb.shape[1] for frame in frames)
            if room <= 0 or spent >= limits.max_total_pixels or tries > MAX_EMBEDDED:
                texts.note(f"picture.{where}:pictures", "further pictures inside the file were not looked at")
                return
            rest = limits.model_copy(update={"max_frames": room, "max_total_pixels": limits.max_total_pixels - spent})
            try:
                header, orientation = structure(data, rest)
                shown = list(_frames(header))
            except PictureError as error:
                texts.note(
                    f"picture.{where}:pictures",
                    f"something that begins like a picture cannot be decoded ({error.reason})",
                )
                continue
            frames += [
                Frame(
                    len(frames) + index,
                    orient(seen.rgb, orientation),
                    None if seen.beneath is None else orient(seen.beneath, orientation),
                )
                for index, seen in enumerate(shown)
            ]
            for item in header.texts.items:
                texts.add(f"{where}:{item.where}", item.text)
            for note in header.texts.notes:
                # what follows a picture inside is the rest of the block it lies in
                if note.what != "picture.trailing":
                    texts.note(f"picture.{where}:{note.what.removeprefix('picture.')}", note.why)
            if any(next(pictures(inner), None) is not None for _, inner in header.texts.blocks):
                texts.note(f"picture.{where}:pictures", "pictures inside pictures inside the file were not looked at")


def _check(header: Header, limits: Limits) -> None:
    total = 0
    for width, height in header.sizes:
        if not width or not height:
            raise refuse("corrupt", "the picture says it has no width or no height")
        if width * height > limits.max_pixels:
            raise refuse("too_many_pixels", f"{width} x {height} pixels are more than {limits.max_pixels}")
        if max(width, height) > limits.max_ratio * min(width, height):
            raise refuse("ratio", f"{width} x {height} is narrower than 1 to {limits.max_ratio:g}")
        total += width * height * header.frames // len(header.sizes)
    if total > limits.max_total_pixels:
        raise refuse("too_many_pixels", f"all frames together have more than {limits.max_total_pixels} pixels")


def _seconds(opened: Image.Image) -> float:
    """How long viewers show a frame: what asks for next to no time gets as long as browsers give it."""
    told = opened.info.get("duration")
    seconds = float(told) / 1000 if isinstance(told, int | float) else 0.0
    return seconds if seconds > _LEAST_SECONDS else _USUAL_SECONDS


def _frames(header: Header) -> Iterator[Seen]:
    """Every frame of every stored image; whatever Pillow raises becomes a typed error."""
    for size, stream in zip(header.sizes, header.streams, strict=True):
        count = header.frames if len(header.streams) == 1 else 1
        samples = deep_samples(stream, size) if header.deep else None
        if header.deep and samples is None:
            header.texts.note("picture.low-bytes", "the lower bytes of the samples cannot be decoded")
        if samples is not None and count == 1 and not (header.keyed and samples.ndim == 2):
            yield see_deep(samples)
            continue
        try:
            with Image.open(io.BytesIO(stream), formats=[header.format.upper()]) as opened:
                found = int(getattr(opened, "n_frames", 1))
                if found != count or (header.format != "gif" and opened.size != size):
                    raise refuse("corrupt", "the decoder finds another picture than the header announces")
                for index in range(count):
                    opened.seek(index)
                    opened.load()
                    if opened.width * opened.height > size[0] * size[1]:
                        raise refuse("corrupt", "a frame is larger than the header announces")
                    seen = replace(see(opened), seconds=_seconds(opened) if count > 1 else None)
                    yield replace(seen, low=lower_bytes(samples)) if samples is not None and not index else seen
        except PictureError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise refuse("too_many_pixels", "the picture has more pixels than the decoder takes") from None
        except EOFError:
            raise refuse("truncated", "the picture ends before its last frame") from None
        except OSError as error:
            cut = "truncated" in str(error)
            raise refuse("truncated" if cut else "corrupt", "the pixels of the picture cannot be decoded") from None
        except Exception:
            raise refuse("corrupt", "the pixels of the picture cannot be decoded") from None
