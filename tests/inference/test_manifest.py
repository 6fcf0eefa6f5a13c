from pathlib import Path

import pytest
import yaml

from guardrail.errors import ConfigurationError, ModelError
from guardrail.inference import load_catalogue


def test_every_shipped_manifest_says_licence_card_and_digests() -> None:
    catalogue = load_catalogue()
    assert len(catalogue) >= 8
    for manifest in catalogue.values():
        assert len(manifest.card) > 40, manifest.name
        assert manifest.licence
        for spec in manifest.files:
            assert (spec.fixup is None) == (spec.sha256 == spec.source_sha256)


def test_unknown_models_and_files_are_typed_errors() -> None:
    catalogue = load_catalogue()
    with pytest.raises(ModelError, match="there are"):
        catalogue["nothing"]
    with pytest.raises(ModelError, match="no file"):
        catalogue["yunet"].file("nothing")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "other"}, "is called 'other'"),
        ({"licence": None}, "licence"),
        ({"files": []}, "files"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_wrong_manifest_is_named(tmp_path: Path, change: dict[str, object], problem: str) -> None:
    source = load_catalogue().folder / "yunet.yaml"
    data = {**yaml.safe_load(source.read_text()), **change}
    (tmp_path / "yunet.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load_catalogue(tmp_path)
    assert "yunet.yaml" in str(caught.value)


def test_a_manifest_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ConfigurationError, match=r"broken\.yaml"):
        load_catalogue(tmp_path)
