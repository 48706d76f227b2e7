#!/bin/sh
# Runs one command of the agent on a node. All input is in variables (see vars/containerAgent.groovy):
#   CONTAINER_PIPELINE_CALL     the command line as JSON: {"argv": ["deploy", …]}
#   CONTAINER_PIPELINE_NEEDS    programs that the command needs, separated by blanks
#   CONTAINER_PIPELINE_SHA256   digests of the agent's files
#   CONTAINER_PIPELINE_START    start.py, which finds the agent on the node and runs it
#   CONTAINER_PIPELINE_TMP      folder beside the workspace, for the agent if the user has no cache folder
#   CONTAINER_PIPELINE_SENT     folder with the files that the node lacked; unset in the first run
# Prints JSON on stdout: the agent's result, or {"missing": [...]}, the files that must be sent first.
set -u

say() {
    case ${LC_ALL:-${LC_MESSAGES:-${LANG:-}}} in
        zh*) printf 'container-pipeline: %s\n' "$2" >&2 ;;
        *) printf 'container-pipeline: %s\n' "$1" >&2 ;;
    esac
}

for program in python3 ${CONTAINER_PIPELINE_NEEDS:-}; do
    command -v "$program" >/dev/null && continue
    case $program in
        ssh) package='openssh-client (dnf: openssh-clients)' ;;
        docker) package='docker.io (dnf: docker-ce-cli)' ;;
        *) package=$program ;;
    esac
    say "this node has no $program: install it, on Debian or Ubuntu: apt-get install $package" \
        "此节点没有 $program：请安装，在 Debian 或 Ubuntu 上：apt-get install $package"
    exit 1
done

# Variables that the convention sets for the machine in /etc/profile, which a build's shell does not read.
profile=${CONTAINER_PIPELINE_PROFILE:-/etc/profile}
if [ -r "$profile" ]; then
    # shellcheck disable=SC1090
    found=$(
        set +u
        . "$profile" >/dev/null 2>&1
        for name in DOCKER_REGISTRY DOCKER_REGISTRY_USER DOCKER_REGISTRY_PASS \
            DOCKER_REGISTRY_PROD DOCKER_REGISTRY_PROD_USER DOCKER_REGISTRY_PROD_PASS; do
            eval "printf '%s=%s\n' $name \"\${$name-}\""
        done
    )
    while IFS= read -r line; do
        if eval "[ -z \"\${${line%%=*}+set}\" ]" && [ -n "${line#*=}" ]; then
            export "${line%%=*}=${line#*=}"
        fi
    done <<EOF
$found
EOF
    unset found line
fi

exec python3 -c "$CONTAINER_PIPELINE_START"
