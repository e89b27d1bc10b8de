"""Elasticsearch and the collectors: how they are started, set up and read."""
