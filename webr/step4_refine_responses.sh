#!/usr/bin/env bash
# WebR step 4: the responses of web as response, improved with the page: a third of the rows.
# The same command again goes on where it stopped. With OPENAI_BASE_URL set, that server is asked and none is started.
#   bash webr/step4_refine_responses.sh
#   bash webr/step4_refine_responses.sh --max_tokens 2048
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/webr}
MODEL=${MODEL:-meta-llama/Meta-Llama-3-70B-Instruct} # WebR-Basic; WebR-Pro: gpt-4o-mini at temperature 1
TEMPERATURE=${TEMPERATURE:-0.6}
TOP_P=${TOP_P:-0.9}

start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-4}" --data_parallel "${DATA_PARALLEL:-2}" # two copies on 8 x A800
run python webr/step4_refine_responses.py --data_path "$OUT/responses.jsonl" --save_path "$OUT/refined.jsonl" \
    --model "$MODEL" --temperature "$TEMPERATURE" --top_p "$TOP_P" --max_tokens 4096 "$@"
