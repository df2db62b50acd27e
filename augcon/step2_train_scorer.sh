#!/usr/bin/env bash
# AugCon step 2: the scorer, QLoRA on the base model, from 1,500 pairs: 188 steps on 8 x A800 80 GB.
#   bash augcon/step2_train_scorer.sh
#   bash augcon/step2_train_scorer.sh --paper_exact true        # the released loss and head
#   NUM_GPUS=0 MODEL=small_model CONFIG=augcon/train_scorer_small.yaml bash augcon/step2_train_scorer.sh    # on a CPU
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/augcon}
MODEL=${MODEL:-Qwen/Qwen1.5-32B-Chat}
CONFIG=${CONFIG:-augcon/train_scorer.yaml}
NUM_GPUS=${NUM_GPUS:-8}

START=(deepspeed --num_gpus "$NUM_GPUS")
((NUM_GPUS)) || START=(python)
run "${START[@]}" augcon/step2_train_scorer.py --config "$CONFIG" --data_path "$OUT/questions.pairs.jsonl" \
    --model_name_or_path "$MODEL" --output_dir "$OUT/scorer" "$@"
