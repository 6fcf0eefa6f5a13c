from guardrail.evaluation import Slice, Sliced
from guardrail.evaluation.conditions import Condition
from tests.evaluation.parts import row


def test_a_slice_takes_rows_of_its_label_that_fulfil_one_group() -> None:
    old, oil = (Condition("kind", 1, wanted.__eq__) for wanted in ("old", "oil"))
    item = Slice("a", "b", label="block", groups=((old,), (oil,)))
    assert item.holds(row("1", kind="old"))
    assert item.holds(row("2", kind="oil"))
    assert not item.holds(row("3", kind="new"))
    assert not item.holds(row("4", "allow", kind="old"))
    assert not Slice("a", "b", groups=((old, oil),)).holds(row("1", kind="old"))


def test_without_conditions_a_slice_takes_every_row_of_its_label() -> None:
    assert Slice("a", "b").holds(row("1", "ambiguous"))
    assert not Slice("a", "b", label="allow").holds(row("1"))
    assert (Sliced().slices, dict(Sliced().members), dict(Sliced().truths)) == ((), {}, {})
