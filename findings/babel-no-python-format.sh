#!/bin/sh
# Babel 2.19.0 and gettext 0.21 (Debian 12): Babel answers "no-python-format" by adding "python-format", and msgfmt refuses the file.
#
# Guess: a message with a percent sign that is no placeholder ("100% done") is marked "no-python-format", as gettext's manual
# has it, and both tool families leave its translation alone from then on. Seen: when Babel reads a catalogue, it guesses by itself whether
# a message has placeholders ("% d" is one, with a space as its flag), and adds "python-format" beside the flag that denies it. `pybabel
# compile` then finds fault with the translation, and the file that Babel writes has both flags; of these msgfmt believes
# the later one, so that `msgfmt -c`, which took the file before, gives up with a fatal error. Only the flags have changed.
#
# Needs apt-get, dpkg and python3 with venv. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download gettext=0.21-12 >/dev/null 2>&1 || { echo "cannot download gettext" >&2; exit 4; }
dpkg -x gettext_*.deb root
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name 'libgettextsrc-*.so' | head -n 1)")
python3 -m venv env
env/bin/pip -q install babel==2.19.0 2>/dev/null || { echo "cannot install Babel" >&2; exit 4; }
msgfmt() { LD_LIBRARY_PATH="$LD_LIBRARY_PATH" LC_ALL=C root/usr/bin/msgfmt "$@"; }
msgfmt --version | head -n 1
mkdir -p locale/de/LC_MESSAGES
cat > locale/de/LC_MESSAGES/messages.po <<'PO'
msgid ""
msgstr ""
"Project-Id-Version: example 1\n"
"PO-Revision-Date: 2026-01-01 00:00+0000\n"
"Last-Translator: Example <example@example.org>\n"
"Language-Team: German\n"
"Language: de\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Content-Transfer-Encoding: 8bit\n"

#, no-python-format
msgid "100% done"
msgstr "zu 100% fertig"
PO
before=0
msgfmt -c -o before.mo locale/de/LC_MESSAGES/messages.po || before=$?
compiled=0
env/bin/pybabel -q compile -d locale >compile.log 2>&1 || compiled=$?
env/bin/python - <<'WRITE'
from babel.messages import pofile

with open("locale/de/LC_MESSAGES/messages.po", "rb") as file:
    catalogue = pofile.read_po(file, locale="de")
with open("written.po", "wb") as file:
    pofile.write_po(file, catalogue)
WRITE
after=0
msgfmt -c -o after.mo written.po 2>errors || after=$?
flags=$(sed -n 's/^#, //p' written.po)
text=$(sed -n '/^msgid "1/,$p' written.po)
echo "msgfmt -c before: $before; pybabel compile: $compiled; flags that Babel writes: $flags; msgfmt -c after: $after"
cat errors
[ "$before $compiled $after" = "0 1 1" ] && [ "$flags" = "no-python-format, python-format" ] && grep -q "format specifications" errors &&
    [ "$text" = "$(sed -n '/^msgid "1/,$p' locale/de/LC_MESSAGES/messages.po)" ]
