"""No program writes over a file that it reads, whichever of its outputs that file stands for, and however disguised.

For each program, each of its inputs and each of its outputs: the input stands, as a hard link or behind a symlink,
where that output would be written. The program must refuse, and the input be as it was.
"""

import importlib
import json
import os
from itertools import pairwise, product
from pathlib import Path

import pytest

from common.errors import CommonError
from tests.in_process import run_program

ASK = "--base_url http://127.0.0.1:9/v1 --model m --server_timeout 0.1"
ROW = {
    "prompt": "Why?", "question": "Why?", "response": "So.", "answer": "So.", "instruction": "Why?", "output": "So.",
    "texto": "A text.", "rating": 3.0, "int_rating": 3, "score": 3.0, "int_score": 3, "webpage": "A page.",
    "kind": "WI_all", "page": 0, "request": "Why?", "choices": [{"turns": ["Why?"]}],
    "article": "A text. It is short.", "context": "A text.", "quota": 1, "root": 0, "lang": "en", "text": "A text.",
    "questions": [{"context": "A text.", "question": "Why?"}], "ifd_ppl": 0.5, "question_id": "1", "turns": ["Why?"],
    "answers": ["So."], "golden": "5", "verdicts": ["A>B", "B>A"], "style": [[1, 2], [1, 2]], "task_id": "HumanEval/0",
    "raw_analysis": "So.", "input": ["Why?"], "solve_step": ["So."], "highquality_idx": 0, "web57w_idx": 0,
    "domains": ["health"], "use_cases": [], "messages": [{"role": "user", "content": "Why?"}],
}  # fmt: skip
REVIEW = {"prompt": "Why?", "Answer1": "So.", "Answer2": "No.", "review": "9 8", "scores": "[9.0, 8.0]"}
REVIEWS = {"Meta_Info": {}, "data": [REVIEW | {"review_reverse": "8 9", "scores_reverse": "[8.0, 9.0]"}]}

# {a}, {b} … are files that are read, out/ is where the outputs go; what stands behind | are outputs.
PROGRAMS = {
    "eval.generate": f"--data_path {{a}} --prompt_path {{b}} --save_path out/o.jsonl {ASK}"
    " | o.jsonl o.jsonl.rejected.jsonl o.jsonl.manifest.json o.jsonl.part o.jsonl.lock o.jsonl.answers.sqlite",
    "eval.judge_pairs wrap": "--answers1 {a} --answers2 {b} --save_path out/o.json | o.json",
    "eval.judge_pairs judge": f"--wrapped_path {{a.json}} --prompt_path {{b}} --save_path out/o.json {ASK}"
    " | o.json o.json.pairs.jsonl o.json.rows.jsonl",
    "eval.judge_pairs combine": "--review_paths {a.json} {b.json} --save_path out/o.json | o.json o.png",
    "eval.rate_answers": f"--data_path {{a}} --prompt_path {{b}} --save_path out/o.jsonl {ASK} | o.jsonl",
    "eval.mt_bench answer": f"--data_path {{a}} --save_path out/o.jsonl {ASK} | o.jsonl",
    "eval.mt_bench judge": f"--data_path {{a}} --reference {{b}} --save_path out/o.jsonl {ASK} | o.jsonl",
    "eval.arena_hard judge": f"--data_path {{a}} --baseline {{b}} --save_path out/o.jsonl {ASK} | o.jsonl",
    "eval.arena_hard score": "--data_path {a} --save_path out/o.json | o.json",
    "eval.humaneval score": "--data_path {a} --save_path out/o.jsonl --allow_code | o.jsonl",
    "eval.short_answers": "--data_path {a} --save_path out/o.jsonl | o.jsonl",
    "eval.evaluate_ape210k": "--base_output_path . --eval_file a.jsonl --save_path out/o.jsonl | o.jsonl",
    "web_to_sft.step1_match_pairs": "--web_path {a} --high_quality_path {b} --save_path out/o.jsonl"
    " | o.jsonl o.jsonl.near_misses.jsonl",
    "web_to_sft.step2_build_converter_data": "--pairs_path {a} --web_path {b} --high_quality_path {c}"
    " --save_path out/o.jsonl | o.jsonl",
    "web_to_sft.step4_convert_web": f"--data_path {{a}} --prompt_path {{b}} --save_path out/o.jsonl {ASK} | o.jsonl",
    "web_to_sft.step5_build_sft": "--data_path {a} --add_path {b} --save_path out/o.jsonl | o.jsonl",
    "web_to_sft.rule_baseline": "--data_path {a} --save_path out/o.jsonl | o.jsonl",
    "web_to_sft.score_small": "--data_path {a} --prompt_path {b} --model_name_or_path model --save_path out/o.json"
    " | o.json",
    "web_to_sft.compare_modes": "--data_path {a} --high_quality_path {b} --save_path out/o.json | o.json",
    "superfiltering.step1_score_ifd": "--data_path {a} --prompt {b} --save_path out/o.jsonl --device cpu"
    " | o.jsonl o.jsonl.parts",
    "superfiltering.step2_attach_scores": "--pt_data_path {a} --json_data_path {b} --json_save_path out/o.json"
    " | o.json",
    "superfiltering.step3_select": "--json_data_path {a} --json_save_path out/o.json --random_baseline out/r.json"
    " --length_baseline out/l.json | o.json r.json l.json",
    "superfiltering.step3_select_diverse": "--json_data_path {a} --json_save_path out/o.json"
    " | o.json o.json.embeddings.npz",
    "superfiltering.report_selection": "--json_data_path {a} --other_path {b} --save_path out/o.html | o.html",
    "superfiltering.compare_scores": "--first {a} --second {b} --save_path out/o.json | o.json",
    "webr.step1_infer_author": f"--data_path {{a}} --save_path out/o.jsonl {ASK} | o.jsonl",
    "webr.step2_make_requests": f"--data_path {{a}} --save_path out/o.jsonl {ASK} | o.jsonl",
    "webr.step3_make_responses": f"--data_path {{a}} --save_path out/o.jsonl {ASK} | o.jsonl",
    "webr.step4_refine_responses": f"--data_path {{a}} --save_path out/o.jsonl {ASK} | o.jsonl",
    "webr.step5_postprocess": "--WI_data_paths {a} --WR_data_paths {b} --save_name out/o"
    " | o.jsonl o.parquet dataset_info.json",
    "webr.write_report": "--data_path {a} --save_path out/o.html | o.html",
    "augcon.step1_generate_questions": f"--data_path {{a}} --short_path {{b}} --save_path out/o.jsonl {ASK}"
    " | o.jsonl o.roots.jsonl o.pairs.jsonl queries.json",
    "augcon.step2_train_scorer": "--data_path {a} --model_name_or_path model --output_dir out/o --deepspeed none"
    " | o o.manifest.json",
    "augcon.step3_rank_and_filter": "--data_path {a} --exclude_questions {b} --save_path out/o.jsonl --rank random"
    " | o.jsonl o.scored.jsonl o.dropped.jsonl o.short.jsonl filtered_queries.json o.jsonl.parts",
    "augcon.step4_answer": f"--data_path {{a}} --examples_path {{b}} --save_path out/o.jsonl {ASK}"
    " | o.jsonl o.numbered.jsonl o.examples.jsonl dataset_info.json",
    "augcon.step7_infer": f"--data_path {{a}} --save_path out/o.jsonl {ASK} | o.jsonl",
    "augcon.write_chatml": "--data_path {a} --save_path out/o.jsonl | o.jsonl",
    "augcon.write_report": "--folder {questions} --save_path out/o.html | o.html",
    "edu_filter.step1_rate": f"--dataset_path {{a}} --prompt_path {{b}} --output_path out/o.json {ASK}"
    " | o.json o.json.rows.jsonl",
    "edu_filter.check_rater": f"--data_path {{a}} --human {{b}} --save_path out/o.jsonl {ASK} | o.jsonl o.json",
    "edu_filter.step2_train_head": "--json_file {a} --checkpoint_dir out --base_model none"
    " | predictions.jsonl metrics.json model",
    "edu_filter.step3_score_corpus": "--model_path model --dataset {a} --output_dir out | a.jsonl",
    "edu_filter.step4_filter": "--dataset_path {a} --score 3 --output_path out/o.jsonl | o.jsonl",
    "edu_filter.step5_label": f"--dataset_path {{a}} --output_path out/o.json {ASK} | o.json o.json.rows.jsonl",
    "edu_filter.step6_plot_labels": "--result_path {a} --output_dir out | shares.json a_domains.png a_usecases.png",
    "edu_filter.write_report": "--folder {ratings} --save_path out/o.html | o.html",
    "common.training.small_model": "--data_path {a} --save_path out/o | o",
    "common.training.finetune": "--data_path {a} --model_name_or_path model --output_dir out/o --deepspeed none"
    " | o o.manifest.json",
    "common.report.overview": "--show title {b} {a} question answer --save_path out/o.html | o.html",
    "common.dataset_card": "--method augcon --data_path {a} | ",
}  # fmt: skip
REFUSED = "both input and output|which is read|same place|not an answer store|not from this step|is an? |holds what was"


def file_of(word: str) -> str:
    """{a} is a.jsonl, {a.json} a.json."""
    return word[1:-1] if "." in word else f"{word[1:-1]}.jsonl"


@pytest.mark.parametrize("disguise", [os.link, os.symlink])
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_read_is_never_written_over(program, disguise, tmp_path, monkeypatch):
    module, *command = program.split()
    main = importlib.import_module(module)
    arguments, outputs = (part.split() for part in PROGRAMS[program].split("|"))
    inputs = [file_of(word) for word in arguments if word.startswith("{")] or ["a.jsonl"]
    words = [file_of(word) if word.startswith("{") else word for word in arguments]
    words = ["." if before == "--folder" else word for before, word in pairwise(["", *words])]
    for number, (name, output) in enumerate(product(inputs, outputs)):
        place = tmp_path / str(number)
        for folder in ("out", "model"):
            (place / folder).mkdir(parents=True)
        monkeypatch.chdir(place)
        for file in inputs:
            text = json.dumps(REVIEWS if file.endswith(".json") else ROW) + "\n"
            Path(file).write_text(text, encoding="utf-8")
        before, target = [Path(file).read_bytes() for file in inputs], Path("out", output)
        disguise(place / name, target)
        with pytest.raises((CommonError, SystemExit), match=REFUSED):
            run_program(main, *command, *words)
        assert [Path(file).read_bytes() for file in inputs] == before
        assert os.path.samefile(name, target) and target.is_symlink() == (disguise is os.symlink)
