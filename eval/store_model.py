"""A model behind a server, as lm_eval wants it: its generation tasks go through our client and answer store.

    lm_eval.simple_evaluate(model=make_store_model(folder, options), tasks=["ifeval"], apply_chat_template=True)

A killed run asks for nothing twice; an answer that stays empty or is cut off counts as it is, and is counted. lm_eval
is imported late: it takes half a minute.
"""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

from common.llm import Answer, LLMOptions, Request, work_rows
from common.llm.dry_run import about_tokens
from common.llm.protocol import Ask
from common.rows import read_rows, write_rows
from common.step import Step


def request_row(number: int, context: str, settings: dict) -> dict:
    """One of lm_eval's requests: the messages that `apply_chat_template` wrote, or a plain prompt."""
    messages = json.loads(context) if context.startswith('[{"role"') else None
    stop = [text for text in settings.get("until", []) if text]  # an empty list is an error to some servers
    return {
        "number": number,
        "messages": messages,
        "prompt": None if messages else context,
        "stop": stop[:4] or None,  # the protocol takes four
        "temperature": settings.get("temperature", 0.0),
        "max_tokens": settings.get("max_gen_toks"),
    }


def cut_at_stops(text: str, stops: list[str]) -> str:
    """A server may know fewer stops than lm_eval gives, or none."""
    for stop in stops:
        text = text.split(stop)[0]
    return text


def plan_of(rows: list[dict]) -> Counter:
    """What these requests would take."""
    texts = ("".join(turn["content"] for turn in row["messages"] or []) + (row["prompt"] or "") for row in rows)
    tokens_in = sum(map(about_tokens, texts))
    tokens_out = sum(row["max_tokens"] or 256 for row in rows)
    return Counter({"requests": len(rows), "tokens in": tokens_in, "tokens out": tokens_out})


async def answer_row(row: dict, ask: Ask, max_attempts: int, counts: Counter) -> dict:
    asked = {name: row[name] for name in ("messages", "prompt", "stop", "temperature", "max_tokens")}
    for sample in range(max_attempts):
        answer: Answer = await ask(Request(**asked), sample)
        if answer.text.strip():
            break
    counts["empty answers"] += not answer.text.strip()
    counts["cut off"] += answer.finish_reason == "length"
    return {"number": row["number"], "response": answer.text}


def make_store_model(folder: str | Path, options: LLMOptions) -> Any:
    from lm_eval.api.model import LM

    class StoreModel(LM):
        tokenizer_name = "behind the server"

        def __init__(self) -> None:
            super().__init__()
            self.asked = 0
            self.planned: Counter[str] = Counter()  # of a dry run

        def apply_chat_template(self, chat_history: list[dict], add_generation_prompt: bool = True) -> str:
            return json.dumps(chat_history, ensure_ascii=False)

        def chat_template(self, chat_template: bool | str = False) -> str:
            return "that of the server"

        def generate_until(self, requests: list) -> list[str]:
            self.asked += 1
            path = Path(folder, f"{self.asked}.requests.jsonl")
            settings = [request.args[1] for request in requests]
            rows = [request_row(n, request.args[0], settings[n]) for n, request in enumerate(requests)]
            if options.dry_run:
                self.planned += plan_of(rows)
                return [""] * len(requests)
            write_rows(path, rows)
            shared = dataclasses.replace(options, store_path=str(Path(folder, "answers.sqlite")))
            answers = Path(folder, f"{self.asked}.answers.jsonl")
            with Step([path], answers) as step:
                work_rows(step, shared, lambda row, ask: answer_row(row, ask, options.max_attempts, step.counts))
            found = {row["number"]: row["response"] for row in read_rows(answers)}
            return [cut_at_stops(found.get(n, ""), settings[n].get("until", [])) for n in range(len(requests))]

        def loglikelihood(self, requests: list) -> list:
            raise NotImplementedError("a server gives no probabilities of given texts: name a folder with --model")

        loglikelihood_rolling = loglikelihood

    return StoreModel()
