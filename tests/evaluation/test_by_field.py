import pytest

from guardrail.errors import ConfigurationError
from guardrail.evaluation import slices_by
from tests.evaluation.parts import row


def test_each_value_and_label_is_a_slice_and_block_is_told_apart_from_allow() -> None:
    rows = [
        row("1", "block", source="b"),
        row("2", "allow", source="b"),
        row("3", "block", source="a"),
        row("4", "ambiguous", source="a"),
        row("5", "allow"),
        row("6", "block", source="b"),
    ]
    found = slices_by("source", rows, ["sexual."])
    assert [(item.name, item.against, item.families) for item in found.slices] == [
        ("a: block", None, ("sexual.",)),
        ("b: allow", None, ("sexual.",)),
        ("b: block", "b: allow", ("sexual.",)),
    ]
    assert found.members == {"a: block": [2], "b: allow": [1], "b: block": [0, 5]}


def test_a_list_puts_a_row_into_several_slices_and_numbers_are_names_too() -> None:
    rows = [row("1", tags=("x", "y"), year=1900), row("2", tags=("y",), year=1901)]
    assert slices_by("tags", rows).members == {"x: block": [0], "y: block": [0, 1]}
    assert list(slices_by("year", rows).members) == ["1900: block", "1901: block"]
    assert list(slices_by("category", rows).members) == ["(empty): block"]


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("sourc", "no labelled row has a field 'sourc'.*did you mean 'source'"),
        ("note", "no labelled row has"),
        ("text", "cannot name slices"),
        ("base", "cannot name slices"),
        ("long", "cannot name slices"),
        ("odd", "cannot name slices"),
        ("id", "cannot name slices"),
    ],
)
def test_a_field_that_is_missing_or_would_tell_the_prompts_is_refused(field: str, problem: str) -> None:
    rows = [
        row(str(at), text=f"marker {at}", source="a", base="marker 7", long="m" * 81, odd="a\n") for at in range(201)
    ]
    rows.append(row("x", "ambiguous", note="a"))
    with pytest.raises(ConfigurationError, match=problem) as refusal:
        slices_by(field, rows)
    assert "marker" not in refusal.value.diagnostics()


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"starts with 'sexy\.'"):
        slices_by("source", [row("1", source="a")], ["sexy."])
