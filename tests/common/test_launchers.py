"""Shell scripts: shellcheck, dry runs, and servers that end with the script that started them and never before."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from common.training.arguments import make_training_parser

ROOT = Path(__file__).resolve().parents[2]
SERVE = ROOT / "common" / "llm" / "serve.sh"
SCRIPTS = sorted([*ROOT.glob("*.sh"), *ROOT.glob("[!.]*/**/*.sh")])
BIN = Path(sys.executable).parent

# Answers GET /health (and all else), and has a worker, which it stops when it is asked to stop itself.
FAKE_SERVER = f"""#!{sys.executable}
import http.server, os, signal, subprocess, sys
worker = subprocess.Popen([{sys.executable!r}, "-c", "import signal; signal.pause()"])
with open(os.environ["PIDS"], "a") as file:
    print(os.getpid(), worker.pid, file=file, flush=True)
if os.environ.get("FAULT") == "dies":
    sys.exit("no such model on this machine")
def stop(*_):
    worker.kill()
    worker.wait()
    sys.exit()
signal.signal(signal.SIGTERM, stop)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if os.environ.get("FAULT") == "never ready" else 200)
        self.end_headers()
        self.wfile.write(b'{{"data": []}}')
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
PAUSE = [sys.executable, "-c", "import os, signal; print('pid', os.getpid(), flush=True); signal.pause()"]


class Servers:
    """A folder with a server called `transformers` first on the path, and the processes that it has started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.pids_file = folder / "pids"
        self.pids_file.touch()
        write_script(folder / "bin" / "transformers", FAKE_SERVER)
        # As in an environment that somebody has activated: launch.sh then looks for no other.
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "DRY_RUN", "MODEL"))},
            "PATH": f"{folder / 'bin'}:{BIN}:{os.environ['PATH']}",
            "VIRTUAL_ENV": sys.prefix,
            "PIDS": str(self.pids_file),
            "TMPDIR": str(folder),
            "PORT": str(self.port),
        }

    def start(self, command: list[str | Path], **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            list(map(str, command)),
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def run(self, command: list[str | Path], **environment: str) -> subprocess.CompletedProcess:
        process = self.start(command, **environment)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def pids(self) -> list[int]:
        return [int(pid) for pid in self.pids_file.read_text().split()]


def serve(*command: str, arguments: tuple[str, ...] = ()) -> list[str | Path]:
    return ["bash", SERVE, "--engine", "transformers", "--model", "tiny", *arguments, "--", *command]


@pytest.fixture
def servers(tmp_path):
    servers = Servers(tmp_path)
    yield servers
    for pid in filter(alive, servers.pids()):
        os.kill(pid, signal.SIGKILL)


def write_script(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until(condition, limit: float = 30) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def answers(port: int) -> bool:
    try:
        return urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5).status == 200
    except OSError:
        return False


def end(process: subprocess.Popen) -> None:
    """Kill what is left of it and its children, whose ends of the pipes would stay open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def pid_of_command(process: subprocess.Popen) -> int:
    return next(int(line.split()[1]) for line in process.stdout if line.startswith("pid"))


# ---------------------------------------------------------------- every script


def test_shellcheck():
    found = subprocess.run([BIN / "shellcheck", *SCRIPTS], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_stop_at_the_first_error_and_only_what_they_started(script):
    text = script.read_text()
    sourced = text.startswith("# shellcheck shell=bash")
    assert sourced or re.search(r"^set -euo pipefail$", text, re.M)
    assert not re.search(r"\b(pkill|killall)\b|sleep \d+[mh]", text)


def test_launchers_print_their_commands_under_dry_run(servers):
    """Each says what it would do, starts nothing, and names files and flags that exist."""
    shared = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "common").rglob("*.py"))
    for launcher in SCRIPTS:
        if not re.search(r"^source common/launch.sh$", launcher.read_text(), re.M):
            continue
        shown = servers.run(["bash", launcher], DRY_RUN="1")
        assert shown.returncode == 0, f"{launcher}: {shown.stderr}"
        steps = re.findall(r"^(?:python|deepspeed --num_gpus \d+) (?:-m )?(\S+) ?(.*)$", shown.stdout, re.M)
        assert steps, f"{launcher}: {shown.stdout}"
        for name, arguments in steps:
            path = name if name.endswith(".py") else name.replace(".", "/") + ".py"
            beside = (ROOT / path).parent.glob("*.py")  # a step's flags may be added by a module of its method
            source = "".join(module.read_text(encoding="utf-8") for module in beside) + shared
            if "common.training.arguments" in (ROOT / path).read_text(
                encoding="utf-8"
            ):  # most of its arguments are TRL's
                source += " ".join(f'"{flag}"' for flag in make_training_parser(None)._option_string_actions)
            for flag in re.findall(r"(?<=--)[a-zA-Z]\w*", arguments):
                field = re.search(rf"^    {flag}: .*= field\(", source, re.M)  # of the dataclass of a parser by TRL
                assert f'"--{flag}"' in source or field, f"{launcher}: {path} has no --{flag}"
    assert servers.pids() == []


def test_the_demo_asks_the_stand_in_or_a_real_model(servers):
    """On fewer rows then, and every step that asks names the model."""
    usual = servers.run(["bash", ROOT / "run_demo.sh"], DRY_RUN="1").stdout
    real = servers.run(["bash", ROOT / "run_demo.sh"], DRY_RUN="1", REAL_MODEL="1").stdout
    assert "-m common.llm.standin --port" in usual and "small_server" not in usual
    (serving,) = re.findall(r"-m common\.llm\.small_server --model (\S+)", real)
    assert "standin" not in real and "stand-in" not in real
    asked = re.findall(r"--model (\S+)", real)
    assert len(asked) > 5 and set(asked) == {serving}
    assert "DATA=demo_output_real/few/pages.jsonl" in real and "DATA=webr/sample/pages.jsonl" in usual


@pytest.mark.parametrize("method", sorted(path.parent.name for path in ROOT.glob("*/train.yaml")))
def test_trainings_run_on_the_gpus_and_machines_that_are_named(servers, method):
    (launcher,) = (path for path in (ROOT / method).glob("step*.sh") if f"{method}/train.yaml" in path.read_text())
    shown = servers.run(["bash", launcher, "--lora_r", "4"], DRY_RUN="1", NUM_GPUS="2").stdout
    assert f"deepspeed --num_gpus 2 common/training/finetune.py --config {method}/train.yaml " in shown
    assert shown.rstrip().endswith("--lora_r 4")
    shown = servers.run(["bash", launcher], DRY_RUN="1", HOSTFILE="hosts.txt", MASTER_PORT="29501").stdout
    assert "deepspeed --hostfile hosts.txt --master_port 29501 common/training/finetune.py " in shown


# ---------------------------------------------------------------- serve.sh


def test_command_runs_with_the_server_and_the_server_ends_with_it(servers):
    look = "import os, urllib.request as u; print(u.urlopen(os.environ['OPENAI_BASE_URL'] + '/models').read())"
    done = servers.run(serve(sys.executable, "-c", look))
    assert done.returncode == 0, done.stderr
    assert f"http://127.0.0.1:{servers.port}/v1" in done.stdout and """b'{"data": []}'""" in done.stdout
    assert len(servers.pids()) == 2 and not any(map(alive, servers.pids()))
    assert not answers(servers.port)


def test_exit_code_is_the_commands(servers):
    done = servers.run(serve("bash", "-c", "exit 75"))
    assert done.returncode == 75
    assert len(servers.pids()) == 2 and not any(map(alive, servers.pids()))


def test_command_that_does_not_exist(servers):
    done = servers.run(serve("no-such-command"))
    assert done.returncode == 127 and "no-such-command" in done.stderr
    assert not any(map(alive, servers.pids()))


def test_paths_and_words_reach_the_command_as_they_are(servers):
    done = servers.run(serve("printf", "<%s>", "two words", "*", "", "--", "$HOME"))
    assert done.stdout.endswith("<two words><*><><--><$HOME>")


def test_server_that_dies_at_start_shows_its_log(servers):
    done = servers.run(serve("echo", "never"), FAULT="dies")
    assert done.returncode == 1
    assert "no such model on this machine" in done.stderr and "never" not in done.stdout
    assert not any(map(alive, servers.pids()))


def test_server_that_is_never_ready_is_given_up(servers):
    done = servers.run(serve("echo", "never", arguments=("--limit", "2")), FAULT="never ready")
    assert done.returncode == 1
    assert "no answer after 2 s" in done.stderr and "never" not in done.stdout
    assert not answers(servers.port) and not any(map(alive, servers.pids()))


def test_port_in_use_is_refused(servers):
    other = servers.start([servers.folder / "bin" / "transformers", "--port", str(servers.port)])
    wait_until(lambda: answers(servers.port))
    done = servers.run(serve("echo", "never"))
    assert done.returncode == 1
    assert f"port {servers.port} is in use" in done.stderr and "never" not in done.stdout
    assert answers(servers.port) and len(servers.pids()) == 2
    end(other)


def test_port_of_a_server_that_is_still_loading_is_refused(servers):
    first = servers.start(serve("true"), FAULT="never ready")
    wait_until(servers.pids)
    done = servers.run(serve("echo", "never"))
    assert done.returncode == 1
    assert f"port {servers.port} is in use" in done.stderr and "never" not in done.stdout
    assert len(servers.pids()) == 2 and all(map(alive, servers.pids()))
    first.terminate()
    first.communicate(timeout=30)


def test_one_after_the_other_on_one_port(servers):
    """As in a run_all.sh whose steps bring their own servers: the first is quite gone when the second comes."""
    done = servers.run(["bash", "-c", 'bash -c "$0" - true && bash -c "$0" - true', LAUNCHER])
    assert done.returncode == 0 and done.stdout.count("went on") == 2, done.stderr
    assert len(servers.pids()) == 4


def test_another_server_of_the_same_name_is_left_alone(servers):
    port = free_port()
    other = servers.start([servers.folder / "bin" / "transformers", "--port", str(port)])
    wait_until(lambda: answers(port))
    others = servers.pids()
    assert servers.run(serve("true")).returncode == 0
    assert len(servers.pids()) == 4
    assert answers(port) and all(map(alive, others)) and not any(map(alive, servers.pids()[2:]))
    end(other)


@pytest.mark.parametrize(
    "name, code, tell",
    [
        ("SIGTERM", 143, os.kill),
        ("SIGINT", 130, os.kill),
        ("SIGTERM", 143, os.killpg),
        ("SIGINT", 130, os.killpg),
        ("SIGHUP", 129, os.killpg),
    ],
)
def test_signal_ends_command_and_server(servers, name, code, tell):
    """A plain `kill` tells the script alone; Ctrl-C, `timeout` and Slurm tell the whole group."""
    script = servers.start(serve(*PAUSE))
    command = pid_of_command(script)
    tell(script.pid, getattr(signal, name))
    assert script.wait(timeout=30) == code
    assert not alive(command) and not any(map(alive, servers.pids()))
    end(script)


def test_signal_while_the_server_starts(servers):
    script = servers.start(serve("echo", "never"), FAULT="never ready")
    wait_until(servers.pids)
    script.terminate()
    out, _ = script.communicate(timeout=30)
    assert script.returncode == 143 and "never" not in out
    assert not any(map(alive, servers.pids()))


def test_kill_9_leaves_the_server_to_the_command_and_then_to_nobody(servers):
    script = servers.start(serve(*PAUSE))
    command = pid_of_command(script)
    script.kill()
    assert script.wait(timeout=30) == -signal.SIGKILL
    assert answers(servers.port)
    os.kill(command, signal.SIGTERM)
    wait_until(lambda: not any(map(alive, servers.pids())))
    end(script)


def test_server_killed_under_the_command_is_no_error_of_the_script(servers):
    kill = f"kill -9 $(cat {servers.pids_file})"
    assert servers.run(serve("bash", "-c", kill)).returncode == 0


# ---------------------------------------------------------------- what it starts


def dry_run(servers, *arguments: str, **environment: str) -> list[str]:
    shown = servers.run(["bash", SERVE, *arguments], DRY_RUN="1", **environment)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.splitlines()


def test_vllm_on_eight_gpus_by_default(servers):
    server, command = dry_run(servers, "--model", "my model", "--max-model-len", "4096", "--", "echo", "a b")
    words = shlex.split(server)
    assert words[:3] == ["vllm", "serve", "my model"]
    assert "--tensor-parallel-size 8 --data-parallel-size 1" in server
    assert words[-4:] == ["--port", str(servers.port), "--max-model-len", "4096"]
    assert shlex.split(command) == ["echo", "a b"]


@pytest.mark.parametrize(
    "arguments, gpus, tensor, data",
    [
        (["--data_parallel", "8"], "8", 1, 8),
        (["--data_parallel", "2"], "8", 4, 2),
        (["--tensor_parallel", "2", "--data_parallel", "3"], "8", 2, 3),
        ([], "1", 1, 1),
    ],
)
def test_gpus_are_divided_among_the_copies(servers, arguments, gpus, tensor, data):
    (server,) = dry_run(servers, "--model", "m", *arguments, NUM_GPUS=gpus)
    assert f"--tensor-parallel-size {tensor} --data-parallel-size {data} " in server


@pytest.mark.parametrize(
    "installed, start", [(0, "vllm serve m "), (1, "python -m vllm.entrypoints.openai.api_server")]
)
def test_vllm_of_another_distribution_name_starts_as_a_module(servers, installed, start):
    write_script(servers.folder / "bin" / "vllm", "#!/bin/sh\n")
    write_script(servers.folder / "bin" / "python", f"#!/bin/sh\nexit {installed}\n")  # finds the distribution or not
    assert start in dry_run(servers, "--model", "m")[0]


def test_standin_serves_a_step(servers):
    write = "import json; [print(json.dumps({'prompt': f'What is {i}?'})) for i in range(20)]"
    (servers.folder / "q.jsonl").write_bytes(subprocess.check_output([sys.executable, "-c", write]))
    step = ["--data_path", servers.folder / "q.jsonl", "--save_path", servers.folder / "a.jsonl"]
    command = ["bash", SERVE, "--engine", "standin", "--", "python", ROOT / "eval" / "generate.py", *step]
    done = servers.run(command, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    assert "20 rows in, 20 done" in done.stderr and not answers(servers.port)


def test_standin_needs_no_model(servers):
    assert "-m common.llm.standin --port" in dry_run(servers, "--engine", "standin")[0]


@pytest.mark.parametrize("arguments, problem", [([], "--model"), (["--engine", "x"], "no engine x"), (["--port"], "")])
def test_wrong_arguments_are_named(servers, arguments, problem):
    done = servers.run(["bash", SERVE, *arguments])
    assert done.returncode == 1 and problem in done.stderr


# ---------------------------------------------------------------- launchers

LAUNCHER = f"""
set -euo pipefail
cd {shlex.quote(str(ROOT))}
source common/launch.sh
start_server --engine transformers --model tiny
run "$@"
echo "went on"
"""


def launch(*command: str) -> list[str]:
    return ["bash", "-c", LAUNCHER, "launcher", *command]


def test_launcher_has_a_server_until_it_ends(servers):
    done = servers.run(launch("bash", "-c", "echo at $OPENAI_BASE_URL"))
    assert done.returncode == 0, done.stderr
    assert f"at http://127.0.0.1:{servers.port}/v1\nwent on\n" in done.stdout
    assert len(servers.pids()) == 2 and not any(map(alive, servers.pids()))


def test_launcher_uses_the_server_it_is_given(servers):
    done = servers.run(launch("bash", "-c", "echo at $OPENAI_BASE_URL"), OPENAI_BASE_URL="http://elsewhere/v1")
    assert done.stdout == "at http://elsewhere/v1\nwent on\n"
    assert servers.pids() == []


def test_launcher_ends_at_a_failing_command(servers):
    done = servers.run(launch("bash", "-c", "exit 75"))
    assert done.returncode == 75 and "went on" not in done.stdout
    assert not any(map(alive, servers.pids()))


def test_launcher_ends_when_its_server_does_not_start(servers):
    done = servers.run(launch("echo", "never"), FAULT="dies")
    assert done.returncode == 1
    assert "no such model on this machine" in done.stderr and "never" not in done.stdout


def test_launcher_prints_under_dry_run(servers):
    done = servers.run(launch("echo", "a b"), DRY_RUN="1")
    server, command, _ = done.stdout.splitlines()
    assert shlex.split(server)[:3] == ["transformers", "serve", "tiny"]
    assert shlex.split(command) == ["echo", "a b"]
    assert servers.pids() == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_launcher_interrupted(servers, name):
    launcher = servers.start(launch(*PAUSE))
    command = pid_of_command(launcher)
    os.killpg(launcher.pid, getattr(signal, name))
    out, _ = launcher.communicate(timeout=30)
    assert launcher.returncode == 128 + getattr(signal, name) and "went on" not in out
    assert not alive(command) and not any(map(alive, servers.pids()))


def test_launcher_killed_outright(servers):
    launcher = servers.start(launch(*PAUSE))
    command = pid_of_command(launcher)
    launcher.kill()
    wait_until(lambda: not any(map(alive, servers.pids())))
    os.kill(command, signal.SIGKILL)
    end(launcher)


def test_python_of_the_launcher_hears_ctrl_c(servers):
    """Bash switches it off for what runs behind; `run` puts it back."""
    done = servers.run(launch(sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT).__name__)"))
    assert "default_int_handler" in done.stdout
