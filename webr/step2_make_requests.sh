#!/usr/bin/env bash
# WebR step 2: a request for each page, to transform it or one that it answers.
# The same command again goes on where it stopped. With OPENAI_BASE_URL set, that server is asked and none is started.
#   bash webr/step2_make_requests.sh
#   bash webr/step2_make_requests.sh --ratio 1:1:1:1
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/webr}
MODEL=${MODEL:-meta-llama/Meta-Llama-3-70B-Instruct} # WebR-Basic; WebR-Pro: gpt-4o-mini at temperature 1
TEMPERATURE=${TEMPERATURE:-0.6}
TOP_P=${TOP_P:-0.9}

start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-4}" --data_parallel "${DATA_PARALLEL:-2}" # two copies on 8 x A800
run python webr/step2_make_requests.py --data_path "$OUT/authors.jsonl" --save_path "$OUT/requests.jsonl" \
    --model "$MODEL" --temperature "$TEMPERATURE" --top_p "$TOP_P" --max_tokens 4096 "$@"
