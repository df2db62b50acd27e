#!/usr/bin/env bash
# The paper's claim in miniature, offline and seeded: does a model learn more from pages that WebR rebuilt than from the
# pages as they are, at equal tokens? A small web of invented towns, rules as rebuilder (webr/small_rebuilder.py: what a
# good model would answer), steps 1 to 5 as they are, models of 0.3M numbers trained from scratch.
#   bash webr/replicate_small.sh                 # prints the table of the README
#   bash webr/replicate_small.sh --record        # and leaves it there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

SEEDS=${SEEDS:-1 2 3}
PAGES=${PAGES:-300}
TOKENS=${TOKENS:-200000} # that each model sees
OUT=${OUT:-results/webr/small}

start_server --engine standin --rules webr/small_rebuilder.py
FIGURES=()
for seed in $SEEDS; do
    dir=$OUT/seed$seed
    run python webr/small_world.py --save_path "$dir" --pages "$PAGES" --seed "$seed"
    run python webr/step1_infer_author.py --data_path "$dir/pages.jsonl" --save_path "$dir/authors.jsonl" --lang en
    run python webr/step2_make_requests.py --data_path "$dir/authors.jsonl" --save_path "$dir/requests.jsonl" --seed "$seed"
    run python webr/step3_make_responses.py --data_path "$dir/requests.jsonl" --save_path "$dir/responses.jsonl"
    run python webr/step4_refine_responses.py --data_path "$dir/responses.jsonl" --save_path "$dir/refined.jsonl"
    # Requests of one pattern are alike by nature: only those that are nearly the same go. Unrefined: a claim of the paper.
    for made in refined:rebuilt responses:unrefined; do
        run python webr/step5_postprocess.py --WI_data_paths "$dir/${made%:*}.jsonl" --WR_data_paths "$dir/${made%:*}.jsonl" \
            --save_name "$dir/${made#*:}/webr" --threshold 0.95 --seed "$seed"
    done
    run python common/training/small_model.py --data_path "$dir"/{titles,facts,unseen,refined}.jsonl --vocabulary words \
        --hidden 96 --layers 2 --seed "$seed" --save_path "$dir/start"
    run python webr/score_small.py --folder "$dir" --seed "$seed" --train_tokens "$TOKENS" --save_path "$dir.json"
    FIGURES+=("$dir.json")
done
# shellcheck disable=SC2086
run python common/report/replication.py --method webr --seeds $SEEDS --figures "${FIGURES[@]}" \
    --save_path "$OUT/replicate_small.json" --seconds "$SECONDS" --orders \
    "asked, written: raw pages < rebuilt" "asked, written: titles with pages < rebuilt" \
    "stated, one of four: raw pages < rebuilt" "page given, written: raw pages < rebuilt" \
    "page given, written: titles with pages < rebuilt" "asked, written: rebuilt, not refined < rebuilt" "$@"
