#!/usr/bin/env bash
# AugCon step 7: what the trained model answers to the test questions, in their order.
#   bash augcon/step7_infer.sh
#   QUESTIONS=mine.jsonl MODEL=Qwen/Qwen1.5-32B-Chat OUT=results/untrained bash augcon/step7_infer.sh    # to compare
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/augcon}
QUESTIONS=${QUESTIONS:-DailyM} # its split test: 1,000 questions that people asked
MODEL=${MODEL:-$OUT/sft_model}

start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-8}"
run python augcon/step7_infer.py --data_path "$QUESTIONS" --save_path "$OUT/outputs.jsonl" --model "$MODEL" "$@"
