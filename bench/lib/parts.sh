# The parts of bench/relay (bench/copies shares the run itself): each measures one figure (or a few that come from the same run) of one server. Sourced, not run.
# Always holds: a part is one run, so that the servers take turns; it was started and warmed up by the caller; its queue is left empty.

# One run through the server: sets PER_SECOND (all of them at the sink) and CPU_PER_1000.
relay_once() { # SERVER MESSAGES SIZE SESSIONS [options of mail-source]
  local server=$1 messages=$2 size=$3 sessions=$4; shift 4
  quiet
  start_sink "$messages"
  local cpu from end
  cpu=$(cg_cpu "$server"); from=$EPOCHREALTIME
  source_to "$("$server"_port)" "$messages" "$size" "$sessions" "$@"
  wait "$SINK" || true
  end=$EPOCHREALTIME
  sleep .5
  local came; came=$(field accepted <"$SCRATCH/sink.json")
  [ "${came:-0}" -ge "$messages" ] || fell_short "$server: only ${came:-0} of $messages arrived"
  PER_SECOND=$(calc "${came:-0} / ($end - $from)")
  CPU_PER_1000=$(calc "($(cg_cpu "$server") - $cpu) / $messages * 1000")
}

warm_up() { relay_once "$1" "$(count "$1" 5)" 10240 64 && note "$1 is warm: $PER_SECOND messages/s"; }

# Messages of a run: about eight seconds of each server's work, divided by DIVISOR.
count() { # SERVER [DIVISOR]
  local all
  case $1 in postfix) all=6000 ;; copied) all=40000 ;; latency) all=8000 ;; *) all=60000 ;; esac
  [ -z "$QUICK" ] || all=$((all / 4))
  echo $((all / ${2:-1}))
}

part_relay10k() {
  relay_once "$1" "$(count "$1")" 10240 64
  record relay10k "$1" "$PER_SECOND"
  record cpu "$1" "$CPU_PER_1000"
}

part_relay1k() { relay_once "$1" "$(count "$1")" 1024 64; record relay1k "$1" "$PER_SECOND"; }

part_one-per-connection() {
  relay_once "$1" "$(count "$1" 2)" 10240 64 --per-connection 1
  record one-per-connection "$1" "$PER_SECOND"
}

# Nothing listens at the next hop: accept and keep only.
part_accept-only() {
  "$1_clear"; quiet
  source_to "$("$1_accept_port")" "$(count "$1")" 10240 64
  record accept-only "$1" "$(field per_second <"$SCRATCH/source.json")"
  "$1_clear"
}

# Watched runs are not timed. What other programs write meanwhile counts too: the table takes the least of the runs.
part_device-bytes() {
  local before
  before=$(device_bytes)
  relay_once "$1" "$(count "$1")" 10240 64
  record device-bytes "$1" "$(calc "($(device_bytes) - $before) / $(count "$1") / 10240")"
}

part_syncs() {
  local watch out=$SCRATCH/perf
  perf stat -a -e $SYNC_CALLS -x, -o "$out" -- true 2>/dev/null || { note "syncs: perf cannot count system calls here"; return 0; }
  # shellcheck disable=SC2046 # a scope is several words
  perf stat $("$1_perf_scope") -e $SYNC_CALLS -x, -o "$out" >/dev/null 2>&1 &
  watch=$!; PIDS+=($watch); sleep .5
  relay_once "$1" "$(count "$1")" 10240 64
  kill -INT $watch; wait $watch 2>/dev/null || true
  record syncs "$1" "$(calc "$(awk -F, '/fsync|fdatasync/ {s+=$1} END {print s+0}' "$out") / $(count "$1")")"
}
SYNC_CALLS=syscalls:sys_enter_fsync,syscalls:sys_enter_fdatasync

# Where the time goes, for bench/RESULTS.md: the symbols of Posthouse's threads, by CPU samples. Gives no figure.
part_profile() {
  [ "$1" = posthouse ] || return 0
  local size
  for size in 10240 1024; do
    perf record -q -F 999 -g -p "$POSTHOUSE" -o "$SCRATCH/perf.data" >/dev/null 2>&1 &
    local watch=$!; PIDS+=($watch); sleep .5
    relay_once posthouse "$(count posthouse)" $size 64
    kill -INT $watch; wait $watch 2>/dev/null || true
    note "profile of $size bytes, $PER_SECOND messages/s, $CPU_PER_1000 CPU s per 1,000 (with perf)"
    perf report -i "$SCRATCH/perf.data" --no-children -g none -s comm 2>/dev/null | awk 'NF && !/^#/ && ++n <= 8' >&2
    perf report -i "$SCRATCH/perf.data" --no-children -g none -s symbol --stdio 2>/dev/null | awk 'NF && !/^#/ && ++n <= 40' >&2
    [ -z "${PROFILE:-}" ] || cp "$SCRATCH/perf.data" "$PROFILE.$size"
  done
}

# Peak memory in MiB while 200 sessions relay: of the process (Posthouse), of all processes together (Postfix).
part_memory200() { peak_memory memory200 "$1" "$(count "$1")" 10240; }
part_memory200x50M() { peak_memory memory200x50M "$1" 200 52428800; }
peak_memory() { # FIGURE SERVER MESSAGES SIZE
  "$2_stop"; "$2_start"
  local watch
  (while sleep .2; do cg_pss_kib "$2"; done) >"$SCRATCH/memory" &
  watch=$!; PIDS+=($watch)
  relay_once "$2" "$3" "$4" 200
  kill $watch; wait $watch 2>/dev/null || true
  local kib; kib=$(sort -g "$SCRATCH/memory" | tail -1)
  [ "$2" != posthouse ] || kib=$(posthouse_kib VmHWM)
  record "$1" "$2" "$(calc "$kib / 1024")"
  note "$1 $2: $PER_SECOND messages/s meanwhile"
}

# The journal alone, against the raw batch write of the same run.
part_journal() {
  "$BIN/journal-bench" --dir "$SCRATCH" --writers 64 --size 4096 --batch 32 --runs "$RUNS" >"$SCRATCH/journal.json"
  note "$(cat "$SCRATCH/journal.json")"
  record journal posthouse "$(sed 's/.*"journal":{"per_second":\([0-9.]*\).*/\1/' "$SCRATCH/journal.json")"
  record journal raw "$(sed 's/.*"raw":{"per_second":\([0-9.]*\).*/\1/' "$SCRATCH/journal.json")"
}

# Three figures of one queue of many messages of 4 KiB for a next hop that refuses connections.
part_queued() { # PARTS of queued-memory, dead-hop, restart
  local queued=1000000 before after
  [ -z "$QUICK" ] || queued=100000
  posthouse_stop; posthouse_start; warm_up posthouse
  before=$(posthouse_kib VmRSS)
  RUN_SECONDS_MAX=600 source_to $POSTHOUSE_PORT $queued 4096 64 --rcpt user@dead.example
  queued=$(field acked <"$SCRATCH/source.json")
  after=$(posthouse_kib VmRSS)
  note "$queued queued, $(field per_second <"$SCRATCH/source.json")/s; memory $before to $after KiB"
  [[ $1 != *queued-memory* ]] || record queued-memory posthouse "$(calc "($after - $before) * 1024 / $queued")"
  if [[ $1 == *dead-hop* ]]; then # run by run in turn with a node whose queue is empty
    beside_start; warm_up beside; warm_up posthouse
    for _ in $(seq "$RUNS"); do
      relay_once beside "$(count posthouse)" 10240 64; record dead-hop empty "$PER_SECOND"
      relay_once posthouse "$(count posthouse)" 10240 64; record dead-hop posthouse "$PER_SECOND"
    done
    beside_stop
  fi
  if [[ $1 == *restart* ]]; then
    for _ in $(seq "$RUNS"); do
      posthouse_restart_seconds
      record restart posthouse "$RESTARTED"
      note "memory after the restart: $(posthouse_kib VmRSS) KiB"
    done
  fi
  posthouse_stop
}
