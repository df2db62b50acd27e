#!/usr/bin/env bash
# edu_filter step 1: Llama-3.1-70B rates documents from 0 to 5. The released setting: 550,000 ratings on 8 GPUs.
# The same command again goes on where it stopped. With OPENAI_BASE_URL set, that server is asked and none is started.
#   bash edu_filter/step1_rate.sh
#   DATA='web/*.parquet' SAMPLE=20000 bash edu_filter/step1_rate.sh --sample_by_lang
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

DATA=${DATA:-data/web}
OUT=${OUT:-results/edu_filter}
MODEL=${MODEL:-meta-llama/Meta-Llama-3.1-70B-Instruct}
SAMPLE=${SAMPLE:-550000} # documents to rate; 20,000 are enough for a first look

start_server --model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-8}" --enable-prefix-caching # the rubric stands first
run python edu_filter/step1_rate.py --dataset_path "$DATA" --output_path "$OUT/ratings.jsonl" --model "$MODEL" \
    --sample_num "$SAMPLE" "$@"
