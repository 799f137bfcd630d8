"""Fourier transforms of a tile: planes of real and of imaginary parts [z][y][x] to panels and back.

A panel is a column of vectors that are transformed together, each lane on its own: rows of [real parts][imaginary parts]. Along x, lanes are neighbours;
so columns are transformed first, and squares of as many rows as a vector has lanes are turned, which makes rows columns: no shuffle happens within
a transform. A signal is a matrix: the transform of its columns, times a twist, then that of its rows, is the transform of the whole (J. W. Cooley
and J. W. Tukey, Mathematics of Computation 19, 1965; D. H. Bailey, Journal of Supercomputing 4, 1990). Digits stay reversed everywhere.
Where one tile would hold all rows, it is folded: the first half of its rows is the real part, the second the imaginary part, which is arithmetic modulo
z**rows - i. Row y times the rows-th root of i to the power of y makes that a plain circular convolution of half as many rows; what would pass the end comes
round with another sign, but only zeros do (H. J. Nussbaumer, Fast Fourier Transform and Convolution Algorithms, 1981: the right-angle convolution).
"""
from cyconv.cpu.fft_passes cimport Line, constant, forward, inverse, turned_by
from cyconv.cpu.shuffle cimport LANES_F, fetch, lanes, own, stream
from cyconv.cpu.simd cimport VB, inlined, vf
from cyconv.cpu.square cimport turn

cdef struct Tile:
    Py_ssize_t[3] n                     # z, y and x; a signal of n[1] * n[2] samples has n[0] = 1
    Py_ssize_t size                     # bytes of a number
    bint deep                           # whether it is transformed along z, too
    bint squares                        # whether it is along x, else along y (and z) alone
    Line[3] line
    const char* twist                   # of a signal, else NULL: [block of columns][row of a panel], as a panel is
    const char* fold                    # of a folded tile, else NULL: a factor for each row
    Py_ssize_t points
    Py_ssize_t panels, rows             # so many, of so many rows each
    Py_ssize_t bytes                    # of all panels, and what keeps tiles apart in the caches

cdef struct Planes:                     # real and imaginary parts of a tile, each a tile of its own of real data
    char* re                            # NULL: none
    char* im
    Py_ssize_t row, plane               # bytes from row to row and from plane to plane; a matrix' rows of a signal lie side by side

cdef struct Ending:                     # of results
    char* seen                          # two vectors: NaN where any result was not finite
    bint past                           # whether they are written past the caches: whole lines only


cdef inline void ask(const Tile* t, const Planes* p, Py_ssize_t part, Py_ssize_t parts, bint written) noexcept nogil:
    """Has a part of the rows fetched: they may lie pages apart, where no processor looks ahead."""
    cdef Py_ssize_t i, at, j, rows = t.n[0] * t.n[1]
    if p.re == NULL:
        return
    for i in range(part * rows // parts, (part + 1) * rows // parts):
        at = i // t.n[1] * p.plane + i % t.n[1] * p.row
        j = 0
        while j < t.n[2] * t.size:
            if written:
                own(p.re + at + j)
                own(p.im + at + j)
            else:
                fetch(p.re + at + j)
                fetch(p.im + at + j)
            j += 64

cdef inline inlined turn_pairs(const char* from_, char* to, const lanes* like) noexcept nogil:
    """As many rows as there are lanes: real and imaginary parts apart."""
    cdef lanes square[LANES_F]
    cdef Py_ssize_t i, part, side = VB // (4 if lanes is vf else 8)
    for part in range(2):
        turn(from_ + part * VB, 2 * VB, &square[0])
        for i in range(side):
            (<lanes*> (to + (2 * i + part) * VB))[0] = square[i]

cdef inline void forward_z(const Tile* t, const Planes* from_, const Planes* to, char* panel, const lanes* like) noexcept nogil:
    cdef Py_ssize_t y, b, z
    cdef char* re
    cdef char* im
    cdef const lanes* row
    for y in range(t.n[1]):
        for b in range(t.n[2] * t.size // VB):
            forward(&t.line[0], from_.re + y * from_.row + b * VB, from_.im + y * from_.row + b * VB, from_.plane, panel, t.line[0].passes, NULL, like)
            re, im = to.re + y * to.row + b * VB, to.im + y * to.row + b * VB
            for z in range(t.n[0]):
                row = <const lanes*> (panel + 2 * z * VB)
                (<lanes*> (re + z * to.plane))[0], (<lanes*> (im + z * to.plane))[0] = row[0], row[1]

cdef inline void finish(const Ending* end, const char* re, const char* im, Py_ssize_t step, char* to_re, char* to_im, Py_ssize_t to_step, Py_ssize_t rows,
                        const lanes* like) noexcept nogil:
    """Looks at a column's rows, while they are near, and writes them past the caches, if they are not where they should be."""
    cdef lanes r, i, zero
    cdef lanes* seen = <lanes*> end.seen
    cdef lanes bad_r = seen[0], bad_i = seen[1]
    cdef Py_ssize_t y
    constant(0, &zero)
    for y in range(rows):
        r, i = (<const lanes*> (re + y * step))[0], (<const lanes*> (im + y * step))[0]
        bad_r, bad_i = bad_r + r * zero, bad_i + i * zero       # NaN if that is a NaN or infinity
        if re != to_re:
            stream(to_re + y * to_step, <vf> r)
            stream(to_im + y * to_step, <vf> i)
    seen[0], seen[1] = bad_r, bad_i

cdef inline void inverse_z(const Tile* t, const Planes* from_, const Planes* to, char* panel, const Py_ssize_t* wanted, const Ending* end,
                           const lanes* like) noexcept nogil:
    cdef Py_ssize_t y, b, z, at
    cdef const char* re
    cdef const char* im
    cdef lanes* row
    for y in range(wanted[1]):
        for b in range((wanted[2] * t.size + VB - 1) // VB):
            re, im = from_.re + y * from_.row + b * VB, from_.im + y * from_.row + b * VB
            for z in range(t.n[0]):
                row = <lanes*> (panel + 2 * z * VB)
                row[0], row[1] = (<const lanes*> (re + z * from_.plane))[0], (<const lanes*> (im + z * from_.plane))[0]
            at = y * to.row + b * VB
            inverse(&t.line[0], panel, to.re + at, to.im + at, to.plane, wanted[0], t.line[0].passes, NULL, like)
            if end != NULL:
                finish(end, to.re + at, to.im + at, to.plane, to.re + at, to.im + at, to.plane, wanted[0], like)

cdef inline inlined folded(const Tile* t, const char* re, const char* im, Py_ssize_t step, char* to_re, char* to_im, Py_ssize_t to_step, Py_ssize_t rows,
                           bint back, const lanes* like) noexcept nogil:
    """A column's rows times their factors, or the conjugates."""
    cdef Py_ssize_t y
    cdef lanes r, i
    for y in range(rows):
        r, i = (<const lanes*> (re + y * step))[0], (<const lanes*> (im + y * step))[0]
        turned_by(&r, &i, t.fold + 2 * y * t.size, back, like)
        (<lanes*> (to_re + y * to_step))[0], (<lanes*> (to_im + y * to_step))[0] = r, i

cdef inline void open_panels(const Tile* t, const Planes* from_, const Planes* planes, char* panel, char* panels, const Planes* next_, const lanes* like) noexcept nogil:
    """All transforms but that of panels along x, if there is one: panel_forward. `planes` are scratch; `next_` is what will be read next."""
    cdef Py_ssize_t z, b, k, at, blocks = t.n[2] * t.size // VB, side = VB // t.size
    cdef const Planes* p = from_
    if t.deep:
        forward_z(t, from_, planes, panel, like)
        p = planes
    for z in range(t.n[0]):
        for b in range(blocks):
            ask(t, next_, z * blocks + b, t.n[0] * blocks, False)
            at = z * p.plane + b * VB
            if not t.squares:
                forward(&t.line[1], p.re + at, p.im + at, p.row, panels + (z * blocks + b) * t.n[1] * 2 * VB, t.line[1].passes, NULL, like)
                continue
            if t.fold != NULL:
                folded(t, p.re + at, p.im + at, p.row, panel, panel + VB, 2 * VB, t.n[1], False, like)
                forward(&t.line[1], panel, panel + VB, 2 * VB, panel, t.line[1].passes, NULL, like)
            else:
                forward(&t.line[1], p.re + at, p.im + at, p.row, panel, t.line[1].passes, t.twist + b * t.n[1] * 2 * VB if t.twist != NULL else NULL, like)
            for k in range(t.n[1] // side):
                turn_pairs(panel + k * side * 2 * VB, panels + ((z * (t.n[1] // side) + k) * t.n[2] + b * side) * 2 * VB, like)

cdef inline void close_panels(const Tile* t, char* panels, char* panel, const Planes* planes, const Planes* to, const Py_ssize_t* wanted, const Planes* next_,
                              const Ending* end, const lanes* like) noexcept nogil:
    """The mirror image; so many samples along each axis are wanted, of which whole vectors are written. Panels are overwritten.
    next_: where results will be written next; end: what happens to those of this tile, or NULL."""
    cdef Py_ssize_t z, b, k, at, blocks = t.n[2] * t.size // VB, side = VB // t.size, rows = wanted[1], used
    cdef const Planes* p = planes if t.deep else to
    cdef char* re
    cdef char* im
    cdef const char* twist
    cdef bint past = end != NULL and end.past
    used = blocks if t.twist != NULL else min((wanted[2] + side - 1) // side, blocks)
    for z in range(t.n[0]):
        for b in range(used):
            ask(t, next_, z * used + b, t.n[0] * used, True)
            at = z * p.plane + b * VB
            re, im = p.re + at, p.im + at
            if not t.squares:
                inverse(&t.line[1], panels + (z * blocks + b) * t.n[1] * 2 * VB, re, im, p.row, rows, t.line[1].passes, NULL, like)
            else:
                for k in range(t.n[1] // side):
                    turn_pairs(panels + ((z * (t.n[1] // side) + k) * t.n[2] + b * side) * 2 * VB, panel + k * side * 2 * VB, like)
                if t.twist != NULL:
                    rows = max((wanted[2] - b * side + t.n[2] - 1) // t.n[2], <Py_ssize_t> 0)
                twist = t.twist + b * t.n[1] * 2 * VB if t.twist != NULL else NULL
                if t.fold != NULL or past:
                    inverse(&t.line[1], panel, panel, panel + VB, 2 * VB, rows, t.line[1].passes, twist, like)
                else:
                    inverse(&t.line[1], panel, re, im, p.row, rows, t.line[1].passes, twist, like)
                if t.fold != NULL:
                    folded(t, panel, panel + VB, 2 * VB, re, im, p.row, rows, True, like)
            if end != NULL and not t.deep:
                finish(end, panel if past else re, panel + VB if past else im, 2 * VB if past else p.row, re, im, p.row, rows, like)
    if t.deep:
        inverse_z(t, planes, to, panel, wanted, end, like)

cdef inline void panel_forward(const Tile* t, char* panel, int but, const lanes* like) noexcept nogil:
    """All passes but the last one (but = 1) or none."""
    if t.squares:
        forward(&t.line[2], panel, panel + VB, 2 * VB, panel, t.line[2].passes - but, NULL, like)

cdef inline void panel_inverse(const Tile* t, char* panel, int but, const lanes* like) noexcept nogil:
    """All passes but the first one, or none."""
    if t.squares:
        inverse(&t.line[2], panel, panel, panel + VB, 2 * VB, t.rows, t.line[2].passes - but, NULL, like)
