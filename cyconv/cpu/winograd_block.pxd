"""One block of tiles of winograd: V, then M panel by panel or frequency by frequency, then outputs; by one thread, or by
threads that share its panels or frequencies.
"""
from cyconv.cpu.shuffle cimport lanes
from cyconv.cpu.simd cimport vd, vf
from cyconv.cpu.tile cimport AHEAD, TILE_ROWS, ceil_div, cut, tile
from cyconv.cpu.winograd_few cimport multiply_few, take_factors
from cyconv.cpu.winograd_input cimport fill_index, transform_input
from cyconv.cpu.winograd_output cimport own_places, transform_output
from cyconv.cpu.winograd_transforms cimport number
from cyconv.cpu.winograd_weights cimport ask_weights, prepare_panel, transform_weights
from cyconv.cpu.winograd_work cimport FAR_V_BYTES, PANEL, Ready, Segment, Work, u_step
from libc.string cimport memset


cdef inline void multiply(const Work* w, const lanes* like, Py_ssize_t tiles, Py_ssize_t k0, Py_ssize_t k1, bint begins, const char* v,
                   const char* u, const char* next, Py_ssize_t each, char* m) noexcept nogil:
    """One frequency of M (+)= U V, planes k0 to k1 of V, which may begin the sums. What lies at `next`, so many bytes for each
    plane, is asked for meanwhile; or, if that is NULL, the U soon needed."""
    cdef lanes[2] zero
    cdef Py_ssize_t s, first, count = ceil_div(tiles, TILE_ROWS), hop = PANEL, on = 0
    zero[0] = zero[1] = number(0, like)
    if next == NULL:
        next = u + AHEAD
    else:
        hop = each // count
        on = hop * (k1 - k0)
    for s in range(count):
        first = cut(tiles, s, count)
        tile(<int> (cut(tiles, s + 1, count) - first), like, k1 - k0, v + first * w.b.size, w.offset + k0, u,
             <const char*> &zero if begins else NULL, m + first * PANEL, next, hop)
        next += on


cdef inline void do_panel(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t last,
                          Py_ssize_t c0, Py_ssize_t c1, Py_ssize_t tiles, const char* v, char* m, char* scratch) noexcept nogil:
    """The products of one panel of channels and planes c0 to c1, which V has; with the last plane, outputs."""
    cdef Py_ssize_t f, k = c0, past, step = u_step(w.planes)
    cdef const char* u = (scratch + w.at_u if w.own else w.weight) + (group * w.panels + panel) * w.frequencies * step
    cdef const char* next
    if w.few:
        if w.straight and not w.past:
            own_places(w, group, panel, first, last, 0, 1)
        multiply_few(w, like, group, panel, tiles, v, scratch + w.at_u, m)
        transform_output(w, like, group, panel, first, last, m, scratch + w.at_sums, scratch + w.at_put)
        return
    while k < c1:
        past = min(k + w.piece, c1)
        if w.fused:
            step = u_step(past - k)
            u = scratch + w.at_u
            transform_weights(w, like, group, panel, k, past, scratch + w.at_u, step)
        for f in range(w.frequencies):
            if w.straight and not w.past and past == w.planes:
                own_places(w, group, panel, first, last, f, w.frequencies)
            if w.fused and past < c1:
                ask_weights(w, group, panel, past, min(past + w.piece, c1), f, w.frequencies)
            elif w.fused and panel + 1 < w.panels:
                ask_weights(w, group, panel + 1, c0, min(c0 + w.piece, c1), f, w.frequencies)
            next = NULL
            if w.fused and w.frequencies * w.v_step >= FAR_V_BYTES:      # what of V stood in a cache, other panels have driven out
                next = v + (f + 1) * w.v_step + (k - c0) * w.pitch * w.b.size
            multiply(w, like, tiles, k - c0, past - c0, k == 0, v + f * w.v_step, u + f * step, next, w.pitch * w.b.size, m + f * w.m_step)
        k = past
    if c1 == w.planes:
        transform_output(w, like, group, panel, first, last, m, scratch + w.at_sums, scratch + w.at_put)


cdef inline void do_frequency(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t f, Py_ssize_t first, Py_ssize_t last,
                       Py_ssize_t tiles, const char* v, char* m) noexcept nogil:
    """One frequency of all panels' M: its part of V is read once, and each panel's U."""
    cdef Py_ssize_t panel, step = u_step(w.planes), hop = w.frequencies * step
    cdef const char* u = w.weight + group * w.panels * hop + f * step
    for panel in range(w.panels):
        if w.straight and not w.past:
            own_places(w, group, panel, first, last, f, w.frequencies)
        multiply(w, like, tiles, 0, w.planes, True, v + f * w.v_step, u + panel * hop,
                 u + (panel + 1) * hop if panel + 1 < w.panels else u + step if f + 1 < w.frequencies else u, PANEL,
                 m + (panel * w.frequencies + f) * w.m_step)


cdef inline Py_ssize_t first_segment(const Work* w, Py_ssize_t item) noexcept nogil:
    return cut(w.segments, item % w.blocks, w.blocks)


cdef inline Py_ssize_t past_segment(const Work* w, Py_ssize_t item) noexcept nogil:
    return cut(w.segments, item % w.blocks + 1, w.blocks)


cdef inline void do_some_panel(const Work* w, Py_ssize_t item, Py_ssize_t panel, Py_ssize_t c0, Py_ssize_t c1, Py_ssize_t tiles, char* m,
                               char* scratch) noexcept nogil:
    cdef Py_ssize_t group = item // w.blocks, first = first_segment(w, item), last = past_segment(w, item)
    if w.b.size == 4:
        do_panel(w, <vf*> NULL, group, panel, first, last, c0, c1, tiles, scratch, m, scratch)
    else:
        do_panel(w, <vd*> NULL, group, panel, first, last, c0, c1, tiles, scratch, m, scratch)


cdef inline void do_some_frequency(const Work* w, Py_ssize_t item, Py_ssize_t f, Py_ssize_t tiles, const char* v, char* m) noexcept nogil:
    cdef Py_ssize_t group = item // w.blocks, first = first_segment(w, item), last = past_segment(w, item)
    if w.b.size == 4:
        do_frequency(w, <vf*> NULL, group, f, first, last, tiles, v, m)
    else:
        do_frequency(w, <vd*> NULL, group, f, first, last, tiles, v, m)


cdef inline void do_output(const Work* w, Py_ssize_t item, Py_ssize_t panel, const char* shared, char* scratch) noexcept nogil:
    """The outputs of one panel, from the M of all."""
    cdef Py_ssize_t group = item // w.blocks, first = first_segment(w, item), last = past_segment(w, item)
    cdef const char* m = shared + w.at_m + panel * w.frequencies * w.m_step
    if w.b.size == 4:
        transform_output(w, <vf*> NULL, group, panel, first, last, m, scratch + w.at_sums, scratch + w.at_put)
    else:
        transform_output(w, <vd*> NULL, group, panel, first, last, m, scratch + w.at_sums, scratch + w.at_put)


cdef inline void open_block(const Work* w, Py_ssize_t item, char* scratch) noexcept nogil:
    """V of a block, or of its first chunk; before a thread's first one, also U, where each has its own."""
    cdef Ready* ready = <Ready*> (scratch + w.at_ready)
    cdef Segment* list = <Segment*> (scratch + w.at_list)
    cdef Py_ssize_t k, first = first_segment(w, item), last = past_segment(w, item)
    if w.own and not ready.weights:
        for k in range(w.panels):
            prepare_panel(w, 0, k, scratch + w.at_u + k * w.frequencies * u_step(w.planes))
        ready.weights = True
    ready.tiles = fill_index(w, first, last, scratch + w.at_index, list)
    memset(scratch + w.at_lines, 0, 2 * w.ny * w.line)  # padding, which is not written again; and slots that are no tiles: zeros are cheap
    transform_input(w, item // w.blocks, 0, cut(w.planes, 1, w.chunks), list, last - first, scratch + w.at_index, scratch + w.at_lines, scratch)
    if w.few:
        if w.b.size == 4:
            take_factors(w, <vf*> NULL, scratch)
        else:
            take_factors(w, <vd*> NULL, scratch)


cdef inline void do_chunks(const Work* w, Py_ssize_t item, Py_ssize_t first_panel, Py_ssize_t last_panel, char* scratch) noexcept nogil:
    """Some panels of a block, whose planes come chunk by chunk."""
    cdef const Ready* ready = <const Ready*> (scratch + w.at_ready)
    cdef const Segment* list = <const Segment*> (scratch + w.at_list)
    cdef Py_ssize_t chunk, k, c0, c1
    for chunk in range(w.chunks):
        c0, c1 = cut(w.planes, chunk, w.chunks), cut(w.planes, chunk + 1, w.chunks)
        if chunk == 0:
            open_block(w, item, scratch)
        else:
            transform_input(w, item // w.blocks, c0, c1, list, past_segment(w, item) - first_segment(w, item), scratch + w.at_index,
                            scratch + w.at_lines, scratch)
        for k in range(first_panel, last_panel):
            do_some_panel(w, item, k, c0, c1, ready.tiles, scratch + w.at_m + k * w.frequencies * w.m_step, scratch)


cdef inline void do_block(const Work* w, Py_ssize_t item, char* scratch) noexcept nogil:
    cdef const Ready* ready = <const Ready*> (scratch + w.at_ready)
    cdef Py_ssize_t k
    if w.chunks > 1:
        do_chunks(w, item, 0, w.panels, scratch)
        return
    open_block(w, item, scratch)
    if w.by_panel:
        for k in range(w.panels):
            do_some_panel(w, item, k, 0, w.planes, ready.tiles, scratch + w.at_m, scratch)
        return
    for k in range(w.frequencies):
        do_some_frequency(w, item, k, ready.tiles, scratch, scratch + w.at_m)
    for k in range(w.panels):
        do_output(w, item, k, scratch, scratch)


cdef struct Shared:                     # a block that threads share
    const Work* w
    Py_ssize_t item
    int parts                           # runs of panels, where planes come in chunks
    char* at                            # M of all panels, where it is computed by frequencies


cdef inline Py_ssize_t tiles_of_shared(const Shared* block, char* scratch) noexcept nogil:
    """Each thread has a V of its own: transforming takes less time than getting half of it from another core's cache."""
    cdef const Ready* ready = <const Ready*> (scratch + block.w.at_ready)
    if not ready.tiles:
        open_block(block.w, block.item, scratch)
    return ready.tiles


cdef inline void share_panel(const Shared* block, Py_ssize_t k, char* scratch) noexcept nogil:
    do_some_panel(block.w, block.item, k, 0, block.w.planes, tiles_of_shared(block, scratch), scratch + block.w.at_m, scratch)


cdef inline void share_chunks(const Shared* block, Py_ssize_t k, char* scratch) noexcept nogil:
    do_chunks(block.w, block.item, cut(block.w.panels, k, block.parts), cut(block.w.panels, k + 1, block.parts), scratch)


cdef inline void share_frequency(const Shared* block, Py_ssize_t k, char* scratch) noexcept nogil:
    do_some_frequency(block.w, block.item, k, tiles_of_shared(block, scratch), scratch, block.at + block.w.at_m)


cdef inline void share_output(const Shared* block, Py_ssize_t k, char* scratch) noexcept nogil:
    do_output(block.w, block.item, k, block.at, scratch)
