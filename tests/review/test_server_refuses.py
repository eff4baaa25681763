"""Who is not let in: no token, a wrong one, another origin, another host, a forged request, a path outside the run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from serving_review import Client, serving

from cytomrd.errors import ReviewError
from cytomrd.review.people import People
from cytomrd.review.web import handlers
from cytomrd.review.web.security import Address, Sessions, check_address

SECRET = "what nobody may see"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("refused") / "run"


@pytest.fixture(scope="module")
def token(folder):
    folder.mkdir(parents=True)
    (folder / "secret.txt").write_text(SECRET)
    people = People(folder / "people.json")
    return people.add("A. Analyst", "analyst")


@pytest.fixture(scope="module")
def desk(folder, token):
    line = SimpleNamespace(
        sample_id="BM", subject_id="S1", visit="", status="POSITIVE", mrd_fraction=1e-5, n_edits=0, signed=()
    )

    def workbench(sample_id):
        raise AssertionError(f"{sample_id!r} reached the engine")

    run = SimpleNamespace(
        folder=folder,
        people=People(folder / "people.json"),
        samples=("BM",),
        line=lambda _: line,
        workbench=workbench,
    )
    with serving(run) as desk:
        yield desk


@pytest.fixture(scope="module")
def client(desk, token):
    return Client(desk, token)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(handlers, "WRONG_TOKEN_S", 0.0)


def test_the_right_token_opens_the_page_and_the_samples(client):
    status, _, text = client.send("GET", "/")
    assert status == 200
    assert "A. Analyst" in text
    assert client.ask("/read/samples")[1]["samples"][0]["id"] == "BM"


def test_the_cookie_is_for_this_server_alone_and_no_script_reads_it(desk, token):
    _, headers, _ = Client(desk).send(
        "POST", "/sign-in", f"token={token}", Content_Type="application/x-www-form-urlencoded"
    )
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert token not in cookie
    assert cookie.startswith(f"cytomrd-review-{desk.address.port}=")


def test_without_a_token_nothing_is_given(desk):
    client = Client(desk)
    status, headers, text = client.send("GET", "/")
    assert (status, headers["Location"]) == (303, "/sign-in")
    assert "BM" not in text
    for path in ("/read/samples", "/read/sample", "/read/trail", "/write/keep", "/write/sign"):
        assert client.ask(path, {"sample": "BM"})[0] == 401
    assert client.send("GET", "/messages", Origin=client.origin, Upgrade="websocket", Connection="Upgrade")[0] == 401


@pytest.mark.parametrize("wrong", ["", "wrong", "ab" * 5000, "токен", "\x00", "' OR 1=1 --"])
def test_a_wrong_token_is_refused(desk, wrong):
    client = Client(desk)
    assert client.sign_in(wrong) == 403
    assert client.send("GET", "/")[0] == 303


def test_a_made_up_session_is_refused(desk):
    client = Client(desk)
    for key in ("", "x" * 43, "../../etc/passwd"):
        client.cookie = f"{desk.cookie}={key}"
        assert client.ask("/read/samples")[0] == 401


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:1", "http://127.0.0.1:1", "http://localhost", None]
)
def test_another_origin_is_refused(client, origin):
    assert client.ask("/read/samples", Origin=origin)[0] == 403
    assert client.ask("/write/comment", {"sample": "BM", "text": "x"}, Origin=origin)[0] == 403
    sent = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
            "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    assert client.send("GET", "/messages", Origin=origin, **sent)[0] == 403


def test_a_browser_that_says_another_site_asks_is_refused(client):
    assert client.send("GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    framed = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}
    assert client.send("GET", "/", **framed)[0] == 403
    followed = framed | {"Sec_Fetch_Dest": "document"}
    assert client.send("GET", "/", **followed)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil"]
)
def test_another_host_name_is_refused(client, desk, host):
    assert client.send("GET", "/", Host=host.format(port=desk.address.port))[0] in (400, 421)


def test_this_machine_by_its_name_is_answered(client, desk):
    assert client.send("GET", "/", Host=f"localhost:{desk.address.port}")[0] == 200


def test_a_request_without_the_pages_word_is_refused(client):
    for word in (None, "", "wrong", "\xe9"):
        assert client.ask("/write/comment", {"sample": "BM", "text": "x"}, X_Csrf_Token=word)[0] == 403
    assert client.ask("/write/comment", {"sample": "BM", "text": "x"}, Content_Type="text/plain")[0] == 415
    form = "application/x-www-form-urlencoded"
    assert client.send("POST", "/leave", "csrf=wrong", Content_Type=form)[0] == 403
    assert client.ask("/read/samples")[0] == 200  # still signed in


def test_signing_out_ends_the_session(desk, token):
    client = Client(desk, token)
    form = "application/x-www-form-urlencoded"
    assert client.send("POST", "/leave", f"csrf={client.csrf}", Content_Type=form)[0] == 303
    assert client.ask("/read/samples")[0] == 401


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/../secret.txt",
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static//etc/passwd",
        "/static/app.js%00.txt",
        "/people.json",
        "/read/../people.json",
        "/results/report.html",
    ],
)
def test_no_path_leads_to_a_file(client, desk, path):
    for asking in (Client(desk), client):
        status, _, text = asking.send("GET", path)
        assert status == 404
        assert SECRET not in text


@pytest.mark.parametrize(
    "sample",
    ["../secret", "/etc/passwd", "BM/../..", "", None, 3, ["BM"], {"a": 1}, "<script>alert(1)</script>", "x" * 9000],
)
def test_a_sample_that_is_not_one_of_the_runs_is_refused(client, sample):
    status, answer = client.ask("/read/sample", {"sample": sample})
    assert status == 422
    assert "no sample" in answer["error"]


@pytest.mark.parametrize("body", ["", "[]", "1", "{", "null", '{"a":1', "[" * 100_000])
def test_what_is_no_object_is_refused(client, body):
    sent = {"Content_Type": "application/json", "X_Csrf_Token": client.csrf}
    assert client.send("POST", "/read/sample", body, **sent)[0] == 400


def test_too_much_is_refused(client):
    sent = {"Content_Type": "application/json", "X_Csrf_Token": client.csrf}
    try:
        status = client.send("POST", "/read/sample", " " * 1_000_000, **sent)[0]
    except OSError:  # the server may close the line before it has read it all
        return
    assert status in (400, 413)


def test_unknown_actions_and_methods_are_refused(client):
    assert client.ask("/read/everything")[0] == 404
    assert client.send("POST", "/write/__init__", "{}")[0] == 404
    assert client.send("DELETE", "/")[0] == 405
    assert client.send("GET", "/read/samples")[0] in (405, 415)


def test_every_answer_forbids_what_is_not_the_pages_own(client, desk):
    for asking, path in ((Client(desk), "/sign-in"), (client, "/"), (Client(desk), "/nowhere")):
        _, headers, text = asking.send("GET", path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Server" not in headers
        assert " style=" not in text
        assert "<script>" not in text


def test_the_page_loads_nothing_from_elsewhere():
    for name, text in handlers.assets().items():
        assert "//cdn" not in text
        addresses = [word for word in text.split('"') if word.startswith(("http://", "https://"))]
        assert all(a == "http://www.w3.org/2000/svg" for a in addresses), (name, addresses)
        assert "innerHTML" not in text
        assert "eval(" not in text


def test_other_machines_are_refused_without_a_certificate():
    for host in ("0.0.0.0", "::", "192.0.2.1", "lab.example"):
        with pytest.raises(ReviewError, match="TLS"):
            check_address(host, 0)
        assert check_address(host, 0, certificate="c.pem", name="flow.lab.example").tls
    with pytest.raises(ReviewError, match="--name"):
        check_address("0.0.0.0", 0, certificate="c.pem")
    for host in ("127.0.0.1", "localhost", "::1"):
        assert not check_address(host, 0).tls
    with pytest.raises(ReviewError, match="host name"):
        check_address("127.0.0.1", 0, name="a/b")


def test_an_address_answers_to_its_own_names_alone():
    address = Address("0.0.0.0", 443, tls=True, name="flow.lab.example")
    assert address.answers_to("flow.lab.example")
    assert address.answers_to("flow.lab.example:443")
    assert not address.answers_to("localhost:443")
    assert address.is_own("https://flow.lab.example")
    assert not address.is_own("http://flow.lab.example")
    assert not address.is_own("null")


def test_a_session_ends_with_the_day():
    now = [0.0]
    sessions = Sessions(lifetime_s=10.0, clock=lambda: now[0])
    key = sessions.open(SimpleNamespace(name="A", role="analyst"))
    assert sessions.get(key).csrf
    now[0] = 10.0
    assert sessions.get(key) is None
