#!/usr/bin/env bash
# web_to_sft step 7: the solver's accuracy on Ape210k and CMATH, beside the paper's. One server on 8 GPUs, minutes.
#   APE210K=test.ape.json CMATH=cmath_dev.jsonl MODEL=results/web_to_sft/solver_model bash web_to_sft/step7_evaluate.sh
# BASELINE: the same evaluation of a solver trained on clean data alone, for the paper's gain.
# The files as published: Ape210k {"original_text": …, "ans": …}, CMATH {"input": …, "golden": …, "grade": …} a line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

MODEL=${MODEL:-results/web_to_sft/solver_model}
APE210K=${APE210K:-data/test.ape.json}
CMATH=${CMATH:-data/cmath_dev.jsonl}
OUT=${OUT:-results/web_to_sft/evaluation}

[[ -d eval ]] || { echo "step 7 needs the folder eval/ beside web_to_sft/ and common/: copy it as well" >&2 && exit 1; }
start_server --model "$MODEL" --data_parallel "${NUM_GPUS:-8}"
run python eval/generate.py --data_path "$APE210K" --prompt_key original_text --response_key output \
    --keep_truncated --keep_empty --model "$MODEL" --save_path "$OUT/eval_test.ape.jsonl"
run python eval/generate.py --data_path "$CMATH" --prompt_key input --keep_truncated --keep_empty \
    --model "$MODEL" --save_path "$OUT/cmath_dev.jsonl"
run python eval/evaluate_ape210k.py --base_output_path "$OUT" --golden_key ans --prompt_key original_text
run python eval/cmath_eval.py --response_dir "$OUT/cmath_dev.jsonl"
run python eval/compare_with_paper.py --method web_to_sft --results "$OUT" --save_path "$OUT/compared.json" \
    ${BASELINE:+--baseline "$BASELINE"}
