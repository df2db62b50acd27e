"""The batched server with a tiny random model: batching changes no answer, and the protocol is kept."""

import asyncio
import json
import random

import aiohttp
import pytest
import torch

from common.llm.continuous_batch import ContinuousBatch, Row, load
from common.llm.small_server import serve
from tests.common.test_launchers import free_port
from tests.peers.make_tiny_model import make_tiny_model

PROMPTS = ["Hello", "What is 1 + 1?", "你好，世界 🙂", "a", "long " * 40, "\u2028"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return load(str(make_tiny_model(tmp_path_factory.mktemp("tiny"))), dtype="fp32")


@pytest.fixture
def batch(loaded):
    return ContinuousBatch(*loaded, rows=4, batch_tokens=300)


def greedy(loaded, prompt: list[int], count: int) -> list[int]:
    """Transformers' own, one at a time."""
    model, _ = loaded
    ids = torch.tensor([prompt])
    written = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count)
    return written[0, len(prompt) :].tolist()


def finish(batch, rows):
    """Rows arrive at random moments, while others are being written."""
    later, waiting, arrivals = list(rows), [], random.Random(0)
    while later or waiting or batch.rows:
        while later and arrivals.random() < 0.4:
            waiting.append(later.pop())
        batch.advance(waiting)


def test_batching_changes_no_greedy_answer(loaded, batch):
    encode = batch.tokenizer.encode
    rows = [Row(encode(text), 3 + 5 * (place % 4)) for place, text in enumerate(PROMPTS * 3)]
    finish(batch, rows)
    for row in rows:
        assert row.written == greedy(loaded, row.prompt, row.max_tokens)
        assert row.finish_reason == "length" and row.text == batch.tokenizer.decode(row.written)


def test_a_seed_gives_the_same_sample_whoever_stands_beside_it(batch):
    prompt = batch.tokenizer.encode("Once")

    def sampled(seed, **more):
        return Row(prompt, 12, temperature=1.5, draw=random.Random(seed), **more)

    alone, among, other = sampled(1), sampled(1), sampled(2)
    finish(batch, [alone])
    finish(batch, [Row(batch.tokenizer.encode("x" * 30), 20), among, other])
    assert alone.written == among.written != other.written
    narrow = sampled(3, top_p=1e-6)
    finish(batch, [narrow])
    likeliest = Row(prompt, 12)
    finish(batch, [likeliest])
    assert narrow.written == likeliest.written


def test_samples_follow_the_shares_up_to_top_p(batch):
    logits = torch.log(torch.tensor([0.5, 0.05, 0.3, 0.15]))
    row = Row([0], 1, temperature=1.0, top_p=0.75, draw=random.Random(0))
    counts = torch.bincount(torch.tensor([batch._sample(logits, row) for _ in range(2000)]), minlength=4) / 2000
    assert counts.tolist() == pytest.approx([0.625, 0, 0.375, 0], abs=0.04)
    row.top_p = 1.0
    counts = torch.bincount(torch.tensor([batch._sample(logits, row) for _ in range(2000)]), minlength=4) / 2000
    assert counts.tolist() == pytest.approx([0.5, 0.05, 0.3, 0.15], abs=0.04)


def test_who_is_abandoned_makes_room(batch):
    rows = [Row([5, 6], 1000) for _ in range(6)]
    waiting = list(rows)
    batch.advance(waiting)
    assert batch.rows == rows[:4] and waiting == rows[4:]
    for row in rows[:5]:
        row.abandoned = True
    batch.advance(waiting)
    assert batch.rows == rows[5:] and not waiting and batch.mask.shape[0] == 1


# ---------------------------------------------------------------- over HTTP


@pytest.fixture
def talk(batch):
    """Run a conversation with the server: an async function that is given `post(path, body, headers)`."""

    def run(conversation):
        async def both():
            port = free_port()
            serving = asyncio.create_task(serve(batch, "tiny", 256, "127.0.0.1", port))
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

                async def post(path, body, headers=None):
                    data = body if isinstance(body, bytes) else json.dumps({"model": "tiny"} | body).encode()
                    async with session.post(f"/v1/{path}", data=data, headers=headers) as response:
                        return response, await response.read()

                while True:
                    try:
                        assert (await session.get("/v1/models")).status == 200
                        break
                    except aiohttp.ClientConnectorError:
                        await asyncio.sleep(0)
                        assert not serving.done(), serving.exception()
                try:
                    return await conversation(post)
                finally:
                    serving.cancel()

        return asyncio.run(both())

    return run


def user(text, **more):
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 8} | more


def test_the_answer_says_what_the_protocol_says(talk, loaded, batch):
    async def conversation(post):
        return await asyncio.gather(
            post("chat/completions", user("Hi"), {"X-Request-Id": "run-7"}),
            post("chat/completions", user([{"type": "text", "text": "Hi"}], n=2)),
            post("completions", {"prompt": ["Hi", "Ho"], "temperature": 0}),
            post("chat/completions", user("Hi", stream=True, stream_options={"include_usage": True})),
        )

    (response, one), (_, two), (_, plain), (_, events) = talk(conversation)
    one, two, plain = map(json.loads, (one, two, plain))
    prompt = batch.tokenizer.encode("<|start|>user\nHi<|end|>\n<|start|>assistant\n")
    expected = batch.tokenizer.decode(greedy(loaded, prompt, 8))
    assert one["choices"][0]["message"] == {"role": "assistant", "content": expected}
    assert one["choices"][0]["finish_reason"] == "length"
    assert one["usage"] == {"prompt_tokens": len(prompt), "completion_tokens": 8, "total_tokens": len(prompt) + 8}
    assert response.headers["X-Request-Id"] == "run-7" and "run-7" in one["id"] and one["id"] != two["id"]
    assert [choice["message"]["content"] for choice in two["choices"]] == [expected] * 2
    assert two["usage"]["prompt_tokens"] == len(prompt) and two["usage"]["completion_tokens"] == 16
    texts = [batch.tokenizer.decode(greedy(loaded, batch.tokenizer.encode(text), 16)) for text in ("Hi", "Ho")]
    assert [choice["text"] for choice in plain["choices"]] == texts
    chunks = [json.loads(line[6:]) for line in events.split(b"\n\n") if line.startswith(b"data: {")]
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks[:-1]) == expected
    assert chunks[-1]["usage"]["completion_tokens"] == 8


def test_a_stop_text_ends_the_answer_before_it(talk):
    async def conversation(post):
        _, whole = await post("chat/completions", user("Stop", max_tokens=30))
        text = json.loads(whole)["choices"][0]["message"]["content"]
        _, cut = await post("chat/completions", user("Stop", max_tokens=30, stop=["never there", text[9:12]]))
        return text, json.loads(cut)

    text, cut = talk(conversation)
    stop = text[9:12]
    assert cut["choices"][0]["message"]["content"] == text[: text.index(stop)]
    assert cut["choices"][0]["finish_reason"] == "stop" and cut["usage"]["completion_tokens"] <= 12


BAD = {
    b"{": 400,
    b"[]": 400,
    b'{"model": "other", "messages": [{"role": "user", "content": "x"}]}': 404,
    b'{"model": "tiny", "messages": []}': 400,
} | {
    json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "x"}]} | more).encode(): 400
    for more in (
        {"max_tokens": 0},
        {"max_tokens": 250},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"temperature": "hot"},
    )
}


def test_bad_requests_are_named_and_the_server_goes_on(talk):
    async def conversation(post):
        bad = [await post("chat/completions", body) for body in BAD]
        bad.append(await post("nothing", {}))
        return bad, await post("chat/completions", user("still there?", top_k=-1))

    bad, (good, _) = talk(conversation)
    assert [response.status for response, _ in bad] == [*BAD.values(), 404]
    assert all(json.loads(said)["error"]["message"] for _, said in bad)
    assert good.status == 200


def test_who_leaves_is_not_answered_and_disturbs_nobody(talk, batch):
    async def conversation(post):
        leaving = [asyncio.create_task(post("chat/completions", user("bye", max_tokens=200))) for _ in range(8)]
        while len(batch.rows) < 4:
            await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        _, said = await post("chat/completions", user("Hi"))
        return json.loads(said), len(batch.rows)

    said, still_written = talk(conversation)
    assert said["choices"][0]["finish_reason"] == "length" and still_written == 0
