# Node.js, npm and what the addon is built with, for scripts that have set `here` to this folder and
# `cache` to the folder for what is downloaded.
# shellcheck shell=sh disable=SC2154

export npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
export npm_config_loglevel=error npm_config_cache="$cache/npm" npm_config_prefer_offline=true

# Node.js and npm of the versions that the conformance tests have.
node_js() {
    venv=$cache/venv-node
    wanted=$here/../../conformance/clients/node/requirements.txt
    if ! cmp -s "$wanted" "$venv/requirements.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
            --requirement "$wanted"
        cp "$wanted" "$venv/requirements.txt"
    fi
    PATH=$venv/bin:$PATH
    export PATH
}

# npm_packages: those of package-lock.json, into node_modules.
npm_packages() {
    if ! cmp -s "$here/package-lock.json" "$here/node_modules/.stamp"; then
        (cd "$here" && npm ci --ignore-scripts)
        cp "$here/package-lock.json" "$here/node_modules/.stamp"
    fi
}
