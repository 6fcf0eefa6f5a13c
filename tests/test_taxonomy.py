from guardrail.taxonomy import (
    AZURE_CATEGORIES,
    MLCOMMONS_HAZARDS,
    OPENAI_CATEGORIES,
    REKOGNITION_LABELS,
    SIGNALS,
    is_signal,
    nearest,
    public_category,
)


def test_names_are_dotted_and_keyed_by_themselves() -> None:
    for name, entry in SIGNALS.items():
        assert entry.name == name
        assert name.count(".") == 1
        assert entry.meaning
        assert entry.public


def test_crosswalks_only_use_known_names() -> None:
    assert len(OPENAI_CATEGORIES) == 13
    assert {key for entry in SIGNALS.values() for key in entry.openai} <= set(OPENAI_CATEGORIES)
    assert set(REKOGNITION_LABELS) <= set(SIGNALS)
    assert set(MLCOMMONS_HAZARDS) <= set(SIGNALS)
    assert set(AZURE_CATEGORIES) <= {entry.public for entry in SIGNALS.values()}


def test_nearest_finds_the_misspelt_name_and_nothing_for_noise() -> None:
    assert nearest("sexual.nuditty") == "sexual.nudity"
    assert nearest("zzzz") is None
    assert is_signal("sexual.nudity")
    assert not is_signal("sexual.nuditty")


def test_public_category_never_tells_more_than_the_coarse_word() -> None:
    assert public_category("person.protected") == "real_person"
    assert public_category("made.up") == "policy"
