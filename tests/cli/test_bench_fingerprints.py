from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from guardrail.cli.bench import command
from guardrail.errors import ConfigurationError
from guardrail.testing import drawn_picture

SCRIPT = """
import json
from pathlib import Path
from PIL import Image
def rows():
    lines = (Path(__file__).parent / "list.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
def variants(path, key):
    picture = Image.open(path).convert("RGB")
    yield "mirror", picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    yield "half", picture.crop((0, 0, picture.width // 2, picture.height // 2))
"""


def bench(*arguments: object) -> dict[str, object]:
    done = CliRunner().invoke(command, ["fingerprints", "--json", *(str(item) for item in arguments)])
    if done.exception is not None:
        raise done.exception
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_search_is_compared_with_looking_at_all() -> None:
    found = bench("--size", 5_000, "--runs", 40)
    assert found["compared_with_all"] == {"searches": 20, "hits": 20, "found": 20}
    assert (found["hashes"], found["found"]) == (5_000, 40)
    names = ("cpu_ms_median", "cpu_ms_p99", "cpu_ms_median_16_views", "index_mb", "build_cpu_s")
    assert all(isinstance(found[name], float) for name in names)


def test_a_set_is_measured_edit_by_edit_and_pair_by_pair(tmp_path: Path) -> None:
    (tmp_path / "neardup.py").write_text(SCRIPT, encoding="utf-8")
    for seed in ("b", "one", "two", "three"):
        (tmp_path / f"{seed}.png").write_bytes(drawn_picture(seed, size=(480, 360)))
    (tmp_path / "copy.jpg").write_bytes(drawn_picture("two", size=(480, 360), format="JPEG"))
    names = ["b.png", "one.png", "two.png", "three.png", "copy.jpg"]
    rows = [json.dumps({"image": name}) for name in names]
    (tmp_path / "pictures.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "list.jsonl").write_text(json.dumps({"file": "b.png"}), encoding="utf-8")
    found = bench("--set", tmp_path)
    assert found["edits"] == {"mirror": {"n": 1, "found": 1}, "half": {"n": 1, "found": 0}}
    assert found["all"] == {"n": 2, "found": 1, "share": 0.5}
    together = found["together"]
    assert isinstance(together, dict)
    assert together["mirrored, cut 5 %, JPEG q40"] == {"n": 1, "found": 1}
    different = found["different"]
    assert isinstance(different, dict)
    assert different["pairs"] == 10
    # the copy and its original, either way round
    assert different["within"]["31"] == 2


@pytest.mark.parametrize("arguments", [(), ("--size", "100", "--set", "."), ("--size", "0")])
def test_arguments_that_make_no_sense_are_usage_errors(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(command, ["fingerprints", *arguments]).exit_code == 2


def test_a_folder_without_a_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"neardup\.py is not there"):
        bench("--set", tmp_path)
