"""What ElastAlert2 loads by dotted path, and the launcher that runs it.

The package runs in ElastAlert2's own environment, so it may import ``elastalert``, ``requests`` and
the standard library only. ``python -m ddcolor_alerts.launcher --help`` says how to start it.

========================= ==================================================================
:mod:`.alerter`           hands matches to the notifier (``alert:``)
:mod:`.consecutive`       N failures in a row (``type:``)
:mod:`.redaction`         removes paths, addresses and secrets (``match_enhancements:``)
:mod:`.loader`            loads rule files, and refuses a broken one without stopping the rest
:mod:`.runner`            ElastAlert2 without its random delays and its gaps after a restart
:mod:`.offline`           runs rule classes on documents without Elasticsearch, for rule tests
========================= ==================================================================
"""
