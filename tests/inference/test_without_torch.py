"""The default install does without torch: nothing imports it, and what needs it says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from guardrail.cli import cli
from guardrail.errors import ConfigurationError
from guardrail.inference.export import load_recipes
from guardrail.inference.export.tools import need

FORBIDDEN = """
import sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('torch', 'transformers', 'open_clip', 'safetensors', 'huggingface_hub'):
            raise ImportError('forbidden: ' + name)
sys.meta_path.insert(0, Forbidden())
"""


def test_the_package_and_every_verb_import_without_torch() -> None:
    code = FORBIDDEN + (
        "import pkgutil, importlib, guardrail, guardrail.cli as verbs\n"
        "for item in pkgutil.walk_packages(guardrail.__path__, 'guardrail.'):\n"
        "    if not item.name.endswith('__main__'):\n"
        "        importlib.import_module(item.name)\n"
        "print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fine", done.stderr


def test_export_without_torch_says_what_to_install(tmp_path: Path) -> None:
    code = FORBIDDEN + (
        f"sys.argv = ['guardrail', 'models', 'export', 'clip-vit-b-32', '--out', {str(tmp_path)!r}]\n"
        "from guardrail.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "guardrail[export]" in done.stderr
    assert not list(tmp_path.glob("*.yaml"))


def test_a_missing_module_is_a_typed_error() -> None:
    with pytest.raises(ConfigurationError, match="no_such_module"):
        need("no_such_module")


def test_recipes_are_pinned_and_speak_of_their_licence() -> None:
    recipes = load_recipes()
    assert {"clip-vit-b-32", "clip-vit-l-14-openai", "clip-vit-l-14-datacomp", "siglip2-base"} <= set(recipes)
    for recipe in recipes.values():
        assert len(recipe.commit) == 40
        assert recipe.licence
        assert recipe.card


def test_recipes_are_listed_without_torch() -> None:
    rows = json.loads(CliRunner().invoke(cli, ["models", "export", "--recipes", "--json"]).stdout)
    assert {row["name"] for row in rows} == set(load_recipes())
    shown = CliRunner().invoke(cli, ["models", "export"])
    assert shown.exit_code == 0
    assert "siglip2-base" in shown.stdout


def test_a_recipe_under_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(Path("models/recipes/clip-vit-b-32.yaml").read_text())
    with pytest.raises(ConfigurationError, match="clip-vit-b-32"):
        load_recipes(tmp_path)
    (tmp_path / "other.yaml").write_text("name: other\n")
    with pytest.raises(ConfigurationError, match="does not parse"):
        load_recipes(tmp_path)
