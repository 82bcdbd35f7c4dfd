"""A robot behind ros2_control: where its arm is, and how it is commanded."""
