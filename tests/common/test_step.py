"""The promises of `Step` and of the manifest it leaves, without a server."""

import argparse
import json
import os
import signal
import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common import manifest
from common.errors import BadInput, BadValue, CommonError, Reject
from common.prompts import fill, load_prompt
from common.rows import read_rows, write_rows
from common.step import Step, map_rows, need


@pytest.fixture
def data(tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"n": number} for number in range(10)])
    return tmp_path / "in.jsonl"


def double(step: Step) -> None:
    for index, row in step.rows():
        if row["n"] % 4 == 3:
            step.reject(index, "three of four", row, answer="raw")
        else:
            step.write({"n": 2 * row["n"]})


def test_each_row_ends_once_and_the_counts_add_up(data, tmp_path, capsys):
    with Step([data], tmp_path / "out.jsonl") as step:
        double(step)
    assert [row["n"] for row in read_rows(tmp_path / "out.jsonl")] == [0, 2, 4, 8, 10, 12, 16, 18]
    assert list(read_rows(tmp_path / "out.jsonl.rejected.jsonl"))[1] == {
        "index": 7,
        "reason": "three of four",
        "row": {"n": 7},
        "answer": "raw",
    }
    assert "10 rows in, 8 done, 2 rejected (see out.jsonl.rejected.jsonl)" in capsys.readouterr().err


def test_a_row_that_ends_nowhere_or_twice_is_an_error_and_nothing_is_written(data, tmp_path):
    for ends in (0, 2):
        with pytest.raises(CommonError, match="do not add up"):
            with Step([data], tmp_path / "out.jsonl") as step:
                for number, (_, row) in enumerate(step.rows()):
                    for _ in range(ends if number == 5 else 1):
                        step.write(row)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_the_rejected_rows_of_an_earlier_run_go_with_it(data, tmp_path):
    for reject in (True, False):
        with Step([data], tmp_path / "out.jsonl") as step:
            for index, row in step.rows():
                step.reject(index, "no", row) if reject else step.write(row)
        assert (tmp_path / "out.jsonl.rejected.jsonl").exists() == reject


def test_stopped_by_sigterm_it_says_so_and_leaves_the_old_output(data, tmp_path):
    write_rows(tmp_path / "out.jsonl", [{"old": 1}])
    code = f"""
        import argparse
        from common.program import run_main
        from common.step import Step
        def main():
            with Step([{str(data)!r}], {str(tmp_path / "out.jsonl")!r}) as step:
                for _, row in step.rows():
                    step.write(row)
                    print(flush=True)
                    input()
        run_main(main)
    """
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], text=True, **pipes)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.wait()
    assert process.returncode == 130 and "interrupted; the same command goes on" in process.stderr.read()
    assert list(read_rows(tmp_path / "out.jsonl")) == [{"old": 1}]


@pytest.mark.parametrize("errors", [["out.jsonl.rejected.jsonl"], ["out.jsonl"]])
def test_when_the_disk_fails_at_the_end_nothing_half_written_stays(data, tmp_path, monkeypatch, errors):
    from common.rows import atomic

    replace = atomic.replace_synced

    def fail(part, path):
        if path.name in errors:
            raise OSError(28, "No space left on device")
        replace(part, path)

    write_rows(tmp_path / "out.jsonl", [{"old": 1}])
    monkeypatch.setattr(atomic, "replace_synced", fail)
    with pytest.raises(CommonError, match=f"{errors[0]}: cannot be written.*free some space"):
        with Step([data], tmp_path / "out.jsonl") as step:
            double(step)
    assert list(read_rows(tmp_path / "out.jsonl")) == [{"old": 1}]
    assert not [path for path in tmp_path.iterdir() if path.name.endswith((".part", ".lock"))]
    monkeypatch.undo()
    with Step([data], tmp_path / "out.jsonl") as step:
        double(step)
    assert len(list(read_rows(tmp_path / "out.jsonl"))) == 8


DISGUISES = {
    "as it is": lambda path: path,
    "another spelling": lambda path: path.parent / "." / "sub" / ".." / path.name,
    "a symlink": lambda path: _link(path, os.symlink),
    "a hard link": lambda path: _link(path, os.link),
    "behind a linked folder": lambda path: _link(path.parent, os.symlink) / path.name,
}


def _link(path, link):
    target = path.with_name(f"linked.{path.name}")
    link(path, target)
    return target


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("side", ["", ".rejected.jsonl", ".manifest.json", ".part", ".near_misses.jsonl"])
def test_an_output_that_is_an_input_in_disguise_is_refused_and_the_input_lives(tmp_path, disguise, side):
    """For each file that a run writes: the output, what lies beside it, a side output."""
    (tmp_path / "sub").mkdir()
    output = tmp_path / "out.jsonl"
    target = tmp_path / f"out.jsonl{side}"
    target.write_text('{"n": 1}\n', encoding="utf-8")
    read = DISGUISES[disguise](target)
    source = tmp_path / "in.jsonl"
    source.write_text('{"n": 1}\n', encoding="utf-8")
    with pytest.raises(BadInput, match="choose another output|move it away"):
        near_misses = [f"{output}.near_misses.jsonl"]
        with Step([source], output, reads=[read], writes=near_misses) as step:
            for _, row in step.rows():
                step.write(row)
    assert target.read_text(encoding="utf-8") == '{"n": 1}\n' == source.read_text(encoding="utf-8")
    assert not (tmp_path / "out.jsonl.lock").exists()


def test_an_input_that_changes_while_it_is_read_ends_the_run_with_nothing_written(data, tmp_path):
    with pytest.raises(BadInput, match="changed while it was read"):
        with Step([data], tmp_path / "out.jsonl") as step:
            for index, row in step.rows():
                step.write(row)
                if index == 3:
                    with open(data, "a", encoding="utf-8") as file:
                        file.write('{"n": 10}\n')
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_a_row_that_the_format_cannot_hold_is_set_aside_and_the_others_are_written(tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"text": "a"}, {"text": "\ud800"}, {"text": "c"}])
    with Step([tmp_path / "in.jsonl"], tmp_path / "out.parquet") as step:
        map_rows(step, lambda row: row)
    assert [row["text"] for row in read_rows(tmp_path / "out.parquet")] == ["a", "c"]
    (rejected,) = read_rows(tmp_path / "out.parquet.rejected.jsonl")
    assert rejected["index"] == 1 and "surrogate" in rejected["reason"]


def test_columns_keep_their_types_from_table_to_table(tmp_path):
    table = pa.table({"n": pa.array([1, 2], pa.int32()), "text": ["a", "b"]})
    pq.write_table(table, tmp_path / "in.parquet")
    with Step([tmp_path / "in.parquet"], tmp_path / "out.parquet") as step:
        map_rows(step, lambda row: row | {"more": 1})
    assert pq.read_schema(tmp_path / "out.parquet").field("n").type == pa.int32()


def test_map_rows_writes_one_row_several_or_none_and_sets_the_rest_aside(data, tmp_path):
    def function(row):
        if row["n"] == 1:
            raise Reject("not this one")
        if row["n"] == 2:
            raise BadValue("no such thing")
        return [] if row["n"] == 3 else [row, row] if row["n"] == 4 else row

    with Step([data], tmp_path / "out.jsonl", on_bad_row="skip") as step:
        map_rows(step, function)
    assert [row["n"] for row in read_rows(tmp_path / "out.jsonl")] == [0, 4, 4, 5, 6, 7, 8, 9]
    reasons = {row["index"]: row["reason"] for row in read_rows(tmp_path / "out.jsonl.rejected.jsonl")}
    assert reasons == {1: "not this one", 2: "bad row: no such thing"}
    with pytest.raises(BadInput, match="row 2: no such thing"):
        with Step([data], tmp_path / "out.jsonl") as step:
            map_rows(step, function)


def test_a_key_that_a_server_echoes_does_not_reach_the_rejected_rows(data, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", 'ke"y78\n')
    with Step([data], tmp_path / "out.jsonl") as step:
        for index, row in step.rows():
            step.reject(index, 'refused: ke"y78', row, answer='{"error": "key ke\\"y78 is wrong"}')
    text = (tmp_path / "out.jsonl.rejected.jsonl").read_text(encoding="utf-8")
    assert "y7" not in text and "refused: ***" in text


def test_counts_for_the_bar_where_somebody_watches(data, tmp_path, monkeypatch):
    write_rows(tmp_path / "in2.jsonl", [{"n": 0}])
    with Step([tmp_path / "in*.jsonl"], tmp_path / "out.jsonl") as step:
        assert step.total() is None
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert step.total() == 11
        double(step)


def test_need_says_what_is_there_instead():
    assert need({"a": "x"}, "a") == "x"
    with pytest.raises(Exception, match="no key 'b'; the row has 'a'"):
        need({"a": "x"}, "b")
    with pytest.raises(Exception, match="'a' is a str, expected int"):
        need({"a": "x"}, "a", int)


# ---------------------------------------------------------------- manifest


@pytest.fixture
def output(data, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abcdefgh12345678")
    secrets = ["--api_key", "hunter2secret", "--base_url", "http://me:hunter2secret@host/v1"]
    secrets += ["--extra_body", '{"api_key": "hunter2secret"}', "--note", "sk-abcdefgh12345678"]
    secrets += ["--hf_token=hunter2secret", "--header", "Authorization: Bearer hunter2secret", "--prompt_key", "text"]
    secrets += ["--other", "https://host/v1?key=hunter2secret&n=1", "--OPENAI_API_KEY", "hunter2secret"]
    monkeypatch.setattr(sys, "argv", ["step.py", "--data_path", "in.jsonl", *secrets])
    args = argparse.Namespace(
        data_path=str(data),
        key_name="ifd",
        api_key="hunter2secret",
        note="sk-abcdefgh12345678",
        rate=0.5,
        openai_api_key="hunter2secret",
        base_url=["http://me:hunter2secret@host/v1"],
        prompt_key="text",
        max_tokens=5,
        extra_body={"token": "hunter2secret", "inner": [{"secret": "hunter2secret"}]},
    )
    with Step([data], tmp_path / "out.jsonl", settings=vars(args)) as step:
        double(step)
    return tmp_path / "out.jsonl"


def test_the_manifest_says_what_was_run_on_what(output, data):
    facts = manifest.read(output)
    assert facts["inputs"] == {str(data): manifest.hash_file(data)}
    assert set(facts["outputs"]) == {str(output), f"{output}.rejected.jsonl"}
    assert facts["counts"] == {"in": 10, "done": 8, "rejected": 2} and facts["rows_written"] == 8
    assert facts["arguments"]["rate"] == 0.5 and facts["arguments"]["key_name"] == "ifd"
    assert facts["command"][:3] == ["step.py", "--data_path", "in.jsonl"] and facts["packages"]["pyarrow"]


def test_no_secret_reaches_the_manifest(output):
    text = manifest.path_of(output).read_text()
    assert "hunter2" not in text and "sk-abc" not in text and "http://***@host/v1" in text
    facts = manifest.read(output)
    assert facts["arguments"]["prompt_key"] == "text" and facts["arguments"]["max_tokens"] == 5
    assert "?key=***&n=1" in text and ["--prompt_key", "text"] == facts["command"][-6:-4]


def test_files_keep_their_hashes_whatever_their_names(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows("my_token", [{"n": 0}])
    with Step(["my_token"], "secret") as step:
        double(step)
    assert manifest.verify("secret") == []


def test_verify_and_diff_as_commands(output, data, tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "common.manifest", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    assert (run("verify", output).returncode, run("verify", output).stdout) == (0, "as it was\n")
    with Step([data], tmp_path / "other.jsonl", settings={"rate": 0.7}) as step:
        double(step)
    compared = run("diff", output, tmp_path / "other.jsonl")
    assert compared.returncode == 1 and "arguments.rate: 0.5 -> 0.7" in compared.stdout
    assert "outputs" not in compared.stdout
    write_rows(data, [{"n": 1}])
    checked = run("verify", output)
    assert checked.returncode == 1 and checked.stdout == f"{data}: changed since the run\n"
    assert "no manifest" in run("verify", data).stderr


# ---------------------------------------------------------------- prompts


def test_prompts_are_found_by_method_name_and_language_or_by_path(tmp_path):
    (tmp_path / "mine.txt").write_text("¿Qué dice {page}?", encoding="utf-8")
    assert load_prompt("webr", "author", path=str(tmp_path / "mine.txt")) == "¿Qué dice {page}?"
    with pytest.raises(BadInput, match="no such prompt"):
        load_prompt("webr", "author", "xx")


def test_a_value_with_braces_is_not_filled_again():
    assert fill("{a} and {b}, {c}", a="{b}", b=r"\1 {a}") == r"{b} and \1 {a}, {c}"
    with pytest.raises(BadInput, match="no place for {d}"):
        fill("{a}", a="", d="")


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b"\xff", b""])
def test_what_is_no_manifest_is_named(tmp_path, content):
    (tmp_path / "x.manifest.json").write_bytes(content)
    with pytest.raises(BadInput, match="x.manifest.json: not a manifest"):
        manifest.read(tmp_path / "x.manifest.json")


def test_verify_says_what_is_gone_or_changed(output, data):
    assert manifest.verify(output) == []
    write_rows(output, [{"n": 1}])
    data.unlink()
    assert manifest.verify(output) == [f"{data}: is gone", f"{output}: changed since the run"]


def test_this_process_can_be_told():
    assert json.loads(json.dumps(manifest.about_this_process()))
