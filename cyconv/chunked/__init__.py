"""dask arrays, and arrays larger than memory: the same functions, a part of the result at a time.

    blocks.py        which samples a part of a result needs, and where results are cut: arithmetic without arrays
    graph.py         one task of dask for each chunk of a result
    arrays.py        what a caller passed
    convolution.py   convolutions; transpose.py: transposed ones
    pooling.py       pools; scatter.py: max unpooling
    filters.py       sliding filters
    columns.py       unfold and fold
    network.py       what layers compute
    signal.py        the functions of cyconv.signal
    streaming.py     convolve_blockwise: memmaps, zarr

Whatever the chunks, a result has the same bits: its blocks, and what computes them, depend on the whole problem alone. dask is
imported by nobody but who passes its arrays.
"""
