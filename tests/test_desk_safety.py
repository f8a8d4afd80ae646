"""Who gets in, and what cannot be done to the desk."""

import json
import stat
import struct
import zlib
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from lumbar.serving import Limits, Settings
from lumbar.serving.safety import COOKIE, session_of
from tests.command import lumbar
from tests.desks import NO_LIMITS, a_desk, a_film_file, films, uploaded

TOKEN = "correct-horse-battery"


def a_client(folder: Path, **settings) -> TestClient:
    return TestClient(a_desk(folder, Settings(**{"hosts": None, "limits": NO_LIMITS, **settings})))


def test_a_token_opens_the_api_as_a_header_or_as_a_cookie_that_does_not_hold_it(tmp_path):
    with a_client(tmp_path, token=TOKEN) as client:
        assert client.get("/api/studies").status_code == 401
        assert client.get("/api/openapi.json").status_code == 401
        assert client.get("/api/studies", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/api/studies", headers={"Authorization": "Bearer other"}).status_code == 401
        assert client.post("/api/session", json={"token": "other"}).status_code == 401
        answer = client.post("/api/session", json={"token": TOKEN})
        cookie = answer.headers["set-cookie"]
        assert answer.status_code == 204 and TOKEN not in cookie
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert client.get("/api/studies").status_code == 200
        assert client.get("/").status_code == 200  # the page itself holds nothing


def test_a_forged_cookie_opens_nothing(tmp_path):
    with a_client(tmp_path, token=TOKEN) as client:
        for value in ("", TOKEN, session_of("another token 123"), "\xe4"):
            headers = {"cookie": f"{COOKIE}={value}".encode("latin-1")}
            assert client.get("/api/studies", headers=headers).status_code == 401


def test_tokens_cannot_be_guessed_for_long(tmp_path):
    with a_client(tmp_path, token=TOKEN, limits=Limits(guesses_per_minute=3)) as client:
        answers = [client.post("/api/session", json={"token": str(i)}).status_code for i in range(5)]
        assert answers == [401, 401, 401, 429, 429]


def test_a_weak_token_is_refused():
    with pytest.raises(ValueError, match="at least 16"):
        Settings(token="short")


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_another_sites_page_changes_nothing(tmp_path, headers):
    with a_client(tmp_path) as client:
        answer = client.post("/api/studies", files=films("f.png"), data={"author": "Eve"}, headers=headers)
        assert answer.status_code == 403 and client.get("/api/studies").json()["total"] == 0


def test_another_name_for_loopback_is_not_answered(tmp_path):
    """A page of evil.example that makes its own name point to 127.0.0.1 sends that name as Host."""
    with TestClient(a_desk(tmp_path, Settings()), base_url="http://evil.example:8765") as client:
        assert client.get("/api/studies").status_code == 421
    with TestClient(a_desk(tmp_path, Settings()), base_url="http://127.0.0.1:8765") as client:
        assert client.get("/api/studies").status_code == 200


def test_every_answer_carries_the_headers(tmp_path):
    with a_client(tmp_path) as client:
        for path in ("/", "/assets/desk.js", "/api/studies", "/api/nothing", "/api/openapi.json"):
            headers = client.get(path).headers
            assert "default-src 'self'" in headers["content-security-policy"], path
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["cache-control"] == "private, no-store" and headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY" and headers["referrer-policy"] == "no-referrer"


def test_too_much_is_cut_off_while_it_comes(tmp_path):
    with a_client(tmp_path, limits=Limits(upload_bytes=3_000)) as client:
        answer = client.post("/api/studies", files=films("f.png"), data={"author": "Ada"})
        assert answer.status_code == 413

        def unannounced():  # without a length in front
            yield b'--b\r\nContent-Disposition: form-data; name="films"; filename="x.png"\r\n\r\n'
            for _ in range(10):
                yield b"x" * 1000

        answer = client.post(
            "/api/studies", content=unannounced(), headers={"content-type": "multipart/form-data; boundary=b"}
        )
        assert answer.status_code == 413
        big = client.post("/api/session", content=b" " * 200_000, headers={"content-type": "application/json"})
        assert big.status_code == 413


def test_a_picture_that_would_fill_the_memory_is_not_decoded(tmp_path):
    size = struct.pack(">II", 20_000, 20_000) + bytes([1, 0, 0, 0, 0])
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(bytes(20_000 * 2501))), (b"IEND", b"")]
    file = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    with a_client(tmp_path) as client:
        answer = client.post("/api/studies", files={"films": ("bomb.png", file)}, data={"author": "Ada"})
        assert answer.status_code == 422 and "million pixels" in answer.json()["detail"]


def test_one_address_cannot_ask_without_end(tmp_path):
    with a_client(tmp_path, limits=Limits(requests_per_s=0.001, burst=3)) as client:
        answers = [client.get("/api/studies").status_code for _ in range(4)]
        assert answers == [200, 200, 200, 429]
    with a_client(tmp_path, limits=Limits(uploads_per_minute=1)) as client:
        answers = [
            client.post("/api/studies", files=films("f.png"), data={"author": "A"}).status_code for _ in range(2)
        ]
        assert answers == [201, 429]


def test_a_name_is_only_a_name(tmp_path):
    with a_client(tmp_path / "desk") as client:
        study = uploaded(client, "../../flexion.png")
        assert study["films"][0]["name"] == "flexion.png"
        assert {path.name for path in tmp_path.iterdir()} == {"desk"}
        for path in (
            "/assets/../app.py",
            "/assets/%2e%2e/app.py",
            "/assets/..%2fapp.py",
            "/api/films/..%2f..%2fetc/pixels",
        ):
            assert client.get(path).status_code in (404, 422), path


def test_what_a_file_is_its_content_says(tmp_path):
    with a_client(tmp_path) as client:
        page = client.post(
            "/api/studies", files={"films": ("film.png", b"<html><script>", "image/png")}, data={"author": "A"}
        )
        assert page.status_code == 422
        film = client.post(
            "/api/studies", files={"films": ("evil.html", a_film_file(), "text/html")}, data={"author": "A"}
        )
        assert film.status_code == 201


def test_only_its_owner_may_enter_the_folder(tmp_path):
    with a_client(tmp_path / "desk"):
        assert stat.S_IMODE((tmp_path / "desk" / "films").stat().st_mode) == 0o700


def test_what_was_sent_is_not_repeated(tmp_path):
    with a_client(tmp_path) as client:
        answer = client.post(
            "/api/session",
            content=json.dumps({"token": {"secret": "x" * 40}}),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 422 and "xxxx" not in answer.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--annotate", "."], "belong together"),
        (["--user-header", "X-User"], "--user-header needs --behind-proxy"),
        (["--user-header", "X-User", "--behind-proxy", "a.example", "--host", "0.0.0.0"], "on loopback"),
        (["--token", "short"], "at least 16"),
        (["--database", "mysql://x@y/z"], "must be one of sqlite, postgresql"),
        (["--annotate", ".", "--reader", "../x"], "--reader must be"),
        (["--annotate", ".", "--reader", "x", "--database", "sqlite:///x.db"], "leave --database out"),
    ],
)
def test_wrong_usage_is_named(tmp_path, arguments, words):
    done = lumbar("serve", "--data", tmp_path / "desk", *arguments)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
