"""Rows where they lie, read by vectors: what is padding in these is put in while they are loaded, and nothing else is touched."""
from cyconv.cpu.simd cimport VB
from cyconv.cpu.slide_vectors cimport load_within, pooled, sd, widened, widened_within
from cyconv.cpu.slide_work cimport Room, Work

cdef struct Span:
    Py_ssize_t size                     # bytes of a number, as it is computed with
    Py_ssize_t low, high                # the bytes that exist
    Py_ssize_t bytes                    # of results
    Py_ssize_t ahead                    # where what is read next lies
    const char* bits                    # to turn
    const char* outside                 # a vector of padding, its bits not turned


cdef inline pooled load(const char* p, const pooled* like) noexcept nogil:
    return (<const pooled*> p)[0]

cdef inline void store(char* p, pooled v) noexcept nogil:
    (<pooled*> p)[0] = v

cdef inline void open_span(Span* s, const Work* w, const Room* r) noexcept nogil:
    """Of rows that begin where the padding before them would."""
    s.size, s.low, s.high = w.size, r.before * w.line_size, (r.before + r.columns) * w.line_size
    s.bytes = (r.end[2] - r.begin[2]) * w.size
    s.ahead = r.ahead_in
    s.bits, s.outside = w.bits, w.outside

cdef inline pooled load_inside(const char* line, Py_ssize_t at, const Span* s, const pooled* like) noexcept nogil:
    cdef Py_ssize_t last = min(max(s.high - at, 0), VB), first = min(max(s.low - at, 0), last)
    return load_within(line + at, first, last, load(s.outside, like))

cdef inline pooled take(const char* line, Py_ssize_t at, const Span* s, bint narrow, const pooled* like) noexcept nogil:
    """The vector at byte `at`, or twice as many bytes of one if they are single precision; as it lies, but for padding."""
    cdef Py_ssize_t last, first
    if pooled is sd:
        if narrow:
            if s.low <= at and at + VB // 2 <= s.high:
                return widened(line + at)
            last = min(max(s.high - at, 0), VB // 2)
            first = min(max(s.low - at, 0), last)
            return widened_within(line + at, first, last)
    if s.low <= at and at + VB <= s.high:
        return load(line + at, like)
    return load_inside(line, at, s, like)
