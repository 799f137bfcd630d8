"""The instruction-set level changes no bit of exact data, and none at all where sums are not contracted to FMA."""

import os
import subprocess
import sys

import numpy as np
import pytest

from cyconv import _platform, cpu

LEVELS = ("v2", "v3", "v4")
HAVE = "base" if cpu.level == "base" else _platform.cpu_level()
FUSED = ("direct", "implicit_gemm", "depthwise", "dots", "channel_lanes", "separable", "winograd", "fft")  # what multiplies and adds in one instruction

# Results of every algorithm and of pooling, on exact data and on normal floats, as one .npz
PROGRAM = """
import sys
import numpy as np
from cases import CASES, FAST, arrays, conv, problem_of, suited
import cyconv
from cyconv import cpu, select
results = {"level": np.array(cpu.level)}
for case in CASES:
    for dtype in ("float32", "float64", "complex64", "float16", "int8", "uint64"):
        for small in (True, False):
            x, w, bias = arrays(case, dtype, small=small)
            verdicts = {v.algorithm.name: v for v in select.verdicts(problem_of(case, dtype, bias))}
            for name in FAST:
                if verdicts[name].declined is None:
                    kind = "exact" if small or dtype in ("int8", "uint64") else "float"
                    results[f"{kind} {name} {case.name} {dtype}"] = conv(case.rank)(x, suited(name, w), bias, algorithm=name, **case.arguments)
rng = np.random.default_rng(0)
for dtype in ("float32", "float64", "float16", "int16"):
    x = rng.uniform(-50, 50, (2, 3, 37, 41)).astype(dtype)
    for k, s, p in ((2, 2, 0), (3, 2, 1), (3, 1, 1), (3, 3, 1), (4, 4, 0), (7, 1, 3)):
        results[f"pool max {k} {s} {dtype}"], results[f"pool index {k} {s} {dtype}"] = cyconv.max_pool2d(x, k, s, p, return_indices=True)
        results[f"pool avg {k} {s} {dtype}"] = cyconv.avg_pool2d(x, k, s, p)
        if dtype[0] == "f":
            results[f"pool lp {k} {s} {dtype}"] = cyconv.lp_pool2d(abs(x), 3.0, k, s)
    last = np.moveaxis(rng.uniform(-50, 50, (2, 37, 41, 24)).astype(dtype), -1, 1)
    for k, s in ((2, 2), (3, 2), (3, 1), (30, 1), ((37, 41), 1)):
        results[f"pool avg, channels last {k} {s} {dtype}"] = cyconv.avg_pool2d(last, k, s)
        results[f"pool avg, channels first {k} {s} {dtype}"] = cyconv.avg_pool2d(np.ascontiguousarray(last), k, s)
    for y in (last, np.ascontiguousarray(last), np.ascontiguousarray(last[:, :, :7, :9]), last[:, :, :7, :9]):
        key = f"{y.shape} {y.strides} {dtype}"
        for k in (1, 3, 7):
            results[f"pool adaptive {k} {key}"] = cyconv.adaptive_avg_pool2d(y, k)
            results[f"pool avg, forced {k} {key}"] = cyconv.avg_pool2d(y, k, 1, algorithm="pool")
    nothing = rng.choice([0.0, -0.0], (2, 2, 90), p=(0.02, 0.98)).astype(dtype)
    for k in range(1, 40):
        results[f"pool avg, zeros {k} {dtype}"] = cyconv.avg_pool2d(nothing, (2, k), 1, algorithm="sliding")
    wide = rng.uniform(-50, 50, (2, 3, 3001)).astype(dtype)
    for k in ((1, 16), (2, 29), (3, 101), (1, 900)):
        for s in (1, 3):
            results[f"pool avg, long rows {k} {s} {dtype}"] = cyconv.avg_pool2d(wide, k, s)
np.savez(sys.argv[1], **results)
"""


def run(level, path):
    environment = os.environ | {"CYCONV_ISA": level, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), os.environ["PYTHONPATH"]])}
    subprocess.run([sys.executable, "-c", PROGRAM, str(path)], env=environment, check=True, timeout=300)
    with np.load(path) as results:
        return dict(results)


@pytest.mark.skipif(HAVE == "base", reason="no x86-64 levels on this processor")
def test_level_changes_no_bit(tmp_path):
    levels = LEVELS[: LEVELS.index(HAVE) + 1]
    results = {level: run(level, tmp_path / f"{level}.npz") for level in levels}
    for level in levels:
        assert results[level].pop("level") == level
    best = results[levels[-1]]
    assert len(best) > 300
    for level in levels[:-1]:
        assert results[level].keys() == best.keys()
        for name, got in results[level].items():
            # v2 has no FMA, so these round each product there; on exact data that changes nothing but in `winograd` and `fft`
            if level == "v2" and (name.startswith(tuple(f"float {row}" for row in FUSED)) or " winograd " in name or " fft " in name):
                scale = np.abs(best[name]).max(initial=0)
                eps = np.finfo(got.dtype).eps
                np.testing.assert_allclose(got, best[name], rtol=0, atol=200 * eps * scale, err_msg=name)
            else:
                np.testing.assert_array_equal(got, best[name], err_msg=f"{level} against {levels[-1]}: {name}")
                if name.startswith("pool"):
                    assert got.tobytes() == best[name].tobytes(), f"signs of zeros, {level} against {levels[-1]}: {name}"


@pytest.mark.skipif(HAVE == "base", reason="no x86-64 levels on this processor")
@pytest.mark.parametrize("level, words", [("v9", "must be one of v2, v3, v4"), ("avx2", "must be one of"), ("base", "must be one of")])
def test_wrong_level_is_one_clear_error(level, words):
    done = subprocess.run([sys.executable, "-c", "import cyconv"], env=os.environ | {"CYCONV_ISA": level}, capture_output=True, text=True)
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.skipif(HAVE in ("base", "v4"), reason="this processor has every level")
def test_higher_level_than_the_processors_is_an_error():
    done = subprocess.run([sys.executable, "-c", "import cyconv"], env=os.environ | {"CYCONV_ISA": "v4"}, capture_output=True, text=True)
    assert done.returncode == 1 and "more than this processor has" in done.stderr


def test_level_in_use():
    assert cpu.level == os.environ.get("CYCONV_ISA", HAVE)
