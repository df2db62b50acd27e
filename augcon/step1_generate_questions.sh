#!/usr/bin/env bash
# AugCon step 1: questions about each text of the corpus by context-split trees, and pairs for the scorer.
# DailyM's 4 million characters take about 250,000 requests, each of the prompt's 2,000 tokens, which the server keeps.
# The same command again goes on where it stopped. With OPENAI_BASE_URL set, that server is asked and none is started.
#   bash augcon/step1_generate_questions.sh
#   DATA=articles.jsonl OUT=results/mine bash augcon/step1_generate_questions.sh --api chat
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

DATA=${DATA:-DailyM} # a folder with the column article, or rows {"article": "..."}
OUT=${OUT:-results/augcon}
MODEL=${MODEL:-Qwen/Qwen1.5-32B-Chat}

start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-8}" --data_parallel "${DATA_PARALLEL:-1}" \
    --enable-prefix-caching
run python augcon/step1_generate_questions.py --data_path "$DATA" --save_path "$OUT/questions.jsonl" --model "$MODEL" "$@"
