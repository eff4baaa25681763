"""Signatures: who may sign, and that one is void after any change of what it stands for."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from cytomrd.errors import IdentityError, ReviewError, StaleEditError
from cytomrd.review.edits import MoveCut
from cytomrd.review.trail import GUARDS, Trail
from cytomrd.review.verify import verify_review
from cytomrd.review.versions import Versions
from cytomrd.run.sealed import seal_sample

from .conftest import reviewed

CUT = MoveCut("1", "CD38:bright", 0.80)


@pytest.fixture(scope="module")
def signed_folder(gated_marrow, tmp_path_factory):
    """A version that Ada signed as reviewed, and the tokens."""
    folder = shutil.copytree(gated_marrow, tmp_path_factory.mktemp("signed") / "run")
    with reviewed(folder) as run:
        tokens = {name: run.people.add(name, role) for name, role in (("Ada", "analyst"), ("Bob", "reviewer"))}
        ada, bench = run.people.verify("Ada", tokens["Ada"]), run.workbench("BM")
        bench.keep(CUT, who=ada, version=0, why="dim")
        state = bench.sign(who=ada, token=tokens["Ada"], meaning="reviewed", version=1)
        assert (state.valid, state.reason, state.who, state.role, state.version) == (True, "", "Ada", "analyst", 1)
    return folder, tokens


@pytest.fixture
def signed(signed_folder, tmp_path):
    """A copy of the signed run, opened; nothing of the sample is put on the bench."""
    with reviewed(shutil.copytree(signed_folder[0], tmp_path / "run")) as run:
        assert the_reason(run) == ""
        yield run


def version_folder(run):
    """Where the signed version lies."""
    return Versions.of(run.review, "BM").path(1)


def the_reason(run) -> str:
    """Why the only signature does not hold; "" where it does."""
    (state,) = run.signatures("BM")
    assert state.valid == (state.reason == "")
    return state.reason


def from_outside(trail: Trail, seq: int, rechain: bool = False, **values) -> None:
    """Change an entry as one who knows how the trail is chained would."""
    entries = list(trail.entries())
    with closing(sqlite3.connect(trail.path)) as db:
        for name in GUARDS:
            db.execute(f"DROP TRIGGER {name}")
        before = None
        for entry in entries[seq - 1 :] if rechain else entries[seq - 1 : seq]:
            new = replace(entry, **(values if entry.seq == seq else {}), before=before or entry.before)
            new = replace(new, hash=new.hashed()) if rechain else new
            db.execute(
                "UPDATE entries SET who = ?, new = ?, why = ?, version = ?, before = ?, hash = ? WHERE seq = ?",
                (new.who, new.new, new.why, new.version, new.before, new.hash, new.seq),
            )
            before = new.hash
        for name, rule in GUARDS.items():
            db.execute(f"CREATE TRIGGER {name} {rule}")
        db.commit()


def test_what_is_signed_is_said_in_words(opened):
    _, bench, ada, *_ = opened
    bench.keep(CUT, who=ada, version=0)
    signing = bench.what_is_signed()
    assert signing.version == 1
    assert signing.sentence.startswith("MRD")
    assert signing.changes == ("tube 1: CD38:bright (cut, Ada)",)
    assert set(signing.bound.inputs) == {"BM_1.fcs", "BM_2.fcs"}


def test_the_automatic_result_can_be_signed_as_it_is(opened):
    run, bench, ada, bob, tokens = opened
    assert bench.sign(who=ada, token=tokens["Ada"], meaning="reviewed", version=0).valid
    assert bench.sign(who=bob, token=tokens["Bob"], meaning="approved", version=0).valid
    assert run.line("BM").signed == ("reviewed by Ada, valid", "approved by Bob, valid")
    found = verify_review(run.folder, run.results)
    assert (found.n_signatures, found.problems) == (2, ())


def test_a_wrong_token_signs_nothing(opened):
    run, bench, ada, _, tokens = opened
    for token in ("", "x", tokens["Bob"]):
        with pytest.raises(IdentityError):
            bench.sign(who=ada, token=token, meaning="reviewed", version=0)
    assert run.trail.head()[0] == 0


def test_who_may_approve(opened):
    _, bench, ada, bob, tokens = opened

    def sign(who, meaning):
        return bench.sign(who=who, token=tokens[who.name], meaning=meaning, version=0)

    with pytest.raises(ReviewError, match="another person must sign"):
        sign(bob, "approved")
    sign(bob, "reviewed")
    with pytest.raises(ReviewError, match="another person must sign"):
        sign(bob, "approved")
    with pytest.raises(IdentityError, match="only a reviewer"):
        sign(ada, "approved")
    with pytest.raises(ReviewError, match="already"):
        sign(bob, "reviewed")
    with pytest.raises(ReviewError, match="meaning"):
        sign(bob, "liked")
    sign(ada, "reviewed")
    assert sign(bob, "approved").valid


def test_an_edit_makes_it_void_and_a_comment_does_not(signed, signed_folder):
    run, tokens = signed, signed_folder[1]
    bench, bob = run.workbench("BM"), run.people.verify("Bob", tokens["Bob"])
    bench.comment("looked at it twice", who=bob)
    assert the_reason(run) == ""
    assert bench.sign(who=bob, token=tokens["Bob"], meaning="approved", version=1).valid
    bench.undo(who=bob, version=1)
    with pytest.raises(StaleEditError):
        bench.sign(who=bob, token=tokens["Bob"], meaning="reviewed", version=1)
    assert [s.reason for s in bench.signatures()] == [
        "changed since: signed was version 1, and the last is version 2"
    ] * 2
    assert verify_review(run.folder, run.results).problems == ()


def test_a_tampered_signature_does_not_hold(signed):
    run = signed
    entry = run.trail.entries()[1]
    said = json.loads(entry.new)
    said["bound"]["inputs"]["BM_1.fcs"] = "0" * 64
    from_outside(run.trail, 2, new=json.dumps(said))
    assert the_reason(run) == "the signature was tampered with"


@pytest.mark.parametrize("values", [{"who": "Eve"}, {"why": "x"}, {"new": "no JSON"}, {"new": "{}"}, {"version": 7}])
def test_a_signature_changed_with_all_its_hashes_does_not_hold(signed, values):
    run = signed
    from_outside(run.trail, 2, rechain=True, **values)
    assert run.trail.check() == ()
    assert "tampered" in the_reason(run)


def test_a_changed_entry_before_it_breaks_the_trail(signed):
    run = signed
    from_outside(run.trail, 1, why="another reason")
    assert "trail is broken: entry 1" in the_reason(run)
    assert any("entry 1" in p for p in verify_review(run.folder, run.results).problems)


def test_an_entry_changed_before_it_with_all_later_hashes_is_found(signed):
    run = signed
    from_outside(run.trail, 1, rechain=True, why="another reason")
    assert run.trail.check() == ()
    assert "tampered" in the_reason(run)


@pytest.mark.parametrize("name", ["mrd.csv", "gates-tube-1.xml", "rare.h5ad", "version.json"])
def test_a_reviewed_result_changed_after_signing_is_found(signed, name):
    run = signed
    path = version_folder(run) / name
    path.write_bytes(path.read_bytes() + b" ")
    assert the_reason(run).startswith("the reviewed result was changed since")
    assert any(name in p for p in verify_review(run.folder, run.results).problems)


def test_an_automatic_result_changed_after_signing_is_found(signed):
    run = signed
    path = run.results / "mrd.csv"
    path.write_text(path.read_text().replace("POSITIVE", "NEGATIVE"))
    assert the_reason(run) == "the results folder says something else than when it was signed"


def test_a_missing_and_a_changed_input_are_found(signed):
    run = signed
    path = run.folder / "BM_2.fcs"
    raw = path.read_bytes()
    path.unlink()
    assert the_reason(run).startswith("input BM_2.fcs is missing")
    path.write_bytes(raw[:-1] + b"x")
    assert the_reason(run) == "input BM_2.fcs was changed since"
    path.write_bytes(raw)
    assert the_reason(run) == ""


def test_a_sample_gated_again_is_found(signed):
    run = signed
    (path,) = run.folder.glob(".results.samples/*/arrays.npz")
    path.write_bytes(path.read_bytes() + b" ")
    assert the_reason(run) == "the sample was gated again since, or its gating was changed"


def test_a_signature_after_a_new_gating_stands_for_that_and_not_for_earlier_edits(signed, signed_folder):
    run = signed
    (folder,) = [p for p in run.folder.glob(".results.samples/*") if p.is_dir()]
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["made_from"]["settings"]["random_state"] = 1
    seal_sample(folder.parent, "BM", manifest["made_from"], lambda stage: _copied(folder, stage, manifest))
    shutil.rmtree(folder)
    with reviewed(run.folder) as again:
        (old,) = again.signatures("BM")
        assert old.reason == "the sample was gated again since, or its gating was changed"
        assert (again.line("BM").n_edits, again.line("BM").reviewed_status) == (0, None)
        bench, ada = again.workbench("BM"), again.people.everyone()[0]
        assert bench.notes == ("no part of this: 1 edit made on an earlier gating of the sample",)
        assert bench.what_is_signed().bound.seal == ""
        assert not any(n.automatic != n.new for n in bench.numbers())
        assert bench.sign(who=ada, token=signed_folder[1]["Ada"], meaning="reviewed", version=1).valid


def _copied(folder, stage, manifest):
    for name in manifest["files"]:
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, stage / name)
    return manifest["summary"]


def test_a_tail_cut_off_the_trail_is_found_by_the_version_that_is_left(signed):
    run = signed
    run.workbench("BM").keep(MoveCut("1", "CD38:bright", 0.78), who=run.people.everyone()[0], version=1)
    with closing(sqlite3.connect(run.trail.path)) as db:
        db.execute("DROP TRIGGER no_delete")
        db.execute("DELETE FROM entries WHERE seq >= 2")
        db.execute(f"CREATE TRIGGER no_delete {GUARDS['no_delete']}")
        db.commit()
    problems = verify_review(run.folder, run.results).problems
    assert any("entry 2 is missing" in p for p in problems)
    assert any("v2: is no version of the trail" in p for p in problems)
