#!/usr/bin/env bash
# edu_filter step 2: a head on a frozen encoder learns the ratings. Minutes on one GPU: each text is encoded once.
#   bash edu_filter/step2_train_head.sh
#   RATINGS=out/ratings.jsonl BASE_MODEL=BAAI/bge-m3 bash edu_filter/step2_train_head.sh --pooling mean --head linear
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/edu_filter}
RATINGS=${RATINGS:-$OUT/ratings.jsonl}
BASE_MODEL=${BASE_MODEL:-Snowflake/snowflake-arctic-embed-m} # English; for other languages a multilingual one

run python edu_filter/step2_train_head.py --json_file "$RATINGS" --checkpoint_dir "$OUT/head" \
    --base_model "$BASE_MODEL" --train_batch_size 2800 --num_train_epochs 60 --learning_rate 3e-4 "$@"
