"""Fourier transforms of a tile: planes of real and of imaginary parts [z][y][x] to panels and back.

A panel is a column of vectors that are transformed together, each lane on its own: rows of [real parts][imaginary parts]. Along x, lanes are neighbours;
so columns are transformed first, and squares of as many rows as a vector has lanes are turned, which makes rows columns: no shuffle happens within
a transform. A signal is a matrix: the transform of its columns, times a twist, then that of its rows, is the transform of the whole (J. W. Cooley
and J. W. Tukey, Mathematics of Computation 19, 1965; D. H. Bailey, Journal of Supercomputing 4, 1990). Digits stay reversed everywhere.
"""
from cyconv.cpu.fft_passes cimport Line, forward, inverse
from cyconv.cpu.shuffle cimport LANES_F, lanes
from cyconv.cpu.simd cimport VB, inlined, vf
from cyconv.cpu.square cimport turn

cdef struct Tile:
    Py_ssize_t[3] n                     # z, y and x; a signal of n[1] * n[2] samples has n[0] = 1
    Py_ssize_t size                     # bytes of a number
    bint deep                           # whether it is transformed along z, too
    bint squares                        # whether it is along x, else along y (and z) alone
    Line[3] line
    const char* twist                   # of a signal, else NULL: [block of columns][row of a panel], as a panel is
    Py_ssize_t points
    Py_ssize_t panels, rows             # so many, of so many rows each
    Py_ssize_t bytes                    # of all panels, and what keeps tiles apart in the caches


cdef inline inlined turned_by_row(char* panel, const char* twist, Py_ssize_t rows, bint back, const lanes* like) noexcept nogil:
    cdef Py_ssize_t y
    cdef lanes* p
    cdef const lanes* w
    cdef lanes a
    for y in range(rows):
        p, w = <lanes*> (panel + y * 2 * VB), <const lanes*> (twist + y * 2 * VB)
        a = p[0]
        if back:
            p[0], p[1] = a * w[0] + p[1] * w[1], p[1] * w[0] - a * w[1]
        else:
            p[0], p[1] = a * w[0] - p[1] * w[1], a * w[1] + p[1] * w[0]

cdef inline inlined turn_pairs(const char* from_, char* to, const lanes* like) noexcept nogil:
    """As many rows as there are lanes: real and imaginary parts apart."""
    cdef lanes square[LANES_F]
    cdef Py_ssize_t i, part, side = VB // (4 if lanes is vf else 8)
    for part in range(2):
        turn(from_ + part * VB, 2 * VB, &square[0])
        for i in range(side):
            (<lanes*> (to + (2 * i + part) * VB))[0] = square[i]

cdef inline void along_z(const Tile* t, char* re, char* im, char* panel, bint back, const lanes* like) noexcept nogil:
    """In the planes themselves."""
    cdef Py_ssize_t o, plane = t.n[1] * t.n[2] * t.size, z
    cdef const lanes* row
    for o in range(plane // VB):
        if back:
            for z in range(t.n[0]):
                (<lanes*> (panel + 2 * z * VB))[0] = (<const lanes*> (re + z * plane + o * VB))[0]
                (<lanes*> (panel + (2 * z + 1) * VB))[0] = (<const lanes*> (im + z * plane + o * VB))[0]
            inverse(&t.line[0], panel, re + o * VB, im + o * VB, plane, t.n[0], like)
        else:
            forward(&t.line[0], re + o * VB, im + o * VB, plane, panel, like)
            for z in range(t.n[0]):
                row = <const lanes*> (panel + 2 * z * VB)
                (<lanes*> (re + z * plane + o * VB))[0], (<lanes*> (im + z * plane + o * VB))[0] = row[0], row[1]

cdef inline void open_panels(const Tile* t, char* re, char* im, char* panel, char* panels, const lanes* like) noexcept nogil:
    """All transforms but that of panels along x, if there is one: panel_forward."""
    cdef Py_ssize_t z, b, k, at, blocks = t.n[2] * t.size // VB, side = VB // t.size, pitch = t.n[2] * t.size
    if t.deep:
        along_z(t, re, im, panel, False, like)
    for z in range(t.n[0]):
        for b in range(blocks):
            at = z * t.n[1] * pitch + b * VB
            if not t.squares:
                forward(&t.line[1], re + at, im + at, pitch, panels + (z * blocks + b) * t.n[1] * 2 * VB, like)
                continue
            forward(&t.line[1], re + at, im + at, pitch, panel, like)
            if t.twist != NULL:
                turned_by_row(panel, t.twist + b * t.n[1] * 2 * VB, t.n[1], False, like)
            for k in range(t.n[1] // side):
                turn_pairs(panel + k * side * 2 * VB, panels + ((z * (t.n[1] // side) + k) * t.n[2] + b * side) * 2 * VB, like)

cdef inline void close_panels(const Tile* t, char* panels, char* panel, char* re, char* im, Py_ssize_t wanted, const lanes* like) noexcept nogil:
    """The mirror image; of each plane so many rows are wanted. Panels are overwritten."""
    cdef Py_ssize_t z, b, k, at, blocks = t.n[2] * t.size // VB, side = VB // t.size, pitch = t.n[2] * t.size
    for z in range(t.n[0]):
        for b in range(blocks):
            at = z * t.n[1] * pitch + b * VB
            if not t.squares:
                inverse(&t.line[1], panels + (z * blocks + b) * t.n[1] * 2 * VB, re + at, im + at, pitch, wanted, like)
                continue
            for k in range(t.n[1] // side):
                turn_pairs(panels + ((z * (t.n[1] // side) + k) * t.n[2] + b * side) * 2 * VB, panel + k * side * 2 * VB, like)
            if t.twist != NULL:
                turned_by_row(panel, t.twist + b * t.n[1] * 2 * VB, t.n[1], True, like)
            inverse(&t.line[1], panel, re + at, im + at, pitch, wanted, like)
    if t.deep:
        along_z(t, re, im, panel, True, like)

cdef inline void panel_forward(const Tile* t, char* panel, const lanes* like) noexcept nogil:
    if t.squares:
        forward(&t.line[2], panel, panel + VB, 2 * VB, panel, like)

cdef inline void panel_inverse(const Tile* t, char* panel, const lanes* like) noexcept nogil:
    if t.squares:
        inverse(&t.line[2], panel, panel, panel + VB, 2 * VB, t.rows, like)
