"""What screens and pages show that a machine reads: program listings, technical prose, menus, word lists, tables.

Listings and prose are taken from the Python installation that runs the training (its standard library, its language
reference and the descriptions of the packages beside it), so nothing is stored here; statements of other languages are
made from shapes. All of it is harmless: it teaches that orders to programs and to programmers are no orders to the
reader.
"""

from __future__ import annotations

import random
import sysconfig
import textwrap
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from pydoc_data.topics import topics  # type: ignore[import-untyped]

import yaml

from guardrail.text.listing import spoken
from guardrail.text.lists import ranked_words

LINES = (1, 2, 3, 3, 3, 6, 12, 30)
_LONGEST_LINE, _LONGEST_FILE = 100, 400_000
_COMMON = 6_000
_UNITS = ("%", "kg", "km", "ms", "EUR", "$", "MB", "h", "", "", "")


def windows(rng: random.Random, count: int) -> Iterator[str]:
    """Some lines in a row of a listing or a page, as they are and as what is said in them; joined by blanks."""
    pages = _pages()
    made = 0
    while made < count:
        lines = rng.choice(pages)
        start = rng.randrange(len(lines))
        part = lines[start : start + rng.choice(LINES)]
        text = " ".join(spoken(part) if rng.random() < 0.5 else part)
        if sum(map(str.isalpha, text)) >= 8:
            made += 1
            yield text


def statements(rng: random.Random, count: int) -> Iterator[str]:
    """Lines of code in the shapes of several languages."""
    shapes = yaml.safe_load(Path(__file__).with_name("templates").joinpath("code.yaml").read_text("utf-8"))
    words = [word for word in ranked_words()[:_COMMON] if word.isalpha() and len(word) > 2]
    for _ in range(count):
        language = rng.choice(sorted(shapes))
        names = rng.sample(words, 8)
        lines = [_filled(rng.choice(shapes[language]), names, rng) for _ in range(rng.choice(LINES))]
        yield " ".join(lines)


def lists(rng: random.Random, count: int) -> Iterator[str]:
    """Menus, side lists, table rows: words and numbers without a sentence."""
    words = [word for word in ranked_words()[:_COMMON] if word.isalpha()]
    for _ in range(count):
        cells = []
        for _ in range(rng.choice((2, 4, 7, 12, 24))):
            cells.append(" ".join(rng.choice(words) for _ in range(rng.choice((1, 1, 1, 2, 3)))))
            if rng.random() < 0.25:
                number = rng.choice((-1, 1)) * rng.uniform(0, 10 ** rng.randint(1, 5))
                cells.append(f"{number:.{rng.randint(0, 2)}f} {rng.choice(_UNITS)}")
        yield " ".join(cells)


def around(text: str, rng: random.Random) -> str:
    """A text between lines of a listing or a page, also as a remark of it."""
    before, after = windows(rng, 1), windows(rng, 1)
    said = rng.choice(
        (text, text, f"# {text}", f"// {text}", f"/* {text} */", f'"{text}"', f"print('{text}')", f"<!-- {text} -->")
    )
    parts = [next(before)[-rng.choice((40, 120, 300)) :], said, next(after)[: rng.choice((40, 120, 300))]]
    keep = rng.choice(((0, 1), (1, 2), (0, 1, 2)))
    return " ".join(parts[at] for at in keep)


@cache
def _pages() -> tuple[tuple[str, ...], ...]:
    """Lines of each page, blank ones left out."""
    library = Path(sysconfig.get_path("stdlib"))
    files = [path for path in sorted(library.rglob("*.py")) if not {"site-packages", "test", "tests"} & set(path.parts)]
    texts = [
        *(path.read_text("utf-8", "replace") for path in files if path.stat().st_size < _LONGEST_FILE),
        *topics.values(),
    ]
    found = sorted(distributions(), key=lambda item: item.metadata["Name"] or "")
    texts += [str(item.metadata.get_payload() or item.metadata.get("Description") or "") for item in found]
    pages = []
    for text in texts:
        lines = [part for line in text.splitlines() for part in textwrap.wrap(line, _LONGEST_LINE)]
        if len(lines) >= 4:
            pages.append(tuple(lines))
    return tuple(pages)


def _filled(shape: str, names: list[str], rng: random.Random) -> str:
    for mark in ("A", "B", "C"):
        shape = shape.replace(f"<{mark}>", rng.choice(names))
    shape = shape.replace("<T>", rng.choice(names).title()).replace("<n>", str(rng.randint(0, 400)))
    return shape.replace("<s>", " ".join(rng.sample(names, rng.randint(1, 5))))
