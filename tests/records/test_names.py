import contextlib
import csv
import io
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import InputError, RecordError
from guardrail.records import FingerprintStore, LocalRegistry, NamesStore, names, read_names
from guardrail.records.database import FILE_NAME, SCHEMA_VERSION
from guardrail.records.names import COLUMNS, KINDS, MAX_ALIASES
from guardrail.settings import Settings
from guardrail.signals import ListedName
from tests.records.parts import all_bytes, child, pdq, wait_until

INVENTED = ListedName("", "Ottoline Quarrywick", ("Otti Quarry", "@ottiquarry"), "staff", True, 1991)


def test_names_come_back_as_they_were_and_lie_encrypted(settings: Settings) -> None:
    store = NamesStore(settings)
    (id,) = store.add([INVENTED])
    (found,) = store.current().names
    assert found == replace(INVENTED, id=id)
    stored = all_bytes(settings.data_dir)
    assert id.encode() in stored
    assert b"Quarrywick" not in stored
    assert b"ottiquarry" not in stored
    assert store.remove(id)
    assert not store.remove(id)
    assert id.encode() not in all_bytes(settings.data_dir)
    store.close()


def test_a_name_or_an_id_that_exists_is_replaced_and_every_change_counts(settings: Settings) -> None:
    store = NamesStore(settings)
    versions = [store.version()]
    (first,) = store.add([INVENTED])
    versions.append(store.current().version)
    assert store.add([ListedName("", "ottoline  QUARRYWICK")]) == [first]
    (found,) = store.current().names
    assert (found.kind, found.aliases) == ("private", ())
    assert store.add([ListedName(first, "Perrin Quarrywick")]) == [first]
    assert [entry.name for entry in store.current().names] == ["Perrin Quarrywick"]
    assert store.add([]) == []
    versions.append(store.version())
    assert versions == [0, 1, 3]
    assert len(set(store.add([ListedName("", "Perrin Quarrywick"), ListedName("", "Tamsin Quarrywick")]))) == 2
    store.close()


@pytest.mark.parametrize(
    "entry",
    [
        ListedName("", ""),
        ListedName("", "x"),
        ListedName("", "1234"),
        ListedName("", "a" * 201),
        ListedName("", "half \ud800 pair"),
        ListedName("", "Perrin Quarrywick", kind="other"),
        ListedName("", "Perrin Quarrywick", aliases=("",)),
        ListedName("", "Perrin Quarrywick", aliases=("alias",) * (MAX_ALIASES + 1)),
        ListedName("", "Perrin Quarrywick", born=12_000),
        ListedName("two words", "Perrin Quarrywick"),
    ],
)
def test_what_cannot_be_listed_lists_nobody(settings: Settings, entry: ListedName) -> None:
    store = NamesStore(settings)
    with pytest.raises(InputError) as caught:
        store.add([INVENTED, entry])
    assert caught.value.advice
    assert "Quarrywick" not in caught.value.diagnostics()
    assert store.current().names == ()
    store.close()


def test_a_list_without_end_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MAX_NAMES", 1)
    store = NamesStore(settings)
    store.add([INVENTED])
    with pytest.raises(InputError, match="more than 1 names"):
        store.add([ListedName("", "Perrin Quarrywick")])
    store.close()


def test_a_changed_entry_is_not_believed(settings: Settings) -> None:
    store = NamesStore(settings)
    store.add([INVENTED])
    connection = sqlite3.connect(settings.data_dir / FILE_NAME)
    connection.execute("update names set entry = substr(entry, 1, length(entry) - 1)")
    connection.commit()
    connection.close()
    with pytest.raises(RecordError):
        store.current()
    store.close()


def test_a_folder_of_the_version_before_gets_its_table_and_keeps_its_rows(settings: Settings) -> None:
    prints = FingerprintStore(settings)
    kept = prints.add(pdq(1))
    prints.close()
    connection = sqlite3.connect(settings.data_dir / FILE_NAME)
    connection.executescript(
        "drop table names; delete from meta where name = 'names'; update meta set value = 1 where name = 'schema';"
    )
    connection.close()
    local = LocalRegistry(settings)
    assert local.fingerprints().ids == (kept,)
    assert local.names().names == ()
    local.close()
    connection = sqlite3.connect(settings.data_dir / FILE_NAME)
    assert connection.execute("select value from meta where name = 'schema'").fetchone() == (SCHEMA_VERSION,)
    connection.close()


def test_another_process_lists_and_it_acts_within_two_seconds(settings: Settings) -> None:
    local = LocalRegistry(settings)
    assert local.names().names == ()
    process = child(
        "from guardrail.records import NamesStore\nfrom tests.records.test_names import INVENTED\n"
        "print(*NamesStore(settings).add([INVENTED]), flush=True)\n",
        settings,
    )
    assert process.stdout is not None
    listed = process.stdout.readline().strip()
    wait_until(lambda: [entry.id for entry in local.names().names] == [listed], 2)
    process.communicate(timeout=30)
    local.close()


def test_csv_rows_become_entries() -> None:
    text = (
        "\ufeffName, Aliases ,kind,protected,born,id\r\nOttoline Quarrywick,Otti Quarry|@otti,staff,YES,1991,case-7\r\n"
    )
    (found,) = read_names(io.StringIO(text, newline=""))
    assert found == ListedName("case-7", "Ottoline Quarrywick", ("Otti Quarry", "@otti"), "staff", True, 1991)
    assert list(read_names(["name\n", "Perrin Quarrywick\n"])) == [ListedName("", "Perrin Quarrywick")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("who\nPerrin Quarrywick\n", 1),
        ("name,name\nPerrin,Quarrywick\n", 1),
        ("name,secret\nPerrin,Quarrywick\n", 1),
        ("name,kind\nPerrin Quarrywick\n", 2),
        ("name\nPerrin Quarrywick,private\n", 2),
        ("name,kind\nPerrin Quarrywick,friend\n", 2),
        ("name,protected\nTamsin Quarrywick,no\nPerrin Quarrywick,perhaps\n", 3),
        ("name,born\nPerrin Quarrywick,spring\n", 2),
        ('name\n"Perrin Quarrywick\n', 2),
    ],
)
def test_a_wrong_csv_is_named_by_line_and_not_quoted(text: str, line: int) -> None:
    with pytest.raises(InputError, match=rf"^the list: line {line} ?") as caught:
        list(read_names(io.StringIO(text, newline="")))
    assert "Quarrywick" not in caught.value.diagnostics()
    assert "name" in caught.value.advice


def test_a_csv_in_another_encoding_is_a_typed_error() -> None:
    lines = io.TextIOWrapper(io.BytesIO("name\nPerrin Quarrywöck\n".encode("latin-1")), "utf-8")
    with pytest.raises(InputError, match="not UTF-8"):
        list(read_names(lines))


_word = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="|"), min_size=2, max_size=30)
_spelling = _word.map(str.strip).filter(lambda text: sum(map(str.isalpha, text)) >= 2)


@given(
    st.lists(
        st.builds(
            ListedName,
            st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True),
            _spelling,
            st.lists(_spelling, max_size=4).map(tuple),
            st.sampled_from(KINDS),
            st.booleans(),
            st.none() | st.integers(-9999, 9999),
            st.none() | st.integers(-9999, 9999),
        )
    )
)
def test_any_list_survives_the_way_through_csv(entries: list[ListedName]) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for entry in entries:
        years = ["" if year is None else year for year in (entry.born, entry.died)]
        protected = "yes" if entry.protected else "no"
        writer.writerow([entry.name, "|".join(entry.aliases), entry.kind, protected, *years, entry.id])
    file.seek(0)
    assert list(read_names(file)) == entries


@given(st.text())
def test_any_text_is_a_list_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(InputError):
        list(read_names(io.StringIO(text, newline="")))
