from pathlib import Path

import pytest

from guardrail.errors import ConfigurationError
from guardrail.settings import load_settings, shipped


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GUARDRAIL_POLICY", "GUARDRAIL_LIMITS__MAX_FRAMES"):
        monkeypatch.delenv(name, raising=False)


def test_arguments_beat_environment_beats_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("policy: art\nlimits:\n  max_frames: 5\n  max_ratio: 4\n")
    assert load_settings(file).policy == "art"
    monkeypatch.setenv("GUARDRAIL_POLICY", "strict")
    monkeypatch.setenv("GUARDRAIL_LIMITS__MAX_FRAMES", "7")
    loaded = load_settings(file)
    assert (loaded.policy, loaded.limits.max_frames, loaded.limits.max_ratio) == ("strict", 7, 4)
    assert load_settings(file, policy="default").policy == "default"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("polcy: art", "polcy"),
        ("limits: {max_frames: 0}", "limits.max_frames"),
        ("[1, 2]", "mapping"),
        ("a: [", "settings.yaml"),
    ],
)
def test_a_wrong_file_is_a_typed_error_that_names_the_setting(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=named):
        load_settings(file)


def test_a_missing_file_and_a_wrong_environment_are_typed_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml"):
        load_settings(tmp_path / "nothing.yaml")
    monkeypatch.setenv("GUARDRAIL_LIMITS__MAX_FRAMES", "many")
    with pytest.raises(ConfigurationError, match="max_frames"):
        load_settings()


def test_the_admin_token_does_not_print() -> None:
    settings = load_settings(server={"admin_token": "s3cret"})
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in settings.model_dump_json()


def test_shipped_folders_exist() -> None:
    assert shipped("policies").is_dir()
    assert shipped("models").is_dir()
