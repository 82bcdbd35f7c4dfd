"""Playback's messages, publishers and status."""
