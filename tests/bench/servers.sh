# servers.sh - starts and ends the servers under test. Sourced by run, guard and selftest.
# Every server is ended by its own pid, also when the script is interrupted.

work=$(mktemp -d "${TMPDIR:-/tmp}/starling-bench-XXXXXX")
server_pids=()

stop_servers() {
    local pid
    for pid in "${server_pids[@]}"; do
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    server_pids=()
}

trap 'stop_servers; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# With a core to itself each, the server's time does not depend on where the generator runs.
if [ "$(nproc)" -ge 2 ] && command -v taskset >/dev/null; then
    on_server_core() { exec taskset -c 0 "$@"; }
    on_load_core() { taskset -c 1 "$@"; }
else
    on_server_core() { exec "$@"; }
    on_load_core() { "$@"; }
fi

is_listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port nobody listens on, below the range that outgoing connections take theirs from.
free_port() {
    local port
    for _ in $(seq 50); do
        port=$((18000 + RANDOM % 12000))
        is_listening "$port" || { echo "$port"; return; }
    done
    return 1
}

# launch COMMAND...: starts it and waits until $port answers. Sets $pid.
launch() {
    local log="$work/server.log"
    ulimit -n "$(ulimit -Hn)"
    "${launch_on:-on_server_core}" "$@" >"$log" 2>&1 &
    pid=$!
    server_pids+=("$pid")
    for _ in $(seq 200); do
        is_listening "$port" && return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    echo "'$*' does not listen on port $port:" >&2
    tail -5 "$log" >&2
    return 1
}

# start_server COMMAND...: {port} in it stands for the port. Sets $port and $pid.
start_server() {
    port=$(free_port) || return 1
    launch "${@//\{port\}/$port}"
}

# With more workers than one the server may use every core, and shares them with the generator.
on_all_cores() { exec "$@"; }

# A certificate of our own, once a run.
make_certificate() {
    [ -f "$work/cert.pem" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=localhost -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
}

# write_starling_config PORT [WORKERS [TLS]]
# Generous limits: the load generator does at once what no client may. "bench" keeps no history, "hist" does.
write_starling_config() {
    local tls=""
    if [ -n "${3:-}" ]; then
        make_certificate || return 1
        tls=", \"tls\": {\"enabled\": true, \"cert_pem\": \"$work/cert.pem\", \"key_pem\": \"$work/key.pem\"}"
    fi
    cat >"$work/starling.json" <<JSON
{
  "http_server": {"address": "127.0.0.1", "port": $1, "workers": ${2:-1}$tls},
  "log": {"level": "error"},
  "client": {
    "insecure": true, "allowed_origins": ["*"],
    "connection_limit": 20000, "connection_rate_limit": 1000000
  },
  "websocket": {"message_size_limit": 1048576},
  "http_api": {"insecure": true},
  "limits": {
    "command_rate": 1000000, "command_burst": 1000000,
    "connections_per_ip": 1000000, "connection_rate_per_ip": 1000000, "connection_burst_per_ip": 1000000,
    "http_keepalive_requests": 1000000, "ws_control_rate": 1000000, "ws_control_burst": 1000000
  },
  "channel": {
    "namespaces": [
      {"name": "bench", "presence": false},
      {"name": "wait10", "write_delay": "10ms"},
      {"name": "wait50", "write_delay": "50ms"},
      {"name": "latest", "overflow": "latest_only"},
      {"name": "hist", "history_size": 100, "history_ttl": "60s"}
    ]
  }
}
JSON
}

# start_starling BINARY [WORKERS [TLS]]. Sets $port and $pid.
start_starling() {
    port=$(free_port) || return 1
    write_starling_config "$port" "${2:-1}" "${3:-}" || return 1
    launch "$1" --config "$work/starling.json"
}

# nginx answering every request alike: what HTTP on one core can do at most. One process. Sets $port and $pid.
start_nginx() {
    port=$(free_port) || return 1
    cat >"$work/nginx.conf" <<CONF
daemon off; master_process off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.log crit;
events { worker_connections 4096; }
http {
    access_log off; keepalive_requests 100000000; client_body_temp_path $work/nginx-body;
    server { listen 127.0.0.1:$port; location / { default_type application/json; return 200 '{"result":{}}'; } }
}
CONF
    launch nginx -p "$work" -c "$work/nginx.conf"
}

# figure NAME LINE: a number out of a line of JSON as load prints it.
figure() { sed -n "s/.*\"$1\":\\(-\\{0,1\\}[0-9.]*\\).*/\\1/p" <<<"$2"; }
