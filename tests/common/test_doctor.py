"""The doctor's table: each fact against a machine, server or file that is made to have it."""

import http.server
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from common import doctor
from common.rows import write_rows

ROOT = Path(__file__).resolve().parents[2]
METHODS = doctor.read_needs()
ROWS = {
    "web_to_sft": {"question": "1+1", "raw_analysis": "2"},
    "augcon": {"article": "一段很长的文字。"},
    "superfiltering": {"instruction": "Add", "output": "2"},
    "webr": {"webpage": "A page."},
    "edu_filter": {"texto": "Una página."},
}


@pytest.fixture
def serve():
    """serve(status, payload) -> (its address, the headers it gets); it answers /v1/models so."""
    running = []

    def start(status: int = 200, payload: object = None, answers_as: str = "") -> tuple[str, list[dict]]:
        seen: list[dict] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(dict(self.headers))
                self.send_response(status if self.path == "/v1/models" else 404)
                self.end_headers()
                self.wfile.write(payload if isinstance(payload, bytes) else json.dumps(payload).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200 if body["model"] == answers_as else 404)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1", seen

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def examine(monkeypatch, capsys, tmp_path):
    """examine(*arguments) -> (exit code, {what: (state, rest of the entry)})."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(doctor, "list_gpus", lambda: [])

    def run(*arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
        monkeypatch.setattr(sys, "argv", ["doctor", "--save_path", str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as end:
            doctor.main()
        return int(end.value.code), read_table(capsys.readouterr().out)

    return run


def read_table(text: str) -> dict[str, tuple[str, str]]:
    """Also checks that states and texts stand in columns."""
    lines = text.splitlines()
    width = max(len(line.split("  ")[0]) for line in lines)
    table: dict[str, tuple[str, str]] = {}
    for line in lines:
        what, state, rest = line[:width].rstrip(), line[width + 2 : width + 9].rstrip(), line[width + 11 :]
        if what:
            assert state in ("ok", "note", "missing"), line
            table[last := what] = (state, rest)
        else:
            table[last] = (table[last][0], f"{table[last][1]} {rest}")
    return table


def models(name: str = "tiny", **more: object) -> dict:
    return {"object": "list", "data": [{"id": name, "object": "model", **more}]}


# ---------------------------------------------------------------- as a user runs it


def test_command_line():
    command = [sys.executable, "-m", "common.doctor"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OPENAI_BASE_URL": ""})
    assert shown.stderr == ""
    assert {"python", "memory", "disk", "gpus", "server"} <= read_table(shown.stdout).keys()


def test_nothing_heavy_is_imported():
    look = "import sys, common.doctor; print({'torch', 'transformers', 'pyarrow', 'aiohttp'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True)
    assert shown.stdout == "set()\n"


@pytest.mark.parametrize("method", METHODS)
def test_good_machine_server_and_data(examine, serve, tmp_path, method):
    url, _ = serve(payload=models(max_model_len=131072))
    write_rows(tmp_path / "rows.jsonl", [ROWS.get(method, {"any": "row"})] * 3)
    code, table = examine("--method", method, "--base_url", url, "--data_path", str(tmp_path / "rows.jsonl"))
    assert code == 0
    assert table["server"] == ("ok", f"{url} serves tiny, context 131072")
    assert table[f"{method}: packages"][0] in ("ok", "note")
    assert f"{method}: data" not in table if method not in ROWS else table[f"{method}: data"][0] == "ok"


def test_every_method_says_what_it_needs():
    assert {path.parent.name for path in ROOT.glob("*/run_all.sh")} | {"eval"} <= set(METHODS)
    assert set(ROWS) == {name for name, needs in METHODS.items() if needs.rows}


def lifted(folder: Path, needs: str) -> list[str]:
    """A sixth method beside common/, and nothing else of the repository."""
    shutil.copytree(ROOT / "common", folder / "common", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "sixth").mkdir()
    (folder / "sixth" / "needs.json").write_text(needs, encoding="utf-8")
    return [sys.executable, "common/doctor.py", "--method", "sixth"]


def test_a_sixth_method_is_seen(tmp_path):
    needs = {"rows": [["song"]], "packages": ["pyarrow", "no-such-thing"], "optional": {"to sing": ["nor-this"]}}
    write_rows(tmp_path / "songs.jsonl", [{"song": "la"}])
    command = [*lifted(tmp_path, json.dumps(needs)), "--data_path", "songs.jsonl"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""})
    table = read_table(shown.stdout)
    assert table["sixth: packages"][0] == "missing" and table["sixth: data"][0] == "ok" and shown.returncode == 1
    assert "pip install no-such-thing" in table["sixth: packages"][1] and table["sixth: to sing"][0] == "note"
    assert not [what for what in table if what.startswith("webr")]


@pytest.mark.parametrize("needs", ["", "[]", '{"package": ["numpy"]}'])
def test_needs_that_will_not_do_are_named(tmp_path, needs):
    command = lifted(tmp_path, needs)
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""})
    assert shown.returncode == 1 and "sixth/needs.json: expected an object" in shown.stderr
    assert "Traceback" not in shown.stderr


# ---------------------------------------------------------------- the server


def test_server_that_is_not_there(examine):
    code, table = examine("--base_url", "http://127.0.0.1:1/v1")
    assert code == 1 and table["server"][0] == "missing" and "serve.sh" in table["server"][1]


@pytest.mark.parametrize(
    "status, payload, problem",
    [
        (401, {}, "OPENAI_API_KEY is not set"),
        (404, {}, "status 404"),
        (503, {}, "status 503"),
        (200, b"<html>", ""),
        (200, {"models": []}, ""),
        (200, [], ""),
    ],
)
def test_server_that_answers_badly(examine, serve, status, payload, problem):
    url, _ = serve(status, payload)
    code, table = examine("--base_url", url)
    assert code == 1 and table["server"][0] == "missing" and problem in table["server"][1]


def test_address_without_its_end_is_completed(examine, serve):
    url, _ = serve(payload=models())
    code, table = examine("--base_url", url.removesuffix("/v1").removeprefix("http://"))
    assert code == 0 and table["server"] == ("ok", f"{url} serves tiny, context not told")


def test_several_servers(examine, serve):
    url, _ = serve(payload=models())
    code, table = examine("--base_url", f"{url},http://127.0.0.1:1/v1")
    assert code == 1 and table["server"][0] == "missing"  # the second one


def test_model_that_is_not_served(examine, serve):
    url, _ = serve(payload=models("other"))
    code, table = examine("--base_url", url, "--model", "mine")
    assert code == 1 and "serves other" in table["server"][1] and "does not answer as mine" in table["server"][1]


@pytest.mark.parametrize("status", [200, 500])
def test_model_that_answers_though_it_is_not_listed(examine, serve, status):
    """As `transformers serve` does: its list is of the cache, or an error where there is none."""
    url, _ = serve(status, {"data": []}, answers_as="mine")
    code, table = examine("--base_url", url, "--model", "mine")
    assert code == 0 and table["server"] == ("ok", f"{url} serves mine, context not told")
    assert examine("--base_url", url, "--model", "other")[0] == 1


def test_several_models_want_a_choice(examine, serve):
    url, _ = serve(payload={"data": [{"id": "a"}, {"id": "b"}]})
    assert examine("--base_url", url)[1]["server"][0] == "note"
    assert examine("--base_url", url, "--model", "b")[1]["server"] == ("ok", f"{url} serves b, context not told")


def test_short_context_is_noted(examine, serve):
    url, _ = serve(payload=models(max_model_len=2048))
    code, table = examine("--method", "webr", "--base_url", url)
    assert code == 0 and table["server"][0] == "note" and "--max-model-len" in table["server"][1]
    assert examine("--method", "web_to_sft", "--base_url", url)[1]["server"][0] == "ok"


def test_no_server_is_missing_only_where_one_is_needed(examine, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    without(monkeypatch, "uvicorn")
    assert examine("--method", "webr")[1]["server"][0] == "missing"
    assert examine("--method", "superfiltering")[1]["server"][0] == "note"


def test_vllm_that_launchers_can_start_will_do(examine, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/bin/{name}")
    code, table = examine("--method", "webr")
    assert code == 0 and table["server"] == ("note", "none named, vLLM is installed -> the launchers start it")


def test_secrets_reach_the_server_and_nobody_else(serve, tmp_path):
    url, seen = serve(payload=models())
    key, password = "sk-verysecret1234", "hunter22"
    closed = url.replace("//", f"//me:{password}@").replace("/v1", "/closed")
    command = [sys.executable, "-m", "common.doctor", "--method", "webr", "--base_url"]
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    shown = ""
    for address, keys in ((url, {"OPENAI_API_KEY": key}), (closed, {}), (closed, {"OPENAI_API_KEY": key})):
        run = subprocess.run([*command, address], cwd=ROOT, capture_output=True, text=True, env=environment | keys)
        shown += run.stdout + run.stderr
    assert seen[0]["Authorization"] == f"Bearer {key}"
    assert key not in shown and password not in shown


# ---------------------------------------------------------------- data


@pytest.mark.parametrize("ending", [".json", ".jsonl", ".jsonl.gz", ".parquet", ".arrow", ""])
def test_every_format_is_read(examine, tmp_path, ending):
    write_rows(tmp_path / f"rows{ending}", [ROWS["webr"]])
    code, table = examine("--data_path", str(tmp_path / f"rows{ending}"))
    assert code == 0 and table["data"][1].endswith("keys webpage")
    assert table["webr: data"][0] == "ok" and table["augcon: data"][0] == "missing"


@pytest.mark.parametrize(
    "text", ["", "[]", "not json", "[1, 2]", '{"text": "no key of ours"}', '{"webpage": "x"}\n{"text": "not in each"}']
)
def test_data_that_will_not_do(examine, tmp_path, text):
    (tmp_path / "rows.json").write_text(text, encoding="utf-8")
    code, _ = examine("--method", "webr", "--data_path", str(tmp_path / "rows.json"))
    assert code == 1


def test_data_that_is_not_there(examine, tmp_path):
    code, table = examine("--data_path", str(tmp_path / "none.jsonl"))
    assert code == 1 and table["data"][0] == "missing" and "no such file" in table["data"][1]


def test_bad_rows_among_good_ones_are_noted(examine, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"webpage": "x"}\n{"webpage": \n', encoding="utf-8")
    _, table = examine("--method", "webr", "--data_path", str(tmp_path / "rows.jsonl"))
    assert table["data"][0] == "note" and "1 of 2 rows are bad" in table["data"][1] and "line 2" in table["data"][1]


def test_only_the_first_rows_are_read(examine, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"webpage": "x"}\n' * 100 + "not json\n", encoding="utf-8")
    assert examine("--method", "webr", "--data_path", str(tmp_path / "rows.jsonl"))[1]["data"][0] == "ok"


# ---------------------------------------------------------------- packages, disk, GPUs


def without(monkeypatch, *packages: str) -> None:
    found = importlib.metadata.version

    def version(package: str) -> str:
        if package in packages:
            raise importlib.metadata.PackageNotFoundError(package)
        return found(package)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_package_that_is_absent(examine, monkeypatch):
    without(monkeypatch, "rapidfuzz", "deepspeed")
    code, table = examine("--method", "web_to_sft")
    state, text = table["web_to_sft: packages"]
    assert code == 1 and state == "missing" and "rapidfuzz -" in text and "pip install -c constraints.txt -e ." in text
    state, text = table["web_to_sft: to train"]
    assert state == "note" and "no deepspeed" in text and "'.[train]'" in text
    assert examine()[0] == 0  # no method named: nothing is required


@pytest.mark.parametrize("package", ["pyarrow", "aiohttp"])
def test_works_without_what_the_rest_needs(examine, monkeypatch, serve, package):
    without(monkeypatch, package)
    code, table = examine("--method", "webr", "--data_path", "rows.jsonl", "--base_url", "http://127.0.0.1:1/v1")
    assert code == 1 and f"no {package}" in table["webr: packages"][1]


def test_other_version_than_tested_is_noted(examine, monkeypatch):
    monkeypatch.setattr(doctor, "pinned_versions", lambda: {"pyarrow": "1.0"})
    state, text = examine("--method", "webr")[1]["webr: packages"]
    assert state == "note" and "tested with pyarrow 1.0" in text


def test_pinned_versions_are_read():
    assert doctor.pinned_versions()["pyarrow"].count(".") == 2


def test_disk_too_small(examine, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: doctor.shutil._ntuple_diskusage(9e9, 8e9, 0.9e9))
    code, table = examine()
    assert code == 1 and table["disk"][0] == "missing" and "0.9 GB free" in table["disk"][1]


def test_disk_is_measured_by_the_input(tmp_path):
    assert doctor.check_disk(tmp_path, 0).state == "ok"
    assert doctor.check_disk(tmp_path, 10**18).state == "missing"
    assert doctor.check_disk(tmp_path / "not" / "yet" / "there", 0).found.endswith(str(tmp_path))


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    assert doctor.check_disk(tmp_path, 0).state == "missing"


@pytest.mark.parametrize(
    "printed, gpus",
    [
        ("NVIDIA A800, 81920, 81000\nNVIDIA A800, 81920, 80000\n", 2),
        ("NVIDIA GB10, [N/A], [N/A]\n", 1),
        ("", 0),
    ],
)
def test_gpus_as_nvidia_smi_prints_them(tmp_path, monkeypatch, printed, gpus):
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\nprintf '{printed}'\n", encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert len(doctor.list_gpus()) == gpus


def test_gpus(monkeypatch):
    versions = {"torch": "2.13.0"}
    monkeypatch.setattr(doctor, "version_of", versions.get)
    monkeypatch.setattr(doctor, "list_gpus", lambda: [("A800", 85.9, 85.0), ("A800", 85.9, 84.0)])
    assert doctor.check_gpus("") == ("gpus", "ok", "2 x A800, 86 GB, at least 84 GB free", "")
    versions["torch"] = "2.13.0+cpu"
    assert "CPU build" in doctor.check_gpus("").advice
    versions["torch"] = "2.13.0"
    monkeypatch.setattr(doctor, "list_gpus", lambda: [("A800", 85.9, 85.0), ("A800", 85.9, 4.0)])
    assert doctor.check_gpus("").state == "note"
    monkeypatch.setattr(doctor, "list_gpus", list)
    assert doctor.check_gpus("8 x 80 GB") == ("gpus", "note", "none", "wanted: 8 x 80 GB")
