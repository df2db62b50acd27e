#!/usr/bin/env bash
# Superfiltering step 1: how much each instruction helps GPT-2 to predict its answer. One GPU is enough; eight share a
# large set. The same command again goes on where it stopped.
#   bash superfiltering/step1_score_ifd.sh                       # alpaca_data.json with GPT-2, the paper's setting
#   DATA=wizard.json MODEL=meta-llama/Llama-2-7b-hf NUM_GPUS=1 bash superfiltering/step1_score_ifd.sh
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh

DATA=${DATA:-data/alpaca_data.json}
OUT=${OUT:-results/superfiltering}
MODEL=${MODEL:-gpt2} # 124M: in the paper it agrees with LLaMA2-7B's ranking (Spearman 0.68 on Alpaca)
NUM_GPUS=${NUM_GPUS:-$(nvidia-smi -L 2>/dev/null | grep -c GPU || true)} # all of this machine

run python superfiltering/step1_score_ifd.py --data_path "$DATA" --save_path "$OUT/scores.jsonl" \
    --model_name_or_path "$MODEL" --max_length 1024 --num_gpus "$NUM_GPUS" "$@"
