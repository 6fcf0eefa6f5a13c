import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from guardrail.errors import RecordError
from guardrail.records import PeopleStore
from guardrail.records.database import FILE_NAME
from guardrail.settings import Settings, load_settings
from tests.records.parts import templates


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PeopleStore:
    return PeopleStore(load_settings(data_dir=tmp_path_factory.mktemp("people")))


def test_templates_come_back_at_unit_length_with_their_owner(settings: Settings) -> None:
    store = PeopleStore(settings)
    first = store.enrol(templates(1, 2) * 7, label="A label with ä")
    second = store.enrol(templates(2)[0], person_id="case-7")
    gallery = store.gallery()
    assert gallery.ids == (first, first, "case-7")
    np.testing.assert_allclose(gallery.vectors, np.concatenate([templates(1, 2), templates(2)]), atol=1e-6)
    assert gallery.vectors.dtype == np.float32
    assert [(item.id, item.label, item.templates) for item in store.list()] == [
        (first, "A label with ä", 2),
        (second, None, 1),
    ]
    with pytest.raises(ValueError, match="read-only"):
        gallery.vectors[0, 0] = 1
    store.close()


def test_an_empty_store_gives_an_empty_gallery(settings: Settings) -> None:
    gallery = PeopleStore(settings).gallery()
    assert (gallery.version, gallery.ids, gallery.vectors.shape) == (0, (), (0, 128))


def test_every_change_raises_the_version(settings: Settings) -> None:
    store = PeopleStore(settings)
    versions = [store.version()]
    person = store.enrol(templates(1))
    versions.append(store.version())
    store.enrol(templates(2), person_id=person)
    versions.append(store.gallery().version)
    assert store.erase(person)
    versions.append(store.version())
    assert not store.erase(person)
    assert versions == [0, 1, 2, 3] == [*versions[:3], store.version()]
    store.close()


def test_enrolling_again_replaces(settings: Settings) -> None:
    store = PeopleStore(settings)
    store.enrol(templates(1, 3), person_id="p", label="old")
    store.enrol(templates(2), person_id="p")
    assert [(item.label, item.templates) for item in store.list()] == [(None, 1)]
    np.testing.assert_allclose(store.gallery().vectors, templates(2), atol=1e-6)
    store.close()


@given(hnp.arrays(np.float32, (128,), elements=st.floats(width=32)))
def test_any_vector_is_stored_at_unit_length_or_refused(store: PeopleStore, vector: np.ndarray) -> None:
    storable = bool(np.isfinite(vector).all() and vector.any())
    if not storable:
        with pytest.raises(RecordError, match="finite and not zero"):
            store.enrol(vector, person_id="p")
        return
    store.enrol(vector, person_id="p")
    assert abs(float(np.linalg.norm(store.gallery().vectors[0])) - 1) < 1e-5


@pytest.mark.parametrize("shape", [(0, 128), (127,), (1, 1, 128), (65, 128), ()])
def test_a_wrong_shape_is_refused(store: PeopleStore, shape: tuple[int, ...]) -> None:
    with pytest.raises(RecordError, match="have the shape"):
        store.enrol(np.ones(shape, np.float32))


def test_what_cannot_be_stored_is_refused(store: PeopleStore) -> None:
    with pytest.raises(RecordError, match="are numbers"):
        store.enrol(["no", "numbers"])
    with pytest.raises(RecordError, match="a person's id must be"):
        store.enrol(templates(1), person_id="A Name")
    with pytest.raises(RecordError, match="not valid Unicode"):
        store.enrol(templates(1), label="\ud800")


@pytest.mark.parametrize("key", [bytes(32), None], ids=["another", "lost"])
def test_with_another_key_nothing_opens_but_erasing_works(settings: Settings, key: bytes | None) -> None:
    first = PeopleStore(settings)
    person = first.enrol(templates(1), label="label")
    first.close()
    file = settings.data_dir / "keys" / "templates.key"
    file.unlink()
    if key is not None:
        file.write_bytes(key)
    store = PeopleStore(settings)
    for read in (store.gallery, store.list):
        with pytest.raises(RecordError, match="cannot be decrypted"):
            read()
    assert store.erase(person)
    assert store.gallery().ids == ()
    store.close()


def test_nobody_is_enrolled_beside_records_that_another_key_made(settings: Settings) -> None:
    first = PeopleStore(settings)
    first.enrol(templates(1), person_id="p")
    first.close()
    (settings.data_dir / "keys" / "templates.key").write_bytes(bytes(32))
    store = PeopleStore(settings)
    with pytest.raises(RecordError, match="record of p cannot be decrypted"):
        store.enrol(templates(2), person_id="q")
    store.enrol(templates(2), person_id="p")
    np.testing.assert_allclose(store.gallery().vectors, templates(2), atol=1e-6)
    store.close()


def test_templates_of_an_earlier_version_are_told_and_compare_with_nothing(settings: Settings) -> None:
    store = PeopleStore(settings)
    store.enrol(templates(1), person_id="p")
    old = store._vault.seal(templates(1).tobytes(), "p")
    with store._database.write() as connection:
        connection.exec_driver_sql("update people set templates = ?", (old,))
    for read in (store.gallery, lambda: store.templates("p")):
        with pytest.raises(RecordError, match="earlier version"):
            read()
    assert store.erase("p")
    assert store.templates("p") is None
    store.close()


def test_templates_of_one_person_do_not_open_as_another_s(settings: Settings) -> None:
    store = PeopleStore(settings)
    store.enrol(templates(1), person_id="first")
    store.enrol(templates(2), person_id="second")
    with store._database.write() as connection:
        connection.exec_driver_sql("update people set templates = (select templates from people where id = 'first')")
    with pytest.raises(RecordError, match="record of second cannot be decrypted"):
        store.gallery()
    store.close()


def test_a_record_of_the_wrong_size_is_refused(settings: Settings) -> None:
    store = PeopleStore(settings)
    store.enrol(templates(1), person_id="p")
    with store._database.write() as connection:
        connection.exec_driver_sql("update people set number = 2")
    with pytest.raises(RecordError, match="wrong size"):
        store.gallery()
    store.close()


def test_the_store_is_the_file_in_the_data_folder(settings: Settings) -> None:
    PeopleStore(settings).close()
    assert (settings.data_dir / FILE_NAME).is_file()
