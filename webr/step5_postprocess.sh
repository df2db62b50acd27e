#!/usr/bin/env bash
# WebR step 5: filter, deduplicate, mix 2 : 1 and write parquet, jsonl, dataset card and report. Minutes, no GPU.
#   bash webr/step5_postprocess.sh                       # all that the pages give
#   SAVE_NUM=100000 bash webr/step5_postprocess.sh       # exactly so many, as in the paper
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/webr}
TOKENIZER=${TOKENIZER:-meta-llama/Meta-Llama-3-8B} # of the model that will be trained
SAVE_NUM=${SAVE_NUM:-}

run python webr/step5_postprocess.py --WI_data_paths "$OUT/refined.jsonl" --WR_data_paths "$OUT/refined.jsonl" \
    --tokenizer_model_name "$TOKENIZER" --save_name "$OUT/webr" ${SAVE_NUM:+--save_num "$SAVE_NUM"} "$@"
