"""A contender in a process of its own, which stands still except for its turns.

ONNX Runtime's idle threads go on looking for work for a tenth of a second and more after each call, on a core that whoever
comes next would have used: on two cores the next contender's time doubles. So its session lives in a child process. The
parent wakes it for a turn and stops it afterwards; the clock is the child's. It is the parent's child in a process group
of its own: Ctrl-C does not reach it, and should the parent be killed, the system ends it, stopped or not (setpgid(2)).
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
import weakref


class Apart:
    """A function in another process: called, it returns what `session.run` of an ONNX model returns for `inputs`.

    RuntimeError if the child cannot make the session, or the call fails there.
    """

    def __init__(self, model, inputs, threads):
        command = [sys.executable, "-P", __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
        self.close = weakref.finalize(self, _end, self._process)  # also when nobody holds it any longer, and at exit
        self._ask((model, inputs, threads))

    def __call__(self):
        return self._ask(0)

    def repeated(self, times):
        """Seconds of one call, the mean of `times` of them."""
        return self._ask(times)

    def _ask(self, request):
        self._process.send_signal(signal.SIGCONT)
        try:
            pickle.dump(request, self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            answer = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError):
            raise RuntimeError("its process has ended") from None
        self._process.send_signal(signal.SIGSTOP)
        if self._process.returncode is None:  # else it has ended since it answered, and is no child any longer
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # until all of its threads stand still
        if isinstance(answer, str):
            raise RuntimeError(answer)  # noqa: TRY004 (not a wrong argument)
        return answer


def _end(process):
    process.kill()  # reaches a stopped process, too
    process.wait()
    with contextlib.suppress(BrokenPipeError):  # what it did not read
        process.stdin.close()
    process.stdout.close()


def _child(requests, answers):
    """Answers a request for 0 calls by the results of one, else by the seconds that one of so many takes."""

    def answer(value):
        pickle.dump(value, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()

    try:
        import onnxruntime

        model, inputs, threads = pickle.load(requests)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        answer(True)
        while True:
            times = pickle.load(requests)
            if times == 0:
                answer(session.run(None, inputs))
                continue
            begin = time.perf_counter()
            for _ in range(times):
                session.run(None, inputs)
            answer((time.perf_counter() - begin) / times)
    except EOFError:  # the parent is done
        pass
    except Exception as error:  # its exception classes are private
        answer(str(error) or repr(error))


if __name__ == "__main__":
    _child(sys.stdin.buffer, sys.stdout.buffer)
