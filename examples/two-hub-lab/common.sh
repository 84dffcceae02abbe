# What the scripts of the lab share. Sourced, not run.
LAB=${LAB:-/tmp/two-hub-lab} NET=${NET:-lab}
POSTHOUSE=${POSTHOUSE:-$(command -v posthouse || echo "$HERE/../../target/release/posthouse")}
SLAPD=/usr/sbin/slapd SLAPADD=/usr/sbin/slapadd

die() { echo "two-hub-lab: $*" >&2; exit 1; }
at() { local place=$1; shift; nsenter --net="/run/netns/$NET-$place" -- "$@"; }
start() { # SERVER
  cd "$LAB/$1"
  case $1 in
    dir) set -- dir "$SLAPD" -d 0 -f slapd.conf -h ldap://198.18.1.10 ;;
    outside) set -- outside "$POSTHOUSE" start --config posthouse.toml --org org.toml ;;
    *) set -- "$1" "$POSTHOUSE" start --config posthouse.toml --org ../org.toml ;;
  esac
  local place=$1; shift
  nsenter --net="/run/netns/$NET-$place" -- "$@" >>log 2>&1 </dev/null &
  echo $! >pid
  cd "$LAB"
}
stop() { # SERVER: kill -9 and no time to tidy up, as when a machine dies
  local pid
  [ -e "$LAB/$1/pid" ] || return 0
  pid=$(cat "$LAB/$1/pid")
  rm -f "$LAB/$1/pid"
  kill -9 "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep .05; done
}
wait_for() { # SERVER: until it answers
  [ "$1" != dir ] || return 0
  for _ in $(seq 1 300); do
    ! at "$1" "$POSTHOUSE" status >/dev/null 2>&1 || return 0
    sleep .1
  done
  die "$1 does not answer: $(tail -5 "$LAB/$1/log")"
}
