"""The demo: the main job and every fault for real, judged by what the receivers got."""
