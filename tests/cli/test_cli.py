"""The command line as a user meets it: what it prints, its exit codes, its sentences."""

import os
import re
import signal
import statistics
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pyneuro.cli import arguments, main
from pyneuro.cli.data import channel_statistics, load, standardised
from pyneuro.cli.tables import read
from pyneuro.cli.train import build, fit

ROOT = Path(__file__).resolve().parents[2]


def run(*words, expect=0, **environment):
    """(stdout, stderr) of `python -m pyneuro ...` from the clone."""
    done = subprocess.run(
        [sys.executable, "-m", "pyneuro", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        timeout=120,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == expect, f"{done.returncode}\n{out}\n{err}"
    return out, err


def refused(*words, code=1, **environment):
    """The one sentence on stderr of a command that must fail."""
    _, err = run(*words, expect=code, **environment)
    assert "Traceback" not in err
    lines = err.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith("pyneuro: "), err
    return lines[0]


def test_without_a_word_it_trains_on_the_digits():
    out, err = run()
    assert re.match(r"pyneuro \S+: (portable|avx2|avx512|neon), \d+ threads?", out)
    assert "1438 samples to learn from, 359 to test on, 64 features" in out
    for words in ("Linear", "ReLU", "9,610"):  # the summary: layers, and 64*128 + 128 + 128*10 + 10 parameters
        assert words in out
    epochs = re.findall(r"^ +(\d+)  (\d\.\d{4})   +(\d+\.\d+)%", out, re.M)
    assert [int(e) for e, _, _ in epochs] == list(range(1, 21))
    assert float(epochs[-1][1]) < 0.1 * float(epochs[0][1])
    accuracy = float(re.search(r"test accuracy (\d+\.\d+)%", out)[1])
    assert accuracy >= 96
    matrix = re.findall(r"^ +(\d)((?: +[\d.]+){10})$", out, re.M)
    assert [int(k) for k, _ in matrix] == list(range(10))
    counts = np.array([[int(c.replace(".", "0")) for c in row.split()] for _, row in matrix])
    assert counts.sum() == 359 and round(100 * np.trace(counts) / 359, 2) == accuracy
    assert "misread" in out and "→" in out and "█" in out
    assert re.search(r"trained in \d+\.\d+ s", out)
    assert "%" in err  # the progress bar


def test_the_default_seed_is_zero_and_decides_everything():
    first, again, other = (
        re.sub(r"trained in .*", "", run(*words)[0]) for words in ([], ["--seed", "0"], ["--seed", "1"])
    )
    assert first == again
    assert first != other


def test_ascii_where_the_terminal_has_no_more():
    out, err = run(PYTHONIOENCODING="ascii")
    assert out.isascii() and err.isascii()
    assert "->" in out and "@@" in out


def test_median_accuracy_over_twenty_seeds(capsys):
    found = []
    for seed in range(20):
        options = arguments.parse(["--seed", str(seed)])
        data = load("digits", seed)
        net = build("mlp", options.hidden, 64, 10, seed)
        fit(net, data, options, verbose=0)
        found.append(float((net.predict_labels(data.xt).reshape(-1) == data.yt).mean()))
    with capsys.disabled():
        print(f"\ndigits, 20 seeds: median test accuracy {statistics.median(found):.2%}, worst {min(found):.2%}")
    assert statistics.median(found) >= 0.97


def test_saved_model_is_the_trained_one(tmp_path):
    path = tmp_path / "net.safetensors"
    trained, _ = run("train", "--hidden", "32,16", "--epochs", "8", "--save", path)
    tested, _ = run("evaluate", path, "digits")
    accuracy = re.search(r"test accuracy .*", trained)[0]
    assert accuracy in tested
    assert trained.split("true class")[1].split("\n\n")[0] == tested.split("true class")[1].split("\n\n")[0]
    from safetensors.numpy import load_file

    assert {name: array.shape for name, array in load_file(path).items()} == {
        "0.weight": (32, 64), "0.bias": (32,), "2.weight": (16, 32), "2.bias": (16,),
        "4.weight": (10, 16), "4.bias": (10,),
    }  # fmt: skip


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_plot(tmp_path, ending):
    path = tmp_path / f"curves.{ending}"
    run("--epochs", "2", "--plot", path)
    assert path.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r")


@pytest.mark.parametrize("optimizer", arguments.OPTIMIZERS)
def test_every_optimizer_learns(optimizer):
    out, _ = run("train", "--model", "softmax", "--optimizer", optimizer, "--epochs", "5")
    assert float(re.search(r"test accuracy (\d+\.\d+)%", out)[1]) > 85


def write_csv(path, rows=120, sep=",", names=("red", "green", "blue")):
    rng = np.random.default_rng(0)
    lines = [sep.join(["a", "b", "label"])]
    for i in range(rows):
        a, b = rng.standard_normal(2) + 4 * np.array([i % 3 == 1, i % 3 == 2])
        lines.append(sep.join([f"{1000 * a:.4f}", f"{b:.5f}", names[i % 3]]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_training_on_a_csv_file(tmp_path):
    path, model = write_csv(tmp_path / "points.csv"), tmp_path / "m.safetensors"
    out, _ = run("train", "--data", path, "--hidden", "8", "--epochs", "60", "--save", model)
    assert "96 samples to learn from, 24 to test on, 2 features" in out
    assert float(re.search(r"test accuracy (\d+\.\d+)%", out)[1]) > 90
    assert "blue" in out and "green" in out and "red" in out
    whole, _ = run("evaluate", model, path)  # the model takes raw values: 1000 a, not standardised ones
    assert "120 samples" in whole
    assert float(re.search(r"test accuracy (\d+\.\d+)%", whole)[1]) > 90


def test_training_on_an_npz_file(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 255, (200, 8, 8), dtype=np.uint8)
    y = (x[:, :4].mean((1, 2)) > x[:, 4:].mean((1, 2))).astype(np.int64)
    np.savez_compressed(tmp_path / "d.npz", x_train=x[:150], y_train=y[:150], x_test=x[150:], y_test=y[150:])
    out, _ = run("train", "--data", tmp_path / "d.npz", "--model", "softmax", "--epochs", "30")
    assert "150 samples to learn from, 50 to test on, 64 features" in out


def test_tables_read_what_they_say(tmp_path):
    table = read(write_csv(tmp_path / "t.csv", 6, ";"))
    assert table.columns == ["a", "b"] and table.names == ["blue", "green", "red"] and table.y.tolist() == [2, 1, 0] * 2
    (tmp_path / "plain.csv").write_text("1,2,0\n3,4,1\n")
    plain = read(tmp_path / "plain.csv")
    assert plain.x.tolist() == [[1, 2], [3, 4]] and plain.y.tolist() == [0, 1] and plain.names == ["0", "1"]


def test_info():
    out, _ = run("info")
    for words in ("pyneuro", "instruction set", "threads", "compiler", "Python", "numpy"):
        assert words in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "--data", "nowhere.csv"], "no file nowhere.csv"),
        (["train", "--data", "nowhere.xlsx"], "end with .csv or .npz"),
        (["train", "--save", "model.h5"], "should end with .safetensors"),
        (["train", "--save", "no/such/folder/m.safetensors"], "no folder"),
        (["train", "--plot", "curves.txt"], "should end with"),
        (["train", "--hidden", "1000000000"], "MemoryError|memory|GiB"),
        (["evaluate", "nowhere.safetensors", "digits"], "no file nowhere.safetensors"),
        (["evaluate", "README.md", "digits"], "README.md"),
    ],
)
def test_errors_are_one_sentence(words, sentence):
    assert re.search(sentence, refused(*words))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("a,label\n", "no sample"),
        ("a,label\n1,0\n2\n", "line 3 has 1 column"),
        ("a,label\n1,0\nx,1\n", "line 3, column 1 holds 'x'"),
        ("a,label\n1,0\nnan,1\n", "line 3, column 1 holds 'nan'"),
        ("a,label\n1,0\n,1\n", "line 3, column 1 is empty"),
        ("a,label\n1,0.5\n2,1\n", "label of sample 0 is 0.5"),
        ("a,label\n1,1\n2,1\n", "at least two classes"),
    ],
)
def test_bad_tables_are_one_sentence(tmp_path, text, sentence):
    (tmp_path / "bad.csv").write_text(text)
    assert sentence in refused("train", "--data", tmp_path / "bad.csv")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "--epochs", "0"], "--epochs: '0' is not a positive whole number"),
        (["train", "--epochs", "x"], "--epochs: 'x' is not a positive whole number"),
        (["--batch-size", "1.5"], "--batch-size: '1.5' is not a positive whole number"),
        (["train", "--lr", "-1"], "--lr: '-1' is not a number above 0"),
        (["train", "--lr", "nan"], "--lr: 'nan' is not a number above 0"),
        (["train", "--seed", str(2**64)], "is not a seed"),
        (["train", "--seed", "x"], "--seed: 'x' is not a seed"),
        (["train", "--hidden", "8,x"], "--hidden: '8,x' is not a list of layer sizes"),
        (["train", "--model", "cnn"], "invalid choice: 'cnn'"),
        (["dance"], "invalid choice: 'dance'"),
        (["fetch"], "required: NAME, --to"),
        (["fetch", "iris", "--to", "x"], "invalid choice: 'iris'"),
        (["evaluate"], "required: MODEL, DATA"),
        (["info", "more"], "unrecognized arguments: more"),
        (["train", "--bogus"], "unrecognized arguments: --bogus"),
    ],
)
def test_wrong_arguments_are_code_two(words, sentence):
    """One sentence that names the option, and where to read on."""
    line = refused(*words, code=2)
    assert sentence in line
    assert line.endswith("--help")


def test_version():
    import pyneuro

    assert run("--version") == (f"pyneuro {pyneuro.__version__}\n", "")


def test_a_convolutional_net_from_training_to_evaluation(tmp_path):
    """Pictures with their channel, scaled by the first layer; the saved net takes raw ones; the seed decides."""
    model = tmp_path / "net.safetensors"
    words = ["train", "--model", "mnist_cnn", "--epochs", "3", "--augment"]
    out, _ = run(*words, "--save", model)
    assert "Conv2d" in out and "Normalize" in out
    accuracy = float(re.search(r"test accuracy (\d+\.\d+)%", out)[1])
    assert accuracy > 90
    assert "misread" in out
    again, _ = run("evaluate", model, "digits")
    assert f"test accuracy {accuracy:.2f}%" in again
    moved, plain = (re.findall(r"^ +3  .*", run(*w)[0], re.M) for w in (words, words[:-1]))
    assert moved == re.findall(r"^ +3  .*", out, re.M)
    assert moved != plain


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model", "lenet5"], "lenet5 takes pictures of 28 or 32 pixels a side, not of 8"),
        (["--augment"], "--augment moves pictures, but mlp takes rows of numbers"),
    ],
)
def test_convolutional_nets_want_pictures(words, sentence, tmp_path):
    assert sentence in refused("train", *words)
    path = tmp_path / "points.csv"
    path.write_text("a,b,label\n" + "1,2,x\n3,4,y\n" * 10)
    assert "takes pictures, but the samples" in refused("train", "--data", path, "--model", "resnet20")


def test_statistics_of_channels():
    x = np.random.default_rng(0).integers(0, 256, (2500, 3, 2, 2)).astype(np.uint8)
    x[:, 2] = 7
    mean, std = channel_statistics(x)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(std, [*x[:, :2].std(axis=(0, 2, 3)), 1.0])
    raw = standardised(x.reshape(2500, 12), np.full(12, 3.0), np.full(12, 2.0))
    assert raw.dtype == np.float32
    np.testing.assert_allclose(raw, (x.reshape(2500, 12) - 3.0) / 2)


def test_fetch_without_network_is_one_sentence(tmp_path):
    dead = "http://127.0.0.1:9"
    more = {
        "http_proxy": dead,
        "https_proxy": dead,
        "HTTPS_PROXY": dead,
        "PYNEURO_DATA": "",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    assert "mnist" in refused("fetch", "mnist", "--to", tmp_path / "data", **more)


def interruptible():
    """A shell that starts the tests in the background makes them ignore Ctrl-C, and that is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows sends Ctrl-C to all programs of a console")
def test_control_c_is_code_130():
    """In the middle of a training: the progress bar has named an epoch."""
    with subprocess.Popen(
        [sys.executable, "-m", "pyneuro", "--epochs", "1000000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=interruptible,
    ) as child:
        patience = threading.Timer(300, child.kill)
        patience.start()
        seen = b""
        while b"epoch " not in seen and (piece := os.read(child.stderr.fileno(), 4096)):
            seen += piece
        child.send_signal(signal.SIGINT)
        _, err = child.communicate()
        patience.cancel()
    assert b"epoch " in seen
    assert child.returncode == 130
    assert b"Traceback" not in err


def test_main_returns_its_code(capsys):
    assert main(["info"]) == 0
    assert main(["evaluate", "nothing.safetensors", "digits"]) == 1
    assert "pyneuro: there is no file" in capsys.readouterr().err
