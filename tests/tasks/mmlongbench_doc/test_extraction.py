"""The optional extractor of MMLongBench-Doc: a model behind an OpenAI-compatible interface on this very machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trees

from coreheads.errors import UserError
from coreheads.tasks import registry
from coreheads.tasks.mmlongbench_doc import extraction, task


class Judge(BaseHTTPRequestHandler):
    """Answers every request with the last word of the response it is shown."""

    asked: list[dict[str, Any]] = []  # noqa: RUF012  (one a test)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Judge.asked.append(request)
        said = request["messages"][-1]["content"].split()[-1].strip(".")
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f" {said} "}}
        answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "judge", "choices": [choice]}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    Judge.asked = []
    extraction._client.cache_clear()
    task._asked.cache_clear()
    server = HTTPServer(("127.0.0.1", 0), Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_a_model_reads_the_answer_off_the_response(url: str, tmp_path: Path) -> None:
    trees.mmlongbench_doc(tmp_path)
    benchmark = registry.get("coreheads_mmlongbench_doc")
    options = {"extractor": "judge", "extractor_url": url}
    docs = benchmark.records("all", data_root=tmp_path, options=options)
    doc = next(doc for doc in docs if doc["question"] == "How many?")
    response = "Of the 9 that I see it must be 8."
    scores = benchmark.doc_scores(doc, response)
    assert scores["accuracy"] == 1.0
    details = benchmark.details(doc, response, scores)["f1"]
    assert (details["pred"], details["score"]) == ("8", 1.0)
    (request,) = Judge.asked  # one response is asked about once
    assert request["model"] == "judge"
    assert request["temperature"] == 0
    assert "How many?" in request["messages"][-1]["content"]
    assert benchmark.variant(options) == "extractor judge, up to 120 pages at 144 dpi"
    by_rules = benchmark.records("all", data_root=tmp_path)[0] | {"question": doc["question"]}
    assert by_rules["extractor"] is None


def test_a_model_that_cannot_be_asked_stops(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"options.extractor: judge cannot be asked"):
        extraction.by_model("How many?", "8", "judge", url.replace("/v1", "1/v1"))
