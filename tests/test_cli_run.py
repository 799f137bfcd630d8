"""The command `run`: files in and out, its table, its progress bar, its errors."""

import io
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import cyconv  # noqa: E402
from cyconv.__main__ import main  # noqa: E402
from cyconv.cli import run  # noqa: E402

WEIGHT = np.arange(54, dtype=np.float32).reshape(3, 2, 3, 3)


@pytest.fixture
def run_here(tmp_path, monkeypatch, capsys):
    """Runs one command line in a folder with two models and their inputs: (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["__main__.py"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 5, 5])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 2, 5, 5])
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], "first"), helper.make_node("Relu", ["c"], ["y"], "second")]
    graph = helper.make_graph(nodes, "g", [x], [onnx.ValueInfoProto(name="y")], [numpy_helper.from_array(WEIGHT, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), "net.onnx")
    nodes = [helper.make_node("Sub", ["x", "z"], ["less"]), helper.make_node("Add", ["x", "z"], ["more"])]
    graph = helper.make_graph(nodes, "g", [x, z], [onnx.ValueInfoProto(name=name) for name in ("less", "more")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), "two.onnx")
    for name, seed in (("a", 0), ("b", 1)):
        np.save(name, np.random.default_rng(seed).standard_normal((1, 2, 5, 5), dtype=np.float32))

    def command(*arguments):
        capsys.readouterr()
        try:
            status = main(["run", *arguments])
        except SystemExit as left:
            status = left.code
        return status, *capsys.readouterr()

    return command


def test_a_result_goes_to_a_file(run_here):
    status, out, err = run_here("net.onnx", "--input", "a.npy", "-o", "y.npy")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "y: float32 1x3x3x3, in y.npy" and out.splitlines()[1].startswith("2 nodes, ")
    np.testing.assert_array_equal(np.load("y.npy"), cyconv.relu(cyconv.conv2d(np.load("a.npy"), WEIGHT)))


def test_several_inputs_and_outputs(run_here):
    a, b = np.load("a.npy"), np.load("b.npy")
    np.savez("both.npz", x=a, z=b)
    for arguments in (
        ("--input", "a.npy", "--input", "b.npy", "-o", "less.npy", "-o", "more.npy"),
        ("--input", "z=b.npy", "--input", "a.npy", "-o", "more=more.npy", "-o", "less.npy"),
        ("--input", "both.npz", "--out", "less=less.npy", "-o", "more=more.npy"),
    ):
        assert run_here("two.onnx", *arguments)[0] == 0
        np.testing.assert_array_equal(np.load("less.npy"), a - b)
        np.testing.assert_array_equal(np.load("more.npy"), a + b)
        np.save("less.npy", 0), np.save("more.npy", 0)
    assert run_here("two.onnx", "--input", "both.npz", "-o", "all.npz")[0] == 0
    assert sorted(np.load("all.npz")) == ["less", "more"]


def test_a_profile_names_operators_and_algorithms(run_here):
    status, out, _ = run_here("net.onnx", "--input", "a.npy", "--profile", "--threads", "1")
    lines = out.splitlines()
    assert status == 0 and lines[0].split() == ["operator", "name", "output", "algorithm", "ms", "%"]
    conv, relu = lines[1].split(), lines[2].split()
    assert conv[:3] == ["Conv", "first", "1x3x3x3"] and conv[3] in cyconv.select.ALGORITHMS
    assert relu[:3] == ["Relu", "second", "1x3x3x3"] and lines[3].startswith("total")


def test_a_bar_on_a_terminal_alone(run_here, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(run, "OFTEN", 0)
    main(["run", "net.onnx", "--input", "a.npy"])
    states = terminal.getvalue().split("\r")
    assert states == ["", f"[{'#' * 20}{' ' * 20}] 1 of 2 nodes", f"[{'#' * 40}] 2 of 2 nodes", "\x1b[K"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "MODEL.onnx"),
        (("net.onnx", "--threads", "0"), 2, "1 to 1000"),
        (("nowhere.onnx",), 1, "nowhere.onnx: No such file"),
        (("a.npy",), 1, "a.npy is no ONNX model"),
        (("net.onnx",), 1, "input x must be passed"),
        (("net.onnx", "--input", "gone.npy"), 1, "gone.npy: No such file"),
        (("net.onnx", "--input", "net.onnx"), 1, "net.onnx is no .npy"),
        (("net.onnx", "--input", "a.npy", "--input", "b.npy"), 1, "no further input"),
        (("net.onnx", "--input", "q=a.npy"), 1, "q=a.npy: No such file"),
        (("net.onnx", "--input", "wide.npy"), 1, "must have shape"),
        (("net.onnx", "--input", "a.npy", "-o", "y.txt"), 1, ".npy"),
        (("net.onnx", "--input", "a.npy", "-o", "y.npy", "-o", "y.npy"), 1, "twice"),
        (("net.onnx", "--input", "a.npy", "-o", "y.npy", "-o", "z.npy"), 1, "no further output"),
        (("net.onnx", "--input", "a.npy", "-o", "gone/y.npy"), 1, "there is no folder gone"),
    ],
)
def test_errors_are_one_line_and_write_nothing(run_here, tmp_path, arguments, status, words):
    np.save("wide.npy", np.zeros((1, 2, 6, 6), np.float32))
    before = sorted(tmp_path.iterdir())
    found, out, err = run_here(*arguments)
    assert (found, out) == (status, "")
    assert err.count("\n") == 1 and words in err
    assert sorted(tmp_path.iterdir()) == before
