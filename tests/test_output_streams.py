"""Standard streams that go away: the printing ends, the work goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from anyarray_mlp.cli import output, run
from anyarray_mlp.pipeline.trained_model import TrainedModel

pytestmark = pytest.mark.skipif(os.name == "nt", reason="closes descriptors by the shell")
ROOT = Path(__file__).parent.parent
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
TRAIN = "train d.csv --epochs 2 --out run"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a table, d.csv, and a model of it, m."""
    folder = tmp_path_factory.mktemp("streams")
    rows = "".join(f"{i % 7},{i % 5},{(i % 7) * 1.5}\n" for i in range(60))
    (folder / "d.csv").write_text("a,b,y\n" + rows)
    arguments = ["train", str(folder / "d.csv"), "--epochs", "1", "--quiet"]
    assert run([*arguments, "--out", str(folder / "m")]) == 0
    return folder


@pytest.fixture
def here(trained, tmp_path):
    """An empty folder with a link to the table and the model."""
    for name in ("d.csv", "m"):
        (tmp_path / name).symlink_to(trained / name)
    return tmp_path


def shell(arguments, redirection, here, **environment):
    """The program, its streams redirected by the shell; its code and what reached stdout and stderr."""
    process = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m anyarray_mlp {arguments} {redirection}"],
        cwd=here, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, timeout=300,
        check=False,
    )  # fmt: skip
    return process.returncode, process.stdout.decode("latin-1"), process.stderr.decode("latin-1")


def unread(arguments, here, *streams):
    """The program with a pipe for each of `streams` whose reader has gone; its code and what reached the others."""
    pipes = {}
    for stream in streams:
        reader, pipes[stream] = os.pipe()
        os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "anyarray_mlp", *arguments.split()],
        cwd=here, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300, check=False,
        stdout=pipes.get("stdout", subprocess.PIPE), stderr=pipes.get("stderr", subprocess.PIPE),
    )  # fmt: skip
    for pipe in pipes.values():
        os.close(pipe)
    return process.returncode, process.stdout or b"", process.stderr or b""


def check_run(folder):
    """A whole run is in the folder, and nothing was printed into its files."""
    assert TrainedModel.load(folder).mlp.sizes[0] == 2
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert tomllib.loads((folder / "config.toml").read_text())["epochs"] == 2
    assert "findings" in json.loads((folder / "diagnosis.json").read_text())


@pytest.mark.parametrize(
    ("streams", "option"), [(("stdout",), " --json"), (("stderr",), ""), (("stdout", "stderr"), "")]
)
def test_training_goes_on_where_a_reader_has_gone(here, streams, option):
    code, out, err = unread(TRAIN + option, here, *streams)
    assert code == 0
    check_run(here / "run")
    assert b"Exception" not in out + err
    assert b"could not be printed" not in err


@needs_full
@pytest.mark.parametrize("redirection", [">/dev/full", "2>/dev/full"])
def test_training_goes_on_where_the_disk_is_full(here, redirection):
    code, out, err = shell(TRAIN, redirection, here)
    assert code == 0
    check_run(here / "run")
    if redirection == ">/dev/full":
        assert (
            "warning: the results could not be printed (No space left on device); the model is in"
            in err
        )
    else:
        assert "test loss" in out
    assert "Exception" not in out + err


@pytest.mark.parametrize("redirection", [">&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_training_goes_on_where_streams_are_closed(here, redirection):
    code, out, err = shell(TRAIN, redirection, here)
    assert code == 0, err
    check_run(here / "run")
    if redirection == ">&-":
        assert "warning: the results could not be printed (it is closed)" in err
    assert ("test loss" in out) == (">&-" not in redirection.replace("2>&-", ""))


def test_training_goes_on_where_the_terminal_has_hung_up(here):
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "anyarray_mlp", *TRAIN.split()],
        cwd=here, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    os.close(master)
    assert process.wait(300) == 0
    check_run(here / "run")


#: Runs commands, each with a stdout that is opened anew as the first argument says; prints what came of them to fd 3.
CHILD = """
import io, json, os, sys
from anyarray_mlp.cli import run
from anyarray_mlp.cli.output import prepare_streams
kind, *commands = json.load(sys.stdin)
answers = []
for command in commands:
    if kind == "gone":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    os.dup2(writer, 1)
    os.close(writer)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    prepare_streams()
    code = run(command.split())
    sys.stdout.flush()
    answers.append([command, code])
with open(3, "w") as stream:
    json.dump(answers, stream)
"""


def codes_of(kind, commands, here):
    """The exit code of each command and stderr of all, their stdout being of a kind: "gone" or "full"."""
    process = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -c \"$0\" 3>answers", CHILD], cwd=here, timeout=600, check=False,
        input=json.dumps([kind, *commands]), text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return dict(json.loads((here / "answers").read_text())), process.stderr


COMMANDS = (
    "predict m d.csv",
    "evaluate m d.csv --json",
    "gradcheck --activation tanh --output identity --loss huber",
    "diagnose m",
    "parity --quick --no-trace --backends numpy --dtype float32",
    "--help",
    "train --help",
)


def test_a_reader_that_has_gone_changes_no_exit_code(here):
    judged = run(["diagnose", str(here / "m")])
    codes, err = codes_of("gone", COMMANDS, here)
    assert codes == {name: judged if name == "diagnose m" else 0 for name in COMMANDS}
    assert "error: the output" not in err
    assert "Exception" not in err


@needs_full
def test_a_result_that_cannot_be_written_is_an_error(here):
    commands = [name for name in COMMANDS if not name.startswith("parity")]
    codes, err = codes_of("full", commands, here)
    assert codes == dict.fromkeys(commands, 74)
    said = "error: the output: No space left on device; check the path, the permissions and the disk.\n"
    assert err.count(said) == len(commands)
    assert "Exception" not in err


def test_a_result_for_a_closed_stdout_is_an_error(here):
    code, _, err = shell("predict m d.csv", ">&-", here)
    assert code == 74
    assert err == "error: the output: it is closed; check the path, the permissions and the disk.\n"


def test_a_result_is_whole_where_nobody_reads_what_is_told(here):
    whole = shell("predict m d.csv", "", here)[1]
    assert whole.count("\n") == 61
    assert shell("predict m d.csv", "2>&-", here)[:2] == (0, whole)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_what_an_encoding_lacks_is_escaped(here, encoding):
    rows = "".join(f"{i % 2}.{i},{'赤青'[i % 2]}\n" for i in range(40))
    (here / "青.csv").write_text("a,y\n" + rows, encoding="utf-8")
    data, folder = str(here / "青.csv"), str(here / "赤")
    assert run(["train", data, "--epochs", "1", "--quiet", "--out", folder]) == 0
    code, out, err = shell("evaluate 赤 青.csv", "", here, PYTHONIOENCODING=encoding)
    assert code == 0, err
    name = "青".encode(encoding, "backslashreplace").decode("latin-1")
    assert f"all of {name}.csv" in out
    assert "Traceback" not in err


def test_a_pipe_that_does_not_block_is_waited_for(tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    child = (
        "import sys\nfrom anyarray_mlp.cli.output import prepare_streams, result\n"
        "prepare_streams()\nresult('x' * 1_000_000)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", child], stdout=writer, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    os.close(writer)
    with open(reader, "rb") as stream:
        assert len(stream.read()) == 1_000_001
    assert process.wait(300) == 0


def test_nothing_is_printed_without_streams(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    output.tell("nobody")
    output.announce("nobody", "nowhere")
    with pytest.raises(OSError, match="it is closed"):
        output.result("lost")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode elsewhere")
def test_names_of_files_that_are_no_unicode_work_throughout(here, capsysbinary):
    name = os.fsdecode(b"x\xff.csv")
    (here / name).write_bytes((here / "d.csv").read_bytes())
    data, folder, answer = (os.path.join(str(here), n) for n in (name, "run" + name, "p" + name))
    assert run(["train", data, "--epochs", "1", "--quiet", "--json", "--out", folder]) == 0
    summary = json.loads(capsysbinary.readouterr().out.decode())
    assert summary["data"].endswith("x\\xff.csv")
    assert summary["run"].endswith("runx\\xff.csv")
    assert run(["train", "--resume", "--out", folder, "--epochs", "2", "--quiet"]) == 0
    check_run(Path(folder))
    assert run(["predict", folder, data, "--out", answer]) == 0
    assert Path(answer).read_text().count("\n") == 61
    assert run(["evaluate", folder, data]) == 0
    assert run(["predict", folder + "y", data]) == 74
    printed = capsysbinary.readouterr()
    assert b"all of " in printed.out
    assert b"runx\\xff.csvy" in printed.err
