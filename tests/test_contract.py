"""The written semantics, rule by rule (pooling's rules 8 and 9 are in test_pool.py)."""

import _thread
import itertools
import signal
import threading
import time
import tracemalloc

import numpy as np
import pytest
from cases import CASES, FAST, FLOATS, INTEGERS, ROWS, Case, arrays, conv, problem_of, runs, suited, takes

import cyconv
from cyconv import select

pytestmark = pytest.mark.backends
rng = np.random.default_rng(11)


def memory_layouts(a):
    """The same numbers lying in memory in every way that NumPy allows."""
    yield "fortran", np.asfortranarray(a)
    yield "channels_last", np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -a.ndim + 1, -1)), -1, -a.ndim + 1)
    yield "reversed", np.ascontiguousarray(a[..., ::-1])[..., ::-1]
    yield "reversed_rows", np.ascontiguousarray(np.flip(a, -2))[..., ::-1, :]
    wide = np.zeros((*a.shape[:-1], 3 * a.shape[-1]), a.dtype)
    wide[..., ::3] = a
    yield "every_third", wide[..., ::3]
    read_only = a.copy()
    read_only.flags.writeable = False
    yield "read_only", read_only
    raw = np.zeros(a.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(a.dtype).reshape(a.shape)
    unaligned[...] = a
    yield "unaligned", unaligned
    yield "byte_swapped", a.astype(a.dtype.newbyteorder())
    yield "odd_size_one_stride", np.lib.stride_tricks.as_strided(a, a.shape, [1 if n == 1 else s for n, s in zip(a.shape, a.strides)])
    yield "field", np.rec.fromarrays([np.zeros(a.shape, np.int8), a]).f1


def test_rule_1_cross_correlation_by_its_formula():
    x, w, b = rng.integers(-5, 6, (2, 3, 6, 7)), rng.integers(-5, 6, (4, 3, 2, 3)), rng.integers(-5, 6, 4)
    s, d, p = (2, 1), (1, 2), (1, 2)
    got = cyconv.conv2d(x, w, b, s, p, d)
    for n, o, y, z in np.ndindex(got.shape):
        total = b[o]
        for c, i, j in np.ndindex(3, 2, 3):
            yy, xx = y * s[0] + i * d[0] - p[0], z * s[1] + j * d[1] - p[1]
            if 0 <= yy < 6 and 0 <= xx < 7:
                total += w[o, c, i, j] * x[n, c, yy, xx]
        assert got[n, o, y, z] == total


@pytest.mark.parametrize("dtype", ["float32", "complex64", "int16", "float16"])
@pytest.mark.parametrize("name", ROWS)
def test_rule_2_any_memory_layout(name, dtype, backend):
    x = rng.integers(0, 5, (2, 3, 7, 8)).astype(dtype)
    w = suited(name, rng.integers(0, 5, (4, 3, 3, 3)).astype(dtype))
    if not takes(name, x, w, backend, padding=1):
        pytest.skip(f"{name} does not take {dtype}")
    want = cyconv.conv2d(x, w, padding=1, algorithm=name)
    for layout, view in memory_layouts(x):
        before = view.tobytes()
        np.testing.assert_array_equal(cyconv.conv2d(view, w, padding=1, algorithm=name), want, err_msg=layout)
        assert view.tobytes() == before, f"{layout}: the input was written to"
    for layout, view in memory_layouts(w):
        np.testing.assert_array_equal(cyconv.conv2d(x, view, padding=1, algorithm=name), want, err_msg=layout)
    one = np.broadcast_to(x[:1, :1, :1, :1], x.shape)  # all strides zero
    np.testing.assert_array_equal(
        cyconv.conv2d(one, w, padding=1, algorithm=name), cyconv.conv2d(one.copy(), w, padding=1, algorithm=name)
    )


@pytest.mark.parametrize("name", ROWS)
def test_rule_2_planes_apart(name):
    """Whole planes without padding, where contiguous ones are copied at once."""
    whole = rng.integers(0, 5, (2, 6, 5, 6)).astype("float32")
    for kernel in ((4, 3, 1, 1), (4, 3, 3, 3), (4, 3, 5, 6)):
        w = suited(name, rng.integers(0, 5, kernel).astype("float32"))
        for x in (whole[:, ::2], whole[:, 3:], whole[:, ::-2], whole.transpose(0, 1, 3, 2)[:, :3, :5, :].transpose(0, 1, 3, 2)):
            if x.shape[2] >= kernel[2] and x.shape[3] >= kernel[3] and takes(name, x, w):
                got = cyconv.conv2d(x, w, algorithm=name)
                np.testing.assert_array_equal(got, cyconv.conv2d(x.copy(), w, algorithm=name))


def test_rule_2_unbatched_and_empty():
    x, w = rng.standard_normal((3, 6, 6)), rng.standard_normal((2, 3, 3, 3))
    np.testing.assert_array_equal(cyconv.conv2d(x, w), cyconv.conv2d(x[None], w)[0])
    assert cyconv.conv2d(x[None][:0], w).shape == (0, 2, 4, 4)


def test_rule_3_padding():
    x, w = rng.integers(-5, 6, (1, 1, 10)), rng.integers(-5, 6, (1, 1, 4))
    padded = {
        2: (2, 2), (3,): (3, 3), ((1, 4),): (1, 4), "valid": (0, 0), "full": (3, 3), "same": (1, 2), "same_upper": (1, 2),
        "same_lower": (2, 1),
    }  # fmt: skip
    for padding, sides in padded.items():
        want = cyconv.conv1d(np.pad(x, [(0, 0), (0, 0), sides]), w)
        np.testing.assert_array_equal(cyconv.conv1d(x, w, padding=padding), want, err_msg=str(padding))
    # ceil(10 / 3) = 4 outputs span 3*3 + 4 = 13 samples: three to add
    for padding, sides in {"same_upper": (1, 2), "same_lower": (2, 1)}.items():
        want = cyconv.conv1d(np.pad(x, [(0, 0), (0, 0), sides]), w, stride=3)
        assert want.shape == (1, 1, 4)
        np.testing.assert_array_equal(cyconv.conv1d(x, w, padding=padding, stride=3), want)
    with pytest.raises(ValueError, match="same_upper.*same_lower"):
        cyconv.conv1d(x, w, padding="same", stride=2)


@pytest.mark.cpu  # tracemalloc does not see the memory of a device
def test_rule_3_padding_modes_make_no_padded_copy():
    x, w = np.zeros((1, 1, 3000, 1000), np.float32), np.zeros((1, 1, 3, 3), np.float32)
    out = np.empty((1, 1, 3000, 1000), np.float32)
    for mode in ("zeros", "reflect", "replicate", "circular"):
        tracemalloc.start()
        cyconv.conv2d(x, w, padding=1, padding_mode=mode, out=out, algorithm="direct")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < x.nbytes / 4


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_rule_4_result_dtype_is_the_inputs(dtype):
    case = CASES[4]
    x, w, bias = arrays(case, dtype)
    for name in ("auto", *ROWS):
        weight = w if name == "auto" else suited(name, w)
        try:
            assert conv(2)(x, weight, bias, algorithm=name, **case.arguments).dtype == dtype
        except ValueError as error:
            assert "cannot compute" in str(error)


@pytest.mark.cpu  # CuPy has other layouts and dtypes: tests of GPU algorithms have them
def test_rule_4_out():
    x, w = rng.standard_normal((2, 3, 8, 8)), rng.standard_normal((3, 3, 3, 3))
    want = cyconv.conv2d(x, w, padding=1)
    for layout, out in memory_layouts(np.zeros_like(want)):
        if layout == "byte_swapped":
            with pytest.raises(TypeError, match="out must have dtype float64"):
                cyconv.conv2d(x, w, padding=1, out=out)
        elif layout != "read_only":
            assert cyconv.conv2d(x, w, padding=1, out=out) is out
            np.testing.assert_array_equal(out, want, err_msg=layout)
    overlapping = x.copy()
    cyconv.conv2d(overlapping, w, padding=1, out=overlapping)
    np.testing.assert_array_equal(overlapping, want)
    x, w = rng.standard_normal((1, 1, 1, 4)), rng.standard_normal((4, 1, 1, 4))
    for verdict in select.verdicts(problem_of(Case("", x.shape, w.shape), "float64", np.zeros(4))):
        if verdict.declined is None:
            name, weight = verdict.algorithm.name, suited(verdict.algorithm.name, w)
            bias = rng.standard_normal(4)
            want = cyconv.conv2d(x, weight, bias, algorithm=name)
            memory = np.zeros(7)
            memory[:4] = bias
            got = cyconv.conv2d(x, weight, memory[:4], algorithm=name, out=memory[3:].reshape(want.shape))
            np.testing.assert_array_equal(got, want, err_msg=name)
    case = Case("", (1, 3, 3, 1), (3, 3, 1, 1))
    for verdict in select.verdicts(problem_of(case, "float64", None)):  # weights prepared without a copy may overlap, too
        if verdict.declined:
            continue
        name = verdict.algorithm.name
        square, column = rng.standard_normal((1, 3, 3, 1)), suited(name, rng.standard_normal((3, 3, 1, 1)))
        want = cyconv.conv2d(square, column, algorithm=name)
        cyconv.conv2d(square, column, algorithm=name, out=column.reshape(1, 3, 3, 1))
        np.testing.assert_array_equal(column.reshape(want.shape), want)


@pytest.mark.cpu  # arrays that overlap are apart when they have been moved
def test_rule_4_out_over_the_weight_of_what_is_computed_twice():
    """A NaN makes the chosen algorithm's result useless; the weights are needed again then."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 64, 56, 56), np.float32), rng.standard_normal((64, 64, 3, 3), np.float32)
    x[0, 3, 5, 5] = np.nan
    assert ROWS[cyconv.explain(x, w, padding=1).chosen].spreads_nonfinite
    wanted = cyconv.conv2d(x, w, padding=1)
    memory = np.zeros(max(w.size, wanted.size), np.float32)
    weight, out = memory[: w.size].reshape(w.shape), memory[-wanted.size :].reshape(wanted.shape)
    assert np.shares_memory(weight, out)
    weight[...] = w
    np.testing.assert_array_equal(cyconv.conv2d(x, weight, padding=1, out=out), wanted)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["input", "weight"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_rule_5_non_finite_values_stay_where_the_direct_sum_has_them(bad, where, dtype, backend):
    # kernels and inputs so large that auto would take the FFT for finite numbers
    for rank, shape, kernel in ((1, (1, 1, 6000), (1, 1, 700)), (2, (1, 1, 90, 90), (1, 1, 40, 41)), (2, (1, 8, 20, 20), (8, 8, 3, 3))):
        x, w = rng.standard_normal(shape).astype(dtype), rng.standard_normal(kernel).astype(dtype)
        target = x if where == "input" else w
        target[(0, 0, *[5 if where == "input" else 1] * rank)] = bad
        with np.errstate(invalid="ignore"):
            want = conv(rank)(x, w, padding=2, algorithm="reference")
        got = conv(rank)(x, w, padding=2)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
        if backend == "cpu":  # plans are not moved
            plan = cyconv.plan_conv(shape, w, padding=2)
            np.testing.assert_array_equal(plan(x), got)


def test_rule_5_nan_in_one_part_of_a_complex_number():
    for part in ("real", "imag"):
        x, w = np.ones((1, 1, 4000), complex), np.ones((1, 1, 701), complex)
        getattr(x, part)[0, 0, 2000] = np.nan
        assert np.isnan(cyconv.conv1d(x, w)).sum() == 701
        assert np.isnan(cyconv.plan_conv(x.shape, w)(x)).sum() == 701


def test_rule_5_large_numbers_do_not_overflow_on_the_way():
    x = np.full((1, 1, 4000), 1e35, np.float32)
    w = np.full((1, 1, 1000), 1e-3, np.float32)
    np.testing.assert_allclose(cyconv.conv1d(x, w), 1e35, rtol=1e-4)
    # every order of summation passes through large values here; the result itself is moderate
    x[..., ::2] *= -1
    assert np.isfinite(cyconv.conv1d(x * np.float32(1e3), w)).all()


@pytest.mark.cpu  # what is chosen there
def test_rule_6_strict_leaves_out_larger_bounds():
    for case, dtype in itertools.product(CASES, ("float32", "complex128")):
        problem = problem_of(case, dtype, None, precision="strict")
        direct = ROWS["direct"].bound(problem)
        for verdict in select.verdicts(problem):
            if verdict.declined is None:
                assert verdict.algorithm.scale == "terms" and verdict.bound <= direct
    x, w = np.zeros((1, 1, 5000), np.float32), np.zeros((1, 1, 1000), np.float32)
    assert cyconv.explain(x, w, precision="strict").chosen != "fft"


def test_rule_7_batch_position_changes_no_bit():
    for rank, shape, kernel, options in (
        (1, (6, 3, 200), (5, 3, 9), {}),
        (2, (6, 8, 14, 15), (16, 8, 3, 3), {"padding": 1}),
        (2, (6, 64, 7, 7), (70, 64, 1, 1), {}),
        (3, (6, 2, 6, 7, 8), (3, 2, 3, 3, 3), {"stride": 2}),
    ):
        x, w = rng.standard_normal(shape).astype("float32"), rng.standard_normal(kernel).astype("float32")
        order, any_weight = rng.permutation(6), w
        for name in ("auto", *FAST):
            w = any_weight if name == "auto" else suited(name, any_weight)
            if name != "auto" and not takes(name, x, w, **options):
                continue
            got = conv(rank)(x, w, algorithm=name, **options)
            np.testing.assert_array_equal(conv(rank)(x[order], w, algorithm=name, **options), got[order], err_msg=name)


@pytest.mark.cpu  # threads
@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule_7_threads_change_no_bit(name, case):
    x, w, bias = arrays(case, "float32", small=False)
    w = suited(name, w)
    if not runs(name, problem_of(case, "float32", bias)):
        pytest.skip(f"{name} declines")
    results = []
    for count in (1, 2, 3, 7):
        with cyconv.threads(count):
            results.append(conv(case.rank)(x, w, bias, algorithm=name, **case.arguments))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.long
@pytest.mark.cpu  # threads
def test_rule_7_threads_change_no_bit_of_large_problems():
    for shape, kernel, options in (
        ((1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
        ((1, 512, 7, 7), (512, 512, 3, 3), {"padding": 1}),
        ((4, 32, 40, 40), (32, 1, 3, 3), {"groups": 32}),
        ((1, 1, 700, 700), (1, 1, 31, 31), {}),
    ):
        x, w = rng.standard_normal(shape).astype("float32"), rng.standard_normal(kernel).astype("float32")
        chosen = {v.algorithm.name for v in cyconv.explain(x, w, **options).verdicts if v.declined is None} - {"reference"}
        for name in chosen | {"auto"}:
            results = []
            for count in (1, 2, 5):
                with cyconv.threads(count):
                    results.append(cyconv.conv2d(x, w, algorithm=name, **options))
            np.testing.assert_array_equal(results[1], results[0], err_msg=name)
            np.testing.assert_array_equal(results[2], results[0], err_msg=name)


@pytest.mark.cpu  # threads
def test_rule_7_the_choice_does_not_depend_on_threads():
    for case in CASES:
        problem = problem_of(case, "float32", None)
        chosen = []
        for count in (1, 2, 16):
            problem.kept.clear()
            with cyconv.threads(count):
                chosen.append((select.choose(problem).name, [v.workspace for v in select.verdicts(problem)]))
        assert chosen[0] == chosen[1] == chosen[2]


def test_rule_10_impossible_sizes_raise_before_any_allocation():
    x, w = np.broadcast_to(np.float32(0), (2**20, 1, 2**20, 2**20)), np.broadcast_to(np.float32(0), (2**24, 1, 1, 1))
    tracemalloc.start()
    with pytest.raises(ValueError, match="2\\*\\*63"):
        cyconv.conv2d(x, w)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_rule_11_messages_name_argument_value_and_what_is_allowed():
    x, w = np.zeros((1, 2, 5)), np.zeros((1, 2, 3))
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        cyconv.conv1d(x, w, stride=0)
    with pytest.raises(ValueError, match="padding_mode must be one of 'zeros', 'reflect', 'replicate', 'circular'; got 'wrap'"):
        cyconv.conv1d(x, w, padding_mode="wrap")
    with pytest.raises(TypeError, match="input has dtype bool, which is not supported here; allowed: float16"):
        cyconv.conv1d(x.astype(bool), w.astype(bool))


@pytest.mark.long
@pytest.mark.cpu  # tracemalloc does not see the memory of a device
@pytest.mark.parametrize("name", FAST)
def test_rule_12_workspace_is_bounded(name):
    shapes = [((1, 64, 100, 100), (64, 64, 3, 3)), ((1, 1, 400_000), (1, 1, 501)), ((1, 1, 1500, 1500), (1, 1, 5, 5))]
    for (shape, kernel), limit in itertools.product(shapes, (2**28, 2**22, 2**18)):
        x, w = np.ones(shape, np.float32), np.ones(kernel, np.float32)
        try:
            plan = cyconv.plan_conv(shape, w, algorithm=name, max_workspace=limit)
        except ValueError as error:
            assert "cannot compute" in str(error)
            continue
        out = np.empty(plan.output_shape, np.float32)
        plan(x, out)
        for count in (1, 8):
            with cyconv.threads(count):
                tracemalloc.start()
                plan(x, out)
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            assert peak <= limit + 2**16, (name, shape, count)
        assert plan.workspace_bytes <= limit


def test_rule_12_little_workspace_is_enough_and_too_little_is_an_error(backend):
    x, w = rng.integers(-2, 3, (1, 8, 90, 900)).astype("float32"), rng.integers(-2, 3, (9, 8, 3, 3)).astype("float32")
    np.testing.assert_array_equal(cyconv.conv2d(x, w, max_workspace=2**15), cyconv.conv2d(x, w, algorithm="reference"))
    for limit in (0, 1, 100) if backend == "cpu" else ():  # the GPU has an algorithm that needs none
        with pytest.raises(ValueError, match=f"max_workspace={limit} is too small.*direct needs [0-9]+ bytes"):
            cyconv.conv2d(x, w, max_workspace=limit)


@pytest.mark.long
def test_rule_12_caches_are_bounded():
    x, w = np.zeros((1, 1, 3000), np.int8), np.zeros((1, 1, 1), np.int8)
    for n in range(1, 3000):
        cyconv.conv1d(x[..., :n], w)
    from cyconv import problem

    for cached in (problem.known_conv_problem, problem._remembered_transpose):
        info = cached.cache_info()
        assert info.maxsize is not None and info.currsize <= info.maxsize


@pytest.mark.long
@pytest.mark.cpu  # a launch does not wait
def test_rule_13_the_gil_is_released():
    for name in FAST:
        groups = {"depthwise": 16, "separable": 16, "channel_lanes": 32}.get(name, 1)  # these take few channels
        x, w = np.ones((8, 32, 128, 128), np.float32), np.ones((32 if groups == 32 else 64, 32 // groups, 3, 3), np.float32)
        if name == "dots":  # few outputs
            w = np.ones((8, 32, 120, 120), np.float32)
        tried = []
        while len(tried) < 5 and not (tried and tried[-1][0] > tried[-1][1] / 0.05):  # a busy machine may not let another thread run for a while
            tried.append(ticks_during(lambda: cyconv.conv2d(x, w, groups=groups, algorithm=name)))
        assert tried[-1][0] > tried[-1][1] / 0.05, f"{name}: (ticks of another thread, seconds): {tried}"


def ticks_during(call):
    """(how often another thread, which sleeps for a millisecond each time, ran during a call on one thread, seconds of that)."""
    ticks, done = [], threading.Event()

    def count():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    watcher = threading.Thread(target=count)
    watcher.start()
    try:
        begin = time.perf_counter()
        with cyconv.threads(1):
            call()
        end = time.perf_counter()
    finally:
        done.set()
        watcher.join()
    return sum(begin < t < end for t in ticks), end - begin


@pytest.mark.long
@pytest.mark.cpu  # a launch does not wait
def test_rule_13_ctrl_c_is_honoured():
    x, w = np.ones((64, 64, 160, 160), np.float32), np.ones((128, 64, 5, 5), np.float32)
    cyconv.conv2d(x[:1], w, algorithm="direct")
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    begin = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            cyconv.conv2d(x, w, algorithm="direct")
        assert time.perf_counter() - begin < 3
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    np.testing.assert_array_equal(cyconv.conv1d(np.ones((1, 1, 3)), np.ones((1, 1, 3))), [[[3.0]]])


def test_rule_13_many_threads_at_once():
    problems = []
    for seed, case in enumerate(CASES):
        x, w, bias = arrays(case, "float32", seed, small=False)
        problems.append((case, x, w, bias, conv(case.rank)(x, w, bias, **case.arguments)))
    wrong = []

    def work(start):
        for i in range(3 * len(problems)):
            case, x, w, bias, want = problems[(start + i) % len(problems)]
            with cyconv.threads(1 + start % 3):
                if not np.array_equal(conv(case.rank)(x, w, bias, **case.arguments), want):
                    wrong.append(case.name)

    workers = [threading.Thread(target=work, args=(7 * i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.cpu  # `dots` is the CPU's
def test_rule_5_holds_beyond_the_workspace():
    """`dots` alone makes do with so little; one NaN must not take the result away."""
    rng = np.random.default_rng(7)
    x, w = rng.standard_normal((1, 1, 300, 300), dtype=np.float32), rng.standard_normal((1, 1, 295, 295), dtype=np.float32)
    least = next(v.workspace for v in cyconv.explain(x, w).verdicts if v.algorithm.name == "dots")
    assert [v.algorithm.name for v in cyconv.explain(x, w, max_workspace=least).verdicts if v.declined is None] == ["dots"]
    plan = cyconv.plan_conv(x.shape, w, max_workspace=least)
    x[0, 0, 2, 3] = np.nan
    want = cyconv.conv2d(x, w, algorithm="reference")
    assert 0 < np.isnan(want).sum() < want.size
    for got in (cyconv.conv2d(x, w, max_workspace=least), plan(x)):
        np.testing.assert_allclose(got, want, rtol=1e-2, atol=0.05)
