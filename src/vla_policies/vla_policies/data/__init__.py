"""Windows of episodes to train on, from any number of files. See docs/loading.md."""

from vla_policies.data.act import act_tensors, act_windows
from vla_policies.data.dataset import EpisodeDataset
from vla_policies.data.loader import window_loader
from vla_policies.data.sampling import OnePerEpisode, Shuffled
from vla_policies.data.window import Window, WindowSpec

__all__ = [
    "EpisodeDataset",
    "OnePerEpisode",
    "Shuffled",
    "Window",
    "WindowSpec",
    "act_tensors",
    "act_windows",
    "window_loader",
]
