#!/usr/bin/env bash
# web_to_sft step 4: rewrite every crawled problem with the trained converter. 8 copies of the 7B model on 8 x A800;
# the released code runs one GPU with batch 1. The same command again goes on where it was.
#   bash web_to_sft/step4_convert_web.sh data/web.jsonl results/web_to_sft/converted.jsonl
#   OPENAI_BASE_URL=http://127.0.0.1:8000/v1 MODEL=converter bash …        # a server that runs already
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

WEB=${1:-data/web.jsonl}
SAVE=${2:-results/web_to_sft/converted.jsonl}
shift $(($# < 2 ? $# : 2))
MODEL=${MODEL:-results/web_to_sft/converter_model}
NUM_GPUS=${NUM_GPUS:-8}

start_server --model "$MODEL" --data_parallel "$NUM_GPUS" --max-model-len 4096
run python web_to_sft/step4_convert_web.py --data_path "$WEB" --save_path "$SAVE" --model "$MODEL" "$@"
