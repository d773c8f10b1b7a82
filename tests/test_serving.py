"""`anyarray-mlp serve`: a real server on this machine, asked by real clients, rightly and wrongly, and stopped."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from anyarray_mlp import TrainedModel
from anyarray_mlp.cli import run
from tests.beds import unless_expected

NEEDED = ("starlette", "uvicorn", "prometheus_client")
ROOT = Path(__file__).parent.parent
#: How long anything may take, in seconds.
PATIENCE = 120.0
CSV, JSON = "text/csv", "application/json"
ROWS = [{"width": 0.0, "colour": "blue"}, {"width": 9.0, "colour": "red"}]


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest) -> None:
    """Skip where the extra is missing, except for what is said then."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing and "without" not in request.node.name:
        unless_expected("serve", f"{missing[0]} is not installed")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a table with a number, a text and two classes that are easy to tell."""
    folder = tmp_path_factory.mktemp("served")
    lines = [f"{9 * (i % 2) + i / 100},{('blue', 'red')[i % 2]},{'ab'[i % 2]}" for i in range(80)]
    (folder / "table.csv").write_text("\n".join(["width,colour,kind", *lines]) + "\n")
    options = ["--epochs", "5", "--quiet", "--out", str(folder / "run")]
    assert run(["train", str(folder / "table.csv"), *options]) == 0
    return folder / "run"


def started(model: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """A server process that takes requests, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "anyarray_mlp", "serve", str(model), "--port", "0", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("serving "), line
    return process, line.rsplit(" ", 1)[1].strip()


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[str]:
    """The address of a server with a small limit of bodies."""
    if any(find_spec(name) is None for name in NEEDED):
        yield ""
        return
    process, url = started(model, "--max-body", "0.1")
    yield url
    process.kill()
    process.wait(PATIENCE)
    assert process.stdout is not None
    process.stdout.close()


def connected(url: str) -> http.client.HTTPConnection:
    """A client of its own."""
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)


def asked(
    url: str, path: str, body: Any = None, kind: str = JSON, method: str = "POST", **headers: str
) -> tuple[int, str]:
    """The status and the text of an answer."""
    connection = connected(url)
    try:
        connection.request(method, path, body, {"Content-Type": kind, **headers})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_json_and_csv_are_answered_as_predict_answers(server: str, model: Path) -> None:
    trained = TrainedModel.load(model)
    import pandas

    outputs = trained.outputs(pandas.DataFrame(ROWS))
    status, text = asked(server, "/predict?proba=true", json.dumps(ROWS))
    assert status == 200
    answer = json.loads(text)
    assert [row["prediction"] for row in answer["predictions"]] == ["a", "b"]
    given = [row["probability_b"] for row in answer["predictions"]]
    assert np.allclose(given, outputs[:, -1], rtol=1e-6)
    assert answer["warnings"] == []
    for body in ({"rows": ROWS}, [[0.0, "blue"], [9.0, "red"]]):
        assert json.loads(asked(server, "/predict", json.dumps(body))[1])["predictions"] == [
            {"prediction": "a"},
            {"prediction": "b"},
        ]
    table = "colour,width,id\nblue,0,17\nred,9,18\n"
    assert asked(server, "/predict", table, CSV) == (200, "prediction\na\nb\n")
    assert json.loads(asked(server, "/predict", table, CSV, Accept=JSON)[1]) == {
        "predictions": [{"prediction": "a"}, {"prediction": "b"}],
        "warnings": [],
    }


def test_categories_that_are_not_known_are_said(server: str) -> None:
    rows = [{"width": 0.0, "colour": "mauve"}]
    status, text = asked(server, "/predict", json.dumps(rows))
    assert status == 200
    (warning,) = json.loads(text)["warnings"]
    assert "column 'colour': 1 of 1 row" in warning
    assert "'mauve'" in warning


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"", JSON, 400, "is no JSON"),
        (b"", CSV, 400, "is empty"),
        (b"{", JSON, 400, "is no JSON"),
        (b"[" * 50_000, JSON, 400, "is no JSON"),
        (b"\xff\xfe\x00", JSON, 400, "is no JSON"),
        (b"[]", JSON, 400, "holds no rows"),
        (b"17", JSON, 400, "holds no rows"),
        (b'[{"width": 1, "colour": "red"}, 3]', JSON, 400, "its rows are not alike"),
        (b"[[1], [1, 2]]", JSON, 400, "its rows are not alike"),
        (b"[[1, 2, 3]]", JSON, 400, "has 3 feature(s) and the model was trained on 2"),
        (b'[{"colour": "red"}]', JSON, 400, "'width'"),
        (
            b'[{"width": "wide", "colour": "red"}]',
            JSON,
            400,
            "row 1, column 'width': 'wide' is not a number",
        ),
        (b'[{"width": {"a": 1}, "colour": "red"}]', JSON, 400, "body"),
        (b'[{"width": 1e999, "colour": "red"}]', JSON, 400, "not finite"),
        (b"width,colour\nwide,red\n", CSV, 400, "line 2"),
        (b"\x00\x01\x02", CSV, 400, "body"),
        (b"[]", "text/plain", 415, "send application/json or text/csv"),
        (b"x" * 100_001, CSV, 413, "more than 100,000 bytes"),
    ],
)
def test_a_body_that_cannot_be_is_refused_in_words(
    server: str, body: bytes, kind: str, status: int, words: str
) -> None:
    found, text = asked(server, "/predict", body, kind)
    assert (found, words in json.loads(text).get("error", "")) == (status, True), text


def test_a_body_without_a_length_is_cut_off_at_the_limit(server: str) -> None:
    parts = (b"x" * 10_000 for _ in range(11))
    status, text = asked(server, "/predict", parts, CSV)
    assert (status, "more than 100,000 bytes" in text) == (413, True)


def test_other_paths_methods_and_queries_are_refused(server: str) -> None:
    assert asked(server, "/nothing", method="GET")[0] == 404
    assert asked(server, "/predict", method="GET")[0] == 405
    assert "there is proba=true" in asked(server, "/predict?prob=1", json.dumps(ROWS))[1]
    assert "proba is true or false" in asked(server, "/predict?proba=2", json.dumps(ROWS))[1]


def test_the_server_tells_what_it_is_and_that_it_is_well(server: str) -> None:
    assert asked(server, "/health", method="GET") == (200, '{"status":"ok"}')
    model = json.loads(asked(server, "/model", method="GET")[1])
    assert model["columns"] == ["width", "colour"]
    assert (model["task"], model["classes"]) == ("classification", ["a", "b"])


def figures(url: str) -> dict[str, float]:
    """The server's figures by name."""
    lines = asked(url, "/metrics", method="GET")[1].splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_two_hundred_clients_at_once_get_their_own_answers(server: str) -> None:
    before = figures(server)
    together = threading.Barrier(200)
    answers: dict[int, Any] = {}

    def ask(number: int) -> None:
        rows = [ROWS[(number >> bit) % 2] for bit in range(8)]
        together.wait(PATIENCE)
        answers[number] = asked(server, "/predict", json.dumps(rows))

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(200)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(PATIENCE)
    for number in range(200):
        status, text = answers[number]
        assert status == 200
        labels = "".join(row["prediction"] for row in json.loads(text)["predictions"])
        assert labels == "".join("ab"[(number >> bit) % 2] for bit in range(8))
    after = figures(server)
    assert after["anyarray_mlp_rows_total"] - before["anyarray_mlp_rows_total"] == 1600
    answered = 'anyarray_mlp_requests_total{status="200"}'
    assert after[answered] - before.get(answered, 0.0) == 200
    assert after["anyarray_mlp_requests_in_progress"] == 0


def takes_more(address: tuple[str, int]) -> bool:
    """Whether a server takes connections."""
    try:
        socket.create_connection(address, PATIENCE).close()
    except ConnectionError:
        return False
    return True


@pytest.mark.slow
def test_a_server_that_is_stopped_answers_what_it_has_been_asked(model: Path) -> None:
    process, url = started(model)
    body = json.dumps(ROWS).encode()
    connection = connected(url)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", JSON)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[:10])
    while figures(url)["anyarray_mlp_requests_in_progress"] < 1:
        pass
    process.send_signal(signal.SIGTERM)
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 0)
    while takes_more(address):
        pass
    connection.send(body[10:])
    response = connection.getresponse()
    assert response.status == 200
    assert len(json.loads(response.read())["predictions"]) == 2
    connection.close()
    assert process.wait(PATIENCE) == -signal.SIGTERM
    assert process.stdout is not None
    process.stdout.close()


# --- the parts ---


def test_what_waits_together_is_predicted_together() -> None:
    from anyarray_mlp.serving.batching import Batcher
    from anyarray_mlp.serving.questions import Question

    passes: list[int] = []
    free = threading.Event()

    def predict(x: Any, scale: float | None) -> Any:
        free.wait(PATIENCE)
        return x * 2

    async def ask() -> list[Any]:
        batcher = Batcher(predict, 5, passes.append)
        async with batcher.running():
            first = asyncio.create_task(batcher.answer(Question(np.full((1, 1), 0.0), None)))
            while not passes:
                await asyncio.sleep(0)
            scales = (None, None, None, 0.5, None)
            questions = [Question(np.full((2, 1), i + 1.0), s) for i, s in enumerate(scales)]
            others = [asyncio.create_task(batcher.answer(question)) for question in questions]
            await asyncio.sleep(0)
            free.set()
            return await asyncio.gather(first, *others)

    answers = asyncio.run(ask())
    assert [answer.ravel().tolist() for answer in answers] == [
        [0.0],
        *([2.0 * (i + 1)] * 2 for i in range(5)),
    ]
    # No more than five rows, and no two scales, in one pass.
    assert passes == [1, 4, 2, 2, 2]


def test_a_pass_that_fails_fails_for_those_who_asked_and_the_next_goes_well() -> None:
    from anyarray_mlp.serving.batching import Batcher
    from anyarray_mlp.serving.questions import Question

    def predict(x: Any, scale: float | None) -> Any:
        if scale is not None:
            raise MemoryError
        return x

    async def ask() -> list[Any]:
        batcher = Batcher(predict, 5, lambda rows: None)
        async with batcher.running():
            questions = [Question(np.ones((1, 1)), scale) for scale in (1.0, 1.0, None)]
            asked = [batcher.answer(question) for question in questions]
            return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(ask())
    assert [type(answer) for answer in answers] == [MemoryError, MemoryError, np.ndarray]


def test_a_body_that_does_not_come_ends_with_408(model: Path) -> None:
    from anyarray_mlp import select_backend
    from anyarray_mlp.serving.application import Limits, application

    app = application(TrainedModel.load(model), select_backend(), Limits(seconds=0.01))
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "query_string": b"",
        "headers": [(b"content-type", JSON.encode())],
    }
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 408
    assert b"took longer than 0.01 seconds" in sent[1]["body"]


def test_a_port_that_is_taken_is_named(
    model: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = str(urlsplit(server).port)
    assert run(["serve", str(model), "--port", port]) == 2
    assert f"Port {port} of 127.0.0.1 cannot be used" in capsys.readouterr().err
    assert run(["serve", str(model), "--port", "65536"]) == 2


def test_without_the_extra_its_command_is_named(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.startswith("anyarray_mlp.serving"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    assert run(["serve", str(model)]) == 69
    assert "pip install 'anyarray-mlp[serve]'" in capsys.readouterr().err
