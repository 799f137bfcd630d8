"""The benchmark of cyconv: `python -m bench` compares and times, `python -m bench.calibrate` measures the cost model.

    rows        the problem files: one line names one problem
    data        the arrays of a row, its exact answer, and whether another answer is close enough
    contenders  cyconv's ways to compute a row: every algorithm of the menu, the plain call, a Plan
    peers       other libraries' ways
    apart       a contender in a process of its own, stopped between its turns
    timing      interleaved medians; what the machine can do at most
    session     check, then time, every contender of every row; the table
    models      four networks as ONNX models with random weights
    networks    these beside ONNX Runtime: `python -m bench.networks`
    calibrate   the constants of cyconv/costs.py
    neighbours  NumPy's own products right after a call of ours, whose threads must not be in their way
    bounds      the worst error of every algorithm over adversarial data, as a share of its bound

README.md says how to read the table.
"""
