#!/usr/bin/env bash
# edu_filter step 3: score a corpus, one worker a GPU, one file at a time each. Finished files are skipped.
#   bash edu_filter/step3_score_corpus.sh
#   DATA='web/*.parquet' MODEL=HuggingFaceFW/fineweb-edu-classifier NUM_GPUS=8 bash edu_filter/step3_score_corpus.sh
#   bash edu_filter/step3_score_corpus.sh --engine ray --num_gpus 64      # a Ray cluster with a shared file system
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

DATA=${DATA:-data/web}
OUT=${OUT:-results/edu_filter}
MODEL=${MODEL:-$OUT/head/model}
NUM_GPUS=${NUM_GPUS:-$(nvidia-smi -L 2>/dev/null | grep -c GPU || true)} # all of this machine

run python edu_filter/step3_score_corpus.py --model_path "$MODEL" --dataset "$DATA" --output_dir "$OUT/scored" \
    --num_gpus "$NUM_GPUS" "$@"
