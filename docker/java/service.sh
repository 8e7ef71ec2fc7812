#!/bin/sh
# A launcher script as thousands of Java services have one. Nothing in it knows of containers or of pyinit.
#
#   service.sh start | stop | status
set -eu

pid_file=${CATALINA_PID:-/tmp/tomcat.pid}

is_running() {
    [ -s "$pid_file" ] && kill -0 "$(cat "$pid_file")" 2>/dev/null
}

case ${1:-} in
start)
    if is_running; then
        echo "already running as $(cat "$pid_file")" >&2
        exit 1
    fi
    # No setsid and no daemon(3): the service stays in this script's session and process group, and is the script's
    # child until the script ends.
    nohup java -Xmx128m -Djava.awt.headless=true -Djava.io.tmpdir="$CATALINA_TMPDIR" \
        -Dcatalina.home="$CATALINA_HOME" -Dcatalina.base="$CATALINA_BASE" \
        -classpath "$CATALINA_HOME/bin/bootstrap.jar:$CATALINA_HOME/bin/tomcat-juli.jar" \
        org.apache.catalina.startup.Bootstrap start </dev/null >>"${CATALINA_OUT:-/dev/stdout}" 2>&1 &
    echo $! >"$pid_file"
    ;;
stop)
    is_running && kill "$(cat "$pid_file")"
    ;;
status)
    is_running && echo "running as $(cat "$pid_file")"
    ;;
*)
    echo "usage: service.sh start | stop | status" >&2
    exit 2
    ;;
esac
