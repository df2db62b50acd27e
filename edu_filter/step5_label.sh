#!/usr/bin/env bash
# edu_filter step 5: domains and use cases of each data set in a list, with the released script's flags.
#   bash edu_filter/step5_label.sh -d datasets.txt -o results/labels
#     -d list of data sets, one a line, # before a comment (datasets.txt)     -o output folder (./results)
#     -m model (meta-llama/Meta-Llama-3.1-70B-Instruct)                       -p prompt file (ours, by language)
#     -c GPUs (0,1)     -n how many they are (2)     -l folder of models (./models)     -- more for step5_label.py
# PAPER_EXACT=1: lines, names, prompt and requests as in the released scripts, defects included.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../common/launch.sh"

LIST=datasets.txt OUT=./results MODEL=meta-llama/Meta-Llama-3.1-70B-Instruct PROMPT='' GPUS=0,1 NUM_GPUS=2 MODELS=./models
MORE=()
if [[ ${PAPER_EXACT:-} == 1 ]]; then
    PROMPT=./base_prompt_label_usecases.txt MORE=(--paper_exact --batch_size 500)
fi
while getopts d:o:m:p:c:n:l: flag; do
    case $flag in
        d) LIST=$OPTARG ;; o) OUT=$OPTARG ;; m) MODEL=$OPTARG ;; p) PROMPT=$OPTARG ;;
        c) GPUS=$OPTARG ;; n) NUM_GPUS=$OPTARG ;; l) MODELS=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
MORE+=("$@")

die() { echo "step5_label.sh: $*" >&2 && exit 1; }

[[ -f $LIST ]] || die "$LIST: no such list of data sets (-d)"
IFS=, read -ra devices <<<"$GPUS"
((${#devices[@]} == NUM_GPUS)) || die "-c $GPUS names ${#devices[@]} GPUs, -n says $NUM_GPUS"
data_sets=() names=()
while IFS= read -r line || [[ -n $line ]]; do
    if [[ ${PAPER_EXACT:-} != 1 ]]; then # a list may come from Windows
        line=${line%$'\r'} && line=${line#"${line%%[![:space:]]*}"} && line=${line%"${line##*[![:space:]]}"}
    fi
    [[ -z $line || $line == \#* ]] && continue
    name=$(basename "$(dirname "$line")")
    data_sets+=("$line") names+=("${name//_/-}")
done <"$LIST"
((${#data_sets[@]})) || die "$LIST: names no data sets"
outputs=()
for i in "${!data_sets[@]}"; do
    name=${names[i]}
    if [[ ${PAPER_EXACT:-} != 1 ]] && (($(printf '%s\n' "${names[@]}" | grep -cxF -- "$name") > 1)); then
        file=$(basename "${data_sets[i]}") && name+=-${file%%.*} # two files of one folder
    fi
    outputs+=("$OUT/usecasesdomains_${name}_${MODEL##*/}.json")
done
twice=$(printf '%s\n' "${outputs[@]}" | sort | uniq -d)
[[ ${PAPER_EXACT:-} == 1 || -z $twice ]] || die "several data sets would be written to $twice; give them other names"

mkdir -p "$OUT"
export CUDA_VISIBLE_DEVICES=$GPUS HF_HOME=${HF_HOME:-$MODELS}
start_server --model "$MODEL" --tensor_parallel "$NUM_GPUS" --max-model-len 10432 --enable-prefix-caching
done_num=0 failed=0
for i in "${!data_sets[@]}"; do
    echo "${data_sets[i]} -> ${outputs[i]}"
    if run python "$ROOT/edu_filter/step5_label.py" ${PROMPT:+--prompt_path "$PROMPT"} --dataset_path "${data_sets[i]}" \
        --model_path "$MODEL" --download_dir "$MODELS" --output_path "${outputs[i]}" --tensor_parallel_size "$NUM_GPUS" \
        --text_column "${TEXT_COLUMN:-texto}" "${MORE[@]}"; then
        done_num=$((done_num + 1))
    else
        failed=$((failed + 1)) && echo "${data_sets[i]}: failed" | tee -a "$OUT/error_log.txt" >&2
    fi
done
echo "labelled: $done_num, failed: $failed"
((failed == 0)) || [[ ${PAPER_EXACT:-} == 1 ]]
