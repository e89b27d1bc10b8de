"""The notifier: takes alerts over HTTP, keeps them on disk, and delivers each once per channel.

``python -m ddcolor_operations.notifier --config FILE`` starts it; docs/alerts.md is its manual.

An alert is answered only when it is on disk (:mod:`.outbox`). The same fault of the same service
speaks once in five minutes; each channel has a delivery of its own with its own retries
(:mod:`.deliveries`), so one robot that is down delays no other. A message that a channel confirmed
is never sent again; one whose fate is unknown (the process died, or the answer never came) is sent
again and says so.

A fault that nobody takes on (:mod:`.acknowledgements`) calls others (:mod:`.routing`), and its end
is said (:mod:`.episodes`). When a path by which alerts come brings no heartbeat any more, the
notifier speaks by itself (:mod:`.paths`); when the notifier itself is dead,
:mod:`ddcolor_operations.watchdog` does.
"""
