"""Recipes: where public weights come from, pinned by commit, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guardrail.errors import ConfigurationError
from guardrail.settings import shipped


class Recipe(BaseModel):
    """A checkpoint on a hub that `guardrail models export NAME` turns into a pinned model.

    The digest of the ONNX files is not known before they are made; the commit pins what they are made from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    library: Literal["open_clip", "transformers"]
    architecture: str = Field(description="as the library calls it")
    pretrained: str = Field(description="tag of open_clip, for readers")
    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    weights: str = Field(description="file of the repository that holds the weights")
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="of that file, where it is known"
    )
    quick_gelu: bool = False
    licence: str
    author: str
    card: str


def load_recipes(folder: Path | None = None) -> Mapping[str, Recipe]:
    """Every recipe of a folder by name; the shipped ones by default.

    Raises:
        ConfigurationError: a recipe does not parse, or its name is not that of its file.
    """
    found = {}
    for path in sorted((folder or shipped("models") / "recipes").glob("*.yaml")):
        try:
            recipe = Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
            raise ConfigurationError(f"recipe {path} does not parse: {error}") from error
        if recipe.name != path.stem:
            raise ConfigurationError(f"recipe {path}: it is called {recipe.name!r}")
        found[recipe.name] = recipe
    return found
