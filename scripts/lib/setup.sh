# Sourced by the scripts: goes to the top of the checkout and makes .venv what a lock file asks for.
#
#     . "$(dirname "$(readlink -f "$0")")/lib/setup.sh"; set_up requirements.lock
#
# What is there already is used: a stamp in .venv holds the digest of what was installed from, and from where.

unset CDPATH
top=$(dirname "$(dirname "$(readlink -f "$0")")")
cd "$top" || exit 4
python=.venv/bin/python

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

# Installs Debian packages where that may be done without asking: as root, where there is apt-get.
install_packages() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "installing $* with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    {
        apt_get update && apt_get install --no-install-recommends "$@"
    } >/dev/null 2>&1 </dev/null
}

apt_get() { apt-get -qq -y -o Acquire::Retries=1 -o Acquire::http::Timeout=30 "$@"; }

# Prints the name of a Python that is new enough.
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    base=$(find_python) || {
        say "needs Python 3.11 or later; install one, or name it: PYTHON=/path/to/python3 $0"
        exit 4
    }
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$base" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        install_packages "$package" || {
            say "$base cannot make virtual environments: install its venv module (Debian: $package)"
            exit 4
        }
    fi
    say "making .venv with $("$base" --version)"
    "$base" -m venv --clear .venv || exit 4
}

# set_up LOCK: what LOCK names is in .venv, and labkit itself.
set_up() {
    "$python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || make_venv
    stamp=.venv/set-up.$1
    want=$(cat "$1" pyproject.toml | cksum)" $top"
    [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
    say "installing what $1 names into .venv (once)"
    "$python" -m pip install -qq --disable-pip-version-check --only-binary :all: --require-hashes -r "$1" || {
        say "pip could not install what $1 names: is there a network, or a mirror that pip knows?"
        exit 4
    }
    # A plain path entry ("compat") rather than setuptools' import hook, which costs every start 20 ms.
    "$python" -m pip install -qq --disable-pip-version-check --no-index --no-deps --no-build-isolation \
        --config-settings editable_mode=compat --editable . || exit 4
    printf '%s\n' "$want" >"$stamp"
}
