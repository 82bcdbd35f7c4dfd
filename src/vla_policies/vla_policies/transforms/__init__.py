"""Between what the robot gives and takes and what a network sees and outputs: pairs that undo each other where they can.

Images have their size, and how they get it, in ``spec.cameras``; vectors go through ``spec.transforms`` (:mod:`chain`), offsets
from the positions (``spec.action_reference``) and normalisation. Prompts are the families' own.
"""

from vla_policies.transforms.chain import Chain, TransformConfig
from vla_policies.transforms.images import images_to_tensor, resize_image, tensor_to_images
from vla_policies.transforms.protocol import Transform
from vla_policies.transforms.reference import ActionReference

__all__ = [
    "ActionReference",
    "Chain",
    "Transform",
    "TransformConfig",
    "images_to_tensor",
    "resize_image",
    "tensor_to_images",
]
