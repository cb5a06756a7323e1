# Functions of the scripts in this directory, which source this file. $work is the directory of the running script.

# free_port tcp|udp: a port of loopback that no socket has, never the same twice. The port lies below the range of
# outgoing connections, so that none of them takes the port before the server binds.
free_port() {
    python3 - "$1" "$work/ports" <<'PYTHON'
import random, socket, sys
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
with open(sys.argv[2], "a+") as file:
    file.seek(0)
    given = file.read().split()
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if str(port) not in given:
            break
    file.write("%d\n" % port)
print(port)
PYTHON
}

# wait_for FILE PATTERN [COUNT]: until COUNT lines of FILE match, a minute at most.
wait_for() {
    for _ in $(seq 600); do
        [ "$(grep -c -- "$2" "$1" 2>/dev/null)" -ge "${3:-1}" ] && return 0
        sleep 0.1
    done
    echo "$1 never said \"$2\" ${3:+$3 times}" >&2
    return 1
}

# authority [NAME]: makes $work/NAME.pem and $work/NAME.key, a certificate authority. NAME is "ca" unless given.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=${1:-ca} authority" \
        -keyout "$work/${1:-ca}.key" -out "$work/${1:-ca}.pem" 2>/dev/null
}

# certificate FILE [HOST] [AUTHORITY]: makes $work/FILE.pem and $work/FILE.key for HOST, "localhost" unless given.
certificate() {
    local file=$1 host=${2:-localhost} ca=$work/${3:-ca}
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$host" \
        -keyout "$work/$file.key" -out "$work/$file.csr" 2>/dev/null &&
        openssl x509 -req -in "$work/$file.csr" -CA "$ca.pem" -CAkey "$ca.key" -CAcreateserial -days 2 \
            -extfile <(echo "subjectAltName=DNS:$host") -out "$work/$file.pem" 2>/dev/null
}
