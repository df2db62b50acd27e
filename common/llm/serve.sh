#!/usr/bin/env bash
# Start an OpenAI-compatible server, wait until it answers, run a command with OPENAI_BASE_URL set, stop the server.
#   bash common/llm/serve.sh --model Qwen/Qwen1.5-7B-Chat -- python -m eval.generate --data_path q.jsonl --save_path a.jsonl
#   bash common/llm/serve.sh --model DIR --data_parallel 8 --max-model-len 4096 -- COMMAND   # the unknown goes to the server
#   bash common/llm/serve.sh --engine transformers --model DIR -- COMMAND    # `transformers serve`, where vLLM is not
#   bash common/llm/serve.sh --engine small --model DIR -- COMMAND           # ours, batched, for a small model on a CPU
#   bash common/llm/serve.sh --engine standin                    # the rule-based one; without a command: until Ctrl-C
# --tensor_parallel N (NUM_GPUS, 8, over the copies), --data_parallel N copies (1), --port N (8000), --limit SECONDS.
# The exit code is the command's. Whatever ends this script, the server and its workers end with it, and nothing else.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

ENGINE=vllm
MODEL=${MODEL:-}
PORT=${PORT:-8000}
LIMIT=3600 # until it must answer: 70B from a slow disk can take half an hour
TENSOR_PARALLEL=
DATA_PARALLEL=1
MORE=()
while (($#)); do
    case $1 in
        --engine) ENGINE=${2:?vllm, transformers, small or standin} && shift 2 ;;
        --model) MODEL=${2:?a name or a folder} && shift 2 ;;
        --port) PORT=${2:?a number} && shift 2 ;;
        --tensor_parallel) TENSOR_PARALLEL=${2:?a number} && shift 2 ;;
        --data_parallel) DATA_PARALLEL=${2:?a number} && shift 2 ;;
        --limit) LIMIT=${2:?seconds} && shift 2 ;;
        --help) sed -n '2,/^set/s/^# \?//p' "${BASH_SOURCE[0]}" && exit ;;
        --) shift && break ;;
        *) MORE+=("$1") && shift ;;
    esac
done

die() {
    echo "serve.sh: $*" >&2
    exit 1
}

case $ENGINE in
    vllm)
        SERVER=(vllm serve "$MODEL")
        # The CPU build is a distribution of another name, without which the `vllm` command does not start.
        PYTHON=$(dirname "$(type -P vllm || echo none/vllm)")/python
        if [[ -x $PYTHON ]] && ! "$PYTHON" -c 'from importlib.metadata import version; version("vllm")' 2>/dev/null; then
            SERVER=("$PYTHON" -m vllm.entrypoints.openai.api_server --model "$MODEL")
        fi
        SERVER+=(--tensor-parallel-size "${TENSOR_PARALLEL:-$((${NUM_GPUS:-8} / DATA_PARALLEL))}")
        SERVER+=(--data-parallel-size "$DATA_PARALLEL" --host 127.0.0.1)
        ;;
    transformers) SERVER=(transformers serve "$MODEL" --host 127.0.0.1) ;;
    small) SERVER=(env PYTHONPATH="$ROOT" python -m common.llm.small_server --model "$MODEL") ;;
    standin) SERVER=(env PYTHONPATH="$ROOT" python -m common.llm.standin) MODEL=stand-in ;;
    *) die "no engine $ENGINE; there are vllm, transformers, small and standin" ;;
esac
[[ -n $MODEL ]] || die "--model is missing"
SERVER+=(--port "$PORT" "${MORE[@]}")

if [[ ${DRY_RUN:-} == 1 ]]; then
    run "${SERVER[@]}"
    (($# == 0)) || run "$@"
    exit
fi

answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$PORT" && printf 'GET /health HTTP/1.0\r\n\r\n' >&3 &&
        read -r -t 5 status <&3 && [[ $status == *" 200"* ]]) 2>/dev/null
}

stop_server() {
    trap '' INT TERM HUP
    echo >&"$ALIVE"
    kill -TERM -- "-$PID" 2>/dev/null || kill -TERM "$PID" 2>/dev/null || true
    ended "$PID" 300 || true
    # What it left behind, workers of a server that crashed for example; the pause is for their GPU memory.
    ! kill -KILL -- "-$PID" 2>/dev/null || ended "-$PID" 20 || true
}

# Two servers that load at the same time both find the port free, and vLLM lets both listen: hence a lock as well.
# It lies in a folder that is the user's alone: in /tmp itself somebody else's link could lie under its name.
FOLDER=${XDG_RUNTIME_DIR:-}
if [[ ! -d $FOLDER || ! -O $FOLDER || ! -w $FOLDER ]]; then
    FOLDER=${TMPDIR:-/tmp}/serve.$UID
    mkdir -m 700 "$FOLDER" 2>/dev/null || [[ -d $FOLDER && ! -L $FOLDER && -O $FOLDER ]] ||
        die "$FOLDER is not a folder of yours; remove it or set XDG_RUNTIME_DIR"
    chmod 700 "$FOLDER"
fi
exec {LOCK}>>"$FOLDER/serve.$PORT.lock"
if ! flock --wait 3 "$LOCK" || (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
    die "port $PORT is in use; choose another with --port or PORT="
fi
LOG=$(mktemp -t serve.XXXXXX.log)
# A session of its own: one name for it and its workers, and Ctrl-C is ours to pass on.
setsid "${SERVER[@]}" >"$LOG" 2>&1 </dev/null &
PID=$!
# If this script is killed outright (kill -9), its end of the pipe closes without a line and the server goes all the same.
exec {ALIVE}> >(
    trap '' INT TERM HUP
    read -r _ || kill -TERM -- "-$PID" 2>/dev/null
)
trap stop_server EXIT

SECONDS=0
until answers; do
    if ! kill -0 "$PID" 2>/dev/null; then
        tail -n 40 "$LOG" >&2
        die "the server ended before it answered; above, the end of $LOG"
    fi
    ((SECONDS < LIMIT)) || die "no answer after $LIMIT s; the server's log: $LOG"
    sleep 0.2
done
export OPENAI_BASE_URL=http://127.0.0.1:$PORT/v1
echo "serving $MODEL (log: $LOG) on $OPENAI_BASE_URL"
(($#)) || set -- tail --pid="$PID" -n +1 -f "$LOG"
run "$@"
