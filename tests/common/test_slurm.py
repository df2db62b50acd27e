"""The Slurm files with a stand-in for sbatch: it runs the script as Slurm would, with the variables Slurm sets."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "common" / "slurm"


@pytest.fixture
def sbatch(tmp_path):
    """`sbatch(script, *arguments, **environment)` in a folder with a fake scontrol, commands printed, not run."""
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text("#!/usr/bin/env bash\nprintf 'node1\\nnode2\\n'\n", encoding="utf-8")
    scontrol.chmod(0o755)

    def run(script, *arguments, dry_run="1", **more):
        env = {name: value for name, value in os.environ.items() if name != "OPENAI_BASE_URL"} | more
        env |= {"PATH": f"{scontrol.parent}:{os.environ['PATH']}", "SLURM_SUBMIT_DIR": str(ROOT), "DRY_RUN": dry_run}
        command = ["bash", str(SLURM / script), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=env | {"SLURM_JOB_ID": "12"}, capture_output=True, text=True)

    return run


def test_a_server_is_started_on_all_interfaces_and_its_address_announced(sbatch, tmp_path):
    shared = {
        "SERVERS": str(tmp_path / "servers"),
        "MODEL": "m",
        "SLURM_ARRAY_JOB_ID": "12",
        "SLURM_ARRAY_TASK_ID": "3",
    }
    done = sbatch("serve.sbatch", "--max-model-len", "4096", **shared)
    assert done.returncode == 0, done.stderr
    assert "--model m" in done.stdout and "--host 0.0.0.0 --max-model-len 4096" in done.stdout
    assert f"announce.sh http://{os.uname().nodename}:8000/v1 {tmp_path}/servers/12_3.url" in done.stdout


def test_an_address_is_there_as_long_as_its_server(tmp_path):
    file = tmp_path / "12_0.url"
    command = ["bash", SLURM / "announce.sh", "http://node:8000/v1", file]
    with subprocess.Popen(command, start_new_session=True) as process:
        until = time.monotonic() + 10
        while not file.exists() and time.monotonic() < until:
            os.sched_yield()
        assert file.read_text(encoding="utf-8") == "http://node:8000/v1\n"
        os.killpg(process.pid, signal.SIGTERM)
    assert not file.exists()


def test_a_step_asks_all_servers_that_are_there(sbatch, tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.url").write_text(f"http://node{number}:8000/v1\n", encoding="utf-8")
    done = sbatch("step.sbatch", "printenv", "OPENAI_BASE_URL", dry_run="", SERVERS=str(tmp_path))
    assert done.stdout == "http://node0:8000/v1,http://node1:8000/v1\n", done.stderr


def test_a_step_without_servers_says_so_and_can_be_submitted_again(sbatch, tmp_path):
    done = sbatch("step.sbatch", "true", SERVERS=str(tmp_path))
    assert done.returncode == 75 and "no server" in done.stderr
    assert sbatch("step.sbatch", SERVERS=str(tmp_path)).returncode == 2


def test_a_training_over_nodes_names_them_to_deepspeed(sbatch, tmp_path):
    nodes = {"SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_GPUS_ON_NODE": "4"}
    done = sbatch("train.sbatch", "bash", "-c", "cat $HOSTFILE", dry_run="", **nodes)
    assert done.stdout == "node1 slots=4\nnode2 slots=4\n", done.stderr
    assert not list(ROOT.glob("hostfile.*"))
    assert "HOSTFILE" not in sbatch("train.sbatch", "printenv", dry_run="").stdout


@pytest.mark.parametrize("script", sorted(path.name for path in SLURM.glob("*.sbatch")))
def test_what_slurm_reads_stands_before_the_first_command(script):
    lines = (SLURM / script).read_text(encoding="utf-8").splitlines()
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    settings = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert settings and max(settings) < first_command
