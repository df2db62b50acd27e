#!/usr/bin/env bash
# web_to_sft, whole: crawled and clean problems in, two accuracies out. 8 x A800 80 GB. Interrupted, the same command goes on.
#   WEB=web.jsonl CLEAN=clean.jsonl APE210K=test.ape.json CMATH=cmath_dev.jsonl bash web_to_sft/run_all.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

WEB=${WEB:-data/web.jsonl}       # the paper: 573,960 crawled problems {"question", "raw_analysis"}
CLEAN=${CLEAN:-data/clean.jsonl} # the paper: 84,095 clean ones {"input": [...], "solve_step": [...]}
MODEL=${MODEL:-Qwen/Qwen1.5-7B-Chat}
MODELS=${MODELS:-checkpoints} # folder of models; $MODEL is looked for there first
OUT=${OUT:-results/web_to_sft}

# The clean twin of each crawled problem, by the paper's rule: seconds for the paper's sizes.
run python web_to_sft/step1_match_pairs.py --web_path "$WEB" --high_quality_path "$CLEAN" --save_path "$OUT/pairs.jsonl"
# Each pair is an example of rewriting messy as clean.
run python web_to_sft/step2_build_converter_data.py --pairs_path "$OUT/pairs.jsonl" --web_path "$WEB" \
    --high_quality_path "$CLEAN" --save_path "$OUT/converter.jsonl"
# The converter: 3 epochs of full fine-tuning.
run env OUTPUT_DIR="$OUT/converter_model" bash web_to_sft/step3_train_converter.sh \
    "$OUT/converter.jsonl" instruction output "$MODELS" "$MODEL"
# It rewrites the whole crawl, on a server that starts and ends with this step.
run env MODEL="$OUT/converter_model" bash web_to_sft/step4_convert_web.sh "$WEB" "$OUT/converted.jsonl"
# What it wrote as training rows, the clean ones in front.
run python web_to_sft/step5_build_sft.py --data_path "$OUT/converted.jsonl" --add_path "$CLEAN" \
    --save_path "$OUT/solver.jsonl"
run python -m common.dataset_card --method web_to_sft --data_path "$OUT/solver.jsonl"
# The solver, from the same start as the converter.
run env OUTPUT_DIR="$OUT/solver_model" bash web_to_sft/step6_train_solver.sh \
    "$OUT/solver.jsonl" instruction output "$MODELS" "$MODEL"
# Its accuracy on Ape210k and CMATH, beside the paper's; needs eval/.
run env MODEL="$OUT/solver_model" OUT="$OUT/evaluation" bash web_to_sft/step7_evaluate.sh
# The paper's baseline: the crawl cleaned by rules alone.
run python web_to_sft/rule_baseline.py --data_path "$WEB" --save_path "$OUT/by_rules.jsonl"
run python web_to_sft/write_report.py --folder "$OUT" --save_path "$OUT/report.html"
