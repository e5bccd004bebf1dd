"""Seed files of every reader, good and bad, and how to spoil them: what row 5 feeds to the readers.

The bad ones stand here because a rule of the reader refuses them; together the seeds take 95 % of the branches of the
readers, which row 5 measures (branches.py).
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable

import numpy as np

import pyneuro as pn
from pyneuro import _files, energy, nn, optim

from . import nets

Rng = np.random.Generator


# --- model files


def saved(net: nn.Module) -> bytes:
    """The bytes of a model file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.safetensors")
        net.save(path)
        with open(path, "rb") as file:
            return file.read()


def unpacked(data: bytes) -> tuple[dict, bytes]:
    """(header, payload) of a good safetensors file."""
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def packed(header, payload: bytes, sums: bool = True, raw: bytes | None = None) -> bytes:
    """The file again; with `sums` both checksums fit, so that a reader gets past them."""
    if sums and isinstance(header, dict) and isinstance(header.get("__metadata__"), dict):
        meta = header["__metadata__"]
        meta["sha256"] = hashlib.sha256(payload).hexdigest()
        with contextlib.suppress(KeyError, TypeError):
            meta["header_sha256"] = _files._header_sum({k: v for k, v in header.items() if k != "__metadata__"}, meta)
    text = json.dumps(header).encode() if raw is None else raw
    return len(text).to_bytes(8, "little") + text + payload


def model_seeds() -> list[bytes]:
    """Good models, then headers and architectures that must be refused."""
    shared = nn.Linear(3, 3)
    nets = [
        nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), seed=0),
        nn.Sequential(shared, nn.Tanh(), shared, nn.Dropout(0.3), nn.Softmax(dim=1)),
        nn.Sequential(nn.Linear(2, 2), nn.PReLU(), seed=1).to("float64"),
        nn.ModuleList([nn.Linear(1, 1), nn.GELU()]),
    ]
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    good = [saved(net) for net in [*nets, tied]]
    header, payload = unpacked(good[0])

    def changed(edit: Callable, sums: bool = True) -> bytes:
        copy = json.loads(json.dumps(header))
        edit(copy)
        return packed(copy, payload, sums)

    def entry(key, value):
        return changed(lambda h: h["0.weight"].__setitem__(key, value))

    def architecture(text: str) -> bytes:
        return changed(lambda h: h["__metadata__"].__setitem__("architecture", text))

    meta = header["__metadata__"]
    described = json.loads(meta["architecture"])
    deep: dict = {"layer": "Linear", "arguments": {"in_features": 1, "out_features": 1}}
    for _ in range(40):
        deep = {"layer": "Sequential", "children": [["0", deep]]}
    bad = [
        b"",
        b"\0" * 8,
        (1 << 40).to_bytes(8, "little") + b"{}",
        (500).to_bytes(8, "little") + b"{}",
        packed(None, b"", raw=b"[]"),
        packed(None, b"", raw=b"{]"),
        packed(None, b"", raw=b'{"a":1,"a":2}'),
        packed(None, b"", raw=b'{"a":NaN}'),
        packed(None, b"", raw=b"\xff\xfe"),
        packed(None, b"", raw=b"[" * 5000),
        packed({"__metadata__": 3}, b""),
        packed({"__metadata__": {"a": 1}}, b""),
        packed({f"t{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(9000)}, b""),
        packed({"n" * 300: header["0.weight"]}, payload[:24]),
        packed({"w": [1]}, b""),
        packed({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, b"\0\0\x80?"),
        packed({"w": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]}}, b"ab"),
        entry("dtype", "F128"),
        entry("dtype", 5),
        entry("shape", [3, -2]),
        entry("shape", "x"),
        entry("shape", [1] * 9),
        entry("shape", [2**62, 2**62]),
        entry("data_offsets", [0]),
        entry("data_offsets", [0, 7]),
        good[0] + b"x",
        good[0][:-1],
        changed(lambda h: h["__metadata__"].pop("sha256"), sums=False),
        changed(lambda h: h["__metadata__"].__setitem__("sha256", "0" * 64), sums=False),
        changed(lambda h: h["__metadata__"].__setitem__("class", "Other"), sums=False),
        changed(lambda h: h["__metadata__"].pop("architecture")),
        changed(lambda h: (h["__metadata__"].pop("architecture"), h["__metadata__"].pop("pyneuro"))),
        changed(lambda h: h.pop("__metadata__")),
        architecture("not json"),
        architecture("{}"),
        architecture(json.dumps({"net": [], "tied": []})),
        architecture(json.dumps({"net": {"layer": "os.system", "arguments": {}}, "tied": []})),
        architecture(json.dumps({"net": {"layer": "Linear", "arguments": {"in_features": 10**9}}, "tied": []})),
        architecture(
            json.dumps(
                {"net": {"layer": "Linear", "arguments": {"in_features": 10**6, "out_features": 10**6}}, "tied": []}
            )
        ),
        architecture(json.dumps({"net": {"same": "0"}, "tied": []})),
        architecture(json.dumps({"net": deep, "tied": []})),
        architecture(json.dumps({**described, "tied": [["0.weight", "9.weight"]]})),
        changed(lambda h: h.__setitem__("0.weight", {**h["0.weight"], "dtype": "I32"})),
    ]
    return good + bad


def spoil_model(data: bytes, rng: Rng) -> bytes:
    """Changes names, types, shapes, offsets, metadata or the architecture of a good file; checksums mostly fit."""
    try:
        header, payload = unpacked(data)
        keys = list(header)
    except (ValueError, TypeError, RecursionError):
        return spoil_bytes(data, rng)
    if not keys or not isinstance(header, dict):
        return spoil_bytes(data, rng)
    key = keys[int(rng.integers(len(keys)))]
    value = header[key]
    odd = [0, -1, 1, 2**31, 2**63, 2**64, 1e308, None, "", "F32", "I64", [], [0], [2**62] * 3, {}, True]
    pick = odd[int(rng.integers(len(odd)))]
    kind = int(rng.integers(6))
    if kind == 0:
        header[key] = pick
    elif kind == 1 and isinstance(value, dict) and value:
        field = list(value)[int(rng.integers(len(value)))]
        value[field] = pick
    elif kind == 2:
        header[key + "x"] = header.pop(key)
    elif kind == 3 and isinstance(header.get("__metadata__"), dict):
        meta = header["__metadata__"]
        field = next((name for name in ("checkpoint", "energy") if name in meta), "architecture")
        text = meta.get(field, "{}")
        meta[field] = spoil_text(text if isinstance(text, str) else "{}", rng)
    elif kind == 4:
        payload = spoil_bytes(payload, rng)
    else:
        return spoil_bytes(data, rng)
    return packed(header, payload, sums=bool(rng.random() < 0.8))


def spoil_text(text: str, rng: Rng) -> str:
    """Replaces a number, a name or a bracket."""
    pieces = [
        "0",
        "-1",
        "1e999",
        "10000000000",
        '"x"',
        "null",
        "[]",
        "{}",
        '"Linear"',
        '"Sequential"',
        '{"same":""}',
        "}",
        ",",
    ]
    at, length = int(rng.integers(len(text) + 1)), int(rng.integers(0, 12))
    return text[:at] + pieces[int(rng.integers(len(pieces)))] + text[at + length :]


# --- energy models


def energy_seeds() -> list[bytes]:
    """Good models of each kind, then arguments and arrays that must be refused."""
    bonds = energy.Ising([(0, 1, 1.5), (1, 2, -2.0)], h=[0.5, 0.0, 1.0])
    lattice = energy.Ising.lattice((3, 4), J="+-J", periodic=(True, False), h=0.5, seed=0)
    good = [saved(model) for model in (bonds, lattice, energy.Ising.lattice((4, 4), kind="honeycomb"))]

    def changed(data: bytes, edit: Callable) -> bytes:
        header, payload = unpacked(data)
        described = json.loads(header["__metadata__"]["energy"])
        edit(described, header)
        header["__metadata__"]["energy"] = json.dumps(described)
        return packed(header, payload)

    def argument(data: bytes, name: str, value) -> bytes:
        return changed(data, lambda described, _: described["arguments"].__setitem__(name, value))

    flipped = good[0].replace(np.float64(1.5).tobytes(), np.float64(2.5).tobytes(), 1)
    spoilt = [
        packed(*unpacked(flipped)),  # not symmetric
        changed(good[0], lambda d, _: d.__setitem__("class", "os")),
        changed(good[0], lambda d, _: d.__setitem__("arguments", [])),
        changed(good[0], lambda d, _: d.pop("class")),
        changed(good[0], lambda d, h: h.__setitem__("more", h.pop("h"))),
        changed(good[0], lambda d, h: h["to"].__setitem__("dtype", "F32")),
        changed(good[0], lambda d, h: h["h"].__setitem__("shape", [1, 3])),
        changed(good[1], lambda d, _: d["arguments"].pop("shape")),
        changed(good[2], lambda d, _: d["arguments"].pop("kind")),
        argument(good[0], "offset", "x"),
        argument(good[0], "offset", True),
        argument(good[0], "colour", 1),
        argument(good[1], "J", 0.0),
        argument(good[1], "J", 1e308),
        argument(good[1], "shape", [2**31, 2**31]),
        argument(good[1], "shape", [12]),
        argument(good[1], "shape", "x"),
        argument(good[1], "periodic", [1, 2]),
        argument(good[1], "kind", "honeycomb"),
        argument(good[2], "shape", [4, 5]),
        argument(good[2], "kind", "kagome"),
    ]
    x = np.array([[1, -1, 1, -1], [1, 1, -1, -1]], np.int8)
    nets = [saved(net) for net in (energy.Hopfield().fit(x), energy.Hopfield(rule="storkey").fit(x))]
    nets += [saved(energy.Hopfield.from_weights([[0, 1.5], [1.5, 0]])), saved(energy.DenseMemory().fit(x))]
    spoilt += [
        nets[0].replace(x.tobytes(), b"\x02" * 8), packed(*unpacked(nets[0].replace(x.tobytes(), b"\x02" * 8))),
        packed(*unpacked(nets[2].replace(np.float64(1.5).tobytes(), np.float64(2.5).tobytes(), 1))),
        changed(nets[0], lambda d, h: h.__setitem__("weights", h.pop("patterns"))),
        changed(nets[0], lambda d, h: h["patterns"].__setitem__("shape", [8])),
        changed(nets[1], lambda d, h: h["patterns"].__setitem__("shape", [1, 8])),
        argument(nets[0], "scale", "x"), argument(nets[0], "epochs", -1), argument(nets[3], "degree", 1000),
    ]  # fmt: skip
    return good + nets + spoilt


def tsplib_seeds() -> list[bytes]:
    """Good problems and a good tour, then what must be refused."""
    head = b"NAME: a\nTYPE: TSP\nDIMENSION: 4\nEDGE_WEIGHT_TYPE: %s\n"
    places = b"NODE_COORD_SECTION\n1 0 0\n2 3.5 0\n3 0 4e1\n4 -1 .5\nEOF\n"
    kinds = (b"EUC_2D", b"CEIL_2D", b"MAN_2D", b"MAX_2D", b"ATT", b"GEO")
    good = [head % kind + places for kind in kinds]
    shown = b"DISPLAY_DATA_SECTION:\n1 0 0\n2 1 0\n3 0 1\n4 1 1\n"
    explicit = head % b"EXPLICIT" + b"EDGE_WEIGHT_FORMAT : %s \n" + shown + b"EDGE_WEIGHT_SECTION\n%s\nEOF\n"
    upper = explicit % (b"UPPER_ROW", b"1 2 3\n4 5\n6")
    full = explicit.replace(shown, b"") % (b"FULL_MATRIX", b"0 1 2 3 1 0 4 5 2 4 0 6 3 5 6 0")
    tour = b"TYPE : TOUR\nDIMENSION : 4\nTOUR_SECTION\n1 3\n2 4\n-1\nEOF\n"
    good += [upper, explicit % (b"LOWER_DIAG_ROW", b"0 1 0 2 3 0 4 5 6 0"), full, tour]
    first = good[0]
    bad = [
        b"", b"\n\nEOF\n", b"words\n", b"\xff\n",
        first.replace(b"DIMENSION", b"SIZE"), first.replace(b": 4", b": 4000000"), first.replace(b": 4", b": 2"),
        first.replace(b": 4", b": x"), first.replace(b"EUC_2D", b"XRAY1"), first.replace(b"EDGE_WEIGHT_TYPE", b"EDGES"),
        first.replace(b"NODE_COORD_SECTION", b"TOUR_SECTION"), first.replace(b"2 3.5 0", b"2 3.5"),
        first.replace(b"2 3.5 0", b"2 3.5 x"), first.replace(b"2 3.5 0", b"1 3.5 0"),
        first.replace(b"2 3.5 0", b"7 1 0"),
        first.replace(b"2 3.5 0", b"1.5 1 0"), first.replace(b"2 3.5 0\n", b""), first.replace(b"3.5", b"1e300"),
        first.replace(b"3.5", b"1e999"), upper.replace(b"UPPER_ROW", b"SPIRAL"), upper.replace(b"\n6", b""),
        upper.replace(b"\n6", b"\n6" + b" 7" * 20), upper.replace(b"EDGE_WEIGHT_FORMAT", b"FORM"),
        upper.replace(b"4 5", b"4 -5"), full.replace(b"0 1 2 3", b"0 9 2 3"),
        upper.replace(b"EDGE_WEIGHT_SECTION", b"X:"),
        tour.replace(b"2 4", b"2 2"), tour.replace(b"2 4", b"2 9"), tour.replace(b"2 4", b"2 4 1"),
        tour.replace(b"2 4", b"2 1.5"), tour.replace(b"2 4", b"2"),
    ]  # fmt: skip
    return good + bad


def gset_seeds() -> list[bytes]:
    """Good graphs, then what must be refused."""
    good = [b"4 3\n1 2 1\n2 3 -1\n3 4 2.5\n", b"3 2\n1 2\n\n2 3\n", b" 2 1 \r\n1 2 7\r\n", b"5 0\n"]
    bad = [
        b"",
        b"\n\n",
        b"1\n",
        b"a b\n",
        b"0 0\n",
        b"3 1\n1 2 1\n2 3 1\n",
        b"3 2\n1 2 1\n",
        b"3 99999999\n1 2 1\n",
        b"999999999 1\n1 2 1\n",
        b"9999999999999999 1\n1 2 1\n",
        b"3 1\n1\n",
        b"3 1\n1 x\n",
        b"3 1\n1 4 1\n",
        b"3 1\n2 2 1\n",
        b"3 2\n1 2 1\n2 1 1\n",
        b"3 1\n1 2 nan\n",
        b"3 1\n1 2 word\n",
        b"3 1\n1 2 1_0\n",
        b"3 1\n1 2 \xff\n",
    ]
    return good + bad


# --- checkpoints


def resume(path: str) -> None:
    """What reads a checkpoint: a training that goes on from it. The saved ones have ended, so no step is made."""
    x, y = nets.data(32)
    rule = optim.Adam(lr=1e-3)
    callbacks = [optim.lr_scheduler.StepLR(rule, 1), pn.callbacks.EarlyStopping("loss", patience=9)]
    nets.dense(hidden=4).fit(
        x,
        y,
        optimizer=rule,
        epochs=1,
        batch_size=16,
        seed=0,
        verbose=0,
        checkpoint=path,
        resume=True,
        callbacks=callbacks,
    )


def checkpoint_seeds() -> list[bytes]:
    """A good checkpoint, then what must be refused: other data, other nets, other options, numbers that cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "run.safetensors")
        resume(path)
        with open(path, "rb") as file:
            good = file.read()
    header, payload = unpacked(good)

    def changed(edit: Callable) -> bytes:
        copy = json.loads(json.dumps(header))
        meta = json.loads(copy["__metadata__"]["checkpoint"])
        edit(meta)
        copy["__metadata__"]["checkpoint"] = json.dumps(meta)
        return packed(copy, payload)

    def renamed(old: str, new: str) -> bytes:
        copy = {new if name == old else name: value for name, value in header.items()}
        return packed(json.loads(json.dumps(copy)), payload)

    edits = [
        lambda m: m.__setitem__("seed", -1),
        lambda m: m["progress"].__setitem__("epoch", -3),
        lambda m: m["progress"].pop("weight"),
        lambda m: m["progress"].__setitem__("weight", {}),
        lambda m: m["history"].__setitem__("names", "loss"),
        lambda m: m["history"].__setitem__("epoch", 10**12),
        lambda m: m["history"].__setitem__("epoch", "two"),
        lambda m: m["history"].__setitem__("names", ["nothing"]),
        lambda m: m.pop("data"),
        lambda m: m.__setitem__("data", []),
        lambda m: m["data"].__setitem__("rows", 7),
        lambda m: m["optimizer"].__setitem__("class", "SGD"),
        lambda m: m["optimizer"].__setitem__("groups", [{"lr": "fast"}]),
        lambda m: m["optimizer"].__setitem__("groups", [{"colour": 1}]),
        lambda m: m["optimizer"].__setitem__("steps", "many"),
        lambda m: m["callbacks"].clear(),
        lambda m: m["callbacks"][0].pop("class"),
        lambda m: m["callbacks"][0].__setitem__("class", 5),
        lambda m: m["callbacks"][1].__setitem__("state", {"best": "x"}),
    ]
    named = [("net.0.weight", "net.9.weight"), ("progress.sums", "sums"), ("optimizer.exp_avg.0", "optimizer.x.0")]
    flat = json.loads(json.dumps(header))
    flat["net.0.bias"]["shape"] = [2, 2]
    more = json.loads(json.dumps(header))
    more["net.7.bias"] = {"dtype": "U8", "shape": [0], "data_offsets": [len(payload), len(payload)]}
    two = json.loads(json.dumps(header))
    start, end = two["progress.sums"]["data_offsets"]
    two["progress.sums"] |= {"dtype": "U8", "shape": [end - start]}
    deep = json.loads(json.dumps(header))
    deep["history.loss"]["shape"].insert(0, 1)
    odd = [packed(edited, payload) for edited in (flat, more, two, deep)]
    return [good, saved(nets.dense()), *map(changed, edits), *(renamed(*pair) for pair in named), *odd]


# --- IDX


def idx(values: np.ndarray, code: int = 8, rank: int | None = None, sizes: list[int] | None = None) -> bytes:
    """An IDX file; rank and sizes may lie."""
    sizes = list(values.shape) if sizes is None else sizes
    head = bytes([0, 0, code, values.ndim if rank is None else rank])
    return head + b"".join(int(n).to_bytes(4, "big") for n in sizes) + values.tobytes()


def idx_seeds() -> list[bytes]:
    """Good files of all types, gzipped and not, then what must be refused."""
    a = np.arange(12, dtype=np.uint8).reshape(3, 4)
    good = [idx(a), gzip.compress(idx(a), mtime=0), idx(a.astype(">f4"), 13), idx(a.astype(">i4"), 12), idx(a[0])]
    bad = [
        b"",
        b"\0\0",
        b"abcdefgh",
        idx(a, 7),
        idx(a, 8, 9),
        idx(a, 8, 0, []),
        idx(a, 8, 3),
        idx(a, sizes=[2**31, 2**31]),
        idx(a, sizes=[3, 3]),
        idx(a, sizes=[3, 5]),
        gzip.compress(idx(a, sizes=[3, 400]), mtime=0),
        gzip.compress(idx(a, sizes=[3, 3]), mtime=0),
        gzip.compress(idx(a), mtime=0)[:-4],
        gzip.compress(idx(a), mtime=0)[:-12],
        gzip.compress(idx(a), mtime=0) + b"x",
        gzip.compress(b"\0" * 10_000, mtime=0),
        gzip.compress(idx(np.zeros((10, 3000), np.uint8), sizes=[2**30, 2**30]), mtime=0),
        b"\x1f\x8b\x08broken",
    ]
    return good + bad


# --- CSV and NPZ


def csv_seeds() -> list[bytes]:
    """Good tables in several dialects, then what must be refused."""
    good = [
        b"a,b,label\n1,2,0\n3,4,1\n5,6,0\n",
        b"1;2;red\n3;4;green\n\n5;6;red\n",
        b"\xef\xbb\xbfy\tx\n1\t0.5\n0\t-1e3\n",
        b"\n\n1,2,7\n3,4,9\n",
        b"x,class\n1,-1\n2,1\n",
    ]
    bad = [
        b"",
        b"\n\n",
        b"a,b\n",
        b"only one\n1\n2\n",
        b"a,y\n1,0\n2\n",
        b"a,y\n1,0\n,1\n",
        b"a,y\nword,0\n2,1\n",
        b"a,y\nnan,0\n2,1\n",
        b"a,y\n1e39,0\n2,1\n",
        b"a,y\n1,0\n2,\n",
        b"a,y\n1,0\n2,0\n",
        b"a,y\n1,0.5\n2,1\n",
        b"a,y\n1,inf\n2,1\n",
        b"a,y\n1,1e300\n2,1\n",
        b"a,y\n" + b"".join(b"1,%d\n" % (i * 7) for i in range(1200)),
        b"\xff\xfe\x00",
        b"a,y\n1,0\n2,1\x00\n",
        b'a,y\n"1,0\n' + b"x" * 200_000,
        b"1," * 5 + b"\n",
    ]
    return good + bad


def npz(arrays: dict[str, np.ndarray], compressed: bool = True) -> bytes:
    """An npz file of the arrays."""
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file of raw members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def npy(array: np.ndarray, shape=None) -> bytes:
    """One npy member whose header may claim another shape."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    data = stream.getvalue()
    return data if shape is None else data.replace(str(array.shape).encode(), str(shape).encode())


def npz_seeds() -> list[bytes]:
    """Good archives under all accepted names, then what must be refused."""
    x, y = np.arange(24, dtype=np.float32).reshape(6, 4), np.array([0, 1, 2, 0, 1, 2])
    good = [
        npz({"X": x, "y": y}),
        npz({"x": x.astype(">f8"), "y": y.astype(np.uint8)}, compressed=False),
        npz({"data": x.reshape(6, 2, 2), "target": np.array(list("abcabc"))}),
        npz({"x_train": x, "y_train": y[:, None], "x_test": x[:2], "y_test": y[:2, None]}),
        npz({"X": np.asfortranarray(x), "y": y.astype(np.float64)}),
    ]
    bomb = zipped({"X.npy": b"\0" * (96 << 20), "y.npy": npy(y)})
    bad = [
        b"PK\x03\x04",
        b"no zip at all",
        zipped({}),
        npz({"a": x}),
        npz({"X": x, "y": y[:3]}),
        npz({"X": x[0], "y": y}),
        npz({"X": x, "y": np.zeros(6, int)}),
        npz({"X": x, "y": y + 0.5}),
        npz({"X": x.astype(str), "y": y}),
        npz({"X": np.where(x == 3, np.nan, x), "y": y}),
        npz({"X": x.astype(np.complex64), "y": y}),
        npz({"X": np.zeros((0, 4)), "y": np.zeros(0, int)}),
        npz({"x_train": x, "y_train": y, "x_test": x[:2, :3], "y_test": y[:2]}),
        zipped({"X.npy": npy(x, (60, 40)), "y.npy": npy(y)}),
        zipped({"X.npy": npy(x, (6, -4)), "y.npy": npy(y)}),
        zipped({"X.npy": npy(np.array([None, 1], object)), "y.npy": npy(y)}),
        zipped({"X.npy": b"\x93NUMPY\x09\x00", "y.npy": npy(y)}),
        zipped({"X.npy": b"short", "y.npy": npy(y)}),
        npz({"X": x, "y": y})[:-30],
        zipped({"X.npy": npy(x), "y.npy": npy(np.array(list("abcabc"))).replace(b"b", b"\xff")}),
        npz({"X": x, "y": np.array([b"a", b"\xff", b"c"] * 2)}),
        bomb,
    ]
    return good + bad


def spoil_zip(data: bytes, rng: Rng) -> bytes:
    """Changes the content of a member and packs it again with a fitting CRC;

    now and then the bytes of the archive.
    """
    if rng.random() < 0.4:
        return spoil_bytes(data, rng)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist() if info.file_size < 1 << 20}
    except Exception:  # not a zip file any more
        return spoil_bytes(data, rng)
    if not members:
        return spoil_bytes(data, rng)
    name = list(members)[int(rng.integers(len(members)))]
    members[name] = spoil_bytes(members[name], rng)
    return zipped(members, int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))


def spoil_csv(data: bytes, rng: Rng) -> bytes:
    """Puts odd cells, delimiters and quotes into a table."""
    pieces = [
        b",",
        b"\n",
        b'"',
        b";",
        b"\t",
        b"nan",
        b"-inf",
        b"1e400",
        b"0x10",
        b"\x00",
        b"\xff",
        b" ",
        b"1_0",
        b"label",
        b"''",
    ]
    at, length = int(rng.integers(len(data) + 1)), int(rng.integers(0, 4))
    changed = data[:at] + pieces[int(rng.integers(len(pieces)))] + data[at + length :]
    return changed if rng.random() < 0.7 else spoil_bytes(changed, rng)


# --- bytes


def spoil_bytes(data: bytes, rng: Rng) -> bytes:
    """Flips, replaces, cuts, doubles or inserts bytes, one to four times."""
    raw = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        kind, at = int(rng.integers(6)), int(rng.integers(len(raw) + 1))
        if kind == 0 and at < len(raw):
            raw[at] ^= 1 << int(rng.integers(8))
        elif kind == 1 and at < len(raw):
            raw[at] = int(rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))]))
        elif kind == 2:
            del raw[at:]
        elif kind == 3:
            raw[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 9)), dtype=np.uint8))
        elif kind == 4:
            del raw[at : at + int(rng.integers(1, 17))]
        else:
            raw[at:at] = raw[max(0, at - 16) : at]
    return bytes(raw)
