"""The papers' benchmarks as data: which lm_eval task stands for which, with how many examples, which of its figures.

`by`: "likelihood" needs the probabilities of given texts, so a model in the process; "generation" needs a server;
"own" is a script of this folder. `metric` is lm_eval's name of the figure, several are averaged; `scale` what the paper
reports it in. `note` says in what ours differs from the paper's own evaluation.
"""

IFEVAL = [f"{level}_{kind}_acc,none" for level in ("prompt_level", "inst_level") for kind in ("strict", "loose")]

TASKS: dict[str, dict] = {
    "ifeval": {
        "by": "generation",
        "task": "ifeval",
        "shots": 0,
        "metric": IFEVAL,
        "max_tokens": 1280,
        "note": "mean of the four accuracies; the paper's averaging is not known",
    },
    "gsm8k": {
        "by": "generation",
        "task": "gsm8k_cot",
        "shots": 4,
        "metric": ["exact_match,flexible-extract"],
        "max_tokens": 512,
        "note": "four of lm_eval's eight examples, as turns",
    },
    "math": {
        "by": "generation",
        "task": "minerva_math",
        "shots": 4,
        "metric": ["math_verify,none"],
        "max_tokens": 1024,
        "note": "equality by math_verify, more generous than by text",
    },
    "triviaqa": {
        "by": "generation",
        "task": "triviaqa",
        "shots": 0,
        "metric": ["exact_match,remove_whitespace"],
        "max_tokens": 32,
        "note": "a base model's prompt",
    },
    "drop": {
        "by": "generation",
        "task": "drop",
        "shots": 0,
        "metric": ["em,none"],
        "max_tokens": 32,
        "note": "open book",
    },
    "mmlu": {
        "by": "likelihood",
        "task": "mmlu",
        "shots": 5,
        "metric": ["acc,none"],
        "note": "likelihood of the letter, weighted by the size of the subjects",
    },
    "arc_challenge": {
        "by": "likelihood",
        "task": "arc_challenge",
        "shots": 0,
        "metric": ["acc_norm,none"],
        "note": "likelihood of the choice's text, the choices unseen",
    },
    "arc_easy": {
        "by": "likelihood",
        "task": "arc_easy",
        "shots": 0,
        "metric": ["acc_norm,none"],
        "note": "likelihood of the choice's text, the choices unseen",
    },
    "winogrande": {"by": "likelihood", "task": "winogrande", "shots": 0, "metric": ["acc,none"], "note": ""},
    "hellaswag": {"by": "likelihood", "task": "hellaswag", "shots": 0, "metric": ["acc_norm,none"], "note": ""},
    "truthfulqa": {"by": "likelihood", "task": "truthfulqa_mc2", "shots": 0, "metric": ["acc,none"], "note": ""},
    "piqa": {"by": "likelihood", "task": "piqa", "shots": 0, "metric": ["acc_norm,none"], "note": ""},
    "social_iqa": {"by": "likelihood", "task": "social_iqa", "shots": 0, "metric": ["acc,none"], "note": ""},
    "openbookqa": {"by": "likelihood", "task": "openbookqa", "shots": 0, "metric": ["acc_norm,none"], "note": ""},
    "mmlu_continuation": {
        "by": "likelihood",
        "task": "mmlu_continuation",
        "shots": 0,
        "metric": ["acc,none"],
        "note": "answer texts, not letters",
    },
    "arc_challenge_25": {
        "by": "likelihood",
        "task": "arc_challenge",
        "shots": 25,
        "metric": ["acc_norm,none"],
        "note": "",
    },
    "hellaswag_10": {"by": "likelihood", "task": "hellaswag", "shots": 10, "metric": ["acc_norm,none"], "note": ""},
    "humaneval": {"by": "own", "note": "chat prompt, first code block, pass@1"},
    "mt_bench": {"by": "own", "note": "0 to 10; judge prompts in our wording unless FastChat's are given"},
    "arena_hard": {"by": "own", "note": "v0.1, weighted mean of verdicts; baseline gpt-4-0314"},
    "alpaca_eval": {
        "by": "own",
        "note": "verdicts by the package's formula; length-controlled where df_gamed.csv is given",
    },
}

SUITES: dict[str, list[str]] = {
    "webr": [
        "alpaca_eval",
        "arena_hard",
        "mt_bench",
        "ifeval",
        "mmlu",
        "arc_challenge",
        "winogrande",
        "math",
        "gsm8k",
        "humaneval",
    ],
    "superfiltering": ["arc_challenge_25", "hellaswag_10", "mmlu", "truthfulqa", "alpaca_eval"],
    "edu_filter": [
        "hellaswag",
        "winogrande",
        "piqa",
        "social_iqa",
        "openbookqa",
        "arc_easy",
        "arc_challenge",
        "mmlu_continuation",
    ],
    "augcon": ["triviaqa", "drop"],
}

# Rows of the benchmarks that scripts of this folder compute, and where their questions lie below --data.
OWN_ROWS = {"humaneval": 164, "mt_bench": 80, "arena_hard": 500, "alpaca_eval": 805}
QUESTIONS = {
    "mt_bench": "mt_bench/question.jsonl",
    "arena_hard": "arena_hard/question.jsonl",
    "alpaca_eval": "alpaca_eval/questions.jsonl",
}


def limited(task: str, rows: int) -> str:
    """What is said beside a figure that is not of all rows."""
    return "" if rows >= OWN_ROWS[task] else f"first {rows:,} of {OWN_ROWS[task]} rows"


# What no data hub has, or has under a licence of its own: where a missing file of --data comes from.
SOURCES = {
    "mt_bench/question.jsonl": "github.com/lm-sys/FastChat, fastchat/llm_judge/data/mt_bench/question.jsonl (80 rows)",
    "mt_bench/reference_answer.jsonl": "the same folder, reference_answer/gpt-4.jsonl (30 rows)",
    "arena_hard/question.jsonl": "github.com/lmarena/arena-hard-auto, data/arena-hard-v0.1/question.jsonl (500 rows)",
    "arena_hard/baseline.jsonl": "the same folder, model_answer/gpt-4-0314.jsonl (500 rows)",
    "alpaca_eval/questions.jsonl": "the hub's tatsu-lab/alpaca_eval, alpaca_eval.json with its instructions (805 rows)",
    "alpaca_eval/baseline.jsonl": "the same, alpaca_eval_gpt4_baseline.json (805 rows)",
    "alpaca_eval/df_gamed.csv": "the same, df_gamed.csv; without it there is no length-controlled figure",
}

# Those of them that a hub has as files of a data set, which `fetch` brings.
HUB_FILES = {
    "alpaca_eval/questions.jsonl": "alpaca_eval.json",
    "alpaca_eval/baseline.jsonl": "alpaca_eval_gpt4_baseline.json",
    "alpaca_eval/df_gamed.csv": "df_gamed.csv",
}
ALPACA_EVAL = "tatsu-lab/alpaca_eval"
