"""The benchmark of the GPU does what it says, on tiny rows and with PyTorch on the CPU as a peer; its figures mean nothing here."""

import csv
import importlib
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROWS = """
dense   conv2d      1x3x9x8      5x3x3x3  padding=1
image   conv2d      1x1x12x12    1x1x5x5  padding=2
signal  conv1d      1x1x300      1x1x31
pool    max_pool2d  2x3x8x8      kernel=2 stride=2 indices
mean    avg_pool2d  2x3x8x9      kernel=3 stride=2 padding=1
largest max_pool2d  1x1x12x10    kernel=5 stride=1 padding=2
middle  avg_pool2d  1x1x12x10    kernel=3x5 stride=1 padding=1x2
"""


@pytest.fixture
def bench(cupy, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    gpu = importlib.import_module("bench.gpu")
    monkeypatch.setattr(gpu, "ceilings", lambda cupy: {"float32": 1e12, "tf32": 1e12, "float16": 1e12, "bytes": 1e12})
    monkeypatch.setitem(sys.modules, "torch", None)  # not to be imported
    monkeypatch.setattr(gpu, "cupyx_calls", lambda *arguments: {})
    file = tmp_path / "rows.txt"
    file.write_text(ROWS)
    monkeypatch.setattr(importlib.import_module("bench.gpu_timing"), "TURN", 1e-6)
    return gpu, ["--files", str(file), "--seconds", "0.001", "--batches", "2", "1", "--threads", "2"]


def test_every_row_is_checked_and_timed(bench, capsys, tmp_path):
    gpu, arguments = bench
    assert gpu.main([*arguments, "--csv", str(tmp_path / "figures.csv"), "--json", str(tmp_path / "figures.json")]) == 0
    printed = capsys.readouterr().out
    assert "WRONG" not in printed and "torch is not installed" in printed
    with open(tmp_path / "figures.csv") as file:
        rows = list(csv.DictReader(file))
    timed = {(r["row"], r["batch"], r["mode"]) for r in rows if r["contender"] == "cyconv" and float(r["milliseconds"]) > 0}
    pools = ("pool", "mean", "pool'", "mean'", "dense unfold", "dense fold")
    several = {("dense", batch, mode) for batch in "12" for mode in gpu.MODES}
    several |= {(row, batch, mode) for row in pools for batch in "12" for mode in ("float32", "float16")}  # TF32 is nothing to them
    several |= {(row, "1", mode) for row in ("image", "signal") for mode in gpu.MODES}
    alone = ("largest", "middle", "largest'", "middle'")
    several |= {(row, "1", mode) for row in alone for mode in ("float32", "float16")}
    assert timed == several | {(f"{row} filter", "1", "float32") for row in alone[:2]}
    assert {r["contender"] for r in rows if r["row"] == "dense"} >= {"cyconv", "cyconv plan", "direct", "implicit_gemm"}
    first, *lines, last = map(json.loads, (tmp_path / "figures.json").read_text().splitlines())
    assert first["about"]["device"] and set(first["ceilings"]) == {*gpu.MODES, "bytes"} and last["seconds"] > 0
    assert {(r["row"], str(r["batch"]), r["mode"]) for r in lines} == timed
    for r in lines:
        assert r["of the ceiling"]["bytes/s"] > 0 and (r["of the ceiling"]["FLOP/s"] > 0) == (r["row"] in ("dense", "image", "signal"))


def test_a_wrong_answer_is_not_timed(bench, capsys, monkeypatch):
    gpu, arguments = bench
    own_calls = gpu.own_calls

    def wrong(row, mode, x, weight):
        calls, *others = own_calls(row, mode, x, weight)
        first = calls["cyconv"]
        return calls | {"cyconv": lambda: first() * factor}, *others

    monkeypatch.setattr(gpu, "own_calls", wrong)
    for mode in gpu.MODES:  # our own rows to the menu's bounds, which are close in all
        factor = 1.1 if mode == "float16" else 1.01
        assert gpu.main([*arguments, "--rows", "dense", "mean", "middle", "--modes", mode]) == 1
        printed = capsys.readouterr().out.splitlines()
        rows = [before.split(" " * 3)[0].strip() for before, after in itertools.pairwise(printed) if "WRONG, not timed: cyconv: item 0: off by" in after]
        want = {"dense", "mean", "middle", "dense unfold", "dense fold", "mean'", "middle'"} | ({"middle filter"} if mode == "float32" else set())
        assert set(rows) == want


def test_scipys_filters_are_peers_of_pools_and_filters(cupy, monkeypatch):
    """SciPy's own, whose borders CuPy's have, in their place."""
    from types import ModuleType

    from scipy import ndimage

    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    gpu, gradients, rows = (importlib.import_module(f"bench.{name}") for name in ("gpu", "gpu_gradients", "rows"))
    package, scipy, module = (ModuleType(name) for name in ("cupyx", "cupyx.scipy", "cupyx.scipy.ndimage"))
    package.scipy, scipy.ndimage = scipy, module
    for name in ("maximum_filter", "uniform_filter"):
        setattr(module, name, lambda plane, size, f=getattr(ndimage, name), **words: cupy.asarray(f(plane.get(), size, **words)))
    for each in (package, scipy, module):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    plain = rows.parse(ROWS, "here")
    found = {}
    for row in [*plain, *gradients.derived(plain)]:
        if row.is_conv:
            continue
        arrays, exact = gpu.arrays_on(cupy, row, "float32"), gpu.exact_answer(row, "float32")
        assert gpu.cupyx_calls(row, "float16", *arrays) == {}
        for name, call in gpu.cupyx_calls(row, "float32", *arrays).items():
            found[row.name] = name
            assert gpu.check(row, "float32", name, call(), exact, {}) is None, row.name
    largest, middle = "cupyx maximum_filter", "cupyx uniform_filter"
    assert found == {"largest": largest, "middle": middle, "largest filter": largest, "middle filter": middle}


def test_places_of_maxima_are_checked(bench):
    gpu, _ = bench
    values, places = np.ones((1, 1, 2)), np.array([[[0, 3]]])
    assert gpu.far_off((values, places), (values, places), 0.0, "float32") is None
    assert gpu.far_off((values, places + 1), (values, places), 0.0, "float32") == "2 of 2 places differ"
    assert "off by nan" in gpu.far_off((values * np.nan, places), (values, places), 0.0, "float32")


@pytest.mark.parametrize("name", ["cyconv", "direct", "torch"])
@pytest.mark.parametrize("calls", [1, 3])  # a slow one is called three times in all
def test_what_fails_is_told_and_others_go_on(name, calls, bench, capsys, monkeypatch, tmp_path):
    """At once, or when it is timed."""
    gpu, arguments = bench
    own_calls = gpu.own_calls

    def failing(row, mode, x, weight):
        found, *others = own_calls(row, mode, x, weight)
        working, called = found.get(name, found["cyconv"]), []

        def call(**out):
            called.append(1)
            if row.name == "dense" and len(called) >= calls:
                raise MemoryError("no more")
            return working(**out)

        return found | {name: call}, *others

    monkeypatch.setattr(gpu, "own_calls", failing)
    path = tmp_path / "figures.json"
    assert gpu.main([*arguments, "--rows", "dense", "image", "--without", "derived", "--modes", "float32", "--json", str(path)]) == (name != "torch")
    printed = capsys.readouterr().out
    assert ("WRONG, not timed: " + name + ": MemoryError: no more" in printed) == (name != "torch")
    _, *lines, _ = map(json.loads, path.read_text().splitlines())
    assert [(r["row"], r["batch"]) for r in lines] == [("dense", 2), ("image", 1), ("dense", 1)]
    for r in lines:
        assert (name in r["milliseconds"]) == (r["row"] == "image") and {"cyconv plan", "implicit_gemm"} <= r["milliseconds"].keys()
        if r["row"] == "dense":
            assert r["not run" if name == "torch" else "wrong"][name] == "MemoryError: no more"


def test_a_row_that_fails_and_a_device_that_is_lost(bench, capsys, stand_in, monkeypatch):
    (gpu, arguments), cupy = bench, stand_in
    arrays_on, arguments = gpu.arrays_on, [*arguments, "--without", "derived", "--modes", "float32"]

    def failing(cupy, row, dtype):
        if row.name == "image":
            raise MemoryError("too large")
        return arrays_on(cupy, row, dtype)

    monkeypatch.setattr(gpu, "arrays_on", failing)
    assert gpu.main(arguments) == 1
    printed = capsys.readouterr().out
    assert "not run: MemoryError: too large" in printed and "\npool " in printed

    def lost():
        raise RuntimeError("an illegal memory access")

    def losing(row, mode, x, weight):
        if type(x) is cupy.ndarray and row.name == "image" and not ahead:
            monkeypatch.setattr(cupy.cuda.Stream, "synchronize", lambda self: lost())
            return {"cyconv": lost}, "", {}, None
        return own_calls(row, mode, x, weight)

    own_calls, ahead, all_ahead = gpu.own_calls, [], gpu.ahead

    def told(*arguments):
        ahead.append(1)
        found = all_ahead(*arguments)
        ahead.clear()
        return found

    monkeypatch.setattr(gpu, "arrays_on", arrays_on)
    monkeypatch.setattr(gpu, "own_calls", losing)
    monkeypatch.setattr(gpu, "ahead", told)
    assert gpu.main(arguments) == 1
    printed = capsys.readouterr().out
    assert "not run: Lost: " in printed and "does not get over this" in printed
    assert "\ndense " in printed and "\npool " not in printed


def test_kernels_are_compiled_ahead_and_none_is_run(bench, stand_in, monkeypatch):
    (gpu, arguments), cupy = bench, stand_in
    from host_gpu import kernels

    asked, launch = set(), importlib.import_module("cyconv.gpu.launch")
    get_function = kernels.RawModule.get_function
    monkeypatch.setattr(kernels.RawModule, "get_function", lambda self, name: asked.add(name) or get_function(self, name))

    def not_here(*arguments, **options):
        raise AssertionError("a kernel was run")

    options = [("dense", "float32"), ("pool'", "float32"), ("dense fold", "float16")]
    parsed = type("Options", (), dict(files=[arguments[1]], rows=["*"], batches=[2], modes=list(gpu.MODES), without=[]))
    lines = [(row, mode) for row, mode in gpu.chosen_lines(parsed) if (row.name, mode) in options]
    assert len(lines) == 3
    with monkeypatch.context() as patched:
        patched.setattr(kernels.Kernel, "__call__", not_here)
        exacts = gpu.ahead(cupy, lines, 60, 2)
    assert len(exacts) == 3 and not any(isinstance(each, Exception) for each in exacts.values()) and len(asked) > 4
    compiled = set(asked)
    asked.clear()
    launch.kernel.cache_clear()
    for row, mode in lines:
        for call in gpu.own_calls(row, mode, *gpu.arrays_on(cupy, row, gpu.dtype_of(mode)))[0].values():
            call()
    assert asked and asked <= compiled


PEERS = """
dense   conv2d             2x3x9x8    5x3x3x3  padding=1
strided conv2d             2x4x9x10   5x4x3x2  stride=2x1 padding=1 dilation=1x2
solid   conv3d             2x3x5x6x7  4x3x3x2x3
signal  conv1d             1x1x300    1x1x31
max     max_pool2d         2x3x9x8    kernel=3 stride=2 padding=1 indices
wide    max_pool2d         2x3x9x8    kernel=2x3 dilation=2x1 ceil_mode
line    max_pool1d         2x3x19     kernel=3 stride=2
cube    max_pool3d         2x3x5x6x7  kernel=2
mean    avg_pool2d         2x3x9x8    kernel=3 stride=2 padding=1 ceil_mode exclude_pad
sums    avg_pool3d         2x3x5x6x7  kernel=2 divisor=3
means   avg_pool1d         2x3x19     kernel=3 stride=2 padding=1
some    adaptive_avg_pool2d 2x3x9x8   output=4x3
most    adaptive_max_pool2d 2x3x9x8   output=3
"""


def test_pytorch_gives_the_same_answers(cupy, torch, monkeypatch):
    """By the very calls that are made on a GPU."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    gpu, gradients, rows = (importlib.import_module(f"bench.{name}") for name in ("gpu", "gpu_gradients", "rows"))
    monkeypatch.setattr(gpu, "tensor", lambda torch, array: torch.from_numpy(array.get()))
    plain = rows.parse(PEERS, "here")
    everything = [*plain, *gradients.derived(plain)]
    assert len([row for row in everything if isinstance(row, gradients.Derived)]) == 9 + 4
    for row in everything:
        arrays = gpu.arrays_on(cupy, row, "float32")
        exact = gpu.exact_answer(row, "float32")
        *_, places = gpu.own_calls(row, "float32", *arrays)
        calls = gpu.torch_calls(row, "float32", *arrays, places)
        assert ("torch channels_last" in calls) == (row in plain and row.rank > 1)
        for name, call in calls.items():
            assert gpu.check(row, "float32", name, call(), exact, {}) is None, (row.name, name)


def test_tf32_is_what_is_asked_for(torch, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    gpu = importlib.import_module("bench.gpu")
    for tf32 in (True, False):
        gpu.set_precision(torch, tf32)
        assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == tf32
        if hasattr(torch.backends.cudnn, "conv"):  # versions with newer words
            assert {torch.backends.cudnn.conv.fp32_precision == "tf32", torch.backends.cuda.matmul.fp32_precision == "tf32"} == {tf32}


def test_ceilings(cupy, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    gpu = importlib.import_module("bench.gpu")
    found = gpu.ceilings(cupy, side=32, copied=4096)
    assert set(found) == {*gpu.MODES, "bytes"} and all(value > 0 for value in found.values())


def test_it_stops_when_its_time_is_over(bench, capsys):
    gpu, arguments = bench
    assert gpu.main([*arguments, "--minutes", "0"]) == 0
    assert "lines were not begun" in capsys.readouterr().out


# ---- calibration -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def calibrate(cupy, monkeypatch, tmp_path):
    """The command, for problems that the stand-in gets done with, and a checkout of its own to write to."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    module = importlib.import_module("bench.calibrate_gpu")
    few = {"float32": 0.4, "tf32": 0.2, "float16": 0.4}
    limits = dict(LEAST_WORK=1e3, MOST_WORK=1e5, LEAST_NUMBERS=100, MOST_NUMBERS=5e3, DTYPES=few, LAYER_DTYPES=tuple(few), CALLS=1e-6)
    for name, value in (limits | dict(POOL_DTYPES={"float32": 0.8, "float16": 0.2}, ALONE=0.8, MOST_ITEMS=3)).items():
        monkeypatch.setattr(module, name, value)
    (tmp_path / "cyconv" / "gpu").mkdir(parents=True)
    (tmp_path / "cyconv" / "gpu" / "costs.py").write_text(Path(importlib.import_module("cyconv.gpu.costs").__file__).read_text())
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    return module


@pytest.fixture
def cudnn(stand_in, monkeypatch):
    """Its stand-in; whether it is there is remembered by problems and by its launcher."""
    import host_gpu.cudnn

    def forget():
        for module in ("cyconv.problem", "cyconv.gradient_problem", "cyconv.gpu.cudnn"):
            for each in vars(importlib.import_module(module)).values():
                if hasattr(each, "cache_clear"):
                    each.cache_clear()
        importlib.import_module("cyconv.gpu.cudnn")._idle.clear()

    monkeypatch.setitem(sys.modules, "cudnn", host_gpu.cudnn)
    monkeypatch.setattr(host_gpu.cudnn, "backend_version", lambda: 91900, raising=False)
    forget()
    yield host_gpu.cudnn
    forget()


@pytest.fixture
def whole_draw(cudnn, monkeypatch):
    """What is drawn for a GPU, with cuDNN there."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    module = importlib.import_module("bench.calibrate_gpu")
    return module, module.random_problems(400, seed=1)


def written(calibrate):
    """What the checkout's costs.py says: (SECONDS, SOURCE, text)."""
    text, said = (calibrate.CHECKOUT / "cyconv" / "gpu" / "costs.py").read_text(), {}
    exec(text.partition(calibrate.BEGIN)[2].partition(calibrate.END)[0], said)
    return said["SECONDS"], said["SOURCE"], text


def test_calibration_draws_what_a_gpu_has_to_do_with(whole_draw):
    calibrate, problems = whole_draw
    convolutions, pools = calibrate.apart(problems)
    assert len(convolutions) == 400 and len(pools) == 134
    for some, of in ((problems[:40], 1), (problems[-40:], 1)):  # so that half of the time is enough for half of both
        assert 5 <= len(calibrate.apart(some)[of]) <= 15
    shares = dict.fromkeys(calibrate.DTYPES, 0)
    for p in convolutions:
        shares["tf32" if p.allow_tf32 else p.dtype] += 1 / 400
    assert all(shares.values()) and min(shares[name] for name in calibrate.LAYER_DTYPES) > 0.1
    assert any(p.multiply_adds > 1e10 for p in convolutions if p.dtype not in calibrate.LAYER_DTYPES)  # of any kind, not layers alone
    work = [p.multiply_adds for p in convolutions]
    decades, _ = np.histogram(np.log10(work), range(4, 12))
    assert max(work) <= 2e11 and min(decades) > 25 and max(decades) < 100 and sum(p.batch > 16 for p in convolutions) > 40
    assert {(p.kind, p.with_indices) for p in pools} == {("max", True), ("max", False), ("average", False), ("lp", False)}
    sizes = [calibrate.numbers_of(p) for p in pools]
    assert max(sizes) <= 3e8 and sum(n > 1e7 for n in sizes) > 15 < sum(n < 1e5 for n in sizes)
    windows = [np.prod(p.kernel) for p in pools]
    assert sum(n <= 9 for n in windows) > 20 < sum(n > 100 for n in windows) and {p.dtype for p in pools} == calibrate.POOL_DTYPES.keys()
    assert any(any(p.adaptive) for p in pools) and {max(p.stride) for p in pools} >= {1, 2}


def test_every_kind_of_work_is_drawn_and_found(whole_draw):
    """If times are what a table says, they are fitted by that table."""
    calibrate, problems = whole_draw
    from cyconv.gpu import costs

    rng = np.random.default_rng(0)
    truth = {name: {kind: value * rng.choice([0.4, 0.7, 1.5, 3]) for kind, value in each.items()} for name, each in costs.SECONDS.items()}
    measured = {}
    for p in problems:
        measured[p] = {row.name: costs.seconds(row.name, calibrate.amounts(row.name, p, "gpu"), truth) for row in calibrate.rows_for(p)}
    for name, each in costs.SECONDS.items():
        for kind in each:
            assert sum(calibrate.amounts(name, p, "gpu").get(kind, 0) > 0 for p in problems if name in measured[p]) > 20, (name, kind)
    assert calibrate.not_seen(measured) == {}
    table = {name: calibrate.fit(name, measured, each, calibrate.PULL, "gpu") for name, each in costs.SECONDS.items()}
    for name, each in table.items():
        ratios = [costs.seconds(name, calibrate.amounts(name, p, "gpu"), table) / found[name] for p, found in measured.items() if name in found]
        assert np.percentile(abs(np.log(ratios)), 90) < 0.1, name
    lines = [line for line in calibrate.report(table, measured) if "chosen / best" in line]
    assert [line.partition(":")[0] for line in lines] == ["convolutions", "pools"]
    assert all(float(line.split("best ")[1].split()[0]) < 1.02 for line in lines)
    rough = [line for line in calibrate.report(costs.SECONDS, measured) if "chosen / best" in line]
    assert all(float(line.split("best ")[1].split()[0]) > 1.02 for line in rough)


def test_the_cpu_is_calibrated_as_ever(monkeypatch):
    from cyconv import calibration

    problems = calibration.random_problems(200, seed=1)
    assert {p.dtype for p in problems} == calibration.DTYPES.keys() and not any(p.allow_tf32 for p in problems)
    assert max(p.multiply_adds for p in problems) <= calibration.MOST_WORK and sum(p.batch == 1 for p in problems) > 80
    monkeypatch.setattr(calibration, "MOST_WORK", 1e5)
    assert max(p.multiply_adds for p in calibration.random_problems(20, seed=1)) <= 1e5


def test_calibration_fits_and_writes_the_table(calibrate, capsys):
    from cyconv.gpu import costs

    _, _, before = written(calibrate)
    assert calibrate.main(["--problems", "12", "--dry-run"]) == 0
    assert written(calibrate)[2] == before and "SECONDS = {" in capsys.readouterr().out
    assert calibrate.main(["--problems", "12"]) == 0
    printed = capsys.readouterr().out
    assert "22 of 22 problems, 6 of them pools" in printed and "not timed" not in printed
    assert printed.count("convolutions: chosen / best") == printed.count("pools: chosen / best") == 2  # by both tables
    seconds, source, text = written(calibrate)
    assert {name: each.keys() for name, each in seconds.items()} == {name: each.keys() for name, each in costs.SECONDS.items()}
    assert text.partition(calibrate.BEGIN)[0] == before.partition(calibrate.BEGIN)[0] and text.partition(calibrate.END)[2] == before.partition(calibrate.END)[2]
    assert "# convolutions: chosen / best" in text and "# pools: chosen / best" in text
    # what was measured on the stand-in is far from any GPU's; the rest is as it was, and told
    kept = source.partition("not measured: ")[2]
    assert f"as before, since no problem had such work: {kept}\n" in printed
    for name, each in seconds.items():
        same = [kind for kind, value in each.items() if value == costs.SECONDS[name][kind]]
        assert (len(same) == len(each)) == (name in kept.replace("(", ", ").split(", ")) or "(" in kept, (name, same, kept)
    assert seconds["pool"] != costs.SECONDS["pool"] and seconds["sliding"] != costs.SECONDS["sliding"] and "pool" not in kept


def test_rows_are_timed_as_auto_runs_them(calibrate, stand_in, cudnn, monkeypatch):
    """With the row that would compute again, which has nothing to do; and by kernels that were compiled ahead."""
    from host_gpu import kernels

    from cyconv import menu

    seen, asked = {}, set()
    for row in menu.GPU_CONV:

        def run(*arguments, row=row, **options):
            ran = row.module.run(*arguments, **options)
            seen.setdefault(row.name, []).append({word: array.get()[0] for word, array in options.items()})
            return ran

        monkeypatch.setitem(row.__dict__, "run", run)
    problems = calibrate.random_problems(15, seed=3)
    get_function = kernels.RawModule.get_function
    monkeypatch.setattr(kernels.RawModule, "get_function", lambda self, name: asked.add(name) or get_function(self, name))
    with monkeypatch.context() as patched:
        patched.setattr(kernels.Kernel, "__call__", lambda *arguments, **options: pytest.fail("a kernel was run"))
        calibrate.ahead(stand_in, problems, float("inf"), 2)
    compiled, _ = set(asked), (asked.clear(), seen.clear())
    filled, periods = calibrate.filled, []
    monkeypatch.setattr(calibrate, "filled", lambda *arguments: periods.append(arguments[-1]) or filled(*arguments))
    measured, lost = calibrate.measure(stand_in, problems, float("inf"), lambda *arguments: pytest.fail(str(arguments)))
    assert list(measured) == problems and not lost and asked and asked <= compiled
    assert set(periods) == {4093, 8191}  # those of weights: sums of products grow where both have one period
    assert all(each == {"nonfinite": 0} for name in ("fft", "winograd", "cudnn") for each in seen[name])
    again = [each for name in ("implicit_gemm", "depthwise", "direct") for each in seen[name] if each]
    assert all(each == {"only_if": 0} for each in again) and len(again) == sum(len(seen[name]) for name in ("fft", "winograd", "cudnn")) > 0


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "complex64", "bfloat16"])
def test_numbers_that_calibrate_do_not_overflow(dtype, calibrate, cupy):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    kind = calibrate.dtype_of(type("Problem", (), {"dtype": dtype}))
    a, b = (calibrate.filled(cupy, (3, 100_000), kind, period).get().astype("complex128") for period in (4093, 8191))
    assert abs(a).max() <= 4 and (kind.kind in "iu" or abs(a).min() > 0.49) and abs((a * b).sum(1)).max() < (5e5 if dtype == "int8" else 6e3)
    assert len(np.unique(a[:, -50:])) > 4


def test_what_fails_is_told_and_the_others_are_fitted(calibrate, capsys, monkeypatch):
    from cyconv import menu
    from cyconv.gpu import costs

    row, filled, made = next(row for row in menu.GPU_CONV if row.name == "depthwise"), calibrate.filled, []

    def failing(*arguments, **options):
        raise MemoryError("no more")

    def sometimes(*arguments):
        made.append(1)
        return failing() if len(made) == 3 else filled(*arguments)

    monkeypatch.setitem(row.__dict__, "run", failing)
    monkeypatch.setattr(calibrate, "filled", sometimes)
    assert calibrate.main(["--problems", "6"]) == 0
    printed = capsys.readouterr().out
    assert "not timed: depthwise, " in printed and "MemoryError: no more" in printed and "10 of 11 problems" in printed
    seconds, source, _ = written(calibrate)
    assert seconds["depthwise"] == costs.SECONDS["depthwise"] and "depthwise" in source and seconds["direct"] != costs.SECONDS["direct"]


def test_a_part_of_the_problems_gives_a_table_too(calibrate, stand_in, capsys, monkeypatch):
    from cyconv.gpu import costs

    before = written(calibrate)[2]
    assert calibrate.main(["--problems", "6", "--minutes", "0"]) == 0
    assert "1 of 11 problems, 0 of them pools" in capsys.readouterr().out
    seconds, source, text = written(calibrate)
    assert seconds["pool"] == costs.SECONDS["pool"] and seconds["direct"] != costs.SECONDS["direct"]
    assert "not measured: pool, sliding" in source and text != before


@pytest.mark.parametrize("where", ["filled", "timed"])
def test_a_device_that_is_lost_leaves_what_was_measured(where, calibrate, stand_in, capsys, monkeypatch):
    done, called = getattr(calibrate, where), []

    def losing(*arguments):
        called.append(1)
        if len(called) == 40:
            monkeypatch.setattr(stand_in.cuda.Stream, "synchronize", lambda self: 1 / 0)
            raise RuntimeError("an illegal memory access")
        return done(*arguments)

    monkeypatch.setattr(calibrate, where, losing)
    assert calibrate.main(["--problems", "30"]) == 1
    printed = capsys.readouterr().out
    assert printed.count("not timed: ") == 1 and "of 54 problems" in printed and "54 of" not in printed
    assert "does not get over" in printed and "written to" in printed
