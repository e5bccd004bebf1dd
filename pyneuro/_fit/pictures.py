"""`fit(augment=...)`: what the core is told, and what would go wrong unnoticed."""

from pyneuro import augment as augmentation


def changes(given):
    """The argument of fit as a list of changes; [] for None. ValueError for what belongs to the network."""
    found = [] if given is None else augmentation.listed("fit: augment", given)
    if any(isinstance(t, augmentation.Normalize) for t in found):
        raise ValueError(
            "fit: augment changes pictures in training alone, but what is validated and predicted must be normalized "
            "too: leave Normalize out of the list, and begin the network with the layer nn.Normalize(mean, std)"
        )
    return found


def plan(found, x, targets):
    """(numbers, shape of a picture) for the pictures `x` (a Tree), None when nothing is to be changed."""
    if not found:
        return None
    shape = x.parts[0].array.shape
    if x.kind != "one" or len(shape) not in (3, 4):
        given = f"shape {shape}" if x.kind == "one" else f"{len(x.parts)} parts"
        hint = "; datasets.mnist(channels=True) gives such" if len(shape) == 2 else ""
        raise ValueError(f"fit: augment changes pictures, X must be (N, C, H, W) or (N, H, W), it has {given}{hint}")
    for p in targets.parts if targets else ():
        if p.array.ndim > 2 and p.array.shape[-2:] == shape[-2:]:
            raise ValueError(
                f"fit: augment changes X alone, but {p.name} has shape {p.array.shape}, a picture for each picture, "
                "which would have to change in the same way: change both beforehand"
            )
    shape = (1, *shape[1:]) if len(shape) == 3 else shape[1:]
    code, behind = augmentation.encode(found, shape)
    if behind != shape:
        raise ValueError(
            f"fit: augment makes pictures of {behind[1]} x {behind[2]} pixels, but those that are validated and "
            f"predicted have {shape[1]} x {shape[2]}: changes must keep the size, as RandomCrop({shape[1:]}, padding=4)"
        )
    return code, shape
