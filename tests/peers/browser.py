"""Looks at the page of the admin port as an operator does, in a headless Chromium, and clicks through it.

Speaks WebDriver to chromedriver with the standard library alone. Starts an origin-side load by `wapbridge post` with a
message that holds a credential, which must never be seen; leaves screenshots in --shots. Exits with 77 if there is no
--axe: the rules of accessibility were not checked then.
"""

import argparse
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

SECRET = "Zm9vOnNlY3JldHNlY3JldA"
# What a handset says may look like markup, and must stay text.
MARKUP = "<img src=x id=markup>"
WIDTHS = {390: 844, 1280: 860, 2560: 1440}


class Browser:
    def __init__(self, profile, downloads):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(100):
            try:
                self.call("GET", "/status")
                break
            except OSError:
                time.sleep(0.1)
        arguments = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", "--window-size=1440,1000", "--hide-scrollbars",
        ]
        options = {
            "args": arguments,
            "prefs": {"download.default_directory": downloads, "download.prompt_for_download": False},
        }
        wanted = {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"},
        }}}
        self.base = "/session/" + self.call("POST", "/session", wanted)["sessionId"]
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=downloads)

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def cdp(self, command, **parameters):
        return self.call("POST", f"{self.base}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url):
        self.call("POST", f"{self.base}/url", {"url": url})

    def run(self, script):
        return self.call("POST", f"{self.base}/execute/sync", {"script": script, "args": []})

    def text(self, selector):
        return self.run(f"return document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def find(self, selector):
        found = self.call("POST", f"{self.base}/element", {"using": "css selector", "value": selector})
        return f"{self.base}/element/{next(iter(found.values()))}"

    def click(self, selector):
        self.call("POST", f"{self.find(selector)}/click", {})

    def type(self, selector, text):
        self.call("POST", f"{self.find(selector)}/value", {"text": text})

    def press(self, *keys):
        downs = [action for key in keys for action in ({"type": "keyDown", "value": key}, {"type": "keyUp", "value": key})]
        body = {"actions": [{"type": "key", "id": "keyboard", "actions": downs}]}
        self.call("POST", f"{self.base}/actions", body)

    def until(self, what, script, seconds=30):
        for _ in range(seconds * 5):
            found = self.run(script)
            if found:
                return found
            time.sleep(0.2)
        raise AssertionError(f"never: {what}")

    def scheme(self, name):
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.cdp("Emulation.setEmulatedMedia", features=features)

    def size(self, width, height):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def audit(self, axe, where):
        """Judges the page by the rules of axe."""
        if axe is None:
            return
        with open(axe, encoding="utf-8") as source:
            self.run(source.read() + ";")
        script = "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then(done);"
        found = self.call("POST", f"{self.base}/execute/async", {"script": script, "args": []})
        faults = [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in found["violations"] for node in one["nodes"]]
        assert not faults, f"{where}:\n" + "\n".join(faults)
        assert len(found["passes"]) > 20, f"{where}: axe looked at little"

    def shot(self, file):
        image = self.call("GET", f"{self.base}/screenshot")
        with open(file, "wb") as out:
            out.write(base64.b64decode(image))

    def complaints(self):
        return [line for line in self.call("POST", f"{self.base}/se/log", {"type": "browser"}) if line["level"] != "INFO"]

    def close(self):
        try:
            self.call("DELETE", self.base)
        finally:
            self.driver.terminate()
            self.driver.wait()


def message(wapbridge, file):
    """A SyncML message of several packets, with a credential in its header and in its items."""
    items = "".join(
        f"<Add><CmdID>{n + 3}</CmdID><Meta><Type xmlns='syncml:metinf'>text/x-vcard</Type></Meta><Item><Source>"
        f"<LocURI>{n}</LocURI></Source><Data>{SECRET * 10}</Data></Item></Add>"
        for n in range(20)
    )
    xml = (
        "<SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto><SessionID>9</SessionID><MsgID>1</MsgID>"
        "<Target><LocURI>http://sync.example.com/</LocURI></Target><Source><LocURI>IMEI:490154203237518</LocURI></Source>"
        f"<Cred><Meta><Type xmlns='syncml:metinf'>syncml:auth-basic</Type></Meta><Data>{SECRET}</Data></Cred></SyncHdr>"
        "<SyncBody><Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>"
        "<Alert><CmdID>2</CmdID><Data>201</Data><Item><Target><LocURI>card</LocURI></Target><Source><LocURI>./contacts"
        f"</LocURI></Source></Item></Alert><Sync><CmdID>3</CmdID>{items}</Sync><Final/></SyncBody></SyncML>"
    )
    subprocess.run([wapbridge, "encode", "-", "-o", file], input=xml.encode(), check=True)


class Load(threading.Thread):
    """Posts and gets as long as it runs, one handset after the other."""

    def __init__(self, arguments, body):
        super().__init__(daemon=True)
        self.arguments, self.body, self.going = arguments, body, True

    def run(self):
        common = ["--quiet", "--gateway", f"127.0.0.1:{self.arguments.gateway}"]
        number = 0
        while self.going:
            number += 1
            uri = f"{self.arguments.uri}?key={SECRET}"
            if number % 9 in (0, 4):
                uri = "http://nowhere.example/" if number % 9 == 0 else "http://several.example.com/echo"
            subprocess.run(
                [self.arguments.wapbridge, "post", *common, "--data", self.body, "-H", f"Authorization: Basic {SECRET}",
                 "-H", f"User-Agent: {MARKUP}", uri],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
            )
            time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wapbridge", required=True)
    parser.add_argument("--admin", type=int, required=True)
    parser.add_argument("--gateway", type=int, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--pid", type=int, required=True, help="of the gateway, which is stopped for some seconds")
    parser.add_argument("--uri", default="http://sync.example.com/echo")
    parser.add_argument("--shots")
    parser.add_argument("--axe", help="axe.min.js")
    parser.add_argument("--log", required=True, help="standard error of the gateway, with its access log")
    parser.add_argument("--watch", type=int, default=8, help="seconds of figures before the first screenshot")
    arguments = parser.parse_args()
    work = tempfile.mkdtemp()
    shots = arguments.shots or os.path.join(work, "shots")
    os.makedirs(shots, exist_ok=True)
    downloads = os.path.join(work, "downloads")
    os.makedirs(downloads)
    body = os.path.join(work, "message.wbxml")
    message(arguments.wapbridge, body)
    load = Load(arguments, body)
    browser = Browser(os.path.join(work, "profile"), downloads)
    try:
        look(browser, arguments, load, shots, downloads)
    finally:
        load.going = False
        browser.close()
        if load.is_alive():
            load.join(10)
        shutil.rmtree(work)
    if arguments.axe is None:
        print("axe could not be fetched")
        return 77
    return 0


def look(browser, arguments, load, shots, downloads):
    browser.open(f"http://127.0.0.1:{arguments.admin}/")
    browser.until("the state is shown", "return ['running', 'degraded'].includes(document.querySelector('#state').dataset.state)")
    load.start()
    # Figures move.
    number = "return parseFloat(document.querySelector('.chart .now b')?.innerText) > 0"
    browser.until("exchanges per second", number)
    first = browser.text("#charts")
    time.sleep(arguments.watch)
    second = browser.text("#charts")
    assert first != second, "the figures stand still"
    for words in ("p95", "ms", "Sessions", "no route"):
        assert words in second + browser.text("#tables"), f"{words} is not on the page:\n{second}\n{browser.text('#tables')}"
    # The axis of latencies is logarithmic: its marks are powers of ten.
    marks = browser.run("""
        const chart = [...document.querySelectorAll('.chart')].find((one) => one.innerText.includes('Exchange latency'));
        return [...chart.querySelectorAll('text[text-anchor=end]')].map((one) => one.textContent).filter((text) => / (ms|s)$/.test(text));""")
    powers = {"0.1 ms", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s"}
    assert len(marks) >= 2 and set(marks) <= powers, f"the axis of latencies has {marks}"
    assert socket.gethostname() in browser.text("#facts"), f"the node has no name: {browser.text('#facts')}"
    shows_hosts(browser)
    remembers(browser, arguments)
    joins_processes(browser)
    explains_problems(browser, arguments)
    obeys_keys(browser)
    draws_routes(browser, shots)
    fits_screens(browser, arguments, shots)

    # A trace with the wrong token, then with the right one.
    browser.click("nav a[href='#trace']")
    browser.shot(f"{shots}/trace-empty.png")
    browser.audit(arguments.axe, "the trace before its start")
    browser.type("#start input[name=subject]", "127.0.0.1")
    browser.type("#start input[name=token]", "wrong")
    browser.click("#start button")
    browser.until("the wrong token is refused", "return document.querySelector('#trouble').innerText.includes('token')")
    browser.run("document.querySelector('#start').token.value = ''")
    browser.type("#start input[name=token]", arguments.token)
    browser.click("#start button")
    browser.until("datagrams arrive", "return document.querySelectorAll('#entries li.datagram').length > 20")
    load.going = False
    time.sleep(1.5)
    browser.click("#stop")
    browser.until("the trace is over", "return document.querySelector('#about').innerText.includes('over: stopped')")
    everything = browser.text("#entries")
    for words in ("WSP Connect", "WTP Segmented Invoke", "SyncML/1.1, session 9, message 1", "201 slow synchronization",
                  "answered with 200 OK", "exchange over"):
        assert words in everything, f"{words} is not in the trace"
    # The layers of the last packet of a request, down to the commands.
    browser.run("""
        const all = [...document.querySelectorAll('#entries li.datagram')].filter((one) => one.innerText.includes('SyncML/1.1'));
        all[0].querySelector('summary').click(); all[0].scrollIntoView({ block: 'start' }); scrollBy(0, -150);""")
    layers = browser.until("layers", "return document.querySelector('.layers')?.innerText")
    for words in ("TID", "212 authenticated for the session", "Add 4, text/x-vcard", "credentials: syncml:auth-basic, 22 octets, not shown"):
        assert words in layers, f"{words} is not in\n{layers}"
    for scheme in ("dark", "light"):
        browser.scheme(scheme)
        browser.shot(f"{shots}/trace-{scheme}.png")
    # What a handset says is text.
    browser.run("for (const one of document.querySelectorAll('#entries details')) one.open = true")
    browser.until("the User-Agent as text", f"return document.querySelector('#entries').innerText.includes({json.dumps(MARKUP)})")
    assert not browser.run("return document.querySelector('#markup, #entries img')"), "a handset made markup"
    browser.run("for (const one of document.querySelectorAll('#entries > li > details')) one.open = false")
    browser.size(390, 844)
    browser.audit(arguments.axe, "a trace on a phone")
    browser.shot(f"{shots}/trace-phone.png")
    browser.size(1440, 1000)
    # Failures have a colour, and a box hides all other entries.
    browser.run("document.querySelector('#failures').click()")
    kept = browser.run("return [...document.querySelectorAll('#entries > li')].filter((one) => !one.hidden).map((one) => one.className)")
    assert all("failed" in one for one in kept), f"entries without a failure are shown: {kept}"
    browser.run("document.querySelector('#failures').click()")
    browser.type("#filter", "exchange over")
    shown = browser.run("return [...document.querySelectorAll('#entries > li')].filter((one) => !one.hidden).length")
    assert 0 < shown < browser.run("return document.querySelectorAll('#entries > li').length"), "the filter does nothing"
    page = browser.run("return document.documentElement.outerHTML")
    assert SECRET[:8] not in page and arguments.token not in page, "a secret is on the page"

    browser.click("#download")
    for _ in range(50):
        files = [name for name in os.listdir(downloads) if name.endswith(".pcapng")]
        if files:
            break
        time.sleep(0.2)
    file = os.path.join(downloads, files[0])
    with open(file, "rb") as capture:
        assert SECRET[:8].encode() not in capture.read(), "a secret is in the file"
    judge(file, arguments)
    # The wrong token is the one thing a browser may complain of.
    complaints = [line["message"] for line in browser.complaints() if not re.search(r"/trace\b.* 401 ", line["message"])]
    assert not complaints, complaints

    # With a gateway that hangs the page shows the age of its figures.
    browser.click("nav a[href='#live']")
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.cdp("Network.enable")
    os.kill(arguments.pid, signal.SIGSTOP)
    try:
        browser.until("the age of the figures is shown", r"return /^no answer for \d+ s$/.test(document.querySelector('#state').innerText)")
    finally:
        os.kill(arguments.pid, signal.SIGCONT)
    browser.until("the gateway is back", "return ['running', 'degraded'].includes(document.querySelector('#state').dataset.state)")

    # Without the gateway the page says so, and comes back with it.
    browser.cdp("Network.emulateNetworkConditions", offline=True, **offline)
    browser.until("it is said that the gateway is unreachable", "return !document.querySelector('#banner').hidden")
    assert browser.text("#state") == "unreachable"
    browser.shot(f"{shots}/unreachable.png")
    browser.cdp("Network.emulateNetworkConditions", offline=False, **offline)
    browser.until("the gateway is back", "return document.querySelector('#banner').hidden")


def remembers(browser, arguments):
    """A page that is opened now shows what was before, and lets the operator choose how much."""
    browser.open(f"http://127.0.0.1:{arguments.admin}/")
    points = "return (document.querySelector('.chart .stroke')?.getAttribute('d') ?? '').split('L').length - 1"
    first = browser.until("a line", points)
    age = browser.run("return performance.now() / 1000")
    assert first >= arguments.watch > age, f"{first} points of a page that is {age:.1f} s old"
    assert re.match(r"since [\d:]+, when the gateway started$", browser.text("#since")), browser.text("#since")
    for key, minutes, mark in (("1", 2, "−2 min"), ("3", 120, "−2 h"), ("2", 15, "−15 min")):
        browser.press(key)
        chosen = browser.run("return [...document.querySelectorAll('#spans [aria-pressed=true]')].map((one) => one.dataset.minutes)")
        assert chosen == [str(minutes)], chosen
        assert mark in browser.text(".chart"), browser.text(".chart")
        assert f"of the last {mark[1:]}" in browser.text("#tables"), browser.text("#tables")
    browser.until("a row of the first route", r"return /^1\s+[1-9][\d.]*\/s/m.test(document.querySelector('#routes').innerText)")


def shows_hosts(browser):
    """Each host of each route has a row with its state. One of the two of a route cannot be connected to."""
    rows = """
        const rows = [...document.querySelectorAll('#origins tr')].map((row) => [...row.cells].map((cell) => cell.innerText));
        const from = rows.findIndex(([first]) => first === 'route several');
        return from < 0 ? null : rows.slice(from + 1, from + 3);"""
    find = f"const found = (() => {{ {rows} }})(); return found?.some(([, state]) => /✕ ejected|◌ on trial/.test(state)) ? found : null"
    good, bad = sorted(browser.until("a host is ejected", find), key=lambda row: row[1] != "● up")
    assert good[1] == "● up" and len(good) == 5 and good[0] != bad[0], (good, bad)
    browser.until("failures of that host", f"const found = (() => {{ {rows} }})(); return found?.some((row) => parseFloat(row[2]) > 0)", 60)


def draws_routes(browser, shots):
    """A route's row has its last two hours: what the gateway remembers, and what the page counts from then on."""
    script = """
        const done = arguments[0];
        Promise.all([import(`${location.origin}/past.js`), fetch('history').then((answer) => answer.json())]).then(([past, kept]) => {
            const at = Array.from({ length: 120 }, (_, minute) => kept.now - 60 * (120 - minute));
            const exchanges = at.map((_, minute) => minute === 50 ? null : minute === 100 ? 1234 : 7);
            kept.routes = { every_seconds: 60, at, series: { 1: { exchanges, errors: at.map((_, minute) => minute === 50 ? null : minute === 90 ? 3 : 0) } } };
            past.take(kept, 0, Date.now());
            done(null);
        }, (error) => done(String(error)));"""
    failed = browser.call("POST", f"{browser.base}/execute/async", {"script": script, "args": []})
    assert failed is None, failed
    line = """
        const row = [...document.querySelectorAll('#routes tr')].find((row) => row.cells[0].innerText === '1');
        const picture = row?.querySelector('svg.spark');
        const label = picture?.getAttribute('aria-label') ?? '';
        // The page draws once a second.
        return label.includes('1,234 at most') && { label: picture.getAttribute('aria-label'), lines: [...picture.querySelectorAll('path')].map((one) => one.getAttribute('d')) };"""
    drawn = browser.until("the line of a route", line)
    assert "in the last two hours: 1,234 at most" in drawn["label"], drawn
    assert "Responses with 5xx: 3 at most" in drawn["label"], drawn
    line, bars = drawn["lines"]
    # The unknown minute is a gap, and the minute with errors a bar.
    assert line.count("M") == 2 and line.count("L") == 117, line
    assert bars.count("M") == 1 and bars.count("L") == 1, bars
    browser.run("document.querySelector('#tables').scrollIntoView()")
    browser.shot(f"{shots}/tables.png")


def joins_processes(browser):
    """Ten minutes of a page that stays open while the gateway restarts, at given moments and in a module of its own."""
    script = """
        const done = arguments[0];
        import(`${location.origin}/past.js?again`).then((past) => {
            const kept = (started, now) => {
                const at = Array.from({ length: now - started }, (_, second) => started + second);
                const tens = at.filter((second) => second % 10 === 0);
                const of = (every_seconds, at) => ({ every_seconds, at, series: { exchanges: at.map(() => 6), p50: at.map(() => null) } });
                const routes = { at: [started, started + 60], series: { sync: { exchanges: [null, 2], errors: [null, 0] } } };
                return { started, now, routes, seconds: of(1, at.slice(-120)), tens: of(10, tens),
                    problems: { at: [started, started + 60], causes: { no_route: { remedy: "none", counts: [0, 5] } } } };
            };
            const told = {};
            past.take(kept(10000, 10300), 10000, 10300000);
            told.kept = past.points(0).length;
            for (let second = 10300; second < 10600; second += 1) { past.countRoutes(second * 1000, 10000, new Map([["sync", [second * 3, second]]])); past.add(second * 1000, { exchanges: second % 2 ? 4 : 8, p50: 1 }); past.thin(second * 1000); }
            const later = past.points(10300000).filter(({ step }) => step === 10);
            told.means = [...new Set(later.map(({ v }) => v.exchanges))];
            told.before = past.points(0).length;
            told.line = past.line("sync").map(({ exchanges, errors }) => [exchanges, errors]);
            told.problems = [10010, 10070, 9000].map((at) => past.counted(at * 1000, 10000).get("no_route") ?? null);
            told.started = [past.startedSince(9000000), past.startedSince(10001000)];
            past.take(kept(10610, 10650), 10610, 10650000);
            told.after = [past.points(10610000).length, past.points(0).length - past.points(10610000).length];
            told.lines = past.line("sync").map(({ at, exchanges }) => [at / 1000, exchanges]);
            past.countRoutes(10610000, 10610, new Map([["sync", [0, 0]]]));
            told.fresh_line = past.line("sync").length;
            told.order = past.points(0).every(({ at }, place, all) => !place || all[place - 1].at < at);
            told.fresh = past.counted(10000000, 10610).size;
            for (let second = 10650; second < 20000; second += 1) { past.add(second * 1000, { exchanges: 1 }); past.thin(second * 1000); }
            told.most = past.points(0).length;
            done(told);
        }, (error) => done(String(error)));"""
    told = browser.call("POST", f"{browser.base}/execute/async", {"script": script, "args": []})
    # 120 s by the second, and the 180 s before them by ten.
    assert told["kept"] == 120 + 18, told
    assert told["means"] == [6] and told["problems"] == [0, 5, None] and told["started"] == [10000000, None], told
    # A line goes on with what the page counts, and through a restart.
    assert told["line"] == [[None, None], [2, 0]] + 4 * [[3, 1]], told
    assert told["lines"] == [[10000, None], [10060, 2]] + [[at, 3] for at in (10360, 10420, 10480, 10540)] + [[10610, None], [10670, 2]], told
    assert told["fresh_line"] == 8, told
    # What the earlier process had stays, and the later one begins anew.
    assert told["after"] == [40, told["before"]] and told["order"] and told["fresh"] == 0, told
    assert told["most"] <= 720 + 130, told


def explains_problems(browser, arguments):
    """A problem has its remedy, the command that finds its lines in the log, and its section of the manual."""
    browser.run("[...document.querySelectorAll('#problems summary')].find((one) => one.innerText.includes('no route')).click()")
    time.sleep(2.5)
    opened = browser.text("#problems details[open]")
    assert "Remedy: add a [[route]]" in opened, opened
    command = browser.text("#problems details[open] code")
    before, _, find = command.partition(" | ")
    assert before == "journalctl -u wapbridge --since=-15min", command
    lines = subprocess.run(["sh", "-c", f"{find} <'{arguments.log}'"], capture_output=True, text=True, check=True).stdout
    # Checks before this one asked for other URIs without a route.
    assert "nowhere.example" in lines and all("no_route" in line for line in lines.splitlines()), lines[:2000]
    link = browser.run("return document.querySelector('#problems details[open] a').href")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(link, timeout=10) as answer:
        section = answer.read().decode()
    assert section.startswith("What the handset sees") and "`no_route`" in section, section[:500]


def obeys_keys(browser):
    """Every control is reached by the Tab key, in the order of the page, and a chart's values by arrows."""
    browser.run("document.activeElement.blur(); scrollTo(0, 0)")
    order = []
    for _ in range(16):
        browser.press("\ue004")
        order.append(browser.run("""
            const one = document.activeElement, style = getComputedStyle(one);
            return [one.getAttribute('aria-label') ?? one.innerText.split('\\n')[0], style.outlineStyle];"""))
    names = [name for name, _ in order]
    wanted = ["Live", "Subscriber trace", "2 min", "15 min", "2 h", "Exchanges per second", "Exchange latency"]
    assert names[:7] == wanted and "connect" not in names[:12], names
    assert any("no route" in name for name in names), names
    assert all(outline != "none" for _, outline in order), order
    browser.run("document.querySelector('.chart svg').focus()")
    heard = "return document.querySelector('.chart svg').getAttribute('aria-valuetext')"
    now = browser.run(heard)
    browser.press("\ue012", "\ue012")
    then = browser.run(heard)
    assert now.startswith("now: ") and then.startswith("30 s ago: "), (now, then)
    browser.run("document.activeElement.blur()")


def fits_screens(browser, arguments, shots):
    """From a phone to a wall, dark and light: nothing is wider than the screen, and axe finds no fault."""
    for scheme in ("dark", "light"):
        browser.scheme(scheme)
        for width, height in WIDTHS.items():
            browser.size(width, height)
            time.sleep(1.2)
            browser.shot(f"{shots}/live-{scheme}-{width}.png")
            wider = browser.run("return document.documentElement.scrollWidth - innerWidth")
            assert browser.run("return document.querySelectorAll('svg.spark').length"), "no line of a route"
            assert wider <= 0, f"{wider} pixels wider than {width}"
            browser.audit(arguments.axe, f"{scheme}, {width} pixels")
    browser.scheme("dark")
    browser.size(1440, 1000)


def judge(file, arguments):
    """The file, by Wireshark and by ourselves."""
    decoded = subprocess.run([arguments.wapbridge, "decode", file], capture_output=True, text=True, check=False)
    assert decoded.returncode == 0, decoded.stderr
    if not shutil.which("tshark"):
        print("tshark is not installed: the file was read by wapbridge alone")
        return
    read = ["tshark", "-r", file, "-d", f"udp.port=={arguments.gateway},wtp", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]

    def count(wanted):
        lines = subprocess.run([*read, "-Y", wanted], capture_output=True, text=True, check=True).stdout
        return len(lines.splitlines())

    every, wtp, bad = count("udp"), count("wtp || wsp"), count("_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0")
    syncml, whole, comments = count("wbxml"), count("wtp.fragments"), count("frame.comment")
    print(f"{every} frames, {wtp} with a WTP layer, {bad} malformed, {whole} re-assembled, {syncml} with WBXML, {comments} with a comment")
    assert every > 20 and wtp == every and bad == 0 and whole > 0 and syncml > 0 and comments == every


if __name__ == "__main__":
    sys.exit(main())
