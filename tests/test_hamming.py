import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from guardrail.hamming import BITS, Hits, MultiIndex, Plan, scan, words


def random_codes(count: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def flipped(code: NDArray[np.uint8], bits: list[int]) -> NDArray[np.uint8]:
    found = np.unpackbits(code)
    found[bits] ^= 1
    return np.packbits(found)


def pairs(hits: Hits) -> set[tuple[int, int, int]]:
    return set(zip(hits.query.tolist(), hits.row.tolist(), hits.distance.tolist(), strict=True))


CODES = random_codes(400)
INDEXES = {reach: MultiIndex.build(CODES, reach) for reach in (0, 7, 31, 40, 63)}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 399),
    st.lists(st.integers(0, BITS - 1), unique=True, max_size=63),
    st.sampled_from(sorted(INDEXES)),
)
def test_nothing_within_reach_is_missed(row: int, bits: list[int], reach: int) -> None:
    index = INDEXES[reach]
    query = words(flipped(CODES[row], bits)[None])
    distances = scan(index.codes, query)[0]
    wanted = {(0, int(at), int(distances[at])) for at in np.flatnonzero(distances <= index.reach)}
    assert pairs(index.search(query, index.reach)) == wanted
    assert (len(bits) <= index.reach) == ((0, row, len(bits)) in wanted)


def test_codes_that_are_alike_are_all_found() -> None:
    codes = np.repeat(random_codes(1), 5, axis=0)
    codes[4, 0] ^= 1
    hits = MultiIndex.build(codes, 31).search(words(codes[[0, 4]]), 0)
    assert pairs(hits) == {(0, 0, 0), (0, 1, 0), (0, 2, 0), (0, 3, 0), (1, 4, 0)}


@pytest.mark.parametrize("flips", [1, 2])
@pytest.mark.parametrize("reach", [31, 40])
def test_both_plans_are_exact(flips: int, reach: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(reach // (flips + 1) + 1, flips)
    monkeypatch.setattr(Plan, "make", lambda count, reach: plan)
    codes = random_codes(2_000, seed=2)
    index = MultiIndex.build(codes, reach)
    random = np.random.default_rng(3)
    for row in range(0, 2_000, 100):
        # spread evenly over the bands: the worst case of the pigeonhole
        bits = [int(random.integers(start, end)) for start, end in plan.edges for _ in range(flips)][:reach]
        query = words(flipped(codes[row], list(dict.fromkeys(bits)))[None])
        distance = int(scan(index.codes[row : row + 1], query)[0, 0])
        assert (0, row, distance) in pairs(index.search(query, reach))


def test_a_long_list_is_cut_into_longer_bands() -> None:
    assert Plan.make(1_000_000, 31) == Plan(16, 1)
    assert Plan.make(4_200_000, 31) == Plan(12, 2)
    assert Plan.make(10_000_000, 31) == Plan(11, 2)
    for count in (10, 300_000, 2_000_000, 7_000_000):
        for reach in (0, 7, 31, 40, 63):
            plan = Plan.make(count, reach)
            assert plan.flips == reach // plan.bands
    assert Plan.make(400, 0) == Plan(11, 0)
    for plan in (Plan(16, 1), Plan(11, 2), Plan(14, 2)):
        edges = plan.edges
        assert [edges[0][0], edges[-1][1]] == [0, BITS]
        assert all(end == start for (_, end), (start, _) in pairwise(edges))


def test_a_saved_index_answers_alike(tmp_path: Path) -> None:
    built = MultiIndex.build(CODES, 31)
    built.save(tmp_path)
    opened = MultiIndex.open(tmp_path)
    queries = words(np.stack([flipped(CODES[row], list(range(row % 32))) for row in range(0, 400, 7)]))
    assert pairs(opened.search(queries, 31)) == pairs(built.search(queries, 31))
    assert opened.nbytes == built.nbytes


@pytest.mark.parametrize("harm", ["missing", "short", "plan"])
def test_a_damaged_index_is_refused(tmp_path: Path, harm: str) -> None:
    MultiIndex.build(CODES, 31).save(tmp_path)
    if harm == "missing":
        (tmp_path / "order.npy").unlink()
    elif harm == "short":
        np.save(tmp_path / "codes.npy", words(CODES)[:-1])
    else:
        (tmp_path / "plan.json").write_text(json.dumps({"bands": 14, "flips": 2, "reach": 40}))
    with pytest.raises((OSError, ValueError)):
        MultiIndex.open(tmp_path)


def test_wrong_shapes_and_reaches_are_refused() -> None:
    for wrong in (np.zeros((2, 31), np.uint8), np.zeros(32, np.uint8), np.zeros((2, 32), np.int8)):
        with pytest.raises(ValueError, match="32"):
            words(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reach of 63"):
        MultiIndex.build(CODES, 64)
    with pytest.raises(ValueError, match="exact up to 31"):
        INDEXES[31].search(words(CODES[:1]), 32)


@pytest.mark.parametrize("most", [1, 200, 1 << 19])
def test_queries_looked_up_together_find_what_each_finds_alone(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrail.hamming._MOST_CODES", most)
    queries = words(np.stack([flipped(CODES[row], list(range(row % 32))) for row in range(0, 400, 5)]))
    alone = {
        (number, row, distance)
        for number, query in enumerate(queries)
        for _, row, distance in pairs(INDEXES[31].search(query[None], 31))
    }
    assert len(alone) >= 80
    assert pairs(INDEXES[31].search(queries, 31)) == alone


def test_an_empty_index_finds_nothing() -> None:
    index = MultiIndex.build(CODES[:0], 31)
    assert len(index.search(words(CODES[:3]), 31).row) == 0
    assert len(INDEXES[31].search(words(CODES[:0]), 31).row) == 0
