#!/usr/bin/env bash
# The paper's claims in miniature, offline and seeded: does a small scorer rank rows as a larger one does, and does a
# model learn more from the 10 % of highest IFD than from 10 % at random, or of the longest? Strong: SmolLM2-135M. Weak,
# and to be trained: 0.3M numbers, trained on the spot. A small world of instructions, one row in five damaged.
#   bash superfiltering/replicate_small.sh                 # prints the table of the README
#   bash superfiltering/replicate_small.sh --record        # and leaves it there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

SEEDS=${SEEDS:-1 2 3}
ROWS=${ROWS:-600}              # to score and to select from
OTHER_ROWS=${OTHER_ROWS:-3000} # more of them, which the weak scorer learns from
TOKENS=${TOKENS:-300000}       # that it sees; the students then see 20,000
OUT=${OUT:-results/superfiltering/small}
MODEL=${MODEL:-$OUT/SmolLM2-135M-Instruct}

[[ -e $MODEL/config.json ]] || run python common/training/real_model.py smollm2 --save_path "$MODEL"
FIGURES=()
for seed in $SEEDS; do
    dir=$OUT/seed$seed
    run python superfiltering/small_world.py --save_path "$dir" --pool_rows "$ROWS" --other_rows "$OTHER_ROWS" --seed "$seed"
    # A language model of the world: plain text, no questions and answers yet.
    run python common/training/small_model.py --data_path "$dir"/{all,other,test}.jsonl --vocabulary words \
        --hidden 96 --layers 2 --seed "$seed" --save_path "$dir/start"
    run python common/training/small_training.py --data_path "$dir/other.jsonl" --model_name_or_path "$dir/start" \
        --save_path "$dir/base" --train_tokens "$TOKENS" --seed "$seed"

    # Both score all rows by the method's steps; each selects its 10 %.
    for scorer in weak strong; do
        [[ $scorer == weak ]] && SCORER=("$dir/base") || SCORER=("$MODEL" --dtype bf16)
        run python superfiltering/step1_score_ifd.py --data_path "$dir/all.jsonl" --device cpu \
            --save_path "$dir/${scorer}_scores.jsonl" --model_name_or_path "${SCORER[@]}"
        run python superfiltering/step2_attach_scores.py --pt_data_path "$dir/${scorer}_scores.jsonl" \
            --json_data_path "$dir/all.jsonl" --json_save_path "$dir/$scorer.jsonl"
        run python superfiltering/step3_select.py --json_data_path "$dir/$scorer.jsonl" --sample_rate 0.1 --seed "$seed" \
            --json_save_path "$dir/${scorer}_IFD.jsonl" --random_baseline "$dir/random.jsonl" \
            --length_baseline "$dir/longest.jsonl"
    done
    run python superfiltering/score_small.py --folder "$dir" --seed "$seed" --train_tokens 20000 \
        --save_path "$dir.json" --students all random longest weak_IFD strong_IFD
    FIGURES+=("$dir.json")
done
# shellcheck disable=SC2086
run python common/report/replication.py --method superfiltering --seeds $SEEDS --figures "${FIGURES[@]}" \
    --save_path "$OUT/replicate_small.json" --seconds "$SECONDS" --orders \
    "rho: length with strong IFD < weak IFD with strong IFD" \
    "shared of best 10 %: chance < weak IFD with strong IFD" \
    "right: trained on random < trained on weak_IFD" \
    "right: trained on longest < trained on weak_IFD" \
    "right: trained on all < trained on weak_IFD" \
    "damaged: trained on weak_IFD < trained on random" \
    "damaged: trained on strong_IFD < trained on random" "$@"
