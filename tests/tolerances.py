"""How close numbers must be: the one table, each line with its reason. `{dtype: bound}`, or words of assert_allclose.

Comparisons with PyTorch, of the modes with each other, and gradients take their bounds from here. Exact claims (the
same bits, integers, copies) need none. A number that a lecture prints is compared to its printed digits, beside it.
"""

# ---- gradients against finite differences ----

# Central differences: the rule's error is step^2 f''' / 6, rounding's 2^-53 / step; both are below 1e-9 of the values.
DIFFERENCE_STEP = 1e-6
# float32 against float64: a rounding is 1.2e-7, which exponentials and sums of 600 terms multiply.
GRADIENT = {"float64": 1e-7, "float32": 2e-4}
DIRECTION = 1e-7  # a directional derivative, by the same rule

# ---- against PyTorch ----

# Ops, relative to the largest value of the tensor: sums are rounded in another order than PyTorch's, whose float32 sums
# run in float32, so that a result near 0 has the error of its terms (up to 5000 of them).
OPS = {"float32": 2e-6, "float64": 1e-14}
# Layers and losses: both sides round differently in at most a few hundred operations.
LAYERS = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-11, "atol": 1e-12}}
# Methods of tensors: a few units in the last place of exp, log and tanh, and sums in another order.
TENSORS = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-12, "atol": 1e-13}}
# Winograd's convolution, by the size of its tiles, relative to the largest value of the tensor (of at least 1): each
# transformed number is a sum, which loses one bit with tiles of 2 x 2 and up to four with 4 x 4.
WINOGRAD = {
    "winograd2": {"float32": 2e-6, "float64": 4e-15},
    "winograd4": {"float32": 4e-6, "float64": 8e-15},
}
# Its float32 error on layers of networks with normal numbers, relative to the root mean square of the results: (root
# mean square, largest). Plain sums have 3e-7 and 3e-6; kernels/winograd_impl.h names what was measured.
WINOGRAD_LAYERS = {"winograd2": (7e-7, 5e-6), "winograd4": (2e-6, 2.5e-5)}
SMALLEST = 1e-38  # below the normal float32 numbers a relative error means nothing
# 50 steps of an optimiser: the same formulas in the same order, a few roundings apart in each step.
OPTIMISERS = {"float64": {"rtol": 1e-11, "atol": 1e-13}, "float32": {"rtol": 2e-5, "atol": 1e-6}}

# ---- plan against teaching mode ----

# After 20 steps: float64 keeps nearly all digits, float32 rounds in other places (sums run in another order).
MODES = {"float64": 1e-12, "float32": 1e-5}
# The same where the plan takes Winograd's convolution, which costs a few bits, and batch norm divides by deviations.
MODES_WINOGRAD = {"float64": 1e-12, "float32": 1e-4}
# Adam divides by the root of a mean square that may be tiny: a rounding error can move a weight by a part of lr.
ADAM_FACTOR = 100
# The same, with weights of any random data: after 2 epochs of Adam in float32, and the means of its losses.
FITS = {"rtol": 1e-4, "atol": 1e-5}

# Gradients of one recording with and without fusion, in float64: what is fused adds in another order.
FUSION = {"rtol": 1e-11, "atol": 1e-15}

# ---- what a training reaches: no rounding, but how far it has come ----

REACHED = 1e-3

# ---- one formula computed twice ----

# In float64 with the sums in another order; where a few operations are compared, nearly the last place.
SAME, NEARLY_BITS, LAST_PLACE = 1e-12, 1e-14, 1e-15
SINGLE = 1e-6  # a few roundings of float32
SINGLE_MEAN = {"rel": 1e-5, "abs": 1e-7}  # a mean of rounded squares
PRODUCTS = 1e-10  # sums of products of numbers up to 100, in another order, as an absolute error
# Units in the last place of elementwise functions: the vector functions promise 2 in float32; in float64 they promise 2
# (tests/c/accuracy.c), and NumPy's own value and the functions made of two take the rest.
ULPS = {"float32": 2, "float64": 4}
