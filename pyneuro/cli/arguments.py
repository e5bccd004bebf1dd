"""Words and options of the command line."""

from __future__ import annotations

import argparse

OPTIMIZERS = ("adam", "adamw", "sgd", "momentum", "rmsprop", "adagrad")
MODELS = {"mlp": "dense layers with ReLU between them", "softmax": "one dense layer: logistic regression for K classes"}
PICTURE_MODELS = {
    "lenet5": "the convolutional net of 1998, for 28 or 32 pixels a side",
    "mnist_cnn": "two convolutions and two dense layers",
    "resnet20": "a residual net of 20 layers",
    "plain20": "the same without its shortcuts",
}
NAMED = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar10-small")
FETCHED = ("mnist", "fashion-mnist", "cifar10")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence; the long list of options is for `--help`."""

    def error(self, message: str):
        """Ends the process with code 2."""
        self.exit(2, f"pyneuro: {message.removeprefix('argument ')}; see {self.prog} --help\n")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -1


def _positive(text: str) -> int:
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return number


def _rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below 1e6")
    return number


def _sizes(text: str) -> list[int]:
    try:
        return [_positive(part) for part in text.split(",")] if text.strip() else []
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of layer sizes such as 128,64") from None


def _seed(text: str) -> int:
    number = _whole(text)
    if not 0 <= number < 2**64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed: expected a whole number from 0 to 2^64 - 1")
    return number


def _with_train_options(parser: argparse.ArgumentParser) -> None:
    from .train import run

    data = f"{', '.join(NAMED)}, or a file .csv or .npz (format: pyneuro/cli/tables.py); default digits"
    parser.add_argument("--data", default="digits", metavar="NAME|FILE", help=data)
    known = {**MODELS, **PICTURE_MODELS}
    kinds = "; ".join(f"{name}: {text}" for name, text in known.items())
    parser.add_argument("--model", default="mlp", choices=sorted(known), help=f"{kinds} (default mlp)")
    parser.add_argument(
        "--hidden", type=_sizes, default=[128], metavar="N,N", help="hidden layers of the mlp (default 128)"
    )
    parser.add_argument(
        "--augment", action="store_true", help="move pictures a little while training, flip colour ones"
    )
    parser.add_argument("--epochs", type=_positive, metavar="N", help="default 20, beyond 20 000 samples 5")
    parser.add_argument("--batch-size", type=_positive, default=32, metavar="N", help="default 32")
    parser.add_argument("--optimizer", default="adam", choices=OPTIMIZERS, help="default adam")
    parser.add_argument("--lr", type=_rate, help="learning rate (default: adam, adamw, rmsprop 2e-3, the others 0.1)")
    parser.add_argument("--seed", type=_seed, default=0, help="of split, initial weights and shuffling (default 0)")
    parser.add_argument("--save", metavar="FILE.safetensors", help="keep the trained model")
    parser.add_argument("--plot", metavar="FILE.svg|png", help="draw the learning curves (needs matplotlib)")
    parser.set_defaults(run=run)


def parser() -> argparse.ArgumentParser:
    """The parser of ``python -m pyneuro``."""
    from pyneuro import __version__

    from . import evaluate, fetch, info

    top = Parser(
        prog="python -m pyneuro",
        description="Neural networks for the lecture hall. Without a command: train on the bundled digits.",
    )
    top.add_argument("--version", action="version", version=f"pyneuro {__version__}", help="print the version")
    _with_train_options(top)
    commands = top.add_subparsers(title="commands", metavar="{train,evaluate,info,fetch}")
    _with_train_options(commands.add_parser("train", help="train a network and show how it does"))
    one = commands.add_parser("evaluate", help="test a saved model on data")
    one.add_argument("model", metavar="MODEL", help="a .safetensors file that train --save or net.save wrote")
    one.add_argument("data", metavar="DATA", help=f"{', '.join(NAMED)}, or a file .csv or .npz")
    one.add_argument("--seed", type=_seed, default=0, help="which part of the digits is the test part (default 0)")
    one.set_defaults(run=evaluate.run)
    commands.add_parser("info", help="versions, instruction set, threads, compiler").set_defaults(run=info.run)
    one = commands.add_parser("fetch", help="download data sets into a folder for PYNEURO_DATA")
    one.add_argument("names", nargs="+", metavar="NAME", choices=FETCHED, help=" ".join(FETCHED))
    one.add_argument("--to", required=True, metavar="DIR", help="the folder; created when it is not there")
    one.set_defaults(run=fetch.run)
    return top


def parse(argv: list[str]) -> argparse.Namespace:
    """The options; a wrong argument ends the process with code 2, as argparse does."""
    return parser().parse_args(argv)
