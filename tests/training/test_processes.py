"""Other processes: forks, pools, pytest-xdist and the environment give the bits of a plain fit, and nothing hangs."""

import multiprocessing
import os
import sys
import threading
import time

import deadline
import pytest
import work

import pyneuro as pn
from pyneuro import optim

# What has no meaning on a system is not collected there: a fork, and the affinity of a process.
FORKS = hasattr(os, "fork") and sys.platform != "darwin"
POOLS = ["fork", "spawn"] if FORKS else ["spawn"]


@pytest.fixture(autouse=True)
def threads_put_back():
    before = pn.get_num_threads()
    yield
    pn.set_num_threads(before)


@pytest.fixture(scope="module")
def plain():
    """Digests of a fit and of products in teaching mode in this process."""
    return work.train(), work.eager()


class Training(threading.Thread):
    """A fit in another thread that goes on until it is told to end."""

    def __init__(self):
        super().__init__()
        self.net, self.ended, self.started = work.net(), False, threading.Event()

    def run(self):
        training = self

        class Watch(pn.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                training.started.set()
                self.model.stop_training = training.ended

        x, y = work.data()
        self.net.fit(x, y, epochs=10**6, batch_size=80, seed=1, verbose=0, callbacks=[Watch()])

    def __enter__(self):
        self.start()
        assert self.started.wait(30)
        return self

    def __exit__(self, *exception):
        self.ended = True
        self.join(30)
        assert not self.is_alive()


if FORKS:

    def test_fork_after_a_fit(plain):
        """The threads of the parent are gone in the child, which starts its own; and so on in its child."""
        assert work.train() == plain[0]
        assert deadline.forked(lambda: (work.train(), work.eager()) == plain)
        assert deadline.forked(lambda: deadline.forked(lambda: work.train() == plain[0]))
        assert work.train() == plain[0]

    def test_fork_during_a_fit_in_another_thread(plain):
        """At many moments of a step; the parent's training goes on meanwhile."""
        with Training() as training:
            for _ in range(10):
                time.sleep(0.003)
                assert deadline.forked(lambda: (work.train(), work.eager()) == plain)
            assert training.is_alive()
        assert work.train() == plain[0]

    def test_fork_inside_a_callback(plain):
        """The child goes on with the very fit that the parent is in; both end with the same bits."""
        parent, inside = os.getpid(), []

        class Fork(pn.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 1:
                    inside.append(os.fork())

        x, y = work.data()
        net = work.net()
        try:
            net.fit(x, y, optimizer=optim.SGD(lr=0.01), epochs=4, batch_size=80, seed=1, verbose=0, callbacks=[Fork()])
            whole = work.net()
            whole.fit(x, y, optimizer=optim.SGD(lr=0.01), epochs=4, batch_size=80, seed=1, verbose=0)
            same = work.digest(net, x) == work.digest(whole, x)
        finally:
            if os.getpid() != parent:
                os._exit(0 if same else 1)
        assert same
        assert os.waitpid(inside[0], 0)[1] == 0

    def test_a_fit_of_its_own_in_a_child_forked_by_a_callback(plain):
        """The child may train, and load into, the very network that the parent is training; the parent goes on."""
        good, x_y = [], work.data()

        class Fork(pn.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                good.append(deadline.forked(lambda: self.train_anew()))

            def train_anew(self):
                self.model.load_state_dict(work.net().state_dict())
                return work.train(made=self.model) == plain[0]

        net, whole = work.net(), work.net()
        net.fit(*x_y, optimizer=optim.SGD(lr=0.01), epochs=2, batch_size=80, seed=1, verbose=0, callbacks=[Fork()])
        assert good == [True, True]
        whole.fit(*x_y, optimizer=optim.SGD(lr=0.01), epochs=2, batch_size=80, seed=1, verbose=0)
        assert work.digest(net, x_y[0]) == work.digest(whole, x_y[0])


@pytest.mark.parametrize("method", POOLS)
def test_pools_of_multiprocessing(method, plain):
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map_async(work.train, range(4)).get(60) == [plain[0]] * 4
        assert pool.map_async(work.eager, range(4)).get(60) == [plain[1]] * 4


def test_loky(plain):
    """The pool of scikit-learn's n_jobs. Functions travel by name, so workers find them on their path."""
    code = (
        "import work; from loky import get_reusable_executor\n"
        "if __name__ == '__main__':\n"
        "    work.train()\n"
        "    pool = get_reusable_executor(max_workers=2)\n"
        "    print(*pool.map(work.train, range(4), timeout=60)); pool.shutdown(kill_workers=True)"
    )
    assert deadline.python(code).split() == [plain[0]] * 4


def test_a_network_travels_to_a_pool():
    """Pickled with its weights, and trained there to the same bits as here."""
    x, y = work.data()
    net = work.net()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply_async(train_given, (net, x, y)).get(60)
    assert work.digest(there, x) == work.digest(train_given(net, x, y), x)


def train_given(net, x, y):
    """The network after one epoch."""
    net.fit(x, y, optimizer=optim.Momentum(lr=0.01), epochs=1, batch_size=80, seed=3, verbose=0)
    return net


def test_pytest_xdist(tmp_path, plain):
    """Two workers, each with two of the four tests. Plugins that happen to be installed stay outside."""
    text = (
        "import os, pathlib, pytest, work\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        f"def test_bits(number):\n    assert work.train(number) == {plain[0]!r}\n"
        "    pathlib.Path(os.environ['PYTEST_XDIST_WORKER']).touch()\n"
    )
    (tmp_path / "test_tiny.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ["-q", "-p", "xdist", "-n", "2", "-p", "no:cacheprovider"]
    output = deadline.run("-m", "pytest", *options, "test_tiny.py", cwd=tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD=1)
    assert "4 passed" in output
    assert sorted(path.name for path in tmp_path.glob("gw*")) == ["gw0", "gw1"]


# ---- the environment ----

COUNT = "import pyneuro as pn; print(pn.get_num_threads())"
BITS = "import work; print(work.train(threads=0))"


def test_number_of_threads_from_the_environment():
    assert deadline.python(COUNT, PYNEURO_NUM_THREADS=3, OMP_NUM_THREADS=5) == "3"
    assert deadline.python(COUNT, OMP_NUM_THREADS="5,2") == "5"
    available = str(pn.cpu()["cores"])
    assert deadline.python(COUNT) == available
    for nonsense in ("", "many", "0", "-4"):
        assert deadline.python(COUNT, PYNEURO_NUM_THREADS=nonsense, PYTHONWARNINGS="ignore") == available
    assert deadline.python(COUNT, PYNEURO_NUM_THREADS=10**6) == "64"


CPU = "import pyneuro as pn; print(pn.cpu()['isa'], pn.get_num_threads())"


@pytest.mark.parametrize("isa", ["foo", "AVX2", "avx-2", "neon" if "neon" not in pn.cpu()["available"] else "avx2"])
def test_an_instruction_set_that_cannot_be_had_is_named_at_import(isa):
    """A benchmark with a misspelt level would measure another one without a word."""
    said = deadline.python(CPU, PYNEURO_ISA=isa, PYNEURO_NUM_THREADS=1)
    best = deadline.python(CPU, PYNEURO_ISA="", PYNEURO_NUM_THREADS=1)
    levels = ", ".join(pn.cpu()["available"])
    assert f"RuntimeWarning: PYNEURO_ISA is '{isa}', expected one of {levels} on this machine" in said
    assert f"{best.split()[0]} is used" in said and said.splitlines()[-1] == best


@pytest.mark.parametrize("count", ["abc", "0", "-4", "1.5", "4x"])
def test_a_number_of_threads_that_is_none_is_named_at_import(count):
    said = deadline.python(CPU, PYNEURO_NUM_THREADS=count)
    assert f"RuntimeWarning: PYNEURO_NUM_THREADS is '{count}', expected a whole number of at least 1" in said
    assert f"{said.split()[-1]} is used" in said


def test_sensible_environments_import_without_a_word():
    for isa in pn.cpu()["available"]:
        assert deadline.python(CPU, PYNEURO_ISA=isa, PYNEURO_NUM_THREADS=2) == f"{isa} 2"


def test_bits_do_not_depend_on_the_environment(plain):
    assert deadline.python(BITS, PYNEURO_NUM_THREADS=1) == plain[0]
    assert deadline.python(BITS, OMP_NUM_THREADS=3) == plain[0]


if hasattr(os, "sched_setaffinity"):

    def test_one_cpu(plain):
        """A process that may use one CPU takes one thread; four threads there end too, with the same bits."""
        bind = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
        assert deadline.python(bind + COUNT) == "1"
        assert deadline.python(bind + BITS) == plain[0]
        assert deadline.python(bind + BITS, PYNEURO_NUM_THREADS=4) == plain[0]


def test_more_threads_than_cores(plain):
    """Members beyond the cores wait for one another at every barrier; all the steps of a longer fit pass them."""
    many = 8 * pn.cpu()["cores"]
    code = "import work; print(work.train(threads={}, epochs=20))"
    assert deadline.python(code.format(many), seconds=30) == deadline.python(code.format(1), seconds=30)
    assert work.train(threads=many) == plain[0]
