# Sourced: ends one process that is known by its id.

# end_process PID SECONDS: TERM, up to SECONDS of grace, KILL. Done when it is gone.
end_process() {
  local pid=$1 tenths=$(($2 * 10))
  kill -TERM "$pid" 2>/dev/null || return 0
  while [ "$tenths" -gt 0 ]; do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
    tenths=$((tenths - 1))
  done
  echo "process $pid did not end within $2 s of TERM, killing it" >&2
  kill -KILL "$pid" 2>/dev/null || true
}
