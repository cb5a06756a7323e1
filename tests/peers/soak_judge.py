"""The end of a soak: what clients saw, what the origin counted, what was recorded and logged, all compared."""
import collections, glob, json, os, statistics, subprocess

from soak_air import is_handset

SITE = "http://soak.example"


def judge(soak, metrics):
    records, files, strangers_uris = recorded(soak)
    request_log, told = counted(soak)
    logged = lines_logged(soak)
    results = collections.Counter()
    subscribers = collections.Counter()
    for uri, address, method, what, began, ended in soak.done:
        excused = any(began < up and down < ended for down, up in soak.down)
        results[str(what) + (" while the origin was down" if excused and what != 200 else "")] += 1
        if what is None or (what != 200 and not excused):
            soak.fault("%s %s: %s, %.1f s" % (method, uri, what, ended - began))
        theirs = records.pop(uri, [])
        if isinstance(what, int) and [record["status"] for record in theirs] != [what]:
            soak.fault("%s was answered %s and is recorded as %s" % (uri, what, [r["status"] for r in theirs]))
        if logged[uri] != len(theirs) and all(record["cause"] != "interrupted" for record in theirs):
            soak.fault("%s is recorded %d times and logged %d times" % (uri, len(theirs), logged[uri]))
        # A stranger who copied a POST is not the handset, and what he had sent is recorded as his.
        seen = request_log.pop((method, uri), 0)
        if uri not in strangers_uris and method == "POST" and (seen > 1 or (what == 200 and seen != 1)):
            soak.fault("POST %s was answered %s and seen %d times by the origin" % (uri, what, seen))
        if seen and not theirs:
            soak.fault("%s: seen by the origin, not recorded" % uri)
        possible = soak.accounting.possible(address, began, ended)
        for record in theirs:
            who = record["msisdn"], record["network"]
            if who not in possible:
                soak.fault("%s of %s is recorded under %s, not %s" % (uri, address, who, possible))
            if seen and uri not in strangers_uris and told[uri] != {tuple(part or "-" for part in who)}:
                soak.fault("%s: the origin was told %s, recorded is %s" % (uri, told[uri], who))
            kind = "as reported" if len(possible) == 1 else "as reported before or after a change meanwhile"
            subscribers["  nobody" if who[0] is None else "  a subscriber, " + kind] += 1
    for uri, theirs in records.items():
        soak.fault("%s is recorded %d times, and no handset asked for it" % (uri, len(theirs)))
    for (method, uri), times in request_log.items():
        if times > strangers_uris[uri]:
            soak.fault("%s %s: seen %d times by the origin, recorded %d times" % (method, uri, times, strangers_uris[uri]))
    log = open(soak.path("gateway.log"), errors="replace").read()
    if "panicked" in log:
        soak.fault("panic: " + log[max(0, log.index("panicked") - 200):][:600])
    for name in ("wapbridge_records_lost_total", "wapbridge_log_lines_lost_total", "wapbridge_records_failing"):
        if metrics.get(name, 0) != 0:
            soak.fault("%s is %s" % (name, metrics[name]))
    # What must have been going on for the rest to mean anything.
    for name in ("reloads by SIGHUP", "reloads refused for a mistake", "access log rotations", "origin restarts", "floods",
                 "RADIUS Starts", "RADIUS Stops", "RADIUS Interim-Updates"):
        if soak.seconds >= 60 and not soak.counts[name]:
            soak.fault("no " + name)
    memory = flat(soak)
    rows = [("seconds", soak.seconds), ("transactions of good handsets", len(soak.done))]
    rows += [("  POSTs", sum(1 for it in soak.done if it[2] == "POST")), ("  GETs", sum(1 for it in soak.done if it[2] == "GET"))]
    rows += [("  answered " + name if name[0] != "N" else "  unanswered", count) for name, count in sorted(results.items())]
    rows += [("recorded under", "")] + sorted(subscribers.items())
    rows += sorted(files.items()) + [("lines in the access log, of good handsets", sum(logged.values()))]
    rows += sorted(soak.counts.items()) + memory
    for name, value in rows:
        print("%-60s %10s" % (name, value))
    for fault in soak.faults:
        print("FAULT  " + fault)
    print("soak: %s" % ("FAILED" if soak.faults else "passed"))
    return 1 if soak.faults else 0


def recorded(soak):
    """Records of handsets by URI, what is to be said of the files, and how often strangers had each URI fetched."""
    files = sorted(glob.glob(soak.path("records/soak-*.jsonl")))
    left = glob.glob(soak.path("records/soak.jsonl.open"))
    verified = subprocess.run([soak.wapbridge, "records", "verify"] + files, capture_output=True, text=True)
    if verified.returncode != 0:
        soak.fault("records verify: " + verified.stdout[:2000] + verified.stderr[:500])
    if any(os.path.getsize(file) for file in left):
        soak.fault("a file was left open")
    records, strangers, about = collections.defaultdict(list), collections.Counter(), collections.Counter()
    about["files of records"] = len(files)
    for file in files:
        for line in open(file):
            record = json.loads(line)
            about["records, strangers' among them, verified"] += 1
            about["  ended: " + record["cause"]] += 1
            if is_handset(record["peer"]):
                records[record["uri"]].append(record)
            else:
                strangers[record["uri"]] += 1
    return records, about, strangers


def counted(soak):
    """Requests the origin saw, and whom it was told they are from."""
    request_log, told = collections.Counter(), collections.defaultdict(set)
    for line in open(soak.path("requests.log")):
        method, path, *who = line.split()
        request_log[method, SITE + path] += 1
        told[SITE + path].add(tuple(who))
    soak.counts["requests the origin saw"] = sum(request_log.values())
    return request_log, told


def lines_logged(soak):
    logged = collections.Counter()
    for file in glob.glob(soak.path("access.log*")):
        for line in open(file):
            if is_handset(line.split(" peer=", 1)[1]):
                logged[line.split(' uri="', 1)[1].split('"', 1)[0]] += 1
    return logged


def flat(soak):
    """Resident memory, and whether it is as it was after ten minutes: by then every table has what it ever will (that a
    RADIUS session is over is remembered so long), and what leaks leaks on."""

    def around(when):
        near = [size for at, size in soak.memory if when - 30 <= at <= when]
        return round(statistics.median(near)) if near else 0

    if not soak.memory:
        return []
    end = soak.memory[-1][0]
    rows = [("memory after %d min, KiB" % (when // 60), around(when)) for when in range(60, int(end) + 2, 60) if when == 60 or when % 300 == 0]
    rows += [("memory at the end, KiB", around(end)), ("memory, peak, KiB", max(size for _, size in soak.memory))]
    if end >= 900 and around(end) > around(600) * 1.05 + 1024:
        soak.fault("memory grew from %d to %d KiB after the first ten minutes" % (around(600), around(end)))
    return rows
