"""Episodes as web pages: one file each, that needs nothing else and no network."""

from vla_recorder.pages.episode import write_episode_page
from vla_recorder.pages.listing import write_list_page

__all__ = ["write_episode_page", "write_list_page"]
