# The servers and parts of bench/copies: an owner and a copy-holder with certificates of one authority, and a node without copies.
# Sourced, not run. Knows no Postfix. Always holds: each node has a directory and a cgroup of its own.

OWNER= HOLDER= ALONE=

# A node of the pair. What it takes on SMTP-PORT has a synced copy before its 250; on UNWAITED-PORT nobody waits for the copy.
copies_configure() { # NAME OTHER SMTP-PORT UNWAITED-PORT HTTP-PORT LINK-PORT LINK-PORT-OF-OTHER
  local dir=$SCRATCH/$1
  (cd "$SCRATCH" && "$BIN/posthouse" pki issue "$1.example" --address 127.0.0.1) >/dev/null || die "no certificate for $1"
  posthouse_configure "$dir" "$3" "$5"
  sed -i "s/^name = .*/name = \"$1.example\"/" "$dir/posthouse.toml"
  cat >>"$dir/posthouse.toml" <<CF

[peers]
listen = "127.0.0.1:$6"
certificate = "$SCRATCH/pki/nodes/$1.example/certificate.pem"
key = "$SCRATCH/pki/nodes/$1.example/key.pem"
ca = "$SCRATCH/pki/nodes/$1.example/ca.pem"

[[peer]]
name = "$2.example"
address = "127.0.0.1:$7"
CF
  sed -i 's/^name = "in"/&\ncopies = 1\nwhen_short = "refuse"/' "$dir/org.toml"
  cat >>"$dir/org.toml" <<CF

[[receive_connector]]
name = "unwaited"
copies = 0
$(sed -n '/^listen = /,/^connections_per_source_percent_max/p' "$dir/org.toml" | sed "s/:$3\"/:$4\"/")
CF
}

copies_start_node() { # NAME
  (cg_exec "$1" "$BIN/posthouse" start --config "$SCRATCH/$1/posthouse.toml" --org "$SCRATCH/$1/org.toml") >>"$SCRATCH/$1/log" 2>&1 &
  PIDS+=($!)
}

# Whether mail for NAME is taken: of a node of the pair, whether its copy on the other one counts.
is_ready() { # NAME HTTP-PORT
  local shown
  shown=$("$BIN/posthouse" status --json --url "http://127.0.0.1:$2" 2>/dev/null) || return 1
  [ "$1" = alone ] || [[ ${shown//[[:space:]]/} == *'"counts":true'* ]]
}

copies_start() {
  (cd "$SCRATCH" && "$BIN/posthouse" pki init --organization "Bench") >/dev/null || die "no authority for certificates"
  copies_configure owner holder $OWNER_PORT $UNWAITED_PORT $OWNER_HTTP_PORT $OWNER_LINK_PORT $HOLDER_LINK_PORT
  copies_configure holder owner $HOLDER_PORT $HOLDER_UNWAITED_PORT $HOLDER_HTTP_PORT $HOLDER_LINK_PORT $OWNER_LINK_PORT
  mkdir -p "$SCRATCH/alone"
  posthouse_configure "$SCRATCH/alone" $ALONE_PORT $ALONE_HTTP_PORT
  copies_start_node owner; OWNER=$!
  copies_start_node holder; HOLDER=$!
  copies_start_node alone; ALONE=$!
  local name
  for name in OWNER HOLDER ALONE; do
    local http=${name}_HTTP_PORT
    for _ in $(seq 1 300); do ! is_ready "${name,,}" ${!http} || continue 2; sleep .1; done
    die "the ${name,,} is not ready: $(tail -5 "$SCRATCH/${name,,}/log")"
  done
}

copies_stop() {
  local pid name
  for pid in $OWNER $HOLDER $ALONE; do end_pid "$pid"; done
  OWNER= HOLDER= ALONE=
  for name in owner holder alone; do cg_del $name; rm -rf "${SCRATCH:?}/$name"; done
}

owner_port() { echo "${TO_PORT:-$OWNER_PORT}"; }
alone_port() { echo $ALONE_PORT; }

# --- parts: one run each; the callers let the servers take turns ---

part_copied10k() {
  local holder
  holder=$(cg_cpu holder)
  relay_once owner "$(count copied)" 10240 64
  holder=$(calc "($(cg_cpu holder) - $holder) / $(count copied) * 1000")
  record copied10k posthouse "$PER_SECOND"; record copied-share posthouse "$PER_SECOND"; record copied-waits posthouse "$PER_SECOND"
  record copied-holder posthouse "$holder"; record copied-holder owner "$CPU_PER_1000"
  record copied-cpu posthouse "$CPU_PER_1000"
}

part_unwaited10k() { TO_PORT=$UNWAITED_PORT relay_once owner "$(count copied)" 10240 64; record copied-waits unwaited "$PER_SECOND"; }

part_alone10k() {
  relay_once alone "$(count copied)" 10240 64
  record copied-share alone "$PER_SECOND"; record copied-cpu alone "$CPU_PER_1000"
}

part_postfix10k() { relay_once postfix "$(count postfix)" 10240 64; record copied10k postfix "$PER_SECOND"; }

# The time from a message's content to its 250, at a rate that keeps no part of the machine busy: what is measured is the way, not a queue.
latency_of() { # SERVER COLUMN
  relay_once "$1" "$(count latency)" 10240 $LATENCY_SESSIONS --rate $LATENCY_RATE
  record copied-ms "$2" "$(dot_median_ms)"
  note "of $1: $(cat "$SCRATCH/source.json")"
}
part_copied-ms() { latency_of owner posthouse; }
part_alone-ms() { latency_of alone alone; }
LATENCY_SESSIONS=16
LATENCY_RATE=${LATENCY_RATE:-1000}

# The owner dies with a full spool; the holder opens its copy. The last part: the pair is of no use afterwards.
part_taken-s() {
  local queued=1000000 from said
  [ -z "$QUICK" ] || queued=100000
  RUN_SECONDS_MAX=900 source_to $OWNER_PORT $queued 1024 64 --rcpt user@dead.example
  queued=$(field acked <"$SCRATCH/source.json")
  note "$queued queued, $(field per_second <"$SCRATCH/source.json")/s"
  kill -9 "$OWNER" 2>/dev/null || true; wait "$OWNER" 2>/dev/null || true
  OWNER=
  from=$EPOCHREALTIME
  said=$("$BIN/posthouse" journal take-over owner.example --yes --force --url "http://127.0.0.1:$HOLDER_HTTP_PORT") || die "no take-over: $said"
  record taken-s posthouse "$(calc "$EPOCHREALTIME - $from")"
  note "$said"
  [ "${said%% *}" -ge "$queued" ] || die "$queued were promised"
}

# Where the time goes on both ends, for bench/RESULTS.md. Gives no figure.
part_copied-profile() {
  local name pid watch
  for name in OWNER HOLDER; do
    pid=${!name}
    perf record -q -F 999 -g -p "$pid" -o "$SCRATCH/perf.data" >/dev/null 2>&1 &
    watch=$!; PIDS+=($watch); sleep .5
    relay_once owner "$(count copied)" 10240 64
    kill -INT $watch; wait $watch 2>/dev/null || true
    note "profile of the ${name,,}, $PER_SECOND messages/s (with perf)"
    perf report -i "$SCRATCH/perf.data" --no-children -g none -s comm 2>/dev/null | awk 'NF && !/^#/ && ++n <= 8' >&2
    perf report -i "$SCRATCH/perf.data" --no-children -g none -s symbol --stdio 2>/dev/null | awk 'NF && !/^#/ && ++n <= 40' >&2
    [ -z "${PROFILE:-}" ] || cp "$SCRATCH/perf.data" "$PROFILE.${name,,}"
  done
}
