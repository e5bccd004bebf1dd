"""Model files: what comes back, and that nothing truncated, altered or hostile is ever loaded.

The seed files are small, so that every truncation and every change of one byte can be tried.
"""

import gc
import gzip
import hashlib
import json
import os
import stat
import struct
import time

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import _files, io, nn
from pyneuro._files import FileFormatError, read_arrays, write_arrays
from pyneuro.datasets.idx import DataError, parse_idx


def small():
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Dropout(0.25), nn.Linear(2, 1), seed=0)


def same(a, b):
    x, y = a.state_dict(), b.state_dict()
    assert list(x) == list(y)
    for name in x:
        assert x[name].dtype == y[name].dtype
        assert np.array_equal(x[name].numpy(), y[name].numpy(), equal_nan=True), name
    assert repr(a) == repr(b)


def tied():
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    net.append(net[1])
    return net


NETS = {
    "small": small,
    "every layer": lambda: nn.Sequential(
        nn.Rescaling(1 / 255, offset=-0.5), nn.Normalize([0.5, 100], [2, 0.1]), nn.Embedding(7, 3),
        nn.Flatten(), nn.Linear(12, 5, bias=False),
        nn.Identity(), nn.Sigmoid(), nn.Tanh(), nn.Softsign(), nn.SELU(), nn.SiLU(), nn.LogSigmoid(),
        nn.Step(at_zero=1), nn.ReLU(relu_grad_at_zero=1), nn.LeakyReLU(0.2),
        nn.LeakyReLU(0.2, relu_grad_at_zero=1), nn.ELU(0.5),
        nn.Hardtanh(-2, 3), nn.GELU("tanh"), nn.Softplus(2), nn.PReLU(5), nn.PReLU(relu_grad_at_zero=1),
        nn.Softmax(1), nn.LogSoftmax(stable=False),
        nn.Dropout(keep=0.8), nn.LayerNorm((2, 3), bias=False), nn.LayerNorm(4, elementwise_affine=False),
        nn.GroupNorm(2, 4, eps=0.1), nn.InstanceNorm1d(2),
        nn.InstanceNorm2d(3), nn.InstanceNorm2d(3, affine=True, bias=False),
        nn.BatchNorm1d(3, momentum=None), nn.BatchNorm2d(4, eps=0.1, affine=False),
        nn.BatchNorm2d(2, track_running_stats=False),
    ),
    "convolutions": lambda: nn.Sequential(
        nn.Conv1d(2, 3, 5, padding="same"), nn.Conv2d(3, 6, (3, 2), stride=2, padding=(1, 0), groups=3),
        nn.Conv2d(6, 4, 3, dilation=2, bias=False, algorithm="naive"),
        nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=(1, 0)),
    ),
    "pooling": lambda: nn.Sequential(
        nn.MaxPool1d(2), nn.MaxPool2d((2, 3), 1, (1, 0), 2, ceil_mode=True), nn.AvgPool1d(3, 2, 1),
        nn.AvgPool2d(2, divisor_override=3, count_include_pad=False), nn.AdaptiveAvgPool1d(2),
        nn.AdaptiveAvgPool2d((None, 2)), nn.AdaptiveMaxPool1d(2), nn.AdaptiveMaxPool2d(1), nn.Dropout2d(0.3),
        nn.Unflatten(1, (2, -1)),
    ),
    "resizing": lambda: nn.Sequential(
        nn.ZeroPad1d(1), nn.ZeroPad2d((1, 2, -1, 0)), nn.ConstantPad1d(2, 0.5), nn.ConstantPad2d(1, -1),
        nn.ReflectionPad1d(1), nn.ReflectionPad2d(1), nn.ReplicationPad1d((0, 1)), nn.ReplicationPad2d(1),
        nn.CircularPad1d(1), nn.CircularPad2d(1), nn.Upsample((3, 4)),
        nn.Upsample(None, (1.5, 2), "bilinear", align_corners=True, recompute_scale_factor=True),
    ),
    "nested": lambda: nn.Sequential({"body": nn.Sequential(nn.Linear(2, 3), nn.ReLU()), "head": nn.Linear(3, 1)}),
    "float64": lambda: small().to("float64"),
    "mixed": lambda: nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, dtype="float64")),
    "containers": lambda: nn.ModuleDict({"list": nn.ModuleList([nn.Linear(1, 2), nn.Linear(2, 3)]), "one": nn.Tanh()}),
    "empty": nn.Sequential,
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_saved_and_loaded(name, tmp_path):
    net = NETS[name]()
    net.save(tmp_path / "net.safetensors")
    again = pn.load(tmp_path / "net.safetensors")
    same(net, again)
    assert type(again) is type(net)
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "net.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_sharing_survives(tmp_path):
    net = tied()
    net.save(tmp_path / "net")
    again = pn.load(tmp_path / "net")
    same(net, again)
    assert again[0].weight is again[2].weight
    assert again[1] is again[3]


def test_special_values_survive(tmp_path):
    net = nn.Linear(4, 1)
    net.load_state_dict({"weight": [[np.nan, np.inf, -0.0, 1e-45]], "bias": [3.0]})
    net.save(tmp_path / "net")
    again = pn.load(tmp_path / "net")
    assert again.weight.detach().numpy().tobytes() == net.weight.detach().numpy().tobytes()


class Mine(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.a = nn.Linear(2, width)

    def forward(self, x):
        return self.a(x)


def test_own_class_is_filled(tmp_path):
    net = Mine()
    net.save(tmp_path / "net")
    with pytest.raises(FileFormatError, match=r"Mine.*into=Mine\(\)"):
        pn.load(tmp_path / "net")
    other = Mine()
    assert pn.load(tmp_path / "net", into=other) is other
    same(net, other)
    wrong = Mine(4)
    before = [p.detach().numpy().copy() for p in wrong.parameters()]
    with pytest.raises(nn.StateError, match=r"a\.weight has shape \(3, 2\), expected \(4, 2\)"):
        pn.load(tmp_path / "net", into=wrong)
    for p, old in zip(wrong.parameters(), before, strict=True):
        assert np.array_equal(p.detach().numpy(), old)


def test_pytorch_reads_and_writes(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    net = small()
    net.save(tmp_path / "ours")
    loaded = load_file(tmp_path / "ours")
    for name, value in net.state_dict().items():
        assert np.array_equal(loaded[name].numpy(), value.numpy())
    t = torch.nn
    theirs = t.Sequential(t.Linear(2, 2), t.ReLU(), t.Dropout(0.25), t.Linear(2, 1))
    for real in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        save_file({k: v.to(real) for k, v in theirs.state_dict().items()}, tmp_path / "theirs")
        pn.load(tmp_path / "theirs", into=net)
        for name, value in theirs.state_dict().items():
            assert np.array_equal(net.state_dict()[name].numpy(), value.to(real).float().numpy())
    with pytest.raises(FileFormatError, match="no architecture"):
        pn.load(tmp_path / "theirs")


def test_metadata_sums(tmp_path):
    small().save(tmp_path / "net")
    data = (tmp_path / "net").read_bytes()
    size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + size])["__metadata__"]
    assert metadata["sha256"] == hashlib.sha256(data[8 + size :]).hexdigest()
    assert json.loads(metadata["architecture"])["net"]["layer"] == "Sequential"


# ---- damaged files ----

SEEDS = {
    "network": small,
    "tied": tied,
    "float64": lambda: nn.Linear(1, 1, dtype="float64"),
}


@pytest.fixture(params=SEEDS)
def seed_file(request, tmp_path):
    """(the network, its file, the file's bytes)."""
    net = SEEDS[request.param]()
    net.save(tmp_path / "seed")
    return net, tmp_path / "seed", (tmp_path / "seed").read_bytes()


def test_every_truncation_is_refused(seed_file):
    _, path, data = seed_file
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(FileFormatError):
            pn.load(path)


def test_appended_bytes_are_refused(seed_file):
    _, path, data = seed_file
    for tail in (b"\0", b" ", data):
        path.write_bytes(data + tail)
        with pytest.raises(FileFormatError):
            pn.load(path)


def test_every_changed_byte_is_refused_or_harmless(seed_file):
    """Each byte takes three other values: one bit, the top bit, and all bits flipped."""
    net, path, data = seed_file
    refused = 0
    for i in range(len(data)):
        for flip in (1, 128, 255):
            path.write_bytes(data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :])
            try:
                again = pn.load(path)
            except FileFormatError:
                refused += 1
            else:
                same(net, again)
    assert refused > 2.9 * len(data)


def test_every_changed_byte_with_into(tmp_path):
    """The same for `into=`: the network is filled with exactly what was saved, or not touched."""
    net = nn.Linear(1, 2)
    net.save(tmp_path / "seed")
    data = (tmp_path / "seed").read_bytes()
    target = nn.Linear(1, 2)
    start = {k: v.numpy().copy() for k, v in target.state_dict().items()}
    for i in range(len(data)):
        for flip in (1, 2, 32, 255):
            (tmp_path / "seed").write_bytes(data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :])
            try:
                pn.load(tmp_path / "seed", into=target)
            except (FileFormatError, nn.StateError):
                assert all(np.array_equal(v.numpy(), start[k]) for k, v in target.state_dict().items())
            else:
                same(net, target)
                target.load_state_dict(start)


# ---- hostile files ----


def safetensors(header, payload=b"", size=None):
    """Bytes of a file with any header (text or object)."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + payload


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


HOSTILE = {
    "nothing": b"",
    "only a length": struct.pack("<Q", 2),
    "a length beyond all": safetensors({}, size=2**64 - 1),
    "a header larger than allowed": struct.pack("<Q", 1 << 21) + b"{" + b" " * (1 << 21),
    "pickle": b"\x80\x04\x95" + bytes(100),
    "zip": b"PK\x03\x04" + bytes(100),
    "not JSON": safetensors(b"{'a': 1}"),
    "not UTF-8": safetensors(b'{"\xff": 1}'),
    "a list": safetensors([]),
    "leading space": safetensors(b" {}"),
    "deep nesting": safetensors(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "a huge number": safetensors(
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 100_000 + b'],"data_offsets":[0,4]}}', bytes(4)
    ),
    "NaN": safetensors(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', bytes(4)),
    "a key twice": safetensors(b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2), bytes(4)),
    "metadata of numbers": safetensors({"__metadata__": {"a": 1}}),
    "metadata list": safetensors({"__metadata__": []}),
    "a tensor that is a number": safetensors({"a": 1}),
    "missing offsets": safetensors({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "an extra field": safetensors({"a": {**entry(), "x": 1}}, bytes(4)),
    "unknown type": safetensors({"a": entry("F8_E4M3", (4,))}, bytes(4)),
    "type list": safetensors({"a": entry([], (4,))}, bytes(4)),
    "negative size": safetensors({"a": entry("F32", (-1, -1))}, bytes(4)),
    "fractional size": safetensors({"a": entry("F32", (1.0,))}, bytes(4)),
    "true as a size": safetensors({"a": entry("F32", (True,))}, bytes(4)),
    "product beyond 64 bits": safetensors({"a": entry("F32", (2**62, 2**62, 2**62))}, bytes(4)),
    "product that wraps to 4 bytes": safetensors({"a": entry("F32", (2**62 + 1, 1))}, bytes(4)),
    "an exabyte": safetensors({"a": entry("F32", (2**60,), (0, 2**62))}, bytes(4)),
    "rank 9": safetensors({"a": entry("F32", (1,) * 9)}, bytes(4)),
    "offsets in reverse": safetensors({"a": entry("F32", (1,), (4, 0))}, bytes(4)),
    "overlap": safetensors({"a": entry("F32", (1,), (0, 4)), "b": entry("F32", (1,), (0, 4))}, bytes(8)),
    "a hole": safetensors({"a": entry("F32", (1,), (0, 4)), "b": entry("F32", (1,), (8, 12))}, bytes(12)),
    "not from 0": safetensors({"a": entry("F32", (1,), (4, 8))}, bytes(8)),
    "trailing bytes": safetensors({"a": entry()}, bytes(5)),
    "too few bytes": safetensors({"a": entry()}, bytes(3)),
    "an empty name": safetensors({"": entry()}, bytes(4)),
    "a long name": safetensors({"a" * 257: entry()}, bytes(4)),
    "half a character": safetensors(b'{"\\ud800":%s}' % json.dumps(entry()).encode(), bytes(4)),
    "our name without sums": safetensors({"__metadata__": {"pyneuro": "1"}, "a": entry()}, bytes(4)),
    "one sum only": safetensors({"__metadata__": {"sha256": "0"}, "a": entry()}, bytes(4)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused(name, tmp_path):
    (tmp_path / "x").write_bytes(HOSTILE[name])
    start = time.perf_counter()
    with pytest.raises(FileFormatError):
        pn.load(tmp_path / "x", into=nn.Linear(1, 1))
    assert time.perf_counter() - start < 1


def test_too_many_tensors(tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "MAX_TENSORS", 3)
    header = {f"a{i}": entry("F32", (1,), (4 * i, 4 * i + 4)) for i in range(4)}
    (tmp_path / "x").write_bytes(safetensors(header, bytes(16)))
    with pytest.raises(FileFormatError, match="4 tensors"):
        read_arrays(tmp_path / "x")
    with pytest.raises(ValueError, match="4 arrays"):
        write_arrays(tmp_path / "y", {f"a{i}": np.zeros(1) for i in range(4)}, {})


def test_not_a_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        pn.load(tmp_path / "absent")
    with pytest.raises(FileFormatError, match="not a regular file"):
        pn.load(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileFormatError, match="not a regular file"):
            pn.load(tmp_path / "pipe")


def write_architecture(path, architecture, arrays=None):
    """A file with right sums and any architecture: what an attacker who knows the format can write."""
    text = architecture if isinstance(architecture, str) else json.dumps({"net": architecture, "tied": []})
    arrays = {"weight": np.zeros((1, 1), np.float32), "bias": np.zeros(1, np.float32)} if arrays is None else arrays
    write_arrays(path, arrays, {"pyneuro": "1", "class": "x", "architecture": text})


def layer(name="Linear", **arguments):
    return {"layer": name, "arguments": arguments}


def sequential(*children):
    return {"layer": "Sequential", "children": [[str(i), child] for i, child in enumerate(children)]}


def nested(depth):
    inner = layer("Tanh")
    for _ in range(depth):
        inner = sequential(inner)
    return inner


ARCHITECTURES = {
    "not JSON": "import os",
    "a number": "1",
    "no net": "{}",
    "a module path": layer("os.system"),
    "a dunder": layer("__class__"),
    "a base class": layer("Module"),
    "a function": layer("functional"),
    "no arguments": {"layer": "Linear"},
    "arguments of another kind": {"layer": "Linear", "arguments": [1, 1]},
    "unknown argument": layer(in_features=1, out_features=1, hook="os.system"),
    "text for a size": layer(in_features="1", out_features=1),
    "larger than the file": layer(in_features=10**6, out_features=10**6),
    "larger than any memory": layer(in_features=10**30, out_features=10**30),
    "many small layers": sequential(*[layer(in_features=1, out_features=1)] * 5),
    "other shapes": layer("PReLU", num_parameters=2),
    "too deep": nested(40),
    "far too deep": '{"net":'
    + '{"layer":"Sequential","children":[["0",' * 12_000
    + "1"
    + "]]}" * 12_000
    + ',"tied":[]}',
    "too many": sequential(*[layer("Tanh")] * 5000),
    "itself": sequential({"same": ""}),
    "something absent": sequential({"same": "7"}),
    "a method as a child": {"layer": "ModuleDict", "children": [["forward", layer("Tanh")]]},
    "a dunder child": {"layer": "Sequential", "children": [["__class__", layer("Tanh")]]},
    "a child that is text": {"layer": "Sequential", "children": [["0", "Tanh"]]},
    "children of another kind": {"layer": "Sequential", "children": 3},
    "a tie to nothing": json.dumps({"net": layer(in_features=1, out_features=1), "tied": [["bias", "nothing"]]}),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_hostile_architecture_is_refused(name, tmp_path):
    write_architecture(tmp_path / "x", ARCHITECTURES[name])
    gc.collect()
    live = pn._core.alloc_stats()["live_bytes"]
    start = time.perf_counter()
    with pytest.raises(FileFormatError):
        pn.load(tmp_path / "x")
    assert time.perf_counter() - start < 1
    assert pn._core.alloc_stats()["live_bytes"] <= live + 1024


def test_sound_architecture_of_an_attacker_is_only_a_network(tmp_path):
    write_architecture(tmp_path / "x", layer(in_features=1, out_features=1, bias=True))
    assert repr(pn.load(tmp_path / "x")) == repr(nn.Linear(1, 1))


def test_closed_list_is_what_nn_has():
    for name in io.LAYERS:
        assert isinstance(getattr(nn, name), type)
        assert issubclass(getattr(nn, name), nn.Module)


# ---- writing ----


def test_replacement_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "net"
    small().save(path)
    old = path.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(_files.os, name, fail)
            with pytest.raises(OSError, match="No space left"):
                nn.Linear(9, 9).save(path)
        assert path.read_bytes() == old
        assert os.listdir(tmp_path) == ["net"]


def test_file_is_complete_before_it_gets_its_name(tmp_path, monkeypatch):
    """At the moment of the rename the temporary file is whole, on disk, and in the same folder."""
    synced, seen = set(), []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(handle):
        synced.add(os.fstat(handle).st_ino)
        real_fsync(handle)

    def replace(source, target):
        assert os.stat(source).st_ino in synced
        assert os.path.dirname(source) == os.path.dirname(target)
        read_arrays(source)
        seen.append(target)
        real_replace(source, target)

    monkeypatch.setattr(_files.os, "fsync", fsync)
    monkeypatch.setattr(_files.os, "replace", replace)
    small().save(tmp_path / "net")
    assert seen == [str(tmp_path / "net")]
    if os.name == "posix":
        assert os.stat(tmp_path).st_ino in synced


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links(tmp_path):
    mask = os.umask(0o027)
    try:
        small().save(tmp_path / "net")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(os.stat(tmp_path / "net").st_mode) == 0o640
    os.chmod(tmp_path / "net", 0o604)
    os.symlink("net", tmp_path / "link")
    nn.Linear(1, 1).save(tmp_path / "link")
    assert os.path.islink(tmp_path / "link")
    assert stat.S_IMODE(os.stat(tmp_path / "net").st_mode) == 0o604
    assert repr(pn.load(tmp_path / "net")) == repr(nn.Linear(1, 1))


def test_same_network_same_bytes(tmp_path):
    for name in ("a", "b"):
        small().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_way_to_run_code():
    """No reader of pyneuro unpickles, evaluates, or imports by a name that a file gives."""
    folder = os.path.dirname(pn.__file__)
    forbidden = ("import pickle", "import marshal", "eval(", "exec(", "importlib", "__import__", "allow_pickle=True")
    for name in ("_files.py", "io.py", "datasets/idx.py", "datasets/digits.py", "datasets/images.py"):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            text = file.read()
        assert not [word for word in forbidden if word in text], name
        assert text.count("np.load(") == text.count("allow_pickle=False"), name


# ---- IDX ----


def idx(array, code=0x08):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


def test_idx_round_trip():
    rng = np.random.default_rng(0)
    for code, dtype in ((0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")):
        a = rng.integers(0, 100, size=(3, 4, 2)).astype(dtype)
        for data in (idx(a, code), gzip.compress(idx(a, code))):
            b = parse_idx(data)
            assert np.array_equal(a, b)
            assert b.dtype == a.dtype.newbyteorder("=")
    assert parse_idx(idx(np.zeros((0, 5), np.uint8))).shape == (0, 5)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_truncated_or_longer_is_refused(packed):
    data = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    data = gzip.compress(data) if packed else data
    for length in range(len(data)):
        with pytest.raises(DataError):
            parse_idx(data[:length])
    for tail in (b"\0", data):
        with pytest.raises(DataError):
            parse_idx(data + tail)


def test_idx_every_changed_byte_of_gzip_is_refused_or_harmless():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    data = gzip.compress(idx(array), mtime=0)
    for i in range(len(data)):
        for flip in range(1, 256):
            try:
                b = parse_idx(data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :])
            except DataError:
                continue
            assert np.array_equal(b, array)  # time and name fields of gzip mean nothing


def test_idx_bombs_take_no_memory():
    import tracemalloc

    huge = struct.pack(">BBBB3I", 0, 0, 8, 3, 60000, 28, 28)
    bomb = gzip.compress(struct.pack(">BBBB1I", 0, 0, 8, 1, 10) + bytes(50_000_000))
    overflow = struct.pack(">BBBB8I", 0, 0, 0x0E, 8, *[2**32 - 1] * 8)
    tracemalloc.start()
    for data in (huge, gzip.compress(huge), bomb, overflow, gzip.compress(overflow)):
        with pytest.raises(DataError):
            parse_idx(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
