"""How networks are trained, evaluated and asked: what stands behind the methods of `pyneuro.train.Trainable`.

arrays.py    data in any form -> named arrays with one row a sample
program.py   network, losses and metrics -> one function that can be recorded
plans.py     that function -> compiled plans, one a batch size
runners.py   plans (or, for dynamic networks, teaching mode) -> epochs
loop.py      epochs -> a training with callbacks, validation, stopping, checkpoints
ask.py       evaluate and predict
"""
