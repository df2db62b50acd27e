#!/usr/bin/env bash
# Does a head on a frozen encoder learn ratings, and better than what needs no encoder? Offline, seeded, on two cores in
# about 4 minutes: 700 pieces of real English that is installed anyway, a real MiniLM, two raters: one goes by what a text
# is about (which an encoder may see), one counts words (which a count of words sees best). Each seed holds out others.
#   bash edu_filter/replicate_small.sh                       # the table of the README
#   SEEDS="1 2 3 4 5" OUT=/tmp/small bash edu_filter/replicate_small.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/edu_filter_small}
SEEDS=${SEEDS:-1 2 3}
BASE_MODEL=${BASE_MODEL:-$OUT/MiniLM}
TRAIN=(--json_file "$OUT/rated.jsonl" --base_model "$BASE_MODEL" --test_share 0.3 --max_length 160)
TRAIN+=(--train_batch_size 64 --learning_rate 1e-3 --num_train_epochs 30)

SECONDS=0 # since here
[[ -e $BASE_MODEL/config.json ]] || run python common/training/real_model.py minilm --save_path "$BASE_MODEL"
run python edu_filter/small_corpus.py --save_path "$OUT/rated.jsonl" --base_model "$BASE_MODEL"
figures=()
for seed in $SEEDS; do
    folders=()
    for rater in meaning words; do
        for head in pooler_first pooler_mean linear_mean; do
            folder=$OUT/seed$seed/$rater/$head
            # Vectors are kept by text: whatever the rater, the seed and the head, a text is encoded once a pooling.
            run python edu_filter/step2_train_head.py "${TRAIN[@]}" --rating_key "by_$rater" --seed "$seed" \
                --head "${head%_*}" --pooling "${head#*_}" --cache_dir "$OUT/vectors_${head#*_}" --checkpoint_dir "$folder"
            folders+=("$folder")
        done
    done
    run python edu_filter/compare_heads.py --folders "${folders[@]}" --save_path "$OUT/seed$seed/figures.json"
    figures+=("$OUT/seed$seed/figures.json")
done
read -ra seeds <<<"$SEEDS"
run python common/report/replication.py --method edu_filter --seeds "${seeds[@]}" --figures "${figures[@]}" \
    --save_path "$OUT/replicate_small.json" --seconds "$SECONDS" --orders \
    "F1, threshold chosen on half: meaning: all positive < meaning: single words < meaning: pooler first" \
    "F1, threshold chosen on half: meaning: pooler first < meaning: pooler mean" \
    "F1, threshold chosen on half: words: all positive < words: pooler first < words: single words" "$@"
