"""The HTML report of a run: one self-contained file made from Elasticsearch and the run's facts."""
