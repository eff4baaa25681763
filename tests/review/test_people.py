"""People and their tokens."""

from __future__ import annotations

import stat

import pytest

from cytomrd.errors import IdentityError, ReviewError
from cytomrd.review.people import People, Person


@pytest.fixture
def people(tmp_path):
    return People(tmp_path / "people.json")


def test_a_token_opens_for_its_person_alone(people):
    ada, bob = people.add("Ada", "analyst"), people.add("Bob", "reviewer")
    assert people.everyone() == (Person("Ada", "analyst"), Person("Bob", "reviewer"))
    assert people.verify("Ada", ada) == people.identify(ada) == Person("Ada", "analyst")
    assert people.identify(bob) == Person("Bob", "reviewer")
    for name, token in (("Ada", bob), ("Bob", ada), ("Eve", ada), ("", ""), ("Ada", ""), ("Ada", ada + "x"), ("", ada)):
        with pytest.raises(IdentityError, match="name or token is not right"):
            people.verify(name, token)
    for token in ("", "x", ada[:-1], "\ud800"):
        with pytest.raises(IdentityError):
            people.identify(token)


def test_no_token_is_kept_and_nobody_else_may_read_the_file(people):
    token = people.add("Ada", "analyst")
    assert token not in people.path.read_text()
    assert stat.S_IMODE(people.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "\x1b[2J", "a\u202eb", "ADA", " Ada "])
def test_names_that_are_none_or_there_are_refused(people, name):
    people.add("Ada", "analyst")
    with pytest.raises(ReviewError):
        people.add(name, "analyst")


def test_a_role_that_is_none_is_refused(people):
    with pytest.raises(ReviewError, match="analyst, reviewer"):
        people.add("Ada", "admin")


def test_names_of_any_script_are_kept(people):
    for name in ("王医生", "د. سلمى", "<script>", "=1+1", "[/bold]"):
        assert people.identify(people.add(name, "reviewer")) == Person(name, "reviewer")


def test_a_lost_token_is_replaced_and_opens_nothing_any_more(people):
    old, other = people.add("Ada", "analyst"), people.add("Bob", "reviewer")
    new = people.renew("Ada")
    assert people.verify("Ada", new) == Person("Ada", "analyst")
    assert people.identify(other) == Person("Bob", "reviewer")
    with pytest.raises(IdentityError):
        people.verify("Ada", old)
    with pytest.raises(ReviewError, match="there is no Eve"):
        people.renew("Eve")
