"""Pages in one file, which load nothing and run nothing."""

from html import escape

from labkit.i18n import language

STYLE = """\
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
pre{background:#f3f3f3;padding:.75rem;overflow-x:auto}code{background:#f3f3f3;padding:0 .2em}
table{border-collapse:collapse}td,th{border:1px solid #999;padding:.2rem .6rem;text-align:left}th{word-break:keep-all}
@media(prefers-color-scheme:dark){body{color:#eee;background:#111}pre,code{background:#222}}
@media print{body{max-width:none;margin:0;color:#000;background:#fff}pre,code{background:#fff}}"""


def page(title: str, body: str, style: str = STYLE) -> str:
    """A whole page around a body. It loads nothing and runs nothing."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!DOCTYPE html>\n<html lang="{language()}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}\n</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
