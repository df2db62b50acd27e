#!/usr/bin/env bash
# AugCon step 3: score each question, keep of each text the best that do not repeat one another, as many as its quota.
# One scorer a GPU; the filter itself takes half a minute for DailyM's 130,000 questions on one core.
#   bash augcon/step3_rank_and_filter.sh
#   RANK_BY=random bash augcon/step3_rank_and_filter.sh            # the paper's ablation; RANK_BY=judge asks the model
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/augcon}
RANK_BY=${RANK_BY:-scorer}
NUM_GPUS=${NUM_GPUS:-8} # 0: on the CPU
MODEL=${MODEL:-Qwen/Qwen1.5-32B-Chat}

[[ $RANK_BY != judge ]] || start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-8}"
run python augcon/step3_rank_and_filter.py --data_path "$OUT/questions.jsonl" --save_path "$OUT/filtered.jsonl" \
    --rank "$RANK_BY" --model_name_or_path "$OUT/scorer" --num_gpus "$NUM_GPUS" "$@"
