"""What is downloaded or built once and cached: Elasticsearch, the collectors, ElastAlert2.

Each ``ensure`` is idempotent, can be cut off at any time and goes on at the next call.
"""
