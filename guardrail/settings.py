"""Deployment settings: where things are and how much is too much. Never what is allowed: that is policy.

Values come, strongest first, from arguments, `GUARDRAIL_*` environment variables (nested fields with two underscores,
such as `GUARDRAIL_LIMITS__MAX_PIXELS`), a YAML file, and the defaults here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from platformdirs import user_cache_path, user_data_path
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from guardrail.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: Literal["policies", "models"]) -> Path:
    """The folder of shipped YAML: inside the wheel, or at the top of a checkout."""
    inside = _PACKAGE / "_shipped" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


class Limits(BaseModel):
    """Bounds on hostile input. Everything beyond them is refused with a typed error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_prompt_chars: int = Field(32_000, gt=0, description="characters of one prompt")
    max_body_bytes: int = Field(64 * 2**20, gt=0, description="bytes of one HTTP body, either way")
    max_picture_bytes: int = Field(32 * 2**20, gt=0, description="bytes of one encoded picture")
    max_pixels: int = Field(40_000_000, gt=0, description="width x height of one frame")
    max_total_pixels: int = Field(160_000_000, gt=0, description="width x height x frames of one picture")
    max_frames: int = Field(64, gt=0, description="frames of one animation")
    max_ratio: float = Field(20.0, gt=1, description="long side over short side")
    max_pictures: int = Field(20, gt=0, description="pictures of one request or answer")


class Deadlines(BaseModel):
    """Seconds a stage may take before its verdict is closed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: float = Field(5.0, gt=0)
    input: float = Field(30.0, gt=0)
    output: float = Field(30.0, gt=0)


class Keys(BaseModel):
    """Where the key for face templates and listed names comes from; a file in the data folder when nothing is named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    templates: SecretStr | None = Field(None, description="the key itself: 32 bytes in hexadecimal or base64")
    templates_file: Path | None = Field(None, description="a file that holds the key: raw, hexadecimal or base64")
    unwrap: tuple[str, ...] = Field(
        (), description="a command that is given the wrapped key on standard input and prints the key"
    )
    unwrap_plugin: str | None = Field(None, description="an entry point of `guardrail.keys` that does the same")
    wrapped_file: Path | None = Field(
        None, description="the wrapped key; keys/templates.key.wrapped in the data folder when None"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        named = (self.templates, self.templates_file, self.unwrap or None, self.unwrap_plugin)
        if sum(item is not None for item in named) > 1:
            raise ValueError("name one source of the key: templates, templates_file, unwrap or unwrap_plugin")
        return self


class Faces(BaseModel):
    """How often strangers may be taken for somebody: what the scores of faces are calibrated to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    false_identifications: float = Field(
        2e-4,
        gt=0,
        le=0.1,
        description="share of strangers who score even or above against everybody enrolled",
    )
    false_matches: float = Field(
        1e-3, gt=0, le=0.1, description="share of strangers who score even or above against the faces of the uploads"
    )


Kernel = Literal[
    "pil-nearest",
    "pil-bilinear",
    "pil-bicubic",
    "pil-lanczos",
    "pil-box",
    "pil-hamming",
    "cv2-nearest",
    "cv2-linear",
    "cv2-cubic",
    "cv2-lanczos4",
    "cv2-area",
]


class Preprocessing(BaseModel):
    """How a protected model scales what it is given: the guard reads every upload as that model will."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kernel: Kernel = Field(description="library and kernel")
    size: int = Field(ge=16, le=4096, description="pixels of the side that `fit` speaks of")
    fit: Literal["exact", "short", "long"] = Field(
        "exact", description="exact: both sides; short, long: that side, and the other in proportion"
    )

    def scaled(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that a picture gets."""
        if self.fit == "exact":
            return self.size, self.size
        share = self.size / (min if self.fit == "short" else max)(width, height)
        return max(1, round(width * share)), max(1, round(height * share))


class ClipHead(BaseModel):
    """A classifier on CLIP embeddings that an operator brings: see docs/CONCEPTS.md for the layouts."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["linear", "mlp", "distance"] = Field(description="layers, or distances to concept vectors")
    file: Path = Field(description="npz or safetensors")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the file")
    signals: tuple[str, ...] = Field(
        min_length=1, max_length=64, description="signal of each output, empty for none; of all concepts for distance"
    )
    scale: float = Field(1.0, gt=0, description="calibration: logits are multiplied by it")
    shift: float = Field(0.0, description="calibration: and this is added, so that 0.5 is the even point")
    softmax: bool = Field(False, description="the outputs share one probability; otherwise each has its own")
    drop: tuple[int, ...] = Field((), description="distance: concept vectors that are left out")
    words: dict[str, float] = Field(
        default_factory=dict, max_length=64, description="distance: further concepts, words -> cosine that is even"
    )


class Server(BaseModel):
    """The sidecar."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    upstream: str | None = Field(None, description="base URL of the generator, without a trailing /v1")
    upstream_timeout: float = Field(300.0, gt=0, description="seconds for one whole answer of the generator")
    connect_timeout: float = Field(5.0, gt=0, description="seconds to reach the generator")
    max_in_flight: int = Field(64, gt=0, description="requests at once; more are told to come back (429)")
    admin_token: SecretStr | None = Field(None, description="bearer token of the admin API; without one it is off")


class Settings(BaseSettings):
    """All deployment settings. Unknown names are errors."""

    model_config = SettingsConfigDict(
        env_prefix="GUARDRAIL_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("guardrail"), description="records, keys, enrolled people"
    )
    models_dir: Path = Field(
        default_factory=lambda: user_cache_path("guardrail") / "models", description="verified weights"
    )
    models_mirror: str | None = Field(None, description="folder that holds model files or wheels, tried first")
    manifests: tuple[Path, ...] = Field((), description="further folders of model manifests, such as exported ones")
    offline: bool = Field(False, description="never fetch weights")
    policy: str = Field("default", description="name of a shipped policy, or path of a policy file")
    providers: tuple[str, ...] = Field(
        ("CUDAExecutionProvider", "CPUExecutionProvider"), description="ONNX Runtime providers in order of preference"
    )
    intra_op_threads: int = Field(1, ge=1, description="threads inside one network run")
    workers: int = Field(2, ge=1, description="threads that run networks")
    instruction_models: tuple[str, ...] = Field(
        (), max_length=4, description="classifiers that are asked too whether a text instructs: names of `models list`"
    )
    clip: str | None = Field(None, description="model that sees concepts in pictures: a name of `models list`")
    clip_backend: Literal["onnx", "torch"] = Field(
        "onnx", description="torch needs the extra `export` and a model exported with --keep-torch"
    )
    clip_device: str = Field("cpu", description="device of the torch backend, such as cuda:0")
    clip_heads: tuple[ClipHead, ...] = Field((), max_length=16, description="classifiers on embeddings of `clip`")
    clip_people: bool = Field(False, description="look for the public figures of `guardrail names`: a weak signal")
    record: bool = Field(True, description="write decisions to the data folder")
    thorough: bool = Field(
        False, description="run every detector even when the verdict is settled: whole scores, for replay; costs time"
    )
    preprocessing: tuple[Preprocessing, ...] = Field(
        (), max_length=4, description="how the protected models scale their input; each such view is always read"
    )
    resample_side: int = Field(
        1024,
        ge=64,
        le=4096,
        description="longest side of what the `transform` action hands on when no preprocessing is set",
    )
    faces: Faces = Faces()
    keys: Keys = Keys()
    limits: Limits = Limits()
    deadlines: Deadlines = Deadlines()
    server: Server = Server()


def load_settings(file: str | Path | None = None, **overrides: Any) -> Settings:
    """Settings from a YAML file, the environment and arguments.

    Raises:
        ConfigurationError: the file does not parse, or a value is unknown or out of range; the message names it.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigurationError(f"settings file {file}: {error}") from error
        if not isinstance(values, dict):
            raise ConfigurationError(f"settings file {file}: the top level must be a mapping")
    try:
        environment = Settings()
        set_there = environment.model_dump(exclude_unset=True)
        return Settings(**_merge(_merge(values, set_there), overrides))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"setting {name!r}: {first['msg']}") from error


def _merge(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
