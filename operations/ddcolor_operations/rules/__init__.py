"""Alert rules as code: find mistakes in them, explain them, and try them on documents.

:mod:`.files` reads a rule as ElastAlert2 would and remembers its lines, :mod:`.lint` with
:mod:`.content` finds what ElastAlert2 does not, :mod:`.explain` says in words what a rule does,
:mod:`.corpus` reads the examples in ``elastalert_rules/corpus``, :mod:`.offline` runs documents
through ElastAlert2's own rule classes, and :mod:`.backtest` those that lie in Elasticsearch.
"""
