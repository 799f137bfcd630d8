"""dask.distributed: two processes that talk over sockets give the same bits as none, share threads, and lose nothing if one is killed."""

import contextlib
import os
import pickle
import signal
import time

import numpy as np
import pytest
from chunkings import same

import cyconv
from cyconv.chunked import graph
from cyconv.threads import available_cpus

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

# What distributed itself leaves open when processes come and go
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed")]

RNG = np.random.default_rng(0)
IMAGE, VOLUME = RNG.standard_normal((3, 6, 160, 170)).astype(np.float32), RNG.standard_normal((40, 41, 42)).astype(np.float32)


@contextlib.contextmanager
def two_processes(folder, threads, **environment):
    """A client of two; what a cluster sets in this process's environment for those that it starts is gone afterwards."""
    cyconv.get_num_threads()  # which looks at it once
    before = dict(os.environ)
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=threads, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit=0,
        local_directory=str(folder), env=environment,
    )  # fmt: skip
    try:
        with cluster, distributed.Client(cluster) as client:
            yield client
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with two_processes(tmp_path_factory.mktemp("workers"), 1) as client:
        yield client


def results(chunks_of_image, chunks_of_volume):
    """One of each kind, lazily; random numbers too."""
    x, v = da.from_array(IMAGE, chunks=chunks_of_image), da.from_array(VOLUME, chunks=chunks_of_volume)
    weight = np.random.default_rng(1).standard_normal((5, 6, 3, 3)).astype(np.float32)
    y = cyconv.conv2d(x, weight, padding=1, padding_mode="reflect")
    found = cyconv.functional.batch_norm(y, None, None, training=True)
    return [
        cyconv.max_pool2d(cyconv.relu(found), 2),
        cyconv.conv_transpose2d(x, weight.transpose(1, 0, 2, 3)[:, :2], stride=2),
        cyconv.softmax(x, 1),
        cyconv.dropout(x, 0.5, seed=3),
        cyconv.signal.correlate(v, np.ones((3, 4, 5), np.float32), mode="same"),
        cyconv.cross_entropy(x, da.zeros(x[:, 0].shape, dtype=int, chunks=50), reduction="sum"),
    ]


def test_two_processes_give_the_bits_of_one(client):
    there = client.gather(client.compute(results((2, 4, 80, 90), (20, 20, 42))))
    with dask.config.set(scheduler="synchronous"):
        here = dask.compute(*results(-1, -1))
    assert all(same(np.asarray(a), np.asarray(b)) for a, b in zip(there, here))


def test_work_is_done_in_both_processes(client):
    """On real sockets: pieces of chunks go from one process to the other."""
    x = da.random.default_rng(0).random((1, 1, 400, 400), chunks=(1, 1, 50, 50), dtype=np.float32)
    client.compute(cyconv.conv2d(x, np.ones((1, 1, 5, 5), np.float32))).result()
    addresses = client.scheduler_info()["workers"]
    assert len(addresses) == 2 and all(address.startswith("tcp://127.0.0.1:") for address in addresses)
    received = client.run(lambda dask_worker: len(dask_worker.transfer_incoming_log))
    assert all(received.values())


def threads_of_tasks(client):
    """Of each worker: threads that a task uses, and tasks that it runs at once."""

    def counted():
        from cyconv.chunked.graph import few_threads

        with few_threads():
            return cyconv.get_num_threads(), distributed.get_worker().state.nthreads

    return [client.submit(counted, workers=[address], pure=False).result(timeout=30) for address in client.scheduler_info()["workers"]]


def test_processes_of_one_thread_use_one(client):
    """Those of OpenMP count: all together no more than there are processors, but for one each."""
    found = threads_of_tasks(client)
    assert sum(threads * tasks for threads, tasks in found) <= max(available_cpus(), len(found)) and all(tasks == 1 for _, tasks in found)


def test_tasks_of_a_process_share_the_threads_that_it_is_allowed(tmp_path):
    with two_processes(tmp_path, 2, CYCONV_NUM_THREADS="6") as client:
        assert threads_of_tasks(client) == [(3, 2), (3, 2)]


def test_a_killed_process_loses_nothing(client):
    def slowly(chunk):
        time.sleep(0.03)
        return chunk

    x = da.from_array(IMAGE, chunks=(1, 6, 40, 40)).map_blocks(slowly, dtype=np.float32)
    weight = np.random.default_rng(1).standard_normal((5, 6, 3, 3)).astype(np.float32)
    result = cyconv.avg_pool2d(cyconv.conv2d(x, weight, padding=1), 2)
    before = client.run(os.getpid)
    victim = min(before)
    future = client.compute(result)
    deadline = time.monotonic() + 20
    while len(client.has_what()[victim]) < 10:
        assert time.monotonic() < deadline and not future.done()
        time.sleep(0.01)
    os.kill(before[victim], signal.SIGKILL)
    there = future.result(timeout=60)
    client.wait_for_workers(2, timeout=30)
    after = client.run(os.getpid)
    assert before[victim] not in after.values() and len(after) == 2
    with dask.config.set(scheduler="synchronous"):
        here = cyconv.avg_pool2d(cyconv.conv2d(da.from_array(IMAGE, chunks=-1), weight, padding=1), 2).compute()
    assert same(there, here)


# ---- graphs ----------------------------------------------------------------------------------------------------------------------


def test_graphs_travel_and_hold_a_weight_once():
    weight = np.ones((64, 6, 9, 9), np.float32)
    x = da.zeros((1, 6, 2000, 2000), chunks=(1, 6, 400, 400), dtype=np.float32)
    graph = dict(cyconv.conv2d(x, weight).__dask_graph__())
    assert len(graph) > 50
    assert weight.nbytes < sum(len(pickle.dumps(task)) for task in graph.values()) < 2 * weight.nbytes


def test_every_graph_travels():
    for result in results((2, 4, 80, 90), (20, 20, 42)):
        graph = dict(result.__dask_graph__())
        assert pickle.loads(pickle.dumps(graph)).keys() == graph.keys()


def test_many_chunks_take_little_time_to_arrange():
    x = da.zeros((1, 1, 51200, 25600), chunks=(1, 1, 512, 512), dtype=np.float32)
    started = time.process_time()
    result = cyconv.conv2d(x, np.ones((1, 1, 3, 3), np.float32), padding=1)
    assert result.npartitions == 5000
    assert time.process_time() - started < 10  # one second on an idle machine


def test_workers_of_one_process_share_its_threads(monkeypatch):
    found, computed = set(), graph.Part.computed

    def recorded(self, *arguments):
        found.add(cyconv.get_num_threads())
        return computed(self, *arguments)

    monkeypatch.setattr(graph.Part, "computed", recorded)
    before = cyconv.get_num_threads()
    cyconv.set_num_threads(6)
    try:
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
            distributed.Client(cluster),
        ):
            cyconv.conv2d(da.ones((1, 900, 900), chunks=(1, 300, 300)), np.ones((1, 1, 3, 3))).sum().compute()
    finally:
        cyconv.set_num_threads(before)
    assert found == {3}
