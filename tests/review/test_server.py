"""What the page asks of the server, over HTTP: look, move, keep, take back, call, comment, sign, and what is told."""

from __future__ import annotations

import asyncio
import json

import pytest
from serving_review import Client, serving
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

HOSTILE = '<script>alert("x")</script> $\\frac{$ [/bold] =1+1 \u202e מה 你好 مرحبا ' + "x" * 300


@pytest.fixture
def served(opened):
    """(desk, Ada's client, Bob's client, tokens, bench)."""
    run, bench, _, _, tokens = opened
    with serving(run) as desk:
        yield desk, Client(desk, tokens["Ada"]), Client(desk, tokens["Bob"]), tokens, bench


def figure(sample: dict, name: str) -> dict:
    return next(f for f in sample["figures"] if f["name"] == name)


def population(sample: dict, tube: str, name: str) -> dict:
    (of_tube,) = [t for t in sample["tubes"] if t["id"] == tube]
    return next(p for p in of_tube["populations"] if p["name"] == name)


def plot_of(client: Client, tube: str = "2", edit: object = None, **more) -> dict:
    asked = {
        "sample": "BM",
        "tube": tube,
        "population": "nucleated",
        "x": "CD38",
        "y": "SSC-A",
        "size": 400,
        "edit": edit,
    }
    status, plot = client.ask("/read/plot", asked | more)
    assert status == 200, plot
    return plot


def moved_cut(client: Client, by: float = 0.03) -> dict:
    """The CD38 edge of the bright gate moved on the plot, as the page's script sends it."""
    gate = next(g for g in plot_of(client)["gates"] if g["name"] == "cd38_bright")
    shape = gate["shape"] | {"x": [gate["shape"]["x"][0] + by, None]}
    asked = {"sample": "BM", "tube": "2", "gate": "cd38_bright", "x": "CD38", "y": "SSC-A", "shape": shape}
    status, answer = client.ask("/read/shape", asked)
    assert status == 200, answer
    return answer


def test_a_gate_is_moved_kept_taken_back_and_signed(served):
    _, ada, bob, tokens, bench = served
    before = ada.ask("/read/sample", {"sample": "BM"})[1]
    assert before["version"] == 0
    answer = moved_cut(ada)
    assert answer["edit"]["kind"] == "MoveBound"
    shown = population(answer["sample"], "2", "cd38_bright")
    assert shown["changed"]
    assert shown["kept"] == population(before, "2", "cd38_bright")["now"]
    assert answer["sample"]["version"] == 0  # nothing is kept by looking
    assert ada.ask("/read/sample", {"sample": "BM"})[1]["figures"] == before["figures"]

    keep = {"sample": "BM", "edit": answer["edit"], "version": 0, "why": "tail of the plasma cells"}
    status, kept = ada.ask("/write/keep", keep)
    assert (status, kept["version"]) == (200, 1)
    assert population(kept, "2", "cd38_bright")["now"] == shown["now"]
    assert figure(kept, "MRD")["now"] == figure(answer["sample"], "MRD")["now"]
    assert bench.result().files[1].count("cd38_bright") == int(shown["now"].replace(",", ""))

    status, undone = ada.ask("/write/undo", {"sample": "BM", "version": 1})
    assert (status, undone["version"]) == (200, 2)
    assert [f["now"] for f in undone["figures"]] == [f["now"] for f in before["figures"]]
    assert ada.ask("/write/redo", {"sample": "BM", "version": 2})[1]["version"] == 3

    what = ada.ask("/read/signing", {"sample": "BM"})[1]
    assert what["version"] == 3
    assert what["sentence"] == kept["verdict"]["sentence"]
    sign = {"sample": "BM", "version": 3, "meaning": "reviewed"}
    assert ada.ask("/write/sign", sign | {"token": "wrong"})[0] == 403
    assert ada.ask("/write/sign", sign | {"token": tokens["Bob"]})[0] == 403  # another person's token is no use
    status, signed = ada.ask("/write/sign", sign | {"token": tokens["Ada"]})
    assert status == 200
    assert signed["signatures"][0]["valid"]
    approve = sign | {"meaning": "approved"}
    assert ada.ask("/write/sign", approve | {"token": tokens["Ada"]})[0] in (403, 422)  # an analyst does not approve
    assert bob.ask("/write/sign", approve | {"token": tokens["Bob"]})[0] == 200

    ada.ask("/write/undo", {"sample": "BM", "version": 3})
    seals = ada.ask("/read/sample", {"sample": "BM"})[1]["signatures"]
    assert [s["valid"] for s in seals] == [False, False]
    assert all(s["reasons"] for s in seals)
    trail = ada.ask("/read/trail", {"sample": "BM"})[1]
    assert trail["holds"]
    assert [e["action"] for e in reversed(trail["entries"])] == ["cut", "undo", "redo", "sign", "sign", "undo"]
    assert trail["entries"][-1]["why"] == "tail of the plasma cells"
    assert "automatic" in trail["entries"][-1]["old"]


def test_the_trail_says_where_a_gate_was_and_is(served):
    _, ada, _, _, bench = served
    corner = bench.gates("2")[[g.name for g in bench.gates("2")].index("singlets")].vertices[3]
    edits = (
        {"kind": "MoveVertex", "tube": "2", "gate": "singlets", "vertex": 3, "x": corner[0], "y": corner[1] + 0.1},
        {"kind": "MoveGate", "tube": "2", "gate": "singlets", "by": {"FSC-A": 0.05}},
        {"kind": "MoveBound", "tube": "2", "gate": "nucleated", "marker": "SSC-A", "side": "minimum", "value": 0.01,
         "linked": False},
    )  # fmt: skip
    for version, edit in enumerate(edits):
        assert ada.ask("/write/keep", {"sample": "BM", "edit": edit, "version": version})[0] == 200
    entries = ada.ask("/read/trail", {"sample": "BM"})[1]["entries"]
    assert all(e["old"] != e["new"] for e in entries)
    bound, whole, vertex = entries
    assert "corner 4 at FSC-A" in vertex["new"]
    assert "automatic" in vertex["old"]
    assert "around FSC-A" in whole["new"]
    assert "SSC-A from" in bound["new"]


def test_two_people_on_one_sample_lose_nothing_silently(served):
    _, ada, bob, _, _ = served
    of_ada, of_bob = moved_cut(ada, 0.03)["edit"], moved_cut(bob, -0.02)["edit"]
    assert ada.ask("/write/keep", {"sample": "BM", "edit": of_ada, "version": 0})[0] == 200
    status, refused = bob.ask("/write/keep", {"sample": "BM", "edit": of_bob, "version": 0})
    assert status == 409
    assert "Ada" in refused["error"]
    assert "not lost" in refused["error"]
    seen_again = bob.ask("/read/sample", {"sample": "BM", "edit": of_bob})[1]
    assert seen_again["version"] == 1
    assert bob.ask("/write/keep", {"sample": "BM", "edit": of_bob, "version": 1})[1]["version"] == 2


def test_a_cluster_is_called(served):
    _, ada, _, _, _ = served
    sample = ada.ask("/read/sample", {"sample": "BM"})[1]
    clonal = next(c for c in sample["clusters"] if c["now"] == "clonal")
    edit = {"kind": "CallCluster", "cluster": clonal["id"], "call": "normal"}
    shown = ada.ask("/read/sample", {"sample": "BM", "edit": edit})[1]
    assert figure(shown, "Clonal plasma cells")["changed"]
    assert next(c for c in shown["clusters"] if c["id"] == clonal["id"])["now"] == "normal"
    kept = ada.ask("/write/keep", {"sample": "BM", "edit": edit, "version": 0, "why": "polyclonal"})[1]
    called = next(c for c in kept["clusters"] if c["id"] == clonal["id"])
    assert (called["now"], called["called"], called["automatic"]) == ("normal", "Ada", "clonal")


def test_every_rare_cell_is_drawn_and_can_be_looked_at(served):
    _, ada, _, _, bench = served
    plot = plot_of(ada, population="root", x="CD45", y="CD19")
    drawn = sorted(e for group in plot["dots"] for e in group["events"])
    assert drawn == bench.rare("2").events.tolist()
    some = next(group for group in plot["dots"] if group["events"])
    status, cell = ada.ask("/read/cell", {"sample": "BM", "tube": "2", "event": some["events"][0]})
    assert status == 200
    assert cell["kind"] == some["kind"]
    assert {v["channel"] for v in cell["values"]} == set(bench.result().files[1].detectors)
    listed = ada.ask("/read/cells", {"sample": "BM", "tube": "2"})[1]
    assert listed["n"] == len(drawn)
    rows, first = [], 0
    while first < listed["n"]:
        rows += ada.ask("/read/cells", {"sample": "BM", "tube": "2", "first": first})[1]["rows"]
        first += listed["size"]
    assert [r["event"] for r in rows] == drawn


def test_only_the_cells_of_a_population_are_drawn_on_it(served):
    _, ada, _, _, bench = served
    file = bench.result().files[1]
    for name in ("cd38_bright", "cd38_not_bright", "plasma_cells"):
        plot = plot_of(ada, population=name)
        assert plot["n"] == file.count(name)
        n_dots = sum(len(group["events"]) for group in plot["dots"])
        assert n_dots <= file.count(name)
        if name == "plasma_cells":
            assert n_dots == file.count(name)


def test_a_plot_shows_the_gate_that_is_not_kept_yet(served):
    _, ada, _, _, _ = served
    answer = moved_cut(ada, 0.03)
    kept, shown = ({g["name"]: g["shape"] for g in plot_of(ada, edit=edit)["gates"]} for edit in (None, answer["edit"]))
    assert shown["cd38_bright"]["x"][0] == pytest.approx(kept["cd38_bright"]["x"][0] + 0.03)
    assert shown["cd38_not_bright"]["x"][1] == shown["cd38_bright"]["x"][0]  # the other side of the same cut


REFUSED = (
    ("/read/plot", {"tube": "9"}),
    ("/read/plot", {"x": "../x"}),
    ("/read/plot", {"x": "SSC-A"}),
    ("/read/plot", {"population": "<script>"}),
    ("/read/plot", {"size": "large", "y": None}),
    ("/read/cells", {"tube": None}),
    ("/read/cells", {"tube": "2", "first": -1}),
    ("/read/cells", {"tube": "2", "first": "0"}),
    ("/read/cell", {"tube": "2", "event": -1}),
    ("/read/cell", {"tube": "2", "event": True}),
    ("/read/sample", {"edit": {"kind": "Nothing"}}),
    ("/read/sample", {"edit": [1]}),
    ("/read/sample", {"edit": {"kind": "MoveCut", "tube": "2", "cut": "CD38:bright", "value": "1"}}),
    ("/read/shape", {"tube": "2", "gate": "no gate"}),
    ("/write/keep", {"version": 0}),
    ("/write/keep", {"edit": {"kind": "ResetAll"}, "version": "0"}),
    ("/write/keep", {"edit": {"kind": "ResetAll"}, "version": 0}),
    ("/write/comment", {"text": ""}),
    ("/write/comment", {"text": "x" * 5000}),
    ("/write/undo", {"version": 0}),
    ("/write/redo", {"version": 0}),
    ("/write/sign", {"version": 0, "meaning": "seen", "token": "x"}),
)


def test_what_cannot_be_done_is_refused_in_words(served):
    _, ada, _, _, bench = served
    for path, wrong in REFUSED:
        asked = {"sample": "BM", "tube": "2", "population": "nucleated", "x": "CD38", "y": "SSC-A"} | wrong
        status, answer = ada.ask(path, asked)
        assert status in (403, 422), (path, wrong)
        assert answer["error"]
        assert "Traceback" not in answer["error"]
    assert not bench.trail()


def test_hostile_text_stays_text(served):
    _, ada, _, _, _ = served
    kept = ada.ask("/write/comment", {"sample": "BM", "text": HOSTILE})[1]
    assert kept["comments"][0]["why"] == HOSTILE
    trail = ada.ask("/read/trail", {"sample": "BM"})[1]
    assert trail["entries"][0]["why"] == HOSTILE
    assert "<script" not in plot_of(ada)["svg"]


def test_other_windows_hear_of_what_is_kept(served):
    desk, ada, bob, _, _ = served

    async def listen():
        address = desk.address.url.replace("http", "ws") + "messages"
        line = await websocket_connect(HTTPRequest(address, headers={"Cookie": bob.cookie, "Origin": bob.origin}))
        await asyncio.to_thread(ada.ask, "/write/comment", {"sample": "BM", "text": "look here"}, X_Window="w1")
        message = json.loads(await asyncio.wait_for(line.read_message(), 30))
        line.close()
        return message

    message = asyncio.run(listen())
    assert message == {"sample": "BM", "entry": 1, "who": "Ada", "what": "commented", "window": "w1"}
