"""A CLIP or SigLIP as two ONNX towers: pictures and words become unit vectors of one space. No torch.

Two manifests make one encoder: `NAME` (image tower and `clip.json`) and `NAME-text` (text tower and tokenizer). Both
are written by `guardrail models export`.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tokenizers import Tokenizer

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError, ModelIntegrityError

SPEC_FILE = "clip.json"
TOKENIZER_FILE = "tokenizer.json"
PIXELS, IDS = "pixels", "ids"
BATCH = 8
MAX_KNOWN = 8_192
"""Texts whose vectors are remembered."""
AWAKE = 0.98
"""Cosine to the vectors recorded at export below which an encoder is not the one that was exported."""

Vectors = NDArray[np.float32]
_KERNELS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_SPACE = re.compile(r"\s+")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_Three = Annotated[list[float], Field(min_length=3, max_length=3)]


def text_part(name: str) -> str:
    """Name of the manifest that holds the text tower of the CLIP `name`."""
    return f"{name}-text"


class ClipSpec(BaseModel):
    """What an exported CLIP must be fed, and what it answered when it was exported."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    height: int = Field(ge=8, le=2048, description="pixels the image tower takes")
    width: int = Field(ge=8, le=2048, description="pixels the image tower takes")
    resize: int = Field(ge=8, le=4096, description="short (or long) side before the crop or border")
    fit: Literal["shortest", "longest", "squash"] = Field(description="resize the short side and crop, or the long one")
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(description="kernel, anti-aliased")
    centre: Literal["round", "floor"] = Field("round", description="of half a pixel at the crop")
    fill: int = Field(0, ge=0, le=255, description="level of the border of fit `longest`")
    mean: _Three = Field(description="per channel, of levels in [0, 1]")
    std: _Three = Field(description="per channel")
    context: int = Field(ge=4, le=4096, description="tokens of a text, padding among them")
    pad: int = Field(ge=0, description="id of the padding")
    pad_side: Literal["right", "left"] = Field("right", description="where the padding stands")
    clean: Literal["none", "whitespace", "lower", "canonicalize"] = Field("none", description="before the tokenizer")
    vector: int = Field(ge=2, le=8192, description="length of an embedding")
    scale: float = Field(gt=0, description="logits per unit of cosine, learned")
    bias: float | None = Field(None, description="of a sigmoid loss, learned")
    probe: str = Field("", description="text whose vector is recorded")
    probe_text: list[float] = Field(default_factory=list)
    probe_image: list[float] = Field(default_factory=list, description="vector of `probe_picture`")


def probe_picture() -> Image.Image:
    """A picture drawn by arithmetic alone, the same on every machine: (256, 320) colour waves with a disc."""
    y: Any = np.arange(256.0)[:, None]
    x: Any = np.arange(320.0)[None, :]
    waves = [127.5 * (1 + np.sin(x / 23 + shift) * np.cos(y / 31 - shift)) for shift in (0.0, 1.1, 2.3)]
    rgb = np.rint(np.stack(waves, axis=2)).astype(np.uint8)
    rgb[(x - 200) ** 2 + (y - 90) ** 2 < 45**2] = (230, 40, 30)
    return Image.fromarray(rgb)


def prepare(picture: Image.Image, spec: ClipSpec) -> Vectors:
    """(3, height, width) float32 that the image tower takes, as the model's own preprocessing makes it.

    Args:
        picture: RGB, any size.
        spec: of the model.
    """
    kernel = _KERNELS[spec.interpolation]
    wide, high = picture.size
    if spec.fit == "squash":
        picture = picture.resize((spec.width, spec.height), kernel)
    else:
        side = min(wide, high) if spec.fit == "shortest" else max(wide, high)
        # the long side is cut where the short one leads, as torchvision does, and the short one rounded otherwise
        whole = int if spec.fit == "shortest" else round
        sized = [max(1, whole(spec.resize * item / side)) for item in (wide, high)]
        picture = _placed(picture.resize((sized[0], sized[1]), kernel), spec)
    mean, std = (np.asarray(item, dtype=np.float32) for item in (spec.mean, spec.std))
    levels: Vectors = (np.asarray(picture, dtype=np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(levels.transpose(2, 0, 1))


def _placed(picture: Image.Image, spec: ClipSpec) -> Image.Image:
    """The middle of the picture, or the picture in the middle of a border."""
    whole = round if spec.centre == "round" else math.floor
    left, top = whole((picture.width - spec.width) / 2), whole((picture.height - spec.height) / 2)
    if picture.width >= spec.width and picture.height >= spec.height:
        return picture.crop((left, top, left + spec.width, top + spec.height))
    ground = Image.new("RGB", (spec.width, spec.height), (spec.fill,) * 3)
    ground.paste(picture, ((spec.width - picture.width) // 2, (spec.height - picture.height) // 2))
    return ground


def clean(text: str, how: str) -> str:
    """A text as the tokenizer of the model wants it."""
    if how == "none":
        return text
    if how == "canonicalize":
        text = text.replace("_", " ").translate(_PUNCTUATION)
    text = _SPACE.sub(" ", text).strip()
    return text if how == "whitespace" else text.lower()


class ClipTokens:
    """The tokenizer of an exported CLIP.

    Raises:
        ModelIntegrityError: the file does not load.
    """

    def __init__(self, data: str, spec: ClipSpec) -> None:
        self._spec = spec
        try:
            self._tokenizer = Tokenizer.from_str(data)
        except Exception as error:
            raise ModelIntegrityError("the tokenizer file of the CLIP does not load") from error
        self._tokenizer.enable_truncation(spec.context)
        self._tokenizer.enable_padding(direction=spec.pad_side, length=spec.context, pad_id=spec.pad)

    def ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """(texts, context) int64; a text that is too long loses its end."""
        found = self._tokenizer.encode_batch([clean(text, self._spec.clean) for text in texts])
        return np.asarray([item.ids for item in found], np.int64).reshape(len(texts), self._spec.context)


class ClipEncoder:
    """Pictures and words as unit vectors. Safe for several threads.

    Args:
        models: where the towers come from.
        name: manifest of the image tower; that of the text tower is `NAME-text`.

    Raises:
        ModelMissingError, ModelIntegrityError, RuntimeMissingError: weights are missing or changed, or they do not
            answer what they answered when they were exported.
    """

    def __init__(self, models: ModelProvider, name: str) -> None:
        self.name = name
        self._models = models
        self.spec = _spec(models, name)
        text = models.file(text_part(name), TOKENIZER_FILE).read_text(encoding="utf-8")
        self._tokens = ClipTokens(text, self.spec)
        self._known: dict[str, Vectors] = {}
        self._check()

    @property
    def parts(self) -> tuple[str, str]:
        """Manifest names of both towers."""
        return self.name, text_part(self.name)

    def images(self, pictures: Sequence[Image.Image]) -> Vectors:
        """(pictures, vector) float32, unit length.

        Raises:
            DetectionError: the network failed or returned something else than vectors.
        """
        session, found = self._models.session(self.name), []
        for at in range(0, len(pictures), BATCH):
            pixels = np.stack([prepare(item, self.spec) for item in pictures[at : at + BATCH]])
            found.append(self._unit(session.run({PIXELS: pixels})[0], len(pixels)))
        return np.concatenate(found) if found else np.zeros((0, self.spec.vector), np.float32)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """(texts, vector) float32, unit length. What was embedded once is remembered: concepts share many words.

        Raises:
            DetectionError: as `images`.
        """
        known = self._known
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if len(known) + len(new) > MAX_KNOWN:
            known = {text: known[text] for text in texts if text in known}
        session = self._models.session(text_part(self.name))
        for at in range(0, len(new), BATCH):
            part = new[at : at + BATCH]
            vectors = self._unit(session.run({IDS: self._tokens.ids(part)})[0], len(part))
            known = known | dict(zip(part, vectors, strict=True))  # a new one: other threads read the old
        self._known = known
        return np.stack([known[text] for text in texts]) if texts else np.zeros((0, self.spec.vector), np.float32)

    def _unit(self, output: NDArray[np.generic], rows: int) -> Vectors:
        vectors = np.asarray(output, np.float32)
        if vectors.shape != (rows, self.spec.vector) or not np.isfinite(vectors).all():
            raise DetectionError(f"{self.name} returned something else than {self.spec.vector} finite numbers")
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        found: Vectors = (vectors / np.maximum(length, 1e-9)).astype(np.float32)
        return found

    def _check(self) -> None:
        try:
            seen = self.images([probe_picture()])[0], self.texts([self.spec.probe])[0]
        except DetectionError as error:
            raise ModelIntegrityError(f"the CLIP {self.name!r} does not run as it was exported") from error
        for got, kept in zip(seen, (self.spec.probe_image, self.spec.probe_text), strict=True):
            if len(kept) != self.spec.vector or not float(got @ np.asarray(kept, np.float32)) >= AWAKE:
                raise ModelIntegrityError(f"the CLIP {self.name!r} does not answer what it answered when exported")


def _spec(models: ModelProvider, name: str) -> ClipSpec:
    try:
        return ClipSpec.model_validate_json(models.file(name, SPEC_FILE).read_bytes())
    except (ValidationError, OSError) as error:
        raise ModelIntegrityError(f"model {name!r} is no CLIP: {SPEC_FILE} does not say what it is fed") from error
