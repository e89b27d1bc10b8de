"""The log watcher: the alert rules on log files, without Elasticsearch."""
