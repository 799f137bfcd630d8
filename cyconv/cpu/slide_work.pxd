"""The work of `sliding`: what is known before a thread begins, and what each thread works with."""
from libc.stdint cimport int64_t

from cyconv.cpu.pool_divide cimport Divisors
from cyconv.cpu.pool_work cimport Axis, How, Kind, Stored

cdef enum:
    MOST_WAITING = 16                   # rows of results, at most, that wait to be turned
    AHEAD = 4096                        # bytes by which what is read, and what is written, is asked for ahead: 1.3 to 1.9 times as fast from memory
    SOON = 1024                         # the same, where what is written is many rows at once

cdef enum Lanes:                        # what a vector holds
    FLOATS, DOUBLES, INTS_8, INTS_16, INTS_32, INTS_64

cdef enum Border:
    NOTHING, CONSTANT, NEAREST, REFLECT, MIRROR, WRAP

cdef struct Work:
    Kind kind
    How how                             # PEAK or ADD
    Lanes lanes
    Stored stored
    Py_ssize_t stored_size, size        # bytes of a number in the caller's arrays, and of a lane
    Py_ssize_t line_size                # and in a line: half of a lane, if `narrow`:
    bint narrow                         # whether single precision becomes double where it is summed, not where it is fetched
    Py_ssize_t parts                    # 2 for complex: real and imaginary parts are planes of their own
    Axis[3] axis
    Py_ssize_t channels                 # parts counted apart
    Py_ssize_t batch, channel_step, batch_step
    const char* input
    const char* behind                  # where the caller's array has ended
    char* out
    int64_t* indices
    # Numbers of any format, which begin where one of 8 bytes may:
    char[64] bits                       # of each lane: these are turned, if `turned`
    char[8] lowest                      # what padding holds, and
    char[64] outside                    # a vector of it, its bits not turned
    char[8] cval                        # what lies beyond the input with CONSTANT, as in a line
    bint with_indices
    bint plain                          # whether lanes are the caller's numbers, but for turned bits
    bint straight                       # whether results are, too, one beside the other
    bint as_stored                      # whether lines are the caller's numbers as they are
    bint turned                         # whether bits are turned
    bint sparse                         # whether windows are fetched tap by tap, without the columns in between
    bint pairs                          # whether every second window is taken as its columns are read
    bint parted                         # whether windows are at every third or fourth column and do not overlap, and are found without indices
    bint squares                        # whether windows are 2x2 with stride 2 and without padding
    bint cubes                          # whether they are 2x2x2 with stride 2 and without padding, and found without indices
    bint threes                         # whether they are 3x3 with stride 1 or 2, and maxima or averages of floats
    bint bordered                       # whether something that counts lies beyond the input:
    Border[3] border                    # along each axis; its rows and planes are axis.n, with what lies beyond,
    Py_ssize_t[2] real, before          # and so many of them exist, after so many that do not
    bint[2] blocks                      # whether windows of planes, and of rows, are joined from blocks
    Py_ssize_t[3] outputs, pieces       # along each axis: of one item, and how many items
    Py_ssize_t line_bytes, work_bytes, row_bytes    # of one line, of lanes for it, and of one row of outputs
    Axis columns                        # axis[2] before, where
    Py_ssize_t flat                     # so many channels are columns beside each other (else 1), whose planes results belong to,
    Py_ssize_t flat_bytes, flat_rows    # after so many rows of so many bytes
    bint on_lanes                       # whether windows are joined where channels are neighbours, else
    Py_ssize_t together                 # planes that an item works on, one after the other, from a box
    Py_ssize_t box_row, box_plane, box_bytes
    Py_ssize_t[2] slots                 # planes, and rows, that are kept
    Py_ssize_t[2] apart                 # bytes from those to their places, if these are kept too, else 0
    Divisors divisors
    int rank                            # of the caller's array, as are spatial axes
    int spatial
    double seconds                      # predicted, on one thread

cdef struct Room:                       # of one thread, with the item at hand
    const char* plane
    Py_ssize_t[3] step                  # bytes between neighbours along each axis
    bint readable                       # whether rows are lines as they lie
    const char* behind                  # where the array that they lie in has ended
    Py_ssize_t index                    # of the plane, counted through batch and channels
    Py_ssize_t left                     # the first column of results
    Py_ssize_t z                        # the plane of a volume that rows are made of
    Py_ssize_t oz                       # its output, where windows are one plane deep
    Py_ssize_t[3] begin
    Py_ssize_t[3] end                   # outputs
    Py_ssize_t before, first, columns, after    # padding before the first column that is read, this column, columns, and padding after
    bint whole                          # whether there is no padding
    Py_ssize_t ahead_in, ahead_out      # bytes between what is read, and what is written, and what is asked for meanwhile
    bint alike                          # whether rows of results are floats and sums divided by one number each
    char* box
    char* line                          # a row with its padding
    char* constant                      # the same of a row that does not exist
    char* work
    char* sums
    char* result
    char* flat                          # rows of results, if w.flat > 1,
    int waiting                         # of which so many
    char* goal[MOST_WAITING]            # belong there, and their next channels a plane further on
    char* places
    char* ring[2]
    char* opening[2]                    # the beginning of the next block
