"""The Kibana dashboards: from the YAML sources to NDJSON, its checks and its import."""
