import guardrail


def test_the_public_names_are_sorted_complete_and_importable() -> None:
    assert guardrail.__all__ == sorted(guardrail.__all__)
    for name in guardrail.__all__:
        assert getattr(guardrail, name).__name__ == name
    public = {
        name for name, value in vars(guardrail).items() if getattr(value, "__module__", "").startswith("guardrail.")
    }
    assert {name for name in public if not name.startswith("_")} <= set(guardrail.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(guardrail, "Nothing")
