# Sourced by the scripts: changes to the top of the checkout and installs a lock file's packages into .venv.
#
#     . "$(dirname "$(readlink -f "$0")")/lib/setup.sh"; set_up requirements.lock
#
# A stamp file in .venv records the checksum of the lock file and of pyproject.toml, so that nothing is installed twice. A script
# that sets `venv` first has an environment of its own.

unset CDPATH
top=$(dirname "$(dirname "$(readlink -f "$0")")")
cd "$top" || exit 4
venv=${venv:-.venv}
python=$venv/bin/python

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

# say_either ENGLISH CHINESE: what a student reads before labkit is there to translate it.
say_either() {
    case ${LABKIT_LANG:-${LANGUAGE:-${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}}} in
    zh*) say "$2" ;;
    *) say "$1" ;;
    esac
}

# install_packages NAME...: install Debian packages, if the user is root and there is apt-get.
install_packages() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "installing $* with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    {
        apt_get update && apt_get install --no-install-recommends "$@"
    } >/dev/null 2>&1 </dev/null
}

apt_get() { apt-get -qq -y -o Acquire::Retries=1 -o Acquire::http::Timeout=30 "$@"; }

# Print the name of a Python that is new enough.
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.15 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    base=$(find_python) || {
        say_either "needs Python 3.11 or later; install one, or name it: PYTHON=/path/to/python3 $0" \
            "需要 Python 3.11 或更高版本；请安装，或指定其位置：PYTHON=/path/to/python3 $0"
        exit 4
    }
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$base" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        install_packages "$package" || {
            say "$base cannot make virtual environments: install its venv module (Debian: $package)"
            exit 4
        }
    fi
    version=$("$base" --version)
    say_either "making $venv with $version" "正在用 $version 建立 $venv"
    # What is broken is cleared; a folder that only holds other environments, such as .venv/site, is not.
    clear=
    [ ! -e "$venv/pyvenv.cfg" ] || clear=--clear
    "$base" -m venv $clear "$venv" || exit 4
}

# set_up LOCK: install labkit and the packages of the lock file LOCK into .venv.
set_up() {
    "$python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || make_venv
    stamp=$venv/set-up.$1
    want=$(cat "$1" pyproject.toml | cksum)" $top"
    [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
    say_either "installing the packages of $1 into $venv (once)" "正在把 $1 中的软件包安装到 $venv（只需一次）"
    "$python" -m pip install -qq --disable-pip-version-check --only-binary :all: --require-hashes -r "$1" || {
        say_either "pip could not install the packages of $1: is there a network, or a mirror that pip knows?" \
            "pip 无法安装 $1 中的软件包：请检查网络，或 pip 的镜像设置"
        exit 4
    }
    # editable_mode=compat writes a plain path entry; setuptools' import hook would add 20 ms to every start.
    "$python" -m pip install -qq --disable-pip-version-check --no-index --no-deps --no-build-isolation \
        --config-settings editable_mode=compat --editable . || exit 4
    printf '%s\n' "$want" >"$stamp"
}

# install_oldest LOCK FOLDER: install the packages of a lock file, the oldest that labkit supports, into a folder of their own.
install_oldest() {
    [ "$(cat "$2/lock" 2>/dev/null)" = "$(cat "$1")" ] && return
    rm -rf "$2"
    "$python" -m pip install -qq --disable-pip-version-check --only-binary :all: --require-hashes --no-deps \
        --target "$2" -r "$1" && cp "$1" "$2/lock" || say "cannot install $1; pytest skips the tests that need it"
}

# install_node_packages: install what checks of pages run in Node.js; its lock file names no registry.
install_node_packages() {
    if command -v npm >/dev/null && [ ! -d tests/browser/node_modules/gift-pegjs ]; then
        npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund >/dev/null 2>&1 </dev/null ||
            say "npm could not install the packages of tests/browser; pytest skips the tests that need them"
    fi
}

# check_sources: run ruff and mypy; append the commands that fail to $failed.
failed=
check_sources() {
    for command in "ruff check --quiet ." "ruff format --check --quiet ." "mypy --no-error-summary"; do
        say "$command"
        # shellcheck disable=SC2086 # each word is an argument
        "$python" -m $command || failed="$failed [$command]"
    done
}

# run_quick_tests ARGUMENT...: run the tests of the quick lane, with further arguments for pytest.
run_quick_tests() {
    env -u LABKIT_CAPTURES "$python" -m pytest -n auto -q --hypothesis-profile=quick \
        -m "not live and not compiled and not slow" "$@"
}
