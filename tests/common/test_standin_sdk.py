"""The stand-in held to the protocol by something we did not write: the official SDK, its sync and its async client."""

import asyncio
import inspect

import openai
import pytest

from common.llm.standin import standin_server

TIDES = [{"role": "user", "content": "Tides are made by the moon. The sun helps a little. Why are there two a day?"}]


@pytest.fixture(scope="module")
def base_url():
    with standin_server(fault_seed=1) as url:
        yield url


@pytest.fixture(params=[openai.OpenAI, openai.AsyncOpenAI], ids=["sync", "async"])
def call(request, base_url):
    """call(lambda sdk: sdk.models.list()): what the SDK makes of it, waited for where that must be."""

    def run(what, **options):
        async def wait():
            sdk = request.param(**{"base_url": base_url, "api_key": "none", "max_retries": 0} | options)
            result = what(sdk)
            result = await result if inspect.isawaitable(result) else result
            closed = sdk.close()
            if inspect.isawaitable(closed):
                await closed
            return result

        return asyncio.run(wait())

    return run


def test_models(call):
    assert [model.id for model in call(lambda sdk: sdk.models.list()).data] == ["stand-in"]
    assert call(lambda sdk: sdk.models.retrieve("stand-in")).object == "model"
    with pytest.raises(openai.NotFoundError):
        call(lambda sdk: sdk.models.retrieve("gpt"))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_chat(call, n):
    answer = call(lambda sdk: sdk.chat.completions.create(model="stand-in", messages=TIDES, n=n, temperature=1, seed=4))
    assert answer.object == "chat.completion" and answer.model == "stand-in" and answer.id.startswith("chatcmpl-")
    assert [choice.index for choice in answer.choices] == list(range(n))
    assert all(choice.message.role == "assistant" and choice.message.content for choice in answer.choices)
    assert {choice.finish_reason for choice in answer.choices} == {"stop"}
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert len({choice.message.content for choice in answer.choices}) > (n > 2)


@pytest.mark.parametrize("n", [1, 3])
def test_completions(call, n):
    prompts = ["One is one. Two is two.", "海水有潮汐。月亮很远。"]
    answer = call(lambda sdk: sdk.completions.create(model="stand-in", prompt=prompts, n=n, max_tokens=99))
    assert answer.object == "text_completion" and answer.id.startswith("cmpl-")
    assert [choice.index for choice in answer.choices] == list(range(2 * n))
    assert all(choice.text for choice in answer.choices)


def test_two_answers_have_two_ids_and_an_id_sent_along_is_in_the_answers(call):
    ids = [call(lambda sdk: sdk.chat.completions.create(model="stand-in", messages=TIDES)).id for _ in range(2)]
    assert len(set(ids)) == 2
    mine = call(
        lambda sdk: sdk.chat.completions.create(
            model="stand-in", messages=TIDES, extra_headers={"X-Request-Id": "mine-17"}
        )
    )
    assert mine.id.endswith("-mine-17")


ERRORS = [
    (openai.NotFoundError, "does not exist", {"model": "gpt"}),
    (openai.BadRequestError, "messages", {"messages": []}),
    (openai.BadRequestError, "temperature", {"temperature": 9}),
    (openai.BadRequestError, "n'", {"n": 0}),
    (openai.BadRequestError, "maximum context length", {"max_tokens": 10**6}),
]


@pytest.mark.parametrize("error, said, fields", ERRORS)
def test_errors(call, error, said, fields):
    with pytest.raises(error, match=said) as end:
        call(lambda sdk: sdk.chat.completions.create(**{"model": "stand-in", "messages": TIDES} | fields))
    assert end.value.body["type"] == "invalid_request_error" and end.value.status_code in (400, 404)


@pytest.mark.parametrize(
    "fault, error", [("fault_429", openai.RateLimitError), ("fault_500", openai.InternalServerError)]
)
def test_faults_of_a_server_are_those_the_sdk_knows(call, fault, error):
    with standin_server(**{fault: 1}) as url, pytest.raises(error):
        call(lambda sdk: sdk.completions.create(model="stand-in", prompt="x"), base_url=url)


@pytest.mark.parametrize("fault", ["fault_drop", "fault_hang"])
def test_lost_connections_are_those_the_sdk_knows(call, fault):
    with standin_server(**{fault: 1}, hang_seconds=0.05) as url, pytest.raises(openai.APIConnectionError):
        call(lambda sdk: sdk.completions.create(model="stand-in", prompt="x"), base_url=url)


def test_retries_of_the_sdk_get_through(call):
    with standin_server(fault_429=0.3, fault_500=0.3, fault_seed=3) as url:
        answer = call(
            lambda sdk: sdk.chat.completions.create(model="stand-in", messages=TIDES), base_url=url, max_retries=9
        )
    assert answer.choices[0].message.content
