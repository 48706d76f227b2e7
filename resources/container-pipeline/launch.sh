#!/bin/sh
# Runs one command of the agent on a node. Everything comes in variables (see vars/containerAgent.groovy):
#   CONTAINER_PIPELINE_CALL     the command line as JSON: {"argv": ["deploy", …]}
#   CONTAINER_PIPELINE_NEEDS    programs that the command needs, blank between
#   CONTAINER_PIPELINE_SHA256   digest of the agent
#   CONTAINER_PIPELINE_TMP      folder beside the workspace, where the agent is put when the node has none
# Answers on stdout: the agent's JSON, or the one word "missing" where the agent must be sent first.
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

# What the convention sets once for the machine in /etc/profile, which a build's shell has not read.
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

sent=$CONTAINER_PIPELINE_TMP
own=${sent%/*}/cache
user=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
user=${user:+$user/container-pipeline}
agent=
for cache in "${user:-$own}" "$own"; do
    [ -f "$cache/$CONTAINER_PIPELINE_SHA256/run.py" ] && agent=$cache/$CONTAINER_PIPELINE_SHA256 && break
done
if [ -z "$agent" ]; then
    if ! [ -f "$sent/agent.tar.bz2" ]; then
        printf missing
        exit 0
    fi
    agent=$(python3 "$sent/unpack.py" "$sent/agent.tar.bz2" "$CONTAINER_PIPELINE_SHA256" "${user:-$own}" "$own") || exit 1
fi
exec python3 "$agent/run.py"
