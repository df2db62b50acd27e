#!/usr/bin/env bash
# web_to_sft, whole: crawled and clean problems in, two accuracies out. 8 x A800 80 GB.
#   WEB=web.jsonl CLEAN=clean.jsonl APE210K=test.ape.json CMATH=cmath_dev.jsonl bash web_to_sft/run_all.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

WEB=${WEB:-data/web.jsonl}       # paper: 573,960 crawled problems {"question", "raw_analysis"}
CLEAN=${CLEAN:-data/clean.jsonl} # paper: 84,095 clean ones {"input": [...], "solve_step": [...]}
MODEL=${MODEL:-Qwen/Qwen1.5-7B-Chat}
MODELS=${MODELS:-checkpoints}
OUT=${OUT:-results/web_to_sft}

run python -m web_to_sft.step1_match_pairs --web_path "$WEB" --high_quality_path "$CLEAN" --save_path "$OUT/pairs.jsonl"
run python -m web_to_sft.step2_build_converter_data --pairs_path "$OUT/pairs.jsonl" --web_path "$WEB" \
    --high_quality_path "$CLEAN" --save_path "$OUT/converter.jsonl"
run env OUTPUT_DIR="$OUT/converter_model" bash web_to_sft/step3_train_converter.sh \
    "$OUT/converter.jsonl" instruction output "$MODELS" "$MODEL"
run env MODEL="$OUT/converter_model" bash web_to_sft/step4_convert_web.sh "$WEB" "$OUT/converted.jsonl"
run python -m web_to_sft.step5_build_sft --data_path "$OUT/converted.jsonl" --add_path "$CLEAN" \
    --save_path "$OUT/solver.jsonl"
run env OUTPUT_DIR="$OUT/solver_model" bash web_to_sft/step6_train_solver.sh \
    "$OUT/solver.jsonl" instruction output "$MODELS" "$MODEL"
run env MODEL="$OUT/solver_model" OUT="$OUT/evaluation" bash web_to_sft/step7_evaluate.sh
run python -m web_to_sft.rule_baseline --data_path "$WEB" --save_path "$OUT/by_rules.jsonl"
run python -m web_to_sft.write_report --folder "$OUT" --save_path "$OUT/report.html"
