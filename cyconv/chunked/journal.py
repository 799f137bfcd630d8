"""What is finished of a long computation, in a file that outlives the process.

The first line tells what is computed, and how it is cut into parts. Each further one is a part that lies in the result for good: its
number and a sum of its bytes. A line that a dying process left unfinished has no right checksum, and ends what is believed; a part whose
bytes are not those of its line any more (the result was made anew, say) is computed again.
"""

import json
import os
import zlib

import numpy as np

MAGIC = b"cyconv progress 1 "


class Journal:
    """Opened, locked and read; `done` are the sums of finished parts by number, `head` what the first line said or now says."""

    def __init__(self, path, head, resume):
        self.path, self.done, self._pending = os.fspath(path), {}, []
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._lock()
            self.head = self._found(head, resume)
            if self.head is None:
                self.head = head
                self._start()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _lock(self):
        try:
            import fcntl
        except ImportError:  # not on this system
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"journal {self.path!r} is in use: another process writes the same result") from None
        except OSError:  # a file system without locks
            pass

    def _found(self, head, resume):
        """What an earlier process left, or None if that is nothing."""
        with open(self.path, "rb") as file:
            first, *lines = file.read().split(b"\n")
        if not first.startswith(MAGIC) and not MAGIC.startswith(first):
            raise ValueError(f"journal {self.path!r} is a file that convolve_blockwise did not write")
        text, _, check = first[len(MAGIC) :].rpartition(b" ")
        if not resume or not lines or check != b"%08x" % zlib.crc32(text):
            return None
        found = json.loads(text)
        for key, what in (("call", "of another call (other arrays, arguments, algorithm or version of cyconv)"), ("input", "older than input, which has changed")):
            if found[key] != head[key]:
                raise ValueError(f"journal {self.path!r} is {what}: resume=False starts over, as removing the file does")
        self._salt = zlib.crc32(text)
        good = len(first) + 1
        for line in lines:
            try:
                number, total, _ = (int(word, 16) for word in line.split())
            except ValueError:
                break
            if self._line(number, total) != line + b"\n":
                break
            self.done[number] = total
            good += len(line) + 1
        os.ftruncate(self._descriptor, good)
        os.lseek(self._descriptor, good, os.SEEK_SET)
        return found

    def _start(self):
        text = json.dumps(self.head).encode()
        self._salt = zlib.crc32(text)
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._append(MAGIC + text + b" %08x\n" % self._salt)

    def _line(self, number, total):
        text = b"%016x %016x" % (number, total)
        return text + b" %08x\n" % zlib.crc32(text, self._salt)

    def _append(self, data):
        os.write(self._descriptor, data)
        os.fsync(self._descriptor)

    def note(self, number, total):
        """Remembers a part, to be written down when the result has been synchronised."""
        self._pending.append(self._line(number, total))

    def write_down(self):
        pending, self._pending = self._pending, []
        if pending:
            self._append(b"".join(pending))

    def close(self, remove):
        if remove:
            os.remove(self.path)
        os.close(self._descriptor)


def sum_of(values):
    """A number that other bytes hardly have: the sum of the array's words."""
    data = values.reshape(-1).view(np.uint8)
    words = data.size // 8 * 8
    return (int(np.add.reduce(data[:words].view(np.uint64))) + int.from_bytes(data[words:].tobytes(), "little")) % 2**64
