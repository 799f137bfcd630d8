"""The same convolution can be computed in several ways; which is the fastest depends on the size of the kernel.

Prints, for three kernels, the table of cyconv.explain, which predicts times and says why some algorithms decline, and then how long
each of the others took in truth, beside the automatic choice.
"""

import statistics
import time

import numpy as np

import cyconv
import cyconv.functional as F


def seconds(function):
    """The median time of some calls, fewer if they are slow."""
    times = []
    while len(times) < 9 and sum(times) < 0.2:
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


cyconv.set_num_threads(1)  # as in the tables
rng = np.random.default_rng(0)
x = rng.standard_normal((1, 32, 64, 64)).astype(np.float32)  # one image of 32 channels
for taps in (1, 3, 15):
    weight = rng.standard_normal((32, 32, taps, taps)).astype(np.float32)
    explanation = cyconv.explain(x, weight, padding="same")
    print(f"{'=' * 100}\n{explanation}\n")
    expected = F.conv2d(x, weight, padding="same", algorithm="reference")
    names = [verdict.algorithm.name for verdict in explanation.verdicts if verdict.declined is None]
    print("measured")
    for name in [*names, "auto"]:
        result = F.conv2d(x, weight, padding="same", algorithm=name)
        # All give the same result, but for rounding.
        assert np.allclose(result, expected, atol=2e-4 * np.abs(expected).max())
        took = seconds(lambda: F.conv2d(x, weight, padding="same", algorithm=name))
        print(f"  {name:14} {1e3 * took:8.2f} ms{'   the automatic choice' if name == explanation.chosen else ''}")
    print()
