# Helpers of the scripts in bench: processes, time, CPU by cgroup, device counters, medians. Sourced, not run.
# Owns no figure and knows no server.

export LC_ALL=C
PIDS=()
FIGURES= # a file: figure<TAB>server<TAB>value, one line a run

die() { echo "${0##*/}: $*" >&2; exit 1; }
note() { echo "# $*" >&2; }

# Installs a Debian package when its command is missing; the services that it brings are not started.
need() { # COMMAND PACKAGE
  command -v "$1" >/dev/null 2>&1 && return 0
  local guard=/usr/sbin/policy-rc.d made=
  [ -e $guard ] || { printf '#!/bin/sh\nexit 101\n' >$guard; chmod +x $guard; made=1; }
  [ "$2" != postfix ] || echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
  local install="env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $2"
  $install >/dev/null 2>&1 || { apt-get update >/dev/null 2>&1; $install >/dev/null; }
  [ -z "$made" ] || rm -f $guard
  command -v "$1" >/dev/null 2>&1 || die "cannot install $2 (for $1)"
}

end_pid() { kill "$1" 2>/dev/null || true; wait "$1" 2>/dev/null || true; }

# A run in which a message did not get through gives no figure, and makes the whole of it fail at the end.
SHORT= ANY_SHORT=
fell_short() { SHORT=1 ANY_SHORT=1; note "$*"; }
record() { # FIGURE SERVER VALUE
  [ -z "$SHORT" ] || { note "$1 $2: void"; return 0; }
  printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$FIGURES"; note "$1 $2 $3"
}
least_of() { awk -F'\t' -v f="$1" -v s="$2" '$1==f && $2==s {print $3}' "$FIGURES" | sort -g | sed -n 1p; } # FIGURE SERVER
median_of() { # FIGURE SERVER -> the median of its runs, or nothing
  awk -F'\t' -v f="$1" -v s="$2" '$1==f && $2==s {print $3}' "$FIGURES" | sort -g |
    awk '{v[NR]=$1} END {if (NR) printf "%.6g\n", NR%2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'
}
dot_median_ms() { sed -n 's/.*"dot_ms":{"p50":\([0-9.]*\).*/\1/p' "$SCRATCH/source.json"; } # from the content to its 250
field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" | head -1; } # KEY: the first number of that name in a line of JSON
calc() { awk "BEGIN {printf \"%.6g\", $1}"; }

# --- one cgroup per server: its CPU time and its processes, whatever it forks ---
cg_of() { # SERVER
  if [ -d /sys/fs/cgroup/cpuacct ]; then echo "/sys/fs/cgroup/cpuacct/${0##*/}.$$.$1"
  elif [ -e /sys/fs/cgroup/cgroup.procs ]; then echo "/sys/fs/cgroup/${0##*/}.$$.$1"
  else die "no cgroup to count CPU seconds by"; fi
}
cg_exec() { # SERVER COMMAND...: to be called in a subshell
  local cg; cg=$(cg_of "$1"); shift
  mkdir -p "$cg"; echo $BASHPID >"$cg/cgroup.procs"; exec "$@"
}
cg_cpu() { # SERVER: CPU seconds so far
  local cg; cg=$(cg_of "$1")
  if [ -e "$cg/cpuacct.usage" ]; then awk '{printf "%.6f\n", $1/1e9}' "$cg/cpuacct.usage"
  else awk '/^usage_usec/ {printf "%.6f\n", $2/1e6}' "$cg/cpu.stat"; fi
}
cg_pss_kib() { # SERVER: memory of its processes, shared pages counted once
  local pid
  while read -r pid; do cat "/proc/$pid/smaps_rollup" 2>/dev/null; done <"$(cg_of "$1")/cgroup.procs" | awk '/^Pss:/ {p+=$2} END {print p+0}'
}
cg_del() { # SERVER
  local cg; cg=$(cg_of "$1")
  for _ in 1 2 3 4 5 6 7 8 9 10; do [ -d "$cg" ] || return 0; rmdir "$cg" 2>/dev/null || sleep .3; done
}

# --- the machine ---
busy() { awk '/^cpu / {print $2+$3+$4+$7+$8, $2+$3+$4+$5+$6+$7+$8; exit}' /proc/stat; }
quiet() { # waits for a machine that is busy for less than 8 %, at most 30 s
  [ "$QUIET" = 1 ] || return 0
  local a b
  for _ in $(seq 1 90); do
    a=$(busy); sleep .3; b=$(busy)
    if echo "$a $b" | awk '{exit !(($3-$1)/($4-$2) < 0.08)}'; then return 0; fi
  done
  note "the machine is not quiet"
}
device_of() { basename "$(readlink -f "$(df --output=source "$1" | tail -1)")"; }
device_bytes() { sync; awk -v d="$DEVICE" '$3==d {print $10*512}' /proc/diskstats; } # written so far, nothing left in memory
wait_port() { # PORT
  for _ in $(seq 1 600); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0; sleep .05; done
  return 1
}

# --- generator and sink: the same for every server ---
start_sink() { # COUNT [more options]: ends by itself after COUNT messages; sets SINK
  local count=$1; shift
  "$BIN/mail-sink" --listen "127.0.0.1:$SINK_PORT" --count-exit "$count" --seconds "$RUN_SECONDS_MAX" "$@" >"$SCRATCH/sink.json" &
  SINK=$!; PIDS+=($SINK)
  wait_port $SINK_PORT || die "the sink did not start"
}
source_to() { # PORT MESSAGES SIZE SESSIONS [more options]; the result is in $SCRATCH/source.json
  SHORT=
  local port=$1 messages=$2 size=$3 sessions=$4; shift 4
  "$BIN/mail-source" --to "127.0.0.1:$port" --messages "$messages" --size "$size" --sessions "$sessions" \
    --pipelining "$PIPELINING" --seconds "$RUN_SECONDS_MAX" "$@" >"$SCRATCH/source.json" ||
    fell_short "the generator fell short: $(cat "$SCRATCH/source.json")"
}
