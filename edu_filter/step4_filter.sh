#!/usr/bin/env bash
# edu_filter step 4: keep what scores high enough. Look at the report first: it says what each threshold would keep.
#   bash edu_filter/step4_filter.sh                          # int_score 3 and more, as FineWeb-Edu
#   bash edu_filter/step4_filter.sh --keep_share 0.1         # the best tenth, exactly
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/edu_filter}
CHOICE=(--score 3)
(($# == 0)) || CHOICE=("$@")

run python edu_filter/step4_filter.py --dataset_path "$OUT/scored" --output_path "$OUT/kept.parquet" "${CHOICE[@]}"
