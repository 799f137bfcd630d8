"""maximum_filter, minimum_filter and uniform_filter of CuPy arrays, against the same on NumPy arrays."""

import itertools

import numpy as np
import pytest
from test_filters import INTEGERS, MODES, NAMES, REFUSED, SHAPES, sample

import cyconv
from cyconv import menu, select
from cyconv.gpu import pool, sliding


@pytest.fixture(params=["auto", "pool", "sliding", "sliding in pieces"], autouse=True)
def algorithm(request, monkeypatch):
    """Filters choose by themselves; here each algorithm has its turn, where it accepts a problem."""
    word = request.param
    if word != "auto":
        row = next(row for row in menu.GPU_POOL if row.name == word.split()[0])
        usual = select._choose_pool
        monkeypatch.setattr(select, "_choose_pool", lambda p, *more: row if more[-1] == "gpu" and row.module.why_not(p) is None else usual(p, *more))
    if word.endswith("pieces"):
        monkeypatch.setattr(sliding, "ROOM", 1500)
    for module in (pool, sliding):  # what is launched is what test_gpu_kernels compiles
        known = set(module.instances())

        def checked(file, expression, known=known, kernel=module.kernel):
            assert (file, expression) in known
            return kernel(file, expression)

        monkeypatch.setattr(module, "kernel", checked)
    return word


def compare(cupy, name, x, *args, **kwargs):
    expected = getattr(cyconv, name)(x, *args, **kwargs)
    got = getattr(cyconv, name)(cupy.asarray(x), *args, **kwargs)
    assert isinstance(got, cupy.ndarray) and got.dtype == expected.dtype and got.flags.c_contiguous
    got, message = got.get(), f"{name} of {x.shape} {x.dtype}: {args} {kwargs}"
    if name == "uniform_filter" and x.dtype.kind in "fc":
        eps = np.finfo(x.dtype).eps
        np.testing.assert_allclose(got, expected, rtol=4 * eps, atol=200 * eps, err_msg=message)
    else:
        np.testing.assert_array_equal(got, expected, err_msg=message)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", MODES[:5])
def test_every_mode(name, mode, cupy):
    for shape, dtype in itertools.product(SHAPES, ("float32", "uint8")):
        for size in (1, 2, 3, 13, tuple(range(1, len(shape) + 1))):
            sizes = size if isinstance(size, tuple) else (size,) * len(shape)
            for origin in {0, *(o for o in (-1, 1) if all(0 <= k // 2 + o < k for k in sizes))}:
                compare(cupy, name, sample(shape, dtype), size, mode=mode, cval=7, origin=origin)


@pytest.mark.parametrize("name", NAMES)
def test_every_dtype(name, cupy, algorithm):
    few = ("int8", "float32", "float64")  # of integers that differ in nothing but their size, one algorithm is enough
    for dtype in (*INTEGERS, "float32", "float64", "bool", "complex64", "complex128") if algorithm == "auto" else few:
        if not (name == "uniform_filter" and dtype == "bool" or name != "uniform_filter" and dtype.startswith("complex")):
            cval = {"c": 2 - 5j, "b": 1}.get(dtype[0], 3)
            for mode in ("reflect", "constant"):
                compare(cupy, name, sample((12, 23), dtype), (4, 5), mode=mode, cval=cval)


@pytest.mark.parametrize("name", NAMES)
def test_each_axis_its_own_way(name, cupy):
    x = sample((6, 9, 20), "float32")
    compare(cupy, name, x, (2, 3, 5), mode=("wrap", "constant", "mirror"), cval=-4, origin=(0, -1, 2))
    for axes in (0, -1, (0, 2), (-1, -3), ()):
        compare(cupy, name, x, 3, mode="mirror", axes=axes)
    compare(cupy, name, x, (5, 2), mode=("wrap", "nearest"), origin=(1, 0), axes=(2, 0))


@pytest.mark.parametrize("name", NAMES)
def test_long_windows(name, cupy):
    for shape, size in (((60, 80), 31), ((50, 70), (1, 65)), ((2000,), 1901), ((8, 9, 40), (7, 5, 39)), ((10, 20), (41, 3)), ((10, 20), 100)):
        for dtype, mode in (("float32", "reflect"), ("uint8", "wrap"), ("float32", "constant")):
            compare(cupy, name, sample(shape, dtype), size, mode=mode, cval=2)


@pytest.mark.parametrize("name", NAMES)
def test_layout_does_not_matter(name, cupy):
    x = sample((8, 10, 12), "float32")
    expected = getattr(cyconv, name)(x, (3, 4, 5))
    y = cupy.asarray(x)
    for z in (
        cupy.asarray(x.T.copy()).T,
        cupy.asarray(x[::-1].copy())[::-1],
        cupy.asarray(np.repeat(x, 2, 2))[..., ::2],
        cupy.asarray(x.transpose(2, 0, 1).copy()).transpose(1, 2, 0),
    ):
        np.testing.assert_allclose(getattr(cyconv, name)(z, (3, 4, 5)).get(), expected, rtol=1e-6)
    np.testing.assert_array_equal(y.get(), x)


def test_nan_wins_where_it_is(cupy):
    x = np.random.default_rng(0).standard_normal((30, 40))
    x[10, 20] = np.nan
    for name, size in itertools.product(NAMES, (5, 21)):
        got = getattr(cyconv, name)(cupy.asarray(x), size).get()
        np.testing.assert_array_equal(np.isnan(got), np.isnan(getattr(cyconv, name)(x, size)))


@pytest.mark.parametrize("name", NAMES)
def test_output(name, cupy):
    x = sample((8, 10), "float64")
    expected = getattr(cyconv, name)(x, 3)
    for out in (cupy.empty(x.shape), cupy.asarray(np.asfortranarray(x)), cupy.asarray(x)):
        source = out if out.flags.c_contiguous and (out.get() == x).all() else cupy.asarray(x)
        assert getattr(cyconv, name)(source, 3, output=out) is out
        np.testing.assert_array_equal(out.get(), expected)
    y = cupy.asarray(x)
    copy = getattr(cyconv, name)(y, 1)
    assert copy is not y and not cupy.may_share_memory(copy, y)
    with pytest.raises(TypeError, match="input is a CuPy array .*output a NumPy array"):
        getattr(cyconv, name)(y, 3, output=np.empty(x.shape))
    with pytest.raises(TypeError, match="output is a CuPy array .*input a NumPy array"):
        getattr(cyconv, name)(x, 3, output=y)
    for shape in ((0,), (3, 0, 4), ()):
        got = getattr(cyconv, name)(cupy.zeros(shape), 3)
        assert isinstance(got, cupy.ndarray) and got.shape == shape and got.dtype == np.float64


@pytest.mark.parametrize(("args", "kwargs", "message"), REFUSED)
def test_bad_arguments_are_refused_by_name(args, kwargs, message, cupy):
    kwargs = {name: cupy.asarray(value) if isinstance(value, np.ndarray) else value for name, value in kwargs.items()}
    if kwargs.get("output") is np.float32:
        message = "input is a CuPy array .*output a type"
    for name in NAMES:
        with pytest.raises((ValueError, TypeError), match=message):
            getattr(cyconv, name)(cupy.asarray(args[0]), *args[1:], **kwargs)
