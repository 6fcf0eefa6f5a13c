"""Build the shipped data files of the text room.

    python models/training/build_lists.py --eval ../shared/eval --wheels DIR

Writes policies/lists/{confusables.tsv,words.txt,given_names.txt,people.csv,tongue_words.yaml}. `DIR` holds the wheel of
confusable-homoglyphs 3.3.1 (Unicode UTS-39 data), of symspellpy 6.10.1 (word frequencies), and the source archive of
names 0.3.0 (US Census 1990); all are read as data. Words of image prompts come from rows marked `train_ok`; names of
real people are facts, taken from rows labelled "block".
"""

from __future__ import annotations

import argparse
import collections
import csv
import json
import re
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import yaml

LISTS = Path(__file__).resolve().parents[2] / "policies" / "lists"
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_LETTERS = re.compile(r"[^\W\d_]+")
_FEW = 50
_BASES = "abcdefghijklmnopqrstuvwxyz"


def confusables(wheel: Path) -> None:
    """Characters outside ASCII that look like an ASCII letter."""
    with zipfile.ZipFile(wheel) as archive:
        table = json.loads(archive.read("confusable_homoglyphs/confusables.json"))
    found: dict[str, str] = {}
    for character, looks in table.items():
        if len(character) != 1 or character.isascii():
            continue
        for item in looks:
            other = item["c"].casefold()
            if len(other) == 1 and other in _BASES:
                found[character] = other
                break
    for character in [*found]:
        if unicodedata.normalize("NFKD", character).isascii():
            del found[character]
    lines = [f"{ord(character):04X}\t{base}" for character, base in sorted(found.items())]
    header = "# Characters that look like an ASCII letter, from Unicode UTS-39 data (Unicode License v3).\n"
    (LISTS / "confusables.tsv").write_text(header + "\n".join(lines) + "\n", encoding="utf-8")


def tongue_words() -> None:
    """Words of our own prompts in other languages, by language, as far as English does not have them."""
    english = set((LISTS / "words.txt").read_text(encoding="utf-8").splitlines())
    found: dict[str, set[str]] = {}
    for name in ("languages.yaml", "grammar.yaml"):
        data = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
        for language, groups in data.items():
            told = " ".join(text for texts in groups.values() for text in texts).lower()
            latin = {word for word in _LETTERS.findall(told) if unicodedata.name(word[0]).startswith("LATIN")}
            found.setdefault(language, set()).update(word for word in latin if len(word) > 1 and word not in english)
    lines = [f'{language}: "{" ".join(sorted(words))}"' for language, words in found.items() if len(words) > _FEW]
    header = "# Words that show a prompt is in another language, made by models/training/build_lists.py.\n"
    (LISTS / "tongue_words.yaml").write_text(header + "\n".join(lines) + "\n", encoding="utf-8")


def words(wheel: Path, evaluation: Path, most: int = 40_000, least: int = 10) -> None:
    """English words in order of frequency, then what image prompts add to them."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read("symspellpy/frequency_dictionary_en_82_765.txt").decode("utf-8-sig")
    general = [line.split()[0] for line in text.splitlines() if line.strip()][:most]
    counts: collections.Counter[str] = collections.Counter()
    for path in sorted(evaluation.glob("text/[ac]_*/*.jsonl")):
        for line in path.open(encoding="utf-8"):
            row = json.loads(line)
            if row["train_ok"] and "adversarial" not in row["category"]:
                counts.update(set(_WORD.findall(row["text"].lower())))
    held = set(general)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    own = [word for word in ranked if counts[word] >= least and word not in held and len(word) > 2]
    header = (
        "# English words by frequency: the SymSpell dictionary (Wolf Garbe, MIT; from Google Books Ngrams, CC BY 3.0,\n"
        "# and SCOWL), then words that image prompts add.\n"
    )
    kept = [word for word in general if len(word) > 1 or word in "ai"] + own
    (LISTS / "words.txt").write_text(header + "\n".join(kept) + "\n", encoding="utf-8")


def given_names(archive: Path, most: int = 2500) -> None:
    """Given names of the US Census, the more frequent first."""
    shares: dict[str, float] = {}
    with tarfile.open(archive) as packed:
        for kind in ("male", "female"):
            member = packed.extractfile(f"names-0.3.0/names/dist.{kind}.first")
            assert member is not None
            for line in member.read().decode("ascii").splitlines():
                name, share = line.split()[:2]
                shares[name.lower()] = max(shares.get(name.lower(), 0.0), float(share))
    ranked = sorted(shares, key=lambda name: -shares[name])[:most]
    header = "# Frequent given names: US Census Bureau, 1990 (public domain).\n"
    (LISTS / "given_names.txt").write_text(header + "\n".join(sorted(ranked)) + "\n", encoding="utf-8")


def people(evaluation: Path) -> None:
    """Public figures: name, kind, birth year."""
    rows: dict[str, tuple[str, str, str]] = {}
    for line in (evaluation / "text/f_names/names_labelled.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        if row["label"] != "block":
            continue
        name = " ".join(row["text"].split())
        if len(name) < 4 or "," in name or any(letter.isdigit() for letter in name):
            continue
        kind = row["category"].split("/", 1)[-1]
        year = row.get("birthyear")
        held = rows.get(name.casefold())
        if held is None or not held[2]:
            rows[name.casefold()] = (name, kind, str(year) if year is not None else "")
    with (LISTS / "people.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "kind", "born"))
        writer.writerows(rows[key] for key in sorted(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--wheels", type=Path, required=True)
    arguments = parser.parse_args()
    confusables(next(arguments.wheels.glob("confusable_homoglyphs-3.3.1-*.whl")))
    words(next(arguments.wheels.glob("symspellpy-6.10.1-*.whl")), arguments.eval)
    given_names(arguments.wheels / "names-0.3.0.tar.gz")
    people(arguments.eval)
    tongue_words()


if __name__ == "__main__":
    main()
