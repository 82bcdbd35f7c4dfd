"""rosbag2 bags (MCAP or sqlite3, compressed or not), read without ROS."""

from vla_recorder.bags.reader import BagError, BagMessage, BagReader, BagTopic, SerializedMessage

__all__ = ["BagError", "BagMessage", "BagReader", "BagTopic", "SerializedMessage"]
