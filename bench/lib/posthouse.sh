# Posthouse for bench/relay: one node with everything switched on that is on by default, and limits that do not stand
# in the way of one source address. Sourced, not run.

POSTHOUSE= BESIDE=
WHOLE= # 1: with all that lib/organization.sh adds

posthouse_configure() { # DIR SMTP-PORT HTTP-PORT
  local dir=$1
  mkdir -p "$dir"
  cat >"$dir/posthouse.toml" <<CF
name = "relay.example"
data = "$dir/data"

[http]
listen = "127.0.0.1:$3"

[limits]
connection_rate_per_minute = 0
CF
  posthouse_org "$dir" "$2"
}

# The organization's document: one way in, one way on.
posthouse_org() { # DIR SMTP-PORT
  cat >"$1/org.toml" <<CF
postmaster = "postmaster@relay.example"

[[receive_connector]]
name = "in"
listen = ["127.0.0.1:$2"]
remote = ["127.0.0.0/8"]
tls = "off"
permissions = ["anonymous", "relay"]
message_size_max = "60MB"
connections_max = 2000
connections_per_source_max = 2000
connections_per_source_percent_max = 100

[[send_connector]]
name = "out"
domains = ["*"]
smart_hosts = ["127.0.0.1:$SINK_PORT"]
tls = "off"
connections_max = 50

[[send_connector]]
name = "dead"
domains = ["dead.example"]
smart_hosts = ["127.0.0.1:$DEAD_PORT"]
tls = "off"
CF
}

posthouse_start() {
  posthouse_configure "$SCRATCH/posthouse" $POSTHOUSE_PORT $HTTP_PORT
  [ -z "$WHOLE" ] || organization_add "$SCRATCH/posthouse"
  posthouse_again
}

# Starts it on the data that is there.
posthouse_again() {
  local dir=$SCRATCH/posthouse
  (cg_exec posthouse "$BIN/posthouse" start --config "$dir/posthouse.toml" --org "$dir/org.toml") >>"$dir/log" 2>&1 &
  POSTHOUSE=$!; PIDS+=($POSTHOUSE)
  wait_port $POSTHOUSE_PORT || die "posthouse did not start: $(tail -5 "$dir/log")"
}

posthouse_stop() {
  [ -n "$POSTHOUSE" ] || return 0
  end_pid "$POSTHOUSE"; POSTHOUSE=
  cg_del posthouse
  rm -rf "$SCRATCH/posthouse"
}

# A second node beside the first, the server named `beside`.
beside_start() {
  local dir=$SCRATCH/beside
  posthouse_configure "$dir" $BESIDE_PORT $BESIDE_HTTP_PORT
  (cg_exec beside "$BIN/posthouse" start --config "$dir/posthouse.toml" --org "$dir/org.toml") >>"$dir/log" 2>&1 &
  BESIDE=$!; PIDS+=($BESIDE)
  wait_port $BESIDE_PORT || die "the second posthouse did not start: $(tail -5 "$dir/log")"
}
beside_port() { echo $BESIDE_PORT; }
beside_stop() {
  [ -n "$BESIDE" ] || return 0
  end_pid "$BESIDE"; BESIDE=
  cg_del beside
  rm -rf "$SCRATCH/beside"
}

# With nobody at the next hop all mail waits there: the same port serves, and the data starts afresh for each run.
posthouse_clear() { posthouse_stop; posthouse_start; }
posthouse_port() { echo $POSTHOUSE_PORT; }
posthouse_accept_port() { echo $POSTHOUSE_PORT; }
posthouse_perf_scope() { echo "-p $POSTHOUSE"; }
posthouse_version() { "$BIN/posthouse" version 2>/dev/null | head -1; }

# Memory of the process in KiB: VmHWM (peak) or VmRSS (now).
posthouse_kib() { awk -v k="$1:" '$1==k {print $2}' "/proc/$POSTHOUSE/status"; }

# kill -9, then the seconds until the next one greets, in RESTARTED.
RESTARTED=
posthouse_restart_seconds() {
  kill -9 "$POSTHOUSE" 2>/dev/null || true; wait "$POSTHOUSE" 2>/dev/null || true
  local from=$EPOCHREALTIME dir=$SCRATCH/posthouse line
  (cg_exec posthouse "$BIN/posthouse" start --config "$dir/posthouse.toml" --org "$dir/org.toml") >>"$dir/log" 2>&1 &
  POSTHOUSE=$!; PIDS+=($POSTHOUSE)
  for _ in $(seq 1 6000); do
    if { exec 4<>"/dev/tcp/127.0.0.1/$POSTHOUSE_PORT"; } 2>/dev/null; then
      line=; read -r -t 60 line <&4 || true; exec 4>&-
      [[ $line != 220* ]] || { RESTARTED=$(calc "$EPOCHREALTIME - $from"); return 0; }
    fi
    sleep .01
  done
  die "posthouse did not come back: $(tail -5 "$dir/log")"
}
