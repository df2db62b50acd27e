#!/usr/bin/env bash
# Does a head on a frozen encoder learn ratings, and better than what needs no encoder? Offline, seeded, in about a
# minute of one core: 400 pieces of real English that is installed anyway, a real MiniLM, two raters: one goes by what a text
# is about (which an encoder may see), one counts words (which a count of words sees best). Each seed holds out others.
#   bash edu_filter/replicate_small.sh                       # the table of the README
#   SEEDS="1 2 3 4 5" OUT=/tmp/small bash edu_filter/replicate_small.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/edu_filter_small}
SEEDS=${SEEDS:-1 2 3}
BASE_MODEL=${BASE_MODEL:-$OUT/MiniLM}

SECONDS=0 # since here
[[ -e $BASE_MODEL/config.json ]] || run python common/training/real_model.py minilm --save_path "$BASE_MODEL"
run python edu_filter/small_corpus.py --save_path "$OUT/rated.jsonl" --base_model "$BASE_MODEL"
read -ra seeds <<<"$SEEDS"
run python edu_filter/compare_heads.py --json_file "$OUT/rated.jsonl" --rating_key meaning,words --seeds "${seeds[@]}" \
    --base_model "$BASE_MODEL" --cache_dir "$OUT/vectors" --output_dir "$OUT/figures" --test_share 0.3 \
    --max_length 128 --train_batch_size 64 --learning_rate 1e-3 --num_train_epochs 30
figures=("${seeds[@]/#/$OUT/figures/seed}")
run python common/report/replication.py --method edu_filter --seeds "${seeds[@]}" --figures "${figures[@]/%/.json}" \
    --save_path "$OUT/replicate_small.json" --seconds "$SECONDS" --orders \
    "F1, threshold chosen on half: meaning: all positive < meaning: single words < meaning: pooler, first token" \
    "Spearman: meaning: length < meaning: single words < meaning: pooler, first token < meaning: pooler, mean" \
    "Spearman: words: length < words: pooler, first token < words: single words" "$@"
