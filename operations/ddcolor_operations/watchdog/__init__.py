"""The watchdog: sees that the notifier is dead, and says so itself.

The notifier speaks when the chain before it is silent (:mod:`ddcolor_operations.notifier.paths`);
nobody would hear of its own death. This small process asks its ``/healthz`` and, when there is no
answer for a while, sends one message straight to the notifier's channels, and one when it is back.

    ddcolor-obs watchdog --config notifier.yaml            # a part of a stack
    ddcolor-obs watchdog --config notifier.yaml --once     # for cron, on another machine

What a stack has to give it:

* the notifier's configuration file and read access to the secrets that it names (the same mounts
  and, for ``{secret: NAME}``, the same store and key), because it sends by the same channels;
* ``DDCOLOR_NOTIFIER_URL`` or ``--url`` where the configuration's ``host`` and ``port`` do not lead
  to the notifier (in a container: ``http://notifier:8085``);
* a place for ``--state`` that outlives a restart, so that a message is sent once; the default,
  ``watchdog.json`` in the notifier's ``data_dir``, is right where both run as one user;
* ``DDCOLOR_NOTIFIER_*`` as the notifier has them, for language and time zone; but
  ``--log-file`` of its own, e.g. ``watchdog.jsonl`` beside the other logs.

It must not depend on the notifier's health (it would not be started when it is needed), listens on
no port, is alive as long as its process is, and ends with SIGTERM. Its exit status with ``--once``
is 0 when the notifier answers and 1 when it does not.
"""
