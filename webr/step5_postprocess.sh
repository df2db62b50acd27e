#!/usr/bin/env bash
# WebR step 5: refusals, faults and near-duplicates out; two WI for one WR; training data, dataset card, report.
# CPU only, one core, about a minute for 100,000 rows.
#   bash webr/step5_postprocess.sh
#   SAVE_NUM=100000 bash webr/step5_postprocess.sh      # exactly so many, the paper's size, or how many pages it takes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/webr}
SAVE_NUM=${SAVE_NUM:-}
TOKENIZER=${TOKENIZER-meta-llama/Meta-Llama-3-8B} # of the model to train; empty: words

run python webr/step5_postprocess.py --WI_data_paths "$OUT/refined.jsonl" --WR_data_paths "$OUT/refined.jsonl" \
    --save_name "$OUT/data/webr" ${TOKENIZER:+--tokenizer_model_name "$TOKENIZER"} ${SAVE_NUM:+--save_num "$SAVE_NUM"} "$@"
run python webr/write_report.py --data_path "$OUT/data/webr.jsonl" --save_path "$OUT/report.html"
