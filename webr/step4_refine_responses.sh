#!/usr/bin/env bash
# WebR step 4: web as response: drafts improved with what the page says. The same command again goes on where it stopped.
#   bash webr/step4_refine_responses.sh                                           # local: Llama3-70B on 8 GPUs, the paper's WebR-Basic
#   OPENAI_BASE_URL=https://… OPENAI_API_KEY=… MODEL=gpt-4o-mini bash webr/step4_refine_responses.sh --temperature 1.0      # WebR-Pro
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/webr}
MODEL=${MODEL:-meta-llama/Meta-Llama-3-70B-Instruct}

start_server --model "$MODEL" --tensor_parallel 4 --data_parallel 2 # the paper's vLLM ran on 4 GPUs; two copies fill 8
run python webr/step4_refine_responses.py --data_path "$OUT/responses.jsonl" --save_path "$OUT/refined.jsonl" \
    --model "$MODEL" --store_path "$OUT/answers.sqlite" "$@"
