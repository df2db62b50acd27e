# shellcheck shell=bash
# What launchers source, standing in the repository root:
#   start_server --model "$MODEL"       # unless OPENAI_BASE_URL is set; arguments of llm/serve.sh; ends with the launcher
#   run python -m webr.step1 … "$@"     # DRY_RUN=1 prints the command instead
ROOT=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The environment that run_demo.sh made, unless another one is active.
[[ -n ${VIRTUAL_ENV:-} || ! -d $ROOT/.venv ]] || PATH=$ROOT/.venv/bin:$PATH

run() {
    if [[ ${DRY_RUN:-} == 1 ]]; then
        printf '%q ' "$@" && echo
        return
    fi
    # Behind, because bash hears no signal while a command runs in front; Ctrl-C is off for those behind, so put it back.
    (trap - INT && exec "$@") <&0 &
    COMMAND=$!
    local status=0
    wait "$COMMAND" || status=$?
    COMMAND=
    return "$status"
}

start_server() {
    [[ -z ${OPENAI_BASE_URL:-} ]] || return 0
    if [[ ${DRY_RUN:-} == 1 ]]; then
        bash "$ROOT/common/llm/serve.sh" "$@"
        export OPENAI_BASE_URL=http://127.0.0.1:${PORT:-8000}/v1
        return
    fi
    # `cat` ends when this script is gone, even by kill -9, and the server ends with `cat`.
    coproc SERVE { exec bash "$ROOT/common/llm/serve.sh" "$@" -- cat; }
    SERVE_JOB=$! SERVE_PIPE=${SERVE[1]}
    trap 'eval "exec $SERVE_PIPE>&-"; wait "$SERVE_JOB" || true' EXIT
    local serving
    read -r serving <&"${SERVE[0]}" || exit 1
    echo "$serving"
    export OPENAI_BASE_URL=${serving##* }
}

ended() { # ended TARGET TENTHS: wait for a process, or -group, to be gone
    local i
    for ((i = 0; i < $2; i++)); do
        kill -0 -- "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    return 1
}

interrupted() { # the terminal, `timeout` and Slurm tell the command as well; a plain `kill` does not
    trap '' INT TERM HUP
    if [[ -n ${COMMAND:-} ]]; then
        ended "$COMMAND" 20 || kill -TERM "$COMMAND" || true
        ended "$COMMAND" 300 || kill -KILL "$COMMAND" || true
    fi
    exit "$1"
}
trap 'interrupted 129' HUP
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
