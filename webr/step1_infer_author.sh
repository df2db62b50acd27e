#!/usr/bin/env bash
# WebR step 1: who may have written each page; near-duplicate pages are left out first. The same command again goes on where it stopped.
#   bash webr/step1_infer_author.sh                                           # local: Llama3-70B on 8 GPUs, the paper's WebR-Basic
#   OPENAI_BASE_URL=https://… OPENAI_API_KEY=… MODEL=gpt-4o-mini bash webr/step1_infer_author.sh --temperature 1.0      # WebR-Pro
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

DATA=${DATA:-data/web_en_1k.json}
OUT=${OUT:-results/webr}
MODEL=${MODEL:-meta-llama/Meta-Llama-3-70B-Instruct}

start_server --model "$MODEL" --tensor_parallel 4 --data_parallel 2 # the paper's vLLM ran on 4 GPUs; two copies fill 8
run python webr/step1_infer_author.py --data_path "$DATA" --save_path "$OUT/authors.jsonl" --dedup_pages \
    --model "$MODEL" --store_path "$OUT/answers.sqlite" "$@"
