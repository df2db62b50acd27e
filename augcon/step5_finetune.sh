#!/usr/bin/env bash
# AugCon step 5: fine-tune the model on questions and answers, without their contexts. QLoRA, 8 x A800 80 GB: at most
# 14,284 steps for DailyM's 114,000 rows.
#   bash augcon/step5_finetune.sh
#   PAPER_EXACT=1 bash augcon/step5_finetune.sh                 # ChatML whatever the model, and all of it learned
#   NUM_GPUS=2 MODEL=meta-llama/Meta-Llama-3-8B-Instruct bash augcon/step5_finetune.sh   |   HOSTFILE=hosts.txt bash …
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh
source common/training/launch.sh

OUT=${OUT:-results/augcon}
DATA=${DATA:-$OUT/sft.jsonl}
MODEL=${MODEL:-Qwen/Qwen1.5-32B-Chat}
CONFIG=augcon/train.yaml

if [[ ${PAPER_EXACT:-} == 1 ]]; then
    run python augcon/write_chatml.py --data_path "$DATA" --save_path "$OUT/chatml.jsonl"
    DATA=$OUT/chatml.jsonl CONFIG=augcon/train_paper_exact.yaml
fi
finetune "$CONFIG" --data_path "$DATA" --model_name_or_path "$MODEL" --output_dir "$OUT/LoRA" "$@"
