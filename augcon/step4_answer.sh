#!/usr/bin/env bash
# AugCon step 4: choose the examples that are shown, then answer each question from its own context.
#   bash augcon/step4_answer.sh
#   EXAMPLES=mine.jsonl bash augcon/step4_answer.sh --check_answers drop
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/augcon}
EXAMPLES=${EXAMPLES:-augcon/sample/qa_examples.jsonl} # 5 to 10 a language: context, question, answer
MODEL=${MODEL:-Qwen/Qwen1.5-32B-Chat}

start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-8}" --data_parallel "${DATA_PARALLEL:-1}" \
    --enable-prefix-caching
run python augcon/step4_answer.py --data_path "$OUT/filtered.jsonl" --save_path "$OUT/sft.jsonl" \
    --examples_path "$EXAMPLES" --model "$MODEL" "$@"
