"""Looking inside networks: what layers answer to, what an answer rests on, and the cells that began it all.

Everything runs on the ordinary graph: forward hooks see what layers make, and gradients with respect to the image are
gradients like any other. Networks stay as they are: parameters, gradients, buffers and modes.

>>> import numpy as np
>>> from pyneuro import inspect, nn
>>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10), seed=0)
>>> {name: maps.shape for name, maps in inspect.activations(net, np.ones((2, 1, 8, 8))).items()}
{'0': (2, 4, 6, 6), '1': (2, 4, 6, 6), '2': (2, 144), '3': (2, 10)}

filters, activations, gradient_norms, receptive_field, top_patches: what is in a layer. saliency, occlusion, gradcam:
what an answer rests on. maximize: the image that a unit likes best. gabor, simple_cells, complex_cells: Hubel and
Wiesel. show, overlay: pictures of all this; they need matplotlib.
"""

from pyneuro.inspect.attribution import gradcam, occlusion, saliency
from pyneuro.inspect.cortex import complex_cells, gabor, simple_cells
from pyneuro.inspect.dream import Maximized, maximize
from pyneuro.inspect.figures import overlay, show
from pyneuro.inspect.layers import activations, filters, gradient_norms
from pyneuro.inspect.patches import Patches, receptive_field, top_patches

__all__ = [
    "Maximized", "Patches", "activations", "complex_cells", "filters", "gabor", "gradcam", "gradient_norms",
    "maximize", "occlusion", "overlay", "receptive_field", "saliency", "show", "simple_cells", "top_patches",
]  # fmt: skip
