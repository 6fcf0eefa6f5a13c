from __future__ import annotations

from pathlib import Path

from guardrail.policy import lint
from tests.policy.parts import rule, write


def remarks(folder: Path, body: str) -> list[tuple[str, int | None, str]]:
    return [(item.level, item.line, item.message) for item in lint(write(folder, body))]


def test_the_default_policy_has_nothing_to_remark() -> None:
    assert lint("default") == ()
    assert {item.level for item in lint("art")} == {"warning"}


def test_a_policy_that_does_not_load_is_an_error(tmp_path: Path) -> None:
    found = lint(write(tmp_path, rule("when: sexual.nudty >= 0.5")))
    assert [(item.level, item.line) for item in found] == [("error", 9)]
    assert found[0].to_dict()["file"].endswith("mine.yaml")
    assert [item.level for item in lint(tmp_path / "missing.yaml")] == ["error"]
    assert [item.file for item in lint("defualt")] == ["defualt"]


def test_loosening_is_shown_with_its_reason(tmp_path: Path) -> None:
    found = remarks(tmp_path, "extends: default\nrelax:\n  - {rule: injection-prompt, because: we look elsewhere}\n")
    assert found == [("warning", 6, "inherited rule 'injection-prompt' is relaxed: we look elsewhere")]


def test_what_only_watches_or_acts_on_some(tmp_path: Path) -> None:
    found = remarks(tmp_path, "extends: default\n" + rule("when: sexual.nudity >= 0.5\nmode: shadow"))
    assert [(level, message) for level, _, message in found] == [("note", "rule 'mine' only watches (shadow)")]
    found = remarks(tmp_path, "extends: default\n" + rule("when: sexual.nudity >= 0.5\nrollout: 5"))
    assert [(level, message) for level, _, message in found] == [("note", "rule 'mine' acts on 5 % of subjects")]


def test_a_rule_that_stops_everything(tmp_path: Path) -> None:
    found = remarks(tmp_path, "extends: default\n" + rule("when: sexual.nudity < 0.5"))
    assert [message for _, _, message in found] == ["rule 'mine' holds at stage prompt although nothing is raised"]


def test_a_policy_that_requires_nobody_to_look(tmp_path: Path) -> None:
    found = remarks(tmp_path, rule("pattern: '.*'"))
    assert [level for level, _, _ in found] == ["note"] * 3


def test_fields_of_a_request_that_may_be_missing(tmp_path: Path) -> None:
    for condition in ("request.params['seed'] == '1'", "request.params.seed == '1'"):
        found = remarks(tmp_path, "extends: default\n" + rule(f'when: "{condition}"'))
        assert [message for _, _, message in found] == [
            "rule 'mine' fails on requests without 'seed': write `'seed' in request.params && ...`"
        ]
    for guarded in ("'seed' in request.params", "has(request.params.seed)"):
        body = rule(f"when: \"{guarded} && request.params.seed == '1'\"")
        assert remarks(tmp_path, "extends: default\n" + body) == []


def test_a_transform_where_nothing_can_be_transformed(tmp_path: Path) -> None:
    for stage, hide, said in (
        ("prompt", "", "transforms at stage prompt"),
        ("output", "", "without saying how"),
        ("input", "hide: blur, ", "hides nothing at stage input"),
        ("output", "hide: blur, ", ""),
        ("input", "", ""),
    ):
        mine = f"{{id: mine, stage: {stage}, when: person.depicted >= 0.9, then: transform, {hide}message: m}}"
        found = remarks(tmp_path, f"extends: default\nrules:\n  - {mine}\n")
        assert [said in message for _, _, message in found] == ([True] if said else [])


def test_hiding_needs_a_transformation(tmp_path: Path) -> None:
    for fields in ("when: person.depicted >= 0.5\nthen: hold\nhide: blur", "pattern: a\nthen: transform\nhide: blur"):
        found = remarks(tmp_path, rule(fields))
        assert [level for level, _, _ in found] == ["error"]
        assert "`hide` needs" in found[0][2]


def test_a_part_of_a_file_that_is_never_skipped(tmp_path: Path) -> None:
    for part, known in (
        ("picture.exiff", False),
        ("picture.exif", True),
        ("picture.", True),
        ("picture.png:zTXt", True),
    ):
        body = rule(f"stage: input\nwhen: \"'{part}' in coverage.skipped\"\nthen: hold")
        found = remarks(tmp_path, "extends: default\n" + body)
        assert [level for level, _, _ in found] == ([] if known else ["warning"])
        assert all("'picture.exiff', which is never skipped" in message for _, _, message in found)
