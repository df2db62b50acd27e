"""--batch: the same bytes as without, nothing paid twice, whatever becomes of a batch; --max_cost stops in time."""

import json
from pathlib import Path

import pytest

from common import manifest
from common.llm import batches
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from eval import generate as eval_generate
from eval import mt_bench
from tests.in_process import end_of_program

ROWS = [{"prompt": f"What is said about number {n}? Answer briefly."} for n in range(40)]


@pytest.fixture
def data(tmp_path):
    write_rows(tmp_path / "in.jsonl", ROWS)
    return tmp_path / "in.jsonl"


def generate(data, save_path, url, *more, **options):
    flags = {"--base_url": url, "--model": "stand-in", "--batch_poll": "0.01"} | options
    words = [word for name, value in flags.items() for word in (name, value)]
    return end_of_program(eval_generate, "--data_path", data, "--save_path", save_path, *words, *more)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    write_rows(folder / "in.jsonl", ROWS)
    with standin_server() as url:
        assert generate(folder / "in.jsonl", folder / "plain.jsonl", url).returncode == 0
    return (folder / "plain.jsonl").read_bytes()


EVERY_FAULT = {"batch_expired": 0.5, "batch_cancelled": 0.2, "batch_failed": 0.1, "batch_lost": 0.1}


@pytest.mark.parametrize("faults", [{}, EVERY_FAULT])
def test_the_output_is_the_one_without_batches_and_each_answer_is_paid_once(data, tmp_path, expected, faults):
    log = tmp_path / "log"
    with standin_server(log_path=log, fault_seed=3, **faults) as url:
        done = generate(data, tmp_path / "out.jsonl", url, "--batch")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.jsonl").read_bytes() == expected
    answered = log.read_text(encoding="utf-8").split("\n")[:-1]
    assert len(answered) == len(set(answered)) == len(ROWS) and all(line.endswith("batch") for line in answered)


def test_a_run_that_was_killed_finds_what_it_has_sent(data, tmp_path, expected, monkeypatch):
    log = tmp_path / "log"
    with standin_server(log_path=log) as url:
        first = generate(data, tmp_path / "out.jsonl", url, "--batch")
        assert first.returncode == 0
        # As if it had been killed after the batch was created: neither its id nor an answer was noted.
        (tmp_path / "out.jsonl").unlink()
        (tmp_path / "out.jsonl.answers.sqlite").unlink()
        for note in (tmp_path / "out.jsonl.batches").glob("*.batch.json"):
            note.unlink()
        assert generate(data, tmp_path / "out.jsonl", url, "--batch").returncode == 0
    assert (tmp_path / "out.jsonl").read_bytes() == expected
    assert len(log.read_text(encoding="utf-8").split("\n")[:-1]) == len(ROWS)


def test_a_request_that_always_fails_is_a_rejected_row(data, tmp_path):
    with standin_server(batch_failed=1.0) as url:
        done = generate(data, tmp_path / "out.jsonl", url, "--batch")
    assert done.returncode == 0, done.stderr
    rejected = list(read_rows(tmp_path / "out.jsonl.rejected.jsonl"))
    assert len(rejected) == len(ROWS) and "status 500" in rejected[0]["reason"]


def test_a_request_that_no_result_is_of_is_a_rejected_row_in_the_end(data, tmp_path):
    log = tmp_path / "log"
    with standin_server(batch_lost=1.0, batch_failed=0.0, log_path=log, fault_seed=2) as url:
        first = generate(data, tmp_path / "out.jsonl", url, "--batch")
        assert first.returncode == 75 and "answered nothing" in first.stderr  # all of them: this is another matter
    write_rows(tmp_path / "two.jsonl", ROWS[:12])
    with standin_server(batch_lost=0.9, fault_seed=7) as url:
        done = generate(tmp_path / "two.jsonl", tmp_path / "two.out.jsonl", url, "--batch")
        while done.returncode == 75:
            done = generate(tmp_path / "two.jsonl", tmp_path / "two.out.jsonl", url, "--batch")
    rejected = list(read_rows(tmp_path / "two.out.jsonl.rejected.jsonl"))
    assert rejected and all("no line of this request" in row["reason"] for row in rejected)
    assert len(rejected) + len(list(read_rows(tmp_path / "two.out.jsonl"))) == 12


def test_what_a_batch_that_ended_early_has_answered_is_not_paid_twice_after_a_kill(data, tmp_path, expected):
    log = tmp_path / "log"
    with standin_server(log_path=log, batch_expired=0.7, fault_seed=5) as url:
        assert generate(data, tmp_path / "out.jsonl", url, "--batch").returncode == 0
        assert len(list((tmp_path / "out.jsonl.batches").glob("*.requests.jsonl"))) > 1
        for path in (tmp_path / "out.jsonl", tmp_path / "out.jsonl.answers.sqlite"):
            path.unlink()
        for note in (tmp_path / "out.jsonl.batches").glob("*.batch.json"):
            said = json.loads(note.read_text(encoding="utf-8"))
            note.write_text(json.dumps({"output": said["output"], "state": "sending"}), encoding="utf-8")
        assert generate(data, tmp_path / "out.jsonl", url, "--batch").returncode == 0
    assert (tmp_path / "out.jsonl").read_bytes() == expected
    assert len(log.read_text(encoding="utf-8").split("\n")[:-1]) == len(ROWS)


def test_a_run_that_was_killed_before_it_sent_sends(data, tmp_path, expected):
    folder = tmp_path / "out.jsonl.batches"
    folder.mkdir()
    (folder / "0123_0.requests.jsonl").write_text("", encoding="utf-8")
    (folder / "0123_0.batch.json").write_text('{"output": "out.jsonl", "state": "sending"}', encoding="utf-8")
    with standin_server() as url:
        assert generate(data, tmp_path / "out.jsonl", url, "--batch").returncode == 0
    assert (tmp_path / "out.jsonl").read_bytes() == expected


def test_a_batch_that_was_turned_down_is_sent_anew_by_the_next_run(data, tmp_path, expected):
    with standin_server(batch_refused=1.0) as url:
        refused = generate(data, tmp_path / "out.jsonl", url, "--batch")
        assert refused.returncode == 1 and "A rehearsed refusal." in refused.stderr
        assert "A rehearsed refusal." in generate(data, tmp_path / "out.jsonl", url, "--batch").stderr
    with standin_server() as url:
        assert generate(data, tmp_path / "out.jsonl", url, "--batch").returncode == 0
    assert (tmp_path / "out.jsonl").read_bytes() == expected


def test_a_request_that_is_refused_for_what_it_is_is_sent_once(tmp_path):
    write_rows(tmp_path / "in.jsonl", [*ROWS[:3], {"prompt": "long " * 9000}])
    with standin_server(max_model_len=2000) as url:
        done = generate(tmp_path / "in.jsonl", tmp_path / "out.jsonl", url, "--batch")
    assert done.returncode == 0, done.stderr
    (rejected,) = read_rows(tmp_path / "out.jsonl.rejected.jsonl")
    assert rejected["index"] == 3 and "maximum context length" in rejected["reason"]
    assert len(list((tmp_path / "out.jsonl.batches").glob("*.requests.jsonl"))) == 1


def test_two_outputs_may_share_a_folder(data, tmp_path):
    folder, nobody = tmp_path / "batch", "http://127.0.0.1:9/v1"
    for name in ("one.jsonl", "other.jsonl"):
        assert generate(data, tmp_path / name, nobody, "--batch", folder).returncode == 75
    with standin_server() as url:
        for requests in folder.glob("*.requests.jsonl"):
            lines = [_answered(json.loads(line), url) for line in requests.read_text(encoding="utf-8").splitlines()]
            results = folder / requests.name.replace(".requests.", ".results.")
            results.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for name in ("one.jsonl", "other.jsonl"):
        assert generate(data, tmp_path / name, nobody, "--batch", folder).returncode == 0


def test_by_way_of_a_folder_without_a_service(data, tmp_path, expected):
    folder = tmp_path / "batch"
    nobody = "http://127.0.0.1:9/v1"
    first = generate(data, tmp_path / "out.jsonl", nobody, "--batch", folder)
    assert first.returncode == 75 and "run_batch" in first.stderr
    (requests,) = folder.glob("*.requests.jsonl")
    with standin_server() as url:
        results = [_answered(json.loads(line), url) for line in requests.read_text(encoding="utf-8").splitlines()]
    results_path = folder / requests.name.replace(".requests.", ".results.")
    results_path.write_text(
        "".join(json.dumps(result | {"note": "\u2028"}, ensure_ascii=False) + "\n" for result in results[::-1]),
        encoding="utf-8",
    )
    assert generate(data, tmp_path / "out.jsonl", nobody, "--batch", folder).returncode == 0
    assert (tmp_path / "out.jsonl").read_bytes() == expected


def _answered(request: dict, url: str) -> dict:
    from urllib.request import Request, urlopen

    body = json.dumps(request["body"], sort_keys=True, separators=(",", ":")).encode()
    asked = Request(url.removesuffix("/v1") + request["url"], body, {"Content-Type": "application/json"})
    with urlopen(asked) as response:
        said = {"status_code": 200, "request_id": "x", "body": json.loads(response.read())}
    return {"id": "x", "custom_id": request["custom_id"], "response": said, "error": None}


def test_requests_that_depend_on_answers_take_a_batch_a_level(tmp_path):
    questions = [{"question_id": n, "category": "stem", "turns": [f"What is {n}?", "And why?"]} for n in range(5)]
    write_rows(tmp_path / "in.jsonl", questions)
    outputs = []
    with standin_server() as url:
        for more in ([], ["--batch"]):
            save_path = tmp_path / f"out{len(more)}.jsonl"
            words = ["--data_path", tmp_path / "in.jsonl", "--save_path", save_path, "--base_url", url, *more]
            assert end_of_program(mt_bench, "answer", *words, "--batch_poll", "0.01").returncode == 0
            outputs.append(save_path.read_bytes())
    assert outputs[0] == outputs[1]
    assert len(list((tmp_path / "out1.jsonl.batches").glob("*.requests.jsonl"))) == 2


def test_files_are_split_at_the_services_limits(monkeypatch):
    monkeypatch.setattr(batches, "MOST_REQUESTS", 3)
    bodies = {bytes([n]): {"messages": [], "n": n} for n in range(7)} | {b"p": {"prompt": "x"}}
    files = [file.splitlines() for file in batches._files_of(bodies)]
    assert [len(file) for file in files] == [3, 3, 1, 1]
    monkeypatch.setattr(batches, "MOST_BYTES", 10)
    assert len(list(batches._files_of(bodies))) == 8


# ---------------------------------------------------------------- money


def test_a_run_ends_before_it_costs_more_and_goes_on(data, tmp_path, expected):
    prices = {"--price_in": "1000", "--price_out": "1000", "--max_tokens": "60", "--concurrency": "4"}
    save_path = tmp_path / "out.jsonl"
    with standin_server() as url:
        assert generate(data, tmp_path / "plain.jsonl", url, **{"--max_tokens": "60"}).returncode == 0
        codes = []
        while not codes or codes[-1] == 75:
            done = generate(data, save_path, url, **prices, **{"--max_cost": "0.8"})
            codes.append(done.returncode)
            said = [line for line in done.stderr.splitlines() if line.startswith("cost of this run")]
            assert float(said[0].split()[4].rstrip(";")) <= 0.8, done.stderr
        assert codes[-1] == 0 and len(codes) > 2
    assert save_path.read_bytes() == (tmp_path / "plain.jsonl").read_bytes()


def test_answers_of_batches_are_half_the_price(data, tmp_path):
    prices = {"--price_in": "1000", "--price_out": "1000"}
    with standin_server() as url:
        generate(data, tmp_path / "plain.jsonl", url, **prices)
        for output, asked in (("out", True), ("again", False)):
            generate(
                data, tmp_path / f"{output}.jsonl", url, "--batch", **prices, **{"--store_path": tmp_path / "store"}
            )
            plain, llm = (manifest.read(tmp_path / f"{name}.jsonl")["llm"] for name in ("plain", output))
            whole, saved = plain["cost_of_this_run"], llm["saved_by_the_store"]
            assert llm["cost_of_this_run"] == pytest.approx(whole / 2 if asked else 0) == llm["saved_by_batches"]
            assert saved == pytest.approx(0 if asked else whole) and whole > 0


def test_requests_in_a_folder_are_for_a_model_that_is_named(data, tmp_path):
    flags = ["--base_url", "http://127.0.0.1:9/v1", "--batch", tmp_path / "batch"]
    done = end_of_program(eval_generate, "--data_path", data, "--save_path", tmp_path / "out.jsonl", *flags)
    assert done.returncode == 1 and "--batch FOLDER: name the model with --model" in done.stderr


@pytest.mark.parametrize("limit", [{"--max_cost": "0.4"}, {"--max_requests": "15"}])
def test_batches_keep_to_the_money_and_to_the_number_of_requests(data, tmp_path, limit):
    prices = {"--price_in": "1000", "--price_out": "1000", "--max_tokens": "60"}
    log, codes, sent = tmp_path / "log", [], [0]
    with standin_server(log_path=log) as url:
        while not codes or codes[-1] == 75:
            done = generate(data, tmp_path / "out.jsonl", url, "--batch", **prices, **limit)
            codes.append(done.returncode)
            (said,) = (line for line in done.stderr.splitlines() if line.startswith("cost of this run"))
            assert float(said.split()[4].rstrip(";")) <= float(limit.get("--max_cost", 99)), done.stderr
            sent.append(len(log.read_text(encoding="utf-8").split("\n")) - 1)
        assert codes[-1] == 0 and len(codes) > 1 and sent[-1] == len(ROWS)
        more = [now - before for before, now in zip(sent, sent[1:], strict=False)]
        assert all(0 < count <= int(limit.get("--max_requests", 39)) for count in more)
        assert generate(data, tmp_path / "plain.jsonl", url, **{"--max_tokens": "60"}).returncode == 0
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "plain.jsonl").read_bytes()


def test_without_a_price_there_is_no_limit_in_money(data, tmp_path):
    with standin_server() as url:
        done = generate(data, tmp_path / "out.jsonl", url, **{"--max_cost": "1"})
    assert done.returncode == 1 and "--price_in" in done.stderr
    known = json.loads(Path("common/llm/prices.json").read_text(encoding="utf-8"))
    assert known["source"] and known["date"] and all(len(prices) == 2 for prices in known["models"].values())
