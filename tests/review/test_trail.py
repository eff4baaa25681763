"""The trail: append-only, chained, whole after any death, and found out when it is changed from outside."""

from __future__ import annotations

import multiprocessing
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from worker_tasks import append_entries

from cytomrd.errors import ReviewError, StaleEditError, TrailError
from cytomrd.review.trail import GUARDS, NOTHING, Trail

WHO = {"who": "Ada", "sample_id": "S1"}


@pytest.fixture
def trail(tmp_path):
    trail = Trail(tmp_path / "trail.sqlite")
    for i in range(5):
        trail.append(**WHO, action="move", target=f"gate {i}", old="1", new="2", why="it cut the population", seen=i)
    return trail


def from_outside(trail: Trail, *statements: str) -> None:
    """What a person with the file and a knowledge of SQLite can do."""
    with closing(sqlite3.connect(trail.path)) as db:
        for name in GUARDS:
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        for name, rule in GUARDS.items():
            db.execute(f"CREATE TRIGGER {name} {rule}")
        db.commit()


def test_entries_keep_everything_and_follow_each_other(trail):
    entries = trail.entries()
    assert [e.seq for e in entries] == [1, 2, 3, 4, 5]
    assert [e.version for e in entries] == [1, 2, 3, 4, 5]
    assert entries[0].before == NOTHING
    assert [e.before for e in entries[1:]] == [e.hash for e in entries[:-1]]
    assert (entries[2].who, entries[2].target, entries[2].why) == ("Ada", "gate 2", "it cut the population")
    assert trail.head() == (5, entries[-1].hash)
    assert trail.check() == ()


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "$\\frac{$", "[/bold]", "=1+1", "x" * 300, "骨髓", "نخاع", "\0"]
)
def test_any_text_comes_back_as_it_was(trail, text):
    entry = trail.append(who=text, sample_id=text, action="comment", why=text)
    assert trail.entries(text) == (entry,)
    assert (entry.who, entry.why) == (text, text)
    assert trail.check() == ()


def test_half_a_surrogate_pair_is_refused(trail):
    with pytest.raises(ReviewError, match="surrogate"):
        trail.append(**WHO, action="comment", why="\ud800")


def test_a_stale_edit_is_refused_with_what_came_since(trail):
    with pytest.raises(StaleEditError) as caught:
        trail.append(**WHO, action="move", seen=3)
    assert (caught.value.seen, caught.value.version) == (3, 5)
    assert [e.target for e in caught.value.entries] == ["gate 3", "gate 4"]
    assert trail.head()[0] == 5


def test_comments_make_no_version_and_samples_do_not_disturb_each_other(trail):
    trail.append(**WHO, action="comment", why="odd")
    assert trail.append(who="Bob", sample_id="S2", action="move", seen=0).version == 1
    assert trail.append(**WHO, action="move", seen=5).version == 6


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET why = 'x' WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 5",
        "INSERT OR REPLACE INTO entries SELECT * FROM entries WHERE seq = 2",
        "INSERT INTO entries SELECT 9, at, who, sample_id, action, target, old, new, why, version, software, before, "
        "hash FROM entries WHERE seq = 2",
    ],
)
def test_sqlite_itself_refuses_changes(trail, statement):
    with closing(sqlite3.connect(trail.path)) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    assert trail.check() == ()


@pytest.mark.parametrize(
    "column",
    ["at", "who", "sample_id", "action", "target", "old", "new", "why", "version", "software", "before", "hash"],
)
def test_one_changed_row_is_found(trail, column):
    from_outside(trail, f"UPDATE entries SET {column} = '7' WHERE seq = 3")
    problems = trail.check()
    assert problems
    assert any("entry 3" in p for p in problems)


def test_a_row_changed_with_its_own_hash_is_found(trail):
    entry = replace(trail.entries()[2], why="another reason")
    from_outside(trail, f"UPDATE entries SET why = 'another reason', hash = '{entry.hashed()}' WHERE seq = 3")
    assert trail.check() == ("entry 4 does not follow entry 3: one of them was changed, or their order",)


def test_removed_and_reordered_rows_are_found(trail):
    from_outside(trail, "DELETE FROM entries WHERE seq = 2")
    assert "entry 2 is missing" in trail.check()
    from_outside(trail, "UPDATE entries SET seq = 2 WHERE seq = 5")
    assert any("entry 2" in p for p in trail.check())


def test_a_tail_that_was_cut_off_is_found_by_what_followed_it(trail):
    head = trail.head()
    from_outside(trail, "DELETE FROM entries WHERE seq > 3")
    assert trail.check() == ()
    assert trail.check((head,)) == ("entry 5 is missing: what was sealed elsewhere followed it",)


def test_a_guard_that_was_taken_away_is_found(trail):
    with closing(sqlite3.connect(trail.path)) as db:
        db.execute("DROP TRIGGER no_delete")
        db.commit()
    assert trail.check() == ("the guard no_delete was taken away or changed",)


def test_nothing_is_written_on_top_of_a_changed_entry(trail):
    from_outside(trail, "UPDATE entries SET who = 'Eve' WHERE seq = 5")
    with pytest.raises(TrailError, match="entry 5"):
        trail.append(**WHO, action="comment", why="x")


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path):
    path = tmp_path / "trail.sqlite"
    path.write_bytes(b"not a database, and long enough to be looked at as one" * 20)
    with pytest.raises(TrailError, match="is no trail"):
        Trail(path)


def test_two_processes_append_without_losing_or_breaking_anything(tmp_path):
    path = tmp_path / "trail.sqlite"
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        pool.starmap(append_entries, [(str(path), "Ada", 40), (str(path), "Bob", 40)])
    trail = Trail(path)
    assert trail.check() == ()
    assert sorted(e.who for e in trail.entries()) == ["Ada"] * 40 + ["Bob"] * 40
