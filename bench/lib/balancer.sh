# The two balancers of bench/balancer, the member behind them, and one run against either. Sourced, not run.
# Servers here: posthouse and haproxy; each has a plain service and one with PROXY v2, and `direct` is the member itself.

HAPROXY= SINK_PLAIN= SINK_PROXY=
PLAIN_SERVICE=plain PROXY_SERVICE=proxy

members_start() {
  need gcc gcc
  gcc -O2 -w -o "$SCRATCH/csink" "$ROOT/bench/lib/csink.c" || die "the member's program does not compile"
  "$SCRATCH/csink" $MEMBER_PORT & SINK_PLAIN=$!; PIDS+=($SINK_PLAIN)
  "$SCRATCH/csink" $MEMBER_PROXY_PORT p & SINK_PROXY=$!; PIDS+=($SINK_PROXY)
  wait_port $MEMBER_PORT && wait_port $MEMBER_PROXY_PORT || die "the member did not start"
}

haproxy_start() {
  need haproxy haproxy
  cat >"$SCRATCH/haproxy.cfg" <<CF
global
  maxconn $HAPROXY_CONNECTIONS_MAX
  nbthread $THREADS
defaults
  mode tcp
  timeout connect 5s
  timeout client 300s
  timeout server 300s
listen plain
  bind 127.0.0.1:$HAPROXY_PORT backlog 2048
  server a 127.0.0.1:$MEMBER_PORT
listen proxy
  bind 127.0.0.1:$HAPROXY_PROXY_PORT backlog 2048
  server a 127.0.0.1:$MEMBER_PROXY_PORT send-proxy-v2
CF
  (cg_exec haproxy haproxy -db -f "$SCRATCH/haproxy.cfg") >/dev/null 2>"$SCRATCH/haproxy.log" & HAPROXY=$!; PIDS+=($HAPROXY)
  wait_port $HAPROXY_PORT && wait_port $HAPROXY_PROXY_PORT || die "haproxy did not start: $(cat "$SCRATCH/haproxy.log")"
}

# The whole node by default; with ALONE=1 the data path of it alone, one process for each service.
balancer_start() {
  if [ -n "${ALONE:-}" ]; then
    (cg_exec posthouse "$BIN/examples/relay" 127.0.0.1:$POSTHOUSE_PORT 127.0.0.1:$MEMBER_PORT "$THREADS") & POSTHOUSE=$!; PIDS+=($POSTHOUSE)
    (cg_exec posthouse "$BIN/examples/relay" 127.0.0.1:$POSTHOUSE_PROXY_PORT 127.0.0.1:$MEMBER_PROXY_PORT v2 "$THREADS") & PIDS+=($!)
  else
    mkdir -p "$SCRATCH/posthouse"
    printf 'name = "balancer.example"\ndata = "%s"\n[http]\nlisten = "127.0.0.1:%s"\n' "$SCRATCH/posthouse/data" $HTTP_PORT >"$SCRATCH/posthouse/posthouse.toml"
    balancer_org >"$SCRATCH/posthouse/org.toml"
    (cg_exec posthouse "$BIN/posthouse" start --config "$SCRATCH/posthouse/posthouse.toml" --org "$SCRATCH/posthouse/org.toml") \
      >>"$SCRATCH/posthouse/log" 2>&1 & POSTHOUSE=$!; PIDS+=($POSTHOUSE)
  fi
  wait_port $POSTHOUSE_PORT && wait_port $POSTHOUSE_PROXY_PORT ||
    die "posthouse did not start: $(tail -5 "$SCRATCH/posthouse/log" 2>/dev/null)"
}

balancer_org() {
  echo 'postmaster = "postmaster@balancer.example"'
  local name port member proxy
  while read -r name port member proxy; do
    cat <<CF
[[service]]
name = "$name"
hostname = "balancer.example"
protocol = "smtp"
listen = ["127.0.0.1:$port"]
remote = ["127.0.0.0/8"]
proxy = "$proxy"
connections_max = 20000

[[member]]
name = "$name-a"
service = "$name"
address = "127.0.0.1:$member"
CF
  done <<CF
$PLAIN_SERVICE $POSTHOUSE_PORT $MEMBER_PORT none
$PROXY_SERVICE $POSTHOUSE_PROXY_PORT $MEMBER_PROXY_PORT v2
CF
}

port_of() { # SERVER plain|proxy
  case $1-$2 in
    posthouse-plain) echo $POSTHOUSE_PORT ;; posthouse-proxy) echo $POSTHOUSE_PROXY_PORT ;;
    haproxy-plain) echo $HAPROXY_PORT ;; haproxy-proxy) echo $HAPROXY_PROXY_PORT ;;
    direct-plain) echo $MEMBER_PORT ;;
  esac
}

send_mail() { # PORT MESSAGES SESSIONS SIZE [-d: all messages of a session over one connection]
  SHORT=
  # shellcheck disable=SC2086
  timeout 120 smtp-source ${5:-} -C 20 -s "$3" -l "$4" -m "$2" -M src.example -f a@src.example -t b@dst.example "127.0.0.1:$1" \
    2>"$SCRATCH/source.log" || fell_short "the generator fell short: $(tail -1 "$SCRATCH/source.log")"
}

# One run: rate and CPU of one server. FIGURE names both: FIGURE and FIGURE-cpu.
run_mail() { # FIGURE SERVER plain|proxy MESSAGES SESSIONS SIZE [-d]
  local figure=$1 server=$2 port; port=$(port_of "$2" "$3"); shift 3
  quiet
  local cpu_before before after; cpu_before=$(cg_cpu "$server"); before=$EPOCHREALTIME
  send_mail "$port" "$@"
  after=$EPOCHREALTIME
  if [ "$3" -gt 100000 ]; then
    record "$figure" "$server" "$(calc "$1*$3/($after-$before)/1e6")"
    record "$figure-cpu" "$server" "$(calc "($(cg_cpu "$server")-$cpu_before)/($1*$3/1e9)")"
  else
    record "$figure" "$server" "$(calc "$1/($after-$before)")"
    record "$figure-cpu" "$server" "$(calc "($(cg_cpu "$server")-$cpu_before)/$1*1000")"
  fi
}

run_greeting() { # SERVER
  quiet
  SHORT=
  local us; us=$("$TOOLS/greetings" --to "127.0.0.1:$(port_of "$1" plain)" --count "$GREETINGS") || fell_short "greetings: $us"
  record greeting "$1" "${us:-0}"
}

# Memory of a server while so many clients wait on it without a word.
run_idle() { # SERVER PID
  SHORT=
  local server=$1 pid=$2 held=
  coproc HOLD { "$TOOLS/greetings" --to "127.0.0.1:$(port_of "$server" plain)" --hold "$IDLE"; }
  local to=${HOLD[1]} from=${HOLD[0]} hold=$HOLD_PID
  read -r -t 120 held <&"$from" || true
  [ "$held" = "held $IDLE" ] || fell_short "$server holds '$held' of $IDLE connections"
  record idle "$server" "$(awk -v n="$IDLE" '/^VmRSS:/ {printf "%.1f", $2/1024*10000/n}' "/proc/$pid/status")"
  eval "exec $to>&-"
  read -r -t 120 held <&"$from" || true
  [ "$held" = "served $IDLE" ] || fell_short "$server serves '$held' of $IDLE connections afterwards"
  wait "$hold" 2>/dev/null || true
}

# figure | what it is | more, less (than haproxy), most (own value) or over (own value against direct) | at least | aim
BALANCER_TABLE='rate64|connections/s, one 1 KiB message each, 64 sessions|more|1.0|1.2
rate64-cpu|CPU seconds per 1,000 connections, 64 sessions|less|1.0|0.8
rate200|connections/s, 200 sessions|more|1.0|1.2
rate200-cpu|CPU seconds per 1,000 connections, 200 sessions|less|1.0|0.8
bulk|MB/s, 1 MiB messages, 64 sessions|more|1.0|1.3
bulk-cpu|CPU seconds per GB|less|1.0|0.77
proxy64|connections/s with PROXY v2, 64 sessions|more|1.0|1.2
proxy64-cpu|CPU seconds per 1,000 connections with PROXY v2|less|1.0|0.83
proxy-bulk|MB/s with PROXY v2, 1 MiB messages|more|1.0|1.2
proxy-bulk-cpu|CPU seconds per GB with PROXY v2|less|1.0|0.83
greeting|median microseconds to the greeting (second: direct)|over|2|1.5
idle|memory with 10,000 idle connections, MiB (second: haproxy)|most|200|60'

balancer_table() {
  local figure what rule least aim second
  echo '| figure | Posthouse | HAProxy | ratio | at least | aim | verdict |'
  echo '|---|---|---|---|---|---|---|'
  while IFS='|' read -r figure what rule least aim; do
    second=haproxy
    [ "$rule" != over ] || second=direct
    awk -v what="$what" -v ours="$(median_of "$figure" posthouse)" -v theirs="$(median_of "$figure" $second)" -v rule="$rule" \
      -v least="$least" -v aim="$aim" 'BEGIN {
        if (ours == "") exit
        ratio = theirs > 0 ? ours / theirs : "-"
        judged = rule == "most" ? ours : ratio
        if (judged == "-") verdict = "-"
        else if (rule == "more") verdict = judged >= aim + 0 ? "aim" : judged >= least + 0 ? "enough" : "SHORT"
        else verdict = judged <= aim + 0 ? "aim" : judged <= least + 0 ? "enough" : "SHORT"
        bound = rule == "more" ? "" : "<= "
        printf "| %s | %s | %s | %s | %s%s | %s%s | %s |\n", what, say(ours), say(theirs), say(ratio), bound, least, bound, aim, verdict
      }
      function say(v) { return v == "" || v == "-" ? "-" : v >= 1000 ? sprintf("%.0f", v) : sprintf("%.3g", v) }'
  done <<<"$BALANCER_TABLE"
}
