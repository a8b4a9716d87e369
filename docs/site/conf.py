"""How Sphinx builds the site; `scripts/site` calls it once for each language, with `-D language=...`."""

project = "labkit"
author = "labkit"
copyright = "labkit"  # noqa: A001 - Sphinx' name
extensions = ["myst_parser", "site_directive"]
exclude_patterns = ["locale"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
# The last one: where a page is in English only, the Chinese sentence links to the English site.
suppress_warnings = ["misc.highlighting_failure", "myst.header", "i18n.inconsistent_references"]
locale_dirs = ["locale"]
gettext_compact = False  # a catalogue for each page
gettext_uuid = False
gettext_location = False
html_theme = "furo"
html_title = "labkit"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sourcelink = False
templates_path = ["templates"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
