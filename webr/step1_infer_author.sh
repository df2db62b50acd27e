#!/usr/bin/env bash
# WebR step 1: who wrote each page, in at most 30 words. One short answer a page.
# The same command again goes on where it stopped. With OPENAI_BASE_URL set, that server is asked and none is started.
#   bash webr/step1_infer_author.sh
#   DATA=pages.jsonl bash webr/step1_infer_author.sh --dedup_pages
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

DATA=${DATA:-data/web_pages.jsonl}
OUT=${OUT:-results/webr}
MODEL=${MODEL:-meta-llama/Meta-Llama-3-70B-Instruct} # WebR-Basic; WebR-Pro: gpt-4o-mini at temperature 1
TEMPERATURE=${TEMPERATURE:-0.6}
TOP_P=${TOP_P:-0.9}

start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-4}" --data_parallel "${DATA_PARALLEL:-2}" # two copies on 8 x A800
run python webr/step1_infer_author.py --data_path "$DATA" --save_path "$OUT/authors.jsonl" \
    --model "$MODEL" --temperature "$TEMPERATURE" --top_p "$TOP_P" --max_tokens 4096 "$@"
