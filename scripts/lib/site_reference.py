"""The pages of `docs` on the site, under `reference`: whole in English, and in Chinese by their catalogues.

Somebody wrote most pages: each has a catalogue in `docs/site/locale`, like the pages of `docs/site`. Scripts write the others
from texts that labkit's own catalogue has and from numbers; `SAID` has the Chinese of the few other lines.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

TOP = Path(__file__).resolve().parents[2]
DOCS = TOP / "docs"
LABKIT = TOP / "labkit/locale/zh_CN/LC_MESSAGES/labkit.po"

ELSEWHERE = ("rules.md",)
"""Pages of `docs` that the site has in another form."""

SAID = {
    "accuracy.md": {
        r"\| keep-alive \|": "| 保活 |",
        r"^### (.*), only (labkit|Wireshark): ([\d,]+), (.*)$": r"### \1，仅 \2：\3 处，\4",
        **{
            rf"^### {english}，": f"### {chinese}，"
            for english, chinese in (
                ("Retransmission family", "重传类"),
                ("Lost segment", "丢失的报文段"),
                ("Duplicate ACK", "重复 ACK"),
                ("Keep-alive", "保活"),
                ("Answer to a keep-alive", "对保活的应答"),
                ("Zero window", "零窗口"),
                ("Window update", "窗口更新"),
                ("Window full", "窗口已满"),
                ("Window probe", "窗口探测"),
                ("Answer to a window probe", "对窗口探测的应答"),
                ("Checksum", "校验和"),
                ("Option length", "选项长度"),
            )
        },
        r"^(### .*处，)labkit is right$": r"\1labkit 正确",
        r"^(### .*处，)Wireshark is right$": r"\1Wireshark 正确",
        r"^(### .*处，)cannot be told$": r"\1无法判断",
        r"^(- `.*`: .*) and (\d+) more$": r"\1，另有 \2 个",
        r"^- and (\d+) more captures?$": r"- 另有 \1 个抓包",
        r"^- retransmission family, only (\w+): (`.*`) packet (\d+)$": r"- 重传类，仅 \1：\2 数据包 \3",
        r"^- lost segment, only (\w+): (`.*`) packet (\d+)$": r"- 丢失的报文段，仅 \1：\2 数据包 \3",
        r" \(packets? ([\d, ]+)\)": r"（数据包 \1）",
        r"^Measured on (.+) captures, (.+) packets, (.+) TCP segments\.$": r"共 \1 个抓包、\2 个数据包、\3 个 TCP 报文段。",
    },
    "benchmarks.md": {
        r"^Programs: (.*)\.$": r"程序：\1。",
        r"^Not installed: (.*)\.$": r"未安装：\1。",
        r"^Not measured: (.*)\.$": r"没有测量：\1。",
        r"^Programs that could not read it: (.*)\.$": r"无法读取它的程序：\1。",
        r"^Wall times are .* the median of (\d+) runs, .* took up to ([\d.]+) times .*$": (
            r"用时是整个进程从启动到结束的实际时间，取 \1 次运行的中位数，各程序轮流运行。内存是最大进程的峰值。"
            r"同一条命令，最长的一次运行用时最多为最短的 \2 倍；在空闲的机器上，这个数为 1。"
        ),
        r"^([\d,]+) packets, ([\d.,]+ MB)\.$": r"\1 个数据包，\2。",
        r"\| verify ([\d,]+) packets, all rules and checksums \|": r"| 检查 \1 个数据包，所有规则和校验和 |",
        r"\| verify ([\d,]+) packets, cold \|": r"| 检查 \1 个数据包，冷启动 |",
        r"\| build ([\d,]+) packets to a file \|": r"| 生成 \1 个数据包，写到文件 |",
        r"\| verify ([\d,]+) small captures \|": r"| 检查 \1 个小抓包 |",
        r"\| simulate ([\d,]+) segments \|": r"| 模拟 \1 个报文段 |",
        r"\| ([\d/.]+) or less \|": r"| 不超过 \1 |",
        r"\| ([\d,]+) packets/s \|": r"| \1 个数据包/秒 |",
        r"\| reached \|": "| 达到 |",
        r"\| missed \|": "| 未达到 |",
    },
    "verifying.md": {
        r"^\| `PASS` \|": "| `通过` |",
        r"^\| `FAIL` \|": "| `未通过` |",
        r"^\| `NOT JUDGED` \|": "| `未判断` |",
        r"^\| `UNREADABLE` \|": "| `无法读取` |",
    },
    "faults.md": {
        r"^- (.*): found only in a complete capture$": r"- \1：只在完整的抓包中才能发现",
        r"^- (.*): describes what is not a fault$": r"- \1：描述的不是错误",
        r"^- (.*): says what the capture lacks$": r"- \1：说明抓包缺少什么",
        r"^- (.*): is about a packet that is not there$": r"- \1：针对的是不存在的数据包",
        r"^- (.*): needs a conversation that agrees on (.*)$": r"- \1：需要协商了 \2 的会话",
        r"^- (.*): needs a conversation with signed segments$": r"- \1：需要报文段带签名的会话",
        r"^- (.*): the document's: (.*) breaks it under that profile$": r"- \1：属于规则集 `document`：\2 在该规则集中违反它",
        r"^- not in (\S*): ": r"- 不用于 \1：",
        r"：the true SYN follows$": "：真正的 SYN 随后出现",
        r"：the SYN carries data: one more is the first octet of it$": "：SYN 携带数据：多出的一个序列号是其第一个字节",
        r"：the resend of the SYN's data is not a new segment$": "：重传 SYN 的数据不是新的报文段",
        r"：the data was on the SYN before: its octets differ \(RTX02\)$": "：该数据此前已随 SYN 发送：字节不同（RTX02）",
        r"：the FIN was acknowledged before: the ack goes back \(ACK02\)$": "：该 FIN 此前已被确认：ack 后退（ACK02）",
        r"：HS02 cannot tell: the SYN's data is acknowledged$": "：HS02 无法判断：SYN 的数据已被确认",
        r"^(.*)\. Breaks (\[.*\]\(.*\)): (.*)\.$": r"{\1}。违反 \2：{\3}。",
        r" and (\d+) more:": r" 及另外 \1 处：",
        r"^- ([A-Z].*?): (?=[a-z-]+@)": r"- \1：",
        r"^- small conversations: all$": "- 小会话：全部",
        r"^- small conversations: with all options$": "- 小会话：带全部选项的",
        r"^- small conversations: without options or with MSS alone$": "- 小会话：不带选项或只带 MSS 的",
        r"^- small conversations: without options or with MSS alone; IPv4$": "- 小会话：不带选项或只带 MSS 的；IPv4",
        r"^- small conversations: (IPv\d)$": r"- 小会话：\1",
    },
}
"""By page: what scripts write, as regular expressions, and the Chinese, in which braces hold a text of labkit's own catalogue."""

SITUATIONS = DOCS / "site/locale/zh_CN/LC_MESSAGES/rules/situations.po"
"""The Chinese of `situations`."""
HAN = re.compile("[\u3400-\u9fff]")


def pages() -> list[Path]:
    """The pages of `docs` on the site."""
    return [path for path in sorted(DOCS.glob("*.md")) if path.name not in ELSEWHERE]


def linked(text: str) -> str:
    """A page of `docs` whose links to files that the site does not have are plain text."""
    text = re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", text)
    text = re.sub(r"\]\(rules\.md(#[^)]*)?\)", "](../rules/index.md)", text)
    return re.sub(r"\[([^\]]*)\]\([\w./-]+\.(?:ipynb|yaml|pcapng|svg|html)\)", r"\1", text)


def chinese(path: Path) -> str:
    """What the catalogue of a page translates: the page, with the lines that need no catalogue in Chinese."""
    text = path.read_text("utf-8")
    for pattern, there in SAID.get(path.name, {}).items():
        text = re.sub(pattern, there, text, flags=re.MULTILINE)
    text = linked(text)
    return re.sub(r"^\{.*", _own, text, flags=re.MULTILINE) if path.name in SAID else text


def _own(line: re.Match[str]) -> str:
    """A line with the texts in braces as labkit's own catalogue has them."""
    return re.sub(r"\{(.*?)\}", lambda found: _known()[found[1][0].lower() + found[1][1:]], line[0])


@cache
def _known() -> dict[str, str]:
    return {text[0].lower() + text[1:]: chinese for text, chinese in translations(LABKIT).items()} | {
        "note or warning": "提示或警告",
        "warning or error": "警告或错误",
    }


def examples(text: str) -> Iterator[str]:
    """The examples of a page that the Chinese page has in Chinese: what labkit prints, and code with comments."""
    for words, code in re.findall(r"^```(\S.*?)\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL):
        said = words.startswith("console") or (words == "text output" and re.search("[a-z]+ [a-z]+ [a-z]+", code))
        if said or any(comment(line) for line in code.split("\n")):
            yield code


def situations() -> dict[str, list[tuple[str, str]]]:
    """What Linux does where a rule counts, by the rule's code: situations of the page on accuracy, with what it says of Linux.

    A situation belongs to the codes of the highest severity that labkit gives in it.
    """
    text = (DOCS / "accuracy.md").read_text("utf-8")
    found: dict[str, list[tuple[str, str]]] = {}
    for part in text[text.index("## Situations") : text.index("## Segments")].split("\n### ")[1:]:
        linux = re.search(r"^- (Linux \S+): (.*)\.$", part, re.MULTILINE)
        said = re.findall(r"([A-Z]+\d+) \((error|warning|note)\)", part)
        if linux is None or not said or linux[2] == "not measured":
            continue
        # Without the names of captures, which readers of the site do not have.
        what = re.sub(r" \([A-Z]\d*-[^)]*\)", "", linux[2])
        worst = next(severity for severity in ("error", "warning", "note") if severity in {each[1] for each in said})
        for code in sorted({code for code, severity in said if severity == worst}):
            found.setdefault(code, []).append((part.split("\n")[0], f"{linux[1]} {what}"))
    return found


def with_examples(text: str, catalogue: Path) -> str:
    """A page with its examples in Chinese. Sphinx would write `::` for them, as in reStructuredText."""
    known = translations(catalogue)
    for code in examples(text):
        text = text.replace(f"\n{code}\n```", "\n" + known.get(code + "\n", code + "\n") + "```")
    return text


def translations(catalogue: Path) -> dict[str, str]:
    """What a catalogue has for each text without a plural; what is only guessed (fuzzy) is not a translation."""
    with catalogue.open("rb") as file:
        known = [each for each in read_po(file) if each.id and isinstance(each.id, str)]
    return {each.id: "" if each.fuzzy else str(each.string) for each in known}


def comment(line: str) -> bool:
    """Whether a line of code ends in a comment for readers: not in the exit code, which the tests read."""
    return bool(re.search(r"(^|\s)# (?!exit code|yaml-language-server|[A-Z]{2}\d)", line)) and not line.startswith("$")
