#!/usr/bin/env bash
# Command 2: set everything up and run every check. CPU only; the network is needed for the set-up alone.
#   bash run_tests.sh                  # lint, launchers, tests: under 10 minutes on 2 cores
#   bash run_tests.sh tests/common     # some of them; what follows goes to pytest
#   bash run_tests.sh --peers          # also: against servers, a browser and a Ray cluster that others wrote
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source common/setup.sh

if [ "${1:-}" = --peers ]; then
    shift
    bash tests/peers/setup_peers.sh
    exec python -m pytest -m peers "$@"
fi
export OMP_NUM_THREADS=1 # two test processes share the cores
ruff check .
ruff format --check --quiet .
exec python -m pytest --numprocesses 2 --dist worksteal "$@"
