"""Alert rules as code: find mistakes in them, and try them on documents without Elasticsearch.

:mod:`.files` reads a rule as ElastAlert2 would and remembers its lines, :mod:`.lint` finds what
ElastAlert2 does not, :mod:`.query` evaluates a rule's real filter on a document, :mod:`.corpus`
reads the examples in ``elastalert_rules/corpus``, and :mod:`.offline` runs them through
ElastAlert2's own rule classes.
"""
