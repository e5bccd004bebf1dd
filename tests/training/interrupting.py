"""A real SIGINT at a wanted moment of a call, and how long the exception took."""

import os
import signal
import threading
import time

import numpy as np

PATIENCE = 300  # seconds until a test gives up what should have happened long ago


def clocks():
    """Now, and the time for which this process has had a core."""
    return np.array([time.perf_counter(), time.process_time()])


def interrupted(call, delay, begun=None):
    """Seconds from the signal to the exception: those passed, and those that this process had a core (or several: their
    sum). `call` must not end by itself. begun: an event to wait for first.
    """
    sent = []

    def send():
        if begun is not None:
            begun.wait(PATIENCE)
        time.sleep(delay)
        sent.append(clocks())
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    try:
        sender.start()
        call()
    except KeyboardInterrupt:
        caught = clocks()
        sender.join()
        return caught - sent[0]
    raise AssertionError("the call ended before the signal")
