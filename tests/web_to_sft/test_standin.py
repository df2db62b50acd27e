"""The stand-in as converter: what it writes has the parse marks."""

import re

from hypothesis import given

from tests.common.standin_texts import PAGE, SEEDS, rule


def test_converter_cleans_and_refuses():
    question = "【题文】一根3\\n4米的绳子，　剪去一半，还剩多少米？"
    question = "【题文】一根3\\n4米的绳子，　剪去一半，还剩多少米？"
    solution = "【分析】除以2。【解答】解：3\\n4÷2，=3\\n8\n答：3/8米。【点评】考查分数。"
    problem = f"请改写成 [问题] 与 [答案]。\n[题目]\n{question}\n[答案]\n{solution}"
    assert rule(problem) == "[问题]\n一根3/4米的绳子， 剪去一半，还剩多少米？\n\n[答案]\n解：3/4÷2=3/8\n答：3/8米。"
    assert rule("[题目]\nWhat is 1+1?\n[答案]\n2") == "这不是一道中文数学题。"
    assert rule("[题目]\n天空为什么是蓝的？\n[答案]\n因为散射。") == "这不是一道中文数学题。"
    assert rule("[题目]\n一共有几个？\n[答案]\n") == "存在语法错误。"


@given(PAGE, PAGE, SEEDS)
def test_converter_always_parses(question, solution, seed):
    answer = rule(f"[题目]\n{question}\n[答案]\n{solution}", seed=seed)
    refused = answer in ("这不是一道中文数学题。", "存在语法错误。")
    assert refused or re.fullmatch(r"\[问题\]\n.+?\n\n\[答案\]\n.+", answer, re.DOTALL)
