"""The catalogue of faults: kind, keyword, level and what to do, in Chinese and English.

The one truth that the service's log lines, the alert rules, the messages, the dashboards and the
docs read. Standard library only, so that any of them can import it.

A keyword stands in exactly one log record per fault (the one that carries ``comfyui.error.kind``
and says it first), so a keyword rule counts each fault once. The keyword of a ``derived`` kind
stands in no record: a rule finds the fault over many of them, or in their absence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How loudly a fault speaks."""

    RECORD = 1
    CHAT = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Text:
    """One text in the languages of the messages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One kind of fault.

    ``action`` speaks to the operator. ``user_action`` speaks to the person who sent the photo, who
    can neither open a trace nor restart a service; kinds that never reach that person have none.
    ``escalates`` says that three in a row without a success between them are of level 3. ``users``
    says that the cause lies in what a user sent, not in the service. ``derived`` says that no
    record tells of it.
    """

    name: str
    keyword: str
    level: Level
    title: Text
    action: Text
    user_action: Text | None = None
    escalates: bool = False
    users: bool = False
    derived: bool = False


_KINDS = (
    ErrorKind(
        "decode_failed",
        "Failed to decode image",
        Level.CHAT,
        Text("照片无法解码", "A photo could not be decoded"),
        Text(
            "请用户重新上传 JPG/PNG 原图；若多名用户同时出现，检查上传链路和磁盘。",
            "Ask the user for the original JPG or PNG; if several users are hit at once, check the"
            " upload path and the disk.",
        ),
        user_action=Text(
            "请上传 JPG 或 PNG 原图；如果相册能打开这张照片，请另存为 JPG 后再试。",
            "Upload the original JPG or PNG; if a photo app opens it, save it as JPG there and try"
            " again.",
        ),
        users=True,
    ),
    ErrorKind(
        "image_truncated",
        "Truncated image",
        Level.CHAT,
        Text("照片文件不完整", "A photo's file is incomplete"),
        Text(
            "请用户重新上传；若频繁出现，检查代理的超时和请求体大小限制。",
            "Ask the user to upload again; if it is frequent, check the proxy's time-outs and body"
            " size limit.",
        ),
        user_action=Text(
            "请重新上传；若仍不行，请换一份完整的原图。",
            "Upload it again; if that does not help, use a complete copy of the original.",
        ),
        users=True,
    ),
    ErrorKind(
        "image_too_large",
        "Image too large",
        Level.CHAT,
        Text("照片过大", "A photo is too large"),
        Text(
            "请用户缩小照片后重试，或在配置中提高像素上限（先确认显存）。",
            "Ask the user for a smaller photo, or raise the pixel limit after checking the memory.",
        ),
        user_action=Text("请把照片缩小后重新上传。", "Make the photo smaller and upload it again."),
        users=True,
    ),
    ErrorKind(
        "model_not_loaded",
        "Model not loaded",
        Level.CRITICAL,
        Text("模型未加载", "A model could not be loaded"),
        Text(
            "检查模型文件是否存在、完整且与版本相符，然后重新加载模型；必要时切换到备用实例。",
            "Check that the checkpoint is there, whole and of the right variant, then reload it;"
            " switch to the spare instance if need be.",
        ),
        user_action=Text(
            "照片没有问题。请过几分钟重试；若仍失败，请把编号告诉管理员。",
            "Your photo is fine. Try again in a few minutes; if it still fails, tell the operator"
            " the number below.",
        ),
        escalates=True,
    ),
    ErrorKind(
        "out_of_memory",
        "Out of memory",
        Level.CHAT,
        Text("显存或内存不足", "GPU or host memory ran out"),
        Text(
            "降低输入尺寸（人物 480–672，建筑 960–1280），释放显存；若连续出现，重启服务。",
            "Lower the input size (person 480–672, building 960–1280) and free the memory; restart"
            " the service if it goes on.",
        ),
        user_action=Text(
            "请把尺寸调到建议范围内，或缩小照片后重试。",
            "Choose a size within the advice or a smaller photo, then try again.",
        ),
        escalates=True,
    ),
    ErrorKind(
        "execution_error",
        "Execution error",
        Level.CHAT,
        Text("节点执行失败", "A node failed"),
        Text(
            "打开追踪查看失败节点和异常堆栈；若刚更新过节点或模型，先回退。",
            "Open the trace and read the failed node's exception; if a node or model was updated"
            " just now, roll it back first.",
        ),
        user_action=Text(
            "请重试一次；若仍失败，请把编号告诉管理员。",
            "Try once more; if it still fails, tell the operator the number below.",
        ),
        escalates=True,
    ),
    ErrorKind(
        "inference_timeout",
        "Inference timeout",
        Level.RECORD,
        Text("推理超时", "An inference took too long"),
        Text(
            "检查显卡占用、输入尺寸和排队情况；若连续出现，重启服务。",
            "Check the GPU's load, the input size and the queue; restart the service if it goes"
            " on.",
        ),
        user_action=Text(
            "请选小一些的尺寸重试，或稍后再来。", "Try a smaller size, or come back later."
        ),
        escalates=True,
    ),
    ErrorKind(
        "output_damaged",
        "Damaged output",
        Level.CHAT,
        Text("输出图像损坏", "An output picture is damaged"),
        Text(
            "重新加载模型后重试；若仍有问题，检查模型文件的校验和与混合精度设置。",
            "Reload the model and try again; if it goes on, check the checkpoint's sha256 and the"
            " autocast setting.",
        ),
        user_action=Text(
            "请重试一次；若仍失败，请把编号告诉管理员。",
            "Try once more; if it still fails, tell the operator the number below.",
        ),
        escalates=True,
    ),
    ErrorKind(
        "service_down",
        "Service down",
        Level.CRITICAL,
        Text("服务进程退出或无响应", "The service is gone or silent"),
        Text(
            "确认服务是否已自动重启；若反复退出，查看退出信号和最后的日志（常见原因:内存不足）。",
            "See whether it was restarted; if it keeps dying, read its exit signal and last log"
            " lines (memory is the usual cause).",
        ),
        user_action=Text(
            "不用刷新页面，服务恢复后会自动继续。",
            "Leave this page open: it goes on by itself once the service is back.",
        ),
    ),
    ErrorKind(
        "alerting_down",
        "Alerting down",
        Level.CRITICAL,
        Text("告警链路无心跳", "The alerting chain is silent"),
        Text(
            "依次检查 ElastAlert2、Elasticsearch 和采集器的状态。",
            "Check ElastAlert2, Elasticsearch and the collectors, in this order.",
        ),
        derived=True,
    ),
    ErrorKind(
        "gpu_memory_high",
        "GPU memory high",
        Level.CHAT,
        Text("显存持续偏高", "GPU memory stays high"),
        Text(
            "查看同一显卡上还有谁在用，降低输入尺寸或释放显存；再涨就会显存不足。",
            "See who else uses the card, lower the input size or free the memory; what comes next"
            " is out of memory.",
        ),
        derived=True,
    ),
    ErrorKind(
        "queue_backlog",
        "Queue backlog",
        Level.CHAT,
        Text("任务排队积压", "Prompts pile up in the queue"),
        Text(
            "看是请求突增还是推理变慢；请求多则增加实例或限流，推理慢则查显卡。",
            "See whether more requests came or inferences got slower: add an instance or limit the"
            " clients for the one, look at the GPU for the other.",
        ),
        derived=True,
    ),
    ErrorKind(
        "latency_high",
        "Latency high",
        Level.CHAT,
        Text("节点耗时偏高", "A node takes long"),
        Text(
            "与平时对比该节点的耗时，检查显卡占用、输入尺寸和最近的模型变更。",
            "Compare the node's durations with its usual ones; check the GPU's load, the input"
            " sizes and recent changes of the model.",
        ),
        derived=True,
    ),
    ErrorKind(
        "error_rate_high",
        "Error rate high",
        Level.CHAT,
        Text("任务失败率偏高", "Many prompts fail"),
        Text(
            "按错误类型和节点查看失败的任务；若刚更新过节点或模型，先回退。",
            "Look at the failed prompts by kind and node; if a node or model was updated just now,"
            " roll it back first.",
        ),
        derived=True,
    ),
    ErrorKind(
        "telemetry_refused",
        "Document refused",
        Level.CHAT,
        Text("日志或指标被拒收", "A log record or metric was refused"),
        Text(
            "打开死信数据流查看原因和原文，修正映射或字段类型后重新写入。",
            "Read the reason and the document in the dead-letter stream, mend the mapping or the"
            " field's type, then index it again.",
        ),
    ),
    ErrorKind(
        "size_advice",
        "Size outside the advice",
        Level.RECORD,
        Text("尺寸超出建议范围", "A size lies outside the advice"),
        Text(
            "建议人物 480–672、建筑 960–1280，且为 32 的倍数。",
            "Use 480–672 for persons and 960–1280 for buildings, in steps of 32.",
        ),
        user_action=Text("请把尺寸调到建议范围内。", "Choose a size within the advice."),
        users=True,
    ),
    ErrorKind(
        "invalid_request",
        "Invalid request",
        Level.RECORD,
        Text("请求无效", "A request was refused"),
        Text(
            "查看被拒绝的节点和输入；若来自自己的客户端，请修正其工作流。",
            "Look at the node and input that were refused; if the client is your own, correct its"
            " workflow.",
        ),
        user_action=Text(
            "请按提示修改工作流或文件名后重试。",
            "Correct the workflow or the file's name as the message says, then try again.",
        ),
        users=True,
    ),
)

CATALOGUE: dict[str, ErrorKind] = {kind.name: kind for kind in _KINDS}
