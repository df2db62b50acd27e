"""serve.sh locks its port in a folder that is the user's alone: nobody else's link is followed, nothing is emptied."""

import os
import stat

import pytest

from tests.common.test_launchers import serve, servers  # noqa: F401


@pytest.fixture
def temporary(tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def test_the_folder_is_made_for_the_user_alone(servers, temporary):  # noqa: F811
    for _ in range(2):
        done = servers.run(serve("echo", "ran"), TMPDIR=str(temporary), XDG_RUNTIME_DIR="")
        assert done.returncode == 0 and "ran" in done.stdout, done.stderr
    folder = temporary / f"serve.{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and len(list(folder.iterdir())) == 1


def test_a_link_in_its_place_is_not_followed(servers, temporary):  # noqa: F811
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"serve.{servers.port}.lock").write_text("precious")
    (temporary / f"serve.{os.getuid()}").symlink_to(elsewhere)
    done = servers.run(serve("echo", "never"), TMPDIR=str(temporary), XDG_RUNTIME_DIR="")
    assert done.returncode == 1 and "is not a folder of yours" in done.stderr and "never" not in done.stdout
    assert (elsewhere / f"serve.{servers.port}.lock").read_text() == "precious"


def test_a_runtime_folder_is_used_and_nothing_in_it_emptied(servers, temporary):  # noqa: F811
    lock = temporary / f"serve.{servers.port}.lock"
    lock.write_text("not empty")
    done = servers.run(serve("echo", "ran"), XDG_RUNTIME_DIR=str(temporary))
    assert done.returncode == 0 and lock.read_text() == "not empty"


def test_cdpath_does_not_lead_astray(servers, temporary):  # noqa: F811
    (temporary / "common").mkdir()
    done = servers.run(serve("echo", "ran"), CDPATH=f"{temporary}:.")
    assert done.returncode == 0 and "ran" in done.stdout, done.stderr
