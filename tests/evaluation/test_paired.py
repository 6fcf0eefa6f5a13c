from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.evaluation.metrics import Rate
from guardrail.evaluation.paired import Change, p_value

_counts = st.integers(0, 60)


def test_pairs_are_counted_by_what_they_were_and_are() -> None:
    pairs = [(True, True), (False, True), (False, True), (True, False), (False, False)]
    change = Change.of(pairs)
    assert (change.both, change.gained, change.lost, change.neither) == (1, 2, 1, 1)
    assert change.difference == pytest.approx(0.2)


@given(_counts, _counts)
def test_the_test_is_the_exact_binomial_one(gained: int, lost: int) -> None:
    flips = gained + lost
    tail = Fraction(sum(comb(flips, k) for k in range(min(gained, lost) + 1)), 2**flips)
    assert Change(3, gained, lost, 4).p == pytest.approx(float(min(Fraction(1), 2 * tail)), rel=1e-9)


def test_a_textbook_table() -> None:
    # 1 of 8 flips the other way: 2 * (1 + 8) / 256.
    assert Change(10, 7, 1, 10).p == pytest.approx(18 / 256)
    assert Change(0, 0, 0, 0).p == 1.0
    assert Change(0, 40_000, 30_000, 0).p < 1e-16


@given(_counts, _counts, _counts, _counts)
def test_the_interval_holds_the_difference_and_turns_with_the_runs(
    both: int, gained: int, lost: int, rest: int
) -> None:
    change, back = Change(both, gained, lost, rest), Change(both, lost, gained, rest)
    low, high = change.interval
    assert -1 <= low <= change.difference + 1e-12
    assert change.difference - 1e-12 <= high <= 1
    assert (-high, -low) == pytest.approx(back.interval)


def test_without_any_correlation_the_interval_combines_both_wilson_intervals() -> None:
    # 25 rows in each cell: phi is 0, so both ends are at the root of the squared distances.
    low, high = Change(25, 25, 25, 25).interval
    wilson = Rate(100, 50).interval
    reach = ((0.5 - wilson[0]) ** 2 + (wilson[1] - 0.5) ** 2) ** 0.5
    assert (low, high) == pytest.approx((-reach, reach))


def test_agreement_between_the_runs_makes_the_interval_narrower() -> None:
    alike, apart = Change(48, 2, 2, 48).interval, Change(25, 25, 25, 25).interval
    assert alike[1] - alike[0] < (apart[1] - apart[0]) / 2


def test_the_dict_is_rounded_and_p_is_readable() -> None:
    found = Change(1, 1, 0, 1).to_dict()
    assert (found["n"], found["gained"], found["lost"]) == (3, 1, 0)
    assert (found["before"], found["now"], found["difference"]) == (0.333333, 0.666667, 0.333333)
    assert Change(0, 0, 0, 0).to_dict()["low"] == -1.0
    assert (p_value(0.0123), p_value(0.0)) == ("0.012", "<1e-16")
