"""--batch FOLDER with results of every kind: taken, asked for again, given up, of nobody; what a service says."""

import json
from types import SimpleNamespace

import pytest

from common import manifest
from common.errors import Paused, ServerRefused
from common.llm import Request, ask_rows, batches, llm_options, work_rows
from common.llm.options import SERVICE
from common.rows import read_rows, write_rows
from common.step import Step, step_options
from tests.common.llm_args import llm_args
from tests.common.scripted_server import completion, echo, scripted_server


@pytest.fixture
def folder(tmp_path):
    """`run` asks a question a row by way of tmp_path/batch; `requests` are those that wait for an answer."""
    batch = tmp_path / "batch"
    args = llm_args(
        tmp_path, batch=str(batch), base_url=["http://127.0.0.1:9/v1"], model="m", price_in=1e6, price_out=1e6
    )
    write_rows(tmp_path / "in.jsonl", [{"question": question} for question in "abcd"])

    def ask(step):
        def make_request(row):
            return Request(messages=[{"role": "user", "content": row["question"]}])

        ask_rows(step, llm_options(args), make_request, lambda row, answer: row | {"answer": answer.text})

    def run(work=ask):
        with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", **step_options(args)) as step:
            work(step)
        return list(read_rows(tmp_path / "out.jsonl"))

    def paused(match, work=ask):
        with pytest.raises(Paused, match=match) as why:
            run(work)
        return str(why.value)

    def open_requests():
        waiting = [path for path in batch.glob("*.requests.jsonl") if not results_of(path).exists()]
        assert len(waiting) == 1
        return waiting[0], [json.loads(line) for line in waiting[0].read_text(encoding="utf-8").splitlines()]

    return SimpleNamespace(
        run=run, paused=paused, open=open_requests, path=batch, args=args, output=tmp_path / "out.jsonl"
    )


def results_of(path):
    return path.with_name(path.name.replace(".requests.", ".results."))


def answered(request, text, status=200):
    body = completion(text) if status == 200 else {"error": {"message": text}}
    return {"custom_id": request["custom_id"], "response": {"status_code": status, "body": body}, "error": None}


def write_results(path, *lines):
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    results_of(path).write_text("\n".join(texts) + "\n", encoding="utf-8")


def content(request):
    return request["body"]["messages"][-1]["content"]


def test_what_was_not_answered_is_asked_for_again_and_what_nobody_asked_for_is_left(folder):
    said = folder.paused("requests are written")
    path, requests = folder.open()
    name = path.name.removesuffix(".requests.jsonl")
    assert f"run_batch -i {name}.requests.jsonl -o {name}.results.jsonl --model NAME" in said
    assert [content(request) for request in requests] == list("abcd")
    assert all(r["method"] == "POST" and r["url"] == "/v1/chat/completions" for r in requests)
    assert folder.paused("requests are written") == said and len(list(folder.path.glob("*.requests.jsonl"))) == 1
    a, b, c, _ = requests
    foreign = answered(a, "of another run") | {"custom_id": "00" * 16}
    junk = ["", "null", "5", "[1]", "{", '{"custom_id": [1]}', foreign]
    cut = {"custom_id": c["custom_id"], "response": {"status_code": 200, "body": {"choices": []}}}
    write_results(path, *junk, answered(b, "busy", 500), answered(a, "A"), cut)
    folder.paused("requests are written")
    path, requests = folder.open()
    assert [content(request) for request in requests] == ["b", "c", "d"]
    write_results(path, *(answered(request, content(request).upper()) for request in requests[::-1]))
    assert [row["answer"] for row in folder.run()] == list("ABCD")
    llm = manifest.read(folder.output)["llm"]
    assert llm["cost_of_this_run"] == pytest.approx(3 * 5 / 2)  # of the second file; the first was another run's
    assert manifest.read(folder.output)["counts"].get("requests") is None


def test_a_request_that_three_files_did_not_answer_is_a_rejected_row_with_the_last_reason(folder):
    """Run after run, so that a row that no server can answer does not keep the others from an output."""
    for number in range(3):
        folder.paused("requests are written")
        path, requests = folder.open()
        bad = next(request for request in requests if content(request) == "b")
        good = [answered(request, "fine") for request in requests if request != bad]
        assert len(good) == (0 if number else 3)
        failed = {"custom_id": bad["custom_id"], "response": None, "error": {"message": f"no {number}"}}
        write_results(path, *good, answered(bad, "busy", 503) if number == 1 else failed)
    assert [row["question"] for row in folder.run()] == ["a", "c", "d"]
    (rejected,) = read_rows(f"{folder.output}.rejected.jsonl")
    assert rejected["index"] == 1 and rejected["reason"] == "in a batch: {'message': 'no 2'}"
    assert folder.run() and len(list(folder.path.glob("*.requests.jsonl"))) == 3


def test_an_answer_file_of_nothing_is_said_and_written_anew(folder):
    folder.paused("requests are written")
    path, _ = folder.open()
    write_results(path, "")
    folder.paused(f"batch {path.name.partition('.')[0]} answered nothing; run again to send it again")
    folder.paused("requests are written")
    assert folder.open()[0].name == path.name.replace("_0.", "_1.")


def test_several_answers_to_one_request_are_requests_with_seeds_of_their_own(folder):
    async def work(row, ask):
        if row["question"] != "a":
            return []
        answer = await ask(Request(prompt="p", n=2, seed=5), sample=1)
        return {"texts": answer.texts}

    def ask(step):
        work_rows(step, llm_options(folder.args), work)

    folder.paused("requests are written", ask)
    path, requests = folder.open()
    assert [(r["url"], r["body"]["seed"], "n" in r["body"]) for r in requests] == [
        ("/v1/completions", 7, False),
        ("/v1/completions", 8, False),
    ]
    write_results(path, *(answered(r, f"text {r['body']['seed']}") for r in requests))
    assert folder.run(ask) == [{"texts": ["text 7", "text 8"]}]


# ---------------------------------------------------------------- a service


class Service:
    """Batches as the service shows them, one state after the other."""

    def __init__(self, *states):
        self.states, self.created = list(states), 0
        self.batches = self.files = self

    def list(self, limit):
        return [SimpleNamespace(metadata=None, status="completed", id="of somebody else")]

    def create(self, **given):
        self.created += "endpoint" in given
        return SimpleNamespace(id="file or batch")

    def retrieve(self, batch_id):
        state = {"output_file_id": None, "error_file_id": None, "errors": None, "request_counts": None}
        return SimpleNamespace(**state | self.states.pop(0))


@pytest.mark.parametrize(
    "errors, said",
    [(None, "without a reason"), (SimpleNamespace(data=None), "without a reason")]
    + [(SimpleNamespace(data=[SimpleNamespace(message="too long"), SimpleNamespace(message=None)]), "too long")],
)
def test_a_batch_that_the_service_turns_down_ends_the_run_with_its_reason(folder, monkeypatch, errors, said):
    counts = SimpleNamespace(total=4, completed=0, failed=0)
    service = Service({"status": "validating", "request_counts": counts}, {"status": "failed", "errors": errors})
    monkeypatch.setattr(batches, "open_service", lambda options: service)
    with scripted_server(echo) as server:
        folder.args.batch, folder.args.batch_poll, folder.args.base_url = SERVICE, 0.0, [server.url]
        with pytest.raises(ServerRefused, match=f"the service turned the batch down: {said}"):
            folder.run()
    assert service.created == 1 and not service.states
