"""From weights to U, output channels on the lanes: whole panels, or pieces of one that are used while they are in the cache.

Plain weights, [output channel][plane, tap], are brought onto the lanes by squares of vectors (`turn`), in the same step
that transforms them; or once, by `pack_weights`, where they are transformed again in every call.
"""
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, fetch, lanes, own
from cyconv.cpu.simd cimport VB, inlined, vd, vf
from cyconv.cpu.square cimport turn
from cyconv.cpu.tile cimport ceil_div, cut
from cyconv.cpu.winograd_transforms cimport weight_1d
from cyconv.cpu.winograd_work cimport KERNELS_AHEAD, MOST, PANEL, Work, u_step
from libc.string cimport memcpy, memset


cdef inline inlined weights_of(const int my, const int mx, const lanes* g, char* to, Py_ssize_t step) noexcept nogil:
    """One plane's kernel, output channels on the lanes: U of all frequencies."""
    cdef lanes[3][MOST] t
    cdef lanes[3] c
    cdef lanes[MOST] y
    cdef int i, j
    cdef int nx = 1 if mx == 1 else mx + 2, ny = 1 if my == 1 else my + 2, kx = 1 if mx == 1 else 3
    for j in range(kx):
        for i in range(1 if my == 1 else 3):
            c[i] = g[i * kx + j]
        weight_1d(my, c, t[j])
    for i in range(ny):
        for j in range(kx):
            c[j] = t[j][i]
        weight_1d(mx, c, y)
        for j in range(nx):
            if VB > 16:
                own(to + (i * nx + j) * step + 2 * PANEL)   # two planes on: more runs of lines than the hardware foresees
            (<lanes*> (to + (i * nx + j) * step))[0] = y[j]


cdef inline void transform_kernels(const Work* w, const lanes* g, Py_ssize_t ahead, Py_ssize_t planes, char* to, Py_ssize_t step) noexcept nogil:
    """U of the kernels of some planes, one after the other; those `ahead` are asked for, unless that is 0."""
    cdef Py_ssize_t _k, q
    for _k in range(planes):
        if ahead:
            for q in range(w.taps):
                fetch(<const char*> (g + ahead * w.taps + q))
        if w.my == 4 and w.mx == 4:
            weights_of(4, 4, g, to, step)
        elif w.my == 3 and w.mx == 3:
            weights_of(3, 3, g, to, step)
        elif w.my == 2 and w.mx == 2:
            weights_of(2, 2, g, to, step)
        elif w.my == 2 and w.mx == 4:
            weights_of(2, 4, g, to, step)
        elif w.my == 4 and w.mx == 2:
            weights_of(4, 2, g, to, step)
        elif w.my == 1 and w.mx == 2:
            weights_of(1, 2, g, to, step)
        elif w.my == 1 and w.mx == 3:
            weights_of(1, 3, g, to, step)
        elif w.my == 1 and w.mx == 4:
            weights_of(1, 4, g, to, step)
        elif w.my == 2 and w.mx == 1:
            weights_of(2, 1, g, to, step)
        elif w.my == 3 and w.mx == 1:
            weights_of(3, 1, g, to, step)
        elif w.my == 4 and w.mx == 1:
            weights_of(4, 1, g, to, step)
        elif w.my == 1 and w.mx == 6:
            weights_of(1, 6, g, to, step)
        elif w.my == 6 and w.mx == 1:
            weights_of(6, 1, g, to, step)
        g += w.taps
        to += PANEL


cdef inline void columns_to_lanes(const lanes* like, const char* src, Py_ssize_t pitch, Py_ssize_t rows, Py_ssize_t columns, lanes* to) noexcept nogil:
    """to[q][i] = src[i][q] for a vector's numbers q, or the `columns` that are left; zeros for lanes i without a row. Rows are
    `pitch` bytes apart."""
    cdef lanes[LANES_F] t
    cdef Py_ssize_t i, side = LANES_F if lanes is vf else LANES_D, size = VB // side
    if rows == side and columns >= side:
        turn(src, pitch, to)
    else:
        memset(&t, 0, side * VB)
        for i in range(rows):
            memcpy(&t[i], src + i * pitch, min(columns, side) * size)
        turn(<const char*> &t, VB, to)


cdef inline void transform_weights(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t k0, Py_ssize_t k1,
                            char* to, Py_ssize_t step) noexcept nogil:
    """U of planes k0 to k1 and one panel of output channels; `step` bytes from frequency to frequency."""
    cdef lanes[9 * LANES_F] t
    cdef Py_ssize_t side = LANES_F if lanes is vf else LANES_D, size = VB // side
    cdef Py_ssize_t half_panel, batch, k, q, first, rows, columns, ready, done, pitch = w.planes * w.taps * size
    cdef const char* source
    for half_panel in range(2):
        first = panel * 2 * side + half_panel * side
        rows = min(max(w.rows - first, 0), side)
        if w.packed:
            transform_kernels(w, <const lanes*> (w.weight + (((group * w.panels + panel) * 2 + half_panel) * w.planes + k0) * w.taps * VB),
                              KERNELS_AHEAD, k1 - k0, to + half_panel * VB, step)
            continue
        for batch in range(ceil_div(k1 - k0, side)):
            k = k0 + batch * side
            columns = min(k1 - k, side) * w.taps
            source = w.weight + (group * w.rows + first) * pitch + k * w.taps * size
            q = ready = 0
            while q < columns:          # each kernel as soon as it stands there, so that its U is written while others are shuffled
                columns_to_lanes(like, source + q * size, pitch, rows, columns - q, t + q)
                q += side
                done = min(q, columns) // w.taps
                transform_kernels(w, t + ready * w.taps, 0, done - ready, to + (k - k0 + ready) * PANEL + half_panel * VB, step)
                ready = done


cdef inline void pack_weights(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t panel, char* to) noexcept nogil:
    """A panel's plain weights as the transform reads them: [half of the panel][plane][tap][lane]."""
    cdef lanes[9 * LANES_F] t
    cdef Py_ssize_t side = LANES_F if lanes is vf else LANES_D, size = VB // side
    cdef Py_ssize_t half_panel, batch, k, q, first, columns, pitch = w.planes * w.taps * size
    for half_panel in range(2):
        first = panel * 2 * side + half_panel * side
        for batch in range(ceil_div(w.planes, side)):
            k = batch * side
            columns = min(w.planes - k, side) * w.taps
            q = 0
            while q < columns:
                columns_to_lanes(like, w.weight + (group * w.rows + first) * pitch + (k * w.taps + q) * size, pitch,
                                 min(max(w.rows - first, 0), side), columns - q, t + q)
                q += side
            for q in range(columns):
                (<lanes*> (to + ((half_panel * w.planes + k) * w.taps + q) * VB))[0] = t[q]


cdef inline void ask_weights(const Work* w, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t k0, Py_ssize_t k1, Py_ssize_t part,
                      Py_ssize_t parts) noexcept nogil:
    """Asks for part of the plain weights of a piece, while the one before is in use."""
    cdef Py_ssize_t size = w.b.size, lane = VB // size, i, q
    cdef Py_ssize_t count = k1 - k0 if w.packed else min(w.rows - panel * 2 * lane, 2 * lane)
    cdef const char* src
    for i in range(cut(count, part, parts), cut(count, part + 1, parts)):
        if w.packed:
            src = w.weight + ((group * w.panels + panel) * 2 * w.planes + k0 + i) * w.taps * VB
            for q in range(0, w.taps * VB, 64):
                fetch(src + q)
                fetch(src + w.planes * w.taps * VB + q)
        else:
            src = w.weight + ((group * w.rows + panel * 2 * lane + i) * w.planes + k0) * w.taps * size
            for q in range(0, (k1 - k0) * w.taps * size + 63, 64):
                fetch(src + q)


cdef inline void prepare_panel(const Work* w, Py_ssize_t group, Py_ssize_t panel, char* to) noexcept nogil:
    if w.b.size == 4 and w.fused:
        pack_weights(w, <vf*> NULL, group, panel, to)
    elif w.b.size == 4:
        transform_weights(w, <vf*> NULL, group, panel, 0, w.planes, to, u_step(w.planes))
    elif w.fused:
        pack_weights(w, <vd*> NULL, group, panel, to)
    else:
        transform_weights(w, <vd*> NULL, group, panel, 0, w.planes, to, u_step(w.planes))
