#!/usr/bin/env bash
# The papers' benchmarks by one command: likelihood tasks in the process, then one server for all that is generated, then
# the judge. Each figure lies in SAVE_PATH/TASK.json; a killed run goes on and asks for nothing twice.
#   bash eval/benchmarks.sh --model results/mine --suite webr --save_path results/evaluation/mine
#   bash eval/benchmarks.sh --model DIR --tasks ifeval,gsm8k --data DATA --limit 50 --save_path OUT     # no hub needed
#   JUDGE_MODEL=gpt-4-1106-preview JUDGE_BASE_URL=https://api.openai.com/v1 bash eval/benchmarks.sh …   # judged tasks
# With OPENAI_BASE_URL set, --model is a name on that server, and likelihood tasks are refused: no server gives what they
# need. --dry_run counts requests, tokens and cost. DRY_RUN=1 prints the commands.
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh

MODEL=${MODEL:-results/mine} OUT=${OUT:-results/evaluation/mine} DATA=${DATA:-}
SUITE=${SUITE:-} TASKS=${TASKS:-} LIMIT=() COUNT=()
while (($#)); do
    case $1 in
        --model) MODEL=${2:?a folder, or a name on a server} && shift 2 ;;
        --suite) SUITE=${2:?webr, superfiltering, edu_filter or augcon} && shift 2 ;;
        --tasks) TASKS=${2:?names, with commas} && shift 2 ;;
        --save_path) OUT=${2:?a folder} && shift 2 ;;
        --data) DATA=${2:?a folder} && shift 2 ;;
        --judge_model) JUDGE_MODEL=${2:?a name} && shift 2 ;;
        --judge_base_url) JUDGE_BASE_URL=${2:?an address} && shift 2 ;;
        --limit) LIMIT=(--limit "${2:?a number}") && shift 2 ;;
        --dry_run) COUNT=(--dry_run) && shift ;;
        --help) sed -n '2,/^set/s/^# \?//p' "${BASH_SOURCE[0]}" && exit ;;
        *) echo "benchmarks.sh: unknown: $1; see --help" >&2 && exit 2 ;;
    esac
done
[[ -n $SUITE$TASKS ]] || SUITE=edu_filter # likelihood tasks alone: neither server nor judge

run_list() { run python eval/benchmarks.py list --kind "$1" ${TASKS:+--tasks "$TASKS"} ${SUITE:+--suite "$SUITE"} ${DATA:+--data "$DATA"}; }
LIKELIHOOD=$(DRY_RUN='' run_list likelihood) GENERATION=$(DRY_RUN='' run_list generation) OWN=$(DRY_RUN='' run_list own)
FROM=(${DATA:+--data "$DATA"} "${LIMIT[@]}" --save_path "$OUT")

if [[ -n $LIKELIHOOD ]]; then
    [[ -z ${OPENAI_BASE_URL:-} ]] || { echo "benchmarks.sh: $LIKELIHOOD need the probabilities of given texts, which a server does not give: unset OPENAI_BASE_URL and name a folder" >&2 && exit 1; }
    # Its own process: the GPUs are free again when the server starts.
    run python eval/benchmarks.py likelihood --model_name_or_path "$MODEL" --tasks "$LIKELIHOOD" "${FROM[@]}"
fi

if [[ -n $GENERATION$OWN ]]; then
    ((${#COUNT[@]})) || start_server --model "$MODEL"
    [[ -z $GENERATION ]] || run python eval/benchmarks.py generation --model "$MODEL" --tasks "$GENERATION" "${FROM[@]}" "${COUNT[@]}"
fi
if [[ ,$OWN, == *,humaneval,* ]]; then
    run python eval/humaneval.py questions --save_path "$OUT/humaneval.questions.jsonl"
    run python eval/generate.py --data_path "$OUT/humaneval.questions.jsonl" --save_path "$OUT/humaneval.answers.jsonl" \
        --model "$MODEL" --max_tokens 512 --keep_truncated --keep_empty "${COUNT[@]}"
    ((${#COUNT[@]})) || [[ -z ${ALLOW_CODE:-} ]] || # ALLOW_CODE=1: it runs what the model wrote on this machine
        run python eval/humaneval.py score --data_path "$OUT/humaneval.answers.jsonl" --save_path "$OUT/humaneval.scored.jsonl" --allow_code
fi
if [[ ,$OWN, == *,mt_bench,* ]]; then
    run python eval/mt_bench.py answer --data_path "$DATA/mt_bench/question.jsonl" --save_path "$OUT/mt_bench.answers.jsonl" --model "$MODEL"
    [[ -z ${JUDGE_MODEL:-} ]] || run python eval/mt_bench.py judge --data_path "$OUT/mt_bench.answers.jsonl" \
        --reference "$DATA/mt_bench/reference_answer.jsonl" --save_path "$OUT/mt_bench.scored.jsonl" \
        --model "$JUDGE_MODEL" --base_url "${JUDGE_BASE_URL:-$OPENAI_BASE_URL}"
fi
if [[ ,$OWN, == *,arena_hard,* ]]; then
    run python eval/generate.py --data_path "$DATA/arena_hard/question.jsonl" --save_path "$OUT/arena_hard.answers.jsonl" \
        --prompt_key turns.0.content --model "$MODEL" --max_tokens 4096 --keep_truncated --keep_empty
    if [[ -n ${JUDGE_MODEL:-} ]]; then
        run python eval/arena_hard.py judge --data_path "$OUT/arena_hard.answers.jsonl" --baseline "$DATA/arena_hard/baseline.jsonl" \
            --save_path "$OUT/arena_hard.verdicts.jsonl" --model "$JUDGE_MODEL" --base_url "${JUDGE_BASE_URL:-$OPENAI_BASE_URL}"
        run python eval/arena_hard.py score --data_path "$OUT/arena_hard.verdicts.jsonl" --save_path "$OUT/arena_hard.json"
        run python eval/arena_hard.py score --data_path "$OUT/arena_hard.verdicts.jsonl" --save_path "$OUT/arena_hard_style.json" --style_control
    fi
fi
