#!/usr/bin/env bash
# The papers' benchmarks by one command: likelihood tasks in the process, then one server for all that is generated, then
# the judge. Each figure lies in SAVE_PATH/TASK*.json; a killed run goes on and asks for nothing twice.
#   bash eval/benchmarks.sh --model results/mine --suite webr --save_path results/evaluation/mine
#   bash eval/benchmarks.sh --model DIR --tasks ifeval,gsm8k --data DATA --limit 50 --save_path OUT     # no hub needed
#   JUDGE_MODEL=gpt-4-1106-preview JUDGE_BASE_URL=https://api.openai.com/v1 bash eval/benchmarks.sh …   # judged tasks
#   bash eval/benchmarks.sh … -- --batch --max_cost 20       # what follows goes to every program that asks a server
# With OPENAI_BASE_URL set, --model is a name on that server, and likelihood tasks are refused: no server gives what they
# need. --dry_run counts requests, tokens and cost, of the model and of the judge, and asks nothing. DRY_RUN=1 prints the
# commands. ALLOW_CODE=1 runs HumanEval's tests on this machine. Judging without JUDGE_MODEL, and AlpacaEval's
# length-controlled rate without DATA/alpaca_eval/df_gamed.csv and .venv-alpaca, are left out.
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
        --) shift && break ;;
        *) echo "benchmarks.sh: unknown: $1; see --help" >&2 && exit 2 ;;
    esac
done
MORE=("${COUNT[@]}" "$@")                 # for every program that asks
[[ -n $SUITE$TASKS ]] || SUITE=edu_filter # likelihood tasks alone: neither server nor judge

say() { [[ ${DRY_RUN:-} == 1 ]] || echo "== $*"; }
LISTED=$(DRY_RUN='' run python eval/benchmarks.py list ${TASKS:+--tasks "$TASKS"} ${SUITE:+--suite "$SUITE"} ${DATA:+--data "$DATA"})
LIKELIHOOD=$(sed -n 1p <<<"$LISTED") GENERATION=$(sed -n 2p <<<"$LISTED") OWN=$(sed -n 3p <<<"$LISTED")
FROM=(${DATA:+--data "$DATA"} "${LIMIT[@]}" --save_path "$OUT")

counting() { ((${#COUNT[@]})); }

if [[ -n $LIKELIHOOD ]]; then
    [[ -z ${OPENAI_BASE_URL:-} ]] || { echo "benchmarks.sh: $LIKELIHOOD need the probabilities of given texts, which a server does not give: unset OPENAI_BASE_URL and name a folder" >&2 && exit 1; }
    say "$LIKELIHOOD: by likelihood, in a process of its own, no requests"
    # Of its own: the GPUs are free again when the server starts.
    counting || run python eval/benchmarks.py likelihood --model_name_or_path "$MODEL" --tasks "$LIKELIHOOD" "${FROM[@]}"
fi

[[ -z $GENERATION$OWN ]] || counting || start_server --model "$MODEL"
if [[ -n $GENERATION ]]; then
    say "$GENERATION: the model"
    run python eval/benchmarks.py generation --model "$MODEL" --tasks "$GENERATION" "${FROM[@]}" "${MORE[@]}"
fi
[[ -z $OWN ]] || run python eval/benchmarks.py questions --tasks "$OWN" "${FROM[@]}"

answer() { # answer TASK ARGUMENTS: of the model, to all questions
    say "$1: the model"
    run python eval/generate.py --data_path "$OUT/$1.questions.jsonl" --save_path "$OUT/$1.answers.jsonl" --model "$MODEL" \
        --keep_truncated --keep_empty "${@:2}" "${MORE[@]}"
}

JUDGE=(${JUDGE_MODEL:+--model "$JUDGE_MODEL"} ${JUDGE_BASE_URL:+--base_url "$JUDGE_BASE_URL"})
judged() { # judged TASK: whether there is a judge to ask or to count for
    [[ -n ${JUDGE_MODEL:-} ]] || counting || { say "$1: not judged, without JUDGE_MODEL" && return 1; }
    say "$1: the judge"
}
judge() { # judge TASK ARGUMENTS; what is counted for are the questions, because there are no answers yet
    local answers=$OUT/$1.answers.jsonl
    ! counting || answers=$OUT/$1.questions.jsonl
    run python "eval/$1.py" judge --data_path "$answers" "${@:2}" "${JUDGE[@]}" "${MORE[@]}"
}

if [[ ,$OWN, == *,humaneval,* ]]; then
    answer humaneval --max_tokens 512
    counting || [[ -z ${ALLOW_CODE:-} ]] ||
        run python eval/humaneval.py score --data_path "$OUT/humaneval.answers.jsonl" --save_path "$OUT/humaneval.scored.jsonl" --allow_code
fi
if [[ ,$OWN, == *,mt_bench,* ]]; then
    say "mt_bench: the model"
    run python eval/mt_bench.py answer --data_path "$OUT/mt_bench.questions.jsonl" --save_path "$OUT/mt_bench.answers.jsonl" \
        --model "$MODEL" "${MORE[@]}"
    if judged mt_bench; then
        judge mt_bench --reference "$DATA/mt_bench/reference_answer.jsonl" --save_path "$OUT/mt_bench.scored.jsonl"
    fi
fi
if [[ ,$OWN, == *,arena_hard,* ]]; then
    answer arena_hard --prompt_key turns.0.content --max_tokens 4096
    if judged arena_hard; then
        VERDICTS=$OUT/arena_hard.verdicts.jsonl
        judge arena_hard --baseline "$DATA/arena_hard/baseline.jsonl" --save_path "$VERDICTS"
        counting || run python eval/arena_hard.py score --data_path "$VERDICTS" --save_path "$OUT/arena_hard.json"
        counting || run python eval/arena_hard.py score --data_path "$VERDICTS" --save_path "$OUT/arena_hard_style.json" --style_control
    fi
fi
if [[ ,$OWN, == *,alpaca_eval,* ]]; then
    answer alpaca_eval --prompt_key instruction --max_tokens 2048
    if judged alpaca_eval; then
        VERDICTS=$OUT/alpaca_eval.verdicts.jsonl
        ALPACA_PYTHON=${ALPACA_PYTHON:-.venv-alpaca/bin/python} GAMED=$DATA/alpaca_eval/df_gamed.csv
        judge alpaca_eval --baseline "$DATA/alpaca_eval/baseline.jsonl" --save_path "$VERDICTS"
        counting || run python eval/alpaca_eval.py score --data_path "$VERDICTS" --save_path "$OUT/alpaca_eval.json"
        if ! counting && [[ -x $ALPACA_PYTHON && -f $GAMED ]]; then
            run "$ALPACA_PYTHON" eval/length_controlled.py --data_path "$VERDICTS" --gamed "$GAMED" --save_path "$OUT/alpaca_eval_lc.json"
        else
            say "alpaca_eval, length-controlled: not computed; it needs bash eval/setup_alpaca.sh and $GAMED"
        fi
    fi
fi
