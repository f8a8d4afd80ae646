"""What is kept, on both databases: versions, conflicts, sign-offs, and the schema."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from lumbar.anatomy import Corner, Vertebra
from lumbar.serving import NewFilm, Store
from lumbar.serving.database import migrate
from lumbar.serving.models import Table
from lumbar.serving.store import Missing, Stale
from tests.desks import FLEXED, STRAIGHT
from tests.postgresql import postgresql
from tests.spines import a_reading, a_spine

READING = a_reading(STRAIGHT, "film.png")
OTHER = a_reading(FLEXED, "film.png")


@pytest.fixture(scope="module")
def server():
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'desk.db'}"
    url = request.getfixturevalue("server")
    before = Store.open(url)
    with before.engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    before.close()
    return url


@pytest.fixture
def store(url):
    store = Store.open(url)
    yield store
    store.close()


def a_study(store: Store, name: str = "Ægir 石", films: int = 1) -> tuple[str, list[str]]:
    new = [NewFilm(f"film_{i}.png", f"{i:064x}", 1200, 1500, 0.2, "left") for i in range(films)]
    study_id = store.add_study(name, "Ada", new)
    film_ids = [film.id for film in store.study(study_id).films]
    store.add_first(study_id, dict.fromkeys(film_ids, READING), "prediction", "lumbar")
    return study_id, film_ids


def test_the_migrations_make_the_schema_of_the_models(store):
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
        migrate(connection)  # again: nothing to do


def test_a_study_comes_back_as_it_was_said(url, store):
    study_id, (film_id,) = a_study(store)
    store.correct(film_id, 1, OTHER, "flexion", "moved", "Bob")
    again = Store.open(url)
    record = again.study(study_id)
    assert record.study.name == "Ægir 石" and record.films[0].anterior == "left" and record.status == "open"
    assert again.reading(film_id, 1) == READING and again.reading(film_id, 2) == OTHER
    assert [(r.version, r.parent, r.posture, r.author) for r in again.history(film_id)] == [
        (1, None, None, "lumbar"),
        (2, 1, "flexion", "Bob"),
    ]
    assert again.study_of(film_id).study.id == study_id
    again.close()


def test_one_of_many_corrections_of_the_same_version_is_kept_and_the_others_hear_of_it(store):
    _, (film_id,) = a_study(store)
    outcomes: list[object] = []
    together = threading.Barrier(8)

    def correct(reader: int) -> None:
        together.wait()
        try:
            outcomes.append(store.correct(film_id, 1, OTHER, None, "moved", f"reader {reader}"))
        except Stale as stale:
            outcomes.append(stale.current)

    threads = [threading.Thread(target=correct, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["2", *[str({film_id: 2})] * 7]
    assert len(store.history(film_id)) == 2


def test_a_sign_off_is_of_all_films_in_their_newest_versions(store):
    study_id, film_ids = a_study(store, films=2)
    for wrong in ({film_ids[0]: 1}, {film_ids[0]: 1, film_ids[1]: 2}, {film_ids[0]: 1, "f" * 32: 1}):
        with pytest.raises(Stale):
            store.sign(study_id, wrong, "Ada", "")
    store.sign(study_id, dict.fromkeys(film_ids, 1), "Ada", "fine")
    assert store.study(study_id).status == "signed"
    store.correct(film_ids[0], 1, OTHER, None, "moved", "Bob")
    record = store.study(study_id)
    assert record.status == "changed" and record.sign_offs[0].versions == dict.fromkeys(film_ids, 1)


def test_what_is_waiting_stays_waiting_until_it_is_read(store):
    study_id = store.add_study("a", "Ada", [NewFilm("a.png", "0" * 64, 10, 10)])
    assert store.waiting() == [study_id] and store.study(study_id).status == "waiting"
    film_id = store.study(study_id).films[0].id
    store.add_first(study_id, {film_id: READING}, "prediction", "lumbar")
    store.add_first(study_id, {film_id: OTHER}, "prediction", "lumbar")  # by a second server: the first answer stands
    assert store.waiting() == [] and store.reading(film_id, 1) == READING


def test_the_order_of_the_worklist(store):
    plain, _ = a_study(store, "plain")
    signed, films = a_study(store, "signed")
    store.sign(signed, dict.fromkeys(films, 1), "Ada", "")
    doubtful, (film_id,) = a_study(store, "doubtful")
    store.correct(film_id, 1, _without_l1(), None, "L1 absent", "Ada")
    failed = store.add_study("failed", "Ada", [NewFilm("a.png", "0" * 64, 10, 10)])
    store.fail(failed, "no")
    assert [record.study.id for record in store.studies()] == [failed, doubtful, plain, signed]


def _without_l1():
    return a_reading(a_spine(absent=tuple((Vertebra.L1, corner) for corner in Corner)), "film.png")


def test_what_is_not_there_is_missing(store):
    for ask in (store.study, store.study_of):
        with pytest.raises(Missing):
            ask("0" * 32)
    _, (film_id,) = a_study(store)
    with pytest.raises(Missing):
        store.reading(film_id, 9)
    with pytest.raises(Missing):
        store.correct("0" * 32, 1, OTHER, None, "moved", "Ada")


@pytest.mark.parametrize("url", ["mysql://a@b/c", "no database at all"])
def test_another_kind_of_database_is_refused(url):
    with pytest.raises(ValueError, match="the database must be"):
        Store.open(url)
