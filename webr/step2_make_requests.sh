#!/usr/bin/env bash
# WebR step 2: a request for every page, with the page as material or as answer. The same command again goes on where it stopped.
#   bash webr/step2_make_requests.sh                                           # local: Llama3-70B on 8 GPUs, the paper's WebR-Basic
#   OPENAI_BASE_URL=https://… OPENAI_API_KEY=… MODEL=gpt-4o-mini bash webr/step2_make_requests.sh --temperature 1.0      # WebR-Pro
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/webr}
MODEL=${MODEL:-meta-llama/Meta-Llama-3-70B-Instruct}

start_server --model "$MODEL" --tensor_parallel 4 --data_parallel 2 # the paper's vLLM ran on 4 GPUs; two copies fill 8
run python webr/step2_make_requests.py --data_path "$OUT/authors.jsonl" --save_path "$OUT/requests.jsonl" \
    --model "$MODEL" --store_path "$OUT/answers.sqlite" "$@"
