"""What ElastAlert2 loads by dotted path, the launcher that runs it, and the rules without it.

The package runs in ElastAlert2's own environment, so it may import ``elastalert``, ``requests`` and
the standard library only. ``python -m ddcolor_alerts.launcher --help`` says how to start it.

========================= ==================================================================
:mod:`.alerter`           hands matches to the notifier (``alert:``)
:mod:`.heartbeat`         tells the notifier that the alerting chain works (``alert:``)
:mod:`.consecutive`       N failures in a row (``type:``)
:mod:`.silence`           a service that gives no sign of life (``type:``)
:mod:`.window`            a percentile, share or lowest value over a span (``type:``)
:mod:`.redaction`         removes paths, addresses and secrets (``match_enhancements:``)
:mod:`.loader`            loads rule files, and refuses a broken one without stopping the rest
:mod:`.runner`            ElastAlert2 without its random delays and its gaps after a restart
:mod:`.stream`            the rules without Elasticsearch, for the log watcher
:mod:`.offline`           the rules on series of documents, for tests and for looking back
========================= ==================================================================

:mod:`.query` with :mod:`.fields` and :mod:`.values` evaluates filters; it needs the standard
library only, so others may import it.
"""
