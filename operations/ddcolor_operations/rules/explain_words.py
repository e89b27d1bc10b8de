"""The words of explanations, by language."""

from __future__ import annotations

LANGUAGES = ("zh", "en")

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "colon": ": ",
        "level": "level {level}: {who}",
        "1": "recorded only",
        "2": "chat (WeCom, DingTalk)",
        "3": "chat, SMS, mail, and the healer",
        "heartbeat": "no alert: a heartbeat of the alerting chain for the notifier",
        "kind": "Kind",
        "from_record": "the one that the record says",
        "off": "Switched off (is_enabled: false)",
        "looks": "Looks at records in {index} of which all of this holds:",
        "fires": "Fires",
        "any": "at every such record.",
        "frequency": "at the {num_events}th such record within {timeframe}; counted apart by"
        " {key}.",
        "flatline": "when fewer than {threshold} such records came within {timeframe}; counted"
        " apart by {key}.",
        "consecutive": "each time {threshold} records in a row have {failure}, with none between"
        " them that has {success}; counted apart by {key}.",
        "silence": "when a {key} that gave signs of life ({sign}) gives none for {length} while"
        " others are heard, unless it said good-bye ({bye}).",
        "percentile": "at a record whose {field} is above {above}, when the p{percentile} of at"
        " least {min_count} records within {timeframe} is above that too; measured apart by {key}.",
        "lowest": "when {field} is above {above} in all of at least {min_count} records within"
        " {timeframe}; measured apart by {key}.",
        "share": "when more than {percent} of at least {min_count} records within {timeframe} have"
        " {match}; measured apart by {key}.",
        "other": "as the rule type {type} of ElastAlert2 says.",
        "all": "nothing",
        "held": "Held back",
        "realert": "For {length} after an alert the rule says nothing more of the same {key}.",
        "notifier": "The notifier speaks once in 5 minutes of the same service, kind and level,"
        " and says how many it held back.",
        "identity": "Two records with the same {fields} are one alert.",
        "values": "Shows",
        "runbook": "What to look at first",
        "action": "Suggested action",
        "false_positives": "Fires although all is well",
        "owner": "Owner",
        "tune": "To tune it, change in {file}:",
        "after": "Then run: ddcolor-obs rules lint; ddcolor-obs rules test {name};"
        " ddcolor-obs rules backtest {name} --last 7d",
        "weeks": "{} weeks",
        "days": "{} days",
        "hours": "{} h",
        "minutes": "{} min",
        "seconds": "{} s",
        "milliseconds": "{} ms",
    },
    "zh": {
        "colon": "：",
        "level": "{level} 级：{who}",
        "1": "只记录",
        "2": "群消息（企业微信、钉钉）",
        "3": "群消息、短信、邮件，并请求自愈",
        "heartbeat": "不是告警：告警链路发给通知器的心跳",
        "kind": "类型",
        "from_record": "以记录自己的类型为准",
        "off": "已停用（is_enabled: false）",
        "looks": "查看 {index} 中满足以下全部条件的记录：",
        "fires": "何时触发",
        "any": "每出现一条这样的记录。",
        "frequency": "{timeframe}内出现第 {num_events} 条这样的记录；按 {key} 分别计数。",
        "flatline": "{timeframe}内这样的记录少于 {threshold} 条；按 {key} 分别计数。",
        "consecutive": "每连续 {threshold} 条记录满足 {failure}，且其间没有一条满足 {success}；"
        "按 {key} 分别计数。",
        "silence": "曾有心跳（{sign}）的 {key} 超过 {length}没有心跳，而其他部分仍有记录到达；"
        "正常停止（{bye}）的除外。",
        "percentile": "某条记录的 {field} 高于 {above}，且 {timeframe}内至少 {min_count} 条记录的"
        " P{percentile} 也高于它；按 {key} 分别计算。",
        "lowest": "{timeframe}内至少 {min_count} 条记录的 {field} 全部高于 {above}；"
        "按 {key} 分别计算。",
        "share": "{timeframe}内至少 {min_count} 条记录中，满足 {match} 的超过 {percent}；"
        "按 {key} 分别计算。",
        "other": "按 ElastAlert2 的规则类型 {type}。",
        "all": "（不分组）",
        "held": "如何抑制",
        "realert": "告警后 {length}内，同一 {key} 不再告警。",
        "notifier": "同一服务、类型和级别，通知器 5 分钟内只通知一次，下一条会说明其间抑制了几次。",
        "identity": "{fields} 相同的两条记录是同一条告警。",
        "values": "附带数值",
        "runbook": "先看什么",
        "action": "建议操作",
        "false_positives": "可能的误报",
        "owner": "负责人",
        "tune": "如需调整，修改 {file} 中的：",
        "after": "然后运行：ddcolor-obs rules lint；ddcolor-obs rules test {name}；"
        "ddcolor-obs rules backtest {name} --last 7d",
        "weeks": "{} 周",
        "days": "{} 天",
        "hours": "{} 小时",
        "minutes": "{} 分钟",
        "seconds": "{} 秒",
        "milliseconds": "{} 毫秒",
    },
}
