"""The data in Elasticsearch: how it is set up, whether all is well, how long it is kept."""
