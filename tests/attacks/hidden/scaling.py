"""Image-scaling attacks: pictures whose downscaled view shows a text that the full size hides.

Two physical kinds. "sparse" and "one_line": the kernel skips pixels, so the few it reads carry the text (Xiao et al.,
USENIX Security 2019, describe the principle). "antialiased": every pixel counts, so a faint text lies under strong
noise that the resize averages to nothing. All planes are float32 (rows, columns), 0..255; sizes are (width, height).
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.attacks.hidden import kernels, lettering
from tests.attacks.hidden.lettering import Plane
from tests.attacks.hidden.payloads import Half, payload
from tests.attacks.hidden.plans import CHANNELS, Channel, Plan
from tests.attacks.hidden.scenes import blur

SHOWN = 0.6
LEGIBLE = 0.5
LEAST_PSNR = 24.0
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_ROUNDS = 5
_SPARED = 0.002
_BLOCKS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Attack:
    """One scaling attack. `mask` is the wanted text (view rows x columns, 0..1, negative for dark letters), `ground`
    the cover's own view on the attacked channel, `box` the text block in the view as (left, top, right, bottom)."""

    image: Image.Image | bytes
    family: str
    kernel: str
    library: str
    target: tuple[int, int]
    ratio: float
    payload: str
    details: dict[str, object]
    mask: Plane
    ground: Plane
    box: tuple[int, int, int, int]
    channel: Channel


def channel_of(pixels: NDArray[np.uint8] | Plane, channel: Channel) -> Plane:
    """The luma or one colour channel of RGB pixels (rows, columns, 3)."""
    if channel == "luma":
        return np.asarray(pixels.astype(np.float32) @ _LUMA, np.float32)
    return pixels[..., CHANNELS.index(channel) - 1].astype(np.float32)


def pixels_of(image: Image.Image | bytes) -> NDArray[np.uint8]:
    """RGB uint8 pixels (rows, columns, 3) of a picture or of its encoded bytes."""
    opened = Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image
    return np.asarray(opened.convert("RGB"))


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Peak signal to noise ratio of two uint8 pictures in dB, 99 at most."""
    error = float(((one.astype(np.float32) - other.astype(np.float32)) ** 2).mean())
    return 99.0 if error < 1e-5 else min(99.0, 10 * float(np.log10(255**2 / error)))


def correlation(one: Plane, other: Plane) -> float:
    """Pearson correlation of two planes; 0 when either is flat."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size > 1e-6 else 0.0


def view(attack: Attack, *, kernel: str | None = None) -> Plane:
    """What a pipeline sees on the attacked channel: the real library's resize with the attack's (or another) kernel."""
    small = kernels.resize(pixels_of(attack.image), attack.target, kernel or attack.kernel)
    return channel_of(small, attack.channel)


def _cut(plane: Plane, box: tuple[int, int, int, int]) -> Plane:
    left, top, right, bottom = box
    return plane[top:bottom, left:right]


def shown(attack: Attack, *, kernel: str | None = None) -> float:
    """Correlation (-1..1) of the wanted text with what the view adds to the cover's own view, in the text block."""
    return correlation(_cut(view(attack, kernel=kernel) - attack.ground, attack.box), _cut(attack.mask, attack.box))


def seen_contrast(attack: Attack, *, kernel: str | None = None) -> float:
    """How many levels the text stands off the cover's own view: the regression of the view's change on the mask."""
    wanted = _cut(attack.mask, attack.box)
    wanted = wanted - wanted.mean()
    added = _cut(view(attack, kernel=kernel) - attack.ground, attack.box)
    return float((added * wanted).sum() / ((wanted**2).sum() + 1e-6))


def legible(attack: Attack) -> float:
    """Correlation of the wanted text with the view itself, both without what is coarser than a letter."""
    return _legible(view(attack), attack.mask, attack.box)


def _legible(seen: Plane, mask: Plane, box: tuple[int, int, int, int]) -> float:
    left, top, right, bottom = box
    wide = max(0, left - 12), max(0, top - 12), right + 12, bottom + 12
    seen, mask = _cut(seen, wide), _cut(mask, wide)
    return correlation(seen - blur(seen, 6), mask - blur(mask, 6))


def plain(attack: Attack) -> float:
    """Correlation of the wanted text with the full-size picture, both without what is coarser than a letter."""
    full = channel_of(pixels_of(attack.image), attack.channel)
    rows, columns = full.shape
    across, down = columns / attack.target[0], rows / attack.target[1]
    left, top, right, bottom = attack.box
    seen = full[round(top * down) : round(bottom * down), round(left * across) : round(right * across)]
    size = seen.shape[1], seen.shape[0]
    wanted = np.asarray(cv2.resize(_cut(attack.mask, attack.box), size, interpolation=cv2.INTER_LINEAR), np.float32)
    coarse = 6 * (across + down) / 2
    return correlation(seen - cv2.blur(seen, (int(coarse), int(coarse))), wanted - wanted.mean())


def _text(plan: Plan, half: Half, rng: np.random.Generator) -> tuple[Plane, str, dict[str, object]]:
    """The text block's coverage, its sentence and what the labels say of the lettering."""
    width, height = plan.target
    if plan.family == "one_line":
        while True:
            chosen = lettering.pick_face(half, rng, int(rng.integers(11, 18)))
            sentence = payload(half, rng, longest=44)
            drawn = lettering.mask([sentence], chosen)
            if 14 <= chosen.line <= 20 and drawn.shape[1] <= width - 4:
                return drawn, sentence, {"font": chosen.name, "line_px": chosen.line, "lines": 1}
    sentence = payload(half, rng)
    largest = max(14, min(36, height // 8))
    box = round(width * rng.uniform(0.55, 0.95)), round(height * 0.85)
    drawn, chosen, lines = lettering.fitted(sentence, half, rng, int(rng.integers(12, largest + 1)), box)
    return drawn, sentence, {"font": chosen.name, "line_px": chosen.line, "lines": lines}


def _place(drawn: Plane, ground: Plane, rng: np.random.Generator) -> tuple[int, int]:
    """Upper left corner (x, y) on the calmest of some random places of the cover's view."""
    rough = cv2.boxFilter((ground - blur(ground, 3)) ** 2, -1, (9, 9))
    rows, columns = drawn.shape
    places = [
        (int(rng.integers(ground.shape[1] - columns + 1)), int(rng.integers(ground.shape[0] - rows + 1)))
        for _ in range(12)
    ]
    return min(places, key=lambda at: float(rough[at[1] : at[1] + rows, at[0] : at[0] + columns].mean()))


def _block(plan: Plan, ground: Plane, half: Half, rng: np.random.Generator) -> tuple[Attack, Plane]:
    """One try at a text block: an attack without a picture, and the view that the attacker wants."""
    drawn, sentence, details = _text(plan, half, rng)
    left, top = _place(drawn, ground, rng)
    box = left, top, left + drawn.shape[1], top + drawn.shape[0]
    level = float(_cut(ground, box).mean())
    fits = [sign for sign, room in ((-1, level), (1, 255 - level)) if room >= plan.contrast + 10]
    sign = int(rng.choice(fits)) if fits else (-1 if level > 127 else 1)
    mask = np.zeros_like(ground)
    _cut(mask, box)[:] = sign * drawn
    details |= {"contrast": round(plan.contrast, 1), "polarity": "light" if sign > 0 else "dark", "fit": plan.fit}
    details |= {"size": list(plan.size)}
    empty = Attack(
        image=b"",
        family=plan.family,
        kernel=plan.kernel,
        library=plan.kernel.split("_")[0],
        target=plan.target,
        ratio=plan.ratio,
        payload=sentence,
        details=details,
        mask=mask,
        ground=ground,
        box=box,
        channel=plan.channel,
    )
    return empty, np.asarray(np.clip(ground + plan.contrast * mask, 0, 255), np.float32)


def _wanted(plan: Plan, ground: Plane, half: Half, rng: np.random.Generator) -> tuple[Attack, Plane]:
    """The first of some text blocks that would read well on the cover's view: cheaper than drawing another cover."""
    for _ in range(_BLOCKS):
        attack, wanted = _block(plan, ground, half, rng)
        if _legible(wanted, attack.mask, attack.box) > LEGIBLE + 0.05:
            break
    return attack, wanted


def _add(pixels: Plane, change: Plane, channel: Channel) -> Plane:
    if channel == "luma":
        return np.asarray(np.clip(pixels + change[..., None], 0, 255), np.float32)
    moved = pixels.copy()
    index = CHANNELS.index(channel) - 1
    moved[..., index] = np.clip(pixels[..., index] + change, 0, 255)
    return moved


def _corrected(pixels: Plane, wanted: Plane, plan: Plan, within: Plane) -> Plane:
    """Pixels moved until the view is the wanted one where `within` is 1: projection, clipping, projection again."""
    for _ in range(_ROUNDS):
        seen = kernels.resize_float(channel_of(pixels, plan.channel), plan.target, plan.kernel)
        lack = (wanted - seen) * within
        if float((np.abs(lack) > 1.5).sum()) <= _SPARED * float(within.sum()):
            break
        pixels = _add(pixels, kernels.least_change(lack, plan.size, plan.kernel), plan.channel)
    return pixels


def finished(attack: Attack, pixels: Plane, cover: NDArray[np.uint8]) -> Attack:
    """The attack with these pixels, rounded, and what can be measured of it against its cover."""
    rounded = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    done = replace(attack, image=Image.fromarray(rounded))
    done.details.update(
        channel=attack.channel,
        psnr=round(psnr(rounded, cover), 2),
        shown=round(shown(done), 3),
        legible=round(legible(done), 3),
        plain=round(plain(done), 3),
        contrast_seen=round(seen_contrast(done), 1),
    )
    return done


def sparse(cover: Image.Image, plan: Plan, half: Half, rng: np.random.Generator) -> Attack:
    """An attack on a kernel that skips pixels; also the one-line kind. The cover is RGB of the plan's size."""
    original = np.asarray(cover)
    pixels = original.astype(np.float32)
    ground = kernels.resize_float(channel_of(pixels, plan.channel), plan.target, plan.kernel)
    attack, wanted = _wanted(plan, np.clip(ground, 0, 255), half, rng)
    within = np.zeros_like(ground)
    left, top, right, bottom = attack.box
    within[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8] = 1
    return finished(attack, _corrected(pixels, wanted, plan, within), original)


def mask_noise(size: tuple[int, int], kind: str, amplitude: float, rng: np.random.Generator) -> Plane:
    """Noise of about `amplitude` levels: float32 (rows, columns, 1 or 3).

    uniform, gaussian: white; coloured: each channel its own, softened; texture: streaks in patches, like cloth or bark.
    """
    width, height = size
    if kind == "gaussian":
        return np.asarray(rng.standard_normal((height, width, 1), np.float32) * (amplitude / 1.7), np.float32)
    if kind == "uniform":
        return np.asarray((rng.random((height, width, 1), np.float32) * 2 - 1) * amplitude, np.float32)
    white = rng.standard_normal((height, width, 3 if kind == "coloured" else 1), np.float32)
    if kind == "coloured":
        grain = blur(white, rng.uniform(0.4, 0.7))
    else:
        streak = np.zeros((5, 5), np.float32)
        end = (4, int(rng.integers(5))) if rng.random() < 0.5 else (int(rng.integers(5)), 4)
        cv2.line(streak, (4 - end[0], 4 - end[1]), end, 1.0, 1)
        patches = cv2.resize(rng.random((9, 9), np.float32), size, interpolation=cv2.INTER_CUBIC)
        grain = cv2.filter2D(white[..., 0], -1, streak)[..., None] * (0.6 + 0.6 * patches[..., None])
    return np.asarray(grain / (grain.std() + 1e-6) * (amplitude / 1.7), np.float32)


def antialiased(cover: Image.Image, plan: Plan, half: Half, rng: np.random.Generator) -> Attack:
    """An attack on an averaging kernel: a faint text under noise that lies in the null space of the resize."""
    original = np.asarray(cover)
    # Without room above and below, the noise would be clipped and leave the null space.
    squeeze = np.float32(rng.uniform(0.4, 0.75))
    pixels = np.asarray(128 + (original.astype(np.float32) - 128) * squeeze, np.float32)
    ground = kernels.resize_float(channel_of(pixels, "luma"), plan.target, plan.kernel)
    attack, wanted = _wanted(plan, np.clip(ground, 0, 255), half, rng)
    pixels = _add(pixels, kernels.least_change(wanted - ground, plan.size, plan.kernel), "luma")
    luma = channel_of(pixels, "luma")
    room = np.minimum(luma, 255 - luma)[..., None] / 127
    noise = mask_noise(plan.size, plan.noise, plan.amplitude, rng) * np.minimum(1, 0.35 + room)
    for index in range(noise.shape[2]):
        noise[..., index] = kernels.without_view(np.ascontiguousarray(noise[..., index]), plan.target, plan.kernel)
    pixels = np.asarray(np.clip(pixels + noise, 0, 255), np.float32)
    attack.details.update(noise=plan.noise, amplitude=round(plan.amplitude, 1))
    return finished(attack, _corrected(pixels, wanted, plan, np.ones_like(ground)), original)


def works(attack: Attack) -> bool:
    """Whether the payload shows in the attacker's own view and, for the sparse kinds, the picture is near its cover."""
    if shown(attack) < SHOWN or legible(attack) < LEGIBLE:
        return False
    return attack.family == "antialiased" or float(str(attack.details["psnr"])) >= LEAST_PSNR


def jpeg_copy(attack: Attack, quality: int) -> Attack:
    """The attack as JPEG bytes (quality 1..95, Pillow's usual 4:2:0), measured again on what a reader sees."""
    buffer = io.BytesIO()
    picture = attack.image if isinstance(attack.image, Image.Image) else Image.open(io.BytesIO(attack.image))
    picture.convert("RGB").save(buffer, "JPEG", quality=quality)
    copy = replace(attack, image=buffer.getvalue(), details=attack.details | {"quality": quality})
    copy.details.update(
        shown=round(shown(copy), 3),
        legible=round(legible(copy), 3),
        plain=round(plain(copy), 3),
        contrast_seen=round(seen_contrast(copy), 1),
    )
    return copy
